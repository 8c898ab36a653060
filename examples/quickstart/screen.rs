//! What is shown while the program runs: lines, and on a terminal one line that changes. Silent with `--json`.

use std::io::{IsTerminal as _, Write as _, stdout};

/// The way to stdout.
pub(crate) struct Screen {
    is_silent: bool,
    is_terminal: bool,
    has_live_line: bool,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            is_silent: json,
            is_terminal: stdout().is_terminal(),
            has_live_line: false,
        }
    }

    /// A line, or several.
    pub(crate) fn line(&mut self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// The title of a chapter.
    pub(crate) fn title(&mut self, text: &str) {
        match self.is_terminal {
            true => self.line(&format!("\n\x1b[1m{text}\x1b[0m")),
            false => self.line(&format!("\n{text}")),
        }
    }

    /// Replaces the live line. Nothing where lines cannot be replaced: in a file or a log.
    pub(crate) fn live(&mut self, text: &str) {
        if self.is_terminal {
            self.write(text);
            self.has_live_line = true;
        }
    }

    /// Removes the live line.
    pub(crate) fn settle(&mut self) {
        self.write("");
    }

    fn write(&mut self, text: &str) {
        if self.is_silent {
            return;
        }
        let clear = if self.has_live_line { "\r\x1b[2K" } else { "" };
        self.has_live_line = false;
        // Nobody left to read it (`quickstart | head`) is no reason to stop: the exit code still tells how it went.
        let _ = write!(stdout(), "{clear}{text}").and_then(|()| stdout().flush());
    }
}
