//! [`Screen`]: the way to stdout. Lines never exceed its width; on a terminal, the last ones can be
//! redrawn in place.

use std::io;

use console::{Term, measure_text_width, style, truncate_str};
use textwrap::{Options, WordSplitter};

/// Rows and columns where there is no terminal to ask: those of the smallest usual one.
const SIZE: (usize, usize) = (24, 80);

/// Lines on stdout, and below them on a terminal a few that change.
#[derive(Debug)]
pub struct Screen {
    term: Term,
    is_silent: bool,
    has_reader: bool,
    /// The lines that the next ones replace.
    drawn: usize,
    size: (usize, usize),
}

impl Screen {
    /// A silent one shows nothing.
    pub fn new(is_silent: bool) -> Self {
        let term = Term::buffered_stdout();
        let size = size_of(&term);
        Self {
            term,
            is_silent,
            has_reader: true,
            drawn: 0,
            size,
        }
    }

    /// Whether lines can be redrawn: not in a file or a log.
    pub fn is_terminal(&self) -> bool {
        self.term.is_term()
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        size_of(&self.term)
    }

    /// Whether there is still a reader: `quickstart | head` has none after ten lines.
    pub fn has_reader(&self) -> bool {
        self.has_reader
    }

    /// Shows these lines, above those that change. What is too long goes on in the next line.
    pub fn line(&mut self, text: &str) {
        let columns = self.size().1;
        let lines: Vec<_> = text
            .split('\n')
            .flat_map(|line| wrap(line, columns, usize::MAX))
            .collect();
        self.show(&lines, 0);
    }

    /// A line in bold, after an empty one.
    pub fn title(&mut self, text: &str) {
        self.line(&format!("\n{}", style(text).bold()));
    }

    /// Replaces the lines that change. Nothing where lines cannot be replaced.
    pub fn live(&mut self, lines: &[String]) {
        if self.is_terminal() {
            let (rows, columns) = self.size();
            // A line that wraps, or a first line that has scrolled away, could not be replaced.
            let shown = lines.iter().take(rows - 1);
            let lines: Vec<_> = shown
                .map(|line| truncate_str(line, columns, "…").into_owned())
                .collect();
            self.show(&lines, lines.len());
        }
    }

    /// Shows `lines`, of which the last `live` can be replaced.
    fn show(&mut self, lines: &[String], live: usize) {
        if !self.is_silent && self.draw(lines, live).is_err() {
            self.has_reader = false;
        }
    }

    fn draw(&mut self, lines: &[String], live: usize) -> io::Result<()> {
        let size = self.size();
        match self.drawn {
            0 => {}
            // The terminal has broken the lines anew: it is not known where they begin.
            _ if self.size != size => self.term.clear_screen()?,
            drawn => self.term.move_cursor_up(drawn)?,
        }
        // Line by line: a screen that is cleared as a whole would flicker.
        let clear = if self.drawn > 0 { "\x1b[K" } else { "" };
        let text: String = lines.iter().map(|line| format!("{clear}{line}\n")).collect();
        self.term.write_str(&text)?;
        if self.drawn > lines.len() {
            self.term.clear_to_end_of_screen()?;
        }
        (self.drawn, self.size) = (live, size);
        self.term.flush()
    }
}

fn size_of(term: &Term) -> (usize, usize) {
    let size = term.size_checked().filter(|_| term.is_term());
    size.map_or(SIZE, |(rows, columns)| {
        (usize::from(rows).max(2), usize::from(columns).max(20))
    })
}

/// Breaks a line at `columns` into `most` lines, and cuts what is left. What follows is indented as
/// the line is, and a bit more.
pub fn wrap(line: &str, columns: usize, most: usize) -> Vec<String> {
    if measure_text_width(line) <= columns {
        return vec![line.to_owned()];
    }
    let indent = " ".repeat(line.len() - line.trim_start().len() + 4);
    let options = Options::new(columns).subsequent_indent(&indent);
    let options = options.word_splitter(WordSplitter::NoHyphenation);
    let mut lines: Vec<String> = textwrap::wrap(line, options).into_iter().map(Into::into).collect();
    if lines.len() > most {
        lines.truncate(most);
        let last = lines.pop().unwrap_or_default();
        lines.push(truncate_str(&(last + " …"), columns, "…").into_owned());
    }
    lines
}

/// Cuts the front of a name that is longer than `columns`: its end tells more.
pub fn cut(name: &str, columns: usize) -> String {
    let length = name.chars().count();
    match length > columns {
        true => format!("…{}", name.chars().skip(length + 1 - columns).collect::<String>()),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_below() {
        let lines = wrap("  12.3 s  a reason that is too long for one line", 30, 9);
        assert_eq!(lines, ["  12.3 s  a reason that is too", "      long for one line"]);
        let lines = wrap("a reason that is too long for a line", 12, 2);
        assert_eq!(lines, ["a reason", "    that is…"]);
    }

    #[test]
    fn the_end_of_a_name_is_kept() {
        assert_eq!(cut("web-6b7f9c5d4-x2x4z", 8), "…4-x2x4z");
        assert_eq!(cut("web-0", 8), "web-0");
    }
}
