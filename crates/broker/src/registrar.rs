//! The store's words for objects and extents in the metadata's, and back: commits what the store asks for.

use async_trait::async_trait;
use levee_base::{BrokerEpoch, HashMap, StreamId};
use levee_meta::state::Stream;
use levee_meta::{Answer, Command, Metadata, ObjectId, ObjectName, State};
use levee_store::{
    Checkpoint, Extent, NewExtent, NewObject, ObjectRef, Registered, Registrar, RegistrarError, Registration,
    Replacement, Trim,
};
use std::sync::Arc;

/// An object of a write-ahead log.
pub(crate) fn registered(object: Registration) -> levee_meta::Registration {
    let Registration { slot, total_bytes, index, extents } = object;
    levee_meta::Registration { slot, total_bytes, index, extents: extents.into_iter().map(extent).collect() }
}

fn extent(new: NewExtent) -> levee_meta::NewExtent {
    let NewExtent { stream, leader_epoch, range, bytes } = new;
    levee_meta::NewExtent { stream, leader_epoch, range, bytes }
}

fn object(new: NewObject) -> levee_meta::NewObject {
    let NewObject { number, total_bytes, index, extents, checkpoints } = new;
    let extents = extents.into_iter().map(extent).collect();
    levee_meta::NewObject { number, total_bytes, index, extents, checkpoints }
}

/// Objects that were met before: a broker leads many streams with extents in the same ones.
#[derive(Debug, Default)]
pub(crate) struct Met(HashMap<ObjectId, Arc<ObjectRef>>);

impl Met {
    fn object(&mut self, state: &State, id: ObjectId) -> Option<Arc<ObjectRef>> {
        if let Some(object) = self.0.get(&id) {
            return Some(object.clone());
        }
        let known = state.object(id)?;
        let (total_bytes, index) = (known.total_bytes, known.index.clone());
        let object = Arc::new(ObjectRef { key: known.name.key(), total_bytes, index });
        self.0.insert(id, object.clone());
        Some(object)
    }

    /// A stream as the metadata has it. `None` when an object is missing from the metadata.
    pub(crate) fn stream(&mut self, state: &State, stream: &Stream) -> Option<Registered> {
        let extents = stream.extents().map(|extent| {
            let object = self.object(state, extent.object)?;
            Some(Extent { range: extent.range, bytes: extent.bytes, object })
        });
        let extents = extents.collect::<Option<_>>()?;
        let checkpoint = match stream.checkpoint {
            Some((offset, object)) => Some(Checkpoint { offset, object: self.object(state, object)? }),
            None => None,
        };
        Some(Registered { start: stream.start, extents, checkpoint })
    }
}

/// Commits to the cluster's metadata.
#[derive(Debug)]
pub struct MetadataRegistrar(pub Metadata);

impl MetadataRegistrar {
    async fn commit(&self, epoch: BrokerEpoch, command: Command) -> Result<Answer, RegistrarError> {
        match self.0.commit_as(epoch, command).await {
            Ok(Answer::Refused(refusal)) => Err(RegistrarError::Refused(refusal.to_string())),
            Ok(answer) => Ok(answer),
            Err(error) => Err(RegistrarError::Unavailable(error.to_string())),
        }
    }
}

#[async_trait]
impl Registrar for MetadataRegistrar {
    async fn trim(&self, trim: Trim) -> Result<(), RegistrarError> {
        let Trim { epoch, to, objects, uploads } = trim;
        let objects = objects.into_iter().map(registered).collect();
        let uploads = uploads.into_iter().map(object).collect();
        self.commit(epoch, Command::TrimWal { epoch, to, objects, uploads }).await.map(drop)
    }

    async fn replace(&self, replacement: Replacement) -> Result<u32, RegistrarError> {
        let Replacement { epoch, objects, replaced } = replacement;
        let parts = replaced.into_iter().map(|part| {
            let names = part.objects.iter().map(ObjectName::from_key).collect::<Option<Vec<_>>>();
            let objects =
                names.ok_or_else(|| RegistrarError::Refused("what is replaced is no object".to_owned()))?;
            Ok(levee_meta::Replaced { stream: part.stream, range: part.range, objects })
        });
        let replaced = parts.collect::<Result<_, RegistrarError>>()?;
        let objects = objects.into_iter().map(object).collect();
        match self.commit(epoch, Command::Replace { objects, replaced }).await? {
            Answer::Replaced { left_out } => Ok(left_out),
            answer => Err(RegistrarError::Refused(format!("a Replace was answered with {answer:?}"))),
        }
    }

    async fn abandon(&self, epoch: BrokerEpoch, numbers: Vec<u64>) -> Result<(), RegistrarError> {
        self.commit(epoch, Command::Abandon { numbers }).await.map(drop)
    }

    fn streams(&self, epoch: BrokerEpoch, streams: &[StreamId]) -> Vec<(StreamId, Registered)> {
        let mut met = Met::default();
        self.0.view(|state| {
            let known = streams.iter().filter_map(|stream| {
                let known = state.stream(*stream).filter(|known| known.leader == Some(epoch))?;
                Some((*stream, met.stream(state, known)?))
            });
            known.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levee_store::data_prefix;

    #[test]
    fn the_store_and_the_metadata_call_an_object_the_same() {
        let epoch = BrokerEpoch(7);
        let key = data_prefix(epoch).join_number(3);
        assert_eq!(ObjectName::from_key(&key), Some(ObjectName::Data { epoch, number: 3 }));
    }
}
