//! Settings that cannot work, answers that are wrong, and servers that do not answer.

use super::*;

#[tokio::test]
async fn a_port_name_that_the_service_does_not_have() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.1"])
        .srv(SERVICE, &[("web-0", 8080, "10.0.0.1"), ("web-0", 9090, "10.0.0.1")]);
    let failure = failed(&Setup::port("http").lookup(&script)).await;
    says(
        &failure,
        FailureKind::Misconfigured,
        &[
            "has no port named `http`",
            "its pods publish ports 8080, 9090",
            "container's port number",
        ],
    );
    script.remove(Kind::Srv, SERVICE);
    let failure = failed(&Setup::port("http").lookup(&script)).await;
    says(
        &failure,
        FailureKind::Misconfigured,
        &["has no port named `http`", "DNS lists 1 addresses"],
    );
}

#[tokio::test]
async fn no_port_given_and_none_or_several_to_be_found() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1"]);
    says(
        &failed(&Setup::port("").lookup(&script)).await,
        FailureKind::Misconfigured,
        &["add :PORT"],
    );
    script.srv(SERVICE, &[("web-0", 0, "10.0.0.1")]);
    says(
        &failed(&Setup::port("").lookup(&script)).await,
        FailureKind::Misconfigured,
        &["does not tell the port", "add :PORT"],
    );
    script.srv(SERVICE, &[("web-0", 8080, "10.0.0.1"), ("web-0", 9090, "10.0.0.1")]);
    says(
        &failed(&Setup::port("").lookup(&script)).await,
        FailureKind::Misconfigured,
        &["8080, 9090", "add :PORT"],
    );
}

#[tokio::test]
async fn srv_forced_where_the_server_has_none() {
    let script = Script::default();
    script.ips(SERVICE, &["10.0.0.1"]);
    let lookup = Setup {
        naming: Naming::ServiceSrv,
        ..Setup::port("80")
    }
    .lookup(&script);
    says(
        &failed(&lookup).await,
        FailureKind::Misconfigured,
        &["no SRV records at its own name", "Naming::Auto"],
    );
}

#[tokio::test]
async fn a_stateful_set_that_does_not_exist() {
    let script = Script::default();
    script
        .srv(NAMED, &[("web-0", 80, "10.0.0.1")])
        .ips(SERVICE, &["10.0.0.1"])
        .pod("web-0", "10.0.0.1");
    let listed = [
        "no pod of StatefulSet `foo` found under Service web.shop.svc.cluster.local",
        "(web-0)",
        ".spec.serviceName",
    ];
    let lookup = Setup {
        set: Some("foo"),
        ..Setup::port("http")
    }
    .lookup(&script);
    says(&failed(&lookup).await, FailureKind::Misconfigured, &listed);
    let lookup = Setup {
        set: Some("foo"),
        naming: Naming::Reverse,
        ..Setup::port("80")
    }
    .lookup(&script);
    says(&failed(&lookup).await, FailureKind::Misconfigured, &listed);
    let lookup = Setup {
        set: Some("foo"),
        ..Setup::port("80")
    }
    .lookup(&script);
    says(
        &failed(&lookup).await,
        FailureKind::Misconfigured,
        &["DNS lists 1 addresses", "`foo-0` to `foo-65` do not exist"],
    );
    script.asked();
    says(
        &failed(&lookup).await,
        FailureKind::Misconfigured,
        &["`foo-0` to `foo-65` do not exist"],
    );
    assert_eq!(
        script.asked(),
        ["A web", "AAAA web", "SRV web"],
        "it is not asked 66 times again at once"
    );
}

