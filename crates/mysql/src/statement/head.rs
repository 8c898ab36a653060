//! Which kind of statement it is, by how it begins. What stands further inside is classified by
//! `body.rs`, token by token, while the functions here walk over it.

use super::body::{Analysis, Calls, is_end};
use super::classification::{Class, Control, Reason, SessionUse};
use super::scan::{Doubt, Kind, Token};
use super::words::{self, Entry, Role, UNLISTED};

type Step = Result<(), Doubt>;

impl Analysis<'_> {
    /// Classifies the whole text.
    pub(super) fn statement(&mut self) -> Step {
        let mut first = self.next()?;
        let mut in_parentheses = false;
        while first.kind == Kind::Open {
            in_parentheses = true;
            first = self.next()?;
        }
        let entry = entry(&first);
        match entry.role {
            Role::Query | Role::Values => {}
            _ if in_parentheses => self.unknown(&first),
            Role::Explain => self.explain(&first)?,
            Role::Analyze => self.analyze(&first)?,
            Role::Show => self.show(&first)?,
            Role::Set => return self.set(&first),
            Role::Use => {
                self.become_class(Class::Session, Reason::Use, first.at);
                self.uses(SessionUse::SCHEMA);
            }
            Role::Begin | Role::Start | Role::Commit | Role::Rollback | Role::Savepoint | Role::Release => {
                return self.transaction(entry, &first);
            }
            Role::Verb | Role::Change | Role::ChangeOrFunction | Role::Lock => return self.verb(entry, &first),
            _ if is_end(&first) => self.object(Class::Write, Reason::Empty, first.at),
            _ => self.unknown(&first),
        }
        self.rest()
    }

    fn unknown(&mut self, first: &Token<'_>) {
        self.object(Class::Write, Reason::UnknownStatement, first.at);
        self.uses(SessionUse::UNKNOWN);
    }

    /// `EXPLAIN`, `DESCRIBE`: a query's plan, a table's columns. What changes data is found by the
    /// body.
    fn explain(&mut self, first: &Token<'_>) -> Step {
        let mut runs = false;
        loop {
            let token = self.next()?;
            match entry(&token).role {
                Role::Query | Role::Values => return Ok(()),
                Role::Analyze => runs = true,
                Role::For => {
                    self.object(Class::NodeRead, Reason::NodeStatus, token.at);
                    return Ok(());
                }
                Role::None | Role::NodeSchema if !is_end(&token) => {}
                Role::None if !runs => return Ok(()),
                _ => return self.refuse(first),
            }
        }
    }

    /// MariaDB's `ANALYZE` runs the statement behind it. That of a table writes.
    fn analyze(&mut self, first: &Token<'_>) -> Step {
        let mut token = self.next()?;
        if is_word(&token, "FORMAT") {
            // `= JSON`
            self.next()?;
            self.next()?;
            token = self.next()?;
        }
        while token.kind == Kind::Open {
            token = self.next()?;
        }
        match entry(&token).role {
            Role::Query if !is_word(&token, "TABLE") => Ok(()),
            _ => self.refuse(first),
        }
    }

    fn refuse(&mut self, first: &Token<'_>) -> Step {
        self.object(Class::Write, Reason::Statement(entry(first).name), first.at);
        Ok(())
    }

    /// What is in the schema, replicas know; what a server does, only itself; what a session did,
    /// only its connection.
    fn show(&mut self, first: &Token<'_>) -> Step {
        let mut token = self.next()?;
        while is_word(&token, "FULL") || is_word(&token, "EXTENDED") {
            token = self.next()?;
        }
        let is = |name: &&str| is_word(&token, name);
        if SHOW_NODE.iter().any(is) {
            self.object(Class::NodeRead, Reason::NodeStatus, first.at);
        } else if SHOW_SESSION.iter().any(is) {
            self.object(Class::SessionRead, Reason::SessionStatus, first.at);
            self.uses(SessionUse::READS);
        } else if !SHOW_SCHEMA.iter().any(is) {
            self.unknown(first);
        }
        Ok(())
    }

    fn transaction(&mut self, entry: &Entry, first: &Token<'_>) -> Step {
        let second = self.next()?;
        let mut read_only = false;
        let mut read_write = false;
        let mut back_to_savepoint = false;
        let mut token = second;
        while !is_end(&token) {
            read_only |= is_word(&token, "ONLY");
            read_write |= is_word(&token, "WRITE");
            back_to_savepoint |= is_word(&token, "TO");
            token = self.next()?;
        }
        let control = match entry.role {
            // WHY: `BEGIN` with anything but `WORK` behind it begins a block of code, and `START`
            // something else.
            Role::Begin if is_end(&second) || is_word(&second, "WORK") => Control::Start,
            Role::Start if is_word(&second, "TRANSACTION") && read_only && !read_write => Control::StartReadOnly,
            Role::Start if is_word(&second, "TRANSACTION") => Control::Start,
            Role::Commit => Control::Commit,
            Role::Rollback if back_to_savepoint => Control::Savepoint,
            Role::Rollback => Control::Rollback,
            Role::Savepoint | Role::Release => Control::Savepoint,
            _ => {
                self.object(Class::Write, Reason::Statement(entry.name), first.at);
                self.uses(SessionUse::UNKNOWN);
                return Ok(());
            }
        };
        self.uses(SessionUse::TRANSACTION);
        self.object(Class::Transaction(control), Reason::Transaction, first.at);
        Ok(())
    }

    fn set(&mut self, first: &Token<'_>) -> Step {
        self.become_class(Class::Session, Reason::Set, first.at);
        let mut depth = 0_usize;
        let mut at_target = true;
        let mut is_first = true;
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::End | Kind::Next => break,
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                Kind::UserVariable if at_target => self.uses(SessionUse::USER_VARIABLES),
                Kind::Word | Kind::SystemVariable | Kind::Name => {
                    if at_target {
                        self.uses(SessionUse::SETTINGS);
                    }
                    self.set_word(&token, is_first);
                }
                Kind::Text if token.text.eq_ignore_ascii_case(b"SERIALIZABLE") => {
                    self.object(Class::Write, Reason::Serializable, token.at);
                }
                _ => {}
            }
            at_target = depth == 0 && token.kind == Kind::Comma;
            is_first = false;
        }
        Ok(())
    }

    fn set_word(&mut self, token: &Token<'_>, is_first: bool) {
        let is = |name: &&str| name.as_bytes().eq_ignore_ascii_case(token.text);
        if is(&"AUTOCOMMIT") {
            self.object(Class::Transaction(Control::Autocommit), Reason::Transaction, token.at);
            self.uses(SessionUse::TRANSACTION);
        } else if is(&"SERIALIZABLE") {
            self.object(Class::Write, Reason::Serializable, token.at);
        } else if ["GLOBAL", "PERSIST", "PERSIST_ONLY"].iter().any(is)
            || (is_first && ["PASSWORD", "DEFAULT"].iter().any(is))
        {
            self.object(Class::Write, Reason::SetGlobal, token.at);
        } else if is_first && is(&"STATEMENT") {
            self.object(Class::Write, Reason::SetStatement, token.at);
            self.uses(SessionUse::UNKNOWN);
        } else if SET_DIALECT.iter().any(is) {
            self.uses(SessionUse::DIALECT);
        }
    }

    /// A statement that is no query. What it does with the session still matters: another caller
    /// gets its connection later.
    fn verb(&mut self, entry: &Entry, first: &Token<'_>) -> Step {
        self.become_class(Class::Write, Reason::Statement(entry.name), first.at);
        match entry.name {
            "UPDATE" | "DELETE" | "DO" => {}
            "INSERT" | "REPLACE" => self.count_calls(Calls::AfterTheTable),
            "LOAD" => {
                self.count_calls(Calls::AfterTheTable);
                self.rest()?;
                // The variables that a line is read into keep their last values.
                if self.used(SessionUse::READS) {
                    self.uses(SessionUse::USER_VARIABLES);
                }
                return Ok(());
            }
            "CALL" | "EXECUTE" => self.uses(SessionUse::UNKNOWN),
            "PREPARE" | "DEALLOCATE" => self.uses(SessionUse::PREPARED),
            "LOCK" | "UNLOCK" | "HANDLER" | "BACKUP" => self.uses(SessionUse::LOCKS),
            "XA" => self.uses(SessionUse::TRANSACTION),
            _ => {
                self.count_calls(Calls::AfterSelect);
                return self.definition(entry);
            }
        }
        self.rest()
    }

    /// DDL and administration.
    fn definition(&mut self, entry: &Entry) -> Step {
        loop {
            let token = self.next()?;
            if is_end(&token) {
                return Ok(());
            }
            if is_word(&token, "TEMPORARY") {
                self.uses(SessionUse::TEMPORARY_TABLES);
            }
            let locks = is_word(&token, "LOCK") || is_word(&token, "EXPORT");
            if locks && entry.name == "FLUSH" {
                self.uses(SessionUse::LOCKS);
            }
            if entry.name == "DROP" && is_word(&token, "PREPARE") {
                self.uses(SessionUse::PREPARED);
            }
        }
    }
}

