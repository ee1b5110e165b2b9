//! The bytes are those that Apache Kafka 4.3.0's own classes write.

use super::*;
use proptest::prelude::*;

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16).expect("a hex digit")).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect::<Vec<_>>().into()
}

const OFFSET_V0: &str = "00000000011f71fb04cb00046d6574610000018bcfe56800";
const OFFSET_V1: &str = "00010000011f71fb04cb00046d6574610000018bcfe568000000018bcfe56be8";
const OFFSET_V2: &str = "00020000011f71fb04cb00046d6574610000018bcfe56800";
const OFFSET_V3: &str = "00030000011f71fb04cb0000000500046d6574610000018bcfe56800";
const OFFSET_V4: &str = "00040000011f71fb04cb00000005056d6574610000018bcfe5680000";
const OFFSET_V4_ID: &str =
    "00040000011f71fb04cb00000005056d6574610000018bcfe568000100100102030405060708090a0b0c0d0e0f10";

fn offset(leader_epoch: i32, expire_timestamp_ms: Option<i64>, topic_id: u128) -> OffsetCommitValue {
    OffsetCommitValue {
        offset: 1_234_567_890_123,
        leader_epoch,
        metadata: "meta".into(),
        commit_timestamp_ms: 1_700_000_000_000,
        expire_timestamp_ms,
        topic_id: Uuid::from_u128(topic_id),
    }
}

const ID: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;

#[test]
fn offsets_of_all_versions_are_read() {
    for (hex, value) in [
        (OFFSET_V0, offset(-1, None, 0)),
        (OFFSET_V1, offset(-1, Some(1_700_000_001_000), 0)),
        (OFFSET_V2, offset(-1, None, 0)),
        (OFFSET_V3, offset(5, None, 0)),
        (OFFSET_V4, offset(5, None, 0)),
        (OFFSET_V4_ID, offset(5, None, ID)),
    ] {
        assert_eq!(OffsetCommitValue::read(bytes(hex)), Ok(value), "{hex}");
    }
}

#[test]
fn offsets_are_written_as_kafka_writes_them() {
    assert_eq!(offset(5, None, 0).write(), bytes(OFFSET_V4));
    assert_eq!(offset(5, None, ID).write(), bytes(OFFSET_V4_ID));
    assert_eq!(offset(5, Some(1_700_000_001_000), ID).write(), bytes(OFFSET_V1));
}

#[test]
fn keys_are_as_kafkas() {
    let key = OffsetCommitKey { group: "grüppe".into(), topic: "topic".into(), partition: 7 };
    let hex = "000100076772c3bc7070650005746f70696300000007";
    assert_eq!(key.write(), bytes(hex));
    assert_eq!(OffsetCommitKey::read(bytes(hex)), Ok(key));
    let legacy = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 1 };
    assert_eq!(OffsetCommitKey::read(bytes("000000016700017400000001")), Ok(legacy));
    let key = GroupMetadataKey { group: "group".into() };
    assert_eq!(key.write(), bytes("0002000567726f7570"));
    assert_eq!(kind_of(&key.write()), Ok(GROUP_METADATA));
    assert_eq!(GroupMetadataKey::read(bytes("0002000567726f7570")), Ok(key));
}

/// By version. Each one is split by member.
const GROUPS: [[&str; 3]; 5] = [
    [
        "00000008636f6e73756d657200000003000572616e676500036d2d3100000002",
        "00036d2d31000163000a2f3132372e302e302e310000afc80000000201020000000103",
        "00036d2d32000163000a2f3132372e302e302e31000027100000000000000000",
    ],
    [
        "00010008636f6e73756d657200000003000572616e676500036d2d3100000002",
        "00036d2d31000163000a2f3132372e302e302e31000493e00000afc80000000201020000000103",
        "00036d2d32000163000a2f3132372e302e302e310000ea60000027100000000000000000",
    ],
    [
        "00020008636f6e73756d657200000003000572616e676500036d2d310000018bcfe5680000000002",
        "00036d2d31000163000a2f3132372e302e302e31000493e00000afc80000000201020000000103",
        "00036d2d32000163000a2f3132372e302e302e310000ea60000027100000000000000000",
    ],
    [
        "00030008636f6e73756d657200000003000572616e676500036d2d310000018bcfe5680000000002",
        "00036d2d31000169000163000a2f3132372e302e302e31000493e00000afc80000000201020000000103",
        "00036d2d32ffff000163000a2f3132372e302e302e310000ea60000027100000000000000000",
    ],
    [
        "000409636f6e73756d6572000000030672616e6765046d2d310000018bcfe5680003",
        "046d2d31026902630b2f3132372e302e302e31000493e00000afc8030102020300",
        "046d2d320002630b2f3132372e302e302e310000ea600000271001010000",
    ],
];

