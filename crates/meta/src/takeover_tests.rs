//! Who loses the race for the journal: it shows nothing before it has read on to where the winner is.

use crate::{Answer, Command, ControllerOptions, Metadata, MetadataContext, Register, Role, State};
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::{Clock, NodeId, Random};
use levee_object::stores::memory::MemoryStore;
use levee_object::{Key, Page, Purpose, Result, Store};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// A way to the store on which a fence waits until it is let through.
#[derive(Debug)]
struct Held {
    store: Arc<MemoryStore>,
    waiting: watch::Sender<bool>,
    pass: Semaphore,
}

#[async_trait]
impl Store for Held {
    fn location(&self) -> String {
        "test".to_owned()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        if purpose == Purpose::Fence {
            self.waiting.send_replace(true);
            let _pass = self.pass.acquire().await;
        }
        self.store.create(key, bytes, purpose).await
    }

    async fn create_parts(&self, _: &Key, _: Vec<Bytes>, _: Purpose) -> Result<()> {
        unreachable!("metadata creates whole objects")
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        self.store.get(key, range, purpose).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.store.list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.store.delete(key, purpose).await
    }
}

fn context(store: Arc<dyn Store>, seed: u64) -> MetadataContext {
    MetadataContext { store, clock: Clock::system(), random: Random::seeded(seed) }
}

fn register(metadata: &Metadata) -> Command {
    let (address, internal) = ("h1:9092".to_owned(), String::new());
    Command::Register(Register { node: NodeId(1), address, internal, process: metadata.process() })
}

/// Two start at once. The one that is to lose has read the journal and is about to fence it when the winner takes it over and
/// answers commands, with or without snapshots and collection in between.
async fn race(snapshot_every_entries: u64) -> Role {
    let store: Arc<MemoryStore> = Arc::default();
    let options = ControllerOptions { snapshot_every_entries, ..ControllerOptions::default() };
    let first = Metadata::start(context(store.clone(), 1), options.clone()).await.unwrap();
    assert!(matches!(first.commit(register(&first)).await, Ok(Answer::Registered { .. })));
    assert_eq!(
        first.commit(Command::AllocateProducerIds { count: 7 }).await.unwrap(),
        Answer::ProducerIds { first: 0 }
    );
    first.shutdown().await;

    let (waiting, mut waits) = watch::channel(false);
    let held = Arc::new(Held { store: store.clone(), waiting, pass: Semaphore::new(0) });
    let loser = tokio::spawn({
        let start = Metadata::start(context(held.clone(), 2), options.clone());
        async {
            let metadata = start.await.unwrap();
            // Before its controller has had a chance to read on.
            let shown = metadata.view(State::clone);
            (metadata, shown)
        }
    });
    waits.wait_for(|&waiting| waiting).await.unwrap();

    let winner = Metadata::start(context(store, 3), options).await.unwrap();
    let Some(epoch) = winner.view(|state| state.live(NodeId(1)).map(|(epoch, _)| epoch)) else {
        panic!("the first one's registration is in the journal")
    };
    assert_eq!(winner.commit(Command::Out { epoch }).await.unwrap(), Answer::Done);
    assert!(matches!(winner.commit(register(&winner)).await, Ok(Answer::Registered { .. })));
    for i in 1..=5 {
        let answer = winner.commit(Command::AllocateProducerIds { count: 7 }).await.unwrap();
        assert_eq!(answer, Answer::ProducerIds { first: i * 7 });
        Clock::system().sleep(std::time::Duration::from_millis(100)).await;
    }

    held.pass.add_permits(100);
    let (loser, shown) = loser.await.unwrap();
    winner.view(|won| assert_eq!(&shown, won, "the loser shows what the winner has answered"));
    assert_eq!(shown.next_producer_id(), 42);
    loser.role().borrow().clone()
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_race_shows_only_what_it_read_to_the_new_end() {
    let role = race(1_000).await;
    assert!(matches!(role, Role::StandingBy), "{role:?}");
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_race_starts_over_when_what_it_read_is_collected() {
    // Its fence is void, and the next one, at the new end, stands.
    let role = race(2).await;
    assert!(matches!(role, Role::Leading { .. }), "{role:?}");
}
