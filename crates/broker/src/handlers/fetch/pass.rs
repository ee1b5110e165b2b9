//! One pass over all partitions of a request, in its order.
//!
//! What lies in memory is there at once; what doesn't takes some requests to the store. So partitions are read side by
//! side, `FETCH_READS` at most, as many as what is left of the answer's bytes is enough for if each gives all that it may;
//! then, with what those have left over, the next. When all that is left was too little for somebody's next batch, it is
//! given to nobody: all that follow would be read for nothing, and the client asks again.

use super::{Found, Place, read_code};
use crate::errors::Code;
use crate::partition::PartitionLog;
use crate::partition::log::EpochError;
use crate::partition::read::{FetchError, Fetched, Isolation};
use crate::wire::fetch::FetchedPartition;
use crate::wire::writer::Leader;
use futures::future::join_all;
use kafka_protocol::messages::FetchRequest;
use levee_base::limits::FETCH_READS;
use tokio::sync::OwnedSemaphorePermit;

/// From this version on answers name the leader where the client has another (KIP-951).
const LEADERS_FROM_VERSION: i16 = 16;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) partitions: Vec<FetchedPartition>,
    pub(super) bytes: usize,
    /// Whether some of the partitions have more than was given. Waiting would not bring it.
    pub(super) more: bool,
    /// Whether these are as many bytes as the request waits for.
    pub(super) enough: bool,
    /// Whether some partition has an answer that is not to wait.
    pub(super) failed: bool,
    /// What the bytes count for.
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// Who answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answerer {
    /// The request's version.
    pub(super) version: i16,
    /// This broker, as it is named as a leader.
    pub(super) node_id: i32,
    /// Which records the reader wants.
    pub(super) isolation: Isolation,
}

/// Why a partition can't be read here.
struct Refused {
    code: Code,
    /// Who leads it instead.
    leader: Option<Leader>,
    /// Whether the client should hear of it at once: what is not known here won't come while it waits.
    at_once: bool,
}

impl Refused {
    fn answer(self, index: i32) -> FetchedPartition {
        FetchedPartition {
            current_leader: self.leader,
            // As Kafka has it: no list where a partition is known, an empty one where it isn't.
            aborted: (!self.at_once).then(Vec::new),
            ..FetchedPartition::error(index, self.code.code())
        }
    }
}

/// A partition that is read.
struct Reading<'a> {
    log: &'a PartitionLog,
    from: i64,
    isolation: Isolation,
    /// Its share of the answer.
    limit: usize,
    /// A bound below zero was asked for, at which Kafka fails to read what there is.
    below_zero: bool,
    /// Whether it might have more but for the others.
    is_short: bool,
    /// Its place in the answer.
    at: usize,
}

impl Reading<'_> {
    async fn read(&self, at_least_one: bool) -> Result<Fetched, FetchError> {
        let at_least_one = at_least_one && !self.below_zero;
        self.log.fetch(self.from, self.isolation, self.limit, at_least_one).await
    }
}

/// Whether nothing was given although it has not come to its end: the next batch is too long.
fn is_cut_short(fetched: &Fetched) -> bool {
    fetched.runs.is_empty() && fetched.more
}

impl Pass {
    /// Reads what was asked for, `max_bytes` at most but for one first batch.
    pub(super) async fn read(
        &mut self,
        asked: &[Found],
        request: &FetchRequest,
        answerer: &Answerer,
        max_bytes: usize,
    ) {
        let isolation = answerer.isolation;
        let (mut asked, mut most) = (asked.iter().peekable(), max_bytes);
        // In Kafka a bound below zero for all is the first one's, and nothing is left for those that follow.
        let mut all_below_zero = request.max_bytes < 0;
        while asked.peek().is_some() {
            let all = most.saturating_sub(self.bytes);
            let (mut left, mut group) = (all, Vec::new());
            while group.len() < FETCH_READS
                && let Some(found) = asked.next_if(|_| left > 0 || left == all)
            {
                let is_known = found.is_known();
                let below_zero = is_known && std::mem::take(&mut all_below_zero);
                match answerer.readable(found) {
                    Ok(log) if let Some(parted) = parted(log, found) => {
                        self.failed = true;
                        self.partitions.push(parted);
                    }
                    Ok(log) => {
                        let below_zero = below_zero || found.wanted.max_bytes < 0;
                        let wanted = usize::try_from(found.wanted.max_bytes).unwrap_or(0);
                        let limit = wanted.min(left);
                        let (from, at) = (found.wanted.fetch_offset, self.partitions.len());
                        left -= limit;
                        let is_short = limit < wanted;
                        group.push(Reading { log, from, isolation, limit, below_zero, is_short, at });
                        self.partitions.push(FetchedPartition::error(found.index, 0));
                    }
                    Err(refused) => {
                        self.failed |= refused.at_once;
                        self.partitions.push(refused.answer(found.index));
                    }
                }
            }
            let too_little = self.read_group(&group, most).await;
            if too_little.is_some_and(|limit| most.saturating_sub(self.bytes) <= limit) {
                most = self.bytes;
            }
        }
    }

