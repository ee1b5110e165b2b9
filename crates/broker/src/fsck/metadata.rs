//! The metadata's own objects: what was met while it was read, the snapshot and the entries that a damaged newest
//! snapshot would be replaced by, and what the journal's collector has yet to delete.

use super::finding::{Finding, Problem, Severity};
use super::{CheckError, Checker, Part};
use levee_meta::MetadataDamage;
use levee_object::Key;

impl Checker<'_> {
    /// Reports on the journal and its snapshots, of which `listed` were there.
    pub(super) async fn metadata(&mut self, _listed: &[(Key, u64)]) -> Result<(), CheckError> {
        self.counts.metadata_objects = self.observer.entries() + 1;
        for MetadataDamage { key, missing, detail } in self.observer.damage().to_vec() {
            let problem = if missing { Problem::Missing } else { Problem::Corrupt };
            self.found(Finding::damage(problem, key, Part::Metadata, detail));
        }
        if !self.observer.complete() {
            let detail = format!(
                "the journal can't be read on from {}: objects were not checked against it",
                self.observer.position()
            );
            self.found(
                Finding::new(Severity::Note, Problem::Corrupt, None, Some(Part::Metadata), detail, vec![])
                    .with_remedy("Repair the journal first, and check again"),
            );
        }
        Ok(())
    }
}