#[tokio::test]
async fn a_set_that_was_seen_may_be_scaled_to_zero() {
    let script = Script::default();
    script.srv(NAMED, &[("web-0", 80, "10.0.0.1"), ("blue-0", 80, "10.0.0.2")]);
    let lookup = Setup {
        set: Some("web"),
        ..Setup::port("http")
    }
    .lookup(&script);
    found(&lookup).await;
    script.srv(NAMED, &[("blue-0", 80, "10.0.0.2")]);
    assert_eq!(found(&lookup).await.1, ["blue-0 (10.0.0.2:80)"]);
}

#[tokio::test]
async fn an_alias_is_refused_unless_it_is_wanted() {
    let script = Script::default();
    let alias = record(SERVICE, 5, Data::Alias("db.example.com.".to_owned()));
    let records = Records {
        answers: vec![alias, address("db.example.com.", "192.0.2.1")],
        ..Records::default()
    };
    script.set(Kind::A, SERVICE, Ok(records));
    let failure = failed(&Setup::port("80").lookup(&script)).await;
    says(
        &failure,
        FailureKind::Foreign,
        &["alias (CNAME) for db.example.com.", "allow_external_name(true)"],
    );
    let lookup = Setup {
        external_name: true,
        ..Setup::port("80")
    }
    .lookup(&script);
    assert_eq!(found(&lookup).await.1, ["192.0.2.1:80"]);
}

#[tokio::test]
async fn an_alias_in_place_of_srv_is_refused_or_passed_over() {
    let script = Script::default();
    let alias = || Records {
        answers: vec![record(SERVICE, 5, Data::Alias("db.example.com.".to_owned()))],
        ..Records::default()
    };
    script.set(Kind::Srv, SERVICE, Ok(alias()));
    let mut addresses = alias();
    addresses.answers.push(address("db.example.com.", "192.0.2.1"));
    script.set(Kind::A, SERVICE, Ok(addresses));
    assert_eq!(
        failed(&Setup::port("80").lookup(&script)).await.kind,
        FailureKind::Foreign
    );
    let lookup = Setup {
        external_name: true,
        ..Setup::port("80")
    }
    .lookup(&script);
    assert_eq!(found(&lookup).await.1, ["192.0.2.1:80"]);
}

#[tokio::test]
async fn records_of_another_name_are_refused() {
    let script = Script::default();
    let records = Records {
        answers: vec![address("elsewhere.", "192.0.2.1")],
        ..Records::default()
    };
    script.set(Kind::A, SERVICE, Ok(records));
    says(
        &failed(&Setup::port("80").lookup(&script)).await,
        FailureKind::Foreign,
        &["records of elsewhere."],
    );
}

#[tokio::test]
async fn srv_targets_outside_the_service_are_no_pods() {
    let script = Script::default();
    script.srv(NAMED, &[("evil.example.com.", 80, "192.0.2.1")]);
    says(
        &failed(&Setup::port("http").lookup(&script)).await,
        FailureKind::Foreign,
        &["`evil.example.com.`"],
    );
    script.srv(
        NAMED,
        &[("evil.example.com.", 80, "192.0.2.1"), ("web-0", 80, "10.0.0.1")],
    );
    assert_eq!(
        found(&Setup::port("http").lookup(&script)).await.1,
        ["web-0 (10.0.0.1:80) #0"]
    );
}

#[tokio::test]
async fn a_service_with_a_cluster_ip() {
    let script = Script::default();
    script
        .srv(NAMED, &[(SERVICE, 80, "10.96.7.7")])
        .srv(SERVICE, &[(SERVICE, 80, "10.96.7.7")]);
    for port in ["http", "", "80"] {
        let failure = failed(&Setup::port(port).lookup(&script)).await;
        says(
            &failure,
            FailureKind::Misconfigured,
            &["is not headless", ".spec.clusterIP"],
        );
    }
}

