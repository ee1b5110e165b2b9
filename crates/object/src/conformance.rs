//! What every store and every wrapper must do, as checks that any of them can be put through: the promises of
//! [`Store`], one function each. Tests of stores live elsewhere; this knows the trait only. It is public so
//! that other crates' tests can put their own stores through it.

use crate::{ErrorKind, Key, Purpose, Store};
use bytes::Bytes;
use futures::future::join_all;
use std::sync::Arc;

const PURPOSE: Purpose = Purpose::Check;

/// What one check works with: a store, and a key below which nothing else is.
struct Bench {
    store: Arc<dyn Store>,
    below: Key,
}

/// Puts `store` through all checks, below `below`. What lies there is deleted before and after.
///
/// # Panics
/// When the store breaks a promise; the message says which.
pub async fn run(store: Arc<dyn Store>, below: &Key) {
    macro_rules! checks {
        ($($check:ident),+ $(,)?) => { $(
            let bench = Bench { store: store.clone(), below: below.join(&stringify!($check).replace('_', "-")) };
            bench.clear().await;
            $check(&bench).await;
            bench.clear().await;
        )+ };
    }
    checks!(
        what_is_created_is_read_and_listed_at_once,
        a_taken_key_is_never_overwritten,
        one_of_many_creators_wins,
        many_writers_of_many_keys_lose_nothing,
        empty_and_large_objects,
        ranges,
        what_is_not_there,
        deletes,
        listing_order,
        listing_pages,
        listing_prefixes,
        parts,
    );
}

impl Bench {
    fn key(&self, name: &str) -> Key {
        self.below.join(name)
    }

    fn prefix(&self) -> String {
        format!("{}/", self.below)
    }

    async fn create(&self, name: &str, bytes: impl Into<Bytes>) {
        let key = self.key(name);
        self.store.create(&key, bytes.into(), PURPOSE).await.expect("creating a new key succeeds");
    }

    async fn read(&self, name: &str) -> Bytes {
        self.store.get(&self.key(name), None, PURPOSE).await.expect("what was created can be read")
    }

    /// All names below the bench's key that begin with `prefix`, in pages of `limit`, and the pages' count.
    async fn list(&self, prefix: &str, limit: usize) -> (Vec<String>, usize) {
        let (mut names, mut pages, mut after) = (Vec::new(), 0, None);
        let whole = format!("{}{prefix}", self.prefix());
        loop {
            let page =
                self.store.list(&whole, after.as_ref(), limit, PURPOSE).await.expect("a listing succeeds");
            pages += 1;
            assert!(page.objects.len() <= limit, "a page holds no more than was asked for");
            let strip = |key: &Key| key.as_str()[self.prefix().len()..].to_owned();
            names.extend(page.objects.iter().map(|listed| strip(&listed.key)));
            after = page.objects.last().map(|listed| listed.key.clone());
            if !page.more {
                return (names, pages);
            }
            assert!(after.is_some(), "a page that has more after it is not empty");
        }
    }

    async fn clear(&self) {
        for name in self.list("", 1_000).await.0 {
            self.store.delete(&self.key(&name), PURPOSE).await.expect("deleting succeeds");
        }
    }
}

/// Bytes that differ from place to place and by `seed`.
fn pattern(bytes: usize, seed: u64) -> Bytes {
    let word = |n: usize| (n as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..bytes.div_ceil(8)).flat_map(word).take(bytes).collect()
}

async fn what_is_created_is_read_and_listed_at_once(bench: &Bench) {
    for n in 0..20_u8 {
        let name = format!("deep/er/{n:03}");
        bench.create(&name, vec![n; 100]).await;
        assert_eq!(bench.read(&name).await, vec![n; 100], "read after create");
        let (names, _) = bench.list("deep/", 1_000).await;
        assert_eq!(names.len(), usize::from(n) + 1, "list after create");
        assert_eq!(names.last(), Some(&name), "list after create");
    }
}

async fn a_taken_key_is_never_overwritten(bench: &Bench) {
    bench.create("taken", "first").await;
    for bytes in ["second", "first", ""] {
        let again = bench.store.create(&bench.key("taken"), Bytes::from(bytes), PURPOSE).await;
        assert_eq!(again.expect_err("the key is taken").kind, ErrorKind::AlreadyExists);
        assert_eq!(bench.read("taken").await, "first");
    }
}

