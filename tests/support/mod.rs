//! Help for the scenarios: one module per need.

pub mod example;
pub mod knot;
pub mod looks;
pub mod mariadb;
pub mod server;