fn entry(token: &Token<'_>) -> &'static Entry {
    match token.kind {
        Kind::Word => words::find(token.text),
        _ => &UNLISTED,
    }
}

fn is_word(token: &Token<'_>, name: &str) -> bool {
    token.kind == Kind::Word && token.text.eq_ignore_ascii_case(name.as_bytes())
}

/// Behind `SHOW`: of the schema, which replicas have alike.
const SHOW_SCHEMA: &[&str] = &[
    "CHARACTER",
    "CHARSET",
    "COLLATION",
    "COLUMNS",
    "CREATE",
    "DATABASES",
    "EVENTS",
    "FIELDS",
    "FUNCTION",
    "INDEX",
    "INDEXES",
    "KEYS",
    "PROCEDURE",
    "SCHEMAS",
    "TABLES",
    "TRIGGERS",
];

/// Behind `SHOW`: of the server. `SHOW TABLE STATUS` counts rows by its own estimate.
const SHOW_NODE: &[&str] = &[
    "ALL",
    "BINARY",
    "BINLOG",
    "ENGINE",
    "ENGINES",
    "GLOBAL",
    "GRANTS",
    "MASTER",
    "OPEN",
    "PLUGINS",
    "PRIVILEGES",
    "PROCESSLIST",
    "RELAYLOG",
    "REPLICA",
    "REPLICAS",
    "SLAVE",
    "STATUS",
    "STORAGE",
    "TABLE",
    "VARIABLES",
];

/// Behind `SHOW`: of the session. `COUNT(*)` is that of warnings or errors.
const SHOW_SESSION: &[&str] = &["COUNT", "ERRORS", "LOCAL", "PROFILE", "PROFILES", "SESSION", "WARNINGS"];

/// What `SET` changes so that the next text is read in another way.
const SET_DIALECT: &[&str] = &["CHARACTER", "CHARACTER_SET_CLIENT", "CHARSET", "NAMES", "SQL_MODE"];
