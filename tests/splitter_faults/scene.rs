//! A script's surroundings: three pods, a splitter, load, the ledger; the events that a script
//! waits for, and the reckoning at its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headless::{Discovery, RefreshConfig, Role};
use headless_dns::Naming;
use headless_mysql::{Overview, PodStatus, Splitter, SplitterBuilder, Writer};
use headless_testkit::Cluster;
use headless_testkit::mariadb::{MariaDb, MariaDbBuilder, Pod};
use headless_tests::support::mariadb::{account, overview_when, start};
use headless_tests::support::resolution::{builder, built};
use tokio::time::timeout;

use crate::ledger::{Findings, Ledger, Outcome, Row, Tally};
use crate::load::{EACH, Ids, Load};

/// The longest that anything is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// The name of each pod, by ordinal.
pub const NAMES: [&str; 3] = ["mysql-0", "mysql-1", "mysql-2"];

pub struct Scene {
    script: &'static str,
    pub pods: MariaDb,
    pub db: Splitter,
    pub ledger: Arc<Ledger>,
    ids: Arc<Ids>,
    load: Option<Load>,
}

impl Scene {
    /// Three pods that all serve, under load.
    pub async fn under_load(script: &'static str) -> Option<Self> {
        let mut scene = Self::new(script, MariaDb::builder(), |settings| settings).await?;
        scene.load().await;
        Some(scene)
    }

    /// Three pods without load; the splitter has no connection but those by which it probes the
    /// pods.
    pub async fn new(
        script: &'static str,
        pods: MariaDbBuilder,
        settings: impl FnOnce(SplitterBuilder) -> SplitterBuilder,
    ) -> Option<Self> {
        let pods = start(pods.cluster(Cluster::builder().ttl(1))).await?;
        // No unique key on `id`: what is written twice must be there twice.
        let table =
            "CREATE TABLE ledger (seq BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT NOT NULL, pod TEXT, KEY (id))";
        pods.pod(0).unwrap().app_sql(table).await.unwrap();
        pods.replicated().await.unwrap();
        for pod in pods.pods() {
            sign(&pod).await;
        }
        // WHY not `Auto`: where SRV fails and then addresses are answered, names are remembered by
        // address for half a minute, and an address that has passed to another pod meanwhile goes
        // by its old name. Here the silence of DNS is to be a silence.
        let resolver = builder(pods.cluster().dns_addr(), &pods.service()).naming(Naming::ServiceSrv);
        let resolver = built(resolver);
        let discovery = Discovery::builder(resolver).refresh(quick()).start().await.unwrap();
        let db = settings(Splitter::builder(account())).start(discovery).await.unwrap();
        let scene = Self {
            script,
            pods,
            db,
            ledger: Arc::default(),
            ids: Arc::default(),
            load: None,
        };
        scene
            .roles([Some(Role::Primary), Some(Role::Replica), Some(Role::Replica)])
            .await;
        Some(scene)
    }

    /// Begins the load; returns when it is on every pod.
    pub async fn load(&mut self) {
        self.begin();
        self.more(Outcome::Acknowledged, 20).await;
        self.read_from(NAMES[1]).await;
        self.read_from(NAMES[2]).await;
        self.all_go_on().await;
    }

    /// Begins the load, whatever becomes of it.
    pub fn begin(&mut self) {
        self.load = Some(Load::start(&self.db, &self.ledger, &self.ids));
    }

    /// Ends the load, and waits until every replica has what was written.
    pub async fn calm(&mut self) {
        if let Some(load) = self.load.take() {
            let ended = timeout(LIMIT, load.stop()).await;
            assert!(ended.is_ok(), "a worker hangs: {:?}", self.ledger.tally());
        }
        self.pods.replicated().await.unwrap();
    }

    pub fn pod(&self, ordinal: u32) -> Pod {
        self.pods.pod(ordinal).unwrap()
    }

    /// Waits until the splitter's overview is like this, and returns it.
    pub async fn overview_when(&self, what: &str, wanted: impl Fn(&Overview) -> bool) -> Arc<Overview> {
        match timeout(LIMIT, overview_when(&self.db, wanted)).await {
            Ok(overview) => overview,
            Err(_) => panic!("not seen: {what}; but {}", told(&self.db.overview())),
        }
    }

    /// Waits until the pods, by ordinal, have these roles.
    pub async fn roles(&self, roles: [Option<Role>; 3]) {
        let has_role = |overview: &Overview, ordinal: usize| {
            status(overview, ordinal).is_some_and(|pod| pod.role == roles[ordinal])
        };
        self.overview_when(&format!("roles {roles:?}"), |overview| {
            (0..3).all(|ordinal| has_role(overview, ordinal))
        })
        .await;
    }

    /// Waits until this pod takes the writes.
    pub async fn primary(&self, ordinal: usize) {
        let writer = Writer::Pod(NAMES[ordinal].to_owned());
        self.overview_when(&format!("{writer:?}"), |overview| overview.writer == writer)
            .await;
    }

    /// Waits until no pod takes the writes.
    pub async fn no_primary(&self) {
        self.overview_when("no writer", |overview| overview.primary().is_none())
            .await;
    }

    /// Waits until so many more writes have come out so.
    pub async fn more(&self, outcome: Outcome, writes: u64) {
        let wanted = self.ledger.tally().count(outcome) + writes;
        self.until(
            |tally| tally.count(outcome) >= wanted,
            &format!("{wanted} × {outcome:?}"),
        )
        .await;
    }

