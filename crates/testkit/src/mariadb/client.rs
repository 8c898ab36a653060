//! SQL through MariaDB's own client program, so that the testkit needs no driver: the driver may be
//! what is tested.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use super::{DATABASE, PASSWORD, USER, error::Error};

/// The account, and how it connects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Login {
    /// Root, through the socket in the data directory.
    Root,
    /// The application, over TCP.
    App(SocketAddr),
}

/// The client program and its server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'a> {
    pub(super) program: &'a Path,
    pub(super) pod: &'a str,
    pub(super) data: &'a Path,
}

/// The server's socket, from its data directory. WHY not the whole path: the system allows 107
/// bytes for it.
pub(super) const SOCKET: &str = "mysqld.sock";

/// Longer than any wait that a statement asks for.
const WAIT_LIMIT: Duration = Duration::from_secs(15);

impl Client<'_> {
    /// Runs statements; returns the rows of all of them.
    pub(super) async fn rows(&self, login: Login, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        let text = self.run(login, sql, "--skip-column-names", WAIT_LIMIT).await?;
        Ok(text.lines().map(row).collect())
    }

    /// Runs one statement; returns its first row with the names of the columns.
    pub(super) async fn named(&self, sql: &str, limit: Duration) -> Result<Vec<(String, String)>, Error> {
        let text = self.run(Login::Root, sql, "--column-names", limit).await?;
        let mut lines = text.lines().map(row);
        let (names, values) = (lines.next(), lines.next());
        Ok(names.into_iter().flatten().zip(values.into_iter().flatten()).collect())
    }

    async fn run(&self, login: Login, sql: &str, columns: &str, limit: Duration) -> Result<String, Error> {
        let mut command = Command::new(self.program);
        command.args(["--no-defaults", "--batch", "--default-character-set=utf8mb4", columns]);
        match login {
            Login::Root => command
                .args(["--protocol=socket", "--user=root"])
                .arg(format!("--socket={SOCKET}")),
            Login::App(addr) => command
                .args([format!("--host={}", addr.ip()), format!("--port={}", addr.port())])
                .args([
                    "--protocol=tcp".to_owned(),
                    format!("--user={USER}"),
                    format!("--password={PASSWORD}"),
                ])
                .arg(format!("--database={DATABASE}")),
        };
        command
            .arg(format!("--execute={sql}"))
            .current_dir(self.data)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let output = match tokio::time::timeout(limit, command.output()).await {
            Ok(output) => output.map_err(Error::io(format!("start {}", self.program.display())))?,
            Err(_) => {
                let what = format!("{} to answer {sql:?}", self.pod);
                return Err(crate::Error::NotSeen { what, waited: limit }.into());
            }
        };
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(self.refusal(sql, &output)),
        }
    }

    /// The program says `ERROR 1290 (HY000) at line 1: text`.
    fn refusal(&self, sql: &str, output: &Output) -> Error {
        let said = String::from_utf8_lossy(&output.stderr);
        let refused = said.lines().find_map(|line| {
            let (code, _) = line.strip_prefix("ERROR ")?.split_once(' ')?;
            let (_, message) = line.split_once(": ")?;
            Some((code.parse().ok()?, message.to_owned()))
        });
        match refused {
            Some((code, message)) => Error::Sql {
                pod: self.pod.to_owned(),
                sql: sql.to_owned(),
                code,
                message,
            },
            None => Error::Ended {
                what: "the program mariadb".to_owned(),
                status: output.status.to_string(),
                log: said.trim().to_owned(),
            },
        }
    }
}

/// The values of a line; the program separates them by tabs and writes `\t`, `\n`, `\0` and `\\`
/// for what is in them.
fn row(line: &str) -> Vec<String> {
    line.split('\t').map(unescaped).collect()
}

fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next() } else { None };
        text.push(match next {
            None => c,
            Some('t') => '\t',
            Some('n') => '\n',
            Some('0') => '\0',
            Some(other) => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were() {
        assert_eq!(row(r"1	a\tb	c\\nd	e\nf	NULL"), ["1", "a\tb", r"c\nd", "e\nf", "NULL"]);
        assert_eq!(row("7"), ["7"]);
    }
}
