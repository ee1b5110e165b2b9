//! How often one request names the same thing, where each time costs an answer in full.

use levee_base::limits::NAMED_IN_A_REQUEST;
use std::collections::BTreeMap;

/// What a request has named so far.
#[derive(Debug)]
pub(crate) struct Named<K>(BTreeMap<K, usize>);

impl<K: Ord> Named<K> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Something is named; whether more often than [`NAMED_IN_A_REQUEST`].
    pub(crate) fn too_often(&mut self, key: K) -> bool {
        let times = self.0.entry(key).or_default();
        *times += 1;
        *times > NAMED_IN_A_REQUEST
    }
}
