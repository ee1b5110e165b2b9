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
/// On a folder, an object of no more bytes than this, all counted, doesn't wait for the pace when nothing is in flight: who
/// sends one request after the other would wait for each, and a disk asks no money for a file. That holds while less than
/// half of `WAL_UNTRIMMED_OBJECTS` waits to be trimmed: many producers who send little to a fast disk would fill it.
pub const WAL_LIGHT_BYTES_FOLDER: usize = 16 * KIB;
/// The pace of flushes on a cloud store.
pub const WAL_PACE_CLOUD: Duration = Duration::from_millis(100);
/// Un-trimmed write-ahead log, in bytes: trimming starts at half, producers are slowed at all of it.
pub const WAL_UNTRIMMED_BYTES: usize = 256 * MIB;
/// The most un-trimmed write-ahead log, in bytes, that can be configured: closing it is one command.
pub const WAL_UNTRIMMED_BYTES_MAX: usize = 2048 * MIB;
/// The least that an extent takes in a write-ahead log object, in bytes: a batch without records, and its entries in
/// the index.
pub const WAL_EXTENT_BYTES_MIN: usize = 126;
/// Un-trimmed write-ahead log, in objects: trimming starts at half, producers are slowed at all of it.
pub const WAL_UNTRIMMED_OBJECTS: usize = 2_048;
/// Memory for objects that are open, in flight, un-trimmed or kept for tail readers, in bytes of buffers.
pub const WAL_BUFFER_BYTES: usize = 512 * MIB;
/// A block of an object ends when another batch would make it longer; a longer batch is a block of its own.
/// Blocks are read whole, as their checksums cover all of them.
pub const BLOCK_BYTES: usize = 256 * KIB;
/// Objects that one trim of a write-ahead log registers at most,
pub const TRIM_OBJECTS: usize = 1_024;
/// and extents; one object's are never split.
pub const TRIM_EXTENTS: usize = 8_192;
/// A run of a stream's batches in a write-ahead log object is as good to read there as anywhere when it has so many
/// bytes in each stretch that others' batches cut it into.
pub const PROMOTED_BYTES: usize = 128 * KIB;
/// An upload gathers no further objects once it has so many bytes, indexes included; one object more may be in it.
pub const UPLOAD_BYTES: usize = 32 * MIB;
/// Objects of the write-ahead log that are durable for so long are gathered and registered, however few there are.
pub const UPLOAD_AFTER: Duration = Duration::from_secs(600);
/// Memory in which objects are gathered and compacted, two at a time at most.
pub const COPIES_BYTES: usize = 256 * MIB;
/// The size of objects that compaction aims at, in bytes of batches.
pub const COMPACT_OBJECT_BYTES: usize = 64 * MIB;
/// The longest index of an object that compaction makes: many small batches make smaller objects.
pub const COMPACT_INDEX_BYTES: usize = 4 * MIB;
/// Extents that one commit of compaction replaces, so that it is some MiB at most.
pub const COMPACT_COMMIT_EXTENTS: usize = 131_072;
/// Pieces of a stream, shorter than [`PROMOTED_BYTES`], from which on neighbours are joined.
pub const COMPACT_PIECES: usize = 64;
/// Small objects of about the same size from which on they are merged.
pub const COMPACT_FAN_IN: usize = 128;
/// Objects with less than this count as of the same size.
pub const COMPACT_SMALLEST_TIER_BYTES: u64 = 16 * KIB as u64;
/// Bytes that compaction moves in a second at most.
pub const COMPACT_BYTES_PER_SECOND: u64 = 128 * MIB as u64;
/// Compaction of what reads well where it lies goes as fast as would do all of it in so long,
pub const COMPACT_LEISURE: Duration = Duration::from_secs(120);
/// until a stream has so many extents between two full ones,
pub const COMPACT_LEISURELY_EXTENTS: usize = 256;
/// and the bytes that it moves of that in a second at least.
pub const COMPACT_LEISURELY_BYTES_PER_SECOND: u64 = 16 * MIB as u64;
/// Bytes that compaction asks for in one request,
pub const COMPACT_READ_BYTES: u64 = 4 * MIB as u64;
/// passing over no more than so many that it does not want,
pub const COMPACT_GAP_BYTES: u64 = 128 * KIB as u64;
/// requests that it makes at once,
pub const COMPACT_READS: usize = 16;
/// and bytes of all that it has read and not written yet, but for one longer batch: with more objects at a time a request
/// is for less, and with longer batches there are fewer.
pub const COMPACT_HELD_BYTES: u64 = 64 * MIB as u64;
/// The least time between two looks for something to compact when there was nothing.
pub const COMPACT_LOOK_PACE: Duration = Duration::from_secs(1);
/// Bytes that keyed compaction reads for one object that it makes, and
pub const REWRITE_SOURCE_BYTES: u64 = 1024 * MIB as u64;
/// extents: it commits at least so often;
pub const REWRITE_EXTENTS: usize = 512;
/// and bytes of extents that it looks up and reads at a time, but for one that is longer.
pub const REWRITE_TOGETHER_BYTES: u64 = 8 * MIB as u64;
/// How often checkpoints are looked after.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// Extents that opening a partition would go through from which on it gets a checkpoint: one for every
pub const CHECKPOINT_EXTENTS: usize = 16;
/// bytes of it, if that is more.
pub const CHECKPOINT_BYTES_AN_EXTENT: usize = 1_024;
/// Objects that hold checkpoints of the streams that a broker leads: beyond it the emptiest are written anew.
pub const CHECKPOINT_OBJECTS: usize = 64;
/// Checkpoints that are read and made at a time.
pub const CHECKPOINTS_AT_ONCE: usize = 256;
/// Bytes of checkpoints that one object holds at most, but for one that is longer.
pub const CHECKPOINT_OBJECT_BYTES: usize = 8 * MIB;
/// Checkpoints that one object holds at most.
pub const CHECKPOINT_STREAMS: usize = 1_024;
/// How long a job of compaction waits for a store that does not answer a read, before it is given up.
pub const COMPACT_PATIENCE: Duration = Duration::from_secs(300);
/// For how long compaction passes over a stream of which something could not be read.
pub const COMPACT_PASS_OVER: Duration = Duration::from_secs(3_600);
/// How long compaction waits after a job that came to nothing.
pub const COMPACT_AGAIN: Duration = Duration::from_secs(5);
/// Bytes that are copied before others get their turn.
pub const COPY_STEP_BYTES: usize = MIB;
/// The waits between two tries of a trim double from this
pub const TRIM_BACKOFF_MIN: Duration = Duration::from_millis(50);
/// to this.
pub const TRIM_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// What is read of an object at once in the hope that its index is in it; smaller objects are read whole.
pub const OBJECT_HEAD_BYTES: usize = 64 * KIB;
/// Two blocks are read in one request when no more than this lies between them.
pub const READ_GAP_BYTES: u64 = 64 * KIB as u64;
/// Blocks of an object that lie together are read in one request up to so many bytes if they are of one stream: what
/// most clients ask for at a time. Readers of many streams come back to each when what was read beyond that is gone.
pub const SPAN_BYTES: u64 = MIB as u64;
/// Up to so many bytes whatever streams they are of. Who reads many streams with a piece in each of some hundred
/// objects wants one such span of each object to stay in memory until the streams beside it were read.
pub const SPAN_MIXED_BYTES: u64 = BLOCK_BYTES as u64;
/// The cache has room for so many spans at least: they are shorter where it is small.
pub const SPANS_CACHED: u64 = 32;
/// Objects that one read, replay or recovery asks for at once.
pub const READ_OBJECTS: usize = 16;
/// Objects that are looked at for one step of reading ahead.
pub const READ_AHEAD_OBJECTS: usize = 4 * READ_OBJECTS;
/// Views of a stream that one read takes: compaction may have deleted an object that the view before lists.
pub const READ_VIEWS: usize = 16;
/// A reader is near the end of a stream when no more bytes than this are between it and what is in memory.
pub const READ_NEAR_END_BYTES: u64 = 8 * MIB as u64;
/// Blocks of objects that are not in memory.
pub const BLOCK_CACHE_BYTES: usize = 256 * MIB;
/// The part of the disk cache, in percent, that takes what has left memory for the first time, once it is full.
pub const DISK_CACHE_NEW_PERCENT: u64 = 10;
/// Spans that have left that part and are remembered, so that they count as used when they come again.
pub const DISK_CACHE_LEFT: usize = 65_536;
/// Spans that wait to be written to it: those that come when so many do are not kept.
pub const DISK_CACHE_QUEUE: usize = 32;
/// Spans that are read from it at once.
pub const DISK_CACHE_READS: usize = 64;
/// How long a read from it may take, before the store is asked.
pub const DISK_CACHE_PATIENCE: Duration = Duration::from_secs(1);
/// The part of a cache, in percent, that only what was used again gets: what a scan passes through is the rest.
pub const CACHE_HOT_PERCENT: u32 = 90;
/// What is read ahead of an object of a bucket comes by one request up to so many bytes, and what lacks less waits.
pub const READ_TOGETHER_BYTES: usize = 4 * MIB;
/// The first read-ahead of a reader that goes on where it ended,
pub const READ_AHEAD_BYTES_MIN: usize = MIB;
/// which doubles up to this as it goes on.
pub const READ_AHEAD_BYTES: usize = 16 * MIB;
/// What all readers together are ahead, in bytes: further ones read without.
pub const READ_AHEAD_BYTES_ALL: usize = 128 * MIB;
/// Readers whose places are remembered,
pub const READ_POSITIONS: usize = 4_096;
/// and those of one stream.
pub const READ_POSITIONS_STREAM: usize = 16;
/// What was read ahead for a reader that is silent for so long goes when another wants the memory.
pub const READ_AHEAD_IDLE: Duration = Duration::from_secs(5);
/// Bytes that readers far from the end ask the store for at once, and as many for those near the end.
pub const READ_FLIGHT_BYTES: usize = 64 * MIB;
/// Requests that they have under way at once, each kind of reader.
pub const READ_FLIGHT_REQUESTS: usize = 64;
/// A throttle lets through what it would in so long at once.
pub const THROTTLE_BURST: Duration = Duration::from_secs(1);
/// Objects whose indexes a recovery asks for at once.
pub const RECOVERY_INDEXES: usize = 64;
/// Write-ahead logs that a broker recovers at once.
pub const LOGS_RECOVERING: usize = 4;
/// Decoded indexes of objects that are not in memory.
pub const INDEX_CACHE_BYTES: usize = 64 * MIB;
/// Opaque bytes that a caller may keep with a batch in an object's index.
pub const BATCH_NOTE_BYTES: usize = 64;

