//! Replies as bytes, with CoreDNS's size rules: uncompressed when that fits the limit, else
//! compressed, else cut with TC=1, over TCP too. Must not live here: what the reply says.
//!
//! WHY an encoder of our own: hickory-proto (0.26) offers the encoder 64 pointer candidates, does
//! not count the question among them, and writes names in full after 120 of them. A CoreDNS answer
//! at the 64 KiB ceiling (4,092 A records of a 26-byte name) or at 512 bytes (29) cannot be built
//! with it, and these ceilings are what clients must be tested against.
//!
//! Source: `Msg.Truncate` of miekg/dns (`msg_truncate.go`) and `Request.Scrub` of CoreDNS
//! (`request/request.go`).

use std::collections::HashMap;

use super::record::{Data, Record};

/// Room for the OPT record at the end of a reply to a query that had one.
const OPT_LEN: usize = 11;
/// Names beyond this offset cannot be pointed at (RFC 1035 section 4.1.4: 14 bits).
const POINTER_REACH: usize = 0x4000;
const HEADER_LEN: usize = 12;

/// Response codes used here (RFC 1035 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
}

/// A reply before it is encoded.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) id: u16,
    /// Bits 1 to 4 of the flags: a reply repeats the query's.
    pub(super) opcode: u8,
    pub(super) recursion_desired: bool,
    pub(super) authoritative: bool,
    /// TC although nothing is cut by size.
    pub(super) truncated: bool,
    pub(super) rcode: Rcode,
    /// The query section as received, so that its letter case is echoed.
    pub(super) question: &'a [u8],
    pub(super) qname: &'a str,
    pub(super) answers: &'a [Record],
    pub(super) authority: &'a [Record],
    pub(super) additional: &'a [Record],
    /// The payload size to announce, if the query had an OPT record.
    pub(super) opt: Option<u16>,
}

impl Reply<'_> {
    /// The bytes, at most `limit` of them.
    pub(super) fn encode(&self, limit: usize) -> Vec<u8> {
        let budget = limit - self.opt.map_or(0, |_| OPT_LEN);
        let whole = self.write(Names::in_full(), budget);
        let (mut bytes, counts) = if whole.1.complete {
            whole
        } else {
            self.write(Names::compressed(), budget)
        };
        if let Some(payload) = self.opt {
            bytes.push(0);
            put(&mut bytes, 41);
            put(&mut bytes, payload);
            bytes.extend([0; 6]);
        }
        let truncated = self.truncated || !counts.complete;
        let flags = 0x8000
            | u16::from(self.opcode & 0xf) << 11
            | u16::from(self.authoritative) << 10
            | u16::from(truncated) << 9
            | u16::from(self.recursion_desired) << 8
            | self.rcode as u16;
        let header = [
            self.id,
            flags,
            u16::from(!self.question.is_empty()),
            counts.sections[0],
            counts.sections[1],
            counts.sections[2] + u16::from(self.opt.is_some()),
        ];
        for (at, value) in header.into_iter().enumerate() {
            bytes[2 * at..2 * at + 2].copy_from_slice(&value.to_be_bytes());
        }
        bytes
    }

    fn write<'n>(&'n self, mut names: Names<'n>, budget: usize) -> (Vec<u8>, Counts) {
        let mut out = vec![0; HEADER_LEN];
        if !self.question.is_empty() {
            names.remember(self.qname, HEADER_LEN);
            out.extend(self.question);
        }
        let mut counts = Counts {
            sections: [0; 3],
            complete: true,
        };
        'sections: for (index, section) in [self.answers, self.authority, self.additional].into_iter().enumerate() {
            for record in section {
                let before = out.len();
                names.put_record(&mut out, record);
                if out.len() > budget {
                    out.truncate(before);
                    counts.complete = false;
                    break 'sections;
                }
                counts.sections[index] += 1;
            }
        }
        (out, counts)
    }
}

struct Counts {
    sections: [u16; 3],
    complete: bool,
}

/// The names written so far, by suffix, with their offsets. `None`: write all names in full.
struct Names<'n>(Option<HashMap<&'n str, u16>>);

impl<'n> Names<'n> {
    fn in_full() -> Self {
        Self(None)
    }

    fn compressed() -> Self {
        Self(Some(HashMap::new()))
    }

    fn remember(&mut self, name: &'n str, mut offset: usize) {
        let Some(offsets) = &mut self.0 else { return };
        let mut rest = name;
        while !rest.is_empty() && offset < POINTER_REACH {
            if offsets.contains_key(rest) {
                return;
            }
            offsets.insert(rest, offset as u16);
            let (label, tail) = rest.split_once('.').unwrap_or((rest, ""));
            offset += 1 + label.len();
            rest = tail;
        }
    }

    /// `pointers`: whether this place may hold a pointer. Names in places that may not can still be
    /// pointed at later.
    fn put(&mut self, out: &mut Vec<u8>, name: &'n str, pointers: bool) {
        let start = out.len();
        let mut rest = name;
        while !rest.is_empty() {
            let offsets = self.0.as_ref().and_then(|offsets| offsets.get(rest));
            if let Some(offset) = offsets.filter(|_| pointers) {
                put(out, 0xc000 | offset);
                self.remember(name, start);
                return;
            }
            let (label, tail) = rest.split_once('.').unwrap_or((rest, ""));
            out.push(label.len() as u8);
            out.extend(label.as_bytes());
            rest = tail;
        }
        out.push(0);
        self.remember(name, start);
    }

    fn put_record(&mut self, out: &mut Vec<u8>, record: &'n Record) {
        const CLASS_IN: u16 = 1;
        self.put(out, &record.owner, true);
        put(out, record.data.rtype().code());
        put(out, CLASS_IN);
        out.extend(record.ttl.to_be_bytes());
        let length_at = out.len();
        put(out, 0);
        self.put_data(out, &record.data);
        let length = (out.len() - length_at - 2) as u16;
        out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    fn put_data(&mut self, out: &mut Vec<u8>, data: &'n Data) {
        match data {
            Data::A(ip) => out.extend(ip.octets()),
            Data::Aaaa(ip) => out.extend(ip.octets()),
            Data::Cname(target) | Data::Ptr(target) => self.put(out, target, true),
            Data::Txt(text) => {
                out.push(text.len() as u8);
                out.extend(text.as_bytes());
            }
            Data::Srv { weight, port, target } => {
                for value in [0, *weight, *port] {
                    put(out, value);
                }
                // SPEC(RFC 2782): the target is never compressed.
                self.put(out, target, false);
            }
            Data::Soa {
                mname,
                rname,
                serial,
                minimum,
            } => {
                const REFRESH: u32 = 7200;
                const RETRY: u32 = 1800;
                const EXPIRE: u32 = 86_400;
                self.put(out, mname, true);
                self.put(out, rname, true);
                for value in [*serial, REFRESH, RETRY, EXPIRE, *minimum] {
                    out.extend(value.to_be_bytes());
                }
            }
        }
    }
}

fn put(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_be_bytes());
}
