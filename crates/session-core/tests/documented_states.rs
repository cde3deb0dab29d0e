//! The table and the diagram of the session's states in ARCHITECTURE.md are those of the code.

use std::{fs, path::Path};

#[test]
fn the_states_in_the_architecture_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let text = fs::read_to_string(path).expect("ARCHITECTURE.md can be read");
    let (_, rest) = text
        .split_once("<!-- states -->\n")
        .expect("it has a place for the states");
    let (states, _) = rest
        .split_once("<!-- /states -->")
        .expect("the place has an end");
    let made = format!(
        "{}\n{}",
        session_core::model::diagram(),
        session_core::model::table()
    );
    assert!(
        states == made,
        "run: cargo run -p session-core --features model --example state_table"
    );
}
