//! Write-ahead logs: opened by a registration, trimmed by their broker, closed once for ever by whoever
//! fenced them. Their objects become part of their streams where they lie.
//!
//! A command registers every slot from the trim point up to the new one or not at all, so that no slot's
//! records are passed over. An extent is left out, and the rest goes on, when its topic is deleted, its stream
//! has another leader by now, or its leader epoch is not the stream's: those records were never this log's to
//! give. An extent that should be taken but doesn't begin where its stream ends refuses the whole command:
//! records would be missing or an offset given twice. What counts is the order of a stream's offsets, not the object
//! that they are in: a trim registers some where they lie and some in what was gathered.

use crate::answer::{Answer, Refusal};
use crate::command::{NewExtent, NewObject, Registration, Sender};
use crate::ids::{ObjectId, ObjectName};
use crate::state::State;
use crate::state::wal_rules::Broken;
use levee_base::{BrokerEpoch, NodeId, Offset, Slot, StreamId};

/// A write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wal {
    /// Whose it is.
    pub node: NodeId,
    /// The first slot that isn't registered. Never goes down.
    pub trim: Slot,
    /// Where it ends, once it is closed. The trim point is then here too.
    pub fence: Option<Slot>,
}

impl State {
    /// All write-ahead logs there ever were, by the epoch of their broker.
    pub fn wals(&self) -> impl Iterator<Item = (BrokerEpoch, &Wal)> {
        self.wals.iter().map(|(&epoch, wal)| (epoch, wal))
    }

    /// The log of `epoch`.
    #[must_use]
    pub fn wal(&self, epoch: BrokerEpoch) -> Option<&Wal> {
        self.wals.get(&epoch)
    }

    /// The logs that wait to be recovered: open, but their broker is out.
    pub fn orphans(&self) -> impl Iterator<Item = (BrokerEpoch, &Wal)> {
        self.wals().filter(|(epoch, wal)| wal.fence.is_none() && !self.brokers.contains_key(epoch))
    }

    /// Whether the broker is live and its log open, so that it can lead.
    #[must_use]
    pub fn can_lead(&self, epoch: BrokerEpoch) -> bool {
        self.brokers.contains_key(&epoch) && self.wals.get(&epoch).is_some_and(|wal| wal.fence.is_none())
    }

    pub(super) fn trim_wal(
        &mut self,
        sender: Sender,
        epoch: BrokerEpoch,
        to: Slot,
        objects: &[Registration],
        uploads: &[NewObject],
    ) -> Result<Answer, Refusal> {
        if sender != Sender::Broker(epoch) {
            return Err(Refusal::NotYourWal { epoch });
        }
        let wal = self.open_wal(epoch, Broken::TrimOnceClosed)?;
        if to < wal.trim && !self.wal_rules.breaks(Broken::TrimBackward) {
            return Err(Refusal::TrimBackward { trim: wal.trim });
        }
        check_slots(wal.trim.min(to), to, objects)?;
        if !uploads.is_empty() {
            self.check_numbers(sender, uploads.iter().map(|object| object.number))?;
        }
        uploads.iter().try_for_each(NewObject::check)?;
        let taken = self.check_extents(epoch, objects, uploads)?;
        let left_out = self.register_objects(epoch, wal, objects, uploads, &taken);
        self.wals.insert(epoch, Wal { trim: to, ..wal });
        Ok(Answer::Trimmed { left_out })
    }

    /// The close is the fence's check: a fence below the trim point is void. The slots below the trim point are
    /// registered already, so a recovery that began to read before the last trim is as good as any.
    pub(super) fn close_wal(
        &mut self,
        epoch: BrokerEpoch,
        fence: Slot,
        objects: &[Registration],
        heir: Option<BrokerEpoch>,
    ) -> Result<Answer, Refusal> {
        let wal = self.open_wal(epoch, Broken::CloseAgain)?;
        // A log that is closed comes as far as this only when a test lets it.
        if fence < wal.trim && wal.fence.is_none() && !self.wal_rules.breaks(Broken::CloseBelowTrim) {
            return Err(Refusal::FenceVoid { trim: wal.trim });
        }
        if let Some(heir) = heir
            && (heir == epoch || !self.can_lead(heir))
        {
            return Err(Refusal::CannotLead { epoch: heir });
        }
        let objects = &objects[objects.partition_point(|object| object.slot < wal.trim)..];
        check_slots(wal.trim.min(fence), fence, objects)?;
        let taken = self.check_extents(epoch, objects, &[])?;
        let left_out = self.register_objects(epoch, wal, objects, &[], &taken);
        self.wals.insert(epoch, Wal { trim: fence, fence: Some(fence), ..wal });
        self.hand_over(epoch, heir);
        Ok(Answer::Trimmed { left_out })
    }