/// A journal entry gathers at most as many commands.
pub const JOURNAL_ENTRY_COMMANDS: usize = 1_000;
/// A journal entry gathers commands up to as many bytes.
pub const JOURNAL_ENTRY_BYTES: usize = 4 * MIB;
/// Commands that wait for their answers, of one broker: further ones wait until there is room. Fewer than the
/// answers that the state remembers for a sender.
pub const COMMANDS_WAITING: usize = 1_000;
/// How long, at least, a deposed controller watches the journal before it takes it over again.
pub const JOURNAL_TAKE_OVER_AFTER: Duration = Duration::from_secs(2);
/// How long a controller that shuts down waits for the store to confirm what is in flight. What it then gives up
/// is in doubt, as in a crash: the next one finds it in the journal or not.
pub const JOURNAL_SHUTDOWN_WAIT: Duration = Duration::from_secs(10);
/// Deletes at once when the journal is collected.
pub const JOURNAL_COLLECT_AT_ONCE: usize = 8;
/// Objects that nothing refers to any more, deleted and then forgotten by one command,
pub const COLLECT_OBJECTS: usize = 1_000;
/// so many of them at once.
pub const COLLECT_AT_ONCE: usize = 8;
/// How often a broker looks for them.
pub const COLLECT_EVERY: Duration = Duration::from_secs(1);
/// Objects that one broker makes and has neither committed nor abandoned: the oldest and the newest of them are less
/// than this apart.
pub const OBJECTS_UNSETTLED: u64 = 65_536;
/// How often the store is listed to find objects that nothing knows of.
pub const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// Names that such a look keeps before it asks the metadata about them.
pub const SWEEP_NAMES: usize = 10_000;
/// One command, encoded. The largest is the closing of a write-ahead log, whose objects' extents it names.
pub const COMMAND_BYTES: usize = 576 * MIB;
/// What an extent takes in a command at most, in bytes: stream, leader epoch, offset, count and length.
pub const COMMAND_EXTENT_BYTES: usize = 33;
/// A snapshot is due after as many journal entries,
pub const SNAPSHOT_EVERY_ENTRIES: u64 = 1_000;
/// or after as many bytes of them, whichever comes first.
pub const SNAPSHOT_EVERY_BYTES: usize = 16 * MIB;

