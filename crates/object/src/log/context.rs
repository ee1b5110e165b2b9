//! Where a log lives, and its two requests: reading a slot, and creating a fence.
//!
//! Reads are repeated until the store answers, with a growing wait; each episode is logged once when it begins
//! and once when it is over. What can't get better by waiting is a `ReadError`.

use super::append::CreateAnswer;
use super::fence::Seen;
use super::header::{HeaderError, Kind, LogHeader, Stamp};
use super::patience::Patience;
use crate::{Error, ErrorKind, Key, Purpose, Store};
use bytes::Bytes;
use levee_base::limits::{LOG_BACKOFF_MIN, LOG_DECODE_TRIES, LOG_HEADER_BYTES};
use levee_base::{Clock, ClusterId, Epoch, LogPosition, Random, Slot, WriterId};
use std::sync::Arc;

/// Which log, and what it takes to read and write it.
#[derive(Debug, Clone)]
pub struct LogContext {
    /// Where its objects are.
    pub store: Arc<dyn Store>,
    /// Whose it is: objects of another cluster stop every reader.
    pub cluster: ClusterId,
    /// `journal`, or `wal/<node>`.
    pub prefix: Key,
    /// Paces what is tried again; safety never rests on it.
    pub clock: Clock,
    /// Draws writer ids, and spreads what is tried again.
    pub random: Random,
}

/// Why a log can't be read on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The bucket, or the folder, holds another cluster's objects.
    #[error(
        "{key} belongs to cluster {found}, and this is cluster {expected}: two clusters must not share a \
         bucket and prefix; start Levee with the --store of its own cluster"
    )]
    ForeignCluster {
        /// The object.
        key: Key,
        /// This cluster.
        expected: ClusterId,
        /// The object's.
        found: ClusterId,
    },
    /// An object is there and is none of a log's, or is not whole.
    #[error("{key} can't be read: {reason}. See it with `levee inspect`; restore it from a backup")]
    Corrupt {
        /// The object.
        key: Key,
        /// What is wrong.
        reason: String,
    },
    /// The store gave an answer that makes no sense for what was asked.
    #[error(transparent)]
    Store(#[from] Error),
}

/// One object of a log, as it was read.
#[derive(Debug, Clone)]
pub struct SlotRead {
    /// Its slot.
    pub slot: Slot,
    /// Its header, checked: it is this cluster's, and names the slot it was read from.
    pub header: LogHeader,
    /// The object from its first byte on, header included: all of it, or as much as was asked for.
    pub bytes: Bytes,
}

/// What reading a slot gave.
#[derive(Debug)]
pub(super) enum Content {
    Missing,
    Found(SlotRead),
}

impl Content {
    pub(super) fn seen(&self) -> Seen {
        match self {
            Self::Missing => Seen::Missing,
            Self::Found(read) if read.header.kind == Kind::Fence => Seen::Fence(read.header.writer),
            Self::Found(read) => Seen::Entry(read.header.writer),
        }
    }

    pub(super) fn holder(&self) -> Option<WriterId> {
        match self {
            Self::Missing => None,
            Self::Found(read) => Some(read.header.writer),
        }
    }
}

impl LogContext {
    /// The key of a slot.
    #[must_use]
    pub fn key(&self, at: LogPosition) -> Key {
        self.prefix.join_number(at.epoch.0).join_number(at.slot.0)
    }

    pub(super) async fn wait(&self, patience: &mut Patience, subject: &Key, error: &Error) {
        patience.wait(self.clock, &self.random, subject, error).await;
    }

    pub(super) fn stamp(&self, epoch: Epoch, slot: Slot, writer: WriterId) -> Stamp {
        Stamp { cluster: self.cluster, epoch, slot, writer }
    }

    /// Reads a slot, or its first `head` bytes.
    ///
    /// A header that names another slot reads as missing: nothing here writes one, so it is no entry of this log's.
    /// Whoever then goes to create the slot finds it taken, and says so.
    pub(super) async fn read_slot(
        &self,
        at: LogPosition,
        head: Option<u64>,
        purpose: Purpose,
    ) -> Result<Content, ReadError> {
        let key = self.key(at);
        let range = head.map(|bytes| 0..bytes.max(LOG_HEADER_BYTES as u64));
        let mut patience = Patience::new("reading a slot");
        let mut undecoded = 0;
        loop {
            let reason = match self.store.get(&key, range.clone(), purpose).await {
                Ok(bytes) => {
                    patience.over(&key);
                    match self.decode(at, &key, head, bytes)? {
                        Decoded::Content(content) => return Ok(content),
                        Decoded::Not(reason) => reason,
                    }
                }
                Err(error) if error.kind == ErrorKind::NotFound => {
                    patience.over(&key);
                    return Ok(Content::Missing);
                }
                // Without a byte at 0 the object is empty.
                Err(error) if error.kind == ErrorKind::OutOfRange => HeaderError::TooShort(0).to_string(),
                Err(error) if !error.kind.is_answer() => {
                    self.wait(&mut patience, &key, &error).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            undecoded += 1;
            if undecoded == LOG_DECODE_TRIES {
                return Err(ReadError::Corrupt { key, reason });
            }
            self.clock.sleep(LOG_BACKOFF_MIN).await;
        }
    }

    fn decode(
        &self,
        at: LogPosition,
        key: &Key,
        head: Option<u64>,
        bytes: Bytes,
    ) -> Result<Decoded, ReadError> {
        let header = match LogHeader::decode(&bytes) {
            Ok(header) => header,
            Err(error) => return Ok(Decoded::Not(error.to_string())),
        };
        if header.cluster != self.cluster {
            return Err(ReadError::ForeignCluster {
                key: key.clone(),
                expected: self.cluster,
                found: header.cluster,
            });
        }
        if (header.epoch, header.slot) != (at.epoch, at.slot) {
            return Ok(Decoded::Content(Content::Missing));
        }
        let due = head
            .map_or(header.total_bytes, |bytes| bytes.max(LOG_HEADER_BYTES as u64).min(header.total_bytes));
        match usize::try_from(due) {
            // What follows is none of the object's: its length says where it ends.
            Ok(due) if due <= bytes.len() => {
                let bytes = bytes.slice(..due);
                Ok(Decoded::Content(Content::Found(SlotRead { slot: at.slot, header, bytes })))
            }
            _ => Ok(Decoded::Not(format!("it has {} bytes where its header promises {due}", bytes.len()))),
        }
    }

    /// Creates the fence of an epoch. After any answer but 'created' the slot must be read.
    pub(super) async fn create_fence(
        &self,
        at: LogPosition,
        writer: WriterId,
        patience: &mut Patience,
    ) -> Result<CreateAnswer, ReadError> {
        let key = self.key(at);
        let mut fence = [0; LOG_HEADER_BYTES];
        self.stamp(at.epoch, at.slot, writer).write(Kind::Fence, LOG_HEADER_BYTES as u64, &mut fence);
        match self.store.create(&key, Bytes::copy_from_slice(&fence), Purpose::Fence).await {
            Ok(()) => {
                patience.over(&key);
                Ok(CreateAnswer::Created)
            }
            Err(error) if error.kind == ErrorKind::AlreadyExists => Ok(CreateAnswer::Exists),
            Err(error) if !error.kind.is_answer() => {
                self.wait(patience, &key, &error).await;
                Ok(CreateAnswer::Unknown)
            }
            Err(error) => Err(error.into()),
        }
    }
}

enum Decoded {
    Content(Content),
    Not(String),
}
