//! Every discovery strategy against Knot DNS, a name server of another project, over real sockets.
//!
//! The zones have the shape that CoreDNS gives them. Where Knot behaves differently, the test says
//! so.

use std::net::IpAddr;
use std::time::Duration;

use headless::dns::{IpFamily, Naming};
use headless::{FailureKind, FoundBy, NegativeKind};
use headless_tests::support::knot::{Knot, Service, TTL, ip};
use headless_tests::support::resolution::{
    Strategy, builder, built, failed, found, lines, no_endpoints, resolver, says,
};

/// The StatefulSet `web` with so many pods and the port `http`, 8080.
fn web(pods: u32) -> Service {
    Service::new("web").port("http", 8080).stateful_set("web", pods)
}

/// The lines of an answer for [`web`].
fn expected(pods: impl IntoIterator<Item = u32>) -> Vec<String> {
    pods.into_iter()
        .map(|k| format!("web-{k} ({}:8080) #{k}", ip(k)))
        .collect()
}

/// `service` with no more records than this strategy needs, so that no other one can be in use.
fn only(strategy: Strategy, service: Service) -> Service {
    match strategy {
        Strategy::NamedPort | Strategy::PodNames => service.without_bare_srv().without_reverse(),
        Strategy::ServiceSrv => service.without_reverse(),
        Strategy::Reverse => service.without_bare_srv(),
    }
}

#[tokio::test]
async fn ordinals_by_each_of_the_four_strategies() {
    let Some(mut knot) = Knot::start(&[]).await else { return };
    for strategy in Strategy::ALL {
        knot.publish(&[only(strategy, web(3))]);
        let answer = found(&strategy.resolver(knot.addr())).await;
        assert_eq!(lines(&answer), expected(0..3), "{strategy:?}");
        assert_eq!(answer.found_by, strategy.found_by());
        assert_eq!(answer.ttl, Duration::from_secs(TTL));
        assert!(!answer.truncated);
    }
}

#[tokio::test]
async fn pods_come_and_go_between_resolutions() {
    let Some(mut knot) = Knot::start(&[]).await else { return };
    for strategy in Strategy::ALL {
        knot.publish(&[only(strategy, web(3))]);
        let resolver = strategy.resolver(knot.addr());
        assert_eq!(lines(&found(&resolver).await), expected(0..3), "{strategy:?}");

        knot.publish(&[only(strategy, web(5))]);
        assert_eq!(
            lines(&found(&resolver).await),
            expected(0..5),
            "{strategy:?}: scaled up"
        );

        let gap = Service::new("web").port("http", 8080);
        let gap = [0, 3, 4]
            .iter()
            .fold(gap, |service, k| service.pod(&format!("web-{k}"), &[ip(*k)]));
        knot.publish(&[only(strategy, gap)]);
        assert_eq!(
            lines(&found(&resolver).await),
            expected([0, 3, 4]),
            "{strategy:?}: 1 and 2 are not ready"
        );

        // web-3 comes back at another address.
        let moved = Service::new("web").port("http", 8080).stateful_set("web", 3);
        knot.publish(&[only(strategy, moved.pod("web-3", &[ip(77)]))]);
        let mut lines = lines(&found(&resolver).await);
        assert_eq!(
            lines.pop().as_deref(),
            Some("web-3 (10.244.0.78:8080) #3"),
            "{strategy:?}"
        );
        assert_eq!(lines, expected(0..3));
    }
}

#[tokio::test]
async fn a_hundred_and_a_thousand_pods_over_tcp() {
    let Some(mut knot) = Knot::start(&[]).await else { return };
    for pods in [100, 1000] {
        for strategy in Strategy::ALL {
            knot.publish(&[only(strategy, web(pods))]);
            let resolver = strategy.resolver(knot.addr());
            let answer = found(&resolver).await;
            assert_eq!(lines(&answer), expected(0..pods), "{strategy:?}, {pods} pods");
            assert_eq!(answer.found_by, strategy.found_by());
            // Of 1000 SRV records, Knot adds the addresses of the first 490: the others are asked
            // for.
            assert!(!answer.truncated, "{strategy:?}, {pods} pods");
        }
    }
}

#[tokio::test]
async fn the_set_grows_from_one_packet_over_tcp_and_back() {
    let Some(mut knot) = Knot::start(&[web(2)]).await else {
        return;
    };
    let resolver = resolver(knot.addr(), "web:http");
    for pods in [2, 200, 2] {
        knot.publish(&[web(pods)]);
        assert_eq!(lines(&found(&resolver).await), expected(0..pods));
    }
}

