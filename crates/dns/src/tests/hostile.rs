//! Answers that are truncated, too long, or malicious: the work is bounded, and the usable part is
//! used.

use super::*;

#[tokio::test]
async fn of_a_truncated_srv_answer_the_pods_come_in_parts() {
    let script = Script::default();
    let names: Vec<String> = (0..300).map(|k| format!("web-{k}")).collect();
    let pods: Vec<(&str, u16, &str)> = names.iter().map(|name| (name.as_str(), 80, "")).collect();
    script.srv(NAMED, &pods);
    let Ok(mut records) = script.reply(&Question::new(Kind::Srv, NAMED)) else {
        panic!()
    };
    records.truncated = true;
    script.set(Kind::Srv, NAMED, Ok(records));
    for (k, name) in names.iter().enumerate() {
        script.ips(&under_service(name), &[&format!("10.0.{}.{}", k / 250, k % 250 + 1)]);
    }
    let lookup = Setup::port("http").lookup(&script);
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let Resolution::Found(answer) = lookup.resolve().await else {
            panic!()
        };
        assert!(answer.truncated);
        assert_eq!(answer.endpoints.len(), 128);
        assert_eq!(script.count(), 1 + 2 * 128);
        seen.extend(answer.endpoints);
    }
    assert_eq!(seen.len(), 300, "each has its turn");
    assert!(lookup.has_reported_part());
}

#[tokio::test]
async fn an_answer_truncated_to_nothing_is_no_answer() {
    let script = Script::default();
    let nothing = Records {
        truncated: true,
        ..Records::default()
    };
    script
        .set(Kind::A, SERVICE, Ok(nothing.clone()))
        .set(Kind::Srv, NAMED, Ok(nothing));
    for port in ["80", "http"] {
        says(
            &failed(&Setup::port(port).lookup(&script)).await,
            FailureKind::TooLarge,
            &["64 KiB"],
        );
    }
}

#[tokio::test]
async fn more_records_than_a_message_holds_are_refused_unread() {
    let script = Script::default();
    let ip = |i: u32| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + i));
    let addresses: Vec<Record> = (0..100_000).map(|i| record(SERVICE, 5, Data::Ip(ip(i)))).collect();
    let target = |i: u32| Data::Srv {
        target: under_service(&format!("web-{i}")),
        port: 80,
    };
    let srv: Vec<Record> = (0..100_000).map(|i| record(NAMED, 5, target(i))).collect();
    let glue = (0..100_000).map(|i| record(&under_service(&format!("web-{i}")), 5, Data::Ip(ip(i))));
    let of = |answers| Records {
        answers,
        ..Records::default()
    };
    script.set(Kind::A, SERVICE, Ok(of(addresses)));
    script.set(
        Kind::Srv,
        NAMED,
        Ok(Records {
            additionals: glue.collect(),
            ..of(srv)
        }),
    );
    for (port, asked) in [("80", format!("A {SERVICE}")), ("http", format!("SRV {NAMED}"))] {
        let lookup = Setup::port(port).lookup(&script);
        script.count();
        let failure = failed(&lookup).await;
        says(&failure, FailureKind::Malformed, &[&asked, "000 records, at most 8192"]);
        assert!(script.count() <= 3, "and no question follows from them");
    }
}

#[tokio::test]
async fn ports_times_addresses_of_one_name_are_bounded() {
    let script = Script::default();
    let target = under_service("web-0");
    let srv = |port| {
        let target = target.clone();
        record(NAMED, 5, Data::Srv { target, port })
    };
    let ip = |i: u32| record(&target, 5, Data::Ip(std::net::Ipv4Addr::from(0x0a00_0000 + i).into()));
    let answer = |ports, ips| Records {
        answers: (1..=ports).map(srv).collect(),
        additionals: (1..=ips).map(ip).collect(),
        ..Records::default()
    };
    script.set(Kind::Srv, NAMED, Ok(answer(4000, 4000)));
    says(
        &failed(&Setup::port("http").lookup(&script)).await,
        FailureKind::Malformed,
        &["16000000 endpoints"],
    );
    script.set(Kind::Srv, NAMED, Ok(answer(90, 90)));
    assert_eq!(found(&Setup::port("http").lookup(&script)).await.1.len(), 8100);
}

