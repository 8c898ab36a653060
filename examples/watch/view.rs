//! [`View`]: the way to stdout. On a terminal a picture that is redrawn in place; otherwise lines, one for each event, and a
//! table now and then.

use std::io::{self, IsTerminal as _, Write as _, stdout};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::frame::Frames;
use crate::log::Log;

/// How often there is a table where nothing can be redrawn.
const TABLE_EVERY: Duration = Duration::from_secs(5);

/// No cursor, and long lines are cut at the edge: a line that wraps would be counted as one.
const BEGIN: &str = "\x1b[?25l\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?25h";

/// What is on the screen now.
pub(crate) struct View<'a> {
    frames: &'a Frames,
    log: &'a Log,
    /// The lines that fit, if this is a terminal.
    room: Option<usize>,
    /// Lines drawn last, which the next picture replaces.
    drawn: usize,
    /// Events printed so far.
    seen: usize,
    next_table: Duration,
}

impl<'a> View<'a> {
    pub(crate) fn new(frames: &'a Frames, log: &'a Log) -> Self {
        Self {
            frames,
            log,
            room: stdout().is_terminal().then(|| height() - 1),
            drawn: 0,
            seen: 0,
            next_table: Duration::ZERO,
        }
    }

    /// Shows what is so now. An error: nobody reads it any more.
    pub(crate) fn draw(&mut self) -> io::Result<()> {
        // Also where it is not printed: the ages of the pods follow from it.
        let frame = self.frames.now();
        let Some(room) = self.room else {
            self.print_events()?;
            return match self.log.elapsed() >= self.next_table {
                true => {
                    self.next_table = self.log.elapsed() + TABLE_EVERY;
                    print(&table(&frame.table()))
                }
                false => Ok(()),
            };
        };
        let text = frame.to_text(room);
        let up = match self.drawn {
            0 => BEGIN.to_owned(),
            lines => format!("\x1b[{lines}A\r"),
        };
        self.drawn = text.lines().count();
        // Each line is cleared to its end, and what is left of a longer picture below.
        print(&format!("{up}{}\x1b[K\n\x1b[J", text.replace('\n', "\x1b[K\n")))
    }

    fn print_events(&mut self) -> io::Result<()> {
        let (new, seen) = self.log.after(self.seen);
        self.seen = seen;
        let lines: String = new.iter().map(|entry| format!("{entry}\n")).collect();
        print(&lines)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.room.is_some() {
            return print(END);
        }
        self.print_events()?;
        print(&table(&self.frames.now().table()))
    }
}

impl Drop for View<'_> {
    /// Whatever ends the program, the terminal is as it was. A table is the last word.
    fn drop(&mut self) {
        // Nobody left to read it is no reason to fail.
        let _ = self.end();
    }
}

/// Set off from the events around it.
fn table(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| match line.as_str() {
        "" => "\n".to_owned(),
        line => format!("  {line}\n"),
    });
    format!("\n{}\n", lines.collect::<String>())
}

/// All at once: half a picture flickers.
fn print(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// How many lines the terminal has, as `stty` says; or else those of the smallest usual one.
fn height() -> usize {
    let asked = Command::new("stty").arg("size").stdin(Stdio::inherit()).output();
    let size = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let lines = size.and_then(|size| size.split_whitespace().next()?.parse().ok());
    lines.filter(|lines| *lines > 0).unwrap_or(24)
}
