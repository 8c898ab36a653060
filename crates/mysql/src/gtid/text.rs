//! The text of a [`Position`]: what servers print, read strictly and written back.
//!
//! ```text
//! position = mariadb *( sep mariadb ) / mysql *( sep mysql ) / ""
//! mariadb  = domain "-" server "-" sequence
//! mysql    = uuid 1*( ":" range / ":" tag ":" range )   ; a tag holds until the next one
//! range    = first [ "-" last ]
//! sep      = "," / "~"                                  ; the second is what a Token writes
//! ```
//!
//! Blanks and line ends are allowed around every part, as MySQL prints a line end after each comma.

use std::collections::BTreeMap;
use std::fmt;

use super::mariadb::{Gtid, MariaDbGtids};
use super::mysql::{GtidSet, Range, Source};
use super::{GtidError, Position};

/// Reads a position of at most `max_ranges` parts.
pub(super) fn parse(text: &str, max_ranges: usize) -> Result<Position, GtidError> {
    let mut cursor = Cursor {
        text,
        at: 0,
        left: max_ranges,
        limit: max_ranges,
    };
    cursor.blanks();
    if cursor.peek().is_none() {
        Ok(Position::Empty)
    } else if text.contains(':') {
        cursor.mysql().map(Position::from)
    } else {
        cursor.mariadb().map(Position::from)
    }
}

/// Writes it with `separator` between its parts.
pub(super) fn write(f: &mut fmt::Formatter<'_>, position: &Position, separator: char) -> fmt::Result {
    match position {
        Position::Empty => Ok(()),
        Position::MariaDb(gtids) => {
            for (index, gtid) in gtids.gtids().iter().enumerate() {
                if index > 0 {
                    write!(f, "{separator}")?;
                }
                write!(f, "{gtid}")?;
            }
            Ok(())
        }
        Position::MySql(set) => write_set(f, set, separator),
    }
}

