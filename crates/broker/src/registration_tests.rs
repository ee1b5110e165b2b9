//! Logs that can't be recovered: what is kept from growing, and what is done all the same.

use super::*;
use levee_meta::{ControllerOptions, MetadataContext};
use levee_object::stores::memory::MemoryStore;
use levee_object::{Key, Purpose};

/// Of a process that has its store to itself: whoever holds the node id counts as gone at once, whether it is or not.
pub(crate) async fn registrant_on(
    store: Arc<dyn Store>,
    clock: Clock,
    random: Random,
    controller: ControllerOptions,
) -> Registrant {
    let ctx = MetadataContext { store: store.clone(), clock, random: random.clone() };
    Registrant {
        metadata: Metadata::start(ctx, controller).await.unwrap(),
        store,
        node: NodeId(1),
        address: "h:9092".to_owned(),
        internal: String::new(),
        exclusive: true,
        session_timeout: levee_base::limits::SESSION_TIMEOUT,
        clock,
        random,
    }
}

async fn registrant() -> Registrant {
    let (store, clock, random) = (Arc::new(MemoryStore::new()), Clock::simulated(0), Random::seeded(1));
    registrant_on(store, clock, random, ControllerOptions::default()).await
}

/// Registers, with a log whose first object is none.
async fn damaged(registrant: &Registrant) -> (BrokerEpoch, Key) {
    let (epoch, _) = registrant.register(Newcomer::Started, &mut None).await.unwrap();
    let key = wal_prefix(registrant.node).join_number(epoch.0).join_number(0);
    registrant.store.create(&key, vec![7; 8_192].into(), Purpose::Wal).await.unwrap();
    (epoch, key)
}

fn registrations(registrant: &Registrant) -> usize {
    registrant.metadata.view(|state| state.wals().count())
}

async fn refused(registrant: &Registrant, held: &mut Option<BrokerEpoch>, key: &Key) {
    let error = registrant.register(Newcomer::Started, held).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RegistrationError::Recover { .. }) && text.contains(key.as_str()), "{text}");
    assert!(text.contains("levee inspect"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_recovered_costs_one_registration_however_often_it_is_tried() {
    let registrant = registrant().await;
    let (_, key) = damaged(&registrant).await;
    let mut held = None;
    refused(&registrant, &mut held, &key).await;
    let epoch = held.unwrap();
    assert_eq!(registrations(&registrant), 2);
    let position = registrant.metadata.view(State::position);
    for _ in 0..3 {
        // The same process goes on trying, and others are started.
        refused(&registrant, &mut held, &key).await;
        refused(&registrant, &mut None, &key).await;
    }
    assert_eq!((held, registrations(&registrant)), (Some(epoch), 2));
    assert_eq!(registrant.metadata.view(State::position), position, "nothing was committed");
    registrant.store.delete(&key, Purpose::Inspect).await.unwrap();
    let (registered, _) = registrant.register(Newcomer::Started, &mut held).await.unwrap();
    assert_eq!((registered, registrations(&registrant)), (epoch, 2));
    assert_eq!(registrant.metadata.view(|state| state.orphans().count()), 0);
}

#[tokio::test(start_paused = true)]
async fn the_other_logs_are_closed_all_the_same() {
    let registrant = registrant().await;
    let (bad, key) = damaged(&registrant).await;
    registrant.commit(Command::Out { epoch: bad }).await.unwrap();
    let (node, address, process) = (registrant.node, String::new(), registrant.metadata.process());
    let mut epochs = Vec::new();
    for _ in 0..2 {
        let register = Register { node, address: address.clone(), internal: String::new(), process };
        let answer = registrant.commit(Command::Register(register)).await.unwrap();
        let Answer::Registered { epoch } = answer else { panic!("{answer:?}") };
        epochs.push(epoch);
        if epochs.len() == 1 {
            registrant.commit(Command::Out { epoch }).await.unwrap();
        }
    }
    refused(&registrant, &mut Some(epochs[1]), &key).await;
    let waiting = |state: &State| state.orphans().map(|(epoch, _)| epoch).collect::<Vec<_>>();
    assert_eq!(registrant.metadata.view(waiting), [bad]);
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_was_put_out_meanwhile_is_not_gone_on_with() {
    let registrant = registrant().await;
    let (first, _) = registrant.register(Newcomer::Started, &mut None).await.unwrap();
    registrant.commit(Command::Out { epoch: first }).await.unwrap();
    let (second, _) = registrant.register(Newcomer::Fenced, &mut Some(first)).await.unwrap();
    assert!(second > first);
}