#[tokio::test]
async fn aliases_in_a_circle_end_where_they_begin() {
    let script = Script::default();
    let alias = |from: &str, to: &str| record(from, 5, Data::Alias(to.to_owned()));
    let circle = || Records {
        answers: vec![
            alias(SERVICE, "a.example."),
            alias("a.example.", SERVICE),
            alias("b.example.", "b.example."),
        ],
        ..Records::default()
    };
    for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
        script.set(kind, SERVICE, Ok(circle()));
    }
    assert_eq!(
        failed(&Setup::port("80").lookup(&script)).await.kind,
        FailureKind::Foreign
    );
    script.asked();
    let lookup = Setup {
        external_name: true,
        ..Setup::port("80")
    }
    .lookup(&script);
    assert_eq!(no_endpoints(&lookup).await.kind, NegativeKind::NoData);
    assert_eq!(script.asked(), ["A web", "AAAA web", "SRV web"], "no alias is followed");
}

#[tokio::test]
async fn addresses_that_no_pod_can_have_do_not_spoil_the_others() {
    let script = Script::default();
    let bad = ["0.0.0.0", "224.0.0.1", "239.1.2.3", "255.255.255.255"];
    script.ips(SERVICE, &[&bad[..], &["10.0.0.1"]].concat());
    assert_eq!(found(&Setup::port("80").lookup(&script)).await.1, ["10.0.0.1:80"]);
    let listed: Vec<(&str, u16, &str)> = bad.iter().map(|ip| ("web-1", 80, *ip)).collect();
    script.srv(NAMED, &[&listed[..], &[("web-0", 80, "10.0.0.1")]].concat());
    let lookup = Setup::port("http").lookup(&script);
    assert_eq!(found(&lookup).await.1, ["web-0 (10.0.0.1:80) #0"]);
    script.set(Kind::Aaaa, SERVICE, script.reply(&Question::new(Kind::Aaaa, "absent.")));
    for ip in ["::", "ff02::1", "0.0.0.0", "255.255.255.255"] {
        script.ips(SERVICE, &[ip]);
        assert_eq!(
            no_endpoints(&Setup::port("80").lookup(&script)).await.kind,
            NegativeKind::NoData,
            "{ip}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn absurd_ttls_are_only_numbers() {
    for ttl in [0, 1, u64::from(u32::MAX)] {
        let script = Script::default();
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        let answers = vec![record(SERVICE, ttl, Data::Ip(ip))];
        script.pod("web-0", "10.0.0.1").set(
            Kind::A,
            SERVICE,
            Ok(Records {
                answers,
                ..Records::default()
            }),
        );
        let lookup = Setup::port("80").lookup(&script);
        for _ in 0..2 {
            let Resolution::Found(answer) = lookup.resolve().await else {
                panic!()
            };
            assert_eq!((answer.endpoints.len(), answer.ttl), (1, Duration::from_secs(ttl)));
            tokio::time::advance(Duration::from_secs(301)).await;
        }
    }
}

#[tokio::test]
async fn an_address_with_a_hundred_reverse_names_is_checked_for_four() {
    let script = Script::default();
    let names: Vec<String> = (0..100).map(|k| under_service(&format!("web-{k}"))).collect();
    script
        .ips(SERVICE, &["10.0.0.1"])
        .ptr("10.0.0.1", &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(found(&Setup::port("80").lookup(&script)).await.1, ["10.0.0.1:80"]);
    assert!(script.count() <= 3 + 1 + 4);
}
