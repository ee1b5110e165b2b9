//! The records of `__transaction_state`: one for each transactional id, the newest counts.
//!
//! Values of version 0 and 1 are read. Kafka 4.3 writes version 1 as long as `transaction.version` is finalized at 1 or
//! above, and so does this.

use super::wire::{Reader, SchemaError, Writer};
use bytes::{BufMut, Bytes, BytesMut};

/// The kind of record that all records of the topic are of.
const KIND: i16 = 0;
/// The version of values that is written.
const VERSION: i16 = 1;
/// The first version that is flexible.
const FLEXIBLE: i16 = 1;

/// No producer id, and no epoch.
const NONE: i64 = -1;

/// Whose state a record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionLogKey {
    /// The transactional id.
    pub transactional_id: String,
}

impl TransactionLogKey {
    /// Reads a key.
    ///
    /// # Errors
    /// `Kind` if the record is of another kind: Kafka passes over those. Otherwise see [`SchemaError`].
    pub fn read(bytes: Bytes) -> Result<Self, SchemaError> {
        let mut reader = Reader::new(bytes, false);
        match reader.i16()? {
            KIND => Ok(Self { transactional_id: reader.string()? }),
            kind => Err(SchemaError::Kind(kind)),
        }
    }

    /// The key of `transactional_id`, of 32,767 bytes at most.
    #[must_use]
    pub fn write(transactional_id: &str) -> Bytes {
        Writer::new(KIND, false).string(transactional_id).finish()
    }
}

/// The state of a transactional id, by the names of Kafka's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionLogValue {
    /// The producer id in use.
    pub producer_id: i64,
    /// The producer id before the last change of state; -1 if there was none.
    pub previous_producer_id: i64,
    /// The producer id that the next transaction is to go by, while the epochs of this one run out; -1 if none.
    pub next_producer_id: i64,
    /// The epoch of `producer_id`.
    pub producer_epoch: i16,
    /// The epoch of `next_producer_id`: for two-phase commit (KIP-939), which Kafka 4.3 doesn't serve; -1.
    pub next_producer_epoch: i16,
    /// How long a transaction may take, in milliseconds.
    pub transaction_timeout_ms: i32,
    /// The number of the state.
    pub transaction_status: i8,
    /// The partitions that take part, by topic. Null if the state is `Empty`.
    pub transaction_partitions: Option<Vec<(String, Vec<i32>)>>,
    /// When the state was changed, in Unix milliseconds.
    pub transaction_last_update_timestamp_ms: i64,
    /// When the transaction began, in Unix milliseconds; -1 if none has.
    pub transaction_start_timestamp_ms: i64,
    /// The version of the transaction protocol (KIP-890) that the client went by.
    pub client_transaction_version: i16,
}

impl TransactionLogValue {
    /// Reads a value.
    ///
    /// # Errors
    /// `Version` if it is of a later version: Kafka passes over those. Otherwise see [`SchemaError`].
    pub fn read(bytes: Bytes) -> Result<Self, SchemaError> {
        let version = Reader::new(bytes.clone(), false).i16()?;
        if !(0..=VERSION).contains(&version) {
            return Err(SchemaError::Version(version));
        }
        let mut reader = Reader::new(bytes.slice(size_of::<i16>()..), version >= FLEXIBLE);
        let mut value = Self {
            producer_id: reader.i64()?,
            previous_producer_id: NONE,
            next_producer_id: NONE,
            producer_epoch: reader.i16()?,
            next_producer_epoch: NONE as i16,
            transaction_timeout_ms: reader.i32()?,
            transaction_status: reader.i8()?,
            transaction_partitions: reader.nullable_array(|reader| {
                let topic = reader.string()?;
                let partitions = reader.array(Reader::i32)?;
                reader.no_tagged()?;
                Ok((topic, partitions))
            })?,
            transaction_last_update_timestamp_ms: reader.i64()?,
            transaction_start_timestamp_ms: reader.i64()?,
            client_transaction_version: 0,
        };
        reader.tagged(|tag, field| {
            match tag {
                0 => value.previous_producer_id = field.i64()?,
                1 => value.next_producer_id = field.i64()?,
                2 => value.client_transaction_version = field.i16()?,
                3 => value.next_producer_epoch = field.i16()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(value)
    }

    /// The value's bytes.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let id = |tag, id: i64| (id != NONE).then(|| (tag, field(|bytes| bytes.put_i64(id))));
        let number = |tag, number: i16, default| {
            (number != default).then(|| (tag, field(|bytes| bytes.put_i16(number))))
        };
        let tagged: Vec<_> = [
            id(0, self.previous_producer_id),
            id(1, self.next_producer_id),
            number(2, self.client_transaction_version, 0),
            number(3, self.next_producer_epoch, NONE as i16),
        ]
        .into_iter()
        .flatten()
        .collect();
        Writer::new(VERSION, true)
            .i64(self.producer_id)
            .i16(self.producer_epoch)
            .i32(self.transaction_timeout_ms)
            .i8(self.transaction_status)
            .nullable_array(self.transaction_partitions.as_deref(), |writer, (topic, partitions)| {
                writer.string(topic).array(partitions, |writer, partition| {
                    writer.i32(*partition);
                });
                writer.tagged(&[]);
            })
            .i64(self.transaction_last_update_timestamp_ms)
            .i64(self.transaction_start_timestamp_ms)
            .tagged(&tagged)
            .finish()
    }
}

/// The bytes of a tagged field.
fn field(put: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::new();
    put(&mut bytes);
    bytes.freeze()
}

#[cfg(test)]
#[path = "transaction_tests.rs"]
mod tests;
