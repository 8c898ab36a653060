//! What was replaced is freed by the writer, however a request and a replacement fall together: a
//! request never pays for a set. And what is kept from view to view survives a rule that panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use headless_core::{Diff, Endpoint, Outcome, RoleRule, Route, Snapshot, StaticList, Timestamp};

use super::stress::{Nothing, endpoint};
use crate::backend::Backend;
use crate::discovery::Subscriber;
use crate::view::View;
use crate::{Balancer, Discovery};

/// Of one pod.
async fn balancer() -> Balancer<Nothing> {
    let pod = Endpoint::clone(&endpoint(0));
    let discovery = Discovery::builder(StaticList::new("web", vec![pod])).start().await;
    Balancer::builder(discovery.unwrap(), Nothing).build().unwrap()
}

/// Replaces all pods by another one.
fn replace(balancer: &Balancer<Nothing>) {
    let current = balancer.discovery().snapshot();
    let other = Snapshot::new(current.generation().next(), [endpoint(1)]);
    balancer.state.apply(&other, &Diff::between(&current, &other));
}

fn maintain(balancer: &Balancer<Nothing>) {
    balancer.state.maintain(Timestamp::ZERO);
}

fn current(balancer: &Balancer<Nothing>) -> (Weak<View<Nothing>>, Weak<Backend<Nothing>>) {
    let view = balancer.state.reconciler.view();
    (Arc::downgrade(&view), Arc::downgrade(&view.backends[0]))
}

#[tokio::test]
async fn without_a_reader_a_replaced_view_is_freed_at_once() {
    let balancer = balancer().await;
    let (view, backend) = current(&balancer);
    replace(&balancer);
    assert_eq!((view.strong_count(), backend.strong_count()), (0, 0));
}

#[tokio::test]
async fn a_reader_that_holds_a_view_through_its_replacement_does_not_free_it() {
    let balancer = balancer().await;
    let (view, backend) = current(&balancer);
    let reading = balancer.state.reconciler.view();
    replace(&balancer);
    maintain(&balancer);
    assert_eq!(reading.backends.len(), 1, "it is whole while a reader has it");
    drop(reading);
    assert_eq!(view.strong_count(), 1, "the writer has it, not the reader");
    maintain(&balancer);
    assert_eq!((view.strong_count(), backend.strong_count()), (0, 0));
}

#[tokio::test]
async fn the_next_replacement_frees_what_was_held_at_the_last_one() {
    let balancer = balancer().await;
    let (view, backend) = current(&balancer);
    let reading = balancer.state.reconciler.view();
    replace(&balancer);
    drop(reading);
    balancer.set_roles(RoleRule::default());
    assert_eq!((view.strong_count(), backend.strong_count()), (0, 0));
}

#[tokio::test]
async fn the_last_request_of_an_endpoint_that_left_does_not_free_it() {
    let balancer = balancer().await;
    let (view, backend) = current(&balancer);
    let pick = balancer.pick(Route::any()).expect("there is a pod");
    replace(&balancer);
    assert_eq!(view.strong_count(), 0, "the request has its pod, not the view");
    pick.finish(Outcome::Success);
    assert_eq!(backend.strong_count(), 1, "the writer has it, not the request");
    maintain(&balancer);
    assert_eq!(backend.strong_count(), 0);
}

#[tokio::test]
async fn a_rule_that_panics_leaves_the_endpoints_as_they_were() {
    let balancer = balancer().await;
    let (_, backend) = current(&balancer);
    let backend = backend.upgrade().expect("it is in the view");
    let no_rule = RoleRule::external(|_| panic!("a rule of the user's"));
    assert!(catch_unwind(AssertUnwindSafe(|| balancer.set_roles(no_rule))).is_err());
    assert!(Arc::ptr_eq(&balancer.state.reconciler.view().backends[0], &backend));
    replace(&balancer);
    assert_eq!(*balancer.state.reconciler.view().backends[0].endpoint, *endpoint(1));
    assert!(backend.pool.is_closed(), "it left like any other");
}
