//! What the servers say of themselves: the questions, and how the answers are read. Everything is
//! found out by asking (F11): a version string decides nothing but which family of servers it is.
//!
//! The questions need no privilege; where one is denied, the answer is not known, and that is not
//! the same as "no".

use headless::Timestamp;
use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{Conn, Error, Row, Value};

use crate::gtid::{Flavor, Position};
use crate::roles::Sample;
use crate::statement::{Dialect, Server};
use crate::topology::ServerIdentity;

/// What is asked on each new connection: which server answers, and how statements are read there.
///
/// WHY `@@global.server_id`: a MariaDB session keeps the number that the server had when it began,
/// so that an old connection and a new one would name two servers.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub(crate) identity: ServerIdentity,
    version: String,
    sql_mode: String,
    charset: String,
    /// `Err`: why it takes no writes, as far as one variable says.
    pub(crate) writable: Result<(), String>,
}

impl Greeting {
    pub(crate) async fn ask(conn: &mut Conn) -> Result<Self, Error> {
        let row = conn
            .query_first("SELECT @@global.server_id, @@hostname, @@version, @@sql_mode, @@character_set_client, @@global.read_only")
            .await?;
        let mut row = Fields(row);
        Ok(Self {
            identity: ServerIdentity {
                server_id: row.number(0),
                hostname: row.text(1),
                uuid: None,
            },
            version: row.text(2),
            sql_mode: row.text(3),
            charset: row.text(4),
            writable: writable_by("read_only", &row.text(5)),
        })
    }

    /// How statements are read on this connection.
    pub(crate) fn dialect(&self) -> Dialect {
        Dialect::UTF8
            .with_server(Server::of_version(&self.version))
            .with_charset(&self.charset)
            .with_sql_mode(&self.sql_mode)
    }
}

/// How one server is asked for its role and position, found out once per connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Questions {
    pub(crate) flavor: Flavor,
    /// MySQL: the pod is a member of a replication group, which says which member is its primary.
    group: bool,
    /// Aurora: the storage says which server writes.
    innodb_read_only: bool,
}

impl Questions {
    /// Tries what the server understands.
    pub(crate) async fn probe(conn: &mut Conn) -> Result<Self, Error> {
        // MariaDB alone has this variable, whatever it calls its version.
        let mariadb = understood(conn.query_first::<Row, _>("SELECT @@gtid_slave_pos").await)?.is_some();
        if mariadb {
            return Ok(Self {
                flavor: Flavor::MariaDb,
                group: false,
                innodb_read_only: false,
            });
        }
        let member = understood(conn.query_first::<Row, _>(GROUP_ROLE).await)?.flatten();
        let aurora = understood(conn.query_first::<Row, _>("SELECT @@aurora_version").await)?.is_some();
        Ok(Self {
            flavor: Flavor::MySql,
            group: member.is_some(),
            innodb_read_only: aurora,
        })
    }

    /// Asks for role and position.
    pub(crate) async fn ask(self, conn: &mut Conn, now: impl Fn() -> Timestamp) -> Result<Sample, Error> {
        let at = now();
        let sql = match (self.flavor, self.innodb_read_only) {
            (Flavor::MariaDb, _) => MARIADB_ROLE,
            (Flavor::MySql, false) => MYSQL_ROLE,
            (Flavor::MySql, true) => AURORA_ROLE,
        };
        let row = Fields(conn.query_first(sql).await?);
        let group = match self.group {
            true => Some(Fields(conn.query_first(GROUP_ROLE).await?)),
            false => None,
        };
        let sample = self.read(row, group, at);
        let sample = sample.map_err(|problem| Error::Other(problem.into()))?;
        Ok(Sample {
            answered: now(),
            ..sample
        })
    }

    fn read(self, mut row: Fields, group: Option<Fields>, at: Timestamp) -> Result<Sample, String> {
        let mut writable = writable_by("read_only", &row.text(0));
        let (executed, replicated, uuid) = match self.flavor {
            Flavor::MariaDb => {
                let (replicated, written) = (position(&row.text(3))?, position(&row.text(4))?);
                let executed = replicated.union(&written).map_err(|error| error.to_string())?;
                (executed, replicated, None)
            }
            Flavor::MySql => {
                writable = writable.and(writable_by("super_read_only", &row.text(4)));
                let executed = position(&row.text(3))?;
                (executed.clone(), executed, Some(row.text(5)))
            }
        };
        if self.innodb_read_only {
            writable = writable.and(writable_by("innodb_read_only", &row.text(6)));
        }
        if let Some(mut group) = group {
            writable = writable.and(group_writable(&group.text(0), &group.text(1)));
        }
        Ok(Sample {
            at,
            answered: at,
            flavor: self.flavor,
            writable,
            executed,
            replicated,
            identity: ServerIdentity {
                server_id: row.number(1),
                hostname: row.text(2),
                uuid,
            },
        })
    }
}

