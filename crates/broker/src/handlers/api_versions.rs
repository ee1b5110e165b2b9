//! ApiVersions: what is served here. The one table that says so; what is not, and why, is in `api_table`.

use crate::errors::{Code, NONE};
use crate::wire::{fetch, log_dirs, offsets_by_id, produce, txn_markers};
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

/// What is served: the API, and its first and last version. Lists only what works; the last versions are those of
/// Apache Kafka 4.3.
const SERVED: [(ApiKey, i16, i16); 41] = [
    (ApiKey::Produce, *produce::VERSIONS.start(), *produce::VERSIONS.end()),
    (ApiKey::Fetch, *fetch::VERSIONS.start(), *fetch::VERSIONS.end()),
    (ApiKey::ListOffsets, 1, 11),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, offsets_by_id::VERSION),
    (ApiKey::OffsetFetch, 1, offsets_by_id::VERSION),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::AddPartitionsToTxn, 0, 5),
    (ApiKey::AddOffsetsToTxn, 0, 4),
    (ApiKey::EndTxn, 0, 5),
    (ApiKey::WriteTxnMarkers, *txn_markers::VERSIONS.start(), *txn_markers::VERSIONS.end()),
    (ApiKey::TxnOffsetCommit, 0, 5),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 0, 2),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DescribeLogDirs, *log_dirs::VERSIONS.start(), *log_dirs::VERSIONS.end()),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::ElectLeaders, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::UpdateFeatures, 0, 2),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
    (ApiKey::ListConfigResources, 0, 1),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

/// A feature (KIP-584): what clients may count on, at the one level that there is of it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Its name in Kafka.
    pub name: &'static str,
    /// At which level it is finalized, which is also the first and the last one that is supported.
    pub level: i16,
}

/// All features. `group.version` 1 is the consumer group protocol of KIP-848; `metadata.version` 30 stands for what
/// clients see of Kafka 4.3, by which tools tell a cluster's version; `transaction.version` 2 is that of KIP-890, which
/// producers use where it is finalized. Kafka's others are not Levee's: `kraft.version` is about its own quorum,
/// `eligible.leader.replicas.version` about replicas, `share.version` and `streams.version` about groups that are not
/// served.
pub const FEATURES: [Feature; 3] = [
    Feature { name: "group.version", level: 1 },
    Feature { name: "metadata.version", level: 30 },
    Feature { name: "transaction.version", level: 2 },
];

/// Which edition of [`FEATURES`] it is: goes up with each change of them, as clients keep the newest.
const FEATURES_EPOCH: i64 = 1;
/// The first version that tells of features.
const FEATURES_FROM: i16 = 3;

/// ListOffsets 11 (KIP-1023) asks one question more in the bytes of version 10, which is the last that the kafka-protocol
/// crate knows.
const LIST_OFFSETS_ON_THE_WIRE: i16 = 10;

/// The version whose bytes a version of an API's request has, for the kafka-protocol crate.
#[must_use]
pub fn on_the_wire(api: ApiKey, version: i16) -> i16 {
    match api {
        ApiKey::ListOffsets => version.min(LIST_OFFSETS_ON_THE_WIRE),
        ApiKey::DescribeLogDirs => version.min(log_dirs::REQUEST_VERSION),
        _ => version,
    }
}

/// Produce is advertised from version 0 on, though served from 3: librdkafka takes a broker without it for one that
/// can't do record batches, and disables compression and idempotence (KAFKA-18659).
const PRODUCE_ADVERTISED_FROM: i16 = 0;

/// Whether this version of an API is served.
#[must_use]
pub fn serves(api: ApiKey, version: i16) -> bool {
    SERVED.iter().any(|&(served, first, last)| served == api && (first..=last).contains(&version))
}

/// The first and the last version that is told of an API, if it is served.
#[must_use]
pub fn advertised_range(key: i16) -> Option<(i16, i16)> {
    let served = SERVED.iter().find(|(api, ..)| *api as i16 == key)?;
    let told = advertised(served);
    Some((told.min_version, told.max_version))
}

fn advertised(&(api, first, last): &(ApiKey, i16, i16)) -> ApiVersion {
    let first = if api == ApiKey::Produce { PRODUCE_ADVERTISED_FROM } else { first };
    ApiVersion::default().with_api_key(api as i16).with_min_version(first).with_max_version(last)
}

