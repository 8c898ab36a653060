//! The splitter's checklist on real servers: what other splitters get wrong, each under its number
//! in the table. Roles that change and servers that fail under load are `splitter_faults.rs`.
//!
//! | | what goes wrong elsewhere | tested by |
//! |---|---|---|
//! | C1, C2, C6–C9, C11 | locks, CTEs, INTO, comments, … taken for reads | P; `c08_…`, `c16_…` |
//! | C3 | a lock by name, granted twice | P; `c03_a_lock_by_name_…` |
//! | C4 | another connection's LAST_INSERT_ID() | P; `c04_what_a_statement_left_…` |
//! | C5 | a sequence on a replica | P; `c05_a_sequence_…` |
//! | C10 | ANALYZE taken for a plan | P; `c10_analyze_executes_…` |
//! | C12 | a function that writes | P; `c12_a_function_that_writes_…` |
//! | C13 | SET and USE on a connection for one statement | P; `c13_the_session_is_not_changed_…` |
//! | C14 | a temporary table that is lost | P; `c14_a_temporary_table_…` |
//! | C15 | one pod's answer taken for all pods' | P; `c15_what_a_pod_says_…` |
//! | C16 | another class for a prepared statement | `c16_…`: and not a byte leaves |
//! | C17 | a read that is none | P's fuzzer; `c17_…`: no replica refuses one |
//! | T1 | the first statement places the transaction | `t1_…`, `t4_a_refused_statement_…` |
//! | T2 | autocommit off | `link.rs`; `t7_the_next_caller_on_…` |
//! | T3 | a write in a read-only transaction is moved | `t3_…` |
//! | T4 | an error taken for the end, a deadlock for none | `link.rs`; `t4_…` |
//! | T5 | a change of a table that commits | `link.rs`; `t5_…` |
//! | T6 | a cancelled statement comes back | `link.rs`; `t6_…` |
//! | T7 | a session leaks to the next user, or loses its prepared statements | `link.rs`; `t7_…` |
//! | T8 | SERIALIZABLE on a replica | P; `t8_serializable_reads_lock_…` |
//! | T9 | the snapshot is older than the wait | `t9_the_token_is_waited_for_…` |
//! | R1, R2 | stale reads of one's own writes | `r1_…` (`HEADLESS_PAIRS`), `r2_…` |
//! | R3 | a token that holds in one process only | `gtid/tests.rs`; `r3_…` |
//! | R4 | waits that take all connections | `r4_…` |
//! | R5 | a lost write that is waited for, for ever | `gtid/tests.rs`; `r5_…` |
//! | R6 | merging tokens in another order | `gtid/tests.rs`: `r6_…`, property tests |
//! | R7 | a promise of what was not yet answered | `Causal::write` takes `&mut self`; `r7_…` |
//! | L1 | lag NULL taken for little | `lag.rs`; F `a_replica_that_stops_applying_…` |
//! | L2 | lag 0 while the source is frozen | the servers' own measure is not used; L6 |
//! | L3 | whole seconds | `lag.rs`; `l3_…` |
//! | L4 | all replicas too far behind | `l4_…` |
//! | L5 | flapping | `lag.rs` |
//! | L6 | a silent primary taken for no lag | `lag.rs`; `l6_…` |
//! | F1 | the ordinal taken for the role | `roles.rs`, `server.rs`; `f1_…`; F promotions |
//! | F2 | an account that writes to replicas | `server.rs`; `f2_…` |
//! | F3 | two writers, or none | `roles.rs`; F `two_writable_pods_…`; none: `f8_…` |
//! | F4 | a primary that comes back empty | `roles.rs`; F `a_primary_that_comes_back_empty_…` |
//! | F5 | a write sent twice | `error.rs`; `f5_…`; F `a_commit_whose_answer_is_lost_…` |
//! | F6 | a read that fails with its pod | `f6_…`; F `a_killed_replica_…` |
//! | F7 | connections to a demoted primary | F `a_planned_promotion_…` |
//! | F8 | no primary: how long to wait | `f8_…`; reads: `l6_…` |
//! | F9 | no replicas | `l4_the_primary_takes_a_few_reads_…` |
//! | F10 | a pod leaves, an address passes on | F `a_pod_that_leaves_…`, `another_pod_at_…` |
//! | F11 | the version taken for the features | `f11_…` |
//!
//! P is `crates/mysql/tests/statements/pitfalls.rs`, F is `splitter_faults.rs`. Files are those of
//! `crates/mysql/src`; the number is in the test's name.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

#[path = "splitter_rules/bad_input.rs"]
mod bad_input;
#[path = "splitter_rules/fake.rs"]
mod fake;
#[path = "splitter_rules/lag.rs"]
mod lag;
#[path = "splitter_rules/mysql.rs"]
mod mysql;
#[path = "splitter_rules/scene.rs"]
mod scene;
#[path = "splitter_rules/sessions.rs"]
mod sessions;
#[path = "splitter_rules/statements.rs"]
mod statements;
#[path = "splitter_rules/tokens.rs"]
mod tokens;
#[path = "splitter_rules/transactions.rs"]
mod transactions;
#[path = "splitter_rules/writers.rs"]
mod writers;
