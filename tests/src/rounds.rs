const DEFAULT_ROUNDS: usize = 50;

/// How often a race or a kill is repeated: 50, or what `SESSION_TEST_ROUNDS` says.
pub fn rounds() -> usize {
    match std::env::var("SESSION_TEST_ROUNDS") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("SESSION_TEST_ROUNDS must be a number, not {text:?}")),
        Err(_) => DEFAULT_ROUNDS,
    }
}
