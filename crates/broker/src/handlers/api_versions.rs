//! ApiVersions, and which versions of which API are served.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

/// An API with the versions of it that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Which API.
    pub api: ApiKey,
    /// The oldest version that is advertised.
    pub advertised: i16,
    /// The oldest version that is answered.
    pub oldest: i16,
    /// The newest version.
    pub newest: i16,
}

const fn from(api: ApiKey, oldest: i16, newest: i16) -> Served {
    Served { api, advertised: oldest, oldest, newest }
}

/// Every API that is served, by key.
pub const SERVED: [Served; 9] = [
    // Clients built on librdkafka before 2.10 take a Produce that begins at 3 for one that lacks older formats,
    // so 0 is advertised, as by Kafka (KAFKA-18659).
    Served { api: ApiKey::Produce, advertised: 0, oldest: 3, newest: 13 },
    from(ApiKey::Fetch, 4, 18),
    from(ApiKey::ListOffsets, 1, 10),
    from(ApiKey::Metadata, 0, 13),
    from(ApiKey::FindCoordinator, 0, 6),
    from(ApiKey::ApiVersions, 0, 4),
    from(ApiKey::CreateTopics, 2, 7),
    from(ApiKey::DeleteTopics, 1, 6),
    from(ApiKey::InitProducerId, 0, 5),
];

/// Whether this version of an API is answered.
#[must_use]
pub fn served(api: i16, version: i16) -> Option<ApiKey> {
    let entry = SERVED.iter().find(|served| served.api as i16 == api)?;
    (entry.oldest..=entry.newest).contains(&version).then_some(entry.api)
}

/// The answer, and the version it is to be written in: a client whose version is too new is told what there is
/// in version 0, which every client can read (KIP-511).
pub fn answer(version: i16) -> (i16, ApiVersionsResponse) {
    let keys = SERVED.iter().map(|served| {
        ApiVersion::default()
            .with_api_key(served.api as i16)
            .with_min_version(served.advertised)
            .with_max_version(served.newest)
    });
    let response = ApiVersionsResponse::default().with_api_keys(keys.collect());
    if served(ApiKey::ApiVersions as i16, version).is_some() {
        (version, response)
    } else {
        (0, response.with_error_code(ResponseError::UnsupportedVersion.code()))
    }
}
