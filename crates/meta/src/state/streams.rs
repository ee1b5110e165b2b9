//! Streams: who leads each, and which object holds which of its offsets.
//!
//! Extents of a stream are contiguous, so one stores only where it begins: it ends where the next begins, and
//! the last one at the stream's end.

use crate::answer::{Answer, Refusal};
use crate::command::NewExtent;
use crate::ids::{ObjectId, TopicId};
use crate::state::State;
use crate::state::objects::release;
use crate::state::shared::Rows;
use crate::state::wal_rules::Broken;
use levee_base::{BrokerEpoch, Offset, StreamId};
use std::ops::Range;

/// A stream: a topic's partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stream {
    /// Whose partition it is.
    pub topic: TopicId,
    /// Which partition.
    pub partition: u32,
    /// Who leads it. Its write-ahead log is open.
    pub leader: Option<BrokerEpoch>,
    /// Goes up with each new leader.
    pub leader_epoch: u32,
    /// The first offset that is kept. May lie above `end`: then it lies in the leader's write-ahead log.
    pub start: Offset,
    /// Where the registered offsets end. The leader's write-ahead log may hold more.
    pub end: Offset,
    pub(crate) extents: Rows<Extent>,
    /// Bytes of batches in all extents.
    pub(crate) bytes: u64,
    /// Its other state: as of which offset, and what holds it.
    pub checkpoint: Option<(Offset, ObjectId)>,
}

/// Where an extent begins and what holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Extent {
    pub(crate) base: Offset,
    pub(crate) bytes: u64,
    pub(crate) object: ObjectId,
}

/// An extent as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamExtent {
    /// Which offsets.
    pub range: Range<Offset>,
    /// How many bytes of batches.
    pub bytes: u64,
    /// What holds them; see [`State::object`].
    pub object: ObjectId,
}

impl Stream {
    /// The extents in the order of their offsets.
    pub fn extents(&self) -> impl ExactSizeIterator<Item = StreamExtent> {
        (0..self.extents.len()).map(|i| {
            let Extent { base, bytes, object } = self.extents[i];
            StreamExtent { range: base..self.extent_end(i), bytes, object }
        })
    }

    /// Where an extent ends.
    pub(super) fn extent_end(&self, index: usize) -> Offset {
        self.extents.get(index + 1).map_or(self.end, |next| next.base)
    }

    /// Bytes of batches in all extents.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl State {
    /// A stream, unless its topic is deleted.
    #[must_use]
    pub fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(&id)
    }

    /// All streams.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.streams.iter().map(|(&id, stream)| (id, stream))
    }

    /// The streams that `epoch` leads.
    pub fn led_by(&self, epoch: BrokerEpoch) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.streams().filter(move |(_, stream)| stream.leader == Some(epoch))
    }

    /// The streams that nobody leads: their last leader closed its log without an heir.
    pub fn leaderless(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.streams().filter(|(_, stream)| stream.leader.is_none())
    }

    pub(super) fn lead(&mut self, leader: BrokerEpoch, streams: &[StreamId]) -> Result<Answer, Refusal> {
        if !self.can_lead(leader) {
            return Err(Refusal::CannotLead { epoch: leader });
        }
        for &stream in streams {
            if stream >= self.next_stream {
                return Err(Refusal::UnknownStream { stream });
            }
            let vacant = |leader: &BrokerEpoch| {
                self.wal_rules.breaks(Broken::LeadBeforeClose) && !self.brokers.contains_key(leader)
            };
            if let Some(leader) = self.streams.get(&stream).and_then(|known| known.leader)
                && !vacant(&leader)
            {
                return Err(Refusal::HasLeader { stream, leader });
            }
        }
        for stream in streams {
            if let Some(stream) = self.streams.get_mut(stream)
                && (stream.leader.is_none() || self.wal_rules.breaks(Broken::LeadBeforeClose))
            {
                stream.set_leader(leader);
            }
        }
        Ok(Answer::Done)
    }

    /// Passes the streams of a log that is closed to `heir`, or leaves them without a leader.
    pub(super) fn hand_over(&mut self, from: BrokerEpoch, heir: Option<BrokerEpoch>) {
        for stream in self.streams.values_mut().filter(|stream| stream.leader == Some(from)) {
            match heir {
                Some(heir) => stream.set_leader(heir),
                None => stream.leader = None,
            }
        }
    }

    /// Appends an extent that was found to begin at its stream's end. One that continues the last extent within the
    /// same object becomes part of that; one that lies below the start holds nothing that is kept.
    pub(super) fn append_extent(&mut self, object: ObjectId, new: &NewExtent) {
        let stream = self.streams.get_mut(&new.stream).expect("the extent's stream was found before");
        assert_eq!(
            new.range.start, stream.end,
            "an extent begins where its stream ends, or an offset is lost"
        );
        stream.end = new.range.end;
        if new.range.end <= stream.start {
            return;
        }
        stream.bytes = stream.bytes.saturating_add(new.bytes);
        let extents = stream.extents.to_mut();
        match extents.last_mut() {
            Some(last) if last.object == object => last.bytes = last.bytes.saturating_add(new.bytes),
            _ => {
                extents.push(Extent { base: new.range.start, bytes: new.bytes, object });
                self.refer(object);
            }
        }
    }

    /// Takes a stream's newer checkpoint, or the same one at another place, if it is its leader's.
    pub(super) fn set_checkpoint(
        &mut self,
        leader: BrokerEpoch,
        stream: StreamId,
        offset: Offset,
        object: ObjectId,
    ) {
        let known = self.streams.get_mut(&stream).filter(|known| known.leader == Some(leader));
        let Some(known) = known else { return };
        let newer = known.checkpoint.is_none_or(|(before, _)| before <= offset);
        if newer && offset <= known.end {
            let before = known.checkpoint.replace((offset, object));
            self.refer(object);
            if let Some((_, before)) = before {
                self.release(before);
            }
        }
    }

    /// A stream that is deleted is passed over; one that begins there or later already stays.
    pub(super) fn advance_starts(&mut self, starts: &[(StreamId, Offset)]) -> Result<Answer, Refusal> {
        if let Some(&(stream, _)) = starts.iter().find(|(stream, _)| *stream >= self.next_stream) {
            return Err(Refusal::UnknownStream { stream });
        }
        for &(stream, start) in starts {
            let Some(stream) = self.streams.get_mut(&stream).filter(|stream| stream.start < start) else {
                continue;
            };
            stream.start = start;
            let gone = (0..stream.extents.len()).take_while(|&i| stream.extent_end(i) <= start).count();
            if gone == 0 {
                continue;
            }
            let gone: Vec<Extent> = stream.extents.to_mut().drain(..gone).collect();
            for extent in gone {
                stream.bytes = stream.bytes.saturating_sub(extent.bytes);
                release(&mut self.objects, &mut self.garbage, extent.object);
            }
        }
        Ok(Answer::Done)
    }
}

impl Stream {
    fn set_leader(&mut self, leader: BrokerEpoch) {
        self.leader = Some(leader);
        self.leader_epoch += 1;
    }
}
