//! Variables that name servers for the tests are for `cargo xtask test` alone: no other command reads
//! them, and each would use other servers than the person expects.

use std::process::Command;

/// Every command that starts servers or tests, with words that it takes.
const OTHERS: &[&[&str]] = &[
    &["test", "--compose"],
    &["soak"],
    &["soak", "-p", "session-redis"],
    &["matrix"],
    &["matrix", "redis"],
    &["ci"],
    &["owners"],
    &["browser"],
    &["browser", "quota"],
    &["quickstart"],
];

/// What a command says with these variables, and that it fails. It finds no program to start.
fn said(words: &[&str], env: &[(&str, &str)]) -> String {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = xtask
        .args(words)
        .env_clear()
        .env("PATH", "/nonexistent")
        .envs(env.iter().copied())
        .output();
    let output = output.expect("it can be started");
    assert!(!output.status.success(), "{words:?}");
    let [said, errors] = [output.stdout, output.stderr];
    String::from_utf8_lossy(&said).into_owned() + &String::from_utf8_lossy(&errors)
}

#[test]
fn a_command_that_does_not_use_a_named_server_refuses_it() {
    let named = [
        ("SESSION_TEST_REDIS_URL", "redis://127.0.0.1:9/15"),
        (
            "SESSION_TEST_POSTGRES_URL",
            "postgres://me:secret@127.0.0.1:9/mine",
        ),
    ];
    for words in OTHERS {
        let said = said(words, &named);
        let expected = "SESSION_TEST_REDIS_URL and SESSION_TEST_POSTGRES_URL are for `cargo xtask test` alone: unset";
        assert!(said.contains(expected), "{words:?}: {said}");
        assert!(!said.contains("secret"), "{words:?}: {said}");
    }
}

#[test]
fn a_variable_without_a_value_is_an_error_of_every_command() {
    for words in OTHERS
        .iter()
        .chain(&[&["test"][..], &["test", "-p", "session-redis"]])
    {
        for value in ["", " ", ","] {
            let said = said(words, &[("SESSION_TEST_MEMCACHED", value)]);
            let expected = "SESSION_TEST_MEMCACHED is set and names no server";
            assert!(said.contains(expected), "{words:?}: {said}");
        }
    }
}

#[test]
fn a_version_that_the_matrix_does_not_know_is_an_error_beside_those_that_it_knows() {
    for wrong in ["reddis", "8.6", ""] {
        let said = said(&["matrix", "redis-8.6", wrong, "mysql"], &[]);
        assert!(said.contains(&format!("{wrong:?}")), "{said}");
        assert!(said.contains("known versions: redis-7.0, "), "{said}");
    }
}
