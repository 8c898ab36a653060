//! Each row of what the Kubernetes DNS specification and CoreDNS say about headless Services.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::net::IpAddr;

use common::{addresses, targets, tcp, udp, udp_sized};
use headless_testkit::{App, BareSrv, Cluster, ClusterBuilder, Workload};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, RecordType},
};

const HTTP: &str = "_http._tcp.web.shop.svc.cluster.local.";
const WEB: &str = "web.shop.svc.cluster.local.";

fn shop() -> ClusterBuilder {
    Cluster::builder().namespace("shop").seed(7)
}

async fn web(cluster: &Cluster, replicas: u32) -> Workload {
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let set = set.replicas(replicas).app(App::none());
    set.start().await.unwrap()
}

fn assert_negative(message: &Message, code: ResponseCode, ttl: u32) {
    assert_eq!(message.metadata.response_code, code);
    assert!(message.answers.is_empty());
    let [record] = message.authorities.as_slice() else {
        panic!("one SOA expected: {message:?}");
    };
    assert_eq!(record.name.to_ascii(), "cluster.local.");
    assert_eq!(record.ttl, ttl);
    let RData::SOA(soa) = &record.data else {
        panic!("not an SOA: {record:?}");
    };
    assert_eq!(soa.mname.to_ascii(), "ns.dns.cluster.local.");
    assert_eq!(soa.rname.to_ascii(), "hostmaster.cluster.local.");
    assert_eq!((soa.refresh, soa.retry, soa.expire), (7200, 1800, 86_400));
    assert_eq!(soa.minimum, ttl);
}

#[tokio::test]
async fn the_service_name_lists_one_address_per_ready_pod() {
    let cluster = shop().ttl(9).start().await.unwrap();
    let web = web(&cluster, 3).await;
    let answer = udp(&cluster, WEB, RecordType::A).await;
    let expected: Vec<IpAddr> = web.pods().iter().map(|pod| pod.ip().into()).collect();
    assert_eq!(addresses(&answer), expected);
    assert!(answer.answers.iter().all(|record| record.ttl == 9));
    assert!(answer.metadata.authoritative);
    assert!(!answer.metadata.recursion_available);
    assert!(answer.metadata.recursion_desired);
}

#[tokio::test]
async fn no_ready_pod_is_nxdomain_for_every_name_of_the_service() {
    let cluster = shop().ttl(30).start().await.unwrap();
    let web = web(&cluster, 1).await;
    web.scale(0).await.unwrap();
    for (name, rtype) in [
        (WEB, RecordType::A),
        (WEB, RecordType::AAAA),
        (WEB, RecordType::SRV),
        (WEB, RecordType::TXT),
        (HTTP, RecordType::SRV),
        ("web-0.web.shop.svc.cluster.local.", RecordType::A),
    ] {
        let answer = udp(&cluster, name, rtype).await;
        assert_negative(&answer, ResponseCode::NXDomain, 30);
    }
}

