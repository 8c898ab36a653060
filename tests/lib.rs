//! What the tests share, and the Rust blocks of the README, which are compiled here as doctests.

pub mod support;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
