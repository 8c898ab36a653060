//! `Balancer::acquire`, with paused time: choosing, waiting, moving on to other pods, and every
//! error with its text.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use std::time::Duration;

use headless::policy::{Fallback, RoleAware, RoundRobin};
use headless::{AcquireError, Balancer, BuildError, Outcome, PoolConfig, Role, RoleRule, Route};
use tokio::time::Instant;

use self::support::{Dial, FakeDns, FakePods, found, nothing, pass, pod, settle};

async fn balancer(dns: &FakeDns, pods: &FakePods) -> Balancer<FakePods> {
    Balancer::builder(dns.watch().await, pods.clone())
        .policy(RoundRobin::default())
        .build()
        .unwrap()
}

fn in_flight(balancer: &Balancer<FakePods>) -> u32 {
    balancer.stats().endpoints.iter().map(|pod| pod.in_flight).sum()
}

#[tokio::test(start_paused = true)]
async fn equal_pods_get_equal_shares_under_round_robin_over_reused_connections() {
    let (dns, pods) = (
        FakeDns::new(found([pod(0, 1), pod(1, 2), pod(2, 3)])),
        FakePods::default(),
    );
    let balancer = balancer(&dns, &pods).await;
    let mut shares = std::collections::BTreeMap::new();
    for _ in 0..300 {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        *shares.entry(lease.endpoint().pod().unwrap().to_string()).or_insert(0) += 1;
        lease.finish(Outcome::Success);
    }
    assert_eq!(shares.into_values().collect::<Vec<_>>(), [100, 100, 100]);
    assert_eq!(pods.attempts(), 3, "one connection per pod is enough for one caller");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_refuses_is_skipped_then_unhealthy_then_taken_back() {
    let (dns, pods) = (
        FakeDns::new(found([pod(0, 1), pod(1, 2), pod(2, 3)])),
        FakePods::default(),
    );
    pods.set(&pod(1, 2), Dial::Refuses);
    let balancer = balancer(&dns, &pods).await;
    for _ in 0..30 {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        assert_ne!(lease.endpoint().pod().unwrap().as_str(), "web-1");
        lease.finish(Outcome::Success);
    }
    assert!(balancer.stats().endpoints[1].unhealthy);
    assert_eq!(
        pods.attempts(),
        3,
        "the dead pod was dialled once; after that callers stay away"
    );

    pods.set(&pod(1, 2), Dial::Succeeds);
    pass(Duration::from_millis(250)).await;
    assert!(
        !balancer.stats().endpoints[1].unhealthy,
        "a probe of ours found it, no caller had to"
    );
    let mut seen = false;
    for _ in 0..6 {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        seen |= lease.endpoint().pod().unwrap().as_str() == "web-1";
        lease.finish(Outcome::Success);
    }
    assert!(seen);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_refuses_is_probed_by_one_dial_at_a_time_with_growing_waits() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    pods.set(&pod(1, 2), Dial::Refuses);
    let balancer = balancer(&dns, &pods).await;
    for _ in 0..4 {
        balancer.acquire(Route::any()).await.unwrap().finish(Outcome::Success);
    }
    let before = pods.attempts();
    pass(Duration::from_secs(60)).await;
    let probes = pods.attempts() - before;
    assert!(
        (14..=24).contains(&probes),
        "{probes} probes in a minute: 0.2 s growing to 5 s"
    );
}

#[tokio::test(start_paused = true)]
async fn all_pods_down_waits_and_succeeds_as_soon_as_one_is_back() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    pods.set(&pod(0, 1), Dial::Refuses);
    pods.set(&pod(1, 2), Dial::Refuses);
    let balancer = balancer(&dns, &pods).await;
    let waiting = tokio::spawn({
        let balancer = balancer.clone();
        async move {
            balancer
                .acquire(Route::any())
                .await
                .map(|lease| lease.endpoint().to_string())
        }
    });
    pass(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    pods.set(&pod(1, 2), Dial::Succeeds);
    assert_eq!(waiting.await.unwrap().unwrap(), "web-1 (10.0.0.2:80)");
}

#[tokio::test(start_paused = true)]
async fn all_pods_down_ends_at_the_deadline_with_the_last_connect_error() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    pods.set(&pod(0, 1), Dial::Refuses);
    pods.set(&pod(1, 2), Dial::Refuses);
    let balancer = balancer(&dns, &pods).await;
    let start = Instant::now();
    let error = balancer.acquire(Route::any()).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert!(matches!(error, AcquireError::Unreachable { tried: 2, .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("no pod of web.shop.svc.cluster.local:http can be reached (2 tried"),
        "{text}"
    );
    assert!(text.contains("connection refused"), "{text}");
    assert_eq!(in_flight(&balancer), 0);
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_all_misconfigured_end_it_at_once() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    pods.set(&pod(0, 1), Dial::RefusesForGood);
    pods.set(&pod(1, 2), Dial::RefusesForGood);
    let balancer = balancer(&dns, &pods).await;
    let start = Instant::now();
    for _ in 0..2 {
        let error = balancer.acquire(Route::any()).await.unwrap_err();
        assert!(matches!(error, AcquireError::Unreachable { tried: 2, .. }), "{error:?}");
        assert!(error.to_string().ends_with(": another protocol"), "{error}");
    }
    let only = [pod(1, 2).key().clone()];
    let error = balancer.acquire_from(Route::any(), &only).await.unwrap_err();
    assert!(matches!(error, AcquireError::Unreachable { tried: 1, .. }), "{error:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
    // The other one may come up.
    pods.set(&pod(0, 1), Dial::Refuses);
    let waiting = tokio::spawn(async move { balancer.acquire(Route::any()).await.map(drop) });
    pass(Duration::from_secs(2)).await;
    assert!(!waiting.is_finished());
    pods.set(&pod(0, 1), Dial::Succeeds);
    waiting.await.unwrap().unwrap();
}

#[test]
fn a_runtime_that_has_shut_down_is_named_at_once() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let ended = runtime();
    let balancer = ended.block_on(async {
        let dns = FakeDns::new(found([pod(0, 1), pod(1, 2)]));
        balancer(&dns, &FakePods::default()).await
    });
    drop(ended);
    runtime().block_on(async {
        tokio::time::pause();
        let start = Instant::now();
        let error = balancer.acquire(Route::any()).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
        let text = error.to_string();
        assert!(
            text.contains("the tokio runtime on which the balancer was made has shut down"),
            "{text}"
        );
    });
}

#[test]
fn a_runtime_that_is_not_driven_is_named_after_the_connect_timeout() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let idle = runtime();
    for (limit, says) in [(5, "for 2s;"), (1, "for 1s;")] {
        let balancer = idle.block_on(async {
            let dns = FakeDns::new(found([pod(0, 1), pod(1, 2)]));
            Balancer::builder(dns.watch().await, FakePods::default())
                .acquire_timeout(Duration::from_secs(limit))
                .build()
                .unwrap()
        });
        runtime().block_on(async {
            tokio::time::pause();
            let start = Instant::now();
            let text = balancer.acquire(Route::any()).await.unwrap_err().to_string();
            assert_eq!(start.elapsed().as_secs(), limit.min(2));
            assert!(text.contains("has not begun the attempt"), "{text}");
            assert!(text.contains(says), "{text}");
        });
        // Driven again, it serves.
        idle.block_on(async { balancer.acquire(Route::any()).await.unwrap().finish(Outcome::Success) });
    }
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_ends_at_the_connect_timeout_and_another_pod_serves() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    pods.set(&pod(0, 1), Dial::Hangs);
    let balancer = balancer(&dns, &pods).await;
    let start = Instant::now();
    for _ in 0..4 {
        let lease = balancer.acquire(Route::any()).await.unwrap();
        assert_eq!(lease.endpoint().pod().unwrap().as_str(), "web-1");
        lease.finish(Outcome::Success);
    }
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(2),
        "one caller paid the connect timeout, once"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_is_waited_out_up_to_the_deadline_then_says_why() {
    let (dns, pods) = (FakeDns::new(nothing()), FakePods::default());
    let balancer = balancer(&dns, &pods).await;
    let error = balancer.acquire(Route::any()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            AcquireError::NoEndpoints {
                last_good_age: None,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        text.contains("web.shop.svc.cluster.local:http has no ready pod (waited 5s; none was ever found"),
        "{text}"
    );
    assert!(
        text.contains("A web.shop.svc.cluster.local. answered with NXDOMAIN"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_appears_serves_the_waiters() {
    let (dns, pods) = (FakeDns::new(nothing()), FakePods::default());
    let balancer = balancer(&dns, &pods).await;
    let waiting = tokio::spawn({
        let balancer = balancer.clone();
        async move {
            balancer
                .acquire(Route::any())
                .await
                .map(|lease| lease.endpoint().to_string())
        }
    });
    settle().await;
    dns.says(found([pod(0, 1)]));
    assert_eq!(waiting.await.unwrap().unwrap(), "web-0 (10.0.0.1:80)");
}

#[tokio::test(start_paused = true)]
async fn an_emptied_set_tells_the_age_of_the_last_good_answer() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let balancer = balancer(&dns, &pods).await;
    dns.says(nothing());
    let mut discovery = balancer.discovery().clone();
    discovery.wait_for(|snapshot| snapshot.is_empty()).await.unwrap();
    let error = balancer.acquire(Route::any()).await.unwrap_err();
    let AcquireError::NoEndpoints {
        last_good_age: Some(age),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(
        age >= Duration::from_secs(20),
        "{age:?}: 15 s of doubt and 5 s of waiting"
    );
    assert!(error.to_string().contains("pods were last found"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_at_the_limit_waits_for_a_returned_connection() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .max_connections_per_endpoint(1)
        .build()
        .unwrap();
    let held = balancer.acquire(Route::any()).await.unwrap();
    let waiting = tokio::spawn({
        let balancer = balancer.clone();
        async move { balancer.acquire(Route::any()).await.unwrap().finish(Outcome::Success) }
    });
    settle().await;
    assert_eq!(
        (balancer.stats().endpoints[0].pool.waiting, in_flight(&balancer)),
        (1, 2)
    );
    held.finish(Outcome::Success);
    waiting.await.unwrap();
    assert_eq!((pods.attempts(), in_flight(&balancer)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_at_the_limit_times_out_with_the_counts() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .max_connections_per_endpoint(1)
        .build()
        .unwrap();
    let _held = balancer.acquire(Route::any()).await.unwrap();
    let error = balancer.acquire(Route::any()).await.unwrap_err();
    assert!(
        matches!(
            error,
            AcquireError::Timeout {
                busy: 1,
                connecting: 0,
                limit: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("no connection to web-0 (10.0.0.1:80) within 5s: waiting for one in use to come back (1 in use"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let mut pool = PoolConfig::default();
    (pool.max_connections_per_endpoint, pool.max_waiters_per_endpoint) = (1, 1);
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .pool(pool)
        .build()
        .unwrap();
    let _held = balancer.acquire(Route::any()).await.unwrap();
    let _waiting = tokio::spawn({
        let balancer = balancer.clone();
        async move { balancer.acquire(Route::any()).await.map(|_| ()) }
    });
    settle().await;
    let start = Instant::now();
    let error = balancer.acquire(Route::any()).await.unwrap_err();
    assert!(matches!(error, AcquireError::Overloaded { limit: 1, .. }), "{error:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_to_another_pod_and_back_only_if_there_is_no_other() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    let balancer = balancer(&dns, &pods).await;
    let tried = vec![pod(0, 1).key().clone()];
    for _ in 0..10 {
        let lease = balancer.acquire_excluding(Route::any(), &tried).await.unwrap();
        assert_eq!(lease.endpoint().pod().unwrap().as_str(), "web-1");
        lease.finish(Outcome::Success);
    }
    let both = vec![pod(0, 1).key().clone(), pod(1, 2).key().clone()];
    balancer
        .acquire_excluding(Route::any(), &both)
        .await
        .unwrap()
        .finish(Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn with_something_to_fall_back_on_nothing_is_waited_for() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    let balancer = balancer(&dns, &pods).await;
    let (one, other) = (pod(0, 1).key().clone(), pod(1, 2).key().clone());
    let start = Instant::now();
    for _ in 0..10 {
        let tried = [one.clone()];
        let lease = balancer.acquire_other(Route::any(), &tried).await.unwrap();
        assert_eq!(lease.endpoint().key(), &other);
        lease.finish(Outcome::Success);
    }
    let tried = [one.clone(), other.clone(), one.clone()];
    let error = balancer.acquire_other(Route::any(), &tried).await.unwrap_err();
    assert!(
        matches!(error, AcquireError::NoneOfRequested { requested: 0, .. }),
        "{error:?}"
    );
    // The connections to it end, and it can no longer be connected to.
    assert!(balancer.evict(&other));
    pods.set(&pod(1, 2), Dial::Refuses);
    let error = balancer.acquire_other(Route::any(), &tried[..1]).await.unwrap_err();
    assert!(matches!(error, AcquireError::Unreachable { tried: 1, .. }), "{error:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_back_at_once_if_no_other_pod_can_be_reached() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    let balancer = balancer(&dns, &pods).await;
    pods.set(&pod(1, 2), Dial::Refuses);
    let start = Instant::now();
    let lease = balancer
        .acquire_excluding(Route::any(), &[pod(0, 1).key().clone()])
        .await
        .unwrap();
    assert_eq!(lease.endpoint().pod().unwrap().as_str(), "web-0");
    assert_eq!(start.elapsed(), Duration::ZERO, "it need not wait for the other");
    lease.finish(Outcome::Success);
}

fn role_aware(fallback: Fallback) -> RoleAware<RoundRobin> {
    RoleAware::new(RoundRobin::default()).fallback(fallback)
}

#[tokio::test(start_paused = true)]
async fn writes_go_to_ordinal_zero_and_reads_to_the_others() {
    let (dns, pods) = (
        FakeDns::new(found([pod(0, 1), pod(1, 2), pod(2, 3)])),
        FakePods::default(),
    );
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .policy(role_aware(Fallback::Strict))
        .build()
        .unwrap();
    for _ in 0..50 {
        let write = balancer.acquire(Route::write()).await.unwrap();
        assert_eq!(write.endpoint().ordinal().unwrap().get(), 0);
        let read = balancer.acquire(Route::read()).await.unwrap();
        assert_ne!(read.endpoint().ordinal().unwrap().get(), 0);
        write.finish(Outcome::Success);
        read.finish(Outcome::Success);
    }
    assert_eq!(balancer.stats().endpoints[0].role, Some(Role::Primary));
}

#[tokio::test(start_paused = true)]
async fn a_write_without_a_primary_waits_and_then_says_so() {
    let (dns, pods) = (FakeDns::new(found([pod(1, 2), pod(2, 3)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .policy(role_aware(Fallback::Strict))
        .build()
        .unwrap();
    let error = balancer.acquire(Route::write()).await.unwrap_err();
    assert!(
        matches!(
            error,
            AcquireError::NoSuchRole {
                role: Role::Primary,
                endpoints: 2,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("none of the 2 pods of web.shop.svc.cluster.local:http is a primary"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_the_primary_to_come_back_and_reaches_no_other() {
    let (dns, pods) = (FakeDns::new(found([pod(1, 2), pod(2, 3)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .policy(role_aware(Fallback::Strict))
        .build()
        .unwrap();
    let write = tokio::spawn({
        let balancer = balancer.clone();
        async move {
            balancer
                .acquire(Route::write())
                .await
                .map(|lease| lease.endpoint().to_string())
        }
    });
    settle().await;
    dns.says(found([pod(0, 9), pod(1, 2), pod(2, 3)]));
    assert_eq!(write.await.unwrap().unwrap(), "web-0 (10.0.0.9:80)");
}

#[tokio::test(start_paused = true)]
async fn the_rule_of_roles_can_be_replaced_at_run_time() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1), pod(1, 2)])), FakePods::default());
    let balancer = Balancer::builder(dns.watch().await, pods.clone())
        .policy(role_aware(Fallback::Strict))
        .build()
        .unwrap();
    balancer.set_roles(RoleRule::primary_is(headless::Ordinal::new(1)));
    let write = balancer.acquire(Route::write()).await.unwrap();
    assert_eq!(write.endpoint().ordinal().unwrap().get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_role_under_a_policy_without_roles_is_refused_not_ignored() {
    let (dns, pods) = (FakeDns::new(found([pod(0, 1)])), FakePods::default());
    let balancer = balancer(&dns, &pods).await;
    let error = balancer.acquire(Route::write()).await.unwrap_err();
    assert!(
        matches!(
            error,
            AcquireError::RolesNotConfigured {
                role: Role::Primary,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(balancer.try_acquire(Route::write()).is_none());
    assert!(error.to_string().contains("wrap it in `RoleAware`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn roles_by_ordinal_on_pods_without_ordinals_are_refused_at_build() {
    let nameless = headless::Endpoint::new(([10, 0, 0, 1], 80).into());
    let dns = FakeDns::new(found([nameless]));
    let error = Balancer::builder(dns.watch().await, FakePods::default())
        .policy(role_aware(Fallback::Strict))
        .build()
        .unwrap_err();
    assert!(matches!(error, BuildError::NoOrdinals { pods: 1, .. }), "{error:?}");
    for says in [
        "web.shop.svc.cluster.local:http",
        "none of its 1 pods has one",
        "SRV of the named port",
        "serviceName",
    ] {
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_work_are_refused_by_name() {
    type Case = (&'static str, &'static str, fn(&mut PoolConfig));
    const ONE: &str = "it must be at least 1";
    const TIME: &str = "it must be longer than zero";
    const LIFE: &str = "it must not be longer than `max_lifetime`";
    const SECOND: Duration = Duration::from_secs(1);
    let cases: [Case; 16] = [
        ("max_connections_per_endpoint", ONE, |c| {
            c.max_connections_per_endpoint = 0
        }),
        ("max_connections_total", ONE, |c| c.max_connections_total = Some(0)),
        ("max_connecting_per_endpoint", ONE, |c| {
            c.max_connecting_per_endpoint = 0
        }),
        ("max_waiters_per_endpoint", ONE, |c| c.max_waiters_per_endpoint = 0),
        ("connect_timeout", TIME, |c| c.connect_timeout = Duration::ZERO),
        ("idle_timeout", TIME, |c| c.idle_timeout = Duration::ZERO),
        ("max_lifetime", TIME, |c| c.max_lifetime = Some(Duration::ZERO)),
        ("validate_after_idle", TIME, |c| {
            c.validate_after_idle = Some(Duration::ZERO)
        }),
        ("keep_alive", TIME, |c| c.keep_alive = Some(Duration::ZERO)),
        ("drain_timeout", TIME, |c| c.drain_timeout = Duration::ZERO),
        (
            "min_idle_per_endpoint",
            "it must not be above `max_connections_per_endpoint`",
            |c| {
                (c.max_connections_per_endpoint, c.min_idle_per_endpoint) = (4, 5);
            },
        ),
        (
            "min_idle_per_endpoint",
            "it must not be above `max_connections_total`",
            |c| {
                (c.max_connections_total, c.min_idle_per_endpoint) = (Some(4), 5);
            },
        ),
        ("connect_timeout", LIFE, |c| c.max_lifetime = Some(SECOND)),
        ("idle_timeout", LIFE, |c| c.max_lifetime = Some(30 * SECOND)),
        ("validate_after_idle", LIFE, |c| {
            c.validate_after_idle = Some(31 * 60 * SECOND)
        }),
        ("keep_alive", LIFE, |c| c.keep_alive = Some(31 * 60 * SECOND)),
    ];
    let dns = FakeDns::new(found([pod(0, 1)]));
    for (field, rule, change) in cases {
        let mut config = PoolConfig::default();
        change(&mut config);
        let error = Balancer::builder(dns.watch().await, FakePods::default())
            .pool(config)
            .build()
            .unwrap_err();
        assert_eq!(error, BuildError::Config { field, rule });
        assert_eq!(error.to_string(), format!("`{field}` cannot be used: {rule}"));
    }
    let mut at_the_edge = PoolConfig::default();
    (
        at_the_edge.max_connections_per_endpoint,
        at_the_edge.min_idle_per_endpoint,
    ) = (4, 4);
    (at_the_edge.max_connections_total, at_the_edge.max_lifetime) = (Some(4), Some(at_the_edge.idle_timeout));
    let built = Balancer::builder(dns.watch().await, FakePods::default()).pool(at_the_edge);
    assert!(built.build().is_ok());
    let built = Balancer::builder(dns.watch().await, FakePods::default())
        .acquire_timeout(Duration::ZERO)
        .build();
    assert!(matches!(
        built,
        Err(BuildError::Config {
            field: "acquire_timeout",
            ..
        })
    ));
}
