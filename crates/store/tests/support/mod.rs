//! What the tests of the whole store share: metadata in memory, a store that keeps copies, and batches whose bytes
//! follow from where they are.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod objects;

use async_trait::async_trait;
use bytes::Bytes;
use levee_base::{BrokerEpoch, Clock, ClusterId, Offset, Random, Slot, StreamId};
use levee_object::log::LogContext;
use levee_object::stores::memory::MemoryStore;
use levee_object::{Key, Page, Purpose, Result, Store};
use levee_store::{
    Checkpoint, Extent, Metrics, NewExtent, NewObject, ObjectRef, PlanOptions, Recovered, Registered,
    Registrar, RegistrarError, Registration, Replaced, Replacement, StreamStore, Trim, WalOptions,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the metadata of a cluster would keep: trim points of epochs, and extents of streams.
#[derive(Debug, Default)]
pub struct Meta(Mutex<MetaState>);

#[derive(Debug, Default)]
struct MetaState {
    prefix: Option<Key>,
    /// The epoch that is open, and its trim point.
    open: Option<(BrokerEpoch, Slot)>,
    epochs: u64,
    extents: BTreeMap<StreamId, Vec<Extent>>,
    checkpoints: BTreeMap<StreamId, Checkpoint>,
    settled: BTreeSet<(BrokerEpoch, u64)>,
    /// What was registered or made and has no extents.
    garbage: Vec<Key>,
    replacements: usize,
    /// Trims answered as unavailable before the next one is looked at.
    unavailable: u32,
}

impl Meta {
    pub fn new(ctx: &LogContext) -> Arc<Self> {
        let meta = Self::default();
        meta.0.lock().unwrap().prefix = Some(ctx.prefix.clone());
        Arc::new(meta)
    }

    pub fn open_epoch(&self) -> BrokerEpoch {
        let mut meta = self.0.lock().unwrap();
        assert!(meta.open.is_none(), "the epoch before is closed");
        meta.epochs += 1;
        let epoch = BrokerEpoch(meta.epochs);
        meta.open = Some((epoch, Slot::ZERO));
        epoch
    }

    pub fn trim_point(&self) -> Slot {
        self.0.lock().unwrap().open.expect("an epoch is open").1
    }

    /// From now on these are all extents of a stream.
    pub fn hold(&self, stream: StreamId, extents: Vec<Extent>) {
        self.0.lock().unwrap().extents.insert(stream, extents);
    }

    pub fn extents(&self, stream: StreamId) -> Vec<Extent> {
        self.0.lock().unwrap().extents.get(&stream).cloned().unwrap_or_default()
    }

    pub fn registered(&self, stream: StreamId) -> Registered {
        let extents = self.extents(stream);
        let start = extents.first().map_or(Offset(0), |first| first.range.start);
        let checkpoint = self.0.lock().unwrap().checkpoints.get(&stream).cloned();
        Registered { start, extents, checkpoint }
    }

    pub fn fail_trims(&self, times: u32) {
        self.0.lock().unwrap().unavailable = times;
    }

    pub fn replacements(&self) -> usize {
        self.0.lock().unwrap().replacements
    }

    /// Deletes at once what nothing refers to any more.
    pub async fn collect(&self, store: &dyn Store) -> usize {
        let garbage = std::mem::take(&mut self.0.lock().unwrap().garbage);
        for key in &garbage {
            while store.delete(key, Purpose::Collect).await.is_err() {}
        }
        garbage.len()
    }

    /// `close(E, slot)` of design section 4.
    pub fn close(&self, epoch: BrokerEpoch, recovered: &Recovered) {
        let mut meta = self.0.lock().unwrap();
        let (open, trim_point) = meta.open.take().expect("an epoch is open");
        assert!(open == epoch && trim_point <= recovered.fence, "the fence's check");
        // The old owner's last trim may have come between reading the trim point and this: what it registered is
        // not registered twice.
        let registered = recovered.objects.iter().take_while(|object| object.slot < trim_point).count();
        let objects = &recovered.objects[registered..];
        assert_eq!(trim_point.0 + objects.len() as u64, recovered.fence.0, "every slot is there");
        meta.register(epoch, trim_point, objects, &[]);
    }
}

impl MetaState {
    fn register(&mut self, epoch: BrokerEpoch, from: Slot, objects: &[Registration], uploads: &[NewObject]) {
        let prefix = self.prefix.clone().expect("set when made").join_number(epoch.0);
        let mut extents = Vec::new();
        for (object, slot) in objects.iter().zip(from.0..) {
            assert_eq!(object.slot.0, slot, "objects are registered in order and none is left out");
            let (total_bytes, index) = (object.total_bytes, object.index.clone());
            let of = Arc::new(ObjectRef { key: prefix.join_number(slot), total_bytes, index });
            if object.extents.is_empty() {
                self.garbage.push(of.key.clone());
            }
            extents.extend(object.extents.iter().map(|extent| (extent.clone(), of.clone())));
        }
        for object in uploads {
            let of = self.settle(epoch, object);
            extents.extend(object.extents.iter().map(|extent| (extent.clone(), of.clone())));
        }
        extents.sort_by_key(|(extent, _)| (extent.stream, extent.range.start));
        for (NewExtent { stream, range, bytes, .. }, object) in extents {
            let extents = self.extents.entry(stream).or_default();
            let end = extents.last().map_or(Offset(0), |last| last.range.end);
            assert_eq!(range.start, end, "an extent starts at its stream's end");
            extents.push(Extent { range, bytes, object });
        }
    }

    fn settle(&mut self, epoch: BrokerEpoch, object: &NewObject) -> Arc<ObjectRef> {
        assert!(self.settled.insert((epoch, object.number)), "an object is registered once");
        let key = Key::new("data").unwrap().join_number(epoch.0).join_number(object.number);
        Arc::new(ObjectRef { key, total_bytes: object.total_bytes, index: object.index.clone() })
    }
}

#[async_trait]
impl Registrar for Meta {
    async fn trim(&self, trim: Trim) -> std::result::Result<(), RegistrarError> {
        let mut meta = self.0.lock().unwrap();
        if meta.unavailable > 0 {
            meta.unavailable -= 1;
            return Err(RegistrarError::Unavailable("no controller".into()));
        }
        match meta.open {
            Some((epoch, at)) if epoch == trim.epoch => {
                meta.register(epoch, at, &trim.objects, &trim.uploads);
                meta.open = Some((epoch, trim.to));
                Ok(())
            }
            _ => Err(RegistrarError::Refused("the epoch is out".into())),
        }
    }

    async fn replace(&self, replacement: Replacement) -> std::result::Result<u32, RegistrarError> {
        let mut meta = self.0.lock().unwrap();
        let replaces = !replacement.replaced.is_empty();
        if meta.open.is_none_or(|(epoch, _)| epoch != replacement.epoch) {
            return Err(RegistrarError::Refused("the epoch is out".into()));
        }
        let mut new: BTreeMap<StreamId, Vec<Extent>> = BTreeMap::new();
        let mut replaced_keys = BTreeSet::new();
        for object in &replacement.objects {
            let of = meta.settle(replacement.epoch, object);
            for (stream, offset) in object.checkpoints.iter().copied() {
                let end = meta.extents.get(&stream).and_then(|extents| extents.last());
                assert!(
                    offset <= end.map_or(Offset(0), |last| last.range.end),
                    "it is of what is registered"
                );
                let checkpoint = Checkpoint { offset, object: of.clone() };
                let before = meta.checkpoints.insert(stream, checkpoint);
                if let Some(before) = before {
                    assert!(before.offset <= offset, "checkpoints don't go back");
                    replaced_keys.insert(before.object.key.clone());
                }
            }
            for NewExtent { stream, range, bytes, .. } in object.extents.clone() {
                new.entry(stream).or_default().push(Extent { range, bytes, object: of.clone() });
            }
        }
        for Replaced { stream, range, objects } in replacement.replaced {
            let extents = meta.extents.get_mut(&stream).expect("a stream that is there");
            let from = extents.partition_point(|extent| extent.range.start < range.start);
            let to = extents.partition_point(|extent| extent.range.end <= range.end);
            let held: Vec<_> = extents[from..to].iter().map(|extent| extent.object.key.clone()).collect();
            assert_eq!(held, objects, "what is replaced is there");
            let new: Vec<_> =
                new[&stream].iter().filter(|new| range.contains(&new.range.start)).cloned().collect();
            extents.splice(from..to, new);
            assert!(extents.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
            replaced_keys.extend(objects);
        }
        let held = |key: &Key| {
            meta.extents.values().flatten().any(|extent| extent.object.key == *key)
                || meta.checkpoints.values().any(|checkpoint| checkpoint.object.key == *key)
        };
        let garbage: Vec<Key> = replaced_keys.into_iter().filter(|key| !held(key)).collect();
        meta.garbage.extend(garbage);
        meta.replacements += usize::from(replaces);
        Ok(0)
    }

    async fn abandon(
        &self,
        epoch: BrokerEpoch,
        numbers: Vec<u64>,
    ) -> std::result::Result<(), RegistrarError> {
        let mut meta = self.0.lock().unwrap();
        for number in numbers {
            assert!(meta.settled.insert((epoch, number)), "an object is settled once");
        }
        Ok(())
    }

    fn streams(&self, _: BrokerEpoch, streams: &[StreamId]) -> Vec<(StreamId, Registered)> {
        streams.iter().map(|stream| (*stream, self.registered(*stream))).collect()
    }
}

/// A memory store that keeps copies, as a disk or a bucket does: what it keeps must not hold pooled buffers.
#[derive(Debug, Default)]
pub struct Copies(pub MemoryStore);

#[async_trait]
impl Store for Copies {
    fn location(&self) -> String {
        self.0.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        self.0.create(key, Bytes::copy_from_slice(&bytes), purpose).await
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        self.0.create_parts(key, parts, purpose).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        self.0.get(key, range, purpose).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.0.list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.0.delete(key, purpose).await
    }
}

pub fn context(store: Arc<dyn Store>, clock: Clock, random: Random) -> LogContext {
    let cluster = ClusterId(uuid::Uuid::from_u128(1));
    LogContext { store, cluster, prefix: Key::new("wal/1").unwrap(), clock, random }
}

/// Small enough that every limit is met within a test.
pub fn small_options() -> WalOptions {
    WalOptions {
        pace: Duration::from_millis(2),
        light_bytes: 0,
        in_flight: 3,
        object_bytes: 32 * 1024,
        untrimmed_bytes: 1024 * 1024,
        untrimmed_objects: 24,
        upload_after: Duration::from_millis(900),
        promoted_bytes: 8 * 1024,
        buffer_bytes: 768 * 1024,
        hedges: true,
        compaction: PlanOptions {
            object_bytes: 256 * 1024,
            index_bytes: 32 * 1024,
            piece_bytes: 8 * 1024,
            pieces: 6,
            fan_in: 4,
            smallest_tier_bytes: 4 * 1024,
        },
        compaction_bytes_per_second: 128 << 20,
    }
}

pub fn open(ctx: &LogContext, meta: &Arc<Meta>, options: WalOptions) -> (BrokerEpoch, Arc<StreamStore>) {
    let epoch = meta.open_epoch();
    let metrics = Arc::new(Metrics::default());
    let writer = ctx.random.writer_id();
    (epoch, StreamStore::open(ctx.clone(), epoch, writer, meta.clone(), options, metrics))
}

/// Bytes that only this batch has.
pub fn content(random: &Random, bytes: usize) -> Vec<u8> {
    let seed = random.next_u64();
    (0..bytes as u64).map(|n| (seed.wrapping_mul(n | 1) >> 13) as u8).collect()
}
