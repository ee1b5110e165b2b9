//! What has configurations, by the numbers of the protocol.

/// A topic, by name.
pub const TOPIC: i8 = 2;
/// A broker, by its id, or all of them where the name is empty.
pub const BROKER: i8 = 4;
/// The loggers of a broker, by its id (KIP-412).
pub const BROKER_LOGGER: i8 = 8;
/// A subscription to clients' metrics, by name (KIP-714).
pub const CLIENT_METRICS: i8 = 16;
/// A group, by its id (KIP-848).
pub const GROUP: i8 = 32;
