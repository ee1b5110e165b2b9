//! What every other crate stands on: ids and positions as newtypes, limits, and the clock and the
//! randomness that are handed down. No I/O, no Kafka, no object store.

pub mod clock;
pub mod collections;
pub mod ids;
pub mod limits;
pub mod random;

pub use clock::Clock;
pub use collections::{HashMap, HashSet};
pub use ids::{BrokerEpoch, ClusterId, Epoch, LogPosition, NodeId, Offset, Slot, StreamId, WriterId};
pub use random::Random;
