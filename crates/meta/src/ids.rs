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
}

impl ObjectName {
    /// The object's key in the store.
    ///
    /// # Panics
    /// Never: the key is made of numbers.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Wal { node, epoch, slot } => wal_prefix(*node).join_number(epoch.0).join_number(slot.0),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wal_objects_key_follows_from_its_name() {
        let name = ObjectName::Wal { node: NodeId(3), epoch: BrokerEpoch(17), slot: Slot(4) };
        assert_eq!(name.key().as_str(), "wal/3/00000000000000000017/00000000000000000004");
    }
}
