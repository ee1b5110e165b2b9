//! What is an orphan and what isn't: by kind, by who made it, and by what has become of that.

use super::*;
use crate::registration::Registrant;
use crate::registration::tests::registrant_on;
use levee_base::{BrokerEpoch, NodeId, Random, Slot};
use levee_meta::{Answer, Command, ControllerOptions, NewObject, Registration};
use levee_object::stores::memory::MemoryStore;
use std::sync::Arc;

async fn registered(store: &Arc<dyn Store>) -> (Registrant, BrokerEpoch) {
    let (clock, random) = (Clock::simulated(0), Random::seeded(1));
    let registrant = registrant_on(store.clone(), clock, random, ControllerOptions::default()).await;
    let (epoch, _) = registrant.register(crate::holder::Newcomer::Started, &mut None).await.unwrap();
    (registrant, epoch)
}

async fn put(store: &dyn Store, names: &[ObjectName]) {
    for name in names {
        store.create(&name.key(), "an object".into(), Purpose::Wal).await.unwrap();
    }
}

async fn there(store: &dyn Store, names: &[ObjectName]) -> Vec<bool> {
    let mut there = Vec::new();
    for name in names {
        there.push(store.get(&name.key(), None, Purpose::Inspect).await.is_ok());
    }
    there
}

#[tokio::test(start_paused = true)]
async fn only_what_nobody_can_commit_any_more_is_deleted() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (registrant, epoch) = registered(&store).await;
    let metadata = registrant.metadata.clone();
    let data = |number| ObjectName::Data { epoch, number };
    let wal = |slot| ObjectName::Wal { node: NodeId(1), epoch, slot: Slot(slot) };
    let unknown = ObjectName::Data { epoch: BrokerEpoch(1_000), number: 0 };
    let names = [data(0), data(1), data(2), wal(0), wal(1), wal(2), unknown];
    put(&*store, &names).await;

    // Number 0 is abandoned, 1 and 2 are being written; slot 0 is trimmed, the others are not.
    let object = Registration { slot: Slot(0), total_bytes: 9, index: 5..9, extents: vec![] };
    let trim = Command::TrimWal { epoch, to: Slot(1), objects: vec![object], uploads: vec![] };
    for command in [trim, Command::Abandon { numbers: vec![0] }] {
        let answer = metadata.commit_as(epoch, command).await.unwrap();
        assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
    }
    assert_eq!(sweep_once(&metadata, &*store).await.unwrap(), 0, "the collector has its own list");
    let garbage = metadata.view(|state| state.garbage().map(|(id, _)| id).collect());
    metadata.commit(Command::Collected { objects: garbage }).await.unwrap();
    // As if two creates had landed late, after the collector was there.
    assert_eq!(sweep_once(&metadata, &*store).await.unwrap(), 2);
    assert_eq!(there(&*store, &names).await, [false, true, true, false, true, true, true]);

    // What is committed stays, whoever made it, and its maker's end makes orphans of the rest.
    let upload = NewObject { number: 1, total_bytes: 9, index: 5..9, extents: vec![], checkpoints: vec![] };
    let object = Registration { slot: Slot(1), total_bytes: 9, index: 5..9, extents: vec![] };
    let trim = Command::TrimWal { epoch, to: Slot(2), objects: vec![object], uploads: vec![upload] };
    metadata.commit_as(epoch, trim).await.unwrap();
    metadata.commit(Command::Out { epoch }).await.unwrap();
    assert_eq!(sweep_once(&metadata, &*store).await.unwrap(), 1, "number 2");
    assert_eq!(there(&*store, &names).await, [false, true, false, false, true, true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_fence_stays_and_what_lands_above_it_goes() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (registrant, epoch) = registered(&store).await;
    registrant.sign_off(epoch).await.unwrap();
    let wal = |slot| ObjectName::Wal { node: NodeId(1), epoch, slot: Slot(slot) };
    put(&*store, &[wal(1)]).await;
    assert_eq!(sweep_once(&registrant.metadata, &*store).await.unwrap(), 1);
    assert_eq!(there(&*store, &[wal(0), wal(1)]).await, [true, false]);
}
