//! Every bound in one place, with the relations between them checked when this compiles.
//! What a user may change is a default here and an option of `levee serve`.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The alignment that O_DIRECT asks of buffers, file offsets and lengths, in bytes.
pub const PAGE: usize = 4 * KIB;

/// The part of an object's header that belongs to the fenced log, in bytes.
pub const LOG_HEADER_BYTES: usize = 256;
/// The header of an object that holds records, the log's part included, in bytes.
pub const OBJECT_HEADER_BYTES: usize = PAGE;

/// A flush is sealed when it holds as many bytes.
pub const WAL_OBJECT_BYTES: usize = 4 * MIB;
/// The most that one batch may add to an object beyond that.
pub const WAL_OBJECT_BYTES_MAX: usize = 8 * MIB;
/// Creates in flight on a folder.
pub const WAL_IN_FLIGHT_FOLDER: usize = 2;
/// Creates in flight on a cloud store.
pub const WAL_IN_FLIGHT_CLOUD: usize = 4;
/// The most creates in flight that can be configured.
pub const WAL_IN_FLIGHT_MAX: usize = 16;
/// The pace of flushes on a folder.
pub const WAL_PACE_FOLDER: Duration = Duration::from_micros(2_500);
/// The pace of flushes on a cloud store.
pub const WAL_PACE_CLOUD: Duration = Duration::from_millis(100);
/// Un-trimmed write-ahead log, in bytes: trimming starts at half, producers are slowed at all of it.
pub const WAL_UNTRIMMED_BYTES: usize = 256 * MIB;
/// Un-trimmed write-ahead log, in objects: trimming starts at half, producers are slowed at all of it.
pub const WAL_UNTRIMMED_OBJECTS: usize = 2_048;
/// Memory for objects that are open, in flight, un-trimmed or kept for tail readers, in bytes of buffers.
pub const WAL_BUFFER_BYTES: usize = 512 * MIB;
/// Opaque bytes that a caller may keep with a batch in an object's index.
pub const BATCH_NOTE_BYTES: usize = 64;

/// A journal entry gathers at most as many commands.
pub const JOURNAL_ENTRY_COMMANDS: usize = 1_000;
/// A journal entry gathers commands up to as many bytes.
pub const JOURNAL_ENTRY_BYTES: usize = 4 * MIB;
/// A snapshot is due after as many journal entries,
pub const SNAPSHOT_EVERY_ENTRIES: u64 = 1_000;
/// or after as many bytes of them, whichever comes first.
pub const SNAPSHOT_EVERY_BYTES: usize = 16 * MIB;

/// Slots that a reader of a log asks for at once.
pub const LOG_READ_WINDOW: usize = 64;
/// How often an idle writer looks at its next slot.
pub const LOG_LOOK_EVERY: Duration = Duration::from_secs(1);

/// The largest frame that a connection may send (Kafka's `socket.request.max.bytes`).
pub const FRAME_BYTES: usize = 100 * MIB;
/// What the arrays of one decoded request may take in memory.
pub const DECODED_REQUEST_BYTES: usize = 64 * MIB;
/// Bytes of one connection's requests that wait to be served, but for one that is larger.
pub const PIPELINE_BYTES: usize = MIB;
/// The receive buffer that a connection may keep for itself, in bytes. What a frame needs beyond it counts
/// against [`REQUEST_BYTES`].
pub const RECEIVE_BUFFER_BYTES: usize = 16 * KIB;
/// What the decoded requests of all connections may take in memory together.
pub const DECODED_BYTES: usize = 256 * MIB;
/// How fast a frame that has begun must arrive on average, in bytes a second, once [`FRAME_GRACE`] has passed:
/// it holds memory that other connections wait for.
pub const FRAME_BYTES_PER_SECOND: usize = 64 * KIB;
/// The time that any frame may take.
pub const FRAME_GRACE: Duration = Duration::from_secs(30);
/// A connection without requests is closed after this long (Kafka's `connections.max.idle.ms`).
pub const CONNECTION_IDLE: Duration = Duration::from_secs(600);
/// A connection keeps a large receive buffer at most this long without using it.
pub const RECEIVE_BUFFER_IDLE: Duration = Duration::from_secs(1);
/// A connection that takes nothing of its answers for this long is closed.
pub const WRITE_STALL: Duration = Duration::from_secs(600);
/// How many parts of an answer are given to the kernel at once (Linux's `IOV_MAX` is 1,024).
pub const WRITE_PARTS: usize = 256;
/// The largest record batch (Kafka's `max.message.bytes`).
pub const MESSAGE_BYTES: usize = MIB + 12;
/// Connections at once.
pub const CONNECTIONS: usize = 10_000;
/// Requests of one connection that wait for their answers.
pub const PIPELINE_REQUESTS: usize = 128;
/// Request bytes held by all connections together.
pub const REQUEST_BYTES: usize = 256 * MIB;
/// The most that one Fetch answers with, whatever it asks for (Kafka's `fetch.max.bytes` of the broker).
pub const FETCH_BYTES: usize = 55 * MIB;
/// Fetch sessions kept (Kafka's `max.incremental.fetch.session.cache.slots`).
pub const FETCH_SESSIONS: usize = 1_000;
/// Partitions of one topic.
pub const TOPIC_PARTITIONS: usize = 10_000;

const _: () = assert!(LOG_HEADER_BYTES < OBJECT_HEADER_BYTES);
const _: () = assert!(OBJECT_HEADER_BYTES.is_multiple_of(PAGE));
const _: () = assert!(WAL_OBJECT_BYTES <= WAL_OBJECT_BYTES_MAX);
// Frames larger than an object are fine, batches are not: a batch never straddles two objects.
const _: () = assert!(MESSAGE_BYTES + OBJECT_HEADER_BYTES <= WAL_OBJECT_BYTES);
const _: () = assert!(WAL_OBJECT_BYTES_MAX * WAL_IN_FLIGHT_MAX < WAL_UNTRIMMED_BYTES);
const _: () = assert!(WAL_UNTRIMMED_BYTES < WAL_BUFFER_BYTES);
const _: () = assert!(FRAME_BYTES + PAGE <= REQUEST_BYTES);
const _: () = assert!(DECODED_REQUEST_BYTES <= DECODED_BYTES);
const _: () = assert!(WRITE_PARTS <= 1_024);
