//! The confirmation of names: how soon a reused IP is detected, and what that costs. Time is
//! paused.

use super::*;

fn pods(script: &Script, count: usize) {
    let ips: Vec<String> = (0..count)
        .map(|k| format!("10.0.{}.{}", k / 250, k % 250 + 1))
        .collect();
    script.ips(SERVICE, &ips.iter().map(String::as_str).collect::<Vec<_>>());
    for (k, ip) in ips.iter().enumerate() {
        script.pod(&format!("web-{k}"), ip);
    }
}

async fn lookup_after(lookup: &Lookup, seconds: u64) -> Vec<String> {
    tokio::time::advance(Duration::from_secs(seconds)).await;
    found(lookup).await.1
}

#[tokio::test(start_paused = true)]
async fn an_ip_that_passed_to_another_pod_unnoticed_is_detected_within_half_a_minute() {
    for set in [None, Some("web")] {
        let script = Script::default();
        pods(&script, 3);
        let lookup = v4_lookup(&script, set);
        found(&lookup).await;
        // web-0 and web-1 swap their addresses between two lookups: the set of addresses is the
        // same.
        script.pod("web-0", "10.0.0.2").pod("web-1", "10.0.0.1");
        let stale = [
            "web-0 (10.0.0.1:80) #0",
            "web-1 (10.0.0.2:80) #1",
            "web-2 (10.0.0.3:80) #2",
        ];
        let fresh = [
            "web-1 (10.0.0.1:80) #1",
            "web-0 (10.0.0.2:80) #0",
            "web-2 (10.0.0.3:80) #2",
        ];
        for _ in 0..5 {
            assert_eq!(lookup_after(&lookup, 5).await, stale);
        }
        assert_eq!(lookup_after(&lookup, 5).await, fresh, "{set:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_denied_now_and_then_is_kept_and_one_denied_for_good_is_not() {
    for set in [None, Some("web")] {
        let script = Script::default();
        pods(&script, 2);
        let lookup = v4_lookup(&script, set);
        let (_, named) = found(&lookup).await;
        for _ in 0..2 {
            script.remove(Kind::A, &under_service("web-1"));
            assert_eq!(lookup_after(&lookup, 30).await, named);
            assert_eq!(lookup_after(&lookup, 5).await, named);
            script.pod("web-1", "10.0.0.2");
            assert_eq!(lookup_after(&lookup, 5).await, named);
        }
        script
            .remove(Kind::A, &under_service("web-1"))
            .remove(Kind::Ptr, "2.0.0.10.in-addr.arpa.");
        assert_eq!(lookup_after(&lookup, 30).await, named);
        assert_eq!(lookup_after(&lookup, 5).await, named);
        assert_eq!(
            lookup_after(&lookup, 5).await,
            ["web-0 (10.0.0.1:80) #0", "10.0.0.2:80"],
            "{set:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_ip_whose_pod_is_gone_is_known_by_its_new_name_at_once_where_ptr_tells() {
    let script = Script::default();
    pods(&script, 2);
    let lookup = v4_lookup(&script, None);
    found(&lookup).await;
    script.remove(Kind::A, &under_service("web-1")).pod("web-7", "10.0.0.2");
    assert_eq!(
        lookup_after(&lookup, 30).await,
        ["web-0 (10.0.0.1:80) #0", "web-7 (10.0.0.2:80) #7"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dns_that_does_not_confirm_changes_no_name_and_is_left_alone() {
    let script = Script::default();
    pods(&script, 40);
    let lookup = v4_lookup(&script, None);
    let (_, named) = found(&lookup).await;
    for k in 0..40 {
        script.set(
            Kind::A,
            &under_service(&format!("web-{k}")),
            failing(FailureKind::Timeout),
        );
    }
    script.count();
    assert_eq!(lookup_after(&lookup, 30).await, named);
    assert!(script.count() <= 1 + 16);
    assert_eq!(lookup_after(&lookup, 5).await, named);
    assert_eq!(script.asked(), ["A web"], "a pause after the failure");
}

#[tokio::test(start_paused = true)]
async fn every_name_is_confirmed_in_turn_and_a_lookup_costs_no_more_than_its_share() {
    for (count, most) in [(3, 3), (16, 16), (96, 16), (1000, 20), (2000, 40)] {
        let script = Script::default();
        pods(&script, count);
        let lookup = v4_lookup(&script, None);
        found(&lookup).await;
        script.count();
        let mut confirmed = BTreeSet::new();
        let mut total = 0;
        for _ in 0..60 {
            assert_eq!(lookup_after(&lookup, 5).await.len(), count);
            let asked: Vec<Question> = script.state.lock().unwrap().asked.drain(..).collect();
            assert!(asked.len() <= 1 + most + 1, "{} questions at {count} pods", asked.len());
            assert!(!asked.iter().any(|question| question.kind == Kind::Ptr), "{count}");
            total += asked.len();
            confirmed.extend(asked.into_iter().filter(|q| q.kind == Kind::A && q.name != SERVICE));
        }
        assert_eq!(confirmed.len(), count, "each within five minutes");
        assert!(
            total <= 61 + (10 * count).min(60 * most),
            "{total} questions at {count} pods"
        );
    }
}