#[tokio::test]
async fn a_failure_is_never_taken_for_absence() {
    for kind in [
        FailureKind::ServFail,
        FailureKind::Timeout,
        FailureKind::Io,
        FailureKind::Malformed,
    ] {
        let script = Script::default();
        script
            .ips(SERVICE, &["10.0.0.1"])
            .set(Kind::Srv, SERVICE, failing(kind))
            .set(Kind::Srv, NAMED, failing(kind));
        for port in ["http", "", "80"] {
            assert_eq!(failed(&Setup::port(port).lookup(&script)).await.kind, kind, "{port}");
        }
    }
}

#[tokio::test]
async fn one_family_failing_fails_the_lookup_if_it_is_the_preferred_one_or_the_only_hope() {
    let down = || failing(FailureKind::Timeout);
    let cases: [(&str, Kind, bool); 3] = [
        ("10.0.0.1", Kind::Aaaa, true),
        ("fd00::1", Kind::A, false),
        ("", Kind::Aaaa, false),
    ];
    for (ip, broken, works) in cases {
        let script = Script::default();
        if !ip.is_empty() {
            script.ips(SERVICE, &[ip]);
        }
        script.set(broken, SERVICE, down());
        let lookup = Setup {
            naming: Naming::Addresses,
            ..Setup::port("80")
        }
        .lookup(&script);
        if works {
            assert_eq!(found(&lookup).await.1, ["10.0.0.1:80"]);
        } else {
            assert_eq!(failed(&lookup).await.kind, FailureKind::Timeout, "{ip} {broken:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_srv_is_asked_for_addresses() {
    let script = Script::default();
    script
        .ips(SERVICE, &["10.0.0.1"])
        .set(Kind::Srv, SERVICE, failing(FailureKind::Refused));
    assert_eq!(found(&Setup::port("80").lookup(&script)).await.1, ["10.0.0.1:80"]);
}

#[tokio::test]
async fn too_many_pods_for_srv_and_then_for_addresses() {
    let script = Script::default();
    let ip = |i: u32| format!("10.0.{}.{}", i / 250, i % 250 + 1);
    let ips: Vec<String> = (0..1000).map(ip).collect();
    let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
    script
        .ips(SERVICE, &ips)
        .set(Kind::Srv, SERVICE, Err(LookupError::Truncated))
        .set(Kind::Srv, NAMED, Err(LookupError::Truncated));
    let lookup = Setup::port("80").lookup(&script);
    assert_eq!(found(&lookup).await.1.len(), 1000);
    script.asked();
    found(&lookup).await;
    assert_eq!(script.asked(), ["A web", "AAAA web"], "remembered");
    for port in ["http", ""] {
        let failure = failed(&Setup::port(port).lookup(&script)).await;
        says(
            &failure,
            FailureKind::TooLarge,
            &["490 to 900", "give the container's port number"],
        );
    }
    script.set(Kind::A, SERVICE, Err(LookupError::Truncated));
    says(
        &failed(&lookup).await,
        FailureKind::TooLarge,
        &["4,090 A", "shard the Service"],
    );
}

#[tokio::test]
async fn an_address_that_cannot_be_asked_for_makes_the_answer_incomplete() {
    let script = Script::default();
    script.srv(NAMED, &[("web-0", 80, "10.0.0.1"), ("web-1", 80, "")]);
    script.set(Kind::A, &under_service("web-1"), failing(FailureKind::Timeout));
    let Resolution::Found(answer) = Setup::port("http").lookup(&script).resolve().await else {
        panic!()
    };
    assert!(answer.truncated, "web-1 must not be removed for it");
    script.srv(NAMED, &[("web-1", 80, "")]);
    assert_eq!(
        failed(&Setup::port("http").lookup(&script)).await.kind,
        FailureKind::Timeout
    );
}

#[tokio::test]
async fn targets_that_have_no_address_are_no_pods() {
    let script = Script::default();
    script.srv(NAMED, &[("web-0", 80, ""), ("web-1", 80, "")]);
    let negative = no_endpoints(&Setup::port("http").lookup(&script)).await;
    assert!(negative.question.contains("has 2 targets"), "{negative}");
}
