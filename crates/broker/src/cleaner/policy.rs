//! Whether a partition is to be cleaned now, and up to where.
//!
//! Kafka cleans whole segments and never the active one, which is what keeps the latest records of a busy partition
//! whole for those who follow it. Levee has no segments, so this computes where Kafka would have rolled one:
//!
//! - The first dirty batch begins a segment. A pass ends where a segment ends, unless its map was full, so this is
//!   where Kafka's begins too.
//! - A batch begins the next segment when it would make this one longer than `segment.bytes`; or when its maximum
//!   timestamp is more than `segment.ms` after that of the segment's first batch (if that one has no timestamp: when
//!   it was appended so long after it); or when its offsets are too far from the segment's first for 31 bits. Kafka
//!   rolls as well when an index file is full, and draws `segment.jitter.ms` at random; neither is copied.
//! - As in Kafka, time alone rolls nothing: it takes another batch. So the last segment is the active one and is
//!   never empty.
//! - `max.compaction.lag.ms` bounds `segment.ms`, so that a batch that must be cleaned soon doesn't stay active.
//!
//! Cleanable are the segments that end before the active one, before the last stable offset, and before the first
//! that has a record younger than `min.compaction.lag.ms`. They are cleaned when they are more than
//! `min.cleanable.dirty.ratio` of them and what was cleaned before, or when the oldest segment that isn't active has
//! been dirty for longer than `max.compaction.lag.ms`.
//!
//! Segments are remembered with a few numbers each, and [`CLEANER_SEGMENTS`] of them at most: beyond it neighbours
//! become one, which cleans no earlier than before, and later only where `min.compaction.lag.ms` is set.

use levee_base::limits::CLEANER_SEGMENTS;

/// What the topic's configuration says about cleaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
}

/// A batch in the log, as its index entry and its note have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSeen {
    /// Its first offset.
    pub base_offset: i64,
    /// Its last offset.
    pub last_offset: i64,
    /// Its length.
    pub bytes: u64,
    /// Its maximum timestamp, -1 if it has none.
    pub max_timestamp: i64,
    /// When it was appended, by the leader's clock.
    pub appended_ms: i64,
}

/// What a pass is to clean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The first dirty offset.
    pub from: i64,
    /// The first offset that stays as it is.
    pub until: i64,
    /// Which part of the log up to there is dirty: the dirtiest partition comes first.
    pub dirty_ratio: f64,
    /// Whether it is due by `max.compaction.lag.ms`, whatever the ratio.
    pub overdue: bool,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    base_offset: i64,
    bytes: u64,
    /// The first batch's maximum timestamp and append time.
    first_timestamp: i64,
    first_appended_ms: i64,
    max_timestamp: i64,
    last_appended_ms: i64,
}

impl Segment {
    /// How old its youngest record is taken to be: without timestamps, Kafka asks the file.
    fn youngest_ms(&self) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.last_appended_ms }
    }
}

/// The segments that Kafka would have rolled since the first dirty offset.
#[derive(Debug, Clone)]
pub struct Segments {
    segment_bytes: u64,
    segment_ms: i64,
    from: i64,
    /// The last one is active.
    segments: Vec<Segment>,
}

impl Segments {
    /// None yet. `from` is the first dirty offset, or the log's start if that is later.
    #[must_use]
    pub fn new(policy: &Policy, from: i64) -> Self {
        let segment_ms = match policy.max_compaction_lag_ms {
            ..=0 => policy.segment_ms,
            lag_ms => policy.segment_ms.min(lag_ms),
        };
        Self { segment_bytes: policy.segment_bytes, segment_ms, from, segments: Vec::new() }
    }

    /// The next batch. The first one holds the first dirty offset, or follows it.
    pub fn push(&mut self, batch: &BatchSeen) {
        let rolls = self.segments.last().is_none_or(|active| {
            let waited_ms = if active.first_timestamp >= 0 {
                batch.max_timestamp.saturating_sub(active.first_timestamp)
            } else {
                batch.appended_ms.saturating_sub(active.first_appended_ms)
            };
            active.bytes.saturating_add(batch.bytes) > self.segment_bytes
                || waited_ms > self.segment_ms
                || batch.last_offset.saturating_sub(active.base_offset) > i64::from(i32::MAX)
        });
        if rolls {
            if self.segments.len() == CLEANER_SEGMENTS {
                self.halve();
            }
            self.segments.push(Segment {
                base_offset: batch.base_offset.max(self.from),
                bytes: batch.bytes,
                first_timestamp: batch.max_timestamp,
                first_appended_ms: batch.appended_ms,
                max_timestamp: batch.max_timestamp,
                last_appended_ms: batch.appended_ms,
            });
        } else if let Some(active) = self.segments.last_mut() {
            active.bytes += batch.bytes;
            active.max_timestamp = active.max_timestamp.max(batch.max_timestamp);
            active.last_appended_ms = batch.appended_ms;
        }
    }

    /// The first offset of the active segment; `None` if there is no batch.
    #[must_use]
    pub fn active(&self) -> Option<i64> {
        self.segments.last().map(|active| active.base_offset)
    }

    /// What to clean now, if anything. `clean_bytes` is how many bytes lie before the first dirty offset, and
    /// `stable_end` the last stable offset, or whatever else the pass can't go beyond.
    #[must_use]
    pub fn plan(&self, policy: &Policy, clean_bytes: u64, stable_end: i64, now_ms: i64) -> Option<Plan> {
        let (active, rolled) = self.segments.split_last()?;
        let min_lag_ms = policy.min_compaction_lag_ms.max(0);
        let young =
            |segment: &Segment| min_lag_ms > 0 && segment.youngest_ms() > now_ms.saturating_sub(min_lag_ms);
        let mut until = self.from;
        let mut bytes = 0_u64;
        for (at, segment) in rolled.iter().enumerate() {
            let end = rolled.get(at + 1).unwrap_or(active).base_offset;
            if young(segment) || end > stable_end {
                break;
            }
            until = end;
            bytes = bytes.saturating_add(segment.bytes);
        }
        if bytes == 0 {
            return None;
        }
        let oldest_dirty =
            rolled.iter().map(|segment| segment.first_timestamp).filter(|timestamp| *timestamp > 0).min();
        let overdue = oldest_dirty
            .is_some_and(|oldest| oldest < now_ms.saturating_sub(policy.max_compaction_lag_ms.max(0)));
        let dirty_ratio = bytes as f64 / (bytes as f64 + clean_bytes as f64);
        (overdue || dirty_ratio > policy.min_cleanable_dirty_ratio).then_some(Plan {
            from: self.from,
            until,
            dirty_ratio,
            overdue,
        })
    }

    /// Makes one of every two rolled segments.
    fn halve(&mut self) {
        let Some(active) = self.segments.pop() else { return };
        let earlier = |a: i64, b: i64| if a > 0 && b > 0 { a.min(b) } else { a.max(b) };
        let pairs = self.segments.chunks(2).map(|pair| match pair {
            [first, second] => Segment {
                base_offset: first.base_offset,
                bytes: first.bytes.saturating_add(second.bytes),
                first_timestamp: earlier(first.first_timestamp, second.first_timestamp),
                first_appended_ms: first.first_appended_ms,
                max_timestamp: first.max_timestamp.max(second.max_timestamp),
                last_appended_ms: second.last_appended_ms,
            },
            others => others[0],
        });
        self.segments = pairs.chain([active]).collect();
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
