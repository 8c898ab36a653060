//! What the scenario tests share. And the README: every Rust block of it is compiled here as a doctest.

pub mod support;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
