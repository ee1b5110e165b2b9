//! ApiVersions: what is served here. The one table that says so.

use crate::errors::{Code, NONE};
use crate::wire::{fetch, offsets_by_id, produce, txn_markers};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

/// What is served: the API, and its first and last version. Lists only what works; the last versions are those of
/// Apache Kafka 4.3, or of the kafka-protocol crate where it is behind (ListOffsets 11).
const SERVED: [(ApiKey, i16, i16); 30] = [
    (ApiKey::Produce, *produce::VERSIONS.start(), *produce::VERSIONS.end()),
    (ApiKey::Fetch, *fetch::VERSIONS.start(), *fetch::VERSIONS.end()),
    (ApiKey::ListOffsets, 1, 10),
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
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
];

/// Produce is advertised from version 0 on, though served from 3: librdkafka takes a broker without it for one that
/// can't do record batches, and disables compression and idempotence (KAFKA-18659).
const PRODUCE_ADVERTISED_FROM: i16 = 0;

/// Whether this version of an API is served.
#[must_use]
pub fn serves(api: ApiKey, version: i16) -> bool {
    SERVED.iter().any(|&(served, first, last)| served == api && (first..=last).contains(&version))
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
    ApiVersionsResponse::default()
        .with_error_code(NONE)
        .with_api_keys(SERVED.iter().map(advertised).collect())
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
                assert!(
                    (crates.min..=crates.max).contains(&version) && message.versions.contain(version),
                    "{api:?}"
                );
            }
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
