//! [`Dialect`]: what is known of the connection that decides how the server reads a text. What is
//! not known here is doubted in `scan.rs`; no rule about statements lives here.

/// How a connection reads statements: which server, which character set, which `sql_mode`.
///
/// Knowing more makes more statements recognisable as reads. Knowing nothing of the server or of
/// `sql_mode` costs little; the character set must be known, because in some (`gbk`, `sjis`,
/// `big5`, ...) the second byte of a letter can be a backslash.
///
/// ```
/// use headless_mysql::statement::{Dialect, Server};
///
/// let dialect = Dialect::UTF8
///     .with_server(Server::of_version("11.4.2-MariaDB-log"))
///     .with_sql_mode("STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION");
/// assert_eq!(dialect.server(), Some(Server::MariaDb));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    server: Option<Server>,
    pub(super) charset: Charset,
    pub(super) quoting: Quoting,
}

/// Which of the two families of servers: a function that is built in here may be a stored function
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Server {
    /// MySQL 8.0 or later, and what is built from it.
    MySql,
    /// MariaDB 10.6 or later.
    MariaDb,
}

/// Which bytes of a text mean what an ASCII byte means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Charset {
    /// UTF-8: bytes from 0x80 are parts of letters, all others are ASCII.
    Utf8,
    /// Texts of ASCII only mean what they say; with a byte from 0x80 on, a second byte may be
    /// anything.
    AsciiOnly,
    Unknown,
}

/// What `sql_mode` says about quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Quoting {
    Unknown,
    Known {
        ansi_quotes: bool,
        backslash_escapes: bool,
    },
    /// A mode in which the server speaks another language than this classifier reads.
    Foreign,
}

impl Server {
    /// Returns the family, by the version that a server states in its handshake or as `@@version`.
    #[must_use]
    pub fn of_version(version: &str) -> Self {
        if version.contains("MariaDB") {
            Self::MariaDb
        } else {
            Self::MySql
        }
    }
}

impl Dialect {
    /// Any server, any usual `sql_mode`, and a connection that speaks UTF-8 (`utf8mb4`, which
    /// drivers ask for).
    ///
    /// Functions that only one family of servers has built in are taken for stored functions, and a
    /// string with a backslash before a quote is not read.
    pub const UTF8: Self = Self {
        server: None,
        charset: Charset::Utf8,
        quoting: Quoting::Unknown,
    };

    /// Nothing is known: every statement goes to the primary.
    pub const UNKNOWN: Self = Self {
        server: None,
        charset: Charset::Unknown,
        quoting: Quoting::Unknown,
    };

    /// Returns the same dialect, on a server of this family.
    #[must_use]
    pub const fn with_server(mut self, server: Server) -> Self {
        self.server = Some(server);
        self
    }

    /// Returns the same dialect, with `character_set_client` of this name.
    ///
    /// With a character set other than UTF-8, only texts of plain ASCII are read. A name that is
    /// not known to extend ASCII (`swe7`, `utf16`) makes everything go to the primary.
    #[must_use]
    pub fn with_charset(mut self, name: &str) -> Self {
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        self.charset = if UTF8_NAMES.iter().any(is) {
            Charset::Utf8
        } else if ASCII_NAMES.iter().any(is) {
            Charset::AsciiOnly
        } else {
            Charset::Unknown
        };
        self
    }

    /// Returns the same dialect, with the value of `@@sql_mode`.
    ///
    /// `ORACLE` and the other modes that imitate another product make everything go to the primary.
    #[must_use]
    pub fn with_sql_mode(mut self, modes: &str) -> Self {
        let has = |names: &[&str]| {
            let mut modes = modes.split(',').map(str::trim);
            modes.any(|mode| names.iter().any(|name| name.eq_ignore_ascii_case(mode)))
        };
        self.quoting = if has(&["ORACLE", "MSSQL", "DB2", "POSTGRESQL", "MAXDB", "MYSQL323", "MYSQL40"]) {
            Quoting::Foreign
        } else {
            Quoting::Known {
                ansi_quotes: has(&["ANSI_QUOTES", "ANSI"]),
                backslash_escapes: !has(&["NO_BACKSLASH_ESCAPES"]),
            }
        };
        self
    }

    /// Returns the family of servers, if it is known.
    #[must_use]
    pub const fn server(&self) -> Option<Server> {
        self.server
    }
}

const UTF8_NAMES: &[&str] = &["utf8mb4", "utf8mb3", "utf8"];

const ASCII_NAMES: &[&str] = &[
    "armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "cp932",
    "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "koi8r", "koi8u", "latin1", "latin2",
    "latin5", "latin7", "macce", "macroman", "sjis", "tis620", "ujis",
];
