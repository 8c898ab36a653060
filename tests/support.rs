//! What several test programs share: one module per need.

pub mod example;
pub mod knot;
pub mod load;
pub mod mariadb;
pub mod resolution;
pub mod server;
pub mod wait;
