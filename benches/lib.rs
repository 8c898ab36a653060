//! Measurements of `headless` against limits: one program per subject, each figure a ratio to the limit row of the same run.
//!
//! | program | subject |
//! |---|---|
//! | `acquire` | pick, count, checkout of an idle connection, return |