/// Slots that a reader of a log asks for at once.
pub const LOG_READ_WINDOW: usize = 64;
/// Slots that a recovery asks for at once. It reads heads, of so many times [`OBJECT_HEAD_BYTES`] together; what it
/// asks for beyond the end costs as many requests.
pub const LOG_RECOVERY_WINDOW: usize = 256;
/// How often an idle writer looks at its next slot.
pub const LOG_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Slots that a reader asks for at once when it may well be at the end already.
pub const LOG_READ_WINDOW_FIRST: usize = 4;
/// The first wait before a request to the store is tried again; it doubles from there,
pub const LOG_BACKOFF_MIN: Duration = Duration::from_millis(20);
/// up to this. A log stands still while one of its slots waits, also for a store that only refuses a part of what it is
/// asked for; and a try a second is fewer requests than a log sends at any other time.
pub const LOG_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Creates that the hedging delay is computed from.
pub const LOG_HEDGE_SAMPLES: usize = 128;
/// Creates that must have been seen before anything is hedged.
pub const LOG_HEDGE_SAMPLES_MIN: usize = 16;
/// No create is hedged earlier than this.
pub const LOG_HEDGE_FLOOR: Duration = Duration::from_millis(50);
/// No create is hedged for so long after the store asked for less.
pub const LOG_HEDGE_PAUSE: Duration = Duration::from_secs(10);
/// Times that an object which can't be decoded is read before it counts as corrupt: what was damaged on its way is
/// whole the next time.
pub const LOG_DECODE_TRIES: u32 = 3;

