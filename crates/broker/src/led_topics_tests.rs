//! The table follows the metadata, whoever changed that and whether or not anybody still waits for it.

use super::*;
use crate::holder::Newcomer;
use crate::registrar::MetadataRegistrar;
use crate::registration::tests::registrant_on;
use levee_base::Offset;
use levee_meta::ControllerOptions;
use levee_object::Store;
use levee_object::stores::memory::MemoryStore;
use levee_store::WalOptions;

pub(crate) async fn led() -> Arc<LedTopics> {
    led_with(WalOptions::folder()).await
}

pub(crate) async fn led_with(options: WalOptions) -> Arc<LedTopics> {
    let (clock, random) = (Clock::simulated(1_700_000_000_000), Random::seeded(1));
    led_on(Arc::new(MemoryStore::new()), clock, random, options).await
}

/// Of a process that has the store to itself. Nothing is open yet.
pub(crate) async fn led_on(
    store: Arc<dyn Store>,
    clock: Clock,
    random: Random,
    options: WalOptions,
) -> Arc<LedTopics> {
    let registrant = registrant_on(store, clock, random.clone(), ControllerOptions::default()).await;
    let (metadata, node) = (registrant.metadata.clone(), registrant.node);
    let (epoch, _) = registrant.register(Newcomer::Started, &mut None).await.unwrap();
    let registrar = Arc::new(MetadataRegistrar(metadata.clone()));
    let (log, writer) = (registrant.log(node), random.writer_id());
    let store = StreamStore::open(log, epoch, writer, registrar, options, Arc::default());
    Arc::new(LedTopics::new(node, epoch, metadata, store, clock, random))
}

/// As far as a request comes whose client gives up once its command is sent.
async fn commit(led: &LedTopics, command: Command) {
    let answer = led.metadata.commit(command).await.unwrap();
    assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
}

async fn create(led: &LedTopics, name: &str) -> TopicId {
    let topic = TopicId(led.random.uuid());
    let (name, configs, leader) = (name.to_owned(), BTreeMap::new(), led.epoch);
    commit(led, Command::CreateTopic { name, topic, partitions: 2, configs, leader }).await;
    topic
}

/// Time is simulated: it passes when everything waits.
pub(crate) async fn settle(led: &LedTopics) {
    led.clock.sleep(FOLLOW_PACE * 2).await;
}

/// Lets simulated time pass until something has happened, for an hour at most.
pub(crate) async fn until(led: &LedTopics, happened: impl Fn() -> bool) {
    let end = led.clock.now() + Duration::from_secs(3_600);
    while !happened() {
        assert!(led.clock.now() < end, "it has not happened in an hour");
        led.clock.sleep(Duration::from_secs(1)).await;
    }
}

fn streams(led: &LedTopics, name: &str) -> Vec<StreamId> {
    let topic = led.table.by_name(name).unwrap();
    let stream = |partition: &Partition| match partition {
        Partition::Here(log) => log.stream(),
        other => panic!("{other:?}"),
    };
    topic.partitions.iter().map(stream).collect()
}

#[tokio::test(start_paused = true)]
async fn a_topic_whose_create_or_delete_nobody_waits_for_is_opened_and_closed() {
    let led = led().await;
    // Before there is anybody to see it change,
    create(&led, "early").await;
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    settle(&led).await;
    assert_eq!(streams(&led, "early").len(), 2);
    // and after.
    let late = create(&led, "late").await;
    settle(&led).await;
    let open = streams(&led, "late");
    assert!(open.iter().all(|stream| led.store.end(*stream).is_some()));
    commit(&led, Command::DeleteTopic { topic: late }).await;
    settle(&led).await;
    assert!(led.table.by_name("late").is_none());
    assert!(open.iter().all(|stream| led.store.end(*stream).is_none()), "its streams take nothing more");
    assert_eq!(streams(&led, "early").len(), 2, "what did not change is left alone");
    maintaining.abort();
}

#[tokio::test(start_paused = true)]
async fn partitions_that_are_added_are_opened_and_the_others_stay_open() {
    let led = led().await;
    let id = led.create("a".to_owned(), 2, BTreeMap::new()).await.unwrap();
    let Partition::Here(first) = led.table.by_id(id.0).unwrap().partitions[0].clone() else { panic!() };
    led.add_partitions(id.0, 3).await.unwrap();
    assert_eq!(streams(&led, "a").len(), 3, "they are open when it returns");
    let Partition::Here(same) = led.table.by_id(id.0).unwrap().partitions[0].clone() else { panic!() };
    assert!(Arc::ptr_eq(&first, &same), "a log that is opened twice would lose what is appended to it");
    assert_eq!(led.add_partitions(id.0, 3).await, Err(BackendError::NoIncrease(3)));
    assert_eq!(led.add_partitions(Uuid::nil(), 3).await, Err(BackendError::UnknownTopic));
    // And where nobody waits for it.
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    settle(&led).await;
    commit(&led, Command::AddPartitions { topic: id, partitions: 5, leader: led.epoch }).await;
    settle(&led).await;
    let open = streams(&led, "a");
    assert_eq!(open.len(), 5);
    assert!(open.iter().all(|stream| led.store.end(*stream).is_some()));
    maintaining.abort();
}

