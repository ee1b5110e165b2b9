//! The same requests as were sent to a stock Apache Kafka 4.3.0, with its answers and the records that it wrote.

use super::*;

/// Of a group whose members come, share, and leave. A value that is empty is a tombstone.
const DYNAMIC: &[(&str, &str)] = &[
    (
        "0005000e6367742d31373936303434393235000161",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    ("0003000e6367742d31373936303434393235", "000000000002010008861c9866b2b25f64"),
    (
        "0007000e6367742d31373936303434393235000161",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    ("0006000e6367742d31373936303434393235", "000000000002010008000001a22c9eab7b"),
    (
        "0008000e6367742d31373936303434393235000161",
        "00000000000200000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000200000002000000020100",
    ),
    (
        "0005000e6367742d31373936303434393235000162",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    ("0003000e6367742d31373936303434393235", "000000000003010008861c9866b2b25f64"),
    ("0008000e6367742d31373936303434393235000162", "0000000000020000000000010100"),
    (
        "0007000e6367742d31373936303434393235000161",
        "00000218050f493da044af8a246a8cf0d629110300000000000000010000",
    ),
    ("0007000e6367742d31373936303434393235000162", "00000218050f493da044af8a246a8cf0d6291102000000020000"),
    ("0006000e6367742d31373936303434393235", "000000000003010008000001a22c9eaffa"),
    ("0008000e6367742d31373936303434393235000162", "0000000000030000000202010100"),
    (
        "0008000e6367742d31373936303434393235000161",
        "00000000000200000002010218050f493da044af8a246a8cf0d629110300000000000000010100090300000002000000020218050f493da044af8a246a8cf0d629110200000002010005020000000200",
    ),
    ("0008000e6367742d31373936303434393235000162", "0000000000030000000302010100"),
    (
        "0008000e6367742d31373936303434393235000161",
        "00000000000300000002000218050f493da044af8a246a8cf0d629110300000000000000010100090300000002000000020100",
    ),
    (
        "0008000e6367742d31373936303434393235000162",
        "00000000000300000003000218050f493da044af8a246a8cf0d62911020000000201000502000000030100",
    ),
    ("0008000e6367742d31373936303434393235000161", ""),
    ("0007000e6367742d31373936303434393235000161", ""),
    ("0005000e6367742d31373936303434393235000161", ""),
    ("0003000e6367742d31373936303434393235", "000000000004010008861c9866b2b25f64"),
    (
        "0007000e6367742d31373936303434393235000162",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    ("0006000e6367742d31373936303434393235", "000000000004010008000001a22c9eb4f8"),
    (
        "0008000e6367742d31373936303434393235000162",
        "00000000000400000003000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000400000004000000030100",
    ),
];

/// Of a group with a static member.
const STATIC: &[(&str, &str)] = &[
    (
        "0005000f6367742d313739363034343932357300027331",
        "000002690004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    ("0003000f6367742d3137393630343439323573", "000000000002010008861c9866b2b25f64"),
    (
        "0007000f6367742d313739363034343932357300027331",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    ("0006000f6367742d3137393630343439323573", "000000000002010008000001a22c9eb505"),
    (
        "0008000f6367742d313739363034343932357300027331",
        "00000000000200000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000200000002000000020100",
    ),
    (
        "0008000f6367742d313739363034343932357300027331",
        "0000fffffffe00000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000000000000000000000100",
    ),
    ("0008000f6367742d313739363034343932357300027331", ""),
    ("0007000f6367742d313739363034343932357300027331", ""),
    ("0005000f6367742d313739363034343932357300027331", ""),
    (
        "0005000f6367742d313739363034343932357300027332",
        "000002690004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    (
        "0007000f6367742d313739363034343932357300027332",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    (
        "0008000f6367742d313739363034343932357300027332",
        "00000000000000000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000000000000000000000100",
    ),
    (
        "0008000f6367742d313739363034343932357300027332",
        "00000000000200000000000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000000000000000000000100",
    ),
];

/// Of a group that subscribes by pattern.
const PATTERN: &[(&str, &str)] = &[
    (
        "000500106367742d313739363034343932357372000172",
        "0000000004636c690b2f3132372e302e302e3101086367742d662e2a0000ea600001000100",
    ),
    ("000800106367742d313739363034343932357372000172", "0000000000010000000000010100"),
    (
        "001000106367742d31373936303434393235737200076367742d662e2a",
        "000002086367742d666f6f0000000000008eb3000001a22c9eb58e00",
    ),
    ("000300106367742d313739363034343932357372", "000000000002010008861c9866b2b25f64"),
    (
        "000700106367742d313739363034343932357372000172",
        "00000218050f493da044af8a246a8cf0d62911040000000000000001000000020000",
    ),
    ("000600106367742d313739363034343932357372", "000000000002010008000001a22c9eb6d6"),
    (
        "000800106367742d313739363034343932357372000172",
        "00000000000200000001000218050f493da044af8a246a8cf0d629110400000000000000010000000201000d040000000200000002000000020100",
    ),
    (
        "000500106367742d313739363034343932357372000171",
        "0000000004636c690b2f3132372e302e302e3101086367742d2e2a6f0000ea600001000100",
    ),
    ("000800106367742d313739363034343932357372000171", "0000000000020000000000010100"),
    (
        "000500106367742d313739363034343932357372000172",
        "0000000004636c690b2f3132372e302e302e3102056e6f7065086367742d662e2a0000ea600001000100",
    ),
    ("000300106367742d313739363034343932357372", "000000000003010008861c9866b2b25f64"),
    (
        "000500106367742d3137393630343439323573720016795356506c6d71695161366e752d7239383156656c77",
        "0000000004636c690b2f3132372e302e302e3102086367742d666f6f010000ea600001000100",
    ),
    ("000300106367742d313739363034343932357372", "000000000004010008861c9866b2b25f64"),
    (
        "000800106367742d3137393630343439323573720016795356506c6d71695161366e752d7239383156656c77",
        "0000000000020000000000010100",
    ),
];

/// The topic's id there.
const TOPIC: Uuid = Uuid::from_u128(0x1805_0f49_3da0_44af_8a24_6a8c_f0d6_2911);

fn world(group: &str) -> World {
    let mut world = World::new(&[]);
    world.rename(group);
    let topic = TopicView { name: "cgt-foo".into(), id: TOPIC, partitions: 3 };
    world.topics.topics.insert("cgt-foo".to_owned(), topic);
    world
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl World {
    /// Sets the clock.
    fn at(&mut self, wall_ms: i64) -> &mut Self {
        self.pass((wall_ms - self.time.wall_ms).unsigned_abs());
        self
    }

    /// Sends a request and holds the answer against Kafka's: the error's code, the epoch, and what is assigned.
    fn expect(&mut self, request: Heartbeat, code: i16, epoch: i32, partitions: Option<&[i32]>) -> &mut Self {
        let request = request.with_group_id(text(&self.group.id).into());
        let answer = self.send(&request);
        let found = match &answer {
            Ok(response) => {
                let partitions =
                    assigned(response).map(|all| all.into_values().flatten().collect::<Vec<_>>());
                (0, response.member_epoch, partitions)
            }
            Err(error) => (error.code(), 0, None),
        };
        assert_eq!(found, (code, epoch, partitions.map(<[i32]>::to_vec)), "{request:?}");
        self
    }

    fn compare(&self, kafka: &[(&str, &str)]) {
        let ours = self.log.iter().map(|record| {
            (hex(&record.key), record.value.as_ref().map(|value| hex(value)).unwrap_or_default())
        });
        let kafka = kafka.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        for (at, (ours, kafka)) in ours.clone().zip(kafka.clone()).enumerate() {
            assert_eq!(ours, kafka, "record {at}");
        }
        assert_eq!(ours.len(), kafka.len());
    }
}

fn own(request: Heartbeat, instance_id: &str) -> Heartbeat {
    request.with_instance_id(Some(text(instance_id)))
}

#[test]
fn a_group_writes_what_kafka_writes() {
    let join = |id| join(id, &["cgt-foo"]);
    let mut world = world("cgt-1796044925");
    world
        .at(0x01a2_2c9e_ab7b)
        .expect(join("a"), 0, 2, Some(&[0, 1, 2]))
        .expect(beat("a", 2), 0, 2, None)
        .expect(join("b"), 0, 2, Some(&[]))
        .expect(beat("b", 2), 0, 2, None)
        .at(0x01a2_2c9e_affa)
        .expect(beat("b", 2), 0, 3, None)
        .expect(beat("a", 2), 0, 2, Some(&[0, 1]))
        .expect(beat("b", 3), 0, 3, None)
        .expect(owning(beat("a", 2), TOPIC, &[0, 1, 2]), 0, 2, None)
        .expect(owning(beat("a", 2), TOPIC, &[0, 1]), 0, 3, None)
        .expect(beat("b", 3), 0, 3, Some(&[2]))
        .expect(owning(beat("a", 2), TOPIC, &[0, 1]), 0, 3, None)
        .expect(owning(beat("a", 2), TOPIC, &[0, 1, 2]), 110, 0, None)
        .expect(beat("a", 5), 110, 0, None)
        .expect(beat("z", 5), 25, 0, None)
        .expect(join("a"), 0, 3, Some(&[0, 1]))
        .expect(beat("z", -1), 25, 0, None)
        .expect(beat("a", -1), 0, -1, None)
        .at(0x01a2_2c9e_b4f8)
        .expect(beat("b", 3), 0, 4, Some(&[0, 1, 2]));
    world.compare(DYNAMIC);
}

#[test]
fn a_static_member_writes_what_kafka_writes() {
    let join = |id| own(join(id, &["cgt-foo"]), "i");
    let mut world = world("cgt-1796044925s");
    world
        .at(0x01a2_2c9e_b505)
        .expect(join("s1"), 0, 2, Some(&[0, 1, 2]))
        .expect(join("s2"), 111, 0, None)
        .expect(own(beat("s2", 2), "i"), 82, 0, None)
        .expect(own(beat("s1", 2), "j"), 25, 0, None)
        .expect(own(beat("s1", -2), "i"), 0, -2, None)
        .expect(join("s2"), 0, 2, Some(&[0, 1, 2]))
        .expect(own(beat("s2", 2), "i"), 0, 2, None);
    world.compare(STATIC);
}

#[test]
fn a_pattern_writes_what_kafka_writes() {
    let by = |id, regex| {
        join(id, &[]).with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(text(regex)))
    };
    let mut world = world("cgt-1796044925sr");
    world
        .at(0x01a2_2c9e_b58e)
        .expect(by("r", "cgt-f.*"), 0, 1, Some(&[]))
        .at(0x01a2_2c9e_b6d6)
        .expect(beat("r", 1), 0, 2, Some(&[0, 1, 2]))
        .expect(by("q", "cgt-["), 128, 0, None)
        .expect(by("q", "cgt-.*o"), 0, 2, Some(&[]))
        .expect(beat("r", 2).with_subscribed_topic_names(names(&["nope"])), 0, 2, None)
        .expect(join("ySVPlmqiQa6nu-r981Velw", &["cgt-foo"]), 0, 2, Some(&[]));
    // Which version of the metadata the pattern was matched with is Kafka's own affair.
    let resolved = &mut world.log[2].value;
    *resolved = resolved.as_ref().map(|value| {
        let mut value = value.to_vec();
        let version = value.len() - 17..value.len() - 9;
        value[version].copy_from_slice(&0x8eb3_u64.to_be_bytes());
        value.into()
    });
    world.compare(PATTERN);
}
