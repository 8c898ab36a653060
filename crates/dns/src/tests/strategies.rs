//! Each strategy, and each step from one to the next.

use super::*;

#[tokio::test]
async fn a_named_port_takes_one_question() {
    let script = Script::default();
    script.srv(NAMED, &[("web-1", 8080, "10.0.0.2"), ("web-0", 8080, "10.0.0.1")]);
    let (by, pods) = found(&Setup::port("http").lookup(&script)).await;
    assert_eq!(pods, ["web-0 (10.0.0.1:8080) #0", "web-1 (10.0.0.2:8080) #1"]);
    assert_eq!(by, "SRV of the named port");
    assert_eq!(script.asked(), ["SRV _http._tcp.web"]);
}

#[tokio::test]
async fn pods_may_publish_the_named_port_under_different_numbers() {
    let script = Script::default();
    script.srv(NAMED, &[("web-0", 8080, "10.0.0.1"), ("web-1", 9090, "10.0.0.2")]);
    let (_, pods) = found(&Setup::port("http").lookup(&script)).await;
    assert_eq!(pods, ["web-0 (10.0.0.1:8080) #0", "web-1 (10.0.0.2:9090) #1"]);
}

#[tokio::test]
async fn the_only_port_need_not_be_given() {
    let script = Script::default();
    script.srv(SERVICE, &[("web-0", 8080, "10.0.0.1"), ("web-1", 8080, "10.0.0.2")]);
    let (by, pods) = found(&Setup::port("").lookup(&script)).await;
    assert_eq!(pods, ["web-0 (10.0.0.1:8080) #0", "web-1 (10.0.0.2:8080) #1"]);
    assert_eq!(by, "SRV of the Service");
}

#[tokio::test]
async fn a_port_number_takes_the_names_from_srv_and_the_port_from_the_user() {
    let script = Script::default();
    script.srv(SERVICE, &[("web-0", 8080, "10.0.0.1"), ("web-0", 9090, "10.0.0.1")]);
    let (by, pods) = found(&Setup::port("7000").lookup(&script)).await;
    assert_eq!(pods, ["web-0 (10.0.0.1:7000) #0"]);
    assert_eq!(by, "SRV of the Service");
    assert_eq!(script.asked(), ["SRV web"]);
}

#[tokio::test]
async fn kube_dns_lists_port_0_and_gives_the_names_all_the_same() {
    let script = Script::default();
    script.srv(SERVICE, &[("web-0", 0, "10.0.0.1"), ("web-1", 0, "10.0.0.2")]);
    let (_, pods) = found(&Setup::port("3306").lookup(&script)).await;
    assert_eq!(pods, ["web-0 (10.0.0.1:3306) #0", "web-1 (10.0.0.2:3306) #1"]);
}

#[tokio::test]
async fn without_srv_the_reverse_names_are_taken_if_they_lead_back() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.2", "10.0.0.1"])
        .pod("web-0", "10.0.0.1")
        .pod("web-1", "10.0.0.2");
    let (by, pods) = found(&Setup::port("80").lookup(&script)).await;
    assert_eq!(pods, ["web-0 (10.0.0.1:80) #0", "web-1 (10.0.0.2:80) #1"]);
    assert_eq!(by, "A/AAAA with PTR");
    assert_eq!(
        script.asked(),
        [
            "A web",
            "A web-0.web",
            "A web-1.web",
            "AAAA web",
            "PTR 1.0.0.10",
            "PTR 2.0.0.10",
            "SRV web"
        ]
    );
}

#[tokio::test]
async fn of_several_reverse_names_the_one_below_our_service_counts() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.1"])
        .ips(&under_service("web-0"), &["10.0.0.1"]);
    script.ptr(
        "10.0.0.1",
        &[
            "10-0-0-1.all.shop.svc.cluster.local.",
            &under_service("web-0"),
            "web-0.web.other.svc.cluster.local.",
        ],
    );
    assert_eq!(
        found(&Setup::port("80").lookup(&script)).await.1,
        ["web-0 (10.0.0.1:80) #0"]
    );
}

#[tokio::test]
async fn a_reverse_name_that_leads_elsewhere_is_not_used() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.1"])
        .ips(&under_service("web-0"), &["10.0.0.9"])
        .ptr("10.0.0.1", &[&under_service("web-0")]);
    let (by, pods) = found(&Setup::port("80").lookup(&script)).await;
    assert_eq!(pods, ["10.0.0.1:80"]);
    assert_eq!(by, "A/AAAA");
}

