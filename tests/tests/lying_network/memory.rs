//! The memory of this process.

use std::fs;

/// The resident memory of this process, in bytes.
pub(crate) fn resident() -> usize {
    const PAGE: usize = 4096;
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux has this file");
    let pages = pages.split_ascii_whitespace().nth(1);
    let pages: Option<usize> = pages.and_then(|pages| pages.parse().ok());
    pages.expect("the second number is the resident pages") * PAGE
}
