//! Tests of the disk cache over real files, and over one that takes nothing.

use super::*;
use crate::cache::layout::{Cut, Layout};
use crate::format::{BatchEntry, IndexBuilder};
use levee_base::{Clock, Epoch, Offset, StreamId};
use levee_object::Key;
use std::time::Duration;

const MIB: u64 = 1 << 20;

fn key(number: u64) -> SpanKey {
    (Key::new("data").unwrap().join_number(number), 0)
}

/// A span of so many bytes, which begins somewhere in its object.
fn span(fill: u8, bytes: usize) -> Arc<Span> {
    let mut builder = IndexBuilder::default();
    builder.begin_block(StreamId(1), 0, Offset(0), 100);
    builder.add_batch(BatchEntry { count: 1, bytes: bytes as u32, note: b"" }, 0);
    let mut encoded = Vec::new();
    builder.encode(Epoch(1), 1, |bytes| encoded.extend_from_slice(bytes));
    let index = builder.into_index(Epoch(1), 1, &Bytes::from(encoded));
    let layout = Layout::new(Arc::new(index), Cut::SUITABLE);
    let mut whole = vec![0; 100];
    whole.resize(100 + bytes, fill);
    Arc::new(Span::new(&layout, 0, 0, whole.into()))
}

/// Waits until so many writes have ended.
async fn settled(cache: &DiskCache, writes: impl Fn(&DiskCacheMetrics) -> bool) {
    for _ in 0..1_000 {
        if writes(cache.metrics()) {
            return;
        }
        Clock::system().sleep(Duration::from_millis(10)).await;
    }
    panic!("the writes have not ended: {:?}", cache.metrics());
}

#[tokio::test]
async fn what_is_offered_is_there_until_others_have_taken_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let cache = DiskCache::open(&folder.path().join("made"), 4_000_000, Clock::system()).unwrap();
    assert!(std::fs::read_dir(folder.path().join("made")).unwrap().next().is_none(), "nobody sees the file");
    for number in 0..50 {
        cache.offer(key(number), span(number as u8, 100_000));
        settled(&cache, |metrics| metrics.written_bytes.get() == (number + 1) * 100_000).await;
    }
    // 36 had room, and of the others there is room for 4.
    let there: Vec<u64> = (0..50).filter(|number| cache.has(&key(*number))).collect();
    assert_eq!(there, (0..36).chain(46..50).collect::<Vec<_>>());
    assert_eq!(cache.metrics().bytes.get(), 4_000_000);
    assert_eq!(cache.get(&key(40)).await, None);
    assert_eq!(cache.get(&key(48)).await.unwrap(), vec![48; 100_000]);
    assert_eq!((cache.metrics().hits.get(), cache.metrics().read_bytes.get()), (1, 100_000));
    cache.remove(&key(48));
    assert_eq!(cache.get(&key(48)).await, None);
}

#[tokio::test]
async fn what_the_disk_gives_and_was_not_written_is_a_miss() {
    let file = tempfile::tempfile().unwrap();
    let cache = DiskCache::over(file.try_clone().unwrap(), 64 * MIB, Clock::system());
    cache.offer(key(1), span(1, 1_000));
    settled(&cache, |metrics| metrics.written_bytes.get() == 1_000).await;
    let (place, _) = cache.disk.shelves().find(&key(1)).unwrap();
    file.write_all_at(b"rot", place.start + 500).unwrap();
    assert_eq!(cache.get(&key(1)).await, None);
    assert!(!cache.has(&key(1)));
    assert_eq!(cache.metrics().failures.get(), 1);
    // And one that is cut short.
    cache.offer(key(2), span(2, 1_000));
    settled(&cache, |metrics| metrics.written_bytes.get() == 2_000).await;
    file.set_len(0).unwrap();
    assert_eq!(cache.get(&key(2)).await, None);
    assert_eq!(cache.metrics().failures.get(), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_without_room_keeps_nothing_and_fails_nobody() {
    let full = File::options().read(true).write(true).open("/dev/full").unwrap();
    let cache = DiskCache::over(full, 64 * MIB, Clock::system());
    cache.offer(key(1), span(1, 1_000));
    settled(&cache, |metrics| metrics.failures.get() == 1).await;
    assert_eq!(cache.get(&key(1)).await, None);
    assert_eq!(cache.metrics().bytes.get(), 0);
}

#[tokio::test]
async fn a_path_that_is_no_directory_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(DiskCache::open(file.path(), MIB, Clock::system()).is_err());
}