#[tokio::test]
async fn more_than_a_message_holds_is_a_failure_with_its_reason() {
    // Knot does not send a part of it with TC, but SERVFAIL.
    let Some(mut knot) = Knot::start(&[web(2000)]).await else {
        return;
    };
    let too_many = failed(&resolver(knot.addr(), "web:http")).await;
    let server = knot.addr().to_string();
    says(
        &too_many,
        FailureKind::ServFail,
        &[
            &server,
            "SRV _http._tcp.web.shop.svc.cluster.local.",
            "SERVFAIL",
            "64 KiB",
        ],
    );
    knot.publish(&[web(4200).without_bare_srv()]);
    let too_many = failed(&resolver(knot.addr(), "web:8080")).await;
    says(
        &too_many,
        FailureKind::ServFail,
        &[&server, "A web.shop.svc.cluster.local.", "64 KiB"],
    );
    knot.publish(&[web(4000).without_bare_srv()]);
    let plain = built(builder(knot.addr(), "web:8080").naming(Naming::Addresses));
    assert_eq!(
        found(&plain).await.endpoints.len(),
        4000,
        "as many as fit are no failure"
    );
}

#[tokio::test]
async fn srv_that_no_longer_fits_is_left_for_addresses_at_the_second_resolution() {
    let Some(mut knot) = Knot::start(&[web(1000)]).await else {
        return;
    };
    let resolver = resolver(knot.addr(), "web:8080");
    assert_eq!(found(&resolver).await.found_by, FoundBy::ServiceSrv);
    knot.publish(&[web(2000)]);
    let failure = failed(&resolver).await;
    says(
        &failure,
        FailureKind::ServFail,
        &["SRV web.shop.svc.cluster.local.", "64 KiB"],
    );
    let answer = found(&resolver).await;
    assert_eq!(answer.endpoints.len(), 2000);
    assert!(!answer.truncated);
    assert_eq!(found(&resolver).await.endpoints.len(), 2000, "and stays there");
}

#[tokio::test]
async fn no_pods_as_nxdomain_and_as_nodata() {
    let unready = || Service::new("web").port("http", 8080).unlisted_pod("web-0", &[ip(0)]);
    let Some(mut knot) = Knot::start(&[web(2)]).await else {
        return;
    };
    for target in ["web:http", "web:8080", "web"] {
        knot.publish(&[web(2)]);
        let resolver = resolver(knot.addr(), target);
        found(&resolver).await;

        // Nothing is left, as CoreDNS does it.
        knot.publish(&[web(0)]);
        let negative = no_endpoints(&resolver).await;
        assert_eq!(negative.kind, NegativeKind::NoSuchName, "{target}: {negative}");
        assert_eq!(negative.ttl, Some(Duration::from_secs(TTL)));
        assert!(negative.question.contains("web.shop.svc.cluster.local."), "{negative}");

        // A name below the Service's name is enough for that name to exist.
        knot.publish(&[unready()]);
        let negative = no_endpoints(&resolver).await;
        assert_eq!(negative.kind, NegativeKind::NoData, "{target}: {negative}");

        knot.publish(&[web(1)]);
        assert_eq!(
            lines(&found(&resolver).await),
            expected(0..1),
            "{target}: they come back"
        );
    }
}

#[tokio::test]
async fn a_name_that_is_not_a_service() {
    let Some(knot) = Knot::start(&[web(1)]).await else {
        return;
    };
    for target in ["wbe:http", "web.shpo:http", "wbe:8080", "wbe"] {
        let negative = no_endpoints(&resolver(knot.addr(), target)).await;
        assert_eq!(negative.kind, NegativeKind::NoSuchName, "{target}: {negative}");
    }
    let elsewhere = built(builder(knot.addr(), "web.shop.svc.other.example:http"));
    says(
        &failed(&elsewhere).await,
        FailureKind::Refused,
        &[&knot.addr().to_string(), "web.shop.svc.other.example."],
    );
}

#[tokio::test]
async fn both_families_are_one_pod() {
    let v6 = |k: u32| -> IpAddr { format!("fd00::{k:x}").parse().expect("an address") };
    let dual = || {
        let service = Service::new("web").port("http", 8080);
        (0..3).fold(service, |service, k| {
            service.pod(&format!("web-{k}"), &[ip(k), v6(k + 1)])
        })
    };
    let in_v6 = |k: u32| format!("web-{k} ([{}]:8080) #{k}", v6(k + 1));
    let Some(mut knot) = Knot::start(&[]).await else { return };
    for strategy in Strategy::ALL {
        knot.publish(&[only(strategy, dual())]);
        for family in [
            IpFamily::PreferV4,
            IpFamily::PreferV6,
            IpFamily::V4Only,
            IpFamily::V6Only,
        ] {
            let answer = found(&built(strategy.settings(knot.addr()).family(family))).await;
            let expected = match family {
                IpFamily::PreferV4 | IpFamily::V4Only => expected(0..3),
                _ => (0..3).map(in_v6).collect(),
            };
            assert_eq!(lines(&answer), expected, "{strategy:?}, {family:?}");
            assert_eq!(answer.found_by, strategy.found_by());
        }
        knot.publish(&[only(strategy, web(3))]);
        let v6_only = strategy.settings(knot.addr()).family(IpFamily::V6Only);
        let negative = no_endpoints(&built(v6_only)).await;
        assert_eq!(negative.kind, NegativeKind::NoData, "{strategy:?}: no pod has IPv6");
    }
}

