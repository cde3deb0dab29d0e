#!/usr/bin/env bash
# redis 1.8.1 for Rust: what `calculate_value_digest`, which names the old value in a
# SET … IFDEQ, costs beside the hash that it computes (XXH3, 64 bits, in hexadecimal).
#
# Expected: up to twice the hash. It takes a reference to the bytes, and the hash reads them once.
# Seen: for 1 MiB more than ten times. It makes an argument of the value, which copies the bytes, and
# then copies that into another buffer. Both copies grow from memory that the allocator has just got
# from the system, so most of the time goes to page faults. For 1 KiB the two differ little.
#
# Needs cargo and crates.io. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export CARGO_TARGET_DIR="$work/target"

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "digest"
version = "0.0.0"
edition = "2024"

[dependencies]
redis = { version = "=1.8.1", default-features = false }
xxhash-rust = { version = "=0.8.19", features = ["xxh3"] }
TOML
cat >src/main.rs <<'RUST'
use std::hint::black_box;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

/// The quickest of many runs, so that other programs do not matter.
fn quickest(run: impl Fn() -> String) -> Duration {
    let time = || {
        let begin = Instant::now();
        black_box(run());
        begin.elapsed()
    };
    (0..300).map(|_| time()).min().unwrap()
}

fn main() {
    let mut last = 0.0;
    for bytes in [1 << 10, 10 << 10, 100 << 10, 1 << 20] {
        let value = vec![7_u8; bytes];
        let hash = || format!("{:016x}", xxh3_64(black_box(&value)));
        let digest = || redis::calculate_value_digest(black_box(&value[..]));
        assert_eq!(hash(), digest());
        let (of_hash, of_digest) = (quickest(hash), quickest(digest));
        last = of_digest.as_secs_f64() / of_hash.as_secs_f64();
        println!("{bytes:>8} bytes: hash {of_hash:?}, calculate_value_digest {of_digest:?}: {last:.1} times");
    }
    assert!(last > 5.0, "1 MiB: {last:.1} times");
}
RUST
cargo run --quiet --release