    /// Returns the share that was too little for somebody who might have had more but for the others.
    async fn read_group(&mut self, group: &[Reading<'_>], max_bytes: usize) -> Option<usize> {
        let mut too_little = None;
        let nothing_yet = self.bytes == 0;
        let reads = group.iter().enumerate().map(|(at, reading)| reading.read(nothing_yet && at == 0));
        let reads: Vec<_> = reads.collect();
        for (reading, fetched) in group.iter().zip(join_all(reads).await) {
            let fetched = match fetched {
                Ok(fetched) if self.bytes == 0 && !reading.below_zero && is_cut_short(&fetched) => {
                    reading.read(true).await
                }
                fetched => fetched,
            };
            let partition = &mut self.partitions[reading.at];
            match fetched {
                Ok(fetched) if reading.below_zero && fetched.more => {
                    self.failed = true;
                    partition.error_code = Code::UnknownServerError.code();
                }
                Ok(mut fetched) => {
                    let bytes =
                        |fetched: &Fetched| fetched.runs.iter().map(|run| run.bytes.len()).sum::<usize>();
                    // A long first batch has taken the others' shares.
                    if self.bytes > 0 && self.bytes + bytes(&fetched) > max_bytes {
                        fetched.runs.clear();
                        fetched.aborted.clear();
                        fetched.more = true;
                    }
                    if reading.is_short && is_cut_short(&fetched) {
                        too_little = Some(reading.limit);
                    }
                    self.more |= fetched.more;
                    self.bytes += bytes(&fetched);
                    partition.high_watermark = fetched.ends.durable.0.cast_signed();
                    partition.last_stable_offset = fetched.last_stable.0.cast_signed();
                    partition.log_start_offset = fetched.ends.start.0.cast_signed();
                    let aborted = fetched.aborted.iter().map(|one| (one.producer_id, one.first_offset));
                    let committed = reading.isolation == Isolation::Committed;
                    partition.aborted = committed.then(|| aborted.collect());
                    partition.records = fetched.runs.into_iter().map(|run| run.bytes).collect();
                }
                Err(error) => {
                    self.failed = true;
                    partition.error_code = read_code(reading.log.stream(), &error).code();
                }
            }
        }
        too_little
    }
}

/// What is answered instead of records where the reader's part from the log's, by the epoch of the last one that it has:
/// what it asks for would go on from something else (KIP-595). It is answered at once.
fn parted(log: &PartitionLog, found: &Found) -> Option<FetchedPartition> {
    let (from, epoch) = (found.wanted.fetch_offset, found.wanted.last_fetched_epoch);
    let failed = |code: Code| FetchedPartition::error(found.index, code.code());
    let diverging = match log.diverging(from, epoch) {
        Ok(None) => return None,
        Ok(Some((epoch, end))) => (epoch, end.0.cast_signed()),
        Err(error) => return Some(failed(read_code(log.stream(), &error))),
    };
    let Some((ends, last_stable)) = log.ends().zip(log.last_stable_offset()) else {
        return Some(failed(Code::NotLeaderOrFollower));
    };
    Some(FetchedPartition {
        high_watermark: ends.durable.0.cast_signed(),
        last_stable_offset: last_stable.0.cast_signed(),
        log_start_offset: ends.start.0.cast_signed(),
        diverging_epoch: Some(diverging),
        ..FetchedPartition::error(found.index, 0)
    })
}

impl Answerer {
    /// The partition's log, if it is led here, and by the epoch that the client knows.
    fn readable<'a>(&self, found: &'a Found) -> Result<&'a PartitionLog, Refused> {
        let refused = |code: Code, leader: Option<Leader>| {
            let leader = leader.filter(|_| self.version >= LEADERS_FROM_VERSION);
            Refused { code, leader, at_once: true }
        };
        let log = match &found.place {
            Place::Here(log) => log,
            Place::Unknown(code) => return Err(Refused { code: *code, leader: None, at_once: false }),
            Place::Elsewhere(leader) => return Err(refused(Code::NotLeaderOrFollower, *leader)),
        };
        let here = Leader { id: self.node_id, epoch: log.leader_epoch() };
        match log.check_epoch(found.wanted.leader_epoch) {
            Ok(()) => Ok(log),
            Err(EpochError::Fenced) => Err(refused(Code::FencedLeaderEpoch, Some(here))),
            Err(EpochError::Unknown) => Err(refused(Code::UnknownLeaderEpoch, None)),
        }
    }
}
