//! Help for the scenarios: one module per need.

pub mod knot;
pub mod looks;
