//! Writes go to the verified primary, reads to replicas that are fresh enough.
//!
//! Run it against three MariaDB pods of its own, if MariaDB is installed, or against a Service such
//! as that of `examples/mysql_splitter/k8s/mysql.yaml`:
//!
//! ```sh
//! cargo run -p examples-mysql --example mysql_read_write
//! MYSQL_USER=app MYSQL_PASSWORD=... MYSQL_DATABASE=shop \
//!     cargo run -p examples-mysql --example mysql_read_write -- mysql-headless.default.svc:3306
//! ```
//!
//! It makes a table `example_stock`, and drops it at the end.

use std::error::Error;

use headless_mysql::{Conn, Error as SqlError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (db, _pods) = examples_mysql::connect().await?;

    // On the primary. What may have been written is never sent twice.
    let write = db.write(async |c: &mut Conn| {
        c.query_drop("CREATE TABLE IF NOT EXISTS example_stock (id INT PRIMARY KEY, n INT)")
            .await?;
        c.exec_drop("REPLACE INTO example_stock VALUES (?, ?)", (7, 20)).await?;
        Ok::<_, SqlError>(c.explain())
    });
    println!("write: {}", write.await?);

    // On any replica that is not far behind: not necessarily with what has just been written; see
    // `causal_reads`.
    for _ in 0..4 {
        let read = db.read(async |c: &mut Conn| {
            let answer: Option<u32> = c.query_first("SELECT 6 * 7").await?;
            Ok::<_, SqlError>((answer, c.explain()))
        });
        let (answer, decision) = read.await?;
        println!("read: {}; {decision}", answer.unwrap_or_default());
    }

    // What is not provably a read is refused before it is sent.
    let refused = db.read(async |c: &mut Conn| c.query_drop("DELETE FROM example_stock").await);
    if let Err(error) = refused.await {
        println!("refused: {error}");
    }
    db.write(async |c: &mut Conn| c.query_drop("DROP TABLE example_stock").await)
        .await?;
    Ok(())
}
