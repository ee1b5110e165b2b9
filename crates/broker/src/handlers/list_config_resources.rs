//! ListConfigResources, which was ListClientMetricsResources in version 0 (KIP-1142).

use super::backend::Backend;
use super::resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::errors::Code;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

/// All kinds of resources that can be listed.
const KINDS: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// Answers a request.
#[must_use]
pub fn handle<B: Backend>(
    backend: &B,
    request: &ListConfigResourcesRequest,
    version: i16,
) -> ListConfigResourcesResponse {
    let asked = &request.resource_types;
    if version > 0 && asked.iter().any(|kind| !KINDS.contains(kind)) {
        return ListConfigResourcesResponse::default().with_error_code(Code::UnsupportedVersion.code());
    }
    let wanted = |kind: &i8| match version {
        0 => *kind == CLIENT_METRICS,
        _ => asked.is_empty() || asked.contains(kind),
    };
    let resources = KINDS.into_iter().filter(wanted).flat_map(|kind| {
        let brokers = || backend.brokers().into_iter().map(|broker| broker.id.to_string());
        let names: Vec<String> = match kind {
            TOPIC => backend.topics().iter().map(|topic| topic.name.to_string()).collect(),
            BROKER => {
                backend.resources(BROKER).into_iter().filter(String::is_empty).chain(brokers()).collect()
            }
            BROKER_LOGGER => brokers().collect(),
            kind => backend.resources(kind),
        };
        names.into_iter().map(move |name| {
            ConfigResource::default().with_resource_name(name.into()).with_resource_type(kind)
        })
    });
    ListConfigResourcesResponse::default().with_config_resources(resources.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use std::collections::{BTreeMap, BTreeSet};

    fn ask(backend: &Memory, kinds: &[i8], version: i16) -> (i16, Vec<(i8, String)>) {
        let request = ListConfigResourcesRequest::default().with_resource_types(kinds.to_vec());
        let response = handle(backend, &request, version);
        response.encode(&mut BytesMut::new(), version).unwrap();
        let told = response.config_resources.iter();
        (response.error_code, told.map(|one| (one.resource_type, one.resource_name.to_string())).collect())
    }

    #[tokio::test]
    async fn what_has_configurations_is_listed_by_kind() {
        let backend = Memory::default().with("t", 1).await;
        for (kind, name) in [(GROUP, "g"), (CLIENT_METRICS, "m"), (CLIENT_METRICS, "n"), (BROKER, "1")] {
            let set = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
            backend.alter_resource(kind, name, set, BTreeSet::new()).await.unwrap();
        }
        let told = |told: &[(i8, &str)]| {
            (0, told.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect::<Vec<_>>())
        };
        let all = told(&[(2, "t"), (4, "1"), (8, "1"), (16, "m"), (16, "n"), (32, "g")]);
        assert_eq!(ask(&backend, &[], 1), all);
        assert_eq!(ask(&backend, &[32, 16, 8, 4, 2, 2], 1), all);
        assert_eq!(ask(&backend, &[GROUP], 1), told(&[(32, "g")]));
        assert_eq!(
            ask(&backend, &[], 0),
            told(&[(16, "m"), (16, "n")]),
            "clients' metrics, and nothing else"
        );
        let set = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        backend.alter_resource(BROKER, "", set, BTreeSet::new()).await.unwrap();
        assert_eq!(ask(&backend, &[BROKER], 1), told(&[(4, ""), (4, "1")]));
        for unknown in [0, 1, 3, 64, -1] {
            assert_eq!(ask(&backend, &[TOPIC, unknown], 1), (Code::UnsupportedVersion.code(), vec![]));
        }
    }
}
