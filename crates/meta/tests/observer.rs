//! The observer: it sees what the cluster sees, beside a controller that goes on and when parts of the metadata are
//! damaged, and names each of them.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use levee_base::{BrokerEpoch, Clock, NodeId, Random};
use levee_meta::codec::{decode_snapshot, encode_snapshot};
use levee_meta::{
    Answer, Command, ControllerOptions, Metadata, MetadataContext, MetadataDamage, ObserveError, Observer,
    Register, State, TopicId,
};
use levee_object::stores::memory::MemoryStore;
use levee_object::{Key, Purpose, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

const SNAPSHOT_EVERY: u64 = 10;

async fn start(store: &Arc<dyn Store>) -> (Metadata, BrokerEpoch) {
    let ctx =
        MetadataContext { store: store.clone(), clock: Clock::system(), random: Random::from_entropy() };
    let options =
        ControllerOptions { snapshot_every_entries: SNAPSHOT_EVERY, ..ControllerOptions::default() };
    let metadata = Metadata::start(ctx, options).await.unwrap();
    let register = Register {
        node: NodeId(1),
        address: "h:9092".to_owned(),
        internal: String::new(),
        process: metadata.process(),
    };
    match metadata.commit(Command::Register(register)).await.unwrap() {
        Answer::Registered { epoch } => (metadata, epoch),
        other => panic!("{other:?}"),
    }
}

async fn create_topic(metadata: &Metadata, leader: BrokerEpoch, number: u128) {
    let (name, topic) = (format!("topic-{number}"), TopicId(uuid::Uuid::from_u128(number + 1)));
    let configs = BTreeMap::new();
    let create = Command::CreateTopic { name, topic, partitions: 1, configs, leader };
    let answer = metadata.commit_as(leader, create).await.unwrap();
    assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
}

/// A journal with two snapshots and some entries after them; and the state that it leads to.
async fn journal() -> (Arc<dyn Store>, State) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (metadata, leader) = start(&store).await;
    let mut number = 0;
    while snapshots(&store).await.len() < 2 || entries_after_newest(&store).await.len() < 3 {
        create_topic(&metadata, leader, number).await;
        number += 1;
    }
    metadata.shutdown().await;
    (store, metadata.view(State::clone))
}

async fn keys(store: &Arc<dyn Store>, prefix: &str) -> Vec<Key> {
    let page = store.list(prefix, None, 1_000, Purpose::Inspect).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

async fn snapshots(store: &Arc<dyn Store>) -> Vec<Key> {
    keys(store, "journal/snapshots/").await
}

/// The entries of the newest snapshot's epoch from a snapshot on.
async fn entries_from(store: &Arc<dyn Store>, snapshot: &Key) -> Vec<Key> {
    let first = snapshot.as_str().replace("/snapshots", "");
    keys(store, "journal/0").await.into_iter().filter(|key| key.as_str() >= &*first).collect()
}

async fn entries_after_newest(store: &Arc<dyn Store>) -> Vec<Key> {
    match snapshots(store).await.last() {
        Some(newest) => entries_from(store, newest).await,
        None => Vec::new(),
    }
}

/// Another store, in which one object has other bytes, or is gone.
async fn with(store: &Arc<dyn Store>, changed: &Key, bytes: Option<Bytes>) -> Arc<dyn Store> {
    let copy: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for key in keys(store, "").await {
        let own = match &bytes {
            bytes if key == *changed => bytes.clone(),
            _ => Some(store.get(&key, None, Purpose::Inspect).await.unwrap()),
        };
        if let Some(bytes) = own {
            copy.create(&key, bytes, Purpose::Check).await.unwrap();
        }
    }
    copy
}

/// One whose last byte is another.
async fn flipped(store: &Arc<dyn Store>, key: &Key) -> Arc<dyn Store> {
    let mut bytes = store.get(key, None, Purpose::Inspect).await.unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    with(store, key, Some(bytes.into())).await
}

async fn observe(store: &Arc<dyn Store>) -> Observer {
    Observer::open(store.clone(), Clock::system(), &Random::from_entropy()).await.unwrap()
}

fn named(damage: &[MetadataDamage]) -> Vec<(Key, bool)> {
    damage.iter().map(|one| (one.key.clone(), one.missing)).collect()
}

#[tokio::test]
async fn it_sees_what_the_cluster_sees() {
    let (store, state) = journal().await;
    let observer = observe(&store).await;
    assert!(observer.complete() && *observer.state() == state);
    assert_eq!(observer.damage(), []);
    let history = observer.history().await.unwrap();
    assert_eq!(history.damage, []);
    assert!(history.objects >= 2 + SNAPSHOT_EVERY, "{history:?}");
    let listed: Vec<(Key, u64)> = keys(&store, "journal/").await.into_iter().map(|key| (key, 0)).collect();
    assert_eq!(observer.stale(&listed), Vec::<&(Key, u64)>::new());
    let old = [Key::new("journal/snapshots").unwrap().join_number(0).join_number(1)];
    let old: Vec<(Key, u64)> = old.into_iter().map(|key| (key, 0)).chain(listed).collect();
    assert_eq!(observer.stale(&old), [&old[0]]);
}

#[tokio::test]
async fn where_there_is_no_cluster_nothing_is_begun() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let opened = Observer::open(store.clone(), Clock::system(), &Random::from_entropy()).await;
    assert!(matches!(opened, Err(ObserveError::NoCluster { .. })));
    assert_eq!(keys(&store, "").await, []);
}

