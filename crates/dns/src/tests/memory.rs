//! What is remembered, for how long, and that no question is asked without need. Time is paused.

use super::*;

async fn after(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_strategy_that_works_is_used_alone_and_the_better_one_again_after_five_minutes() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1"]).pod("web-0", "10.0.0.1");
    let lookup = v4_lookup(&script, None);
    found(&lookup).await;
    assert_eq!(script.asked(), ["A web", "A web-0.web", "PTR 1.0.0.10", "SRV web"]);
    for lookups in 1..60 {
        after(5).await;
        found(&lookup).await;
        let expected: &[&str] = if lookups % 6 == 0 {
            &["A web", "A web-0.web"]
        } else {
            &["A web"]
        };
        assert_eq!(
            script.asked(),
            expected,
            "strategy and names are remembered, names are confirmed after 30 s"
        );
    }
    after(5).await;
    script.srv(SERVICE, &[("web-0", 80, "10.0.0.1")]);
    assert_eq!(found(&lookup).await.0, "SRV of the Service");
    assert_eq!(script.asked(), ["SRV web"]);
    after(5).await;
    found(&lookup).await;
    assert_eq!(script.asked(), ["SRV web"], "and stays there");
}

#[tokio::test(start_paused = true)]
async fn trying_the_better_strategy_again_does_not_harm_the_one_that_works() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1"]).pod("web-0", "10.0.0.1");
    let lookup = v4_lookup(&script, None);
    let (_, before) = found(&lookup).await;
    script.set(Kind::Srv, SERVICE, failing(FailureKind::Timeout));
    after(300).await;
    assert_eq!(found(&lookup).await.1, before);
    script.asked();
    after(5).await;
    found(&lookup).await;
    assert_eq!(script.asked(), ["A web"], "and is not done at every lookup");
}

#[tokio::test(start_paused = true)]
async fn srv_that_fails_twice_while_addresses_are_answered_is_left_alone_for_five_minutes() {
    for kind in [
        FailureKind::ServFail,
        FailureKind::Timeout,
        FailureKind::Io,
        FailureKind::Malformed,
    ] {
        let script = Script::default();
        script.ips(SERVICE, &["10.0.0.1"]).pod("web-0", "10.0.0.1");
        script.set(Kind::Srv, SERVICE, failing(kind));
        let lookup = v4_lookup(&script, None);
        assert_eq!(failed(&lookup).await.kind, kind);
        assert_eq!(script.asked(), ["SRV web"], "once is no reason to change the way");
        assert_eq!(found(&lookup).await.0, "A/AAAA with PTR");
        script.asked();
        for _ in 0..59 {
            after(5).await;
            found(&lookup).await;
            assert!(!script.asked().contains(&"SRV web".to_owned()));
        }
        after(5).await;
        found(&lookup).await;
        assert!(script.asked().contains(&"SRV web".to_owned()), "{kind}: tried again");
        after(5).await;
        found(&lookup).await;
        assert!(
            !script.asked().contains(&"SRV web".to_owned()),
            "{kind}: without effect on the pods"
        );
        after(300).await;
        script.srv(SERVICE, &[("web-0", 80, "10.0.0.1")]);
        assert_eq!(found(&lookup).await.0, "SRV of the Service", "{kind}");
    }
}

/// Names from SRV are as old as its last answer: an address may have passed to another pod since,
/// and addresses alone do not tell.
#[tokio::test(start_paused = true)]
async fn names_from_srv_are_confirmed_at_once_when_srv_goes_silent() {
    let script = Script::default();
    script
        .srv(SERVICE, &[("web-0", 80, "10.0.0.1"), ("web-1", 80, "10.0.0.2")])
        .ips(SERVICE, &["10.0.0.1", "10.0.0.2"]);
    let lookup = v4_lookup(&script, None);
    assert_eq!(found(&lookup).await.0, "SRV of the Service");
    script.set(Kind::Srv, SERVICE, failing(FailureKind::ServFail));
    script.pod("web-0", "10.0.0.2").pod("web-1", "10.0.0.1");
    after(5).await;
    failed(&lookup).await;
    after(5).await;
    assert_eq!(
        found(&lookup).await.1,
        ["web-1 (10.0.0.1:80) #1", "web-0 (10.0.0.2:80) #0"],
        "they have changed places"
    );
}