#[tokio::test]
async fn with_the_set_known_its_pods_are_asked_by_name() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1", "10.0.0.2"]);
    script
        .ips(&under_service("web-0"), &["10.0.0.1"])
        .ips(&under_service("web-7"), &["10.0.0.2"]);
    let lookup = Setup {
        set: Some("web"),
        ..Setup::port("80")
    }
    .lookup(&script);
    let (by, pods) = found(&lookup).await;
    assert_eq!(
        pods,
        ["web-0 (10.0.0.1:80) #0", "web-7 (10.0.0.2:80) #7"],
        "gaps are normal"
    );
    assert_eq!(by, "A/AAAA with pod names");
    assert!(!script.asked().iter().any(|q| q.starts_with("PTR")));
}

#[tokio::test]
async fn ordinals_may_begin_elsewhere() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.1"])
        .ips(&under_service("web-100"), &["10.0.0.1"]);
    let lookup = Setup {
        set: Some("web"),
        first_ordinal: 100,
        ..Setup::port("80")
    }
    .lookup(&script);
    assert_eq!(found(&lookup).await.1, ["web-100 (10.0.0.1:80) #100"]);
}

#[tokio::test]
async fn two_sets_under_one_service_keep_their_names_and_only_ours_has_ordinals() {
    let script = Script::default();
    let pods = [("web-0", 80, "10.0.0.1"), ("blue-0", 80, "10.0.0.2")];
    script
        .srv(NAMED, &pods)
        .ips(SERVICE, &["10.0.0.1", "10.0.0.2"])
        .pod("web-0", "10.0.0.1")
        .pod("blue-0", "10.0.0.2");
    let both = ["blue-0 (10.0.0.2:80) #0", "web-0 (10.0.0.1:80) #0"];
    assert_eq!(
        found(&Setup::port("http").lookup(&script)).await.1,
        both,
        "without a set, every name of the shape counts"
    );
    let ours = ["blue-0 (10.0.0.2:80)", "web-0 (10.0.0.1:80) #0"];
    assert_eq!(
        found(
            &Setup {
                set: Some("web"),
                ..Setup::port("http")
            }
            .lookup(&script)
        )
        .await
        .1,
        ours
    );
    let reverse = Setup {
        set: Some("web"),
        naming: Naming::Reverse,
        ..Setup::port("80")
    }
    .lookup(&script);
    assert_eq!(
        found(&reverse).await.1,
        ["web-0 (10.0.0.1:80) #0", "blue-0 (10.0.0.2:80)"]
    );
    let by_name = Setup {
        set: Some("web"),
        ..Setup::port("80")
    }
    .lookup(&script);
    assert_eq!(
        found(&by_name).await.1,
        ["web-0 (10.0.0.1:80) #0", "10.0.0.2:80"],
        "names of the other set are not asked for"
    );
}

#[tokio::test]
async fn a_forced_strategy_asks_nothing_else() {
    let script = Script::default();
    script
        .srv(SERVICE, &[("web-0", 80, "10.0.0.1")])
        .ips(SERVICE, &["10.0.0.1"])
        .pod("web-0", "10.0.0.1");
    for (naming, pod, asked) in [
        (Naming::ServiceSrv, "web-0 (10.0.0.1:80) #0", vec!["SRV web"]),
        (
            Naming::PodNames,
            "web-0 (10.0.0.1:80) #0",
            vec!["A web", "A web-0.web", "AAAA web", "AAAA web-0.web"],
        ),
        (
            Naming::Reverse,
            "web-0 (10.0.0.1:80) #0",
            vec!["A web", "A web-0.web", "AAAA web", "PTR 1.0.0.10"],
        ),
        (Naming::Addresses, "10.0.0.1:80", vec!["A web", "AAAA web"]),
    ] {
        let lookup = Setup {
            naming,
            set: Some("web"),
            ..Setup::port("80")
        }
        .lookup(&script);
        assert_eq!(found(&lookup).await.1, [pod], "{naming:?}");
        let first_wave: Vec<String> = script
            .asked()
            .into_iter()
            .filter(|q| !q.contains("web-") || q.contains("web-0."))
            .collect();
        assert_eq!(first_wave, asked, "{naming:?}");
    }
}

