//! [`Args`]: the words of a command line, one after the other. By hand: a library for command lines would be the largest
//! dependency of an example.

use std::iter::Peekable;
use std::vec::IntoIter;

/// The arguments that have not been read yet, and the value written into the last one (`--flag=value`).
pub(crate) struct Args {
    rest: Peekable<IntoIter<String>>,
    flag: String,
    inline: Option<String>,
}

impl Args {
    /// The arguments, without the program's name.
    pub(crate) fn new(args: impl IntoIterator<Item = String>) -> Self {
        let rest = args.into_iter().collect::<Vec<_>>().into_iter().peekable();
        let (flag, inline) = (String::new(), None);
        Self { rest, flag, inline }
    }

    /// The next flag, or a word that is none. An error if the flag before was given a value that nobody took.
    pub(crate) fn next(&mut self) -> Result<Option<String>, String> {
        if self.inline.is_some() {
            return Err(format!("`{}` takes no value", self.flag));
        }
        let Some(arg) = self.rest.next() else { return Ok(None) };
        // `--flag value` and `--flag=value` are the same.
        match arg.split_once('=').filter(|_| arg.starts_with('-')) {
            Some((flag, value)) => {
                self.flag = flag.to_owned();
                self.inline = Some(value.to_owned());
            }
            None => self.flag = arg,
        }
        Ok(Some(self.flag.clone()))
    }

    /// The value of the last flag.
    pub(crate) fn value(&mut self) -> Result<String, String> {
        let value = match self.inline.take() {
            Some(value) => Some(value),
            None => self.rest.next_if(|next| !next.starts_with("--")),
        };
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("`{}` needs a value", self.flag))
    }
}

/// The number that is the value of `flag`.
pub(crate) fn positive(flag: &str, text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{flag}` needs a number above 0, found `{text}`"))
}
