//! Prints the table and the diagram of the session's states, as they stand in ARCHITECTURE.md.

#![allow(clippy::print_stdout, reason = "it prints")]

fn main() {
    println!(
        "{}\n{}",
        session_core::model::diagram(),
        session_core::model::table()
    );
}
