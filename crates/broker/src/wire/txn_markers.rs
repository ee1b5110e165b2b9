//! WriteTxnMarkers 1 and 2: the request, decoded by hand as the kafka-protocol crate lacks version 2 (KIP-1228).

use super::Malformed;
use bytes::Bytes;
use levee_coordinator::schema::wire::{Reader, SchemaError};

/// The versions served. The answer is the same in both.
pub const VERSIONS: std::ops::RangeInclusive<i16> = 1..=2;

/// One transaction's end, to be written to some partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnMarker {
    /// Whose transaction ends.
    pub producer_id: i64,
    /// With which epoch.
    pub producer_epoch: i16,
    /// Whether it is committed; aborted otherwise.
    pub commit: bool,
    /// Where: topics, each with its partitions.
    pub topics: Vec<(String, Vec<i32>)>,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
    /// The version of the transaction protocol; 0 before version 2.
    pub transaction_version: i8,
}

/// Decodes a body that the guard has passed.
///
/// # Errors
/// `Undecodable`.
pub fn decode(version: i16, body: Bytes) -> Result<Vec<TxnMarker>, Malformed> {
    let mut reader = Reader::new(body, true);
    let topic = |reader: &mut Reader| {
        let topic = (reader.string()?, reader.array(Reader::i32)?);
        reader.no_tagged()?;
        Ok(topic)
    };
    let marker = |reader: &mut Reader| {
        let marker = TxnMarker {
            producer_id: reader.i64()?,
            producer_epoch: reader.i16()?,
            commit: reader.i8()? != 0,
            topics: reader.array(topic)?,
            coordinator_epoch: reader.i32()?,
            transaction_version: if version >= 2 { reader.i8()? } else { 0 },
        };
        reader.no_tagged()?;
        Ok::<_, SchemaError>(marker)
    };
    let mut read = || {
        let markers = reader.array(marker)?;
        reader.no_tagged()?;
        Ok::<_, SchemaError>(markers)
    };
    read().map_err(|_| Malformed::Undecodable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::guard;
    use bytes::BytesMut;
    use kafka_protocol::messages::WriteTxnMarkersRequest;
    use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    #[test]
    fn version_2_is_version_1_and_a_byte() {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(StrBytes::from("t").into())
            .with_partition_indexes(vec![3, 4]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(7.into())
            .with_producer_epoch(2)
            .with_transaction_result(true)
            .with_topics(vec![topic])
            .with_coordinator_epoch(9);
        let mut one = BytesMut::new();
        WriteTxnMarkersRequest::default().with_markers(vec![marker]).encode(&mut one, 1).unwrap();
        let mut two = one.clone();
        // Both structures end with an empty section of tagged fields.
        two.truncate(two.len() - 2);
        two.extend_from_slice(&[2, 0, 0]);
        let (one, two) = (one.freeze(), two.freeze());
        for (version, body, transaction_version) in [(1, &one, 0), (2, &two, 2)] {
            assert_eq!(guard::walk(27, version, body).unwrap().bytes, body.len());
            let expected = TxnMarker {
                producer_id: 7,
                producer_epoch: 2,
                commit: true,
                topics: vec![("t".into(), vec![3, 4])],
                coordinator_epoch: 9,
                transaction_version,
            };
            assert_eq!(decode(version, body.clone()), Ok(vec![expected]));
        }
        assert_eq!(decode(2, one), Err(Malformed::Undecodable));
    }
}
