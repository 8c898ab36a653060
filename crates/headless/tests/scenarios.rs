//! Scenarios as data: each file of `scenarios/` tells what DNS says, what the pods do, and what a caller must see, over time.
//!
//! `scenarios/script.rs` has the language, `scenarios/runner.rs` plays it: paused time, fake DNS and pods, and a real
//! `Discovery` and `Balancer`. E1 to E10 are experiments: what was seen is printed (`-- --nocapture`).
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
                for seen in runner::play(name, include_str!(concat!("scenarios/", stringify!($name), ".txt"))).await {
                    println!("{seen}");
                }
            }
        )*
        const LISTED: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    a_dead_pod_brings_the_look_forward
    a_dead_pod_is_avoided_while_dns_still_lists_it
    a_dead_set_asks_dns_at_most_once_a_second
    a_gap_in_the_ordinals
    a_half_answer_that_is_confirmed_is_believed
    a_long_ttl_does_not_delay
    a_pod_under_a_new_address
    a_positive_answer_ends_the_negatives
    a_removed_pod_finishes_its_work
    all_addresses_replaced_by_nonsense_is_bounded
    all_addresses_replaced_keeps_the_old_until_a_new_one_works
    behind_a_cache_a_dead_set_asks_less
    dns_dead_for_60_s_foreign
    dns_dead_for_60_s_io
    dns_dead_for_60_s_malformed
    dns_dead_for_60_s_misconfigured
    dns_dead_for_60_s_refused
    dns_dead_for_60_s_servfail
    dns_dead_for_60_s_timeout
    dns_dead_for_60_s_toolarge
    dns_silent_for_60_s
    e10_queries_in_a_storm_of_nxdomain
    e10_queries_in_a_storm_with_callers
    e1_rolling_restart_behind_a_cache
    e1_rolling_restart_with_grace
    e1_rolling_restart_without_grace
    e2_scale_down_from_20_to_5
    e2_scale_up_from_5_to_20
    e4_all_pods_down_for_70_s
    e4_all_pods_down_for_70_s_behind_a_cache
    e4_all_pods_down_for_70_s_while_dns_lists_them
    e5_a_reused_address_of_a_stranger
    e5_a_reused_address_under_another_name
    e5_a_reused_address_while_removals_are_held
    e7_one_new_pod_and_a_thousand_clients
    e9_queries_per_hour_behind_a_cache
    e9_queries_per_hour_without_a_cache
    half_answers_flap
    names_that_look_like_ordinals
    nodata_is_treated_as_nxdomain
    nxdomain_at_the_start_says_so
    nxdomain_at_the_start_then_pods
    nxdomain_flaps_with_live_pods
    nxdomain_for_good_empties_the_set
    one_pod_with_several_addresses
    servfail_flaps_with_live_pods
    too_many_endpoints_are_refused
    too_many_endpoints_at_the_start
    truncated_answers_never_remove
    ttl_zero_does_not_spin
    two_sets_under_one_service
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
        ("\n0s dns fund web-0@10.0.0.1\n", 2, "DNS cannot say `fund`"),
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
