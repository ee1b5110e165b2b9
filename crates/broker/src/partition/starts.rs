//! What partitions ask of whoever moves their starts. Production has one answer, `keeper`; tests have another.

use crate::handlers::backend::BackendError;
use futures::future::BoxFuture;
use levee_base::{Offset, StreamId};
use std::fmt::Debug;

/// Moves the starts of streams forward.
pub trait Starts: Debug + Send + Sync + 'static {
    /// Makes the new starts durable, all of them or none, and then shows them. A start that is not later than the
    /// one there is changes nothing. Dropping what this returns does not stop it.
    fn advance(&self, starts: Vec<(StreamId, Offset)>) -> BoxFuture<'static, Result<(), BackendError>>;
}
