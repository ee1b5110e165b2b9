//! All objects that the metadata refers to, so many at a time, and those that nothing refers to.
//!
//! What looks wrong is a suspect. The metadata is read on, and a suspect that it still refers to is read again; what is
//! wrong then, and still referred to by metadata that is read after that, is reported. So neither an object that a live
//! broker has replaced and deleted is missed, nor bytes blamed that were damaged on their way here.

use super::examine::Examined;
use super::finding::{Finding, Problem, Severity};
use super::listing::Listed;
use super::object::{Expected, Fault, Harm, Held};
use super::{CheckError, Checker, Part};
use futures::{StreamExt, TryStreamExt, stream};
use levee_base::HashMap;
use levee_base::limits::{FSCK_OBJECTS, LOG_HEADER_BYTES};
use levee_meta::{ObjectId, ObjectName, State};
use levee_object::ErrorKind;
use std::collections::BTreeMap;

/// What the metadata says of objects.
type Batch = BTreeMap<ObjectId, Expected>;

impl Checker<'_> {
    /// Checks every object that the metadata refers to.
    pub(super) async fn objects(&mut self) -> Result<(), CheckError> {
        let ids = self.observer.state().objects().map(|(id, _)| id);
        let Some(last) = ids.max() else { return Ok(()) };
        self.progress.begin("checking objects", self.observer.state().objects().count() as u64);
        let mut next = ObjectId(0);
        loop {
            let batch = expected(self.observer.state(), |id| next <= id && id <= last, FSCK_OBJECTS);
            let Some((&end, _)) = batch.last_key_value() else { return Ok(()) };
            next = ObjectId(end.0 + 1);
            let examined = self.examine(&batch).await?;
            let suspects: Vec<ObjectId> =
                examined.iter().filter(|(_, one)| suspect(one)).map(|(id, _)| *id).collect();
            for (id, one) in &examined {
                self.counts.objects += 1;
                self.counts.object_bytes += batch.get(id).map_or(0, |expected| expected.total_bytes);
                self.counts.blocks += one.blocks;
                self.counts.batches += one.batches;
            }
            drop(examined);
            // Long runs would otherwise look for what was replaced long ago.
            self.observer.catch_up().await?;
            self.again(suspects).await?;
        }
    }

    async fn again(&mut self, suspects: Vec<ObjectId>) -> Result<(), CheckError> {
        if suspects.is_empty() {
            return Ok(());
        }
        let among = |id: ObjectId| suspects.binary_search(&id).is_ok();
        let batch = expected(self.observer.state(), among, suspects.len());
        let examined = self.examine(&batch).await?;
        self.observer.catch_up().await?;
        if !self.observer.complete() {
            // What is referred to now is not known.
            return Ok(());
        }
        // Whose offsets these are now, should a part have been replaced.
        let now = expected(self.observer.state(), among, suspects.len());
        for (id, one) in examined.into_iter().filter(|(_, one)| suspect(one)) {
            let Some(expected) = now.get(&id) else { continue };
            if one.missing {
                let detail = "the metadata refers to it and it is not there".to_owned();
                self.found_fault(
                    expected,
                    Fault { problem: Problem::Missing, part: Part::Header, detail, harm: Harm::All },
                );
            }
            for fault in one.faults {
                self.found_fault(expected, fault);
            }
        }
        Ok(())
    }

    async fn examine(&self, batch: &Batch) -> Result<Vec<(ObjectId, Examined)>, CheckError> {
        let examiner = self.examiner();
        let examine = batch.iter().map(|(&id, expected)| async move {
            let mut examined = examiner.registered(expected).await?;
            examined.index = None;
            self.progress.add(1);
            Ok::<_, levee_object::Error>((id, examined))
        });
        let mut examined: Vec<_> =
            stream::iter(examine).buffer_unordered(self.options.concurrency).try_collect().await?;
        examined.sort_unstable_by_key(|(id, _)| *id);
        Ok(examined)
    }

    /// Reports what nothing refers to, and returns the orphans.
    pub(super) async fn unreferenced(
        &mut self,
        listed: Listed,
    ) -> Result<Vec<(ObjectName, u64)>, CheckError> {
        self.observer.catch_up().await?;
        let garbage: HashMap<ObjectId, ()> =
            self.observer.state().garbage().map(|(id, _)| (id, ())).collect();
        for (id, name, bytes) in listed.garbage {
            if garbage.contains_key(&id) {
                let detail = "nothing refers to it any more".to_owned();
                let key = Some(name.key().to_string());
                let finding = Finding::new(Severity::Waste, Problem::Garbage, key, None, detail, vec![]);
                self.found(finding.with_bytes(bytes));
            }
        }
        // One may have been garbage when it was listed, and gone and forgotten when the metadata was read.
        let reader = self.reader;
        let look = listed.orphans.into_iter().map(|(name, bytes)| async move {
            let there = reader.get(&name.key(), 0..LOG_HEADER_BYTES as u64).await.map(|_| ());
            (name, bytes, there)
        });
        let mut looked = stream::iter(look).buffered(self.options.concurrency);
        let mut orphans = Vec::new();
        while let Some((name, bytes, there)) = looked.next().await {
            match there {
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                Err(error) if !error.kind.is_answer() => return Err(error.into()),
                _ => {}
            }
            let detail = why_orphan(self.observer.state(), &name);
            let key = Some(name.key().to_string());
            let finding = Finding::new(Severity::Waste, Problem::Orphan, key, None, detail, vec![]);
            self.found(finding.with_bytes(bytes));
            orphans.push((name, bytes));
        }
        Ok(orphans)
    }
}

fn why_orphan(state: &State, name: &ObjectName) -> String {
    match *name {
        ObjectName::Data { epoch, .. } if state.broker(epoch).is_some() => {
            "its maker has committed or given up another object of this name, which is gone".to_owned()
        }
        ObjectName::Data { .. } => "its maker never committed it, and is out".to_owned(),
        ObjectName::Wal { epoch, slot, .. } => match state.wal(epoch).and_then(|wal| wal.fence) {
            Some(fence) if slot > fence => format!("it lies above the fence of its log, in slot {fence}"),
            _ => "it lies below the trim point of its log, and is not registered".to_owned(),
        },
    }
}

fn suspect(examined: &Examined) -> bool {
    examined.missing || !examined.faults.is_empty()
}

/// What the metadata says of at most `most` objects that are `wanted`, the first by their ids.
fn expected(state: &State, wanted: impl Fn(ObjectId) -> bool, most: usize) -> Batch {
    let mut batch: Batch = state
        .objects()
        .filter(|(id, _)| wanted(*id))
        .take(most)
        .map(|(id, object)| {
            let expected = Expected {
                name: object.name,
                key: object.name.key(),
                total_bytes: object.total_bytes,
                index: object.index.clone(),
                extents: Vec::new(),
                checkpoints: Vec::new(),
            };
            (id, expected)
        })
        .collect();
    for (id, known) in state.streams() {
        for extent in known.extents() {
            if let Some(expected) = batch.get_mut(&extent.object) {
                expected.extents.push(Held { stream: id, range: extent.range, bytes: extent.bytes });
            }
        }
        if let Some((offset, object)) = known.checkpoint
            && let Some(expected) = batch.get_mut(&object)
        {
            expected.checkpoints.push((id, offset));
        }
    }
    batch
}