/// The group of [`GROUPS`], as far as a version says.
fn group(version: usize) -> GroupMetadataValue {
    let member =
        |id: &str, instance: Option<&str>, rebalance_timeout_ms, session_timeout_ms| MemberMetadata {
            member_id: id.to_owned(),
            group_instance_id: instance.filter(|_| version >= 3).map(str::to_owned),
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: if version >= 1 { rebalance_timeout_ms } else { -1 },
            session_timeout_ms,
            subscription: Bytes::new(),
            assignment: Bytes::new(),
        };
    let mut first = member("m-1", Some("i"), 300_000, 45_000);
    first.subscription = Bytes::from_static(&[1, 2]);
    first.assignment = Bytes::from_static(&[3]);
    GroupMetadataValue {
        protocol_type: "consumer".to_owned(),
        generation: 3,
        protocol: Some("range".to_owned()),
        leader: Some("m-1".to_owned()),
        current_state_timestamp_ms: if version >= 2 { 1_700_000_000_000 } else { -1 },
        members: vec![first, member("m-2", None, 60_000, 10_000)],
    }
}

#[test]
fn groups_of_all_versions_are_read() {
    for (version, hex) in GROUPS.iter().enumerate() {
        assert_eq!(GroupMetadataValue::read(bytes(&hex.concat())), Ok(group(version)), "version {version}");
    }
}

#[test]
fn groups_are_written_as_kafka_writes_them() {
    assert_eq!(group(3).write(), bytes(&GROUPS[3].concat()));
    let empty = GroupMetadataValue {
        protocol_type: String::new(),
        generation: 0,
        protocol: None,
        leader: None,
        current_state_timestamp_ms: 1_700_000_000_000,
        members: Vec::new(),
    };
    let hex = "0003000000000000ffffffff0000018bcfe5680000000000";
    assert_eq!(empty.write(), bytes(hex));
    assert_eq!(GroupMetadataValue::read(bytes(hex)), Ok(empty));
}

#[test]
fn what_is_newer_or_no_record_is_refused() {
    assert_eq!(OffsetCommitValue::read(bytes("0005")), Err(SchemaError::Version(5)));
    assert_eq!(GroupMetadataValue::read(bytes("ffff")), Err(SchemaError::Version(-1)));
    assert_eq!(OffsetCommitKey::read(bytes("0002000161")), Err(SchemaError::Kind(2)));
    assert_eq!(GroupMetadataKey::read(bytes("0001")), Err(SchemaError::Kind(1)));
    assert_eq!(kind_of(&bytes("00")), Err(SchemaError::Short));
    // Every beginning of a good record is too short.
    for hex in [OFFSET_V1.to_owned(), OFFSET_V4_ID.to_owned(), GROUPS[3].concat(), GROUPS[4].concat()] {
        let whole = bytes(&hex);
        for end in 0..whole.len() {
            let part = whole.slice(..end);
            assert!(
                OffsetCommitValue::read(part.clone()).is_err() || GroupMetadataValue::read(part).is_err()
            );
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(all: Vec<u8>, version in 0_u8..5) {
        let mut value = vec![0, version];
        value.extend(&all);
        for bytes in [Bytes::from(all), value.into()] {
            let _ = (OffsetCommitKey::read(bytes.clone()), OffsetCommitValue::read(bytes.clone()));
            let _ = (GroupMetadataKey::read(bytes.clone()), GroupMetadataValue::read(bytes));
        }
    }

    #[test]
    fn an_offset_is_read_back(
        offset: i64,
        leader_epoch: i32,
        metadata in ".{0,64}",
        commit_timestamp_ms: i64,
        expire in proptest::option::of(0_i64..),
        id: u128,
    ) {
        let plain = expire.is_none();
        let value = OffsetCommitValue {
            offset,
            leader_epoch: if plain { leader_epoch } else { -1 },
            metadata: metadata.into(),
            commit_timestamp_ms,
            expire_timestamp_ms: expire,
            topic_id: Uuid::from_u128(if plain { id } else { 0 }),
        };
        prop_assert_eq!(OffsetCommitValue::read(value.write()), Ok(value));
    }
}
