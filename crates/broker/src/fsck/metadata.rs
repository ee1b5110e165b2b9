//! The metadata's own objects: what was met while it was read, the past that is kept for when the newest snapshot is
//! lost, and what the journal's collector has yet to delete.

use super::finding::{Finding, Problem, Severity};
use super::{CheckError, Checker, Part};
use futures::{StreamExt, stream};
use levee_base::limits::LOG_HEADER_BYTES;
use levee_meta::MetadataDamage;
use levee_object::{ErrorKind, Key};

impl Checker<'_> {
    /// Reports on the journal and its snapshots, of which `listed` were there. Comes last: the journal is read on
    /// until then.
    pub(super) async fn metadata(&mut self, listed: &[(Key, u64)]) -> Result<(), CheckError> {
        self.progress.begin("checking the metadata", 0);
        self.counts.metadata_objects = self.observer.objects();
        let mut damage = self.observer.damage().to_vec();
        if !self.options.quick {
            let history = self.observer.history().await?;
            self.counts.metadata_objects += history.objects;
            damage.extend(history.damage);
        }
        for MetadataDamage { key, missing, detail } in damage {
            let problem = if missing { Problem::Missing } else { Problem::Corrupt };
            self.found(Finding::damage(problem, key, Part::Metadata, detail));
        }
        if !self.observer.complete() {
            let detail = format!(
                "the journal can't be read on from {}: objects were not checked against it",
                self.observer.position()
            );
            let finding =
                Finding::new(Severity::Note, Problem::Corrupt, None, Some(Part::Metadata), detail, vec![]);
            self.found(finding.with_remedy("Repair the journal first, and check again"));
            return Ok(());
        }
        // Each is looked for again: a live controller may have deleted it since.
        let (reader, stale) = (self.reader, self.observer.stale(listed));
        let looked = stale.into_iter().map(|(key, bytes)| async move {
            let there = reader.get(key, 0..LOG_HEADER_BYTES as u64).await.map(|_| ());
            (key, *bytes, there)
        });
        let looked: Vec<_> = stream::iter(looked).buffered(self.options.concurrency).collect().await;
        for (key, bytes, there) in looked {
            if there.is_err_and(|error| error.kind == ErrorKind::NotFound) {
                continue;
            }
            let detail = "an older part of the metadata, which nobody reads any more".to_owned();
            let finding = Finding::new(
                Severity::Waste,
                Problem::Garbage,
                Some(key.to_string()),
                Some(Part::Metadata),
                detail,
                vec![],
            );
            self.found(finding.with_bytes(bytes));
        }
        Ok(())
    }
}