/// What the account may do that lets it write to a read-only server (F2): from the lines of SHOW
/// GRANTS.
pub(crate) async fn privileges(conn: &mut Conn) -> Result<Option<String>, Error> {
    let grants: Vec<String> = conn.query("SHOW GRANTS").await?;
    Ok(grants.iter().find_map(|grant| privileged(grant)))
}

fn privileged(grant: &str) -> Option<String> {
    let upper = grant.to_ascii_uppercase();
    let (privileges, rest) = upper.strip_prefix("GRANT ")?.split_once(" ON ")?;
    if !rest.starts_with("*.*") {
        return None;
    }
    let found = privileges
        .split(',')
        .map(str::trim)
        .find(|privilege| PRIVILEGES.contains(privilege))?;
    Some(found.to_owned())
}

const PRIVILEGES: &[&str] = &[
    "ALL PRIVILEGES",
    "SUPER",
    // MariaDB.
    "READ_ONLY ADMIN",
    "READ ONLY ADMIN",
    // MySQL.
    "CONNECTION_ADMIN",
];

/// `Err`: the variable says that the server takes no writes. MariaDB 12 has more values than two;
/// all but OFF refuse.
fn writable_by(variable: &str, value: &str) -> Result<(), String> {
    match value.to_ascii_uppercase().as_str() {
        "0" | "OFF" => Ok(()),
        "1" | "ON" => Err(format!("{variable} is ON")),
        "" => Err(format!("{variable} is not known")),
        other => Err(format!("{variable} is {other}")),
    }
}

/// A member of a group writes if the group says so, and if the group still has it.
fn group_writable(role: &str, state: &str) -> Result<(), String> {
    match (role, state) {
        ("PRIMARY", "ONLINE") => Ok(()),
        ("", _) | (_, "") => Err("it is not in its replication group".to_owned()),
        _ => Err(format!("its replication group has it as {role}, {state}")),
    }
}

fn position(text: &str) -> Result<Position, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// `None`: the server does not know what was asked for, or does not let this account know.
fn understood<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Server(error)) if NOT_UNDERSTOOD.contains(&error.code) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Unknown variable, table or database; denied.
const NOT_UNDERSTOOD: &[u16] = &[1044, 1049, 1142, 1143, 1146, 1193, 1227];

const MARIADB_ROLE: &str =
    "SELECT @@global.read_only, @@global.server_id, @@hostname, @@gtid_slave_pos, @@gtid_binlog_pos";
const MYSQL_ROLE: &str = "SELECT @@global.read_only, @@global.server_id, @@hostname, @@global.gtid_executed, \
                          @@global.super_read_only, @@server_uuid";
const AURORA_ROLE: &str = "SELECT @@global.read_only, @@global.server_id, @@hostname, @@global.gtid_executed, \
                           @@global.super_read_only, @@server_uuid, @@innodb_read_only";
const GROUP_ROLE: &str = "SELECT MEMBER_ROLE, MEMBER_STATE FROM performance_schema.replication_group_members \
                          WHERE MEMBER_ID = @@server_uuid";

/// The fields of a row, or of none. NULL, text and numbers are all read as the type that is wanted.
struct Fields(Option<Row>);

impl Fields {
    fn text(&mut self, index: usize) -> String {
        let value: Option<Value> = self.0.as_mut().and_then(|row| row.take(index));
        match value {
            None | Some(Value::NULL) => String::new(),
            Some(Value::Int(number)) => number.to_string(),
            Some(Value::UInt(number)) => number.to_string(),
            Some(other) => String::from_value_opt(other).unwrap_or_default(),
        }
    }

