//! What each command does, one file each. A command's result is its exit code, or an error for `main` to
//! print.

pub mod completions;
pub mod fsck;
pub mod inspect;
pub mod serve;
pub mod store;
pub mod topic;

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

/// What a command comes to.
pub type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Runs a command that asks and prints: one thread is enough.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