    /// Waits until this pod has answered more reads.
    pub async fn read_from(&self, pod: &str) {
        let wanted = self.ledger.tally().read_from(pod) + 10;
        self.until(
            |tally| tally.read_from(pod) >= wanted,
            &format!("{wanted} reads from {pod}"),
        )
        .await;
    }

    /// Waits until every reader without a token has been answered more often: none hangs.
    pub async fn plain_reads_go_on(&self) {
        let before = self.ledger.tally().plain;
        let goes_on = |tally: &Tally| (0..EACH).all(|reader| gained(&tally.plain, &before, reader));
        self.until(goes_on, "answers to every plain reader").await;
    }

    /// Waits until every reader has been answered more often.
    pub async fn all_go_on(&self) {
        self.plain_reads_go_on().await;
        let before = self.ledger.tally().causal;
        let goes_on = |tally: &Tally| (0..EACH).all(|reader| gained(&tally.causal, &before, reader));
        self.until(goes_on, "answers to every causal reader").await;
    }

    pub async fn until(&self, so_much: impl FnMut(&Tally) -> bool, what: &str) {
        if timeout(LIMIT, self.ledger.until(so_much)).await.is_err() {
            panic!(
                "did not happen: {what}; but {:?}; {}; {:?}",
                self.ledger.tally(),
                told(&self.db.overview()),
                self.db.balancer().stats()
            );
        }
    }

    /// Ends the load, and compares the ledger with what is there: no acknowledged write lost or
    /// there twice, nothing there that should not be, all of it carried out by `writers`, every pod
    /// with the same history, no read with a token that missed its write, and no answer of another
    /// server than the pod that was named.
    pub async fn ends(mut self, writers: &[&str]) -> (Tally, Findings) {
        self.calm().await;
        let primary = self.pod(self.pods.primary());
        let (rows, history) = (rows(&primary).await, history(&primary).await);
        let tally = self.ledger.tally();
        let findings = self.ledger.compare(&rows);
        let astray = rows.iter().filter(|row| !writers.contains(&row.pod.as_str())).count();
        let lost_writes = self.db.lost_writes();
        println!(
            "{}: writes {:?}; {findings}, on a wrong node {astray}; reads {} plain ({} failed, {} behind), \
             {} with a token ({} failed, {} stale), {} from other servers, the longest {:?}",
            self.script,
            tally.writes,
            tally.plain.values().sum::<u64>(),
            tally.plain_failed.len(),
            tally.behind,
            tally.causal.values().sum::<u64>(),
            tally.causal_failed.len(),
            tally.stale,
            tally.mismatched,
            tally.longest_read,
        );
        assert!(findings.are_none(), "{findings:?}");
        assert_eq!(
            (astray, lost_writes),
            (0, 0),
            "writes {writers:?} did not take, writes lost"
        );
        assert_eq!(
            (tally.stale, tally.mismatched),
            (0, 0),
            "stale with a token, from other servers"
        );
        for pod in self.pods.pods() {
            assert_eq!(
                self::history(&pod).await,
                history,
                "{}: another history than the primary's",
                pod.name()
            );
            assert_eq!(
                self::rows(&pod).await,
                rows,
                "{}: other rows than the primary's",
                pod.name()
            );
        }
        (tally, findings)
    }
}

/// Polls so short that a change in DNS is seen at once.
fn quick() -> RefreshConfig {
    const POLL: Duration = Duration::from_millis(100);
    let mut config = RefreshConfig::default();
    config.min_poll = POLL;
    config.max_poll = POLL;
    config.min_reresolve_interval = POLL;
    config.retry_first = POLL;
    config.retry_max = POLL;
    config
}

/// Lets the server say which pod it is: in a table of its own, which is in no binary log.
pub async fn sign(pod: &Pod) {
    let name = pod.name();
    let sql = format!(
        "SET sql_log_bin = 0; CREATE TABLE shop.identity (name VARCHAR(20)); INSERT INTO shop.identity VALUES ('{name}')"
    );
    pod.sql(&sql).await.unwrap();
}

pub fn status(overview: &Overview, ordinal: usize) -> Option<&PodStatus> {
    overview.pods.iter().find(|pod| pod.name == NAMES[ordinal])
}

fn told(overview: &Overview) -> String {
    let pod = |pod: &PodStatus| {
        format!(
            "{} {:?} {:?} {:?} {:?}",
            pod.name,
            pod.key.addr(),
            pod.role,
            pod.lag,
            pod.problem
        )
    };
    let pods: Vec<String> = overview.pods.iter().map(pod).collect();
    format!("{:?}: {}", overview.writer, pods.join("; "))
}

fn gained(now: &BTreeMap<usize, u64>, before: &BTreeMap<usize, u64>, reader: usize) -> bool {
    let count = |counts: &BTreeMap<usize, u64>| counts.get(&reader).copied().unwrap_or(0);
    count(now) >= count(before) + 20
}

async fn rows(pod: &Pod) -> Vec<Row> {
    let rows = pod.sql("SELECT id, pod FROM shop.ledger ORDER BY seq").await.unwrap();
    let row = |values: Vec<String>| Row {
        id: values[0].parse().unwrap(),
        pod: values[1].clone(),
    };
    rows.into_iter().map(row).collect()
}

/// The last transaction of each server that ever wrote, as this pod's binary log has it.
async fn history(pod: &Pod) -> Vec<String> {
    let state = pod.sql("SELECT @@global.gtid_binlog_state").await.unwrap();
    let mut last: Vec<String> = state[0][0].split(',').map(str::to_owned).collect();
    last.sort();
    last
}
