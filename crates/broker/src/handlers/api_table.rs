//! Every API of Kafka 4.3, and why what Levee doesn't serve of it is left out. `docs/kafka-apis.md` is made of this and
//! of [`api_versions::SERVED`]: who serves an API adds it there and takes its reason away here.

use super::api_versions;
use std::fmt::Write;

/// What of an API is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// All versions that Kafka serves are served.
    Nothing,
    /// It comes later.
    Later(&'static str),
    /// It has no place here.
    Never(&'static str),
}

const REMOVED: Left = Left::Never("Kafka's brokers had it among themselves, and have it no more");
const CONTROLLER: Left = Left::Never("between brokers and KRaft controllers, and not served to clients");
const KRAFT: Left =
    Left::Never("about Kafka's own quorum of controllers; Levee's metadata lies in the store");
const ONE_DIRECTORY: Left =
    Left::Never("moves partitions between a broker's disks; there is one place, the store");
const REASSIGNMENT: Left =
    Left::Later("a partition moves when there are several brokers; replication is the store's");
const SHARE_STATE: Left =
    Left::Later("between brokers, about the state of share groups, which are not there yet");
const SHARE_GROUPS: Left = Left::Later("share groups (KIP-932) are not there yet");
const STREAMS_GROUPS: Left =
    Left::Later("streams groups (KIP-1071) are not there yet; Kafka Streams uses consumer groups");
const SASL: Left = Left::Later("authentication is not there yet");
const SCRAM: Left = Left::Later("credentials come with authentication");
const TOKENS: Left = Left::Later("delegation tokens come with authentication");
const ACLS: Left = Left::Later("authorization is not there yet");
const QUOTAS: Left = Left::Later("quotas come with authentication, as they are users'");
const TELEMETRY: Left =
    Left::Later("nobody collects clients' metrics (KIP-714); Kafka serves it with a plugin only");

/// An API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    /// Its key on the wire.
    pub key: i16,
    /// Its name.
    pub name: &'static str,
    /// The first and the last version that a broker of Apache Kafka 4.3 advertises, if it does.
    pub kafka: Option<(i16, i16)>,
    /// What of that Levee doesn't serve.
    pub left: Left,
}

const fn api(key: i16, name: &'static str, kafka: Option<(i16, i16)>, left: Left) -> Api {
    Api { key, name, kafka, left }
}

