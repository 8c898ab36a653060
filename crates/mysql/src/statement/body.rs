//! [`classify`], and the rules for what stands inside a statement, whatever its kind
//! ([`Analysis`]). `head.rs` tells the kinds apart.
//!
//! Every token passes through [`Analysis::next`] exactly once, in order. A rule that depends on the
//! next token is settled when that one comes; so nothing is read twice.

use super::classification::{Class, Classification, Reason, SessionUse};
use super::dialect::{Dialect, Server};
use super::functions::NODE_VARIABLES;
use super::scan::{Doubt, Kind, Scanner, Token};
use super::words::{self, Call, Entry, Role, UNLISTED};

/// The state of classifying one statement.
#[derive(Debug)]
pub(super) struct Analysis<'a> {
    scanner: Scanner<'a>,
    classification: Classification,
    last: Last,
    calls: Calls,
    pending: Option<Columns>,
}

/// What the token before this one was.
#[derive(Clone, Copy, Debug)]
struct Last {
    shape: Shape,
    entry: &'static Entry,
    at: usize,
    end: usize,
    /// What stood before it: decides what a name before a parenthesis is.
    after: After,
    /// A character set that is named before a string (`_gbk'..'`), and in which a backslash may be
    /// part of a letter.
    odd_charset: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Name,
    Dot,
    Close,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Dot,
    /// `AS`: an alias with columns, or a type with its size.
    As,
    /// `)`
    Close,
    Other,
}

/// Whether a name before a parenthesis is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    Yes,
    /// The first one is the table's list of columns, as in `INSERT INTO t (a, b)`.
    AfterTheTable,
    /// Not before a `SELECT`: in `CREATE TABLE t (a INT)`, names have columns and types have sizes.
    AfterSelect,
}

/// A name before a parenthesis that no function has. It may still be a common table expression with
/// its columns, as `c` in `WITH c (a, b) AS (SELECT ...)`, and is one exactly if it goes on like
/// this.
#[derive(Clone, Copy, Debug)]
struct Columns {
    at: usize,
    part: ColumnsPart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnsPart {
    Open,
    Close,
    As,
}

/// Classifies one statement, as it would be sent.
///
/// The same text gets the same classification, whether it is sent as text or to be prepared. Takes
/// time in proportion to the text, a microsecond for a usual one, and allocates nothing;
/// [`StatementCache`](super::StatementCache) remembers the classifications of texts that come
/// often.
///
/// ```
/// use headless_mysql::statement::{Class, Dialect, classify};
///
/// let read = classify("SELECT name FROM users WHERE id = ?", Dialect::UTF8);
/// assert_eq!(read.class(), Class::Read);
///
/// let lock = classify("SELECT id FROM jobs LIMIT 1 FOR UPDATE SKIP LOCKED", Dialect::UTF8);
/// assert_eq!(lock.class(), Class::Write);
/// assert_eq!(lock.to_string(), "locking read (FOR UPDATE) at byte 28");
/// ```
#[must_use]
pub fn classify(sql: &str, dialect: Dialect) -> Classification {
    let classified = Scanner::new(sql, dialect).and_then(|scanner| {
        let mut analysis = Analysis::new(scanner);
        analysis.statement()?;
        Ok(analysis.classification)
    });
    // What was found before the doubt may be misread too; the doubt itself is what helps the
    // reader.
    classified.unwrap_or_else(|Doubt { reason, at }| Classification {
        class: Class::Write,
        reason,
        offset: offset(at),
        session: SessionUse::UNKNOWN,
    })
}

impl<'a> Analysis<'a> {
    fn new(scanner: Scanner<'a>) -> Self {
        Self {
            scanner,
            classification: Classification {
                class: Class::Read,
                reason: Reason::Query,
                offset: 0,
                session: SessionUse::NONE,
            },
            last: Last {
                shape: Shape::Other,
                entry: &UNLISTED,
                at: 0,
                end: 0,
                after: After::Other,
                odd_charset: false,
            },
            calls: Calls::Yes,
            pending: None,
        }
    }

