//! What the scenario tests share. And the README: every Rust block of it is compiled here as a doctest.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