/// Room on a folder's disk that is set aside for metadata and deletion when the disk is full, in bytes.
pub const FOLDER_RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// How long one request to a store may take before it counts as unanswered, beside the time that its bytes take.
pub const STORE_DEADLINE: Duration = Duration::from_secs(20);
/// How fast the bytes of a request must pass at least, in bytes a second: a larger one has more time. A link that
/// is slower than this can't carry a broker.
pub const STORE_BYTES_PER_SECOND: u64 = 256 * KIB as u64;
/// What a get of a whole object is given time for, in bytes: it doesn't know how many there are.
pub const STORE_WHOLE_BYTES: u64 = WAL_OBJECT_BYTES_MAX as u64;
/// How long the HTTP client waits for an answer, beside the time that the request's bytes take; less than the
/// deadline, so that the connection is given up and what happened is known better.
pub const STORE_HTTP_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of an error's body that are read for its code; S3's errors have some hundreds.
pub const STORE_ERROR_BODY_BYTES: usize = 16 * 1024;
/// How long the HTTP client waits for a connection.
pub const STORE_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Times that a get, a list or a delete is tried. A create is tried once.
pub const STORE_ATTEMPTS: u32 = 4;
/// The longest wait before the second try; it doubles with each further one,
pub const STORE_BACKOFF: Duration = Duration::from_millis(50);
/// up to this.
pub const STORE_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long the last holder of a node id may stay silent before it counts as gone (Kafka's
/// `broker.session.timeout.ms`).
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(9);
/// How long one question to the last holder of a node id may take.
pub const IDENTITY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait before it is asked again.
pub const IDENTITY_AGAIN: Duration = Duration::from_millis(250);
/// The longest answer to it that is read.
pub const IDENTITY_BYTES: usize = 4 * KIB;
/// How long answers may take to leave when the broker stops.
pub const STOP_CONNECTIONS: Duration = Duration::from_secs(10);
/// How long the store may take after that, until what is pending is durable and the broker has signed off.
pub const STOP_STORE: Duration = Duration::from_secs(15);
/// How long the HTTP endpoint may take after that.
pub const STOP_HTTP: Duration = Duration::from_secs(1);

/// The largest frame that a connection may send (Kafka's `socket.request.max.bytes`).
pub const FRAME_BYTES: usize = 100 * MIB;
/// What the arrays of one decoded request may take in memory.
pub const DECODED_REQUEST_BYTES: usize = 64 * MIB;
/// Bytes of one connection's requests that wait to be served, but for one that is larger. Small ones are not among them.
pub const PIPELINE_BYTES: usize = MIB;
/// Bytes of one connection's requests that wait to be served and fit into [`RECEIVE_BUFFER_BYTES`] each. They are bounded by
/// the number of connections and wait for no other connection's: heartbeats come through whatever large requests do.
pub const PIPELINE_SMALL_BYTES: usize = RECEIVE_BUFFER_BYTES;
/// The receive buffer that a connection may keep for itself, in bytes. What a frame needs beyond it counts
/// against [`REQUEST_BYTES`].
pub const RECEIVE_BUFFER_BYTES: usize = 16 * KIB;
/// What the decoded requests of all connections may take in memory together.
pub const DECODED_BYTES: usize = 256 * MIB;
/// What a Produce request counts for in memory, of [`DECODED_REQUEST_BYTES`], for each topic that it names, beside the name,
pub const PRODUCED_TOPIC_BYTES: usize = 256;
/// and for each partition: what was read, what became of it, and the answer. Six bytes of a frame suffice to name one.
pub const PRODUCED_PARTITION_BYTES: usize = 384;
/// What the large ones among all Produce requests that have not been answered may take in memory together. Not of
/// [`DECODED_BYTES`]: they may wait long, for durability or for clients that take no answers, and others must not.
pub const PRODUCED_BYTES: usize = 256 * MIB;
/// How long a large Produce request waits for some of that, holding its frame, before its connection is closed.
pub const PRODUCED_WAIT: Duration = Duration::from_secs(30);
/// How fast a frame that has begun must arrive on average, in bytes a second, once [`FRAME_GRACE`] has passed, at any time
/// and not only in the end: it holds memory that other connections wait for.
pub const FRAME_BYTES_PER_SECOND: usize = 64 * KIB;
/// The time that any frame may take, whatever has arrived of it. Waiting for memory does not count.
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
/// Connections at once, file descriptors permitting.
pub const CONNECTIONS: usize = 10_000;
/// File descriptors that connections leave to the store, the listeners and the logs.
pub const DESCRIPTORS_RESERVED: usize = 256;
/// Requests of one connection that wait for their answers.
pub const PIPELINE_REQUESTS: usize = 128;
/// Request bytes held by all connections together, beyond [`RECEIVE_BUFFER_BYTES`] and [`PIPELINE_SMALL_BYTES`] of each.
pub const REQUEST_BYTES: usize = 256 * MIB;
/// The most that one Fetch answers with, whatever it asks for (Kafka's `fetch.max.bytes` of the broker).
pub const FETCH_BYTES: usize = 55 * MIB;
/// Records in all answers to Fetch that are being made or written. Each request gets half of what is free of it at
/// most, but for its first batch.
pub const FETCH_ANSWERS_BYTES: usize = 256 * MIB;
/// Partitions that one request reads at once.
pub const FETCH_READS: usize = 16;
/// The longest that a Fetch waits for data, whatever it asks for: it holds its share of [`REQUEST_BYTES`]
/// meanwhile. More than any client library can be set to.
pub const FETCH_WAIT: Duration = Duration::from_secs(300);
/// Fetch sessions kept (Kafka's `max.incremental.fetch.session.cache.slots`).
pub const FETCH_SESSIONS: usize = 1_000;
/// Partitions that all fetch sessions together may remember. Kafka bounds the sessions only; a session that
/// would pass this is not made, unless one that was not used for long makes room, and the client goes on with full requests.
pub const FETCH_SESSION_PARTITIONS: usize = 200_000;
/// A fetch session not used for as long may be evicted by any other, and one that exists for as long by a
/// larger one (Kafka's `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
pub const FETCH_SESSION_EVICTION: Duration = Duration::from_secs(120);
/// The bytes that opening one compressed batch may give, as a multiple of the topic's `max.message.bytes`.
pub const DECOMPRESSION_RATIO: usize = 64;
/// Record errors reported for one refused batch. A batch may hold hundreds of thousands of records.
pub const RECORD_ERRORS: usize = 100;
/// Record errors reported for all batches of one request: further batches are refused without. A batch that was
/// compressed well may have many in few bytes.
pub const RECORD_ERRORS_REQUEST: usize = 10_000;
/// Idempotent producers remembered a partition. Beyond it those silent for longest are forgotten, never one
/// with a batch that waits for durability.
pub const PARTITION_PRODUCERS: usize = 100_000;
/// Transactions of one partition that are open, or were aborted and not yet removed, in 32 bytes each. Beyond it none
/// begins in the partition: producers are told to try again (KAFKA_STORAGE_ERROR). Kafka keeps them in files.
pub const PARTITION_TRANSACTIONS: usize = 500_000;
/// Producers of one partition that are asking a coordinator whether their transaction includes it. Beyond it those that
/// asked first have to ask again.
pub const PARTITION_VERIFICATIONS: usize = 10_000;
/// How long a Produce that makes a partition part of a transaction tries so again while the transaction before is still
/// ending (Kafka's `add.partitions.to.txn.retry.backoff.max.ms`),
pub const ENROLMENT_PATIENCE: Duration = Duration::from_millis(100);
/// and how long it waits in between (`add.partitions.to.txn.retry.backoff.ms`).
pub const ENROLMENT_BACKOFF: Duration = Duration::from_millis(20);
/// Entries of one partition's time index. When it is full, every second one goes.
pub const TIME_INDEX_ENTRIES: usize = 1_024;
/// Batches between two entries of a time index, as long as it has never been full.
pub const TIME_INDEX_SPACING: u64 = 64;
/// There is one wherever timestamps have gone on by so much, too: this is how exact retention by time is, or a
/// thousandth of what a partition spans where that is more.
pub const TIME_INDEX_SPACING_TIME: Duration = Duration::from_secs(60);
/// How often retention is looked after (Kafka's `log.retention.check.interval.ms`).
pub const RETENTION_EVERY: Duration = Duration::from_secs(300);
/// Partitions whose starts one command moves.
pub const STARTS_AT_ONCE: usize = 10_000;
/// How long a change of configurations, whose request has no time-out, may take until its outcome is said to be open
/// (Kafka's `request.timeout.ms` of the broker).
pub const ALTER_WAIT: Duration = Duration::from_secs(30);
/// How long DeleteRecords may take in any case. Kafka's time-out is for followers only: its leader deletes at once,
/// which here is a commit.
pub const DELETE_RECORDS_WAIT_MIN: Duration = Duration::from_secs(5);
/// Batches that one look-up by time opens. A batch whose header promises a timestamp that none of its records
/// has sends it on to the next; after as many, the last one's first offset is the answer.
pub const LOOK_UP_BATCHES: usize = 8;
/// How often keyed compaction looks for something to do (Kafka's `log.cleaner.backoff.ms`).
pub const CLEANER_BACKOFF: Duration = Duration::from_secs(15);
/// Keys that one pass of keyed compaction tells apart, in 27 bytes each: what is dirty beyond them waits for the next.
pub const CLEANER_MAP_KEYS: usize = 2_500_000;
/// Keys of one batch that are held while it isn't known yet whether all of it can be read; of a batch with more, the
/// records are read twice.
pub const CLEANER_BATCH_KEYS: usize = 16_384;
/// Segments that a partition with keyed compaction remembers as not yet cleaned. Beyond it neighbours become one.
pub const CLEANER_SEGMENTS: usize = 1_024;
/// What the protocols of one member of a classic group may take in memory together. The one that is chosen must fit
/// into a record batch with those of all members, so that nothing that works needs more.
pub const GROUP_MEMBER_BYTES: usize = 4 * MIB;
/// Member ids of a group that were handed out and are not used yet: clients that crash while they join leave one each,
/// until their session is over. Kafka has no bound.
pub const GROUP_PENDING_MEMBERS: usize = 10_000;
/// The same of all groups of one partition of `__consumer_offsets`.
pub const GROUPS_PENDING_MEMBERS: usize = 100_000;
/// How often a consumer group looks whether the topics that it subscribes to have changed: this is how long it may take
/// to notice.
pub const GROUP_TOPICS_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Groups of one partition of `__consumer_offsets`,
pub const GROUPS: usize = 100_000;
/// what is kept of what their clients say, ids, subscriptions and assignments, in bytes,
pub const GROUPS_BYTES: usize = 256 * MIB;
/// members of one group,
pub const GROUP_MEMBERS: usize = 100_000;
/// offsets, committed and pending, of all groups of the partition,
pub const COMMITTED_OFFSETS: usize = 1_000_000;
/// and what clients have added to these, in bytes. Kafka bounds none of these five.
pub const OFFSETS_METADATA_BYTES: usize = 64 * MIB;
/// Kafka's `producer.id.expiration.ms`.
pub const PRODUCER_ID_EXPIRATION: Duration = Duration::from_secs(24 * 60 * 60);
/// Kafka's `message.timestamp.after.max.ms`.
pub const TIMESTAMP_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// Partitions that are opened at the same time.
pub const PARTITIONS_OPENING: usize = 64;
/// Topics that are opened at the same time beside those that are being created.
pub const TOPICS_OPENING: usize = 4;
/// Partitions of one topic.
pub const TOPIC_PARTITIONS: usize = 10_000;
/// How long Metadata waits for the topics that it creates, and begins to create more. Clients ask again.
pub const AUTO_CREATE_WAIT: Duration = Duration::from_secs(5);
/// Partitions of one answer to DescribeTopicPartitions (Kafka's `max.request.partition.size.limit`).
pub const DESCRIBED_PARTITIONS: usize = 2_000;

/// Requests that wait for one shard of a coordinator; further ones wait in their connections,
pub const COORDINATOR_CALLS: usize = 1_024;
/// and those that it serves together: what they want appended goes into one batch
pub const COORDINATOR_CALLS_TOGETHER: usize = 256;
/// of up to so many bytes, but for what has to be atomic. (What needn't be, the tombstones of many offsets, is not.)
pub const COORDINATOR_APPEND_BYTES: usize = 256 * KIB;
/// Bytes that loading a shard asks for at a time,
pub const COORDINATOR_LOAD_BYTES: usize = 4 * MIB;
/// and that one batch of an internal topic unpacks to: no client's frame is longer.
pub const COORDINATOR_BATCH_BYTES: usize = FRAME_BYTES;
/// How long a shard waits before it is loaded again: twice as long each time, from this
pub const COORDINATOR_LOAD_AGAIN: Duration = Duration::from_secs(1);
/// to this.
pub const COORDINATOR_LOAD_AGAIN_MAX: Duration = Duration::from_secs(60);
/// How long a shard waits for room on a full disk, before it tries again.
pub const COORDINATOR_NO_SPACE_AGAIN: Duration = Duration::from_secs(1);
/// How long it waits for a producer id: meanwhile it serves nobody.
pub const COORDINATOR_PRODUCER_ID: Duration = Duration::from_secs(5);
/// The longest request that may wait for other members of a group: what they make up together fits into a record batch.
pub const WAITING_FRAME_BYTES: usize = 8 * MIB;
/// Parts of one request, such as groups, that are asked for at once,
pub const COORDINATOR_PARTS_AT_ONCE: usize = 512;
/// and shards of one that all of a topic are asked, if it has more filters than
pub const COORDINATOR_SHARDS_AT_ONCE: usize = 4;
/// these: each shard gets the whole request.
pub const COORDINATOR_FILTERS: usize = 1_000;
/// How often one request may name a group, a transactional id, a partition or a resource with configurations, which is
/// described in full each time. Kafka has no bound.
pub const NAMED_IN_A_REQUEST: usize = 16;
/// Configurations that one answer to DescribeConfigs lists, of all its resources together. Kafka has no bound.
pub const DESCRIBED_CONFIGS: usize = 1_000_000;
/// The least time between two looks at a shard's timers.
pub const COORDINATOR_TIMER_PACE: Duration = Duration::from_millis(1);
/// How long a marker waits before it is tried again.
pub const COORDINATOR_MARKERS_AGAIN: Duration = Duration::from_millis(100);
/// How long a group's coordinator may take until its client is told to try again (Kafka's `offsets.commit.timeout.ms`),
pub const GROUP_ANSWER: Duration = Duration::from_secs(5);
/// and a transaction's (Kafka's `request.timeout.ms` of the broker).
pub const TRANSACTION_ANSWER: Duration = Duration::from_secs(30);
/// What a record takes in a batch at most beside its key and value, in bytes.
pub const RECORD_OVERHEAD_BYTES: usize = 32;
/// One record of `__transaction_state` that partitions are added by, key and value, in bytes: there is room in a batch for
/// what is to be written of the same transaction later.
pub const TRANSACTION_RECORD_BYTES: usize = MESSAGE_BYTES - 2 * KIB;
/// Transactional ids of one partition of `__transaction_state`,
pub const TRANSACTIONAL_IDS: usize = 100_000;
/// their bytes together,
pub const TRANSACTIONAL_ID_BYTES: usize = 32 * MIB;
/// and the partitions of all their transactions. Kafka bounds none of these three.
pub const TRANSACTION_PARTITIONS: usize = 1_000_000;

/// A regular expression that a client sends, in bytes,
pub const PATTERN_BYTES: usize = 64 * KIB;
/// and compiled (each partition of `__transaction_state` that is asked compiles it),
pub const PATTERN_COMPILED_BYTES: usize = 2 * MIB;
/// and how deep it may be nested, so that it overflows no stack. Kafka has no bounds.
pub const PATTERN_DEPTH: u32 = 250;

/// Names of a listing that `levee fsck` keeps before it asks the metadata about them.
pub const FSCK_NAMES: usize = 100_000;
/// Objects whose extents it has looked up at once.
pub const FSCK_OBJECTS: usize = 4_096;
/// Objects that it reads at once.
pub const FSCK_CONCURRENCY: usize = 16;
/// Bytes that one of its requests asks for, but for a block that is longer.
pub const FSCK_READ_BYTES: u64 = 8 * MIB as u64;
/// Bytes of objects that it holds at once; the indexes of the objects being read come on top.
pub const FSCK_HELD_BYTES: usize = 64 * MIB;
/// Bytes that it reads in a second at most, as long as nobody says otherwise.
pub const FSCK_BYTES_PER_SECOND: u64 = 128 * MIB as u64;
/// What is told of one object at most, before the rest of it is summed up.
pub const FSCK_FAULTS: usize = 64;
/// Findings that it lists; further ones are counted.
pub const FSCK_FINDINGS: usize = 10_000;
/// How often it asks again for what the store does not give.
pub const FSCK_TRIES: u32 = 3;
/// How long it waits in between.
pub const FSCK_AGAIN: Duration = Duration::from_secs(1);

const _: () = assert!(COORDINATOR_APPEND_BYTES <= MESSAGE_BYTES);
const _: () = assert!(GROUP_PENDING_MEMBERS <= GROUPS_PENDING_MEMBERS);
const _: () = assert!(LOG_HEADER_BYTES < OBJECT_HEADER_BYTES);
const _: () = assert!(FSCK_READ_BYTES as usize <= FSCK_HELD_BYTES);
const _: () = assert!(OBJECT_HEAD_BYTES as u64 <= FSCK_READ_BYTES);
const _: () = assert!(LOG_RECOVERY_WINDOW * OBJECT_HEAD_BYTES <= 16 * MIB);
const _: () = assert!(LOG_READ_WINDOW_FIRST <= LOG_READ_WINDOW);
const _: () = assert!(LOG_HEDGE_SAMPLES_MIN <= LOG_HEDGE_SAMPLES);
const _: () = assert!(OBJECT_HEADER_BYTES.is_multiple_of(PAGE));
const _: () = assert!(WAL_OBJECT_BYTES <= WAL_OBJECT_BYTES_MAX);
// Frames larger than an object are fine, batches are not: a batch never straddles two objects.
const _: () = assert!(MESSAGE_BYTES + OBJECT_HEADER_BYTES <= WAL_OBJECT_BYTES);
const _: () = assert!(WAL_OBJECT_BYTES_MAX * WAL_IN_FLIGHT_MAX < WAL_UNTRIMMED_BYTES);
const _: () = assert!(WAL_UNTRIMMED_BYTES < WAL_BUFFER_BYTES);
const _: () = assert!(WAL_UNTRIMMED_BYTES_MAX / WAL_EXTENT_BYTES_MIN * COMMAND_EXTENT_BYTES <= COMMAND_BYTES);
const _: () = assert!(WAL_UNTRIMMED_BYTES <= WAL_UNTRIMMED_BYTES_MAX);
const _: () = assert!(BLOCK_BYTES <= WAL_OBJECT_BYTES);
const _: () = assert!(BLOCK_BYTES as u64 <= SPAN_MIXED_BYTES && SPAN_MIXED_BYTES <= SPAN_BYTES);
const _: () = assert!(SPAN_BYTES as usize <= READ_AHEAD_BYTES && READ_AHEAD_BYTES <= READ_FLIGHT_BYTES);
const _: () = assert!(READ_AHEAD_BYTES_MIN <= READ_AHEAD_BYTES && READ_AHEAD_BYTES <= READ_AHEAD_BYTES_ALL);
// A topic may allow batches as long as a frame: there is memory for one beside a full write-ahead log.
const _: () = assert!(WAL_UNTRIMMED_BYTES + FRAME_BYTES <= WAL_BUFFER_BYTES);
const _: () = assert!(IDENTITY_TIMEOUT.as_millis() < SESSION_TIMEOUT.as_millis());
// Kubernetes kills after 30 s.
const _: () = assert!(STOP_CONNECTIONS.as_secs() + STOP_STORE.as_secs() + STOP_HTTP.as_secs() < 30);
const _: () = assert!(FRAME_BYTES * 2 <= REQUEST_BYTES);
const _: () = assert!(PIPELINE_SMALL_BYTES >= RECEIVE_BUFFER_BYTES);
const _: () = assert!(CONNECTIONS * PIPELINE_SMALL_BYTES <= REQUEST_BYTES);
const _: () = assert!(STORE_CONNECT_TIMEOUT.as_millis() < STORE_HTTP_TIMEOUT.as_millis());
const _: () = assert!(STORE_HTTP_TIMEOUT.as_millis() < STORE_DEADLINE.as_millis());
const _: () = assert!(FRAME_BYTES + PAGE <= REQUEST_BYTES);
const _: () = assert!(DECODED_REQUEST_BYTES <= DECODED_BYTES);
const _: () = assert!(DECODED_REQUEST_BYTES <= PRODUCED_BYTES);
const _: () = assert!(RECORD_ERRORS <= RECORD_ERRORS_REQUEST);
const _: () = assert!(WRITE_PARTS <= 1_024);
const _: () = assert!(FETCH_BYTES <= FETCH_ANSWERS_BYTES / 2);
