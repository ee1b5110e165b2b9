//! What the generated table is made of: which fields a message has, in which versions, and what an element of
//! each array takes in memory once it is decoded.

/// A range of versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions(pub i16, pub i16);

impl Versions {
    /// Whether `version` is one of them.
    #[must_use]
    pub const fn contain(self, version: i16) -> bool {
        self.0 <= version && version <= self.1
    }
}

/// Every version.
pub const ALL: Versions = Versions(0, i16::MAX);
/// No version.
pub const NONE: Versions = Versions(0, -1);

/// Version `low` and all later ones.
#[must_use]
pub const fn from(low: i16) -> Versions {
    Versions(low, i16::MAX)
}

/// Versions `low` to `high`.
#[must_use]
pub const fn between(low: i16, high: i16) -> Versions {
    Versions(low, high)
}

/// The type of a field, as far as its length goes.
#[derive(Debug)]
pub enum Kind {
    /// BOOLEAN and INT8.
    B1,
    /// INT16 and UINT16.
    B2,
    /// INT32 and UINT32.
    B4,
    /// INT64 and FLOAT64.
    B8,
    /// UUID.
    B16,
    /// STRING or COMPACT_STRING. Decoded, it is a reference into the frame.
    Text,
    /// BYTES, COMPACT_BYTES and RECORDS. Decoded, it is a reference into the frame.
    Blob,
    /// An array, and the bytes that one element takes in the decoded vector.
    Array(&'static Kind, usize),
    /// A struct. Decoded, it lies within the one that holds it.
    Struct(&'static Shape),
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// Its type.
    pub kind: Kind,
    /// The versions that have it.
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Versions,
    /// Its tag, where it lies in the section of tagged fields.
    pub tag: Option<u32>,
}

/// A field that is never null and has no tag.
#[must_use]
pub const fn f(kind: Kind, versions: Versions) -> Field {
    Field { kind, versions, nullable: NONE, tag: None }
}

impl Field {
    /// Which may be null in `versions`.
    #[must_use]
    pub const fn nullable(mut self, versions: Versions) -> Self {
        self.nullable = versions;
        self
    }

    /// Which lies in the section of tagged fields.
    #[must_use]
    pub const fn tag(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }
}

/// The fields of a struct, in the order of the wire.
#[derive(Debug)]
pub struct Shape(pub &'static [Field]);

/// One API's request.
#[derive(Debug)]
pub struct Message {
    /// The API's key.
    pub key: i16,
    /// Its name, as Kafka writes it.
    pub name: &'static str,
    /// The versions that Kafka knows.
    pub versions: Versions,
    /// Those with compact lengths and tagged fields.
    pub flexible: Versions,
    /// Its fields.
    pub body: &'static Shape,
}