#[tokio::test(start_paused = true)]
async fn srv_failures_count_only_in_a_row_and_dns_that_is_down_is_one_failure() {
    let script = Script::default();
    script
        .srv(SERVICE, &[("web-0", 80, "10.0.0.1")])
        .ips(SERVICE, &["10.0.0.1"]);
    let lookup = v4_lookup(&script, None);
    let works = script.reply(&Question::new(Kind::Srv, SERVICE));
    for _ in 0..5 {
        script.set(Kind::Srv, SERVICE, failing(FailureKind::Timeout));
        failed(&lookup).await;
        script.set(Kind::Srv, SERVICE, works.clone());
        assert_eq!(found(&lookup).await.0, "SRV of the Service");
    }
    let down = || failing(FailureKind::ServFail);
    script.set(Kind::Srv, SERVICE, down()).set(Kind::A, SERVICE, down());
    for _ in 0..5 {
        assert_eq!(failed(&lookup).await.kind, FailureKind::ServFail);
    }
    script.asked();
    script.set(Kind::Srv, SERVICE, works);
    assert_eq!(
        found(&lookup).await.0,
        "SRV of the Service",
        "at once, when DNS is back"
    );
    assert_eq!(script.asked(), ["SRV web"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_truncated_answer_the_names_of_the_others_are_kept() {
    let script = Script::default();
    let part = |ips: &[&str]| {
        let answers = ips.iter().map(|ip| address(SERVICE, ip)).collect();
        Ok(Records {
            answers,
            truncated: true,
            ..Records::default()
        })
    };
    script
        .pod("web-0", "10.0.0.1")
        .pod("web-1", "10.0.0.2")
        .pod("web-2", "10.0.0.3");
    let lookup = v4_lookup(&script, None);
    script.set(Kind::A, SERVICE, part(&["10.0.0.1", "10.0.0.2"]));
    for (ips, pods) in [
        (
            ["10.0.0.1", "10.0.0.2"],
            ["web-0 (10.0.0.1:80) #0", "web-1 (10.0.0.2:80) #1"],
        ),
        (
            ["10.0.0.2", "10.0.0.3"],
            ["web-1 (10.0.0.2:80) #1", "web-2 (10.0.0.3:80) #2"],
        ),
        (
            ["10.0.0.1", "10.0.0.3"],
            ["web-0 (10.0.0.1:80) #0", "web-2 (10.0.0.3:80) #2"],
        ),
    ] {
        script.set(Kind::A, SERVICE, part(&ips));
        let Resolution::Found(answer) = lookup.resolve().await else {
            panic!()
        };
        assert!(answer.truncated);
        assert_eq!(found(&lookup).await.1, pods);
    }
    let asked = script.state.lock().unwrap().asked.clone();
    assert_eq!(
        asked.iter().filter(|question| question.kind == Kind::Ptr).count(),
        3,
        "{asked:?}"
    );
    assert!(lookup.has_reported_part());
    script.ips(SERVICE, &["10.0.0.1"]);
    found(&lookup).await;
    assert!(!lookup.has_reported_part(), "whole again");
}

#[tokio::test(start_paused = true)]
async fn only_new_addresses_are_asked_for_names_and_those_that_left_are_forgotten() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.1"])
        .pod("web-0", "10.0.0.1")
        .pod("web-1", "10.0.0.2");
    let lookup = v4_lookup(&script, None);
    found(&lookup).await;
    script.asked();
    script.ips(SERVICE, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(found(&lookup).await.1.len(), 2);
    assert_eq!(script.asked(), ["A web", "A web-1.web", "PTR 2.0.0.10"]);
    script.ips(SERVICE, &["10.0.0.2"]);
    found(&lookup).await;
    script.ips(SERVICE, &["10.0.0.1", "10.0.0.2"]).pod("web-2", "10.0.0.1");
    assert_eq!(
        found(&lookup).await.1,
        ["web-2 (10.0.0.1:80) #2", "web-1 (10.0.0.2:80) #1"],
        "the IP came back as another pod"
    );
}

#[tokio::test(start_paused = true)]
async fn an_address_without_a_reverse_name_is_asked_every_five_minutes() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1"]);
    let lookup = v4_lookup(&script, None);
    let mut asked = 0;
    for _ in 0..120 {
        found(&lookup).await;
        asked += script.asked().iter().filter(|q| q.starts_with("PTR")).count();
        after(5).await;
    }
    assert_eq!(asked, 2, "in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_stale_reverse_name_is_asked_again_after_half_a_minute() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.1"])
        .ptr("10.0.0.1", &[&under_service("web-0")]);
    let lookup = v4_lookup(&script, None);
    assert_eq!(found(&lookup).await.1, ["10.0.0.1:80"]);
    script.pod("web-1", "10.0.0.1");
    after(29).await;
    assert_eq!(found(&lookup).await.1, ["10.0.0.1:80"]);
    after(1).await;
    assert_eq!(found(&lookup).await.1, ["web-1 (10.0.0.1:80) #1"]);
}

#[tokio::test(start_paused = true)]
async fn a_reverse_zone_that_fails_is_left_alone_and_known_names_are_kept() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1"]).pod("web-0", "10.0.0.1");
    let lookup = v4_lookup(&script, None);
    found(&lookup).await;
    for i in 2..100 {
        script.set(
            Kind::Ptr,
            &format!("{i}.0.0.10.in-addr.arpa."),
            failing(FailureKind::ServFail),
        );
    }
    let ips: Vec<String> = (1..100).map(|i| format!("10.0.0.{i}")).collect();
    script.ips(SERVICE, &ips.iter().map(String::as_str).collect::<Vec<_>>());
    script.count();
    let (by, pods) = found(&lookup).await;
    assert_eq!(
        (by.as_str(), pods[0].as_str(), pods.len()),
        ("A/AAAA with PTR", "web-0 (10.0.0.1:80) #0", 99)
    );
    assert!(script.count() <= 1 + 16, "one wave, not 98 questions");
    after(29).await;
    found(&lookup).await;
    assert_eq!(script.asked(), ["A web"], "a pause after the failure");
}