#[tokio::test]
async fn addresses_alone_have_no_ordinals() {
    let bare = web(3).without_bare_srv().without_reverse();
    let Some(knot) = Knot::start(&[bare]).await else { return };
    let answer = found(&resolver(knot.addr(), "web:8080")).await;
    assert_eq!(answer.found_by, FoundBy::Addresses);
    assert_eq!(
        lines(&answer),
        ["10.244.0.1:8080", "10.244.0.2:8080", "10.244.0.3:8080"]
    );
}

#[tokio::test]
async fn a_deployment_has_names_but_no_ordinals() {
    let api = Service::new("api")
        .port("http", 8080)
        .pod("10-244-0-1", &[ip(0)])
        .pod("10-244-0-2", &[ip(1)]);
    let Some(knot) = Knot::start(&[api]).await else { return };
    for target in ["api:http", "api:8080", "api"] {
        let answer = found(&resolver(knot.addr(), target)).await;
        let expected = ["10-244-0-1 (10.244.0.1:8080)", "10-244-0-2 (10.244.0.2:8080)"];
        assert_eq!(lines(&answer), expected, "{target}");
    }
}

#[tokio::test]
async fn two_sets_under_one_service() {
    let both = || {
        let blue = Service::new("web").port("http", 8080).pod("blue-0", &[ip(10)]);
        blue.pod("blue-1", &[ip(11)]).stateful_set("web", 2)
    };
    let Some(mut knot) = Knot::start(&[]).await else { return };
    for strategy in Strategy::ALL {
        knot.publish(&[only(strategy, both())]);
        let of_set = strategy.settings(knot.addr()).stateful_set("web");
        let answer = found(&built(of_set)).await;
        let with_ordinal: Vec<String> = lines(&answer).into_iter().filter(|line| line.contains('#')).collect();
        assert_eq!(answer.endpoints.len(), 4, "{strategy:?}");
        assert_eq!(with_ordinal, expected(0..2), "{strategy:?}");
    }
}

#[tokio::test]
async fn what_cannot_work_says_what_to_do() {
    let several = web(2).port("admin", 9090);
    let api = Service::new("api").port("http", 8080).cluster_ip(ip(9));
    let db = Service::new("db").external_name("db.example.com.");
    let Some(knot) = Knot::start(&[several, api, db]).await else {
        return;
    };
    let wrong = FailureKind::Misconfigured;
    let fails = async |target: &str| failed(&resolver(knot.addr(), target)).await;

    says(
        &fails("web:grpc").await,
        wrong,
        &[
            "web.shop.svc.cluster.local has no port named `grpc`",
            "ports 8080, 9090",
            "spec.ports",
        ],
    );
    says(
        &fails("web").await,
        wrong,
        &["no port was given", "8080, 9090", "add :PORT"],
    );
    let set = built(builder(knot.addr(), "web:http").stateful_set("wbe"));
    says(
        &failed(&set).await,
        wrong,
        &["no pod of StatefulSet `wbe`", "(web-0, web-1)", ".spec.serviceName"],
    );
    for target in ["api:http", "api:8080", "api"] {
        let failure = fails(target).await;
        says(
            &failure,
            wrong,
            &["api.shop.svc.cluster.local is not headless", ".spec.clusterIP to None"],
        );
    }
    for target in ["db:http", "db:5432", "db"] {
        let failure = fails(target).await;
        says(
            &failure,
            FailureKind::Foreign,
            &[
                "db.shop.svc.cluster.local.",
                "alias (CNAME) for db.example.com.",
                "allow_external_name(true)",
            ],
        );
    }
}

#[tokio::test]
async fn an_external_name_may_lead_to_a_service_where_that_is_allowed() {
    let db = Service::new("db").external_name("web.shop.svc.cluster.local.");
    let Some(knot) = Knot::start(&[web(2), db]).await else {
        return;
    };
    let allowed = built(
        builder(knot.addr(), "db:8080")
            .allow_external_name(true)
            .naming(Naming::Addresses),
    );
    assert_eq!(lines(&found(&allowed).await), ["10.244.0.1:8080", "10.244.0.2:8080"]);
}
