//! Objects that this process names and makes: created first, then registered or given up, each once.

use crate::compact::CompactError;
use crate::format::Index;
use crate::open_object::SealedObject;
use crate::registrar::{NewObject, Replaced, Replacement};
use crate::store::Shared;
use crate::upload::{NotCreated, create};
use levee_base::StreamId;
use levee_object::Purpose;
use std::sync::Arc;

/// An object that was created, to be registered.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) new: NewObject,
    index: Arc<Index>,
}

impl From<NotCreated> for CompactError {
    fn from(error: NotCreated) -> Self {
        match error {
            NotCreated::NoSpace => Self::NoRoom,
            NotCreated::Stopped => Self::Stopped,
        }
    }
}

impl Shared {
    /// Creates an object.
    pub(crate) async fn make(
        &self,
        new: NewObject,
        sealed: SealedObject,
        purpose: Purpose,
    ) -> Result<Made, NotCreated> {
        create(self, &self.data.join_number(new.number), &sealed.bytes, purpose).await?;
        // What is kept of it must not keep the memory that it was made in.
        Ok(Made { new, index: Arc::new(sealed.index.apart()) })
    }

    /// Keeps the index of an object that readers will ask for.
    pub(crate) fn keep_index(&self, made: Made) -> NewObject {
        self.indexes.put(&self.data.join_number(made.new.number), made.index);
        made.new
    }

    /// Registers objects in the place of parts of streams, and tells `streams` what the metadata says of them then.
    /// Returns how many parts the metadata has left out.
    pub(crate) async fn replace(
        &self,
        what: &'static str,
        made: impl IntoIterator<Item = Made>,
        replaced: Vec<Replaced>,
        streams: &[StreamId],
    ) -> Result<u32, CompactError> {
        let made: Vec<Made> = made.into_iter().collect();
        let objects = made.iter().map(|made| made.new.clone()).collect();
        let replacement = Replacement { epoch: self.epoch, objects, replaced };
        // No trim is committed between the commit and the reading of what the metadata says then.
        let _one_at_a_time = self.trims.lock().await;
        let ask = || self.registrar.replace(replacement.clone());
        let left_out = self.committed(what, ask).await.ok_or(CompactError::Stopped)?;
        for made in made {
            self.keep_index(made);
        }
        for (stream, registered) in self.registrar.streams(self.epoch, streams) {
            self.state().resync(stream, registered);
        }
        Ok(left_out)
    }

    /// Says that what was begun under these numbers never will be registered.
    pub(crate) async fn give_up(&self, numbers: &[u64]) -> Result<(), CompactError> {
        let ask = || self.registrar.abandon(self.epoch, numbers.to_vec());
        self.committed("giving up objects", ask).await.ok_or(CompactError::Stopped)
    }
}
