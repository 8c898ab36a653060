//! [`Members`]: the endpoints of a view, as backends and as what the policy knows of each.
//!
//! A [`Diff`] changes them in one pass, in which no name is compared.

use std::iter;
use std::sync::Arc;

use headless_core::policy::Candidate;
use headless_core::{Connect, Diff, Endpoint, Snapshot};

use crate::backend::Backend;
use crate::view::{Backends, View};

/// The endpoints of a view, in its order.
pub(super) struct Members<C: Connect> {
    /// An endpoint that stays has the same backend from view to view, with its pool and its
    /// history.
    pub(super) backends: Vec<Arc<Backend<C>>>,
    pub(super) candidates: Vec<Candidate>,
}

/// What a new snapshot makes of the members.
pub(super) struct Changed<C: Connect> {
    /// All of the new snapshot.
    pub(super) members: Members<C>,
    pub(super) added: Vec<Arc<Backend<C>>>,
    pub(super) removed: Vec<Arc<Backend<C>>>,
    /// At least one of the endpoints that stay is healthy.
    pub(super) any_kept_healthy: bool,
}

impl<C: Connect> Members<C> {
    pub(super) fn of(view: &View<C>) -> Self {
        let candidate = |(backend, role): (&Arc<Backend<C>>, &Option<_>)| {
            Candidate::new(Arc::clone(&backend.endpoint), Arc::clone(&backend.load)).with_role(*role)
        };
        Self {
            backends: view.backends.to_vec(),
            candidates: iter::zip(&view.backends, &view.roles).map(candidate).collect(),
        }
    }

    /// The endpoints of `view` as a snapshot, to compare another one with.
    pub(super) fn snapshot_of(view: &View<C>) -> Snapshot {
        let endpoints = view.backends.iter().map(|backend| Arc::clone(&backend.endpoint));
        Snapshot::new(view.generation, endpoints)
    }

    /// Applies `diff`, with a backend and a candidate from `add` for each new endpoint.
    pub(super) fn apply(self, diff: &Diff, add: impl Fn(&Arc<Endpoint>) -> (Arc<Backend<C>>, Candidate)) -> Changed<C> {
        let len = (self.backends.len() + diff.added().len()).saturating_sub(diff.removed().len());
        let mut members = Self::with_capacity(len);
        let mut removed = Vec::with_capacity(diff.removed().len());
        let mut added = Vec::with_capacity(diff.added().len());
        let (mut backends, mut candidates) = (self.backends.into_iter(), self.candidates.into_iter());
        let (mut new, mut any_kept_healthy) = (diff.added().iter(), false);
        let is_healthy = |candidate: &Candidate| !candidate.load.is_unhealthy();
        for hunk in diff.hunks() {
            let kept = &candidates.as_slice()[..hunk.kept];
            any_kept_healthy = any_kept_healthy || kept.iter().any(is_healthy);
            members.backends.extend(backends.by_ref().take(hunk.kept));
            members.candidates.extend(candidates.by_ref().take(hunk.kept));
            removed.extend(backends.by_ref().take(hunk.removed));
            candidates.by_ref().take(hunk.removed).for_each(drop);
            for endpoint in new.by_ref().take(hunk.added) {
                let (backend, candidate) = add(endpoint);
                added.push(Arc::clone(&backend));
                members.backends.push(backend);
                members.candidates.push(candidate);
            }
        }
        any_kept_healthy = any_kept_healthy || candidates.as_slice().iter().any(is_healthy);
        members.backends.extend(backends);
        members.candidates.extend(candidates);
        Changed {
            members,
            added,
            removed,
            any_kept_healthy,
        }
    }

    fn with_capacity(endpoints: usize) -> Self {
        Self {
            backends: Vec::with_capacity(endpoints),
            candidates: Vec::with_capacity(endpoints),
        }
    }
}

impl<C: Connect> Default for Members<C> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

/// The backends of the view that was replaced, with `diff` applied to make them those of `current`.
///
/// WHY: so that two lists take turns, and a backend that stays is moved from list to list. If each
/// view were a clone of the last, each backend would be counted up and down with every change.
pub(super) fn catch_up<C: Connect>(
    replaced: Backends<C>,
    diff: &Diff,
    current: &[Arc<Backend<C>>],
) -> Vec<Arc<Backend<C>>> {
    let mut replaced = replaced.into_vec().into_iter();
    let mut backends = Vec::with_capacity(current.len());
    for hunk in diff.hunks() {
        backends.extend(replaced.by_ref().take(hunk.kept));
        replaced.by_ref().take(hunk.removed).for_each(drop);
        let added = &current[backends.len()..][..hunk.added];
        backends.extend_from_slice(added);
    }
    backends.extend(replaced);
    backends
}