/// All there are, by key.
#[rustfmt::skip]
pub const ALL: [Api; 93] = [
    api(0, "Produce", Some((0, 13)), Left::Nothing),
    api(1, "Fetch", Some((4, 18)), Left::Nothing),
    api(2, "ListOffsets", Some((1, 11)), Left::Nothing),
    api(3, "Metadata", Some((0, 13)), Left::Nothing),
    api(4, "LeaderAndIsr", None, REMOVED),
    api(5, "StopReplica", None, REMOVED),
    api(6, "UpdateMetadata", None, REMOVED),
    api(7, "ControlledShutdown", None, REMOVED),
    api(8, "OffsetCommit", Some((2, 10)), Left::Nothing),
    api(9, "OffsetFetch", Some((1, 10)), Left::Nothing),
    api(10, "FindCoordinator", Some((0, 6)), Left::Nothing),
    api(11, "JoinGroup", Some((0, 9)), Left::Nothing),
    api(12, "Heartbeat", Some((0, 4)), Left::Nothing),
    api(13, "LeaveGroup", Some((0, 5)), Left::Nothing),
    api(14, "SyncGroup", Some((0, 5)), Left::Nothing),
    api(15, "DescribeGroups", Some((0, 6)), Left::Nothing),
    api(16, "ListGroups", Some((0, 5)), Left::Nothing),
    api(17, "SaslHandshake", Some((0, 1)), SASL),
    api(18, "ApiVersions", Some((0, 4)), Left::Nothing),
    api(19, "CreateTopics", Some((2, 7)), Left::Nothing),
    api(20, "DeleteTopics", Some((1, 6)), Left::Nothing),
    api(21, "DeleteRecords", Some((0, 2)), Left::Nothing),
    api(22, "InitProducerId", Some((0, 5)), Left::Nothing),
    api(23, "OffsetForLeaderEpoch", Some((2, 4)), Left::Nothing),
    api(24, "AddPartitionsToTxn", Some((0, 5)), Left::Nothing),
    api(25, "AddOffsetsToTxn", Some((0, 4)), Left::Nothing),
    api(26, "EndTxn", Some((0, 5)), Left::Nothing),
    api(27, "WriteTxnMarkers", Some((1, 2)), Left::Nothing),
    api(28, "TxnOffsetCommit", Some((0, 5)), Left::Nothing),
    api(29, "DescribeAcls", Some((1, 3)), ACLS),
    api(30, "CreateAcls", Some((1, 3)), ACLS),
    api(31, "DeleteAcls", Some((1, 3)), ACLS),
    api(32, "DescribeConfigs", Some((1, 4)), Left::Nothing),
    api(33, "AlterConfigs", Some((0, 2)), Left::Nothing),
    api(34, "AlterReplicaLogDirs", Some((1, 2)), ONE_DIRECTORY),
    api(35, "DescribeLogDirs", Some((1, 5)), Left::Nothing),
    api(36, "SaslAuthenticate", Some((0, 2)), SASL),
    api(37, "CreatePartitions", Some((0, 3)), Left::Nothing),
    api(38, "CreateDelegationToken", Some((1, 3)), TOKENS),
    api(39, "RenewDelegationToken", Some((1, 2)), TOKENS),
    api(40, "ExpireDelegationToken", Some((1, 2)), TOKENS),
    api(41, "DescribeDelegationToken", Some((1, 3)), TOKENS),
    api(42, "DeleteGroups", Some((0, 2)), Left::Nothing),
    api(43, "ElectLeaders", Some((0, 2)), Left::Nothing),
    api(44, "IncrementalAlterConfigs", Some((0, 1)), Left::Nothing),
    api(45, "AlterPartitionReassignments", Some((0, 1)), REASSIGNMENT),
    api(46, "ListPartitionReassignments", Some((0, 0)), REASSIGNMENT),
    api(47, "OffsetDelete", Some((0, 0)), Left::Nothing),
    api(48, "DescribeClientQuotas", Some((0, 1)), QUOTAS),
    api(49, "AlterClientQuotas", Some((0, 1)), QUOTAS),
    api(50, "DescribeUserScramCredentials", Some((0, 0)), SCRAM),
    api(51, "AlterUserScramCredentials", Some((0, 0)), SCRAM),
    api(52, "Vote", None, CONTROLLER),
    api(53, "BeginQuorumEpoch", None, CONTROLLER),
    api(54, "EndQuorumEpoch", None, CONTROLLER),
    api(55, "DescribeQuorum", Some((0, 2)), KRAFT),
    api(56, "AlterPartition", None, CONTROLLER),
    api(57, "UpdateFeatures", Some((0, 2)), Left::Nothing),
    api(58, "Envelope", None, CONTROLLER),
    api(59, "FetchSnapshot", None, CONTROLLER),
    api(60, "DescribeCluster", Some((0, 2)), Left::Nothing),
    api(61, "DescribeProducers", Some((0, 0)), Left::Nothing),
    api(62, "BrokerRegistration", None, CONTROLLER),
    api(63, "BrokerHeartbeat", None, CONTROLLER),
    api(64, "UnregisterBroker", Some((0, 0)), KRAFT),
    api(65, "DescribeTransactions", Some((0, 0)), Left::Nothing),
    api(66, "ListTransactions", Some((0, 2)), Left::Nothing),
    api(67, "AllocateProducerIds", None, CONTROLLER),
    api(68, "ConsumerGroupHeartbeat", Some((0, 1)), Left::Nothing),
    api(69, "ConsumerGroupDescribe", Some((0, 1)), Left::Nothing),
    api(70, "ControllerRegistration", None, CONTROLLER),
    api(71, "GetTelemetrySubscriptions", None, TELEMETRY),
    api(72, "PushTelemetry", None, TELEMETRY),
    api(73, "AssignReplicasToDirs", None, CONTROLLER),
    api(74, "ListConfigResources", Some((0, 1)), Left::Nothing),
    api(75, "DescribeTopicPartitions", Some((0, 0)), Left::Nothing),
    api(76, "ShareGroupHeartbeat", Some((1, 1)), SHARE_GROUPS),
    api(77, "ShareGroupDescribe", Some((1, 1)), SHARE_GROUPS),
    api(78, "ShareFetch", Some((1, 2)), SHARE_GROUPS),
    api(79, "ShareAcknowledge", Some((1, 2)), SHARE_GROUPS),
    api(80, "AddRaftVoter", Some((0, 1)), KRAFT),
    api(81, "RemoveRaftVoter", Some((0, 0)), KRAFT),
    api(82, "UpdateRaftVoter", None, CONTROLLER),
    api(83, "InitializeShareGroupState", Some((0, 0)), SHARE_STATE),
    api(84, "ReadShareGroupState", Some((0, 0)), SHARE_STATE),
    api(85, "WriteShareGroupState", Some((0, 1)), SHARE_STATE),
    api(86, "DeleteShareGroupState", Some((0, 0)), SHARE_STATE),
    api(87, "ReadShareGroupStateSummary", Some((0, 1)), SHARE_STATE),
    api(88, "StreamsGroupHeartbeat", Some((0, 0)), STREAMS_GROUPS),
    api(89, "StreamsGroupDescribe", Some((0, 0)), STREAMS_GROUPS),
    api(90, "DescribeShareGroupOffsets", Some((0, 1)), SHARE_GROUPS),
    api(91, "AlterShareGroupOffsets", Some((0, 0)), SHARE_GROUPS),
    api(92, "DeleteShareGroupOffsets", Some((0, 0)), SHARE_GROUPS),
];

