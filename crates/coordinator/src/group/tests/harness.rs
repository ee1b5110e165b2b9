//! A shard with a clock, a log and clients: every answer is checked to be one that can be sent, every state to hold.

use crate::context::{Client, Cluster, Context, Request, Time, TopicView};
use crate::effects::{Effects, Producer, Record, Token, When};
use crate::group::classic::State;
use crate::group::kind::Group;
use crate::group::{ClassicGroup, GroupOptions, GroupShard};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, RequestKind, ResponseKind,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use levee_base::Random;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// When a test's wall clock starts, in Unix milliseconds.
pub(super) const START_MS: i64 = 1_700_000_000_000;

/// A topic's id, by its name's first letter.
pub(super) fn topic_id(name: &str) -> Uuid {
    Uuid::from_u128(name.bytes().next().map_or(0, u128::from))
}

/// The topics that there are: by name, how many partitions.
#[derive(Debug, Default)]
pub(super) struct Topics(pub(super) BTreeMap<&'static str, u32>);

impl Cluster for Topics {
    fn topic(&self, name: &str) -> Option<TopicView> {
        let (name, partitions) = self.0.get_key_value(name)?;
        Some(TopicView { name: (*name).into(), id: topic_id(name), partitions: *partitions })
    }

    fn topic_by_id(&self, _: Uuid) -> Option<TopicView> {
        None
    }

    fn topics(&self) -> Vec<TopicView> {
        self.0.keys().filter_map(|name| self.topic(name)).collect()
    }

    fn group_configs(&self, _: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// What the partition's log holds.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Record(Option<Producer>, Record, i64),
    Marker(Producer, bool),
}

/// See the module's text.
pub(super) struct Broker {
    pub(super) shard: GroupShard,
    pub(super) topics: Topics,
    pub(super) options: GroupOptions,
    now: Duration,
    asked: u64,
    /// The versions of requests that wait.
    waiting: BTreeMap<Token, i16>,
    answers: BTreeMap<Token, (When, ResponseKind)>,
    pub(super) log: Vec<Entry>,
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn group_id(id: &str) -> GroupId {
    GroupId(text(id))
}

impl Broker {
    pub(super) fn new() -> Self {
        Self::with(GroupOptions::default())
    }

    pub(super) fn with(options: GroupOptions) -> Self {
        let mut broker = Self {
            shard: GroupShard::new(options.clone(), Random::seeded(1)),
            topics: Topics(BTreeMap::from([("t", 4), ("u", 1)])),
            options,
            now: Duration::from_secs(1_000),
            asked: 0,
            waiting: BTreeMap::new(),
            answers: BTreeMap::new(),
            log: Vec::new(),
        };
        broker.run(|shard, ctx| shard.loaded(ctx));
        broker
    }

    pub(super) fn wall_ms(&self) -> i64 {
        START_MS + i64::try_from((self.now - Duration::from_secs(1_000)).as_millis()).unwrap()
    }

    fn run(&mut self, call: impl FnOnce(&mut GroupShard, Context<'_>) -> Effects) {
        let time = Time { wall_ms: self.wall_ms(), now: self.now };
        let effects = call(&mut self.shard, Context { time, cluster: &self.topics });
        assert!(effects.markers.is_empty());
        for append in effects.appends {
            assert!(!append.records.is_empty());
            let records = append.records.into_iter();
            self.log.extend(records.map(|record| Entry::Record(append.producer, record, time.wall_ms)));
        }
        for answer in effects.answers {
            let version = self.waiting.remove(&answer.token).expect("nobody is answered twice");
            encode(&answer.response, version);
            self.answers.insert(answer.token, (answer.when, answer.response));
        }
        self.check();
    }

    /// What must hold between calls: nobody is forgotten, and groups are sound.
    fn check(&self) {
        let mut waiting = Vec::new();
        let mut pending = 0;
        for group in self.shard.groups.values() {
            let Group::Classic(group) = group else { continue };
            group.check();
            pending += group.waits(&mut waiting);
        }
        waiting.sort();
        assert_eq!(waiting, self.waiting.keys().copied().collect::<Vec<_>>(), "requests that wait");
        assert_eq!(pending, self.shard.pending_members);
        self.shard.offsets.check();
        self.shard.check_sizes();
    }

    /// Asks, and doesn't look at the answer.
    pub(super) fn ask(&mut self, version: i16, kind: impl Into<RequestKind>) -> Token {
        self.asked += 1;
        let token = Token(self.asked);
        self.waiting.insert(token, version);
        let client = Client { id: "client".into(), host: "/127.0.0.1".into() };
        let request = Request { token, client, version, kind: kind.into() };
        self.run(|shard, ctx| shard.handle(ctx, request));
        token
    }

    /// Hands a request to the shard without looking at anything.
    pub(super) fn handle_unchecked(&mut self, version: i16, kind: impl Into<RequestKind>) -> Effects {
        let client = Client { id: "client".into(), host: "/127.0.0.1".into() };
        let request = Request { token: Token(u64::MAX), client, version, kind: kind.into() };
        let time = Time { wall_ms: self.wall_ms(), now: self.now };
        self.shard.handle(Context { time, cluster: &self.topics }, request)
    }

    /// The answer, if there is one.
    pub(super) fn answer(&self, token: Token) -> Option<&ResponseKind> {
        self.answers.get(&token).map(|(_, response)| response)
    }

    /// When the answer was to leave.
    pub(super) fn when(&self, token: Token) -> When {
        self.answers[&token].0
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets time pass, with everything that becomes due.
    pub(super) fn pass_ms(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            assert!(due >= self.now, "a timer is due in the past");
            self.now = due;
            self.run(|shard, ctx| shard.tick(ctx));
            assert!(self.shard.next_deadline().is_none_or(|next| next > due), "a tick leaves something due");
        }
        self.now = end;
    }

    pub(super) fn end_transaction(&mut self, producer: Producer, commit: bool) {
        self.log.push(Entry::Marker(producer, commit));
        self.run(|shard, ctx| shard.transaction_ended(ctx, producer, commit));
    }

    pub(super) fn delete_topics(&mut self, deleted: &[(String, Uuid)]) {
        self.run(|shard, ctx| shard.cluster_changed(ctx, deleted));
    }

    /// A shard that knows what the log says.
    pub(super) fn replayed(&self) -> GroupShard {
        // No two draw the same ids.
        let mut shard = GroupShard::new(self.options.clone(), Random::seeded(2 + self.asked));
        for entry in self.log.clone() {
            match entry {
                Entry::Record(producer, record, at_ms) => {
                    shard
                        .replay(producer, record.key, record.value, at_ms)
                        .expect("what was written is read");
                }
                Entry::Marker(producer, commit) => shard.replay_marker(producer, commit),
            }
        }
        shard
    }

    /// Another coordinator takes over. Who waited for the last one has lost the connection.
    pub(super) fn fail_over(&mut self) {
        self.shard = self.replayed();
        self.waiting.clear();
        self.run(|shard, ctx| shard.loaded(ctx));
    }

    /// The records since so many.
    pub(super) fn records(&self, from: usize) -> Vec<Record> {
        let record = |entry: &Entry| match entry {
            Entry::Record(_, record, _) => Some(record.clone()),
            Entry::Marker(..) => None,
        };
        self.log[from..].iter().filter_map(record).collect()
    }

    pub(super) fn classic(&self, id: &str) -> &ClassicGroup {
        let Group::Classic(group) = &self.shard.groups[id] else { panic!("{id} is not a classic group") };
        group
    }

    pub(super) fn state(&self, id: &str) -> State {
        self.classic(id).state()
    }
}

/// An answer must be one that its version can express.
fn encode(response: &ResponseKind, version: i16) {
    response.encode(&mut BytesMut::new(), version).expect("the answer can be encoded");
}

/// A client that joins group "g".
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub(super) version: i16,
    pub(super) group: &'static str,
    pub(super) id: String,
    pub(super) instance: Option<&'static str>,
    pub(super) protocols: Vec<(&'static str, Bytes)>,
    pub(super) generation: i32,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
}

/// A subscription to a topic, as consumers write it.
pub(super) fn subscribed(topic: &str) -> Bytes {
    let mut writer = crate::schema::wire::Writer::new(0, false);
    writer
        .array(&[topic], |writer, topic| {
            writer.string(topic);
        })
        .bytes(b"");
    writer.finish()
}

impl Consumer {
    pub(super) fn new() -> Self {
        Self {
            version: 9,
            group: "g",
            id: String::new(),
            instance: None,
            protocols: vec![("range", subscribed("t"))],
            generation: -1,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
        }
    }

    pub(super) fn fixed(instance: &'static str) -> Self {
        Self { instance: Some(instance), ..Self::new() }
    }

    pub(super) fn old(version: i16) -> Self {
        Self { version, ..Self::new() }
    }

    pub(super) fn request(&self) -> JoinGroupRequest {
        let protocols = self.protocols.iter().map(|(name, metadata)| {
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(name))
                .with_metadata(metadata.clone())
        });
        JoinGroupRequest::default()
            .with_group_id(group_id(self.group))
            .with_session_timeout_ms(self.session_timeout_ms)
            .with_rebalance_timeout_ms(self.rebalance_timeout_ms)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(StrBytes::from_static_str))
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(protocols.collect())
    }

    /// Sends JoinGroup.
    pub(super) fn join(&self, broker: &mut Broker) -> Token {
        broker.ask(self.version, self.request())
    }

    /// Gets a member id, and sends JoinGroup with it.
    pub(super) fn enter(&mut self, broker: &mut Broker) -> Token {
        let token = self.join(broker);
        if self.version >= 4 && self.instance.is_none() && self.id.is_empty() {
            let response = joined(broker, token);
            assert_eq!(response.error_code, 79, "MEMBER_ID_REQUIRED");
            self.id = response.member_id.to_string();
            return self.join(broker);
        }
        token
    }

    /// What JoinGroup was answered with; the client goes on with it.
    pub(super) fn joined(&mut self, broker: &Broker, token: Token) -> JoinGroupResponse {
        let response = joined(broker, token);
        if response.error_code == 0 {
            self.id = response.member_id.to_string();
            self.generation = response.generation_id;
        }
        response
    }

    /// Sends SyncGroup.
    pub(super) fn sync(&self, broker: &mut Broker, assignments: &[(&str, &'static [u8])]) -> Token {
        let assignments = assignments.iter().map(|(member, assignment)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(member))
                .with_assignment(Bytes::from_static(assignment))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(group_id(self.group))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(StrBytes::from_static_str))
            .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
            .with_protocol_name(Some(StrBytes::from_static_str(self.protocols[0].0)))
            .with_assignments(assignments.collect());
        broker.ask(self.version.min(5), request)
    }

    /// Sends Heartbeat; its error.
    pub(super) fn heartbeat(&self, broker: &mut Broker) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(group_id(self.group))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(StrBytes::from_static_str));
        let token = broker.ask(self.version.min(4), request);
        assert_eq!(broker.when(token), When::Now);
        match broker.answer(token) {
            Some(ResponseKind::Heartbeat(response)) => response.error_code,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn joined(broker: &Broker, token: Token) -> JoinGroupResponse {
    match broker.answer(token) {
        Some(ResponseKind::JoinGroup(response)) => response.clone(),
        other => panic!("JoinGroup is answered with {other:?}"),
    }
}

pub(super) fn synced(broker: &Broker, token: Token) -> SyncGroupResponse {
    match broker.answer(token) {
        Some(ResponseKind::SyncGroup(response)) => response.clone(),
        other => panic!("SyncGroup is answered with {other:?}"),
    }
}

/// Brings consumers into a stable group, the first one as its leader. All are assigned their place.
pub(super) fn stabilize(broker: &mut Broker, consumers: &mut [Consumer]) {
    const PLACES: [&[u8]; 4] = [b"0", b"1", b"2", b"3"];
    let tokens: Vec<_> = consumers.iter_mut().map(|consumer| consumer.enter(broker)).collect();
    broker.pass_ms(3_000);
    while broker.answer(tokens[0]).is_none() {
        broker.pass_ms(3_000);
    }
    for (consumer, token) in consumers.iter_mut().zip(tokens) {
        assert_eq!(consumer.joined(broker, token).error_code, 0);
    }
    let ids: Vec<_> = consumers.iter().map(|consumer| consumer.id.clone()).collect();
    let assigned: Vec<_> = ids.iter().map(String::as_str).zip(PLACES).collect();
    let tokens: Vec<_> = consumers.iter().skip(1).map(|consumer| consumer.sync(broker, &[])).collect();
    let first = consumers[0].sync(broker, &assigned);
    for (token, place) in std::iter::once(first).chain(tokens).zip(PLACES) {
        let response = synced(broker, token);
        assert_eq!((response.error_code, &response.assignment[..]), (0, place));
        assert_eq!(broker.when(token), When::Durable);
    }
    assert_eq!(broker.state(consumers[0].group), State::Stable);
}

pub(super) fn arc(text: &str) -> Arc<str> {
    text.into()
}
