//! The bytes of a [`Token`](super::Token); its [`to_bytes`](super::Token::to_bytes) documents the
//! layout.
//!
//! There is one way to write each value, and the reader takes no other: order, gaps and the length
//! of numbers are checked, and nothing may follow.

use std::collections::BTreeMap;

use super::mariadb::{Gtid, MariaDbGtids};
use super::mysql::{GtidSet, Range, Source};
use super::text::is_tag;
use super::{GtidError, Position};

pub(super) fn write(position: &Position) -> Vec<u8> {
    let mut out = Vec::new();
    match position {
        Position::Empty => out.push(EMPTY),
        Position::MariaDb(gtids) => {
            out.push(MARIADB);
            length(&mut out, gtids.gtids().len());
            for gtid in gtids.gtids() {
                varint(&mut out, gtid.domain.into());
                varint(&mut out, gtid.server.into());
                varint(&mut out, gtid.sequence);
            }
        }
        Position::MySql(set) => {
            out.push(MYSQL);
            length(&mut out, set.sources().len());
            for (source, ranges) in set.sources() {
                out.extend(source.uuid);
                length(&mut out, source.tag.len());
                out.extend(source.tag.bytes());
                length(&mut out, ranges.len());
                // Numbers begin at 1, and ranges do not touch.
                let mut free = 1;
                for range in ranges {
                    varint(&mut out, range.first - free);
                    varint(&mut out, range.last - range.first);
                    free = range.last.saturating_add(2);
                }
            }
        }
    }
    out
}

pub(super) fn parse(bytes: &[u8], max_ranges: usize) -> Result<Position, GtidError> {
    let mut reader = Reader {
        bytes,
        at: 0,
        left: max_ranges,
        limit: max_ranges,
    };
    let position = match bytes.first().copied() {
        Some(EMPTY) => {
            reader.at = 1;
            Position::Empty
        }
        Some(MARIADB) => {
            reader.at = 1;
            reader.mariadb()?.into()
        }
        Some(MYSQL) => {
            reader.at = 1;
            reader.mysql()?.into()
        }
        _ => return Err(reader.expected("a token of version 1")),
    };
    if reader.at < bytes.len() {
        return Err(reader.expected("the end"));
    }
    Ok(position)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
    limit: usize,
}

impl<'a> Reader<'a> {
    fn mariadb(&mut self) -> Result<MariaDbGtids, GtidError> {
        let domains = self.count()?;
        let mut gtids: Vec<Gtid> = Vec::new();
        for _ in 0..domains {
            let at = self.at;
            let domain = self.number("a domain id")?;
            if gtids.last().is_some_and(|before| before.domain >= domain) {
                self.at = at;
                return Err(self.expected("a greater domain id than the one before"));
            }
            let server = self.number("a server id")?;
            let sequence = self.number("a sequence number")?;
            gtids.push(Gtid {
                domain,
                sequence,
                server,
            });
        }
        Ok(MariaDbGtids::new(gtids))
    }

    fn mysql(&mut self) -> Result<GtidSet, GtidError> {
        // Not bounded here: each source has a range at least, and ranges are counted.
        let count = self.at_least_one()?;
        let mut sources = BTreeMap::new();
        for _ in 0..count {
            let at = self.at;
            let source = self.source()?;
            if sources.last_key_value().is_some_and(|(before, _)| *before >= source) {
                self.at = at;
                return Err(self.expected("a greater source than the one before"));
            }
            let count = self.count()?;
            let mut ranges = Vec::new();
            let mut free = Some(1_u64);
            for _ in 0..count {
                let at = self.at;
                let skipped: u64 = self.number("the numbers skipped")?;
                let more: u64 = self.number("the length of a range")?;
                let first = free.and_then(|free| free.checked_add(skipped));
                let range = first.and_then(|first| Some((first, first.checked_add(more)?)));
                let Some((first, last)) = range else {
                    self.at = at;
                    return Err(self.expected("a range that ends below 2^64"));
                };
                ranges.push(Range { first, last });
                free = last.checked_add(2);
            }
            sources.insert(source, ranges);
        }
        Ok(GtidSet::new(sources))
    }

    fn source(&mut self) -> Result<Source, GtidError> {
        let uuid = self.take(16).and_then(|uuid| uuid.try_into().ok());
        let uuid = uuid.ok_or_else(|| self.expected("16 bytes of UUID"))?;
        let at = self.at;
        let length = self.number("the length of a tag")?;
        let tag = self.take(length).and_then(|tag| str::from_utf8(tag).ok());
        match tag.filter(|tag| tag.is_empty() || is_tag(tag)) {
            Some(tag) => Ok(Source { uuid, tag: tag.into() }),
            None => {
                self.at = at;
                Err(self.expected("a tag"))
            }
        }
    }

    /// The number of parts to come. Checked before anything is kept.
    fn count(&mut self) -> Result<usize, GtidError> {
        let count = self.at_least_one()?;
        let (what, limit) = ("transactions or ranges of them", self.limit);
        self.left = self
            .left
            .checked_sub(count)
            .ok_or(GtidError::TooLarge { what, limit })?;
        Ok(count)
    }

    fn at_least_one(&mut self) -> Result<usize, GtidError> {
        let at = self.at;
        let count = self.number("a number of parts")?;
        if count == 0 {
            self.at = at;
            return Err(self.expected("at least one part"));
        }
        Ok(count)
    }

    fn number<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T, GtidError> {
        let at = self.at;
        let number = self.varint().and_then(|number| number.try_into().ok());
        number.ok_or_else(|| {
            self.at = at;
            self.expected(expected)
        })
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte of zero adds nothing: there is a shorter form.
                return (byte != 0 || shift == 0).then_some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn expected(&self, expected: &'static str) -> GtidError {
        GtidError::Syntax {
            offset: self.at,
            expected,
            found: match self.bytes.get(self.at) {
                Some(byte) => format!("byte {byte:#04x}"),
                None => "the end".to_owned(),
            },
        }
    }
}

fn length(out: &mut Vec<u8>, length: usize) {
    // A usize has at most 64 bits on every platform of Rust.
    varint(out, length as u64);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_bits(number) | 0x80);
        number >>= 7;
    }
    out.push(low_bits(number));
}

fn low_bits(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

const EMPTY: u8 = 0x10;
const MARIADB: u8 = 0x11;
const MYSQL: u8 = 0x12;