#[tokio::test(start_paused = true)]
async fn names_are_checked_again_after_five_minutes() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1", "10.0.0.2"]);
    script
        .ips(&under_service("web-0"), &["10.0.0.1"])
        .ips(&under_service("web-1"), &["10.0.0.2"]);
    let lookup = v4_lookup(&script, Some("web"));
    assert_eq!(
        found(&lookup).await.1,
        ["web-0 (10.0.0.1:80) #0", "web-1 (10.0.0.2:80) #1"]
    );
    script
        .ips(&under_service("web-0"), &["10.0.0.2"])
        .ips(&under_service("web-1"), &["10.0.0.1"]);
    after(300).await;
    assert_eq!(
        found(&lookup).await.1,
        ["web-1 (10.0.0.1:80) #1", "web-0 (10.0.0.2:80) #0"]
    );
}

#[tokio::test(start_paused = true)]
async fn ordinals_without_an_address_are_asked_first_and_no_more_than_needed() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    for (pod, ip) in [("web-0", "10.0.0.1"), ("web-1", "10.0.0.2"), ("web-2", "10.0.0.3")] {
        script.ips(&under_service(pod), &[ip]);
    }
    let lookup = v4_lookup(&script, Some("web"));
    found(&lookup).await;
    script.asked();
    script
        .ips(SERVICE, &["10.0.0.1", "10.0.0.9", "10.0.0.3"])
        .ips(&under_service("web-1"), &["10.0.0.9"]);
    let (_, pods) = found(&lookup).await;
    assert_eq!(
        pods,
        [
            "web-0 (10.0.0.1:80) #0",
            "web-2 (10.0.0.3:80) #2",
            "web-1 (10.0.0.9:80) #1"
        ]
    );
    let asked = script.asked();
    assert!(
        !asked.contains(&"A web-0.web".to_owned()) && !asked.contains(&"A web-2.web".to_owned()),
        "{asked:?}"
    );
    assert!(asked.len() <= 1 + 16, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_recreated_pod_on_the_ip_of_another_is_detected() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1", "10.0.0.2"]);
    script
        .ips(&under_service("web-0"), &["10.0.0.1"])
        .ips(&under_service("web-1"), &["10.0.0.2"]);
    let lookup = v4_lookup(&script, Some("web"));
    found(&lookup).await;
    // Both restart between two lookups: web-1 gets the IP of web-0, and web-0 a new one.
    script.ips(SERVICE, &["10.0.0.1", "10.0.0.3"]);
    script
        .ips(&under_service("web-0"), &["10.0.0.3"])
        .ips(&under_service("web-1"), &["10.0.0.1"]);
    assert_eq!(
        found(&lookup).await.1,
        ["web-1 (10.0.0.1:80) #1", "web-0 (10.0.0.3:80) #0"]
    );
}

