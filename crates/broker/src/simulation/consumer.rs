//! A consumer that commits its offsets without being in its group, and those who look what was committed.

use super::broker::Broker;
use super::{STEADY, STEADY_PARTITIONS};
use crate::errors::Code;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest, ResponseKind};
use kafka_protocol::protocol::StrBytes;

/// Alone in its group.
#[derive(Debug)]
pub(super) struct Consumer {
    group: String,
    last_offset: i64,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Whether a client tries again after a code of a coordinator.
fn is_passing(code: i16) -> bool {
    let codes = [
        Code::CoordinatorLoadInProgress,
        Code::CoordinatorNotAvailable,
        Code::NotCoordinator,
        Code::UnknownTopicOrPartition,
        Code::UnstableOffsetCommit,
    ];
    codes.iter().any(|passing| passing.code() == code)
}

impl Consumer {
    pub(super) fn new(group: String) -> Self {
        Self { group, last_offset: 0 }
    }

    /// Commits larger offsets than before.
    pub(super) async fn commit(&mut self, broker: &Broker) {
        let mut offsets = Vec::new();
        {
            let mut ledger = broker.world.judge.ledger.lock().unwrap();
            for partition in 0..STEADY_PARTITIONS.cast_signed() {
                if broker.random.chance(0.5) {
                    self.last_offset += 1;
                    ledger.transactions.sends(&self.group, partition, self.last_offset, None);
                    offsets.push((partition, self.last_offset));
                }
            }
        }
        let partitions = offsets.iter().map(|(partition, offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(text(STEADY).into())
            .with_partitions(partitions.collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(text(&self.group).into())
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let answer = broker.coordinate(9, request.into()).await;
        let Some(ResponseKind::OffsetCommit(answer)) = answer else { return };
        let mut ledger = broker.world.judge.ledger.lock().unwrap();
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let sent = offsets.iter().find(|(index, _)| *index == partition.partition_index);
            let (index, offset) = sent.expect("it was asked for");
            match partition.error_code {
                0 => ledger.transactions.taken(&self.group, *index, *offset),
                code => assert!(is_passing(code) || !broker.is_current(), "{}: {code}", self.group),
            }
        }
    }
}

/// Compares what a group has committed with what its clients know. Whether the broker told.
pub(super) async fn fetch_offsets(broker: &Broker, group: &str, stable: bool) -> bool {
    let partitions: Vec<i32> = (0..STEADY_PARTITIONS.cast_signed()).collect();
    let least: Vec<i64> = {
        let ledger = broker.world.judge.ledger.lock().unwrap();
        partitions.iter().map(|index| ledger.transactions.least(group, *index, stable)).collect()
    };
    let topic =
        OffsetFetchRequestTopics::default().with_name(text(STEADY).into()).with_partition_indexes(partitions);
    let asked =
        OffsetFetchRequestGroup::default().with_group_id(text(group).into()).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]).with_require_stable(stable);
    let answer = broker.coordinate(9, request.into()).await;
    let Some(ResponseKind::OffsetFetch(mut answer)) = answer else { return false };
    let is_current = broker.is_current();
    let answer = answer.groups.swap_remove(0);
    if answer.error_code != 0 {
        assert!(is_passing(answer.error_code) || !is_current, "{group}: {}", answer.error_code);
        return false;
    }
    let mut told = true;
    for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        let index = partition.partition_index;
        if partition.error_code != 0 {
            assert!(is_passing(partition.error_code), "{group}: {}", partition.error_code);
            told = false;
            continue;
        }
        // What one knows that was taken for gone is old.
        let least = if is_current { least[index as usize] } else { -1 };
        let mut ledger = broker.world.judge.ledger.lock().unwrap();
        let shown = ledger.transactions.shown(group, index, partition.committed_offset, least);
        shown.unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    told
}
