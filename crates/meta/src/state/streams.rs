//! Streams: who leads each, and which object holds which of its offsets.
//!
//! Extents of a stream are contiguous, so one stores only where it begins: it ends where the next begins, and
//! the last one at the stream's end.

use crate::answer::{Answer, Refusal};
use crate::command::NewExtent;
use crate::ids::{ObjectId, TopicId};
use crate::state::State;
use crate::state::shared::Chunked;
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
    /// The first offset that is kept.
    pub start: Offset,
    /// Where the registered offsets end. The leader's write-ahead log may hold more.
    pub end: Offset,
    pub(crate) extents: Chunked<Extent>,
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
            let &Extent { base, bytes, object } = self.extents.get(i).expect("it is below the length");
            let end = self.extents.get(i + 1).map_or(self.end, |next| next.base);
            StreamExtent { range: base..end, bytes, object }
        })
    }

    /// Bytes of batches in all extents.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.bytes).sum()
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

    /// Appends an extent that was found to begin at its stream's end. Whether it is a reference of its own:
    /// one that continues the last extent within the same object becomes part of that.
    pub(super) fn append_extent(&mut self, object: ObjectId, new: &NewExtent) -> bool {
        let stream = self.streams.get_mut(&new.stream).expect("the extent's stream was found before");
        assert_eq!(
            new.range.start, stream.end,
            "an extent begins where its stream ends, or an offset is lost"
        );
        stream.end = new.range.end;
        match stream.extents.last_mut() {
            Some(last) if last.object == object => {
                last.bytes += new.bytes;
                false
            }
            _ => {
                stream.extents.push(Extent { base: new.range.start, bytes: new.bytes, object });
                true
            }
        }
    }
}

impl Stream {
    fn set_leader(&mut self, leader: BrokerEpoch) {
        self.leader = Some(leader);
        self.leader_epoch += 1;
    }
}