    /// The next token, with the rules applied.
    pub(super) fn next(&mut self) -> Result<Token<'a>, Doubt> {
        let token = self.scanner.next()?;
        self.settle(&token);
        let mut last = Last {
            shape: Shape::Other,
            entry: &UNLISTED,
            at: token.at,
            end: token.end,
            after: match self.last.shape {
                Shape::Dot => After::Dot,
                Shape::Close => After::Close,
                Shape::Name if self.last.entry.role == Role::As => After::As,
                Shape::Name | Shape::Other => After::Other,
            },
            odd_charset: false,
        };
        match token.kind {
            Kind::Word => {
                let word = token.text;
                last.shape = Shape::Name;
                last.odd_charset = word[0] == b'_' && !is_plain_charset(word);
                let entry = words::find(word);
                if last.after == After::Dot {
                    self.member(entry, &token);
                }
                // WHY: right behind a dot, the server takes even a reserved word for an identifier.
                if last.after != After::Dot || self.last.end != token.at {
                    last.entry = entry;
                    self.word(entry, &token);
                }
            }
            Kind::Name => {
                last.shape = Shape::Name;
                let entry = words::find(token.text);
                // WHY: all other meanings are lost in quotes, that of a function too: it is not
                // taken for a built-in one.
                if last.after == After::Dot {
                    self.member(entry, &token);
                } else if entry.role == Role::NodeSchema {
                    last.entry = entry;
                }
            }
            Kind::Text if self.last.odd_charset => {
                return Err(Doubt {
                    reason: Reason::UnknownCharset,
                    at: self.last.at,
                });
            }
            Kind::UserVariable => self.user_variable(&token),
            Kind::SystemVariable => self.system_variable(&token),
            Kind::Assign => {
                self.object(Class::Session, Reason::Assignment, token.at);
                self.uses(SessionUse::USER_VARIABLES);
            }
            Kind::Open if self.last.shape == Shape::Name => self.open(&token),
            Kind::Close => last.shape = Shape::Close,
            Kind::Dot => {
                last.shape = Shape::Dot;
                if self.last.entry.role == Role::NodeSchema {
                    self.object(Class::NodeRead, Reason::NodeSchema, self.last.at);
                }
            }
            Kind::Next => {
                self.object(Class::Multi, Reason::MultipleStatements, token.at);
                self.uses(SessionUse::UNKNOWN);
            }
            Kind::Text | Kind::Number | Kind::Parameter | Kind::Open | Kind::Comma | Kind::Sign | Kind::End => {}
        }
        self.last = last;
        Ok(token)
    }

    /// Applies the rules to all that is left.
    pub(super) fn rest(&mut self) -> Result<(), Doubt> {
        while !is_end(&self.next()?) {}
        Ok(())
    }

    /// Something in the statement asks for at least this class. The first of the most careful ones
    /// is the reason.
    pub(super) fn object(&mut self, class: Class, reason: Reason, at: usize) {
        if class > self.classification.class {
            self.become_class(class, reason, at);
        }
    }

    /// The class of the statement as a whole, whatever was met before.
    pub(super) fn become_class(&mut self, class: Class, reason: Reason, at: usize) {
        self.classification.class = class;
        self.classification.reason = reason;
        self.classification.offset = offset(at);
    }

    pub(super) fn uses(&mut self, session: SessionUse) {
        self.classification.session = self.classification.session.union(session);
    }

    pub(super) fn used(&self, session: SessionUse) -> bool {
        self.classification.session.contains(session)
    }

    pub(super) fn count_calls(&mut self, calls: Calls) {
        self.calls = calls;
    }

    /// Rules about the last token that wait for this one.
    fn settle(&mut self, token: &Token<'_>) {
        let opens = token.kind == Kind::Open;
        match self.last.entry.role {
            Role::Into if token.kind != Kind::UserVariable => {
                self.object(Class::Write, Reason::Into, self.last.at);
            }
            // `REPLACE(` is a function, unless the statement itself begins here, as behind a common
            // table expression.
            Role::ChangeOrFunction if !opens || self.last.after == After::Close => {
                let reason = Reason::Contains(self.last.entry.name);
                self.object(Class::Write, reason, self.last.at);
            }
            _ => {}
        }
        let Some(columns) = self.pending else {
            return;
        };
        self.pending = match (columns.part, token.kind) {
            (ColumnsPart::Open, Kind::Word | Kind::Name | Kind::Comma) => Some(columns),
            (ColumnsPart::Open, Kind::Close) => Some(Columns {
                part: ColumnsPart::Close,
                ..columns
            }),
            (ColumnsPart::Close, Kind::Word) if token.text.eq_ignore_ascii_case(b"AS") => Some(Columns {
                part: ColumnsPart::As,
                ..columns
            }),
            (ColumnsPart::As, Kind::Open) => None,
            _ => {
                self.unknown_call(Reason::UnknownFunction, columns.at);
                None
            }
        };
    }

