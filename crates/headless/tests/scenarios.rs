//! Scenarios as data: each file of `scenarios/` says over time what DNS answers, what the pods do,
//! and what callers must observe.
//!
//! `scenarios/script.rs` has the language, `scenarios/runner.rs` runs it: paused time, fake DNS and
//! pods, and a real `Discovery` and `Balancer`. Here is what needs all of them together; the rules
//! of membership alone are in `crates/core/tests/refresh.rs`. E1 to E10 are experiments: `--
//! --nocapture` prints their figures.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "helpers of tests may panic, too; their modules are private"
)]

#[path = "scenarios/runner.rs"]
mod runner;
#[path = "scenarios/script.rs"]
mod script;
mod support;

use self::script::{Script, ScriptError};

/// One test per file, and the list of them.
macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                let name = stringify!($name);
                for observed in runner::run(name, include_str!(concat!("scenarios/", stringify!($name), ".txt"))).await {
                    println!("{observed}");
                }
            }
        )*
        const LISTED: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    a_dead_pod_is_unhealthy_while_dns_still_lists_it
    a_dead_pod_triggers_an_early_resolution
    a_dead_set_asks_dns_at_most_once_a_second
    a_pod_under_a_new_address
    a_removed_pod_finishes_its_work
    all_addresses_replaced_by_unreachable_ones_is_bounded
    all_addresses_replaced_keeps_the_old_until_a_new_one_works
    behind_a_cache_a_dead_set_asks_less
    dns_dead_for_60_s
    dns_silent_for_60_s
    e10_queries_in_a_storm_of_nxdomain
    e10_queries_in_a_storm_with_waiting_calls
    e1_rolling_restart_behind_a_cache
    e1_rolling_restart_with_grace
    e1_rolling_restart_without_grace
    e2_scale_down_from_20_to_5
    e2_scale_up_from_5_to_20
    e4_all_pods_down_for_70_s
    e4_all_pods_down_for_70_s_behind_a_cache
    e4_all_pods_down_for_70_s_while_dns_lists_them
    e5_a_reused_address_of_another_service
    e5_a_reused_address_under_another_name
    e5_a_reused_address_while_removals_are_held
    e7_one_new_pod_and_a_thousand_clients
    e9_queries_per_hour_behind_a_cache
    e9_queries_per_hour_without_a_cache
    nxdomain_at_the_start_says_so
    nxdomain_at_the_start_then_pods
    too_many_endpoints_at_the_start
}

#[test]
fn every_file_is_listed() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut scenarios: Vec<_> = names
        .filter_map(|name| Some(name.strip_suffix(".txt")?.to_owned()))
        .collect();
    scenarios.sort();
    let mut listed = LISTED.to_vec();
    listed.sort_unstable();
    assert_eq!(scenarios, listed);
}

#[test]
fn a_file_that_cannot_be_read_says_where_and_why() {
    for (text, line, what) in [
        ("0s dns found web-0@10.0.0.1\n", 0, "nothing is expected"),
        ("\n0s dns fund web-0@10.0.0.1\n", 2, "DNS cannot answer `fund`"),
        (
            "0s dns found web-0\n",
            1,
            "`web-0` is no pod, such as web-0@10.0.0.1 or web-0..4@10.0.0.1",
        ),
        ("0s dns found\n", 1, "ends where a pod should be"),
        ("5s mark\n3s mark\n", 2, "goes back in time"),
        ("5s mark it\n", 1, "`it` is one word too many"),
        (
            "soon mark\n",
            1,
            "`soon` is no setting, and no time such as 3s or 250ms",
        ),
        ("1s mark\nsoon mark\n", 2, "`soon` is no time, such as 3s or 250ms"),
        ("1s pod 10.0.0.1 sings\n", 1, "no pod can `sings`"),
        ("1s pod ten refuses\n", 1, "`ten` is no address"),
        ("1s expect failed 0\n", 1, "`0` should be =, >= or <="),
        ("1s expect failed = none\n", 1, "`none` is no number"),
        ("1s expect event Fuond = 0\n", 1, "`Fuond` is no event"),
        ("1s load until 3s\n", 1, "a load says `every`"),
        ("clients many\n", 1, "`many` is no number"),
    ] {
        let what = what.to_owned();
        assert_eq!(
            text.parse::<Script>().unwrap_err(),
            ScriptError { line, what },
            "{text}"
        );
    }
}
