//! Ids, epochs and positions. Each is its own type, so that a slot is never taken for an offset.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl $name {
            /// The first one.
            pub const ZERO: Self = Self(0);

            /// The one after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A broker's number within its cluster; Kafka's `node.id`.
    NodeId(u32)
}
number! {
    /// The number of one registration of a broker: its position in the metadata journal, in commands.
    /// Never used again, and the epoch of the write-ahead log that the registration opened.
    BrokerEpoch(u64)
}
number! {
    /// An epoch of a fenced log. It has one writer for ever.
    Epoch(u64)
}
number! {
    /// The place of an object within an epoch of a fenced log, counted from 0.
    Slot(u64)
}
number! {
    /// A stream of batches in the store; a topic's partition is one. Never used again.
    StreamId(u64)
}
number! {
    /// The place of a record in its stream.
    Offset(u64)
}

impl From<BrokerEpoch> for Epoch {
    fn from(epoch: BrokerEpoch) -> Self {
        Epoch(epoch.0)
    }
}

/// The place of an object in a chain of epochs. Ordered as the chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition {
    /// Which epoch.
    pub epoch: Epoch,
    /// Which slot of it.
    pub slot: Slot,
}

impl LogPosition {
    /// The first slot of `epoch`.
    #[must_use]
    pub const fn start_of(epoch: Epoch) -> Self {
        Self { epoch, slot: Slot::ZERO }
    }

    /// The slot after this one, in the same epoch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { epoch: self.epoch, slot: self.slot.next() }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.slot)
    }
}

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub uuid::Uuid);

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
    };
}

opaque! {
    /// The identity of a cluster, fixed by the first fence of its journal. Objects of another are refused.
    ClusterId
}
opaque! {
    /// The identity of a log's writer, drawn anew for each epoch that a process opens.
    WriterId
}