async fn one_of_many_creators_wins(bench: &Bench) {
    for round in 0..10 {
        let key = bench.key(&format!("{round:03}"));
        let tries = (0..8_u8).map(|writer| {
            let (store, key) = (bench.store.clone(), key.clone());
            async move { store.create(&key, Bytes::from(vec![writer; 10_000]), PURPOSE).await }
        });
        let results = join_all(tries).await;
        let winners: Vec<usize> =
            results.iter().enumerate().filter(|(_, result)| result.is_ok()).map(|(n, _)| n).collect();
        assert!(winners.len() <= 1, "{winners:?} all created {key}");
        let bytes = bench.store.get(&key, None, PURPOSE).await.expect("somebody created it");
        assert_eq!(bytes.len(), 10_000);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "bytes of two writers are mixed");
        // A loser may be told of a conflict (409) and a winner may not learn that it won; but who was told
        // that it did, did.
        if let [winner] = winners[..] {
            assert_eq!(usize::from(bytes[0]), winner, "who was told that it won is not who is read");
        }
    }
}

async fn many_writers_of_many_keys_lose_nothing(bench: &Bench) {
    let creates = (0..64_u64).map(|n| {
        let (store, key) = (bench.store.clone(), bench.key(&format!("{}/{n:03}", n % 4)));
        async move { store.create(&key, pattern(5_000 + n as usize, n), PURPOSE).await }
    });
    assert!(join_all(creates).await.into_iter().all(|result| result.is_ok()));
    let reads = (0..64_u64).map(|n| async move {
        assert_eq!(bench.read(&format!("{}/{n:03}", n % 4)).await, pattern(5_000 + n as usize, n));
    });
    join_all(reads).await;
    assert_eq!(bench.list("", 1_000).await.0.len(), 64);
}

async fn empty_and_large_objects(bench: &Bench) {
    for bytes in [0, 1, 511, 512, 4_095, 4_096, 4_097, 1_048_577, 8 * 1_048_576 + 3] {
        let (name, contents) = (format!("of-{bytes}"), pattern(bytes, 7));
        bench.create(&name, contents.clone()).await;
        assert!(bench.read(&name).await == contents, "{bytes} bytes read back differ");
        // Beginning in the middle of a page, so that nothing is aligned.
        let name = format!("odd-{bytes}");
        let odd = pattern(bytes + 13, 9).slice(13..);
        bench.create(&name, odd.clone()).await;
        assert!(bench.read(&name).await == odd, "{bytes} unaligned bytes read back differ");
    }
    let page = bench.store.list(&bench.prefix(), None, 1_000, PURPOSE).await.expect("a listing succeeds");
    for listed in page.objects {
        let bytes = listed.key.name().rsplit('-').next().and_then(|n| n.parse().ok());
        assert_eq!(Some(listed.bytes), bytes, "{} is listed with another length", listed.key);
    }
}

async fn ranges(bench: &Bench) {
    let contents = pattern(10_000, 3);
    bench.create("ranged", contents.clone()).await;
    let key = bench.key("ranged");
    let get = |range| bench.store.get(&key, Some(range), PURPOSE);
    for (start, end) in [(0, 1), (0, 256), (0, 10_000), (4_095, 4_097), (9_999, 10_000), (1, 9_999)] {
        let read = get(start..end).await.expect("a range within the object is read");
        assert_eq!(read, contents.slice(start as usize..end as usize), "{start}..{end}");
    }
    for (start, end) in [(0, 10_001), (9_999, 20_000), (5_000, u64::MAX >> 1)] {
        let read = get(start..end).await.expect("a range that ends beyond the object gives what there is");
        assert_eq!(read, contents.slice(start as usize..), "{start}..{end}");
    }
    for (start, end) in [(10_000, 10_001), (20_000, 30_000), (5, 5)] {
        let kind = get(start..end).await.expect_err("there is nothing in this range").kind;
        assert_eq!(kind, ErrorKind::OutOfRange, "{start}..{end}");
    }
    bench.create("empty", "").await;
    let nothing = bench.store.get(&bench.key("empty"), Some(0..1), PURPOSE).await;
    assert_eq!(nothing.expect_err("an empty object has no ranges").kind, ErrorKind::OutOfRange);
}

async fn what_is_not_there(bench: &Bench) {
    for name in ["absent", "no/such/path", "file/below"] {
        bench.store.delete(&bench.key("file"), PURPOSE).await.expect("deleting succeeds");
        if name == "file/below" {
            bench.create("file", "a file is no directory").await;
        }
        for range in [None, Some(0..10)] {
            let missing = bench.store.get(&bench.key(name), range, PURPOSE).await;
            assert_eq!(missing.expect_err("it is not there").kind, ErrorKind::NotFound, "{name}");
        }
        bench.store.delete(&bench.key(name), PURPOSE).await.expect("deleting what is not there succeeds");
        assert!(bench.list("absent", 10).await.0.is_empty(), "nothing there is an empty page");
        assert!(bench.list("no/such/", 10).await.0.is_empty(), "nothing there is an empty page");
    }
    bench.create("dir/file", "").await;
    let missing = bench.store.get(&bench.key("dir"), None, PURPOSE).await;
    assert_eq!(missing.expect_err("a prefix is no object").kind, ErrorKind::NotFound);
}

