//! The corpus: statements with the class that each must get. What is done with them is up to the
//! tests.
//!
//! One statement a line, after its class:
//!
//! ```text
//! class[@server] statement
//! ```
//!
//! * `class`: `read`, `node`, `session-read`, `session`, `transaction`, `write` or `multi`.
//! * `@mysql`, `@mariadb`: the classification holds with this server known, and a real server of
//!   this kind understands the statement. Without it, the classification holds with either server,
//!   and both understand it.
//! * `␤` in a statement stands for a line break. Lines that begin with `#`, and empty ones, are
//!   comments.
//!
//! All reads run with the tables of `schema.sql`; those with a `?` want to be prepared, and
//! `EXPLAIN FOR CONNECTION` wants a connection of that number.

use headless_mysql::statement::{Class, Classification, Dialect, Server, classify};

/// One line of the corpus.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) class: String,
    pub(crate) server: Option<Server>,
    pub(crate) sql: String,
}

impl Statement {
    /// What is known of the connection.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.server {
            Some(server) => Dialect::UTF8.with_server(server),
            None => Dialect::UTF8,
        }
    }

    pub(crate) fn classification(&self) -> Classification {
        classify(&self.sql, self.dialect())
    }
}

/// All of it.
pub(crate) fn corpus() -> Vec<Statement> {
    let files = [
        include_str!("reads.txt"),
        include_str!("bound.txt"),
        include_str!("writes.txt"),
    ];
    let lines = files.into_iter().flat_map(str::lines);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(statement)
        .collect()
}

/// How the corpus names a class.
pub(crate) fn name(class: Class) -> &'static str {
    match class {
        Class::Read => "read",
        Class::NodeRead => "node",
        Class::SessionRead => "session-read",
        Class::Session => "session",
        Class::Transaction(_) => "transaction",
        Class::Write => "write",
        Class::Multi => "multi",
    }
}

fn statement(line: &str) -> Statement {
    let (head, sql) = line
        .split_once(' ')
        .unwrap_or_else(|| panic!("no statement behind its class: {line}"));
    let (class, server) = match head.split_once('@') {
        None => (head, None),
        Some((class, "mysql")) => (class, Some(Server::MySql)),
        Some((class, "mariadb")) => (class, Some(Server::MariaDb)),
        Some((_, other)) => panic!("unknown server {other}: {line}"),
    };
    Statement {
        class: class.to_owned(),
        server,
        sql: sql.replace('␤', "\n"),
    }
}