    fn number(&mut self, index: usize) -> u64 {
        self.text(index).parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mysql_async::Column;
    use mysql_async::consts::ColumnType;

    use super::*;

    /// A row as the servers send it.
    fn row(values: &[&str]) -> Fields {
        let columns: Vec<Column> = values
            .iter()
            .map(|_| Column::new(ColumnType::MYSQL_TYPE_VAR_STRING))
            .collect();
        let values = values.iter().map(|value| Value::from(*value)).collect();
        Fields(Some(mysql_common::row::new_row(values, Arc::from(columns))))
    }

    fn questions(flavor: Flavor) -> Questions {
        Questions {
            flavor,
            group: false,
            innodb_read_only: false,
        }
    }

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn f1_every_value_of_read_only_but_off_refuses() {
        for (value, writable) in [
            ("0", true),
            ("OFF", true),
            ("off", true),
            ("1", false),
            ("ON", false),
            ("NO_LOCK", false),
            ("NO_LOCK_NO_ADMIN", false),
            ("", false),
        ] {
            let row = row(&[value, "100", "mysql-0", "0-100-5", "0-101-7"]);
            let sample = questions(Flavor::MariaDb).read(row, None, Timestamp::ZERO).unwrap();
            assert_eq!(sample.writable.is_ok(), writable, "{value:?}: {:?}", sample.writable);
        }
    }

    #[test]
    fn a_mariadb_has_what_it_replicated_and_what_it_wrote() {
        let row = row(&["1", "101", "mysql-1", "0-100-5,7-1-2", "0-101-7"]);
        let sample = questions(Flavor::MariaDb).read(row, None, Timestamp::ZERO).unwrap();
        assert_eq!(sample.executed.to_string(), "0-101-7,7-1-2");
        assert_eq!(sample.replicated.to_string(), "0-100-5,7-1-2");
        assert_eq!(sample.identity.to_string(), "server 101 on mysql-1");
    }

    #[test]
    fn a_mysql_writes_if_neither_read_only_is_on() {
        for (read_only, super_read_only, writable) in [("0", "0", true), ("1", "0", false), ("0", "1", false)] {
            let executed = format!("{UUID}:1-5,\n{UUID}:tag:1-3");
            let row = row(&[read_only, "1", "mysql-0", &executed, super_read_only, UUID]);
            let sample = questions(Flavor::MySql).read(row, None, Timestamp::ZERO).unwrap();
            assert_eq!(sample.writable.is_ok(), writable);
            assert_eq!(sample.identity.uuid.as_deref(), Some(UUID));
        }
    }

    #[test]
    fn a_member_of_a_group_writes_if_the_group_says_so() {
        let group = Questions {
            group: true,
            ..questions(Flavor::MySql)
        };
        for (role, state, writable) in [
            ("PRIMARY", "ONLINE", true),
            ("SECONDARY", "ONLINE", false),
            ("PRIMARY", "UNREACHABLE", false),
            ("", "OFFLINE", false),
        ] {
            let own = row(&["0", "1", "mysql-0", "", "0", UUID]);
            let sample = group.read(own, Some(row(&[role, state])), Timestamp::ZERO).unwrap();
            assert_eq!(sample.writable.is_ok(), writable, "{role} {state}");
        }
        let own = row(&["0", "1", "mysql-0", "", "0", UUID]);
        let expelled = group.read(own, Some(Fields(None)), Timestamp::ZERO).unwrap();
        assert_eq!(expelled.writable, Err("it is not in its replication group".to_owned()));
    }

    #[test]
    fn an_aurora_reader_is_read_only_by_its_storage() {
        let aurora = Questions {
            innodb_read_only: true,
            ..questions(Flavor::MySql)
        };
        let own = row(&["0", "1", "ip-10-0-0-1", "", "0", UUID, "1"]);
        let sample = aurora.read(own, None, Timestamp::ZERO).unwrap();
        assert_eq!(sample.writable, Err("innodb_read_only is ON".to_owned()));
    }

    #[test]
    fn f2_privileges_that_write_through_read_only_are_found() {
        for (grant, found) in [
            (
                "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
                Some("ALL PRIVILEGES"),
            ),
            ("GRANT SELECT, SUPER ON *.* TO `dba`@`%`", Some("SUPER")),
            (
                "GRANT READ_ONLY ADMIN, SELECT ON *.* TO `dba`@`%`",
                Some("READ_ONLY ADMIN"),
            ),
            ("GRANT CONNECTION_ADMIN ON *.* TO `dba`@`%`", Some("CONNECTION_ADMIN")),
            ("GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*0'", None),
            ("GRANT ALL PRIVILEGES ON `shop`.* TO `app`@`%`", None),
            ("GRANT `role` TO `app`@`%`", None),
        ] {
            assert_eq!(privileged(grant).as_deref(), found, "{grant}");
        }
    }
}
