//! Removes what a test program has left on a server that is not its own, after that program's end.

use std::process::ExitCode;

fn main() -> ExitCode {
    match session_tests::remove_left_over() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
