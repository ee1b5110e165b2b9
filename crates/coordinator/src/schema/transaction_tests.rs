//! Golden bytes: what Apache Kafka 4.3.0 wrote into `__transaction_state`, and its own serializer's version 0.

use super::*;
use proptest::prelude::*;

fn bytes(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect::<Vec<_>>().into()
}

fn value() -> TransactionLogValue {
    TransactionLogValue {
        producer_id: 7,
        previous_producer_id: -1,
        next_producer_id: -1,
        producer_epoch: 3,
        next_producer_epoch: -1,
        transaction_timeout_ms: 60_000,
        transaction_status: 1,
        transaction_partitions: Some(vec![("t".into(), vec![0, 1])]),
        transaction_last_update_timestamp_ms: 1_000,
        transaction_start_timestamp_ms: 900,
        client_transaction_version: 0,
    }
}

#[test]
fn keys_are_kafkas() {
    assert_eq!(TransactionLogKey::write("new"), bytes("000000036e6577"));
    let read = TransactionLogKey::read(bytes("000000036e6577"));
    assert_eq!(read, Ok(TransactionLogKey { transactional_id: "new".into() }));
    assert_eq!(TransactionLogKey::read(bytes("000100036e6577")), Err(SchemaError::Kind(1)));
}

#[test]
fn what_kafka_wrote_is_read_and_written_again() {
    let start = 0x1a2_2c81_5e65;
    let all = |status, epoch, partitions: Option<&[(&str, &[i32])]>, update, start| TransactionLogValue {
        producer_epoch: epoch,
        transaction_status: status,
        transaction_partitions: partitions.map(|partitions| {
            partitions.iter().map(|(topic, numbers)| ((*topic).to_owned(), numbers.to_vec())).collect()
        }),
        transaction_last_update_timestamp_ms: update,
        transaction_start_timestamp_ms: start,
        ..value()
    };
    let one = |value| TransactionLogValue { producer_id: 3, previous_producer_id: 3, ..value };
    let two = |value, id, next| TransactionLogValue {
        producer_id: id,
        previous_producer_id: 14,
        next_producer_id: next,
        client_transaction_version: 2,
        ..value
    };
    let (decided, begun) = (0x1a2_2c82_429e, 0x1a2_2c82_429d);
    let groups: &[(&str, &[i32])] = &[("t", &[2, 1, 0]), ("u", &[0]), ("__consumer_offsets", &[7])];
    for (hex, expected) in [
        // Initialized.
        (
            "0001000000000000000300000000ea600000000001a22c815e2cffffffffffffffff0100080000000000000003",
            one(all(0, 0, None, 0x1a2_2c81_5e2c, -1)),
        ),
        // Ongoing, by version 0 of the protocol, with a group's offsets.
        (
            "0001000000000000000300000000ea600104027404000000020000000100000000000275020000000000135f5f636f6e73756d65725f\
             6f666673657473020000000700000001a22c815e70000001a22c815e650100080000000000000003",
            one(all(1, 0, Some(groups), 0x1a2_2c81_5e70, start)),
        ),
        // Complete.
        (
            "0001000000000000000300000000ea600401000001a22c815e80000001a22c815e650100080000000000000003",
            one(all(4, 0, Some(&[]), 0x1a2_2c81_5e80, start)),
        ),
        // Committed by version 2 of the protocol in the last epoch of a producer id, which another follows.
        (
            "0001000000000000000e7fff0000ea600202027403000000010000000000000001a22c82429e000001a22c82429d03000800000\
             0000000000e0108000000000000000f02020002",
            two(all(2, i16::MAX, Some(&[("t", &[1, 0])]), decided, begun), 14, 15),
        ),
        (
            "0001000000000000000f00000000ea600401000001a22c82429e000001a22c82429d020008000000000000000e02020002",
            two(all(4, 0, Some(&[]), decided, begun), 15, -1),
        ),
        // All fields.
        (
            "0001000000000000000700030000ea60000000000000000003e8ffffffffffffffff0400080000000000000006010800000000000000\
             080202000203020002",
            TransactionLogValue {
                previous_producer_id: 6,
                next_producer_id: 8,
                next_producer_epoch: 2,
                client_transaction_version: 2,
                ..all(0, 3, None, 1_000, -1)
            },
        ),
    ] {
        let written = bytes(hex);
        assert_eq!(TransactionLogValue::read(written.clone()), Ok(expected.clone()), "{hex}");
        assert_eq!(expected.write(), written, "{hex}");
    }
}

#[test]
fn version_0_is_read() {
    let ongoing = "0000000000000000000700030000ea60010000000100017400000002000000000000000100000000000003e80000000000000384";
    assert_eq!(TransactionLogValue::read(bytes(ongoing)), Ok(value()));
    let empty = "0000000000000000000700030000ea6000ffffffff00000000000003e8ffffffffffffffff";
    let expected = TransactionLogValue {
        transaction_status: 0,
        transaction_partitions: None,
        transaction_start_timestamp_ms: -1,
        ..value()
    };
    assert_eq!(TransactionLogValue::read(bytes(empty)), Ok(expected));
}

#[test]
fn what_a_later_release_wrote_is_told_from_what_nobody_wrote() {
    assert_eq!(TransactionLogValue::read(bytes("0002")), Err(SchemaError::Version(2)));
    assert_eq!(TransactionLogValue::read(bytes("ffff")), Err(SchemaError::Version(-1)));
    assert_eq!(TransactionLogValue::read(bytes("00")), Err(SchemaError::Short));
    let written = value().write();
    for length in 0..written.len() {
        assert_eq!(TransactionLogValue::read(written.slice(..length)), Err(SchemaError::Short), "{length}");
    }
    // A tagged field that isn't known: number 9, of two bytes.
    let mut more = written[..written.len() - 1].to_vec();
    more.extend([1, 9, 2, 0, 0]);
    assert_eq!(TransactionLogValue::read(more.into()), Ok(value()));
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..96), version in 0..3_u8) {
        bytes.splice(0..bytes.len().min(2), [0, version]);
        let _ = TransactionLogValue::read(bytes.clone().into());
        let _ = TransactionLogKey::read(bytes.into());
    }
}