/// As servers do, a source's tags stand behind one another and its UUID only once.
fn write_set(f: &mut fmt::Formatter<'_>, set: &GtidSet, separator: char) -> fmt::Result {
    let mut before: Option<&Source> = None;
    for (source, ranges) in set.sources() {
        if before.is_none_or(|before| before.uuid != source.uuid) {
            if before.is_some() {
                write!(f, "{separator}")?;
            }
            write_uuid(f, source.uuid)?;
        }
        if !source.tag.is_empty() {
            write!(f, ":{}", source.tag)?;
        }
        for range in ranges {
            write!(f, ":{range}")?;
        }
        before = Some(source);
    }
    Ok(())
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: [u8; 16]) -> fmt::Result {
    for (index, byte) in uuid.iter().enumerate() {
        if UUID_DASHES.contains(&index) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// Whether `tag` is one that MySQL prints: a letter or underscore, then letters, digits and
/// underscores, in lower case.
pub(super) fn is_tag(tag: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    tag.len() <= MAX_TAG && tag.bytes().all(inner) && tag.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// How many more parts are allowed.
    left: usize,
    limit: usize,
}

impl Cursor<'_> {
    fn mariadb(&mut self) -> Result<MariaDbGtids, GtidError> {
        let mut gtids = Vec::new();
        loop {
            self.count()?;
            let domain = self.number("a domain id")?;
            self.dash()?;
            let server = self.number("a server id")?;
            self.dash()?;
            let sequence = self.number("a sequence number")?;
            gtids.push(Gtid {
                domain,
                sequence,
                server,
            });
            if self.ends("`,` or the end")? {
                return Ok(MariaDbGtids::new(gtids));
            }
        }
    }

    fn mysql(&mut self) -> Result<GtidSet, GtidError> {
        let mut sources: BTreeMap<Source, Vec<Range>> = BTreeMap::new();
        loop {
            let uuid = self.uuid()?;
            let tag = Box::default();
            let mut source = Source { uuid, tag };
            self.colon()?;
            loop {
                if self.peek().is_some_and(|b| !b.is_ascii_digit()) {
                    source.tag = self.tag()?;
                    self.colon()?;
                }
                self.count()?;
                let range = self.range()?;
                match sources.get_mut(&source) {
                    Some(ranges) => ranges.push(range),
                    None => drop(sources.insert(source.clone(), vec![range])),
                }
                if !self.eat(b":") {
                    break;
                }
                self.blanks();
            }
            if self.ends("`:`, `,` or the end")? {
                return Ok(GtidSet::new(sources));
            }
        }
    }

    fn uuid(&mut self) -> Result<[u8; 16], GtidError> {
        let mut uuid = [0; 16];
        for (index, byte) in uuid.iter_mut().enumerate() {
            if UUID_DASHES.contains(&index) && !self.eat(b"-") {
                return Err(self.expected("`-` of a UUID"));
            }
            for _ in 0..2 {
                let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
                let digit = digit.and_then(|digit| u8::try_from(digit).ok());
                *byte = *byte << 4 | digit.ok_or_else(|| self.expected("a UUID"))?;
                self.at += 1;
            }
        }
        self.blanks();
        Ok(uuid)
    }

    fn tag(&mut self) -> Result<Box<str>, GtidError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let tag = &rest[..end.unwrap_or(rest.len())];
        // Before the copy: a tag may be as long as the text.
        if tag.len() > MAX_TAG || !is_tag(&tag.to_ascii_lowercase()) {
            return Err(self.expected("a transaction number, or a tag of at most 32 letters, digits and `_`"));
        }
        self.at += tag.len();
        self.blanks();
        Ok(tag.to_ascii_lowercase().into())
    }

    fn range(&mut self) -> Result<Range, GtidError> {
        let at = self.at;
        let first = self.number("a transaction number")?;
        let last = match self.eat(b"-") {
            true => {
                self.blanks();
                self.number("the last number of a range")?
            }
            false => first,
        };
        if first == 0 || last < first {
            self.at = at;
            return Err(self.expected("a range that begins at 1 or later and does not end before it begins"));
        }
        Ok(Range { first, last })
    }

    fn number<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T, GtidError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..end].parse().ok().and_then(|number: u64| number.try_into().ok());
        let number = number.ok_or_else(|| self.expected(expected))?;
        self.at += end;
        self.blanks();
        Ok(number)
    }

    fn dash(&mut self) -> Result<(), GtidError> {
        self.punctuation(b"-", "`-`")
    }

    fn colon(&mut self) -> Result<(), GtidError> {
        self.punctuation(b":", "`:`")
    }

    fn punctuation(&mut self, which: &[u8], expected: &'static str) -> Result<(), GtidError> {
        if !self.eat(which) {
            return Err(self.expected(expected));
        }
        self.blanks();
        Ok(())
    }

    /// Whether the text ends here; if not, a separator must be here.
    fn ends(&mut self, expected: &'static str) -> Result<bool, GtidError> {
        if self.peek().is_none() {
            return Ok(true);
        }
        self.punctuation(b",~", expected)?;
        Ok(false)
    }

    /// Before anything is kept.
    fn count(&mut self) -> Result<(), GtidError> {
        let what = "transactions or ranges of them";
        let limit = self.limit;
        self.left = self.left.checked_sub(1).ok_or(GtidError::TooLarge { what, limit })?;
        Ok(())
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, any_of: &[u8]) -> bool {
        let found = self.peek().is_some_and(|b| any_of.contains(&b));
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expected(&self, expected: &'static str) -> GtidError {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let found: String = rest.chars().take(SHOWN).collect();
        let more = if found.len() < rest.len() { "…" } else { "" };
        GtidError::Syntax {
            offset: self.at,
            expected,
            found: match found.is_empty() {
                true => "the end".to_owned(),
                // Escaped: it may be anything, and errors end in logs.
                false => format!("`{}{more}`", found.escape_debug()),
            },
        }
    }
}

/// Bytes of a UUID that have a dash before them.
const UUID_DASHES: [usize; 4] = [4, 6, 8, 10];
/// `mysql::gtid::tag_max_length`.
const MAX_TAG: usize = 32;
/// Characters of the input that an error repeats.
const SHOWN: usize = 24;
