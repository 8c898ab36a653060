//! What all rules need: pods, a splitter on them, and waiting for what a server shows. Must not
//! live here: any rule.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use headless::{Discovery, PoolConfig};
use headless_mysql::{Conn, Error, Overview, Splitter, SplitterBuilder, StartError};
use headless_testkit::Cluster;
use headless_testkit::mariadb::{self, MariaDb, Pod};
use headless_tests::support::mariadb::{overview_when, start};
use headless_tests::support::resolution::{builder, built};

pub use headless_tests::support::mariadb::account;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

/// The longest that anything is waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// Three pods for all scenarios that leave them as they are. Each of these has its own splitter and
/// its own tables.
///
/// `None` as for [`start`].
pub async fn shared() -> Option<&'static MariaDb> {
    // Not a test's own runtime: it ends with the test, and the cluster's name server with it.
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    static PODS: OnceLock<Option<MariaDb>> = OnceLock::new();
    let start = || RUNTIME.block_on(start(MariaDb::builder()));
    let pods = tokio::task::spawn_blocking(move || PODS.get_or_init(|| std::thread::spawn(start).join().unwrap()));
    pods.await.unwrap().as_ref()
}

/// Pods of one scenario alone.
pub async fn own(pods: u32) -> Option<MariaDb> {
    start(MariaDb::builder().pods(pods)).await
}

/// Settings with which a replica is not left because the machine is busy.
pub fn settings() -> SplitterBuilder {
    Splitter::builder(account()).max_lag(Duration::from_secs(60))
}

/// One connection for each pod, on which nothing is sent that was not asked for.
pub fn single() -> SplitterBuilder {
    let mut pool = PoolConfig::default();
    pool.max_connections_per_endpoint = 1;
    pool.validate_after_idle = None;
    pool.keep_alive = None;
    settings().pool(pool)
}

pub async fn connect(pods: &MariaDb, settings: SplitterBuilder) -> Splitter {
    let splitter = try_connect(pods.cluster(), &pods.service(), settings).await;
    splitter.unwrap_or_else(|error| panic!("{error}"))
}

pub async fn try_connect(cluster: &Cluster, service: &str, settings: SplitterBuilder) -> Result<Splitter, StartError> {
    let resolver = built(builder(cluster.dns_addr(), service));
    settings.start(Discovery::builder(resolver).start().await?).await
}

pub fn pod(pods: &MariaDb, ordinal: u32) -> Pod {
    pods.pod(ordinal).unwrap()
}

/// Runs statements as root, and returns the first value.
pub async fn root(pod: &Pod, sql: &str) -> String {
    let rows = pod.sql(sql).await.unwrap_or_else(|error| panic!("{error}"));
    rows.into_iter().flatten().next().unwrap_or_default()
}

/// Makes a table of a number and a number, and waits until all pods have it.
pub async fn table(pods: &MariaDb, db: &Splitter, name: &str) {
    let sql = format!("CREATE TABLE {name} (id INT PRIMARY KEY, n INT NOT NULL DEFAULT 0)");
    run(db, &sql).await.unwrap();
    pods.replicated().await.unwrap();
}

/// Writes with one statement.
pub async fn run(db: &Splitter, sql: &str) -> Result<(), Error> {
    db.write(async |c| c.query_drop(sql).await).await
}

/// What one number is on the primary.
pub async fn number(c: &mut Conn, sql: &str) -> Option<u64> {
    c.query_first::<Option<u64>>(sql).await.unwrap().unwrap()
}

/// Waits until this happens; checks every few milliseconds.
pub async fn until(what: &str, mut happens: impl AsyncFnMut() -> bool) {
    let checks = async {
        let mut tick = interval(Duration::from_millis(5));
        while !happens().await {
            tick.tick().await;
        }
    };
    assert!(
        timeout(LIMIT, checks).await.is_ok(),
        "did not happen within {LIMIT:?}: {what}"
    );
}

/// Waits for an overview of the pods that is like this.
pub async fn seen(db: &Splitter, what: &str, like: impl Fn(&Overview) -> bool) -> std::sync::Arc<Overview> {
    match timeout(LIMIT, overview_when(db, like)).await {
        Ok(overview) => overview,
        Err(_) => panic!("did not happen within {LIMIT:?}: {what}; {:?}", db.overview()),
    }
}

/// Waits until one of the application's statements with this text is under way somewhere, and
/// returns where, and the number of its connection.
pub async fn under_way(pods: &MariaDb, text: &str) -> (Pod, u64) {
    let sql = format!(
        "SELECT id FROM information_schema.processlist WHERE user = '{}' AND info LIKE '%{text}%'",
        mariadb::USER
    );
    let mut found = None;
    until(&format!("`{text}` under way"), async || {
        for pod in pods.pods() {
            let id = root(&pod, &sql).await.parse().ok();
            found = found.take().or(id.map(|id| (pod, id)));
        }
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Waits until the pod has no such connection any more.
pub async fn closed(pod: &Pod, id: u64) {
    let sql = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
    until(&format!("connection {id} of {} closed", pod.name()), async || {
        root(pod, &sql).await == "0"
    })
    .await;
}

/// Drops the future that the task is at, wherever it is.
pub async fn cancel<T>(task: JoinHandle<T>) {
    task.abort();
    assert!(
        task.await.is_err_and(|error| error.is_cancelled()),
        "it was still running"
    );
}