    /// The log, unless it is closed. `rule` is the one that asks.
    fn open_wal(&self, epoch: BrokerEpoch, rule: Broken) -> Result<Wal, Refusal> {
        let wal = *self.wals.get(&epoch).ok_or(Refusal::UnknownBroker { epoch })?;
        if self.wal_rules.breaks(rule) {
            return Ok(wal);
        }
        wal.fence.map_or(Ok(wal), |fence| Err(Refusal::WalClosed { fence }))
    }

    /// The extents that are to become part of their streams, in the order of these, each with its object's place: first
    /// come `objects`, then `uploads`. They continue their streams.
    fn check_extents<'a>(
        &self,
        epoch: BrokerEpoch,
        objects: &'a [Registration],
        uploads: &'a [NewObject],
    ) -> Result<Vec<(usize, &'a NewExtent)>, Refusal> {
        let all =
            objects.iter().map(|object| &object.extents).chain(uploads.iter().map(|object| &object.extents));
        let mut taken = Vec::new();
        for (object, extent) in all.enumerate().flat_map(|(at, extents)| extents.iter().map(move |e| (at, e)))
        {
            if self.takes(epoch, extent)? {
                taken.push((object, extent));
            }
        }
        // Stable: what begins at the same offset, as only a mistake does, is refused in the order in which it came.
        taken.sort_by_key(|(_, extent)| (extent.stream, extent.range.start));
        let mut before: Option<(StreamId, Offset)> = None;
        for (_, extent) in &taken {
            let stream = extent.stream;
            let ends = match before {
                Some((same, end)) if same == stream => end,
                _ => self.streams.get(&stream).map_or(Offset::ZERO, |stream| stream.end),
            };
            if extent.range.start != ends {
                return Err(Refusal::NotAtEnd { stream, ends, begins: extent.range.start });
            }
            before = Some((stream, extent.range.end));
        }
        Ok(taken)
    }

    /// Whether an extent found in the log of `epoch` is to become part of its stream.
    fn takes(&self, epoch: BrokerEpoch, extent: &NewExtent) -> Result<bool, Refusal> {
        match self.streams.get(&extent.stream) {
            Some(stream) => Ok(stream.leader == Some(epoch) && stream.leader_epoch == extent.leader_epoch),
            None if extent.stream < self.next_stream => Ok(false),
            None => Err(Refusal::UnknownStream { stream: extent.stream }),
        }
    }

    /// Registers what was found right. Returns how many extents were left out.
    fn register_objects(
        &mut self,
        epoch: BrokerEpoch,
        wal: Wal,
        objects: &[Registration],
        uploads: &[NewObject],
        taken: &[(usize, &NewExtent)],
    ) -> u32 {
        let mut ids: Vec<ObjectId> = Vec::with_capacity(objects.len() + uploads.len());
        for object in objects {
            let name = ObjectName::Wal { node: wal.node, epoch, slot: object.slot };
            ids.push(self.add_object(name, object.total_bytes, object.index.clone()));
        }
        ids.extend(uploads.iter().map(|object| self.add_new_object(epoch, object)));
        for (object, extent) in taken {
            self.append_extent(ids[*object], extent);
        }
        for (object, id) in uploads.iter().zip(&ids[objects.len()..]) {
            for &(stream, offset) in &object.checkpoints {
                self.set_checkpoint(epoch, stream, offset, *id);
            }
        }
        for id in ids {
            self.discard_unreferenced(id);
        }
        let extents = objects.iter().map(|object| object.extents.len());
        let all: usize = extents.chain(uploads.iter().map(|object| object.extents.len())).sum();
        u32::try_from(all - taken.len()).unwrap_or(u32::MAX)
    }
}

/// Whether `objects` are those of the slots `from..to`, each once and in order, and their numbers fit together.
fn check_slots(from: Slot, to: Slot, objects: &[Registration]) -> Result<(), Refusal> {
    let mut expected = from;
    for object in objects {
        if object.slot != expected || object.slot >= to {
            return Err(Refusal::SlotMissing { expected });
        }
        expected = expected.next();
        let sound = object.index.start <= object.index.end
            && object.index.end <= object.total_bytes
            && object.extents.iter().all(|extent| extent.range.start < extent.range.end);
        if !sound {
            return Err(Refusal::InvalidObject { slot: object.slot });
        }
    }
    if expected == to { Ok(()) } else { Err(Refusal::SlotMissing { expected }) }
}
