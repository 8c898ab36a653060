//! [`View`]: on a terminal a picture that is redrawn in place; otherwise lines, one for each event,
//! and a table now and then.

use std::time::Duration;

use demo_support::{Log, Screen};

use crate::frame::Frames;

/// How often there is a table where nothing can be redrawn.
const TABLE_EVERY: Duration = Duration::from_secs(5);

/// What is shown.
pub(crate) struct View<'a> {
    frames: &'a Frames,
    log: &'a Log,
    screen: Screen,
    /// Events printed so far.
    seen: usize,
    next_table: Duration,
}

impl<'a> View<'a> {
    pub(crate) fn new(frames: &'a Frames, log: &'a Log) -> Self {
        let screen = Screen::new(false);
        Self {
            frames,
            log,
            screen,
            seen: 0,
            next_table: Duration::ZERO,
        }
    }

    /// Shows what is so now. `false`: there is no reader any more.
    pub(crate) fn draw(&mut self) -> bool {
        // Also where it is not shown: the ages of the pods follow from it.
        let frame = self.frames.now();
        if self.screen.is_terminal() {
            let (rows, columns) = self.screen.size();
            self.screen.live(&frame.picture(rows - 1, columns));
        } else {
            self.show_events();
            if self.log.elapsed() >= self.next_table {
                self.next_table = self.log.elapsed() + TABLE_EVERY;
                self.show_table();
            }
        }
        self.screen.has_reader()
    }

    fn show_events(&mut self) {
        let (new, seen) = self.log.after(self.seen);
        self.seen = seen;
        new.iter().for_each(|entry| self.screen.line(&entry.to_string()));
    }

    /// Set off from the events around it.
    fn show_table(&mut self) {
        let table = self.frames.now().table(self.screen.size().1);
        self.screen.line(&format!("\n{}\n", table.join("\n")));
    }
}

impl Drop for View<'_> {
    /// Whatever ends the program, a table is the last word.
    fn drop(&mut self) {
        if !self.screen.is_terminal() {
            self.show_events();
            self.show_table();
        }
    }
}
