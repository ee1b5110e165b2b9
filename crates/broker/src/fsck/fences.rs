//! The fences of all that was ended: write-ahead logs and epochs of the journal. They are kept for ever, as a writer that
//! was paused for a week must still find its slot taken.

use super::finding::{Finding, Problem};
use super::{CheckError, Checker, Part};
use futures::{StreamExt, stream};
use levee_base::limits::LOG_HEADER_BYTES;
use levee_meta::{ObjectName, journal_prefix};
use levee_object::log::{Kind, LogHeader};
use levee_object::{ErrorKind, Key};

impl Checker<'_> {
    /// Checks that each log and journal epoch that was ended still has its fence.
    pub(super) async fn fences(&mut self) -> Result<(), CheckError> {
        let state = self.observer.state();
        let of_logs = state.wals().filter_map(|(epoch, wal)| {
            let slot = wal.fence?;
            Some((ObjectName::Wal { node: wal.node, epoch, slot }.key(), epoch.0, slot.0))
        });
        let of_journal = self.observer.fences().iter().map(|(epoch, slot)| {
            (journal_prefix().join_number(epoch.0).join_number(slot.0), epoch.0, slot.0)
        });
        let all: Vec<(Key, u64, u64)> = of_logs.chain(of_journal).collect();
        self.progress.begin("checking fences", all.len() as u64);
        let (reader, cluster) = (self.reader, self.observer.cluster());
        let mut read = stream::iter(all)
            .map(|(key, epoch, slot)| async move {
                let head = reader.get(&key, 0..LOG_HEADER_BYTES as u64).await.map(|read| read.bytes);
                (key, epoch, slot, head)
            })
            .buffered(self.options.concurrency);
        while let Some((key, epoch, slot, head)) = read.next().await {
            self.progress.add(1);
            self.counts.fences += 1;
            let (problem, detail) = match head.as_deref().map(LogHeader::decode) {
                Ok(Ok(header)) => {
                    let own = (header.epoch.0, header.slot.0, header.cluster) == (epoch, slot, cluster);
                    if header.kind == Kind::Fence && own {
                        continue;
                    }
                    (Problem::Corrupt, "it is another object than the fence that was there".to_owned())
                }
                Ok(Err(error)) => (Problem::Corrupt, error.to_string()),
                Err(error) if error.kind == ErrorKind::NotFound => {
                    (Problem::Missing, "it is not there".to_owned())
                }
                Err(error) if error.kind == ErrorKind::OutOfRange => {
                    (Problem::Corrupt, "it is empty".to_owned())
                }
                Err(error) => return Err(error.clone().into()),
            };
            let detail = format!("{detail}: a writer of epoch {epoch} that was paused could go on");
            self.found(Finding::damage(problem, key, Part::Fence, detail));
        }
        Ok(())
    }
}
