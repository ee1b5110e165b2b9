//! `levee completions`.

use super::Outcome;
use crate::args::{Cli, CompletionsArgs};
use clap::CommandFactory;
use std::process::ExitCode;

/// Prints the completion script.
pub fn run(args: &CompletionsArgs) -> Outcome {
    clap_complete::generate(args.shell, &mut Cli::command(), "levee", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
