//! The statement classifier, over its public API: known pitfalls, a corpus of statements, another
//! parser of SQL, and nonsense.
//!
//! The corpus is data (`*.txt`, with the tables that its reads need in `schema.sql`), so that a
//! real server can be asked too.

mod classes;
mod corpus;
mod fuzz;
mod oracle;
mod pitfalls;
