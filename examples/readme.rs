//! The programs in the README, in CONTRIBUTING.md, HARDENING.md, `DEVICE_BOUND.md` and MIGRATING.md, compiled by `cargo test --doc`; the examples are the files beside this one.

// The README. A doc comment would make rustdoc look for its page beside this file.
#[cfg(doctest)]
#[doc = include_str!(concat!(env!("OUT_DIR"), "/README.md"))]
#[derive(Debug)]
pub struct Readme;

/// CONTRIBUTING.md.
#[cfg(doctest)]
#[doc = include_str!("../CONTRIBUTING.md")]
#[derive(Debug)]
pub struct Contributing;

/// MIGRATING.md.
#[cfg(doctest)]
#[doc = include_str!("../MIGRATING.md")]
#[derive(Debug)]
pub struct Migrating;

/// HARDENING.md.
#[cfg(doctest)]
#[doc = include_str!("../HARDENING.md")]
#[derive(Debug)]
pub struct Hardening;

/// DEVICE_BOUND.md.
#[cfg(doctest)]
#[doc = include_str!("../DEVICE_BOUND.md")]
#[derive(Debug)]
pub struct DeviceBound;