#[tokio::test(start_paused = true)]
async fn pods_of_another_set_are_asked_for_ever_more_rarely() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.1", "10.0.0.2"])
        .ips(&under_service("web-0"), &["10.0.0.1"]);
    let lookup = v4_lookup(&script, Some("web"));
    let mut rounds = Vec::new();
    for second in (0..600).step_by(5) {
        found(&lookup).await;
        if script.asked().contains(&"A web-1.web".to_owned()) {
            rounds.push(second);
        }
        after(5).await;
    }
    assert_eq!(rounds, [0, 15, 45, 105, 225, 465], "twice as long each time");
}

#[tokio::test(start_paused = true)]
async fn pods_keep_their_names_when_srv_stops_helping() {
    for error in [
        LookupError::Truncated,
        LookupError::Negative(Negative::new(NegativeKind::NoSuchName, None, "SRV web")),
    ] {
        let script = Script::default();
        script
            .srv(SERVICE, &[("web-0", 80, "10.0.0.1")])
            .ips(SERVICE, &["10.0.0.1"]);
        let lookup = v4_lookup(&script, None);
        let (_, before) = found(&lookup).await;
        script.set(Kind::Srv, SERVICE, Err(error));
        assert_eq!(found(&lookup).await.1, before);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_sixteen_questions_at_a_time() {
    let script = Script::default();
    let ips: Vec<String> = (1..=200).map(|i| format!("10.0.0.{i}")).collect();
    script.ips(SERVICE, &ips.iter().map(String::as_str).collect::<Vec<_>>());
    for (k, ip) in ips.iter().enumerate() {
        script.pod(&format!("web-{k}"), ip);
    }
    for set in [None, Some("web")] {
        assert_eq!(found(&v4_lookup(&script, set)).await.1.len(), 200);
    }
    assert_eq!(script.state.lock().unwrap().most_under_way, 16);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lookup_keeps_its_results() {
    let script = Script::default();
    let ips: Vec<String> = (1..=100).map(|i| format!("10.0.0.{i}")).collect();
    script.ips(SERVICE, &ips.iter().map(String::as_str).collect::<Vec<_>>());
    for (k, ip) in ips.iter().enumerate() {
        script.pod(&format!("web-{k}"), ip);
    }
    let lookup = v4_lookup(&script, None);
    let mut first = Box::pin(lookup.resolve());
    for _ in 0..12 {
        assert!(futures_util::poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
    }
    drop(first);
    script.count();
    assert_eq!(found(&lookup).await.1.len(), 100);
    let asked = script.count();
    assert!(asked < 2 + 200, "{asked} questions");
}