/// Answers a request of a version that is served.
#[must_use]
pub fn handle(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let named = is_name(&request.client_software_name) && is_name(&request.client_software_version);
    if version >= 3 && !named {
        return ApiVersionsResponse::default().with_error_code(Code::InvalidRequest.code());
    }
    let response = ApiVersionsResponse::default()
        .with_error_code(NONE)
        .with_api_keys(SERVED.iter().map(advertised).collect());
    if version < FEATURES_FROM {
        return response;
    }
    let supported = FEATURES.iter().map(|feature| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version(feature.level)
            .with_max_version(feature.level)
    });
    let finalized = FEATURES.iter().map(|feature| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version_level(feature.level)
            .with_max_version_level(feature.level)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features(finalized.collect())
        .with_finalized_features_epoch(FEATURES_EPOCH)
}

/// Answers, in version 0, a request of a version that is not known: with the versions of this API (KIP-511).
#[must_use]
pub fn unsupported() -> ApiVersionsResponse {
    let own = SERVED.iter().filter(|(api, ..)| *api == ApiKey::ApiVersions).map(advertised).collect();
    ApiVersionsResponse::default().with_error_code(Code::UnsupportedVersion.code()).with_api_keys(own)
}

/// The rule for a client's name and version (KIP-511): letters, digits, '-' and '.', the latter not at the ends.
fn is_name(name: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn produce_is_advertised_from_0_and_served_from_3() {
        let response = handle(&ApiVersionsRequest::default(), 0);
        let produce = &response.api_keys[0];
        assert_eq!((produce.api_key, produce.min_version, produce.max_version), (0, 0, 13));
        assert!(!serves(ApiKey::Produce, 2) && serves(ApiKey::Produce, 3) && !serves(ApiKey::Produce, 14));
    }

    #[test]
    fn everything_served_is_known_to_the_crate_and_the_guard() {
        for (api, first, last) in SERVED {
            let crates = api.valid_versions();
            let message = crate::wire::guard::message(api as i16).unwrap();
            for version in first..=last {
                // These are decoded by hand in versions that the crate lacks.
                let by_hand = match api {
                    ApiKey::OffsetCommit | ApiKey::OffsetFetch => version == offsets_by_id::VERSION,
                    ApiKey::WriteTxnMarkers => true,
                    _ => false,
                };
                let known = by_hand || (crates.min..=crates.max).contains(&on_the_wire(api, version));
                assert!(known && message.versions.contain(version), "{api:?}");
            }
        }
    }

    #[test]
    fn features_are_told_from_version_3_on() {
        let request = ApiVersionsRequest::default()
            .with_client_software_name("a".into())
            .with_client_software_version("1".into());
        for version in 0..=4 {
            let response = handle(&request, version);
            response.encode(&mut BytesMut::new(), version).unwrap();
            let finalized = response.finalized_features.iter();
            let told: Vec<_> = finalized.map(|one| (&*one.name, one.max_version_level)).collect();
            if version < 3 {
                assert_eq!((told.len(), response.finalized_features_epoch), (0, -1));
                continue;
            }
            assert_eq!(told, [("group.version", 1), ("metadata.version", 30), ("transaction.version", 2)]);
            let supported = response.supported_features.iter();
            // Version 3 may not tell of those that begin at 0.
            assert!(supported.clone().count() == 3 && supported.clone().all(|one| one.min_version > 0));
            assert!(response.finalized_features_epoch >= 0, "or clients take them for unknown");
        }
    }

    #[test]
    fn clients_must_be_named_from_version_3_on() {
        let named = |name: &'static str, number: &'static str| {
            ApiVersionsRequest::default()
                .with_client_software_name(name.into())
                .with_client_software_version(number.into())
        };
        assert_eq!(handle(&named("librdkafka", "v2.0.2"), 3).error_code, NONE);
        for (name, number) in [("", "1"), ("a", ""), ("-a", "1"), ("a b", "1"), ("a", "1.")] {
            assert_eq!(handle(&named(name, number), 3).error_code, Code::InvalidRequest.code());
            assert_eq!(handle(&named(name, number), 2).error_code, NONE);
        }
    }

    #[test]
    fn an_unknown_version_is_told_the_known_ones() {
        let response = unsupported();
        assert_eq!(response.error_code, 35);
        assert_eq!(response.api_keys.len(), 1);
        assert_eq!((response.api_keys[0].api_key, response.api_keys[0].max_version), (18, 4));
    }
}
