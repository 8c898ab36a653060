//! The statement guard, over its public API: known traps, a corpus of statements, another reader of SQL, and nonsense.
//!
//! The corpus is data (`*.txt`, with the tables that its reads need in `schema.sql`), so that a real server can judge it too.

mod classes;
mod corpus;
mod fuzz;
mod oracle;
mod traps;
