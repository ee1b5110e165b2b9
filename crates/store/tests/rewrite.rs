//! Rewriting streams with a filter, again and again, beside appends and compaction: what the filter leaves is what is
//! read, at the same offsets, also by the next process; and each batch is shown once, in order.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use levee_base::{Clock, Offset, Random, StreamId};
use levee_object::stores::faulty::{FaultPlan, Faulty};
use levee_object::{Purpose, Store};
use levee_store::{
    AppendError, CompactError, Filter, NewBatch, ReadError, Registered, StoredBatch, StreamStore, Verdict,
    recover,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use support::{Copies, Meta, content, context, open, small_options};

const STREAMS: u64 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Batch {
    count: u32,
    bytes: Vec<u8>,
    note: Vec<u8>,
}

/// What each stream holds, and where it ends.
type Model = BTreeMap<StreamId, (BTreeMap<Offset, Batch>, Offset)>;

/// Decides by chance, and notes in the model what it decided.
struct Chance<'a> {
    random: &'a Random,
    left: &'a mut BTreeMap<Offset, Batch>,
    next: Offset,
    drops: f64,
    decided: [usize; 3],
}

impl Filter for Chance<'_> {
    fn batch(&mut self, batch: StoredBatch<'_>) -> Verdict {
        assert!(batch.base >= self.next, "a batch is shown once, in order");
        self.next = Offset(batch.base.0 + u64::from(batch.count));
        let known = &self.left[&batch.base];
        assert!(known.bytes == batch.bytes && known.note == batch.note && known.count == batch.count);
        let verdict = if self.random.chance(self.drops) {
            self.left.remove(&batch.base);
            Verdict::Drop
        } else if self.random.chance(0.1) {
            let bytes = content(self.random, 1 + self.random.below(4_000) as usize);
            let note = content(self.random, 3);
            let count = batch.count;
            self.left.insert(batch.base, Batch { count, bytes: bytes.clone(), note: note.clone() });
            Verdict::Replace { bytes, note }
        } else {
            Verdict::Keep
        };
        self.decided[match verdict {
            Verdict::Keep => 0,
            Verdict::Drop => 1,
            Verdict::Replace { .. } => 2,
        }] += 1;
        verdict
    }
}

async fn fill(store: &StreamStore, model: &mut Model, random: &Random, batches: u64) {
    for _ in 0..batches {
        let stream = StreamId(random.below(STREAMS));
        let (held, end) = model.entry(stream).or_insert((BTreeMap::new(), Offset(0)));
        let count = 1 + random.below(9) as u32;
        let bytes = content(random, 1 + random.below(3_000) as usize);
        let note = content(random, random.below(65) as usize);
        let new = NewBatch { bytes: &bytes, count, note: &note };
        while let Err(error) = store.append(stream, *end, &[new]) {
            assert_eq!(error, AppendError::Full);
            store.room().await;
        }
        held.insert(*end, Batch { count, bytes, note });
        end.0 += u64::from(count);
    }
}

/// Reads a stream from `from` on, in pieces.
async fn read(store: &StreamStore, stream: StreamId, from: Offset, end: Offset, random: &Random) -> Vec<u8> {
    let (mut from, mut all) = (from, Vec::new());
    while from < end {
        match store.read(stream, from, random.below(100_000) as usize, true).await {
            // Nothing but a gap is left.
            Ok(runs) if runs.is_empty() => break,
            Ok(runs) => {
                for run in runs {
                    assert!(run.end > from && run.end > run.base);
                    all.extend_from_slice(&run.bytes);
                    from = run.end;
                }
            }
            Err(ReadError::Store(error)) if !error.kind.is_answer() => {}
            Err(error) => panic!("{error}"),
        }
    }
    all
}

async fn verify(store: &StreamStore, model: &Model, random: &Random) {
    for (&stream, (held, end)) in model {
        assert_eq!(store.end(stream).unwrap().durable, *end);
        let from = Offset(random.below(end.0));
        let all = read(store, stream, from, *end, random).await;
        let expected = held.iter().filter(|(base, batch)| base.0 + u64::from(batch.count) > from.0);
        let expected: Vec<u8> = expected.flat_map(|(_, batch)| batch.bytes.clone()).collect();
        assert!(all == expected, "stream {stream} from {from}: {} of {}", all.len(), expected.len());
        let mut seen = Vec::new();
        loop {
            seen.clear();
            let mut each = |info: levee_store::BatchInfo<'_>| {
                seen.push((info.base, info.count, info.bytes as usize, info.note.to_vec()));
            };
            match store.replay(stream, Offset(0), Purpose::Recovery, &mut each).await {
                Ok(()) => break,
                Err(ReadError::Store(error)) if !error.kind.is_answer() => {}
                Err(error) => panic!("{error}"),
            }
        }
        let told: Vec<_> =
            held.iter().map(|(base, b)| (*base, b.count, b.bytes.len(), b.note.clone())).collect();
        assert_eq!(seen, told);
    }
}