async fn deletes(bench: &Bench) {
    for round in 0..3 {
        bench.create("again", format!("round {round}")).await;
        assert_eq!(bench.read("again").await, format!("round {round}"), "a deleted key is free again");
        for _ in 0..2 {
            bench.store.delete(&bench.key("again"), PURPOSE).await.expect("deleting succeeds");
        }
        let gone = bench.store.get(&bench.key("again"), None, PURPOSE).await;
        assert_eq!(gone.expect_err("it is deleted").kind, ErrorKind::NotFound);
        assert!(bench.list("", 10).await.0.is_empty(), "a deleted key is not listed");
    }
}

/// Names whose order differs when directories are walked without care, or letters are folded.
const NAMES: [&str; 12] =
    ["B", "a-b", "a.b", "a/b", "a/b-c/d", "a/b.c", "a/c/d", "a0", "aB/x", "a_b", "aa", "b"];

async fn listing_order(bench: &Bench) {
    for name in NAMES.iter().rev() {
        // A folder can't have both a/b and a/b/..., so none of the names is another one's directory.
        bench.create(name, "").await;
    }
    let mut sorted = NAMES.to_vec();
    sorted.sort_unstable();
    assert_eq!(bench.list("", 1_000).await.0, sorted, "the order is that of the keys' bytes");
}

async fn listing_pages(bench: &Bench) {
    for name in NAMES {
        bench.create(name, "").await;
    }
    let all = bench.list("", 1_000).await.0;
    for limit in [1, 2, 3, 5, 11, 12, 13] {
        let (names, pages) = bench.list("", limit).await;
        assert_eq!(names, all, "pages of {limit} differ from one large page");
        assert_eq!(pages, NAMES.len().div_ceil(limit), "pages of {limit}: one too many, or too few");
    }
    for (after, expected) in [("a-a", &all[1..]), ("a/", &all[3..]), ("a/b", &all[4..]), ("a/zzz", &all[7..])]
    {
        let Ok(after) = Key::new(format!("{}{after}", bench.prefix())) else { continue };
        let page = bench.store.list(&bench.prefix(), Some(&after), 1_000, PURPOSE).await;
        let page = page.expect("a listing succeeds");
        let names: Vec<&str> =
            page.objects.iter().map(|listed| &listed.key.as_str()[bench.prefix().len()..]).collect();
        assert_eq!(names, expected, "after {after}, which need not exist");
    }
    for limit in [0, 1_001] {
        let refused = bench.store.list(&bench.prefix(), None, limit, PURPOSE).await;
        assert_eq!(refused.expect_err("a page has 1 to 1,000 objects").kind, ErrorKind::Unsupported);
    }
}

async fn listing_prefixes(bench: &Bench) {
    for name in NAMES {
        bench.create(name, "").await;
    }
    for prefix in ["a", "a/", "a/b", "a/b-", "aB", "a/c/d", "z", "a/b-c/d"] {
        let expected: Vec<&str> = NAMES.into_iter().filter(|name| name.starts_with(prefix)).collect();
        for limit in [1, 1_000] {
            assert_eq!(bench.list(prefix, limit).await.0, expected, "prefix {prefix:?}");
        }
    }
}

async fn parts(bench: &Bench) {
    let parts = vec![pattern(5 * 1_048_576, 1), pattern(5 * 1_048_576, 2), pattern(77, 3)];
    let key = bench.key("in-parts");
    match bench.store.create_parts(&key, parts.clone(), PURPOSE).await {
        Ok(()) => assert!(bench.read("in-parts").await == parts.concat(), "the parts read back differ"),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
            let kind = bench.store.get(&key, None, PURPOSE).await.expect_err("nothing was created").kind;
            assert_eq!(kind, ErrorKind::NotFound);
            return;
        }
    }
    let again = bench.store.create_parts(&key, vec![Bytes::from_static(b"other")], PURPOSE).await;
    assert_eq!(again.expect_err("the key is taken").kind, ErrorKind::AlreadyExists);
    let once = bench.store.create(&key, Bytes::from_static(b"other"), PURPOSE).await;
    assert_eq!(once.expect_err("the key is taken").kind, ErrorKind::AlreadyExists);
    assert!(bench.read("in-parts").await == parts.concat(), "a taken key was overwritten");
}
