//! Objects that extents refer to, and those that nothing refers to any more, which wait for the collector.

use crate::ids::{ObjectId, ObjectName};
use crate::state::State;
use std::ops::Range;

/// An object that extents refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Which it is; its key follows from it.
    pub name: ObjectName,
    /// Its length.
    pub total_bytes: u64,
    /// Where in it its index is, in bytes.
    pub index: Range<u64>,
    /// How many extents refer to it; at least one.
    pub references: u32,
}

/// An object that nothing refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// Without references it is garbage at once.
    pub(super) fn set_references(&mut self, id: ObjectId, references: u32) {
        let object = self.objects.get_mut(&id).expect("the object was added just before");
        object.references = references;
        if references == 0 {
            self.discard(id);
        }
    }

    /// Takes one reference away.
    pub(super) fn release(&mut self, id: ObjectId) {
        let object = self.objects.get_mut(&id).expect("an extent refers to an object that is listed");
        object.references -= 1;
        if object.references == 0 {
            self.discard(id);
        }
    }

    /// Two collectors may delete the same objects, and both say so.
    pub(super) fn forget_garbage(&mut self, objects: &[ObjectId]) {
        for id in objects {
            self.garbage.remove(id);
        }
    }

    fn discard(&mut self, id: ObjectId) {
        let object = self.objects.remove(&id).expect("only a listed object is discarded");
        self.garbage.insert(id, Garbage { name: object.name, total_bytes: object.total_bytes });
    }
}
