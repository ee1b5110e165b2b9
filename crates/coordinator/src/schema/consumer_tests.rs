//! The bytes of consumer groups' records, as Apache Kafka 4.3.0 writes them.

use super::*;
use proptest::prelude::*;

const TOPIC: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn hex(bytes: &Bytes) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Bytes {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Holds a change against Kafka's key and value, both ways.
fn check(change: &Change, key: &str, value: Option<&str>) {
    let record = change.record("grp");
    assert_eq!(hex(&record.key), key, "{change:?}");
    assert_eq!(record.value.as_ref().map(hex).as_deref(), value, "{change:?}");
    let read = Change::parse(&bytes(key), value.map(bytes).as_ref()).unwrap();
    assert_eq!(read, ("grp".to_owned(), change.clone()));
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn member() -> MemberMetadata {
    MemberMetadata {
        instance_id: None,
        rack_id: None,
        client_id: "cli".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        subscribed_topic_names: set(&["foo", "bar"]),
        subscribed_topic_regex: Some(String::new()),
        rebalance_timeout_ms: 300_000,
        server_assignor: Some("uniform".to_owned()),
        classic: None,
    }
}

fn partitions(each: &[i32]) -> Partitions {
    [(TOPIC, each.iter().copied().collect())].into()
}

fn assigned(each: &[(i32, i32)]) -> Assigned {
    [(TOPIC, each.iter().copied().collect())].into()
}

#[test]
fn records_of_groups_are_those_of_kafka() {
    let epoch = |metadata_hash| Change::Group(Some(GroupEpoch { epoch: 7, metadata_hash }));
    let key = "00030003677270";
    check(&epoch(0x1122_3344_5566_7788), key, Some("0000000000070100081122334455667788"));
    check(&epoch(0), key, Some("00000000000700"));
    check(&Change::Group(None), key, None);
    check(&Change::PartitionMetadata(false), "00040003677270", None);
    // What releases before 4.1 wrote is read.
    let old = "0000020102030405060708090a0b0c0d0e0f1004666f6f00000002020000000002037231000000";
    let read = Change::parse(&bytes("00040003677270"), Some(&bytes(old)));
    assert_eq!(read, Ok(("grp".to_owned(), Change::PartitionMetadata(true))));
    check(
        &Change::Regex(
            "fo.*".to_owned(),
            Some(ResolvedRegex {
                topics: set(&["foo", "fob"]),
                version: 12,
                timestamp_ms: 1_700_000_000_000,
            }),
        ),
        "001000036772700004666f2e2a",
        Some("00000304666f6204666f6f000000000000000c0000018bcfe5680000"),
    );
    check(&Change::Regex("fo.*".to_owned(), None), "001000036772700004666f2e2a", None);
}

#[test]
fn records_of_members_are_those_of_kafka() {
    let key = "0005000367727000036d656d";
    check(
        &Change::Member("mem".to_owned(), Some(member())),
        key,
        Some("0000000004636c690b2f3132372e302e302e31030462617204666f6f01000493e008756e69666f726d01000100"),
    );
    let classic = MemberMetadata {
        instance_id: Some("inst".to_owned()),
        rack_id: Some("rack".to_owned()),
        subscribed_topic_names: set(&["foo"]),
        subscribed_topic_regex: Some("fo.*".to_owned()),
        server_assignor: None,
        classic: Some(ClassicMember {
            session_timeout_ms: 45_000,
            protocols: vec![ClassicProtocol {
                name: "range".to_owned(),
                metadata: Bytes::from_static(&[0, 1, 2]),
            }],
        }),
        ..member()
    };
    check(
        &Change::Member("mem".to_owned(), Some(classic)),
        key,
        Some(
            "000005696e7374057261636b04636c690b2f3132372e302e302e310204666f6f05666f2e2a000493e000010012010000afc8\
             020672616e6765040001020000",
        ),
    );
    check(&Change::Member("mem".to_owned(), None), key, None);
}

#[test]
fn records_of_assignments_are_those_of_kafka() {
    let target = |timestamp_ms| Change::Target(Some(TargetEpoch { epoch: 7, timestamp_ms }));
    let key = "00060003677270";
    check(&target(1_700_000_000_000), key, Some("0000000000070100080000018bcfe56800"));
    check(&target(0), key, Some("00000000000700"));
    check(&Change::Target(None), key, None);
    let key = "0007000367727000036d656d";
    check(
        &Change::TargetMember("mem".to_owned(), Some(partitions(&[0, 1]))),
        key,
        Some("0000020102030405060708090a0b0c0d0e0f100300000000000000010000"),
    );
    check(&Change::TargetMember("mem".to_owned(), None), key, None);
    let key = "0008000367727000036d656d";
    let current = CurrentAssignment {
        epoch: 7,
        previous_epoch: 6,
        state: 1,
        assigned: assigned(&[(0, 5), (1, 7)]),
        pending_revocation: assigned(&[(2, 5)]),
    };
    check(
        &Change::CurrentMember("mem".to_owned(), Some(current.clone())),
        key,
        Some(
            "0000000000070000000601020102030405060708090a0b0c0d0e0f1003000000000000000101000903000000050000000702\
             0102030405060708090a0b0c0d0e0f100200000002010005020000000500",
        ),
    );
    check(&Change::CurrentMember("mem".to_owned(), None), key, None);
    // Before 4.3 there were no epochs of partitions: all count as got at the member's.
    let old = "00000000000700000006010201020304050607\
               08090a0b0c0d0e0f1002000000000001 00"
        .replace(' ', "");
    let (_, read) = Change::parse(&bytes(key), Some(&bytes(&old))).unwrap();
    let expected =
        CurrentAssignment { assigned: assigned(&[(0, 7)]), pending_revocation: Assigned::new(), ..current };
    assert_eq!(read, Change::CurrentMember("mem".to_owned(), Some(expected)));
}

#[test]
fn what_is_not_known_is_refused() {
    let kind_2 = Change::parse(&bytes("00020003677270"), None);
    assert_eq!(kind_2, Err(SchemaError::Kind(2)));
    let version_1 = Change::parse(&bytes("00030003677270"), Some(&bytes("000100000007")));
    assert_eq!(version_1, Err(SchemaError::Version(1)));
}

proptest! {
    /// Whatever the bytes, reading them ends, and gives no more than they hold.
    #[test]
    fn any_bytes_are_read_without_a_panic(
        kind in prop::sample::select(vec![3_i16, 4, 5, 6, 7, 8, 16]),
        key in prop::collection::vec(any::<u8>(), 0..40),
        value in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut framed = kind.to_be_bytes().to_vec();
        framed.extend(key);
        let mut versioned = vec![0, 0];
        versioned.extend(value);
        if let Ok((group, change)) = Change::parse(&framed.into(), Some(&versioned.into()))
            && !matches!(change, Change::PartitionMetadata(_))
        {
            let record = change.record(&group);
            prop_assert_eq!(Change::parse(&record.key, record.value.as_ref()), Ok((group, change)));
        }
    }
}
