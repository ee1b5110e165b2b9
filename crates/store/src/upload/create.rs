//! Creating an object whose name nobody else uses.
//!
//! Only 2xx means created. After any other answer, and after none, the name is read: if it is taken, an earlier try took
//! it, and the header says so. To wait until a create is answered 'taken' is not enough: a server that refuses before it
//! has read the body cuts the connection, and what it said is lost, each time. The same bytes are sent until there is an
//! answer.

use crate::backoff::Backoff;
use crate::store::Shared;
use crate::types::Stopped;
use bytes::Bytes;
use levee_base::limits::LOG_HEADER_BYTES;
use levee_object::{ErrorKind, Key, Purpose};

/// Why it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotCreated {
    /// The disk has no room. It may be there all the same.
    NoSpace,
    /// The store of streams has stopped: before, or because another's object has this name. Then two processes have the
    /// same broker epoch, or somebody wrote into the bucket.
    Stopped,
}

/// Creates `key`, which only this process names, with `bytes`. It is durable then.
pub(crate) async fn create(
    shared: &Shared,
    key: &Key,
    bytes: &Bytes,
    purpose: Purpose,
) -> Result<(), NotCreated> {
    let store = &shared.ctx.store;
    let mut backoff = Backoff::new(shared.ctx.clock);
    loop {
        let error = match store.create(key, bytes.clone(), purpose).await {
            Ok(()) => break,
            Err(error) if error.kind == ErrorKind::NoSpace => return Err(NotCreated::NoSpace),
            Err(error) => error,
        };
        match store.get(key, Some(0..LOG_HEADER_BYTES as u64), Purpose::Doubt).await {
            Ok(head) if head == bytes.slice(..LOG_HEADER_BYTES) => break,
            Ok(_) => {
                tracing::error!(%key, "another process has written an object of this broker's name");
                shared.stop(Stopped::Refused(format!("{key} is another process's object")));
                return Err(NotCreated::Stopped);
            }
            Err(_) => {}
        }
        if backoff.is_first() {
            tracing::warn!(%key, %error, "creating an object failed; trying until the store answers");
        }
        if shared.is_stopped() {
            return Err(NotCreated::Stopped);
        }
        backoff.wait().await;
    }
    if !backoff.is_first() {
        tracing::info!(%key, "the object was created at last");
    }
    Ok(())
}