#[tokio::test(start_paused = true)]
async fn topics_go_by_what_was_changed_of_the_brokers_configurations() {
    let led = led().await;
    let own = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
    led.create("own".to_owned(), 1, own).await.unwrap();
    led.create("a".to_owned(), 1, BTreeMap::new()).await.unwrap();
    let kept = |name: &str| {
        let Partition::Here(log) = led.table.by_name(name).unwrap().partitions[0].clone() else { panic!() };
        log.config().topic.retention_ms
    };
    let of = |name: &str| Resource { kind: BROKER, name: name.to_owned() };
    let set = |value: &str| BTreeMap::from([("log.retention.ms".to_owned(), value.to_owned())]);
    led.alter_resource(of(""), set("7"), BTreeSet::new()).await.unwrap();
    assert_eq!((kept("own"), kept("a")), (Some(5), Some(7)));
    led.create("b".to_owned(), 1, BTreeMap::new()).await.unwrap();
    led.alter_resource(led.broker.clone(), set("8"), BTreeSet::new()).await.unwrap();
    assert_eq!((kept("own"), kept("a"), kept("b")), (Some(5), Some(8), Some(8)));
    let unset = || BTreeSet::from(["log.retention.ms".to_owned()]);
    led.alter_resource(led.broker.clone(), BTreeMap::new(), unset()).await.unwrap();
    assert_eq!(kept("b"), Some(7));
    led.alter_resource(of(""), BTreeMap::new(), unset()).await.unwrap();
    assert_eq!((kept("own"), kept("a")), (Some(5), TopicConfig::default().retention_ms));
    assert_eq!(led.difference(), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn following_leaves_the_logs_that_are_open_as_they_are() {
    let led = led().await;
    let id = led.create("a".to_owned(), 1, BTreeMap::new()).await.unwrap();
    let before = led.table.by_id(id.0).unwrap();
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    led.create("b".to_owned(), 1, BTreeMap::new()).await.unwrap();
    settle(&led).await;
    assert!(Arc::ptr_eq(&before, &led.table.by_id(id.0).unwrap()));
    maintaining.abort();
}

#[tokio::test(start_paused = true)]
async fn topics_do_not_wait_for_one_that_is_being_opened() {
    let led = led().await;
    let slow = create(&led, "slow").await;
    let opening = led.turn(slow.0).await;
    let patience = Duration::from_secs(60);
    let other = led.clock.timeout(patience, led.create("b".to_owned(), 1, BTreeMap::new())).await;
    other.expect("it waits for no other topic").unwrap();
    assert!(led.clock.timeout(patience, led.open(slow)).await.is_none(), "its own turn it waits for");
    drop(opening);
    led.open(slow).await;
    assert_eq!(streams(&led, "slow").len(), 2);
    led.turn(Uuid::nil()).await;
    assert!(led.turns.lock().unwrap().len() <= 1, "turns that are over are forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_anew_before_the_delete_was_seen_closes_the_old_streams() {
    let led = led().await;
    let old = led.create("a".to_owned(), 1, BTreeMap::new()).await.unwrap();
    let before = streams(&led, "a");
    commit(&led, Command::DeleteTopic { topic: old }).await;
    led.create("a".to_owned(), 1, BTreeMap::new()).await.unwrap();
    assert_ne!(streams(&led, "a"), before);
    assert!(led.store.end(before[0]).is_none());
    led.delete(led.table.by_name("a").unwrap().id).await.unwrap();
    assert!(led.table.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_opening_was_given_up_is_opened_anew() {
    let led = led().await;
    let id = create(&led, "a").await;
    let (_, _, found) = led.found(id, &mut Met::default()).unwrap();
    // As far as it comes before it first waits.
    for Found { stream, leader_epoch, registered, .. } in found {
        led.store.open_stream(stream, leader_epoch, registered.unwrap());
    }
    led.open(id).await;
    assert_eq!(streams(&led, "a").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_deleted_while_it_was_opened_is_not_entered() {
    let led = led().await;
    let id = create(&led, "a").await;
    let (name, _, found) = led.found(id, &mut Met::default()).unwrap();
    let mut partitions = Vec::new();
    for found in found {
        partitions.push(led.open_partition(found, LogConfig::default(), &Ok(HashMap::default())).await);
    }
    commit(&led, Command::DeleteTopic { topic: id }).await;
    let Partition::Here(log) = &partitions[0] else { panic!("{partitions:?}") };
    let stream = log.stream();
    assert_eq!(led.store.end(stream).unwrap().durable, Offset::ZERO);
    let configs = BTreeMap::new();
    led.enter(Topic { name: name.into(), id: id.0, configs, partitions: partitions.clone() });
    assert!(led.table.by_id(id.0).is_none() && led.store.end(stream).is_none());
}
