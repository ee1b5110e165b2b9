//! Offsets that nothing needs any more are deleted, and groups that have neither members nor offsets with them.

use super::GroupShard;
use super::offsets::tombstone;
use crate::context::Context;
use crate::effects::Effects;
use crate::schema::group::{OffsetCommitKey, OffsetCommitValue};
use std::sync::Arc;

/// From when on the retention of a group's offsets counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiration {
    /// It doesn't: they are in use.
    Never,
    /// From each one's commit.
    SinceCommit,
    /// From when the group lost its last member, in Unix milliseconds.
    Since(i64),
}

impl Expiration {
    /// Whether an offset is to go. Where its client asked for a retention of its own, that is what counts.
    fn is_over(self, value: &OffsetCommitValue, wall_ms: i64, retention_ms: i64) -> bool {
        let since_ms = match self {
            Self::Never => return false,
            Self::SinceCommit => value.commit_timestamp_ms,
            Self::Since(since_ms) => since_ms,
        };
        match value.expire_timestamp_ms {
            Some(expire_ms) => wall_ms >= expire_ms,
            None => wall_ms.saturating_sub(since_ms) >= retention_ms,
        }
    }
}

impl GroupShard {
    /// Deletes what nothing needs any more.
    pub(super) fn expire(&mut self, ctx: Context<'_>) -> Effects {
        let wall_ms = ctx.time.wall_ms;
        self.offsets.producers.expire(wall_ms);
        let mut records = Vec::new();
        let mut unused = Vec::new();
        let ids: Vec<Arc<str>> = self.groups.keys().map(Arc::clone).collect();
        for id in ids {
            for key in self.expired_offsets(&id, wall_ms) {
                self.offsets.delete(&key);
                records.push(tombstone(&key));
            }
            let has_offsets = self.offsets.of_group(&id).next().is_some() || self.offsets.has_pending(&id);
            if let Some(group) = self.groups.get(&id).filter(|group| group.is_empty() && !has_offsets) {
                records.extend(group.tombstones());
                unused.push(id);
            }
        }
        if !records.is_empty() {
            tracing::info!(tombstones = records.len(), groups = unused.len(), "offsets and groups expire");
        }
        let (_, mut turn) = self.turn(ctx);
        turn.append_in_batches(records);
        let effects = turn.effects;
        for id in unused {
            self.forget_group(ctx, &id);
        }
        effects
    }

    fn expired_offsets(&self, id: &str, wall_ms: i64) -> Vec<OffsetCommitKey> {
        let Some((id, group)) = self.groups.get_key_value(id) else { return Vec::new() };
        let retention_ms = i64::try_from(self.options.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let expiration = group.expiration();
        let mut expired = Vec::new();
        for (topic, partitions) in self.offsets.of_group(id) {
            if expiration == Expiration::Never || group.is_subscribed_to(topic) {
                continue;
            }
            for (partition, committed) in partitions {
                if expiration.is_over(&committed.value, wall_ms, retention_ms)
                    && !self.offsets.is_pending(id, topic, *partition)
                {
                    let (group, topic) = (Arc::clone(id), Arc::clone(topic));
                    expired.push(OffsetCommitKey { group, topic, partition: *partition });
                }
            }
        }
        expired
    }
}
