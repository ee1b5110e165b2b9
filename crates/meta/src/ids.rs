//! The ids that only metadata hands out or refers to. Those that other crates share live in `levee-base`.

use levee_base::{BrokerEpoch, NodeId, Slot};
use levee_object::Key;
use std::fmt;
use uuid::Uuid;

/// A topic's id, as Kafka's: random, drawn by the broker that creates the topic, never all zeros (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub Uuid);

/// One run of a program, drawn at its start. Says whether whoever answers at an address is the one who
/// registered there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub Uuid);

macro_rules! shown_as_uuid {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}
shown_as_uuid!(TopicId, ProcessId);

/// The state's own short name for an object that it lists. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ObjectId(pub u64);

/// Which object it is, from which its key follows. Whoever makes an object names it, without asking anybody:
/// the name carries the maker's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// An object of a write-ahead log, which stays where it was written.
    Wal {
        /// Whose log.
        node: NodeId,
        /// Which log.
        epoch: BrokerEpoch,
        /// Where in it.
        slot: Slot,
    },
    /// An object that was gathered from a write-ahead log, or compacted.
    Data {
        /// Whose, and in which of its maker's lives.
        epoch: BrokerEpoch,
        /// Which of those that it made, counted by itself.
        number: u64,
    },
}

/// Where gathered and compacted objects are.
const DATA: &str = "data";

impl ObjectName {
    /// The object's key in the store.
    ///
    /// # Panics
    /// Never: the key is made of numbers.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Wal { node, epoch, slot } => wal_prefix(*node).join_number(epoch.0).join_number(slot.0),
            Self::Data { epoch, number } => data_prefix().join_number(epoch.0).join_number(*number),
        }
    }

    /// The name of the object at a key; `None` if no object of records is called so.
    #[must_use]
    pub fn from_key(key: &Key) -> Option<Self> {
        let mut parts = key.as_str().split('/');
        let digits = |part: &str| part.parse::<u64>().ok();
        let name = match parts.next()? {
            "wal" => Self::Wal {
                node: NodeId(parts.next()?.parse().ok()?),
                epoch: BrokerEpoch(digits(parts.next()?)?),
                slot: Slot(digits(parts.next()?)?),
            },
            DATA => Self::Data { epoch: BrokerEpoch(digits(parts.next()?)?), number: digits(parts.next()?)? },
            _ => return None,
        };
        // Nothing behind it, and every number as it is written here.
        (name.key() == *key).then_some(name)
    }
}

/// Where a node's write-ahead logs are: the prefix of its fenced logs.
///
/// # Panics
/// Never: the key is made of a number.
#[must_use]
pub fn wal_prefix(node: NodeId) -> Key {
    Key::new(format!("wal/{node}")).expect("a number makes a key")
}

/// Where gathered and compacted objects are: below it, a folder an epoch.
///
/// # Panics
/// Never: the key is a word.
#[must_use]
pub fn data_prefix() -> Key {
    Key::new(DATA).expect("a word makes a key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wal_objects_key_follows_from_its_name() {
        let name = ObjectName::Wal { node: NodeId(3), epoch: BrokerEpoch(17), slot: Slot(4) };
        assert_eq!(name.key().as_str(), "wal/3/00000000000000000017/00000000000000000004");
        assert_eq!(ObjectName::from_key(&name.key()), Some(name));
    }

    #[test]
    fn a_data_objects_name_and_its_key_follow_from_each_other() {
        let name = ObjectName::Data { epoch: BrokerEpoch(17), number: 4 };
        assert_eq!(name.key().as_str(), "data/00000000000000000017/00000000000000000004");
        assert_eq!(ObjectName::from_key(&name.key()), Some(name));
        for other in [
            "data/17/4",
            "data/00000000000000000017",
            "journal/1/2",
            "data/00000000000000000017/00000000000000000004/x",
        ] {
            assert_eq!(ObjectName::from_key(&Key::new(other).unwrap()), None, "{other}");
        }
    }
}