#[tokio::test]
async fn unknown_names_are_nxdomain_and_foreign_zones_refused() {
    let cluster = shop().start().await.unwrap();
    web(&cluster, 1).await;
    for name in [
        "api.shop.svc.cluster.local.",
        "web.other.svc.cluster.local.",
        "web-9.web.shop.svc.cluster.local.",
        "a.b.c.web.shop.svc.cluster.local.",
        "web.shop.pod.cluster.local.",
        "nonsense.cluster.local.",
    ] {
        let answer = udp(&cluster, name, RecordType::A).await;
        assert_negative(&answer, ResponseCode::NXDomain, 5);
    }
    let foreign = udp(&cluster, "example.org.", RecordType::A).await;
    assert_eq!(foreign.metadata.response_code, ResponseCode::Refused);
    let transfer = udp(&cluster, "cluster.local.", RecordType::AXFR).await;
    assert_eq!(transfer.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn another_type_at_an_existing_name_is_nodata() {
    let cluster = shop().start().await.unwrap();
    web(&cluster, 1).await;
    for (name, rtype) in [
        (WEB, RecordType::AAAA),
        (WEB, RecordType::TXT),
        ("web-0.web.shop.svc.cluster.local.", RecordType::AAAA),
        (HTTP, RecordType::TXT),
        ("shop.svc.cluster.local.", RecordType::A),
    ] {
        let answer = udp(&cluster, name, rtype).await;
        assert_negative(&answer, ResponseCode::NoError, 5);
    }
}

#[tokio::test]
async fn the_soa_ttl_stays_below_five_minutes() {
    let cluster = shop().ttl(3600).start().await.unwrap();
    let answer = udp(&cluster, WEB, RecordType::A).await;
    assert_eq!(answer.authorities[0].ttl, 300);
}

#[tokio::test]
async fn each_pod_of_a_stateful_set_has_a_name() {
    let cluster = shop().start().await.unwrap();
    let web = web(&cluster, 2).await;
    let answer = udp(&cluster, "WEB-1.web.Shop.svc.cluster.local.", RecordType::A).await;
    assert_eq!(addresses(&answer), [web.pods()[1].ip()]);
    // The letter case of the question is echoed.
    let owner = answer.answers[0].name.to_string();
    assert_eq!(owner, "WEB-1.web.Shop.svc.cluster.local.");
}

#[tokio::test]
async fn srv_of_a_named_port_gives_name_address_and_port() {
    let cluster = shop().start().await.unwrap();
    let web = web(&cluster, 3).await;
    let answer = udp(&cluster, HTTP, RecordType::SRV).await;
    let expected: Vec<_> = (0..3)
        .map(|k| (format!("web-{k}.web.shop.svc.cluster.local"), 8080, 33))
        .collect();
    assert_eq!(targets(&answer), expected);
    for pod in web.pods() {
        let name = format!("{}.{WEB}", pod.name());
        let mut additional = answer.additionals.iter();
        let address = additional.find(|record| record.name.to_ascii() == name);
        assert_eq!(address.unwrap().data.ip_addr(), Some(pod.ip().into()));
    }
    assert_eq!(answer.additionals.len(), 3);
    for wrong in ["_https._tcp", "_http._udp"] {
        let name = format!("{wrong}.{WEB}");
        let answer = udp(&cluster, &name, RecordType::SRV).await;
        assert_negative(&answer, ResponseCode::NXDomain, 5);
    }
    // Beyond the specification, as CoreDNS: underscores are optional, and an empty label matches
    // any port.
    for lax in ["http.tcp", "_._tcp"] {
        let answer = udp(&cluster, &format!("{lax}.{WEB}"), RecordType::SRV).await;
        assert_eq!(targets(&answer).len(), 3, "{lax}");
    }
}

#[tokio::test]
async fn weights_share_a_hundred_and_are_at_least_one() {
    let cluster = shop().start().await.unwrap();
    web(&cluster, 101).await;
    let (answer, _) = tcp(&cluster, HTTP, RecordType::SRV).await;
    assert_eq!(answer.answers.len(), 101);
    assert!(targets(&answer).iter().all(|target| target.2 == 1));
}

#[tokio::test]
async fn bare_srv_as_the_three_servers_answer_it() {
    let expected = [
        (BareSrv::AllPorts, vec![8080, 9090]),
        (BareSrv::PortZero, vec![0]),
        (BareSrv::Off, vec![]),
    ];
    for (style, ports) in expected {
        let cluster = shop().bare_srv(style).start().await.unwrap();
        let set = cluster.stateful_set("web").service("web").app(App::none());
        let set = set.port("http", 8080).unnamed_port(9090);
        set.start().await.unwrap();
        let answer = udp(&cluster, WEB, RecordType::SRV).await;
        let found: Vec<u16> = targets(&answer).iter().map(|target| target.1).collect();
        assert_eq!(found, ports, "{style:?}");
        if style == BareSrv::Off {
            assert_negative(&answer, ResponseCode::NoError, 5);
        }
        // The named port is not concerned.
        let named = udp(&cluster, HTTP, RecordType::SRV).await;
        assert_eq!(targets(&named)[0].1, 8080);
    }
}

#[tokio::test]
async fn an_unnamed_port_is_only_in_bare_srv() {
    let cluster = shop().start().await.unwrap();
    let web = web(&cluster, 1).await;
    let unnamed = cluster.service("unnamed").selects(&web);
    unnamed.unnamed_port(8080).create().unwrap();
    let name = cluster.fqdn("unnamed");
    let bare = udp(&cluster, &name, RecordType::SRV).await;
    assert_eq!(targets(&bare)[0].1, 8080);
    let named = udp(&cluster, &format!("_http._tcp.{name}"), RecordType::SRV).await;
    assert_negative(&named, ResponseCode::NXDomain, 5);
}

#[tokio::test]
async fn a_service_without_ports_has_addresses_and_no_srv() {
    let cluster = shop().start().await.unwrap();
    let web = web(&cluster, 1).await;
    cluster.service("bare").selects(&web).create().unwrap();
    let name = cluster.fqdn("bare");
    assert_eq!(addresses(&udp(&cluster, &name, RecordType::A).await).len(), 1);
    let srv = udp(&cluster, &name, RecordType::SRV).await;
    assert_negative(&srv, ResponseCode::NoError, 5);
}

#[tokio::test]
async fn another_service_over_a_stateful_set_has_dashed_names() {
    let cluster = shop().start().await.unwrap();
    let web = web(&cluster, 1).await;
    let read = cluster.service("read").selects(&web).port("http", 8080);
    read.create().unwrap();
    let pod = &web.pods()[0];
    let dashed = pod.ip().to_string().replace('.', "-");
    let name = cluster.fqdn("read");
    let srv = udp(&cluster, &format!("_http._tcp.{name}"), RecordType::SRV).await;
    let target = format!("{dashed}.read.shop.svc.cluster.local");
    assert_eq!(targets(&srv)[0].0, target);
    let own = udp(&cluster, &format!("{dashed}.{name}"), RecordType::A).await;
    assert_eq!(addresses(&own), [pod.ip()]);
    let ordinal = udp(&cluster, &format!("web-0.{name}"), RecordType::A).await;
    assert_negative(&ordinal, ResponseCode::NXDomain, 5);
}

#[tokio::test]
async fn deployment_pods_have_dashed_names() {
    let cluster = shop().start().await.unwrap();
    let api = cluster.deployment("api").service("api").port("http", 80);
    let api = api.replicas(2).app(App::none()).start().await.unwrap();
    let srv = udp(&cluster, "_http._tcp.api.shop.svc.cluster.local.", RecordType::SRV).await;
    for (pod, (target, ..)) in api.pods().iter().zip(targets(&srv)) {
        let dashed = pod.ip().to_string().replace('.', "-");
        assert_eq!(target, format!("{dashed}.api.shop.svc.cluster.local"));
        let parts: Vec<_> = pod.name().split('-').map(str::len).collect();
        assert_eq!(parts, [3, 10, 5], "{}", pod.name());
        assert_eq!(pod.ordinal(), None);
    }
}

#[tokio::test]
async fn two_stateful_sets_can_share_a_service() {
    let cluster = shop().start().await.unwrap();
    web(&cluster, 1).await;
    let other = cluster.stateful_set("canary").service("web");
    other.first_ordinal(5).app(App::none()).start().await.unwrap();
    let answer = udp(&cluster, HTTP, RecordType::SRV).await;
    let names: Vec<_> = targets(&answer).into_iter().map(|target| target.0).collect();
    assert_eq!(
        names,
        [
            "web-0.web.shop.svc.cluster.local",
            "canary-5.web.shop.svc.cluster.local"
        ]
    );
}

#[tokio::test]
async fn an_unready_pod_has_no_record_at_all() {
    let cluster = shop().start().await.unwrap();
    let web = web(&cluster, 3).await;
    web.set_ready("web-1", false).unwrap();
    let hidden = web.pod("web-1").unwrap().ip();
    assert_eq!(addresses(&udp(&cluster, WEB, RecordType::A).await).len(), 2);
    let srv = udp(&cluster, HTTP, RecordType::SRV).await;
    assert_eq!((srv.answers.len(), srv.additionals.len()), (2, 2));
    let own = udp(&cluster, &format!("web-1.{WEB}"), RecordType::A).await;
    assert_negative(&own, ResponseCode::NXDomain, 5);
    let reverse = udp(&cluster, &reverse(hidden), RecordType::PTR).await;
    assert_eq!(reverse.metadata.response_code, ResponseCode::NXDomain);
    web.set_ready("web-1", true).unwrap();
    assert_eq!(addresses(&udp(&cluster, WEB, RecordType::A).await).len(), 3);
}

#[tokio::test]
async fn publish_not_ready_addresses_lists_them_all() {
    let cluster = shop().start().await.unwrap();
    let web = web(&cluster, 2).await;
    let all = cluster.service("all").selects(&web).port("http", 8080);
    all.publish_not_ready_addresses().create().unwrap();
    web.set_ready("web-0", false).unwrap();
    let answer = udp(&cluster, &cluster.fqdn("all"), RecordType::A).await;
    assert_eq!(addresses(&answer).len(), 2);
    assert_eq!(addresses(&udp(&cluster, WEB, RecordType::A).await).len(), 1);
}

#[tokio::test]
async fn reverse_names_lead_to_each_service_that_lists_the_pod() {
    let cluster = shop().dual_stack(true).start().await.unwrap();
    let web = web(&cluster, 2).await;
    cluster.service("read").selects(&web).create().unwrap();
    let pod = &web.pods()[1];
    let dashed = pod.ip().to_string().replace('.', "-");
    let answer = udp(&cluster, &reverse(pod.ip()), RecordType::PTR).await;
    let names: Vec<_> = answer.answers.iter().map(|r| r.data.to_string()).collect();
    let expected = [
        format!("{dashed}.read.shop.svc.cluster.local."),
        "web-1.web.shop.svc.cluster.local.".to_owned(),
    ];
    assert_eq!(names, expected);
    let v6: hickory_proto::rr::Name = pod.ipv6().unwrap().into();
    let answer = udp(&cluster, &v6.to_ascii(), RecordType::PTR).await;
    assert_eq!(answer.answers.len(), 2);
    let unknown = udp(&cluster, "1.2.0.192.in-addr.arpa.", RecordType::PTR).await;
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(unknown.authorities[0].name.to_ascii(), "in-addr.arpa.");
}

#[tokio::test]
async fn dual_stack_pods_have_both_families() {
    let cluster = shop().dual_stack(true).start().await.unwrap();
    let web = web(&cluster, 2).await;
    let v6 = udp(&cluster, WEB, RecordType::AAAA).await;
    let expected: Vec<IpAddr> = web.pods().iter().map(|p| p.ipv6().unwrap().into()).collect();
    assert_eq!(addresses(&v6), expected);
    let srv = udp(&cluster, HTTP, RecordType::SRV).await;
    assert_eq!((srv.answers.len(), srv.additionals.len()), (2, 4));
    assert_eq!(targets(&srv)[0].2, 50);
}

#[tokio::test]
async fn the_schema_version_is_published() {
    let cluster = shop().start().await.unwrap();
    let answer = udp(&cluster, "dns-version.cluster.local.", RecordType::TXT).await;
    assert_eq!(answer.answers[0].data.to_string(), "1.1.0");
}

#[tokio::test]
async fn addresses_are_shuffled_and_srv_is_not() {
    let cluster = shop().start().await.unwrap();
    web(&cluster, 20).await;
    let order = async |rtype, name| {
        let (message, _) = udp_sized(&cluster, name, rtype, Some(4096)).await;
        let answers: Vec<_> = message.answers.iter().map(ToString::to_string).collect();
        let more: Vec<_> = message.additionals.iter().map(ToString::to_string).collect();
        (answers, more)
    };
    let first = order(RecordType::A, WEB).await;
    assert_ne!(first.0, order(RecordType::A, WEB).await.0);
    let (srv, additional) = order(RecordType::SRV, HTTP).await;
    let (srv_again, additional_again) = order(RecordType::SRV, HTTP).await;
    assert_eq!(srv, srv_again);
    assert_ne!(additional, additional_again);
}

fn reverse(ip: std::net::Ipv4Addr) -> String {
    let [a, b, c, d] = ip.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
}
