//! `levee inspect`: what is in a store, without a broker.

use super::{Outcome, block_on};
use crate::args::{InspectArgs, InspectCommand};

/// Runs `levee inspect`.
pub fn run(args: InspectArgs) -> Outcome {
    let _ = args.output;
    block_on(async {
        match args.command {
            InspectCommand::Journal { .. } | InspectCommand::Wal { .. } | InspectCommand::Object { .. } => {
                Err("not there yet".into())
            }
        }
    })
}
