//! The demo `quickstart`, run as its users run it: what it prints, and that every promise in it is
//! kept.

use std::process::Output;

use headless_testkit::{App, Cluster};
use headless_tests::support::example;
use serde_json::Value;

#[test]
fn the_whole_job_keeps_every_promise() {
    let output = quickstart(&["--json"]);
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let story: Value = serde_json::from_str(&text).expect("one JSON object and nothing else");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let ordinals: Vec<_> = array(&story["discovered"]["pods"])
        .iter()
        .map(|pod| number(&pod["ordinal"]))
        .collect();
    assert_eq!(ordinals, [0, 1, 2]);

    let requests = |policy: &str, pod: &str| number(&story["policies"][policy][pod]);
    for pod in ["web-0", "web-1", "web-2"] {
        let difference = requests("round_robin", pod).abs_diff(requests("round_robin", "web-0"));
        assert!(difference <= 1, "round robin: {}", story["policies"]["round_robin"]);
    }
    let slow = requests("power_of_two", "web-2");
    assert!(
        slow * 2 < requests("power_of_two", "web-0"),
        "{}",
        story["policies"]["power_of_two"]
    );
    assert!(
        slow * 2 < requests("power_of_two", "web-1"),
        "{}",
        story["policies"]["power_of_two"]
    );

    let role = |pod: &str, what: &str| number(&story["roles"][pod][what]);
    assert_eq!(role("web-0", "reads"), 0);
    assert_eq!(role("web-1", "writes") + role("web-2", "writes"), 0);
    assert!(role("web-0", "writes") > 0 && role("web-1", "reads") > 0);

    for (change, pods) in [("scale_up", 3), ("rolling_restart", 6)] {
        assert_eq!(number(&story[change]["failed"]), 0, "{change}: {}", story["errors"]);
        assert!(
            number(&story[change]["requests"]) > 0,
            "{change} without load proves nothing"
        );
        let followed = story[change]["new_pod_took_requests_after_seconds"].as_object();
        assert_eq!(followed.map(|pods| pods.len()), Some(pods), "{change}");
    }
    assert_eq!(number(&story["failed"]), 0);
    assert!(
        array(&story["promises"]).iter().all(|promise| promise["kept"] == true),
        "{}",
        story["promises"]
    );
    the_story_fits_into_80_columns();
}

/// As text, after the other: two at a time would slow each other down.
fn the_story_fits_into_80_columns() {
    let output = quickstart(&[]);
    let text = String::from_utf8(output.stdout).expect("text");
    for part in ["web-0  ", "first 0.", "no request fails"] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "not for a terminal: {text}");
    example::fits(&text);
    example::fits(&String::from_utf8_lossy(&quickstart(&["--help"]).stdout));
}

#[tokio::test]
async fn a_service_of_any_name_server_is_called() {
    let cluster = Cluster::builder().namespace("shop").start().await.expect("a cluster");
    let web = cluster
        .stateful_set("web")
        .service("web")
        .port("http", 8080)
        .replicas(2);
    let web = web.start().await.expect("two pods");
    let nameserver = cluster.dns_addr().to_string();
    let service = format!("web.shop.svc.{}:http", cluster.zone());

    let output = beside(&[
        "--service",
        &service,
        "--nameserver",
        &nameserver,
        "--requests",
        "50",
        "--json",
    ])
    .await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else");
    assert_eq!(array(&found["discovered"]["pods"]).len(), 2);
    for pod in web.pods() {
        let counted = number(&found["policies"]["power_of_two"][pod.name()]);
        assert_eq!(
            counted,
            pod.requests(),
            "{} counted otherwise than its client",
            pod.name()
        );
    }
    assert_eq!((number(&found["requests"]), number(&found["failed"])), (50, 0));

    let dead = cluster
        .deployment("dead")
        .service("dead")
        .port("http", 8080)
        .app(App::none());
    dead.start().await.expect("a pod that refuses connections");
    let service = format!("dead.shop.svc.{}:http", cluster.zone());
    let output = beside(&["--service", &service, "--nameserver", &nameserver, "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let tried: Value = serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else");
    assert!(
        number(&tried["requests"]) < 100,
        "it goes on although no pod answers: {tried}"
    );
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("can be reached"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let missing = format!("nowhere.shop.svc.{}:http", cluster.zone());
    let output = beside(&["--service", &missing, "--nameserver", &nameserver]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8_lossy(&output.stderr);
    for part in ["nowhere.shop.svc", "NXDOMAIN", "kubectl"] {
        assert!(
            text.contains(part),
            "asked, answered, to check: `{part}` is missing in: {text}"
        );
    }
}

#[test]
fn a_wrong_command_line_is_told_from_a_failure() {
    let output = quickstart(&["--sevice", "web:http"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unexpected argument '--sevice' found"));
    let help = quickstart(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--nameserver"));
}

async fn beside(args: &[&str]) -> Output {
    example::run_beside("quickstart", args).await
}

fn quickstart(args: &[&str]) -> Output {
    example::run("quickstart", args)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is not an array"))
}
