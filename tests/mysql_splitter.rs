//! The demo `mysql_splitter`, run as its users run it: the ledger balances, and each pod served
//! what its role allows.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use headless_testkit::mariadb::{DATABASE, MariaDb, PASSWORD, USER};
use headless_tests::support::example::{program, run, run_beside};
use headless_tests::support::mariadb::start;
use serde_json::Value;

const EXAMPLE: &str = "mysql_splitter";

#[tokio::test]
async fn the_ledger_balances_through_a_promotion_and_a_dead_replica() {
    if start(MariaDb::builder().pods(1)).await.is_none() {
        return;
    }
    // Not those that a developer may keep, which may have another primary by now.
    let output = run_beside(EXAMPLE, &["--fresh", "--json"]).await;
    let story = story(&output);
    assert_eq!(story["pods"], "own");
    balances(&story["ledger"]);
    let counted_on = ["mysql-0", "mysql-1", "mysql-2"].map(Value::from);
    assert_eq!(story["ledger"]["counted_on"], Value::from_iter(counted_on));

    let scene = |name: &str| served(&story["served"][name]);
    let calm = scene("calm");
    assert_eq!(who(&calm, "writes"), ["mysql-0"], "{calm:?}");
    let of = |pod: &str, what: &str| calm.get(pod).map_or(0, |counts| number(&counts[what]));
    for replica in ["mysql-1", "mysql-2"] {
        assert!(of(replica, "reads") > of("mysql-0", "reads"), "{calm:?}");
    }
    assert_eq!(who(&scene("lag"), "writes"), ["mysql-0"]);
    assert!(who(&scene("promotion"), "writes").contains(&"mysql-1".to_owned()));
    for after in ["dead replica", "healed"] {
        let after = scene(after);
        assert_eq!(who(&after, "writes"), ["mysql-1"], "{after:?}");
        assert!(
            number(&after["mysql-0"]["reads"]) > 0,
            "the old primary reads: {after:?}"
        );
    }

    let seen = |text: &str| {
        let mut events = array(&story["events"]).iter();
        events.any(|event| {
            event["source"] == "splitter" && event["text"].as_str().is_some_and(|said| said.contains(text))
        })
    };
    for text in [
        "mysql-0 is verified",
        "mysql-1 is verified",
        "mysql-2 takes nothing",
        "mysql-2 takes reads",
    ] {
        assert!(seen(text), "`{text}` is missing in {}", story["events"]);
    }
}

#[tokio::test]
async fn a_cluster_that_exists_is_used_and_left_as_it_was() {
    let Some(db) = start(MariaDb::builder()).await else {
        return;
    };
    let (service, nameserver) = (db.service(), db.cluster().dns_addr().to_string());
    let args = [
        "--service",
        &service,
        "--nameserver",
        &nameserver,
        "--zone",
        "cluster.local",
    ];
    let account = ["--user", USER, "--database", DATABASE, "--for", "2", "--json"];

    let output = with_password([&args[..], &account].concat(), Some(PASSWORD)).await;
    let story = story(&output);
    assert_eq!(story["pods"], "real");
    balances(&story["ledger"]);
    assert_eq!(who(&served(&story["served"]["calm"]), "writes"), ["mysql-0"]);
    assert_eq!(db.primary(), 0);
    let primary = db.pod(0).expect("it is there");
    for table in ["demo_orders", "demo_stock"] {
        let left = primary.app_sql(&format!("SELECT COUNT(*) FROM {table}")).await;
        assert_eq!(left.expect("the table is there"), [["0"]], "{table}");
    }

    let wrong = with_password([&args[..], &account].concat(), Some("wrong")).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        wrong.stdout.is_empty() && said(&wrong).contains("mysql-0"),
        "{}",
        said(&wrong)
    );
    let missing = with_password([&args[..], &account].concat(), None).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("MYSQL_PASSWORD"), "{}", said(&missing));
}

#[test]
fn a_wrong_command_line_is_told_from_a_failure() {
    let output = run(EXAMPLE, &["--password", "secret"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("MYSQL_PASSWORD") && !said(&output).contains("secret"),
        "{}",
        said(&output)
    );
    let help = run(EXAMPLE, &["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--service <NAME:PORT>"));
}

async fn with_password(args: Vec<&str>, password: Option<&str>) -> Output {
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let password = password.map(str::to_owned);
    let run = move || {
        let mut command = Command::new(program(EXAMPLE));
        command.args(args).env_remove("MYSQL_PASSWORD");
        command.envs(password.map(|password| ("MYSQL_PASSWORD", password)));
        command.output().expect("it starts")
    };
    tokio::task::spawn_blocking(run).await.expect("it ran")
}

fn story(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{text}", said(output));
    serde_json::from_str(&text).expect("one JSON object and nothing else")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Nothing was lost, duplicated, misplaced or stale, of so much that something could have been.
fn balances(ledger: &Value) {
    for broken in [
        "lost",
        "duplicated",
        "unexpected",
        "wrong_node",
        "half_transactions_on",
        "not_counted",
    ] {
        assert!(array(&ledger[broken]).is_empty(), "{broken}: {ledger}");
    }
    assert_eq!(number(&ledger["with_token"]["stale"]), 0, "{ledger}");
    assert_eq!(number(&ledger["failed_reads"]), 0, "{ledger}");
    assert!(
        number(&ledger["acknowledged"]) > 0 && number(&ledger["with_token"]["reads"]) > 0,
        "{ledger}"
    );
    assert_eq!(ledger["kept"], true);
}

/// Pod → what it served in a scene.
fn served(scene: &Value) -> BTreeMap<String, Value> {
    let pods = scene.as_object().unwrap_or_else(|| panic!("{scene} is no scene"));
    pods.clone().into_iter().collect()
}

/// The pods that served this at all.
fn who(scene: &BTreeMap<String, Value>, what: &str) -> Vec<String> {
    let pods = scene.iter().filter(|(_, counts)| number(&counts[what]) > 0);
    pods.map(|(pod, _)| pod.clone()).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is not an array"))
}
