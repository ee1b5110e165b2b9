//! Hash maps whose hasher is not randomly seeded, so that a run can be repeated. For keys that come from
//! outside use a `BTreeMap`: nobody can make it slow.

#![allow(clippy::disallowed_types)]

use std::hash::{BuildHasherDefault, DefaultHasher};

/// A hash map with the same iteration order in every run.
pub type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
/// A hash set with the same iteration order in every run.
pub type HashSet<K> = std::collections::HashSet<K, BuildHasherDefault<DefaultHasher>>;
