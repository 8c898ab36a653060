//! The verification of a peer: what DNS contradicts is refused, what it cannot tell is not.

use headless_core::{Endpoint, VerifyPeer};

use super::*;
use crate::PtrVerifier;

/// Verifies `pod` at 10.0.0.1.
async fn check(script: &Script, pod: Option<&str>) -> Result<(), String> {
    let endpoint = Endpoint::new(([10, 0, 0, 1], 80).into());
    let endpoint = match pod {
        Some(pod) => endpoint.with_pod(pod.parse().unwrap()),
        None => endpoint,
    };
    let check = PtrVerifier::new(Arc::new(Setup::port("80").lookup(script)));
    check
        .verify_peer(&endpoint)
        .await
        .map_err(|mismatch| mismatch.to_string())
}

#[tokio::test]
async fn a_pod_at_its_address_passes_with_one_question() {
    let script = Script::default();
    script.pod("web-0", "10.0.0.1");
    assert_eq!(check(&script, Some("web-0")).await, Ok(()));
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn a_pod_that_dns_lists_elsewhere_is_refused() {
    let script = Script::default();
    script.pod("web-0", "10.0.0.7");
    let error = check(&script, Some("web-0")).await.unwrap_err();
    assert_eq!(
        error,
        "the address is not this pod's any more: DNS lists web-0 elsewhere"
    );
}

#[tokio::test]
async fn an_address_that_leads_back_to_another_pod_is_refused() {
    let script = Script::default();
    script.pod("web-9", "10.0.0.1");
    let error = check(&script, Some("web-0")).await.unwrap_err();
    assert_eq!(error, "the address is not this pod's any more: it belongs to web-9");
}

#[tokio::test]
async fn what_dns_cannot_tell_is_no_contradiction() {
    let script = Script::default();
    assert_eq!(
        check(&script, Some("web-0")).await,
        Ok(()),
        "denied: not ready any more, perhaps"
    );
    assert_eq!(check(&script, None).await, Ok(()), "no name to check");
    assert_eq!(
        script.asked().len(),
        2,
        "forwards and backwards, for the one that has a name"
    );
}

#[tokio::test]
async fn a_name_server_that_fails_refuses_no_peer() {
    let script = Script::default();
    let failure = Failure::new(FailureKind::ServFail, "injected");
    script.set(
        Kind::A,
        "web-0.web.shop.svc.cluster.local.",
        Err(LookupError::Failed(failure)),
    );
    assert_eq!(check(&script, Some("web-0")).await, Ok(()));
}
