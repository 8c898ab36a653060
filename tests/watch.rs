//! The demo `watch`, run as its users run it: the table, the events, and that nothing is connected
//! to without load.

use std::process::Output;

use headless_testkit::{Cluster, Workload};
use headless_tests::support::example::{fits, run, run_beside};
use serde_json::Value;

const EXAMPLE: &str = "watch";

#[test]
fn one_table_of_the_embedded_cluster() {
    let output = run(EXAMPLE, &["--once"]);
    let text = succeeded(&output);
    for part in [
        "mode     fresh",
        "rules    Found",
        "endpoint added",
        "web.shop.svc.cluster.local",
    ] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    for (ordinal, pod) in ["web-0", "web-1", "web-2"].iter().enumerate() {
        let row = row_of(text, pod);
        assert_eq!(row[1], ordinal.to_string(), "{text}");
        assert!(row[2].starts_with("127.") && row[2].ends_with(":8080"), "{text}");
        assert_eq!(row[3], "ready", "{text}");
        assert_eq!(row.last(), Some(&"s"), "the age: {text}");
    }
    assert!(!text.contains('\x1b'), "not for a terminal: {text}");
    fits(text);
}

#[test]
fn one_table_as_json() {
    let output = run(EXAMPLE, &["--once", "--json"]);
    let found: Value = serde_json::from_str(succeeded(&output)).expect("one JSON object and nothing else");
    assert_eq!(found["status"]["mode"], "fresh");
    assert_eq!(found["requests"]["failed"], 0);
    assert!(found["requests"]["answered"].as_u64() > Some(0), "{found}");
    let pods = found["pods"].as_array().expect("rows");
    assert_eq!(pods.len(), 3);
    for pod in pods {
        assert_eq!(pod["state"], "ready");
        assert!(pod["latency_ms"].as_f64() > Some(1.0), "{pod}");
        assert!(pod["connections"]["opened"].as_u64() > Some(0), "{pod}");
        assert!(pod["age_seconds"].as_f64() > Some(1.0), "{pod}");
    }
}

/// What is done to the cluster, beside what `headless` saw of it.
#[test]
fn the_script_and_what_headless_saw() {
    let output = run(EXAMPLE, &["--for", "4"]);
    let text = succeeded(&output);
    let place = |part: &str| {
        let place = text.lines().position(|line| line.contains(part));
        place.unwrap_or_else(|| panic!("`{part}` is missing in:\n{text}"))
    };
    let steps = [
        "cluster   * scale from 3 to 5 pods",
        "is ready: DNS lists it",
        "headless  pods changed  event=Found",
    ];
    let places = steps.map(place);
    assert!(places.is_sorted(), "{places:?} in:\n{text}");
    let added = text.lines().filter(|line| line.contains("endpoint added"));
    assert!(added.clone().count() >= 4, "three, and at least one more:\n{text}");
    assert!(
        row_of(text, "web-3").contains(&"ready"),
        "the last table has it:\n{text}"
    );
    assert!(text.contains(" 0 failed"), "{text}");
    fits(text);
}

#[tokio::test]
async fn a_real_service_is_watched_without_a_connection() {
    let cluster = Cluster::builder().namespace("shop").start().await.expect("a cluster");
    let web = cluster.stateful_set("web").service("web").port("http", 8080);
    let web = web.replicas(2).start().await.expect("two pods");
    let (service, nameserver) = ("web.shop.svc.cluster.local:http", cluster.dns_addr().to_string());
    let args = [service, "--nameserver", &nameserver, "--once", "--json"];

    let output = run_beside(EXAMPLE, &args).await;
    let found: Value = serde_json::from_str(succeeded(&output)).expect("one JSON object and nothing else");
    assert_eq!(found["pods"].as_array().map(Vec::len), Some(2), "{found}");
    assert_eq!(requests(&web), 0, "no load was asked for");

    let output = run_beside(EXAMPLE, &[&args[..], &["--load", "20"]].concat()).await;
    let found: Value = serde_json::from_str(succeeded(&output)).expect("one JSON object and nothing else");
    assert_eq!(found["requests"]["failed"], 0, "{found}");
    assert!(requests(&web) > 0, "{found}");

    let output = run_beside(EXAMPLE, &["nowhere.shop.svc:http", "--nameserver", &nameserver]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("nowhere.shop.svc") && text.contains("NXDOMAIN"), "{text}");
}

#[test]
fn a_wrong_command_line_is_told_from_a_failure() {
    let output = run(EXAMPLE, &["--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("required arguments were not provided:\n  --once"));
    let output = run(EXAMPLE, &["--help"]);
    let help = succeeded(&output);
    for flag in ["[NAME:PORT]", "\n      --load <N>", "\n      --nameserver <IP[:PORT]>"] {
        assert!(help.contains(flag), "`{flag}` is missing in:\n{help}");
    }
    fits(help);
}

fn succeeded(output: &Output) -> &str {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    str::from_utf8(&output.stdout).expect("text")
}

/// The cells of the last row of this pod.
fn row_of<'a>(text: &'a str, pod: &str) -> Vec<&'a str> {
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut rows = rows.filter(|cells| cells.first() == Some(&pod));
    rows.next_back()
        .unwrap_or_else(|| panic!("no row of {pod} in:\n{text}"))
}

fn requests(workload: &Workload) -> u64 {
    workload.pods().iter().map(|pod| pod.requests()).sum()
}
