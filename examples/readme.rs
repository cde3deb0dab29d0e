//! The programs in the README and in CONTRIBUTING.md, compiled by `cargo test --doc`; the examples are the files beside this one.

/// The README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;

/// CONTRIBUTING.md.
#[cfg(doctest)]
#[doc = include_str!("../CONTRIBUTING.md")]
#[derive(Debug)]
pub struct Contributing;
