//! For any records in any order: no panic, no endpoint twice, no pod of another Service, bounded
//! work.

use std::net::{Ipv4Addr, Ipv6Addr};

use headless_core::Answer;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRunner};

use super::*;

/// Names: pods of the Service, the Service, its port, other Services, other zones, and invalid
/// names.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (0..6_u32).prop_map(|k| under_service(&format!("web-{k}"))),
        2 => (0..3_u32).prop_map(|k| under_service(&format!("10-0-0-{k}"))),
        3 => Just(SERVICE.to_owned()),
        3 => Just(NAMED.to_owned()),
        1 => Just("web-0.api.shop.svc.cluster.local.".to_owned()),
        1 => Just("a.web-0.web.shop.svc.cluster.local.".to_owned()),
        1 => Just("evil.example.com.".to_owned()),
        1 => Just(".".to_owned()),
        1 => Just(String::new()),
        1 => "[ -~]{0,80}",
        1 => "[a-z0-9-]{1,70}".prop_map(|label| under_service(&format!("{label}.").replace("..", ".")) + SERVICE),
    ]
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        6 => (0..8_u8).prop_map(|k| IpAddr::from([10, 0, 0, k])),
        3 => (0..4_u16).prop_map(|k| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, k])),
        1 => Just(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        1 => Just(IpAddr::from(Ipv4Addr::BROADCAST)),
        1 => Just(IpAddr::from([224, 0, 0, 1])),
        1 => Just(IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        1 => any::<Ipv4Addr>().prop_map(IpAddr::from),
        1 => any::<Ipv6Addr>().prop_map(IpAddr::from),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        4 => ip().prop_map(Data::Ip),
        4 => (name(), prop_oneof![Just(80_u16), Just(0), any::<u16>()])
            .prop_map(|(target, port)| Data::Srv { target, port }),
        1 => name().prop_map(Data::Name),
        1 => name().prop_map(Data::Alias),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let ttl = prop_oneof![Just(0), Just(5), any::<u32>().prop_map(u64::from)];
    (name(), ttl, data()).prop_map(|(owner, ttl, data)| record(&owner, ttl, data))
}

/// Most records are those of the name in the question: others do not pass the first check.
fn records(question: Question) -> impl Strategy<Value = Records> {
    let own = move |records: Vec<Record>, is_own: bool| {
        let fits = |record: &Record| match question.kind {
            Kind::A | Kind::Aaaa => matches!(record.data, Data::Ip(_)),
            Kind::Srv => matches!(record.data, Data::Srv { .. }),
            Kind::Ptr => matches!(record.data, Data::Name(_)),
        };
        let own = |mut record: Record| {
            record.owner.clone_from(&question.name);
            record
        };
        if is_own {
            records.into_iter().filter(fits).map(own).collect()
        } else {
            records
        }
    };
    (
        vec(any_record(), 0..10),
        vec(any_record(), 0..10),
        prop::bool::weighted(0.95),
        prop::bool::weighted(0.2),
    )
        .prop_map(move |(answers, additionals, is_own, truncated)| Records {
            answers: own(answers, is_own),
            additionals,
            truncated,
        })
}

fn reply(question: Question) -> impl Strategy<Value = Reply> {
    let denied = LookupError::Negative(Negative::new(NegativeKind::NoSuchName, None, "scripted"));
    prop_oneof![
        8 => records(question).prop_map(Ok),
        1 => Just(Err(denied)),
        1 => Just(Err(LookupError::Truncated)),
        1 => Just(failing(FailureKind::ServFail)),
    ]
}

/// A DNS with an arbitrary reply to each question that can occur, and to some others.
fn zone() -> impl Strategy<Value = Vec<(Question, Reply)>> {
    let mut questions = Vec::new();
    let mut names: Vec<String> = (0..6).map(|k| under_service(&format!("web-{k}"))).collect();
    names.extend([SERVICE.to_owned(), NAMED.to_owned()]);
    for name in names {
        questions.extend([Kind::A, Kind::Aaaa, Kind::Srv].map(|kind| Question::new(kind, name.clone())));
    }
    questions.extend((0..8).map(|k| Question::reverse(IpAddr::from([10, 0, 0, k]))));
    questions
        .into_iter()
        .map(|question| reply(question.clone()).prop_map(move |reply| (question.clone(), reply)))
        .collect::<Vec<_>>()
}

fn check(answer: &Answer, family: IpFamily, port: Option<u16>) {
    let mut seen = BTreeSet::new();
    let mut addresses = BTreeMap::new();
    for endpoint in &answer.endpoints {
        let addr = endpoint.addr();
        assert!(
            seen.insert((endpoint.pod().cloned(), addr)),
            "{endpoint} twice in {answer:?}"
        );
        let ip = addr.ip();
        assert!(
            !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::from(Ipv4Addr::BROADCAST),
            "{endpoint}"
        );
        assert!(
            if ip.is_ipv4() {
                family.wants_v4()
            } else {
                family.wants_v6()
            },
            "{endpoint} for {family:?}"
        );
        assert_ne!(addr.port(), 0);
        assert!(port.is_none_or(|port| port == addr.port()), "{endpoint}");
        if let Some(pod) = endpoint.pod() {
            assert!(!pod.as_str().contains('.'), "{pod} is a label, of our Service");
        } else {
            assert!(addresses.insert(addr, ()).is_none(), "{endpoint} twice");
        }
    }
    assert!(answer.endpoints.len() <= 10 * 10 + 20 * 7, "{}", answer.endpoints.len());
    assert!(!answer.endpoints.is_empty(), "no pods are no answer");
    assert!(answer.ttl <= Duration::from_secs(u32::MAX.into()));
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Returns the seed, which is printed. `HEADLESS_SEED` repeats a run.
fn seed() -> u64 {
    let given = number("HEADLESS_SEED");
    // The standard library's hashers are seeded at random.
    given.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0))
}

#[test]
fn whatever_dns_says_the_answer_is_sound() {
    let seed = seed();
    eprintln!("HEADLESS_SEED={seed}");
    let config = Config {
        // `HEADLESS_CASES` makes a longer run.
        cases: number("HEADLESS_CASES")
            .and_then(|cases| u32::try_from(cases).ok())
            .unwrap_or(50),
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let family = prop_oneof![
        Just(IpFamily::PreferV4),
        Just(IpFamily::PreferV6),
        Just(IpFamily::V4Only),
        Just(IpFamily::V6Only)
    ];
    let port = prop_oneof![Just("http"), Just("80"), Just("")];
    let set = prop_oneof![Just(None), Just(Some("web"))];
    let found = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&(zone(), zone(), family, port, set, any::<bool>()), |case| {
        let (first, second, family, port, set, external_name) = case;
        let script = Script::default();
        let lookup = Setup {
            family,
            set,
            external_name,
            ..Setup::port(port)
        }
        .lookup(&script);
        runtime.block_on(async {
            // What the first answers have taught must do no harm to the next.
            for zone in [first, second] {
                for (question, reply) in zone {
                    script.set(question.kind, &question.name, reply);
                }
                for _ in 0..2 {
                    script.count();
                    if let Resolution::Found(answer) = lookup.resolve().await {
                        found.set(found.get() + 1);
                        check(&answer, family, port.parse().ok());
                    }
                    let asked = script.count();
                    assert!(asked <= 400, "{asked} questions for a few dozen records");
                    tokio::time::advance(Duration::from_secs(31)).await;
                }
            }
        });
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("HEADLESS_SEED={seed}: {error}"));
    assert!(
        found.get() > 5,
        "the records must not be so wild that none is ever used: {}",
        found.get()
    );
}
