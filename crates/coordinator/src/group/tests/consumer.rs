//! Groups that change their protocol, by the requests that were sent to a stock Apache Kafka 4.3.0, with its answers and
//! the records that it wrote; and what else is asked of consumer groups.

use super::harness::text;
use crate::context::{Client, Cluster, Context, Request, Time, TopicView};
use crate::effects::{Effects, Record, Token};
use crate::group::{GroupOptions, GroupShard};
use crate::schema::consumer::Change;
use crate::schema::group::GroupMetadataValue;
use crate::schema::wire::Writer;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, RequestKind, ResponseKind, SyncGroupRequest, SyncGroupResponse, TopicName,
};
use levee_base::Random;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// Of a classic group that becomes a consumer group, and a classic one again. A value that is empty is a tombstone.
const THERE_AND_BACK: &[(&str, &str)] = &[
    ("000200136367742d313739366d31373936303435303634", "0003000000000000ffffffff000001a22ca0c74800000000"),
    (
        "000200136367742d313739366d31373936303435303634",
        "00030008636f6e73756d657200000001000572616e67650028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461000001a22ca0c74e000000010028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461ffff0003636c69000a2f3132372e302e302e310000ea60000075300000001700010000000100076367742d666f6fffffffff000000000000002300010000000100076367742d666f6f00000003000000000000000100000002ffffffff",
    ),
    ("000200136367742d313739366d31373936303435303634", ""),
    (
        "000500136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea60000100260100007530020672616e67651800010000000100076367742d666f6fffffffff000000000000",
    ),
    ("000300136367742d313739366d31373936303435303634", "000000000001010008861c9866b2b25f64"),
    (
        "000700136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    ("000600136367742d313739366d31373936303435303634", "00000000000100"),
    (
        "000800136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "00000000000100000001000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000100000001000000010100",
    ),
    (
        "000500136367742d313739366d31373936303435303634000161",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    ("000300136367742d313739366d31373936303435303634", "000000000002010008861c9866b2b25f64"),
    (
        "000700136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "00000218050f493da044af8a246a8cf0d629110300000000000000010000",
    ),
    (
        "000700136367742d313739366d31373936303435303634000161",
        "00000218050f493da044af8a246a8cf0d6291102000000020000",
    ),
    ("000600136367742d313739366d31373936303435303634", "000000000002010008000001a22ca0c76c"),
    ("000800136367742d313739366d31373936303435303634000161", "0000000000020000000002010100"),
    (
        "000500136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001003f0100007530020672616e67653100010000000100076367742d666f6fffffffff0000000100076367742d666f6f000000030000000000000001000000020000",
    ),
    (
        "000800136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "00000000000100000001010218050f493da044af8a246a8cf0d629110300000000000000010100090300000001000000010218050f493da044af8a246a8cf0d629110200000002010005020000000100",
    ),
    (
        "000500136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001003b0100007530020672616e67652d00010000000100076367742d666f6fffffffff0000000100076367742d666f6f0000000200000000000000010000",
    ),
    (
        "000800136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "00000000000200000001000218050f493da044af8a246a8cf0d629110300000000000000010100090300000001000000010100",
    ),
    (
        "000800136367742d313739366d31373936303435303634000161",
        "00000000000200000002000218050f493da044af8a246a8cf0d62911020000000201000502000000020100",
    ),
    ("000800136367742d313739366d31373936303435303634000161", ""),
    (
        "000800136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "",
    ),
    ("000700136367742d313739366d31373936303435303634000161", ""),
    (
        "000700136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "",
    ),
    ("000600136367742d313739366d31373936303435303634", ""),
    ("000500136367742d313739366d31373936303435303634000161", ""),
    (
        "000500136367742d313739366d313739363034353036340028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461",
        "",
    ),
    ("000400136367742d313739366d31373936303435303634", ""),
    ("000300136367742d313739366d31373936303435303634", ""),
    (
        "000200136367742d313739366d31373936303435303634",
        "00030008636f6e73756d657200000002000572616e67650028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461000001a22ca0c7f2000000010028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461ffff0003636c69000a2f3132372e302e302e310000ea60000075300000002c00010000000100076367742d666f6fffffffff0000000100076367742d666f6f0000000200000000000000010000001f00010000000100076367742d666f6f000000020000000000000001ffffffff",
    ),
    (
        "000200136367742d313739366d31373936303435303634",
        "00030008636f6e73756d657200000003000572616e67650028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461000001a22ca0c832000000010028636c692d33616466633064352d386634362d346662352d386231362d663837333434613138613461ffff0003636c69000a2f3132372e302e302e310000ea60000075300000002c00010000000100076367742d666f6fffffffff0000000100076367742d666f6f0000000200000000000000010000002300010000000100076367742d666f6f00000003000000000000000100000002ffffffff",
    ),
    (
        "000200136367742d313739366d31373936303435303634",
        "00030008636f6e73756d657200000004ffffffff000001a22ca13d8400000000",
    ),
];

/// Of a consumer group without members that becomes a classic one, and the other way round.
const EMPTY: &[(&str, &str)] = &[
    (
        "000500146367742d313739366d3137393630343530363465000161",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    ("000300146367742d313739366d3137393630343530363465", "000000000002010008861c9866b2b25f64"),
    (
        "000700146367742d313739366d3137393630343530363465000161",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    ("000600146367742d313739366d3137393630343530363465", "000000000002010008000001a22ca0c85c"),
    (
        "000800146367742d313739366d3137393630343530363465000161",
        "00000000000200000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000200000002000000020100",
    ),
    ("000800146367742d313739366d3137393630343530363465000161", ""),
    ("000700146367742d313739366d3137393630343530363465000161", ""),
    ("000500146367742d313739366d3137393630343530363465000161", ""),
    ("000300146367742d313739366d3137393630343530363465", "00000000000300"),
    ("000600146367742d313739366d3137393630343530363465", ""),
    ("000400146367742d313739366d3137393630343530363465", ""),
    ("000300146367742d313739366d3137393630343530363465", ""),
    ("000200146367742d313739366d3137393630343530363465", "0003000000000000ffffffff000001a22ca0c8bb00000000"),
    (
        "000200146367742d313739366d3137393630343530363465",
        "00030008636f6e73756d657200000001000572616e67650028636c692d62383537376230622d343566352d343465622d396138612d363633623265653466326662000001a22ca0c8d7000000010028636c692d62383537376230622d343566352d343465622d396138612d363633623265653466326662ffff0003636c69000a2f3132372e302e302e310000ea60000075300000001700010000000100076367742d666f6fffffffff000000000000001b00010000000100076367742d666f6f0000000100000000ffffffff",
    ),
    (
        "000200146367742d313739366d3137393630343530363465",
        "00030008636f6e73756d657200000002ffffffff000001a22ca0c8e400000000",
    ),
    ("000200146367742d313739366d3137393630343530363465", ""),
    (
        "000500146367742d313739366d3137393630343530363465000162",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    ("000300146367742d313739366d3137393630343530363465", "000000000002010008861c9866b2b25f64"),
    (
        "000700146367742d313739366d3137393630343530363465000162",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    ("000600146367742d313739366d3137393630343530363465", "000000000002010008000001a22ca0c909"),
    (
        "000800146367742d313739366d3137393630343530363465000162",
        "00000000000200000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000200000002000000020100",
    ),
];

/// Of a static member that comes back by the classic protocol.
const STATIC: &[(&str, &str)] = &[
    (
        "000500156367742d313739366d31373936303435303634657300027331",
        "000002690004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    ("000300156367742d313739366d313739363034353036346573", "000000000002010008861c9866b2b25f64"),
    (
        "000700156367742d313739366d31373936303435303634657300027331",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    ("000600156367742d313739366d313739363034353036346573", "000000000002010008000001a22ca0c921"),
    (
        "000800156367742d313739366d31373936303435303634657300027331",
        "00000000000200000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000200000002000000020100",
    ),
    ("000800156367742d313739366d31373936303435303634657300027331", ""),
    ("000700156367742d313739366d31373936303435303634657300027331", ""),
    ("000500156367742d313739366d31373936303435303634657300027331", ""),
    (
        "000500156367742d313739366d3137393630343530363465730016744e636f504538785237435444325a58455430494767",
        "000002690004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    (
        "000700156367742d313739366d3137393630343530363465730016744e636f504538785237435444325a58455430494767",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    (
        "000800156367742d313739366d3137393630343530363465730016744e636f504538785237435444325a58455430494767",
        "00000000000000000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000200000002000000020100",
    ),
    (
        "000500156367742d313739366d3137393630343530363465730016744e636f504538785237435444325a58455430494767",
        "000002690004636c690b2f3132372e302e302e3102086367742d666f6f010000ea60000100260100007530020672616e67651800010000000100076367742d666f6fffffffff000000000000",
    ),
    (
        "000800156367742d313739366d3137393630343530363465730016744e636f504538785237435444325a58455430494767",
        "00000000000200000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000200000002000000020100",
    ),
    (
        "000800156367742d313739366d3137393630343530363465730016744e636f504538785237435444325a58455430494767",
        "",
    ),
    (
        "000700156367742d313739366d3137393630343530363465730016744e636f504538785237435444325a58455430494767",
        "",
    ),
    ("000600156367742d313739366d313739363034353036346573", ""),
    (
        "000500156367742d313739366d3137393630343530363465730016744e636f504538785237435444325a58455430494767",
        "",
    ),
    ("000400156367742d313739366d313739363034353036346573", ""),
    ("000300156367742d313739366d313739363034353036346573", ""),
    (
        "000200156367742d313739366d313739363034353036346573",
        "00030008636f6e73756d657200000002000572616e67650016744e636f504538785237435444325a58455430494767000001a22ca0c923000000010016744e636f504538785237435444325a584554304947670001690003636c69000a2f3132372e302e302e310000ea60000075300000001700010000000100076367742d666f6fffffffff000000000000002300010000000100076367742d666f6f00000003000000000000000100000002ffffffff",
    ),
    (
        "000200156367742d313739366d313739363034353036346573",
        "00030008636f6e73756d657200000003ffffffff000001a22ca13e7200000000",
    ),
];

/// The topic's id there.
const TOPIC: Uuid = Uuid::from_u128(0x1805_0f49_3da0_44af_8a24_6a8c_f0d6_2911);

#[derive(Debug)]
struct Foo(u32);

impl Cluster for Foo {
    fn topic(&self, name: &str) -> Option<TopicView> {
        (name == "cgt-foo").then(|| TopicView { name: name.into(), id: TOPIC, partitions: self.0 })
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicView> {
        self.topic("cgt-foo").filter(|topic| topic.id == id)
    }

    fn topics(&self) -> Vec<TopicView> {
        self.topic("cgt-foo").into_iter().collect()
    }

    fn group_configs(&self, _: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// A shard, and a client of it that waits for each answer.
struct World {
    shard: GroupShard,
    options: GroupOptions,
    topics: Foo,
    group: &'static str,
    now: Duration,
    asked: u64,
    answers: BTreeMap<Token, ResponseKind>,
    log: Vec<Record>,
}

impl World {
    fn new(group: &'static str) -> Self {
        // As it was set there.
        let options = GroupOptions { initial_rebalance_delay: Duration::ZERO, ..GroupOptions::default() };
        let mut world = Self {
            shard: GroupShard::new(options.clone(), Random::seeded(7)),
            options,
            topics: Foo(3),
            group,
            now: Duration::from_secs(100),
            asked: 0,
            answers: BTreeMap::new(),
            log: Vec::new(),
        };
        world.run(|shard, ctx| shard.loaded(ctx));
        world
    }

    fn run(&mut self, call: impl FnOnce(&mut GroupShard, Context<'_>) -> Effects) {
        let time = Time { wall_ms: 1_700_000_000_000 + self.now.as_millis() as i64, now: self.now };
        let effects = call(&mut self.shard, Context { time, cluster: &self.topics });
        self.shard.check_sizes();
        self.log.extend(effects.appends.into_iter().flat_map(|append| append.records));
        self.answers.extend(effects.answers.into_iter().map(|answer| (answer.token, answer.response)));
    }

    fn pass_ms(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.now = due;
            self.run(|shard, ctx| shard.tick(ctx));
        }
        self.now = end;
    }

    /// Asks, and waits for a millisecond if there is no answer at once.
    fn ask(&mut self, version: i16, kind: impl Into<RequestKind>) -> ResponseKind {
        self.asked += 1;
        let token = Token(self.asked);
        let client = Client { id: "cli".into(), host: "/127.0.0.1".into() };
        let request = Request { token, client, version, kind: kind.into() };
        self.run(|shard, ctx| shard.handle(ctx, request));
        if !self.answers.contains_key(&token) {
            self.pass_ms(1);
        }
        let response = self.answers.remove(&token).expect("there is an answer");
        response.encode(&mut BytesMut::new(), version).expect("it can be sent");
        response
    }

    fn fail_over(&mut self) {
        self.shard = GroupShard::new(self.options.clone(), Random::seeded(8));
        for record in self.log.clone() {
            self.shard.replay(None, record.key, record.value, 0).expect("what was written is read");
        }
        self.run(|shard, ctx| shard.loaded(ctx));
    }

    fn join(&mut self, id: &str, instance: Option<&'static str>, owned: &[i32]) -> JoinGroupResponse {
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription(owned));
        let request = JoinGroupRequest::default()
            .with_group_id(text(self.group).into())
            .with_member_id(text(id))
            .with_group_instance_id(instance.map(text))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let ResponseKind::JoinGroup(response) = self.ask(9, request) else { panic!("no JoinGroup") };
        response
    }

    /// The error, and the partitions that are assigned.
    fn sync(&mut self, id: &str, generation: i32, assign: Option<&[i32]>) -> (i16, String) {
        let assignments = assign.map(|partitions| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(id))
                .with_assignment(assignment(partitions))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(text(self.group).into())
            .with_member_id(text(id))
            .with_generation_id(generation)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(assignments.into_iter().collect());
        let ResponseKind::SyncGroup(SyncGroupResponse { error_code, assignment, .. }) = self.ask(5, request)
        else {
            panic!("no SyncGroup")
        };
        (error_code, hex(&assignment))
    }

    fn beat(&mut self, id: &str, generation: i32) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(text(self.group).into())
            .with_member_id(text(id))
            .with_generation_id(generation);
        let ResponseKind::Heartbeat(HeartbeatResponse { error_code, .. }) = self.ask(4, request) else {
            panic!("no Heartbeat")
        };
        error_code
    }

    fn leave(&mut self, ids: &[&str]) -> Vec<i16> {
        let members = ids.iter().map(|id| MemberIdentity::default().with_member_id(text(id)));
        let request = LeaveGroupRequest::default()
            .with_group_id(text(self.group).into())
            .with_members(members.collect());
        let ResponseKind::LeaveGroup(LeaveGroupResponse { members, .. }) = self.ask(5, request) else {
            panic!("no LeaveGroup")
        };
        members.iter().map(|member| member.error_code).collect()
    }

    fn send(&mut self, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let request = request.with_group_id(text(self.group).into());
        let ResponseKind::ConsumerGroupHeartbeat(response) = self.ask(1, request) else {
            panic!("no ConsumerGroupHeartbeat")
        };
        response
    }

    /// Joins by the consumer protocol: the epoch, and the partitions that are assigned.
    fn consumer_join(&mut self, id: &str, instance: Option<&'static str>) -> (i16, i32, Option<Vec<i32>>) {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_member_id(text(id))
            .with_member_epoch(0)
            .with_instance_id(instance.map(text))
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(vec![TopicName(text("cgt-foo"))]))
            .with_topic_partitions(Some(Vec::new()));
        shown(&self.send(request))
    }

    fn consumer_beat(&mut self, id: &str, epoch: i32) -> (i16, i32, Option<Vec<i32>>) {
        shown(&self.send(later(id, epoch)))
    }

    /// Holds all that was written against what Kafka wrote, but for when; `ids` are ours and Kafka's of the same length.
    fn compare(&self, kafka: &[(&str, &str)], ids: &[(&str, &str)]) {
        let mut ours: Vec<_> = self
            .log
            .iter()
            .map(|record| (hex(&record.key), record.value.as_deref().map(hex).unwrap_or_default()))
            .collect();
        for (our, theirs) in ids {
            let (our, theirs) = (hex(our.as_bytes()), hex(theirs.as_bytes()));
            assert_eq!(our.len(), theirs.len());
            for (key, value) in &mut ours {
                *key = key.replace(&our, &theirs);
                *value = value.replace(&our, &theirs);
            }
        }
        let kafka = kafka.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (ours, kafka) = (in_order(ours), in_order(kafka));
        for (at, (ours, kafka)) in ours.iter().zip(&kafka).enumerate() {
            assert_eq!(timeless(&ours.0, &ours.1), timeless(&kafka.0, &kafka.1), "record {at}");
        }
        assert_eq!(ours.len(), kafka.len());
    }
}

fn later(id: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_member_id(text(id))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}

fn owning(request: ConsumerGroupHeartbeatRequest, partitions: &[i32]) -> ConsumerGroupHeartbeatRequest {
    let owned = TopicPartitions::default().with_topic_id(TOPIC).with_partitions(partitions.to_vec());
    request.with_topic_partitions(Some(vec![owned]))
}

fn shown(response: &ConsumerGroupHeartbeatResponse) -> (i16, i32, Option<Vec<i32>>) {
    let partitions = response.assignment.as_ref().map(|assignment| {
        assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect()
    });
    (response.error_code, response.member_epoch, partitions)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Bytes {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Kafka goes through members in the order of a hash table: what is of one kind is sorted.
fn in_order(mut records: Vec<(String, String)>) -> Vec<(String, String)> {
    for run in records.chunk_by_mut(|(a, _), (b, _)| a[..4] == b[..4]) {
        run.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    records
}

/// A record without the time that it was written at.
fn timeless(key: &str, value: &str) -> String {
    if value.is_empty() {
        return key.to_owned();
    }
    if key.starts_with("0002") {
        let mut group = GroupMetadataValue::read(bytes(value)).unwrap();
        group.current_state_timestamp_ms = 0;
        return format!("{key} {group:?}");
    }
    match Change::parse(&bytes(key), Some(&bytes(value))).unwrap() {
        (group, Change::Target(Some(mut target))) => {
            target.timestamp_ms = target.timestamp_ms.signum();
            format!("{group} {target:?}")
        }
        _ => format!("{key} {value}"),
    }
}

fn partitions(writer: &mut Writer, partitions: &[i32]) {
    let topics: &[&[i32]] = if partitions.is_empty() { &[] } else { &[partitions] };
    writer.array(topics, |writer, partitions| {
        writer.string("cgt-foo").array(partitions, |writer, partition| {
            writer.i32(*partition);
        });
    });
}

/// What a consumer says of itself, in version 1.
fn subscription(owned: &[i32]) -> Bytes {
    let mut writer = Writer::new(1, false);
    writer
        .array(&["cgt-foo"], |writer, topic| {
            writer.string(topic);
        })
        .i32(-1);
    partitions(&mut writer, owned);
    writer.finish()
}

fn assignment(assigned: &[i32]) -> Bytes {
    let mut writer = Writer::new(1, false);
    partitions(&mut writer, assigned);
    writer.i32(-1).finish()
}

#[test]
fn a_group_goes_there_and_back_as_in_kafka() {
    let mut world = World::new("cgt-1796m1796045064");
    let first = world.join("", None, &[]);
    assert_eq!(first.error_code, 79);
    let id = first.member_id.as_str();
    let joined = world.join(id, None, &[]);
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 1, id));
    assert_eq!(world.sync(id, 1, Some(&[0, 1, 2])), (0, hex(&assignment(&[0, 1, 2]))));
    assert_eq!(world.consumer_join("a", None), (0, 2, Some(Vec::new())));
    assert_eq!(world.beat(id, 1), 27);
    assert_eq!(world.sync(id, 1, None), (27, String::new()));
    let joined = world.join(id, None, &[0, 1, 2]);
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 1, ""));
    assert_eq!(
        (joined.protocol_type.as_deref(), joined.protocol_name.as_deref()),
        (Some("consumer"), Some("range"))
    );
    assert_eq!(world.sync(id, 1, None), (0, hex(&assignment(&[0, 1]))));
    assert_eq!(world.beat(id, 1), 27);
    assert_eq!(world.join(id, None, &[0, 1]).generation_id, 2);
    assert_eq!(world.sync(id, 2, None), (0, hex(&assignment(&[0, 1]))));
    assert_eq!(world.beat(id, 2), 0);
    assert_eq!(world.consumer_beat("a", 2), (0, 2, Some(vec![2])));
    assert_eq!(world.leave(&["a", "nobody"]), [0, 25]);
    assert_eq!(world.beat(id, 2), 27);
    let joined = world.join(id, None, &[0, 1]);
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 3, id));
    assert_eq!(world.sync(id, 3, Some(&[0, 1, 2])), (0, hex(&assignment(&[0, 1, 2]))));
    assert_eq!(world.beat(id, 3), 0);
    // Nobody says anything any more.
    world.pass_ms(40_000);
    world.compare(THERE_AND_BACK, &[(id, "cli-3adfc0d5-8f46-4fb5-8b16-f87344a18a4a")]);
}

#[test]
fn a_group_without_members_is_what_its_first_member_wants_as_in_kafka() {
    let mut world = World::new("cgt-1796m1796045064e");
    assert_eq!(world.consumer_join("a", None), (0, 2, Some(vec![0, 1, 2])));
    assert_eq!(world.consumer_beat("a", -1), (0, -1, None));
    let first = world.join("", None, &[]);
    let id = first.member_id.as_str();
    assert_eq!((first.error_code, world.join(id, None, &[]).generation_id), (79, 1));
    assert_eq!(world.sync(id, 1, Some(&[0])), (0, hex(&assignment(&[0]))));
    assert_eq!(world.leave(&[id]), [0]);
    assert_eq!(world.consumer_join("b", None), (0, 2, Some(vec![0, 1, 2])));
    world.compare(EMPTY, &[(id, "cli-b8577b0b-45f5-44eb-9a8a-663b2ee4f2fb")]);
}

#[test]
fn a_classic_member_that_is_refused_leaves_an_empty_consumer_group_what_it_is() {
    let mut world = World::new("g");
    assert_eq!(world.consumer_join("a", None), (0, 2, Some(vec![0, 1, 2])));
    assert_eq!(world.consumer_beat("a", -1), (0, -1, None));
    let written = world.log.len();
    assert_eq!(world.join("somebody-else's", None, &[]).error_code, 25, "UNKNOWN_MEMBER_ID");
    assert_eq!(world.log.len(), written);
    assert!(matches!(world.shard.groups.get("g"), Some(crate::group::kind::Group::Consumer(_))));
}

#[test]
fn a_static_member_takes_its_group_along_as_in_kafka() {
    let mut world = World::new("cgt-1796m1796045064es");
    assert_eq!(world.consumer_join("s1", Some("i")), (0, 2, Some(vec![0, 1, 2])));
    let joined = world.join("", Some("i"), &[]);
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 2, ""));
    assert_eq!(world.beat(&joined.member_id, 2), 0);
    world.pass_ms(40_000);
    world.compare(STATIC, &[(&joined.member_id, "tNcoPE8xR7CTD2ZXET0IGg")]);
}

#[test]
fn a_group_that_moved_is_the_same_elsewhere() {
    let mut world = World::new("g");
    let first = world.join("", None, &[]);
    let id = first.member_id.as_str();
    world.join(id, None, &[]);
    world.sync(id, 1, Some(&[0, 1, 2]));
    world.fail_over();
    assert_eq!(world.consumer_join("a", None), (0, 2, Some(Vec::new())));
    world.fail_over();
    assert_eq!(world.beat(id, 1), 27);
    world.join(id, None, &[0, 1]);
    assert_eq!(world.consumer_beat("a", 2), (0, 2, Some(vec![2])));
    world.fail_over();
    assert_eq!(world.consumer_beat("a", 2), (0, 2, None));
    world.consumer_beat("a", -1);
    world.fail_over();
    assert_eq!(world.beat(id, 2), 0);
    // A shard that has taken over waits for all members anew.
    assert_eq!(world.consumer_join("a", None), (0, 3, Some(vec![2])));
    world.fail_over();
    world.pass_ms(44_999);
    assert_eq!(world.beat(id, 2), 27);
    world.pass_ms(1);
    // With the last one that used the consumer protocol the group is a classic one again.
    assert_eq!((world.consumer_beat("a", 3).0, world.beat(id, 2)), (69, 22));
}

#[test]
fn consumer_groups_are_listed_described_and_deleted() {
    let mut world = World::new("g");
    world.consumer_join("a", None);
    let list = |world: &mut World, state: &str| {
        let request = ListGroupsRequest::default().with_states_filter(vec![text(state)]);
        let ResponseKind::ListGroups(ListGroupsResponse { groups, .. }) = world.ask(5, request) else {
            panic!()
        };
        groups
    };
    let listed = &list(&mut world, "stable")[0];
    let shown = (listed.group_state.as_str(), listed.group_type.as_str(), listed.protocol_type.as_str());
    assert_eq!(shown, ("Stable", "consumer", "consumer"));
    assert_eq!(list(&mut world, "empty").len(), 0);

    let ids = ["g", "none", ""].map(|id| text(id).into()).to_vec();
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(ids.clone());
    let ResponseKind::ConsumerGroupDescribe(ConsumerGroupDescribeResponse { groups, .. }) =
        world.ask(1, request)
    else {
        panic!()
    };
    assert_eq!(groups.iter().map(|group| group.error_code).collect::<Vec<_>>(), [0, 69, 24]);
    assert_eq!((groups[0].members.len(), groups[0].group_state.as_str()), (1, "Stable"));
    assert_eq!(groups[1].error_message.as_deref(), Some("Group none not found."));
    // By the classic request it isn't there.
    let request = DescribeGroupsRequest::default().with_groups(ids[..1].to_vec());
    let ResponseKind::DescribeGroups(DescribeGroupsResponse { groups, .. }) = world.ask(6, request) else {
        panic!()
    };
    assert_eq!((groups[0].error_code, groups[0].group_state.as_str()), (69, "Dead"));
    assert_eq!(groups[0].error_message.as_deref(), Some("Group g is not a classic group."));

    let delete = |world: &mut World| {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![text("g").into()]);
        let ResponseKind::DeleteGroups(DeleteGroupsResponse { results, .. }) = world.ask(2, request) else {
            panic!()
        };
        results[0].error_code
    };
    assert_eq!(delete(&mut world), 68);
    world.consumer_beat("a", -1);
    assert_eq!((delete(&mut world), delete(&mut world)), (0, 69));
    assert_eq!(world.shard.next_deadline(), Some(Duration::from_secs(700)), "only expiry is waited for");
    world.fail_over();
    assert_eq!(delete(&mut world), 69);
}

#[test]
fn members_commit_in_their_epoch() {
    let mut world = World::new("g");
    world.consumer_join("a", None);
    let commit = |world: &mut World, epoch, each: &[i32]| {
        let partitions = each.iter().map(|&index| {
            OffsetCommitRequestPartition::default().with_partition_index(index).with_committed_offset(5)
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text("cgt-foo")))
            .with_partitions(partitions.collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(text("g").into())
            .with_member_id(text("a"))
            .with_generation_id_or_member_epoch(epoch)
            .with_topics(vec![topic]);
        let ResponseKind::OffsetCommit(OffsetCommitResponse { topics, .. }) = world.ask(9, request) else {
            panic!()
        };
        topics[0].partitions.iter().map(|partition| partition.error_code).collect::<Vec<_>>()
    };
    assert_eq!(commit(&mut world, 2, &[0, 1, 2]), [0, 0, 0]);
    assert_eq!(commit(&mut world, 3, &[0]), [113]);
    // It gives one up and goes on to another epoch, of which it has not heard yet.
    world.pass_ms(1_000);
    world.consumer_join("b", None);
    world.consumer_beat("a", 2);
    let kept = owning(later("a", 2), &[0, 1]);
    assert_eq!(shown(&world.send(kept)), (0, 3, None));
    assert_eq!(commit(&mut world, 2, &[0, 1]), [0, 0]);
    // What it has given up makes all of it too old.
    assert_eq!(commit(&mut world, 2, &[0, 2]), [113, 113]);
    assert_eq!(commit(&mut world, -1, &[0]), [113]);
    world.fail_over();
    assert_eq!(commit(&mut world, 2, &[0, 1]), [0, 0]);
}

#[test]
fn a_group_of_one_kind_is_not_there_for_the_other() {
    let mut world = World::new("g");
    assert_eq!(world.consumer_beat("a", 1).0, 69);
    assert_eq!(world.consumer_beat("a", -1).0, 69);
    let first = world.join("", None, &[]);
    let id = first.member_id.as_str();
    world.join(id, None, &[]);
    assert_eq!(world.consumer_beat("a", 1).0, 69);
    assert_eq!(world.send(later("a", -1)).error_message.as_deref(), Some("Group g is not a consumer group."));
    // Without leave it stays what it is.
    world.options.consumer.migration_policy = crate::group::consumer::MigrationPolicy::Disabled;
    world.sync(id, 1, Some(&[0]));
    world.fail_over();
    assert_eq!(world.consumer_join("a", None).0, 69);
    assert_eq!(world.beat(id, 1), 0);
}