/// The page of it all, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(HEAD);
    let range = |range: Option<(i16, i16)>| match range {
        None => "none".to_owned(),
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first} to {last}"),
    };
    for Api { key, name, kafka, left } in ALL {
        let (when, why) = match left {
            Left::Nothing => ("", ""),
            Left::Later(why) => ("later: ", why),
            Left::Never(why) => ("never: ", why),
        };
        let (kafka, here) = (range(kafka), range(api_versions::advertised_range(key)));
        writeln!(page, "| {key} | {name} | {kafka} | {here} | {when}{why} |").expect("a string takes all");
    }
    page
}

const HEAD: &str = "\
# Kafka's APIs

Every API of Apache Kafka 4.3, the versions that its brokers advertise to clients, those that Levee does, and why not
more. Made from `crates/broker/src/handlers/api_table.rs`; `e2e/api-table` asks a stock Kafka and a Levee, and fails on a
version that the one serves and the other neither serves nor leaves out with a reason.

| key | API | Kafka 4.3 | Levee | what is left out |
|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_kafka_serves_is_served_or_left_out_for_a_reason() {
        for (key, api) in (0..).zip(ALL) {
            let (name, here) = (api.name, api_versions::advertised_range(key));
            assert_eq!(api.key, key, "{name}");
            match (api.kafka, here) {
                (Some(kafka), Some(here)) => {
                    assert!(
                        kafka.0 <= here.0 && here.1 <= kafka.1,
                        "{name}: Kafka doesn't serve all of {here:?}"
                    );
                    let whole = kafka == here;
                    assert_eq!(
                        whole,
                        api.left == Left::Nothing,
                        "{name}: {kafka:?} and {here:?}: see `left`"
                    );
                }
                (None, Some(_)) => panic!("{name} is not Kafka's"),
                (_, None) => assert_ne!(api.left, Left::Nothing, "{name} is left out without a reason"),
            }
        }
    }

    /// `UPDATE_DOCS=1 cargo test -p levee-broker api_table` writes the page anew.
    #[test]
    fn the_docs_are_in_step() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kafka-apis.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap_or_default(),
            page(),
            "docs/kafka-apis.md is out of date"
        );
    }
}
