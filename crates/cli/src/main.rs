//! The `levee` binary: reads the command line, runs one command, and turns its failure into a message and
//! an exit code. What the commands do is in `commands`.

mod args;
mod commands;
mod options;
mod output;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(args) => commands::serve::run(*args),
        Command::Topic(args) => commands::topic::run(args),
        Command::Store(args) => commands::store::run(args),
        Command::Fsck(args) => commands::fsck::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Completions(args) => commands::completions::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::complain(&*error);
            ExitCode::FAILURE
        }
    }
}