#[tokio::test]
async fn addresses_left_out_of_an_srv_answer_are_asked_for() {
    let script = Script::default();
    script.srv(
        NAMED,
        &[("web-0", 80, "10.0.0.1"), ("web-1", 80, ""), ("web-2", 80, "")],
    );
    script.ips(&under_service("web-1"), &["10.0.0.2"]);
    let (_, pods) = found(&Setup::port("http").lookup(&script)).await;
    assert_eq!(
        pods,
        ["web-0 (10.0.0.1:80) #0", "web-1 (10.0.0.2:80) #1"],
        "web-2 has just gone"
    );
    assert_eq!(
        script.asked(),
        [
            "A web-1.web",
            "A web-2.web",
            "AAAA web-1.web",
            "AAAA web-2.web",
            "SRV _http._tcp.web"
        ]
    );
}

#[tokio::test]
async fn zero_ready_pods_is_no_failure() {
    for port in ["http", "", "80"] {
        let script = Script::default();
        let negative = no_endpoints(&Setup::port(port).lookup(&script)).await;
        assert_eq!(negative.kind, NegativeKind::NoSuchName);
        assert_eq!(negative.ttl, Some(Duration::from_secs(5)));
        assert_eq!(negative.question, format!("A {SERVICE}, AAAA {SERVICE}"));
    }
}

#[tokio::test]
async fn dual_stack_pods_are_one_endpoint_each() {
    let script = Script::default();
    script.srv(NAMED, &[("web-0", 80, "10.0.0.1"), ("web-0", 80, "fd00::1")]);
    script
        .ips(SERVICE, &["10.0.0.1", "fd00::1"])
        .ips(&under_service("web-0"), &["10.0.0.1", "fd00::1"]);
    script
        .ptr("10.0.0.1", &[&under_service("web-0")])
        .ptr("fd00::1", &[&under_service("web-0")]);
    for (family, v4) in [
        (IpFamily::PreferV4, true),
        (IpFamily::V4Only, true),
        (IpFamily::PreferV6, false),
        (IpFamily::V6Only, false),
    ] {
        let want = if v4 {
            "web-0 (10.0.0.1:80) #0"
        } else {
            "web-0 ([fd00::1]:80) #0"
        };
        for port in ["http", "80"] {
            assert_eq!(
                found(
                    &Setup {
                        family,
                        ..Setup::port(port)
                    }
                    .lookup(&script)
                )
                .await
                .1,
                [want],
                "{family:?} {port}"
            );
        }
    }
    script.asked();
    found(
        &Setup {
            family: IpFamily::V4Only,
            ..Setup::port("80")
        }
        .lookup(&script),
    )
    .await;
    assert!(
        !script.asked().iter().any(|q| q.starts_with("AAAA")),
        "a family that is not wanted is not asked for"
    );
}

#[tokio::test]
async fn a_single_stack_cluster_of_the_other_family_works() {
    let script = Script::default();
    script.ips(SERVICE, &["fd00::1"]);
    assert_eq!(found(&Setup::port("80").lookup(&script)).await.1, ["[fd00::1]:80"]);
    let only = Setup {
        family: IpFamily::V4Only,
        ..Setup::port("80")
    }
    .lookup(&script);
    assert_eq!(no_endpoints(&only).await.kind, NegativeKind::NoData);
}

#[tokio::test]
async fn the_smallest_ttl_counts() {
    let script = Script::default();
    let target = under_service("web-0");
    let answers = vec![record(
        NAMED,
        30,
        Data::Srv {
            target: target.clone(),
            port: 80,
        },
    )];
    let unrelated = record("ns.dns.cluster.local.", 1, Data::Ip("10.0.0.9".parse().unwrap()));
    let additionals = vec![unrelated, record(&target, 7, Data::Ip("10.0.0.1".parse().unwrap()))];
    script.set(
        Kind::Srv,
        NAMED,
        Ok(Records {
            answers,
            additionals,
            ..Records::default()
        }),
    );
    let Resolution::Found(answer) = Setup::port("http").lookup(&script).resolve().await else {
        panic!()
    };
    assert_eq!(answer.ttl, Duration::from_secs(7), "of the records used");
}