    /// A word that is not behind a dot.
    fn word(&mut self, entry: &'static Entry, token: &Token<'_>) {
        match entry.role {
            Role::None => {}
            Role::Query | Role::Values | Role::Value | Role::Set
                if entry.name == "SELECT" || (self.calls == Calls::AfterTheTable && entry.name != "TABLE") =>
            {
                self.calls = Calls::Yes;
            }
            Role::Change if self.last.entry.role == Role::For && entry.name == "UPDATE" => {
                self.object(Class::Write, Reason::LockingRead("FOR UPDATE"), self.last.at);
            }
            Role::Change => self.object(Class::Write, Reason::Contains(entry.name), token.at),
            Role::Share if self.last.entry.role == Role::For => {
                self.object(Class::Write, Reason::LockingRead("FOR SHARE"), self.last.at);
            }
            Role::Lock => self.object(Class::Write, Reason::LockingRead("LOCK IN SHARE MODE"), token.at),
            Role::For if self.last.entry.role == Role::Value => {
                self.object(Class::Write, Reason::Sequence, self.last.at);
            }
            Role::FoundRows => {
                self.object(Class::SessionRead, Reason::FoundRows, token.at);
                self.uses(SessionUse::READS);
            }
            _ => {}
        }
    }

    /// An identifier behind a dot.
    fn member(&mut self, entry: &Entry, token: &Token<'_>) {
        if entry.role == Role::SequenceMember {
            self.object(Class::Write, Reason::Sequence, token.at);
        }
    }

    /// A parenthesis behind a name.
    fn open(&mut self, token: &Token<'_>) {
        match self.calls {
            Calls::Yes => {}
            Calls::AfterTheTable => {
                self.calls = Calls::Yes;
                return;
            }
            Calls::AfterSelect => return,
        }
        let Last { entry, at, after, .. } = self.last;
        match after {
            After::Dot => return self.unknown_call(Reason::UnknownFunction, at),
            After::As => return,
            After::Close | After::Other => {}
        }
        let name = entry.name;
        let server = self.scanner.dialect().server();
        let tight = self.last.end == token.at;
        match entry.call {
            Call::Keyword | Call::BuiltIn => {}
            Call::Tight if tight => {}
            Call::Tight => self.unknown_call(Reason::SpacedFunction(name), at),
            Call::MySqlOnly if server == Some(Server::MySql) => {}
            Call::MariaDbOnly if server == Some(Server::MariaDb) => {}
            Call::MariaDbTight if server == Some(Server::MariaDb) && tight => {}
            Call::MySqlOnly | Call::MariaDbOnly | Call::MariaDbTight => {
                self.unknown_call(Reason::OtherServersFunction(name), at);
            }
            Call::Node => self.object(Class::NodeRead, Reason::NodeFunction(name), at),
            Call::Session => {
                self.object(Class::SessionRead, Reason::SessionFunction(name), at);
                self.uses(SessionUse::READS);
            }
            Call::Lock => {
                self.object(Class::Write, Reason::LockFunction(name), at);
                self.uses(SessionUse::LOCKS);
            }
            Call::Sequence => self.object(Class::Write, Reason::Sequence, at),
            Call::Unknown => {
                self.pending = Some(Columns {
                    at,
                    part: ColumnsPart::Open,
                })
            }
        }
    }

    fn unknown_call(&mut self, reason: Reason, at: usize) {
        self.object(Class::Write, reason, at);
        self.uses(SessionUse::UNKNOWN);
    }

    fn user_variable(&mut self, token: &Token<'_>) {
        if self.last.entry.role == Role::Into {
            self.object(Class::Session, Reason::IntoVariable, self.last.at);
            self.uses(SessionUse::USER_VARIABLES);
        } else {
            self.object(Class::SessionRead, Reason::UserVariable, token.at);
            self.uses(SessionUse::READS);
        }
    }

    fn system_variable(&mut self, token: &Token<'_>) {
        let is = |known: &&str| known.as_bytes().eq_ignore_ascii_case(token.text);
        if is(&"GLOBAL") || NODE_VARIABLES.iter().any(is) {
            self.object(Class::NodeRead, Reason::NodeVariable, token.at);
        } else {
            self.object(Class::SessionRead, Reason::SessionVariable, token.at);
            self.uses(SessionUse::READS);
        }
    }
}

/// No server takes a statement of more than a gigabyte.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

pub(super) fn is_end(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::End | Kind::Next)
}

/// Whether a string behind this word reads the same as without it. Any other word with an
/// underscore before it may name a character set.
fn is_plain_charset(word: &[u8]) -> bool {
    let plain: [&[u8]; 6] = [b"_utf8mb4", b"_utf8mb3", b"_utf8", b"_latin1", b"_ascii", b"_binary"];
    plain.iter().any(|known| known.eq_ignore_ascii_case(word))
}
