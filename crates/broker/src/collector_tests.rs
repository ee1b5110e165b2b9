//! What is deleted, what isn't, and what becomes of deletes that fail.

use super::*;
use crate::registration::tests::registrant_on;
use levee_base::{Offset, Random, Slot, StreamId};
use levee_meta::{ControllerOptions, NewExtent, Registration, TopicId, wal_prefix};
use levee_object::stores::faulty::{FaultPlan, Faulty};
use levee_object::stores::memory::MemoryStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Two topics, and three objects: one of each topic, and one of both.
async fn cluster(store: &Arc<dyn Store>) -> (Metadata, [TopicId; 2], Vec<Key>) {
    let (clock, random) = (Clock::simulated(0), Random::seeded(1));
    let registrant = registrant_on(store.clone(), clock, random, ControllerOptions::default()).await;
    let (metadata, node) = (registrant.metadata.clone(), registrant.node);
    let (epoch, _) = registrant.register(crate::holder::Newcomer::Started, &mut None).await.unwrap();
    let commit = async |command| {
        let answer = metadata.commit(command).await.unwrap();
        assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
    };
    let topics = [TopicId(Uuid::from_u128(1)), TopicId(Uuid::from_u128(2))];
    for (name, topic) in ["a", "b"].into_iter().zip(topics) {
        let (name, configs) = (name.to_owned(), BTreeMap::new());
        let create = Command::CreateTopic { name, topic, partitions: 1, configs, leader: epoch };
        commit(create).await;
    }
    let streams: Vec<StreamId> =
        metadata.view(|state| topics.iter().map(|&topic| state.topic(topic).unwrap().streams[0]).collect());
    let extent = |stream, start: u64| {
        let leader_epoch = metadata.view(|state| state.stream(stream).unwrap().leader_epoch);
        NewExtent { stream, leader_epoch, range: Offset(start)..Offset(start + 1), bytes: 1 }
    };
    let held = [
        vec![extent(streams[0], 0)],
        vec![extent(streams[1], 0)],
        vec![extent(streams[0], 1), extent(streams[1], 1)],
    ];
    let (mut objects, mut keys) = (Vec::new(), Vec::new());
    for (slot, extents) in held.into_iter().enumerate() {
        let slot = Slot(slot as u64);
        objects.push(Registration { slot, total_bytes: 8_192, index: 4_096..8_192, extents });
        keys.push(wal_prefix(node).join_number(epoch.0).join_number(slot.0));
        store.create(keys.last().unwrap(), "an object".into(), Purpose::Wal).await.unwrap();
    }
    commit(Command::TrimWal { epoch, to: Slot(3), objects, uploads: vec![] }).await;
    (metadata, topics, keys)
}

async fn there(store: &dyn Store) -> Vec<Key> {
    let page = store.list("wal/", None, 100, Purpose::Inspect).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

#[tokio::test(start_paused = true)]
async fn an_object_goes_when_the_last_topic_in_it_is_deleted() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (metadata, topics, keys) = cluster(&store).await;
    assert_eq!(collect_some(&metadata, &*store).await, Ok(0));
    for (topic, left) in topics.into_iter().zip([&keys[1..], &[]]) {
        metadata.commit(Command::DeleteTopic { topic }).await.unwrap();
        assert!(collect_some(&metadata, &*store).await.unwrap() > 0);
        assert_eq!(there(&*store).await, left);
        assert_eq!(metadata.view(|state| state.garbage().count()), 0, "what is deleted is forgotten");
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_deleted_is_not_forgotten() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (metadata, [topic, _], keys) = cluster(&store).await;
    metadata.commit(Command::DeleteTopic { topic }).await.unwrap();
    let plan = FaultPlan { error_before: 1.0, ..FaultPlan::none() };
    let failing = Faulty::new(store.clone(), plan, Clock::simulated(0), Random::seeded(2));
    assert!(collect_some(&metadata, &failing).await.is_err());
    assert_eq!(there(&*store).await, keys);
    assert_eq!(metadata.view(|state| state.garbage().count()), 1);
    assert_eq!(collect_some(&metadata, &*store).await, Ok(1));
    assert_eq!(there(&*store).await, keys[1..]);
}
