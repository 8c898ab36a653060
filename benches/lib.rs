//! Measurements of `headless` against limits and peers: one program per subject, each figure a ratio to the limit row of the same run.
//!
//! | program | subject |
//! |---|---|
//! | `acquire` | pick, count, checkout of an idle connection, return |
//! | `churn` | requests while pods come and go |
//! | `mysql` | statement guard, routing decision, and point selects on real MariaDB pods |
//! | `pool` | checkout and return of one pod's pool, alone and in a crowd, against other pools |

pub mod harness;
