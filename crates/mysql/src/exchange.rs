//! One exchange with a server: a statement, and its rows. Whether it may run, and what its failure means, is `conn.rs`.

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, FromRowError, Params, Row};

use crate::error::Error;
use crate::faults::{Fault, fault_of};
use crate::prepared::Prepared;

/// How many rows are wanted.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    All,
    First,
    Nothing,
}

/// The rows that were wanted. One alone is not put into a list, which would be allocated for it.
pub(crate) enum Rows {
    All(Vec<Row>),
    First(Option<Row>),
}

impl Rows {
    pub(crate) fn all(self) -> Vec<Row> {
        match self {
            Self::All(rows) => rows,
            Self::First(row) => Vec::from_iter(row),
        }
    }

    pub(crate) fn first(self) -> Option<Row> {
        match self {
            Self::All(rows) => rows.into_iter().next(),
            Self::First(row) => row,
        }
    }
}

/// Runs one statement to its end: all results are read, so that the connection is ready for the next.
pub(crate) async fn exchange(
    conn: &mut Conn,
    prepared: &mut Prepared,
    sql: &str,
    params: Option<Params>,
    want: Want,
) -> Result<Rows, Fault> {
    let result = match params {
        Some(params) => {
            let statement = match prepared.find(sql) {
                Some(statement) => statement,
                None => prepared.prepare(conn, sql).await.map_err(fault_of)?,
            };
            match want {
                Want::All => conn.exec(statement, params).await.map(Rows::All),
                Want::First => conn.exec_first(statement, params).await.map(Rows::First),
                Want::Nothing => conn.exec_drop(statement, params).await.map(|()| Rows::First(None)),
            }
        }
        None => match want {
            Want::All => conn.query(sql).await.map(Rows::All),
            Want::First => conn.query_first(sql).await.map(Rows::First),
            Want::Nothing => conn.query_drop(sql).await.map(|()| Rows::First(None)),
        },
    };
    result.map_err(fault_of)
}

/// A row as what the caller asked for.
pub(crate) fn shaped<T: FromRow>(row: Row) -> Result<T, Error> {
    T::from_row_opt(row).map_err(|FromRowError(row)| {
        let columns: Vec<_> = row
            .columns_ref()
            .iter()
            .map(|column| column.name_str().into_owned())
            .collect();
        Error::Data {
            problem: format!(
                "the row has {} columns ({}), which do not fit `{}`",
                columns.len(),
                columns.join(", "),
                std::any::type_name::<T>()
            ),
        }
    })
}
