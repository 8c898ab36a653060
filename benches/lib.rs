//! Measurements of `headless` against baselines and peers: one program per subject, each figure
//! with its ratio to the baseline's of the same run.
//!
//! | program | subject |
//! |---|---|
//! | `acquire` | pick, count, checkout of an idle connection, return |
//! | `churn` | requests while pods come and go |
//! | `clone` | what users clone for each request |
//! | `http` | requests over HTTP/1.1 and HTTP/2 |
//! | `memory` | bytes per pod and per idle connection |
//! | `mysql` | statement classifier, routing decision, and point selects on MariaDB pods |
//! | `pick` | choosing and counting, without a connection |
//! | `pool` | checkout and return of one pod's pool, alone and in a crowd |
//! | `quality` | how well requests are spread, in virtual time |
//! | `reconcile` | a new list of pods, and what requests notice of it |

pub mod hand_written;
pub mod harness;
#[cfg(feature = "peers")]
pub mod peers;
pub mod pods;
pub mod sim;
