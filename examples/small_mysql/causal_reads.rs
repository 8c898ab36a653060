//! Reads that see what the same visitor wrote, on any replica and in any process, by a token.
//!
//! Run it against three MariaDB pods of its own, if MariaDB is installed, or against a Service such
//! as that of `examples/mysql_splitter/k8s/mysql.yaml`:
//!
//! ```sh
//! cargo run -p examples-mysql --example causal_reads
//! MYSQL_USER=app MYSQL_PASSWORD=... MYSQL_DATABASE=shop \
//!     cargo run -p examples-mysql --example causal_reads -- mysql-headless.default.svc:3306
//! ```
//!
//! It makes a table `example_orders`, and drops it at the end.

use std::error::Error;

use headless_mysql::{Error as SqlError, ReadOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (db, _pods) = examples_mysql::connect().await?;
    db.write(async |c| {
        c.query_drop("CREATE TABLE IF NOT EXISTS example_orders (id INT PRIMARY KEY)")
            .await
    })
    .await?;

    // One visitor in one process: the handle remembers what it wrote.
    let mut visitor = db.causal();
    visitor
        .write(async |c| c.query_drop("INSERT INTO example_orders VALUES (42)").await)
        .await?;
    let read = visitor.read(async |c| {
        let orders: Vec<u32> = c.query("SELECT id FROM example_orders").await?;
        Ok::<_, SqlError>((orders, c.explain()))
    });
    let (orders, decision) = read.await?;
    println!("the visitor sees {orders:?}; {decision}");

    // The next request of the visitor may reach another process: the token goes with it, as in a
    // cookie.
    let cookie = visitor.token().await?.to_string();
    println!("cookie: {cookie}");
    let options = ReadOptions::new().sees(cookie.parse()?);
    let read = db.read_with(&options, async |c| {
        let orders: Vec<u32> = c.query("SELECT id FROM example_orders").await?;
        Ok::<_, SqlError>((orders, c.explain()))
    });
    let (orders, decision) = read.await?;
    println!("with the cookie: {orders:?}; {decision}");

    db.write(async |c| c.query_drop("DROP TABLE example_orders").await)
        .await?;
    Ok(())
}
