//! Objects that extents refer to, and those that nothing refers to any more, which wait for the collector.

use crate::answer::{Answer, Refusal};
use crate::command::{NewObject, Sender};
use crate::ids::{ObjectId, ObjectName};
use crate::state::State;
use crate::state::shared::ById;
use levee_base::BrokerEpoch;
use std::collections::BTreeSet;
use std::ops::Range;

/// An object that extents, or a stream's checkpoint, refer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Object {
    /// Which it is; its key follows from it.
    pub name: ObjectName,
    /// Its length.
    pub total_bytes: u64,
    /// Where in it its index is, in bytes.
    pub index: Range<u64>,
    /// How many extents and checkpoints refer to it; at least one.
    pub references: u32,
}

/// An object that nothing refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Garbage {
    /// Which it is.
    pub name: ObjectName,
    /// Its length.
    pub total_bytes: u64,
}

impl State {
    /// An object that extents refer to.
    #[must_use]
    pub fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(&id)
    }

    /// All objects that extents refer to.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, &Object)> {
        self.objects.iter().map(|(&id, object)| (id, object))
    }

    /// The objects that wait to be deleted.
    pub fn garbage(&self) -> impl Iterator<Item = (ObjectId, &Garbage)> {
        self.garbage.iter().map(|(&id, garbage)| (id, garbage))
    }

    pub(super) fn add_object(&mut self, name: ObjectName, total_bytes: u64, index: Range<u64>) -> ObjectId {
        let id = self.next_object;
        self.next_object = ObjectId(id.0 + 1);
        self.objects.insert(id, Object { name, total_bytes, index, references: 0 });
        id
    }

    /// An object that got no reference is garbage at once.
    pub(super) fn discard_unreferenced(&mut self, id: ObjectId) {
        if self.objects.get(&id).is_some_and(|object| object.references == 0) {
            discard(&mut self.objects, &mut self.garbage, id);
        }
    }

    /// Adds one reference.
    pub(super) fn refer(&mut self, id: ObjectId) {
        let object = self.objects.get_mut(&id).expect("what is referred to is listed");
        object.references += 1;
    }

    /// Takes one reference away.
    pub(super) fn release(&mut self, id: ObjectId) {
        release(&mut self.objects, &mut self.garbage, id);
    }

    /// Whether an object may still be being written: its maker is live and has neither committed nor abandoned it.
    #[must_use]
    pub fn may_be_in_the_making(&self, epoch: BrokerEpoch, number: u64) -> bool {
        self.brokers.get(&epoch).is_some_and(|broker| !broker.settled.contains(number))
    }

    /// Whether an object that is found in the store, and that is neither listed nor garbage, is an orphan: nothing will
    /// ever refer to it. Its maker never committed it, and no longer can; or it lies below its log's trim point, or
    /// above its fence. A fence never is.
    ///
    /// What this state doesn't know of, a later one may.
    #[must_use]
    pub fn is_orphan(&self, unlisted: &ObjectName) -> bool {
        match *unlisted {
            ObjectName::Data { epoch, number } => {
                self.wals.contains_key(&epoch) && !self.may_be_in_the_making(epoch, number)
            }
            ObjectName::Wal { node, epoch, slot } => self.wals.get(&epoch).is_some_and(|wal| {
                wal.node == node && (slot < wal.trim || wal.fence.is_some_and(|fence| slot > fence))
            }),
        }
    }

    /// Checks that a broker may settle these numbers. Returns its epoch.
    pub(super) fn check_numbers(
        &self,
        sender: Sender,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<BrokerEpoch, Refusal> {
        let Sender::Broker(epoch) = sender else { return Err(Refusal::NotRegistered) };
        // A broker that is out comes as far as this only when a test lets it.
        let broker = self.brokers.get(&epoch);
        let mut seen = BTreeSet::new();
        for number in numbers {
            if !broker.is_some_and(|broker| broker.settled.admits(number)) || !seen.insert(number) {
                return Err(Refusal::ObjectSettled { number });
            }
        }
        Ok(epoch)
    }

    /// Lists an object that passed the checks, without references yet.
    pub(super) fn add_new_object(&mut self, epoch: BrokerEpoch, object: &NewObject) -> ObjectId {
        if let Some(broker) = self.brokers.get_mut(&epoch) {
            broker.settled.settle(object.number);
        }
        let name = ObjectName::Data { epoch, number: object.number };
        self.add_object(name, object.total_bytes, object.index.clone())
    }

    /// They may exist all the same, or come into being late: the collector deletes them.
    pub(super) fn abandon(&mut self, sender: Sender, numbers: &[u64]) -> Result<Answer, Refusal> {
        let epoch = self.check_numbers(sender, numbers.iter().copied())?;
        for &number in numbers {
            let empty =
                NewObject { number, total_bytes: 0, index: 0..0, extents: vec![], checkpoints: vec![] };
            let id = self.add_new_object(epoch, &empty);
            self.discard_unreferenced(id);
        }
        Ok(Answer::Done)
    }

    /// Two collectors may delete the same objects, and both say so.
    pub(super) fn forget_garbage(&mut self, objects: &[ObjectId]) {
        for id in objects {
            self.garbage.remove(id);
        }
    }
}

/// Takes one reference away, where only the two tables are at hand.
pub(super) fn release(objects: &mut ById<Object>, garbage: &mut ById<Garbage>, id: ObjectId) {
    let object = objects.get_mut(&id).expect("what refers to an object refers to one that is listed");
    object.references -= 1;
    if object.references == 0 {
        discard(objects, garbage, id);
    }
}

fn discard(objects: &mut ById<Object>, garbage: &mut ById<Garbage>, id: ObjectId) {
    let object = objects.remove(&id).expect("only a listed object is discarded");
    garbage.insert(id, Garbage { name: object.name, total_bytes: object.total_bytes });
}

impl NewObject {
    /// Whether its numbers fit together.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let sound = self.index.start <= self.index.end
            && self.index.end <= self.total_bytes
            && self.extents.iter().all(|extent| extent.range.start < extent.range.end);
        if sound { Ok(()) } else { Err(Refusal::InvalidUpload { number: self.number }) }
    }
}
