//! The server in the lab's pods: see `herald_tests::pods`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match herald_tests::pods::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("herald-pod: {error:#}");
            ExitCode::FAILURE
        }
    }
}
