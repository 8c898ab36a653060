//! The read/write splitter while things go wrong, on real MariaDB pods: one script per failure,
//! under load, and a ledger of every operation that is compared with the rows in the end. With
//! `--nocapture` each script prints its ledger.
//!
//! In every script: no acknowledged write lost or there twice, none on a wrong node, no read with a
//! token that misses its write. What a script allows beyond that, it says.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

#[path = "splitter_faults/addresses.rs"]
mod addresses;
#[path = "splitter_faults/ledger.rs"]
mod ledger;
#[path = "splitter_faults/load.rs"]
mod load;
#[path = "splitter_faults/primary.rs"]
mod primary;
#[path = "splitter_faults/replicas.rs"]
mod replicas;
#[path = "splitter_faults/scene.rs"]
mod scene;