/// Waits until all that was appended is durable and registered.
async fn registered(store: &StreamStore, meta: &Meta, model: &Model, clock: Clock) {
    loop {
        let done = model.iter().all(|(stream, (_, end))| {
            meta.extents(*stream).last().map_or(Offset(0), |last| last.range.end) == *end
                && store.end(*stream).unwrap().durable == *end
        });
        if done {
            return;
        }
        clock.sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_leaves_is_what_is_read() {
    let mut decided = [0; 3];
    for seed in 0..6 {
        println!("seed {seed}");
        let (clock, random) = (Clock::simulated(0), Random::seeded(seed));
        let inner = Arc::new(Copies::default());
        let objects = Arc::new(Faulty::new(inner, FaultPlan::rough(), clock, random.fork()));
        let ctx = context(objects, clock, random.fork());
        let meta = Meta::new(&ctx);
        let mut model = Model::new();
        for life in 0..3 {
            let (epoch, store) = open(&ctx, &meta, small_options());
            for stream in (0..STREAMS).map(StreamId) {
                store.open_stream(stream, life, meta.registered(stream));
            }
            for _ in 0..3 {
                fill(&store, &mut model, &random, 300).await;
                registered(&store, &meta, &model, clock).await;
                for (&stream, (held, end)) in &mut model {
                    // As a pass of keyed compaction does: once through the dirty part, and once through all.
                    let until = Offset(1 + random.below(end.0));
                    let (mut scanned, mut base) = (0, Offset(0));
                    let mut each = |batch: StoredBatch<'_>| {
                        assert!(batch.base >= base && held[&batch.base].bytes == batch.bytes);
                        base = Offset(batch.base.0 + 1);
                        scanned += 1;
                        ControlFlow::Continue(())
                    };
                    store.scan(stream, Offset(0)..until, &mut each).await.unwrap();
                    assert_eq!(scanned, held.range(..until).count());
                    let drops = [0.0, 0.5, 0.97][random.below(3) as usize];
                    let mut filter =
                        Chance { random: &random, left: held, next: Offset(0), drops, decided: [0; 3] };
                    store.rewrite(stream, until, &mut filter).await.unwrap();
                    let shown = filter.decided.iter().sum::<usize>();
                    assert!(shown >= scanned, "all that was asked for, and to the end of an extent");
                    decided.iter_mut().zip(filter.decided).for_each(|(all, one)| *all += one);
                    meta.collect(&*ctx.store).await;
                }
                verify(&store, &model, &random).await;
            }
            drop(store);
            let recovered = loop {
                match recover(&ctx, epoch, meta.trim_point(), random.writer_id()).await {
                    Ok(recovered) => break recovered,
                    Err(error) => assert!(error.to_string().contains("injected"), "{error}"),
                }
            };
            meta.close(epoch, &recovered);
        }
    }
    assert!(decided.iter().all(|count| *count > 100), "{decided:?}");
}

struct Fixed(Verdict);

impl Filter for Fixed {
    fn batch(&mut self, _: StoredBatch<'_>) -> Verdict {
        self.0.clone()
    }
}

async fn filled() -> (Arc<Copies>, Arc<Meta>, Arc<StreamStore>, Model, Random, Clock) {
    let (clock, random) = (Clock::simulated(0), Random::seeded(5));
    let objects = Arc::new(Copies::default());
    let ctx = context(objects.clone(), clock, random.fork());
    let meta = Meta::new(&ctx);
    let (_, store) = open(&ctx, &meta, small_options());
    for stream in (0..STREAMS).map(StreamId) {
        store.open_stream(stream, 0, Registered::default());
    }
    let mut model = Model::new();
    fill(&store, &mut model, &random, 600).await;
    registered(&store, &meta, &model, clock).await;
    // Compaction comes to rest.
    clock.sleep(Duration::from_secs(60)).await;
    (objects, meta, store, model, random, clock)
}

#[tokio::test(start_paused = true)]
async fn what_does_not_change_is_not_written() {
    let (_, meta, store, model, ..) = filled().await;
    let before = (meta.replacements(), meta.extents(StreamId(1)));
    store.rewrite(StreamId(1), model[&StreamId(1)].1, &mut Fixed(Verdict::Keep)).await.unwrap();
    assert_eq!((meta.replacements(), meta.extents(StreamId(1))), before);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_which_nothing_is_left_is_one_gap_and_goes_on() {
    let (objects, meta, store, mut model, random, clock) = filled().await;
    let (stream, end) = (StreamId(1), model[&StreamId(1)].1);
    store.rewrite(stream, end, &mut Fixed(Verdict::Drop)).await.unwrap();
    model.get_mut(&stream).unwrap().0.clear();
    let extents = meta.extents(stream);
    assert_eq!(extents.iter().map(|extent| extent.bytes).sum::<u64>(), 0);
    for extent in &extents {
        let object = objects.get(&extent.object.key, None, Purpose::Inspect).await.unwrap();
        assert!(object.len() < 5_000, "gaps become one: {} bytes", object.len());
    }
    verify(&store, &model, &random).await;
    fill(&store, &mut model, &random, 50).await;
    registered(&store, &meta, &model, clock).await;
    verify(&store, &model, &random).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_closed_or_whose_object_is_gone_says_so() {
    let (objects, meta, store, model, ..) = filled().await;
    let end = model[&StreamId(1)].1;
    let gone = meta.extents(StreamId(1))[0].object.key.clone();
    objects.delete(&gone, Purpose::Collect).await.unwrap();
    let error = store.rewrite(StreamId(1), end, &mut Fixed(Verdict::Drop)).await.unwrap_err();
    let missing =
        matches!(&error, CompactError::Unreadable(_, ReadError::Missing { key, .. }) if *key == gone);
    assert!(missing, "{error}");
    store.close_stream(StreamId(2));
    let error = store.rewrite(StreamId(2), end, &mut Fixed(Verdict::Drop)).await.unwrap_err();
    assert!(matches!(error, CompactError::Changed), "{error}");
}