#[tokio::test]
async fn a_damaged_snapshot_is_named_and_the_state_is_the_same() {
    let (store, state) = journal().await;
    let snapshots = snapshots(&store).await;
    let [older, newest] = snapshots.as_slice() else { panic!("{snapshots:?}") };
    let damaged = observe(&flipped(&store, newest).await).await;
    assert!(damaged.complete() && *damaged.state() == state);
    assert_eq!(named(damaged.damage()), [(newest.clone(), false)]);
    assert_eq!(damaged.history().await.unwrap().damage, [], "it is said once");

    let damaged = observe(&flipped(&store, older).await).await;
    assert!(damaged.complete() && *damaged.state() == state && damaged.damage().is_empty());
    assert_eq!(named(&damaged.history().await.unwrap().damage), [(older.clone(), false)]);

    // Whole, and of this place, but not what the journal says.
    let (old, new) = (
        decode_snapshot(&store.get(older, None, Purpose::Inspect).await.unwrap()).unwrap(),
        decode_snapshot(&store.get(newest, None, Purpose::Inspect).await.unwrap()).unwrap(),
    );
    let lie = encode_snapshot(&new.head, &new.fences, &old.state);
    let damaged = observe(&with(&store, newest, Some(lie)).await).await;
    assert_eq!(named(&damaged.history().await.unwrap().damage), [(newest.clone(), false)]);
}

#[tokio::test]
async fn a_damaged_entry_is_named() {
    let (store, state) = journal().await;
    let snapshots = snapshots(&store).await;
    let between = entries_from(&store, &snapshots[0]).await[3].clone();
    let damaged = observe(&flipped(&store, &between).await).await;
    assert!(damaged.complete() && *damaged.state() == state && damaged.damage().is_empty());
    assert_eq!(named(&damaged.history().await.unwrap().damage), [(between.clone(), false)]);
    let damaged = observe(&with(&store, &between, None).await).await;
    assert_eq!(named(&damaged.history().await.unwrap().damage), [(between, true)]);

    let after = entries_after_newest(&store).await[1].clone();
    let damaged = observe(&flipped(&store, &after).await).await;
    assert!(!damaged.complete() && *damaged.state() != state);
    assert_eq!(named(damaged.damage()), [(after, false)]);
    assert_eq!(damaged.history().await.unwrap().damage, [], "it is said once");
}

#[tokio::test]
async fn without_the_first_fence_the_cluster_is_still_found() {
    let (store, state) = journal().await;
    let first = Key::new("journal").unwrap().join_number(0).join_number(0);
    let damaged = observe(&with(&store, &first, None).await).await;
    assert!(damaged.complete() && *damaged.state() == state);
    assert_eq!(named(damaged.damage()), [(first, true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_controller_that_goes_on_nothing_is_found() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (metadata, leader) = start(&store).await;
    let mut observer = observe(&store).await;
    // Each is looked at from its first entry on, however fast either side is.
    for first in (0..1_500).step_by(150) {
        let writer = metadata.clone();
        let writing = tokio::spawn(async move {
            for number in first..first + 150 {
                create_topic(&writer, leader, number).await;
            }
        });
        loop {
            let before = metadata.view(State::position);
            observer.catch_up().await.unwrap();
            assert!(
                observer.complete() && observer.state().position() >= before,
                "what was answered is seen"
            );
            assert_eq!(observer.history().await.unwrap().damage, []);
            let fresh = observe(&store).await;
            assert_eq!(fresh.damage(), []);
            if writing.is_finished() {
                break;
            }
        }
        writing.await.unwrap();
    }
    observer.catch_up().await.unwrap();
    assert!(*observer.state() == metadata.view(State::clone));
    assert_eq!(observer.damage(), []);
}
