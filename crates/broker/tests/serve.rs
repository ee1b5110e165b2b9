//! The handlers behind a real socket: over the crate's client side, and, where it is installed, with kcat.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DescribeProducersRequest, DescribeProducersResponse, FetchRequest, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceResponse as TheirProduceResponse, RequestHeader, RequestKind,
    ResponseKind,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use levee_base::{Clock, Slot};
use levee_broker::coordinators::{Marker, Unwritten};
use levee_broker::handlers::Handlers;
use levee_broker::handlers::backend::{Backend, BackendError, Broker, Defaults, NewTopic, Partition, Topic};
use levee_broker::handlers::coordination::Coordination;
use levee_broker::handlers::records::Records;
use levee_broker::net::Listener;
use levee_broker::partition::PartitionLog;
use levee_broker::wire::fetch::FetchResponse;
use levee_broker::wire::produce::{PartitionResponse, ProduceRequest, ProduceResponse, TopicResponse};
use levee_coordinator::Client;
use levee_coordinator::refusal::refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use uuid::Uuid;

/// One broker with one topic, which never changes.
struct Fixed(SocketAddr);

impl Backend for Fixed {
    fn cluster_id(&self) -> Uuid {
        Uuid::from_u128(1)
    }
    fn controller_id(&self) -> i32 {
        1
    }
    fn brokers(&self) -> Vec<Broker> {
        vec![Broker { id: 1, host: self.0.ip().to_string(), port: self.0.port() }]
    }
    fn topics(&self) -> Vec<Topic> {
        let partitions = vec![Partition { leader: Some(1), leader_epoch: 0 }; 3];
        vec![Topic { name: "flights".into(), id: Uuid::from_u128(2), partitions }]
    }
    fn topic(&self, name: &str) -> Option<Topic> {
        self.topics().into_iter().find(|topic| &*topic.name == name)
    }
    fn topic_by_id(&self, id: Uuid) -> Option<Topic> {
        self.topics().into_iter().find(|topic| topic.id == id)
    }
    fn defaults(&self) -> Defaults {
        Defaults { partitions: 1, replication_factor: 1, auto_create: false }
    }
    async fn create_topic(&self, _: NewTopic) -> Result<Topic, BackendError> {
        Err(BackendError::Unavailable("fixed".into()))
    }
    fn node_id(&self) -> i32 {
        1
    }
    fn topic_configs(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.topic(name).map(|_| BTreeMap::new())
    }
    fn broker_configs(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::new()
    }
    async fn alter_topic(
        &self,
        _: Uuid,
        _: BTreeMap<String, String>,
        _: BTreeSet<String>,
    ) -> Result<(), BackendError> {
        Err(BackendError::Unavailable("fixed".into()))
    }
    async fn add_partitions(&self, _: Uuid, _: u32) -> Result<(), BackendError> {
        Err(BackendError::Unavailable("fixed".into()))
    }
    fn sizes(&self, _: &str) -> Vec<u64> {
        vec![0; 3]
    }
    fn location(&self) -> String {
        "fixed".into()
    }
    fn resource_configs(&self, _: i8, _: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
    fn resources(&self, _: i8) -> Vec<String> {
        Vec::new()
    }
    async fn alter_resource(
        &self,
        _: i8,
        _: &str,
        _: BTreeMap<String, String>,
        _: BTreeSet<String>,
    ) -> Result<(), BackendError> {
        Err(BackendError::Unavailable("fixed".into()))
    }
    async fn delete_topic(&self, _: Uuid) -> Result<(), BackendError> {
        Err(BackendError::Unavailable("fixed".into()))
    }
    async fn producer_id(&self) -> Result<i64, BackendError> {
        Err(BackendError::Unavailable("fixed".into()))
    }
}

/// Answers each partition with the length of its records for an offset; -1 where there are none is an error.
struct Lengths;

impl Records for Lengths {
    async fn produce(&self, request: ProduceRequest<'_>, _: i16) -> BoxFuture<'static, ProduceResponse> {
        let topics = request.topics.iter().map(|topic| TopicResponse {
            topic: topic.topic.into(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| match &partition.records {
                    Some(records) => PartitionResponse {
                        base_offset: records.len() as i64,
                        ..PartitionResponse::error(partition.index, 0, None)
                    },
                    None => PartitionResponse::error(partition.index, 87, None),
                })
                .collect(),
        });
        let response = ProduceResponse { topics: topics.collect(), ..Default::default() };
        Box::pin(async { response })
    }
    async fn fetch(&self, _: FetchRequest, _: i16) -> FetchResponse {
        FetchResponse::default()
    }
    async fn list_offsets(&self, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
        ListOffsetsResponse::default().with_throttle_time_ms(request.timeout_ms + i32::from(version))
    }
    async fn offset_for_leader_epoch(&self, _: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        OffsetForLeaderEpochResponse::default()
    }
    async fn describe_producers(&self, _: DescribeProducersRequest) -> DescribeProducersResponse {
        DescribeProducersResponse::default()
    }
    async fn delete_records(&self, _: DeleteRecordsRequest) -> DeleteRecordsResponse {
        DeleteRecordsResponse::default()
    }
}

/// Coordinates nothing.
struct Nobody;

impl Coordination for Nobody {
    async fn coordinate(&self, _: Client, version: i16, kind: RequestKind) -> Option<ResponseKind> {
        refusal(&kind, version, ResponseError::NotCoordinator.code())
    }
    async fn write_marker(
        &self,
        _: &str,
        _: i32,
        _: Marker,
    ) -> Result<(Arc<PartitionLog>, Option<Slot>), Unwritten> {
        Err(Unwritten::Unknown)
    }
}

/// Serves until the sender is dropped.
async fn serve() -> (SocketAddr, watch::Sender<bool>) {
    let clock = Clock::system();
    let listener = Listener::bind("127.0.0.1:0", clock).await.unwrap();
    let address = listener.local_addr().unwrap();
    let handlers = Handlers::new(Arc::new(Fixed(address)), Arc::new(Lengths), Arc::new(Nobody), clock);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(listener.run(Arc::new(handlers), stopped, Duration::from_secs(5)));
    (address, stop)
}

async fn send(client: &mut TcpStream, api: ApiKey, version: i16, id: i32, body: &[u8]) {
    let mut request = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some("test".into()))
        .encode(
            &mut request,
            if api == ApiKey::ListOffsets { 2 } else { api.request_header_version(version) },
        )
        .unwrap();
    request.extend_from_slice(body);
    client.write_all(&(request.len() as u32).to_be_bytes()).await.unwrap();
    client.write_all(&request).await.unwrap();
}

/// The next answer: its correlation id and what follows it.
async fn receive(client: &mut TcpStream) -> (i32, Bytes) {
    let length = client.read_u32().await.unwrap() as usize;
    let id = client.read_i32().await.unwrap();
    let mut rest = vec![0; length - 4];
    client.read_exact(&mut rest).await.unwrap();
    (id, rest.into())
}

fn encoded(message: &impl Encodable, version: i16) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap();
    bytes
}

#[tokio::test]
async fn every_version_of_api_versions_is_answered() {
    let (address, _stop) = serve().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = ApiVersionsRequest::default()
        .with_client_software_name("test".into())
        .with_client_software_version("1".into());
    for version in 0..=4 {
        send(&mut client, ApiKey::ApiVersions, version, 7, &encoded(&request, version)).await;
        let (id, mut body) = receive(&mut client).await;
        let response = ApiVersionsResponse::decode(&mut body, version).unwrap();
        assert!(body.is_empty(), "the response header has no tagged fields in any version");
        assert_eq!((id, response.error_code, response.api_keys.len()), (7, 0, 41));
    }
    // A version of the future, with a header and body that nobody here can read.
    client.write_all(&[0, 0, 0, 12, 0, 18, 0, 99, 0, 0, 0, 8, 9, 9, 9, 9]).await.unwrap();
    let (id, mut body) = receive(&mut client).await;
    let response = ApiVersionsResponse::decode(&mut body, 0).unwrap();
    assert_eq!((id, response.error_code, response.api_keys[0].max_version), (8, 35, 4));
}

#[tokio::test]
async fn every_version_of_metadata_is_answered() {
    let (address, _stop) = serve().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    for version in 0..=13 {
        let request = MetadataRequest::default().with_topics(if version == 0 { Some(vec![]) } else { None });
        send(&mut client, ApiKey::Metadata, version, 1, &encoded(&request, version)).await;
        let (_, mut body) = receive(&mut client).await;
        if version >= 9 {
            assert_eq!(body.split_to(1)[0], 0, "no tagged fields in the header");
        }
        let response = MetadataResponse::decode(&mut body, version).unwrap();
        assert!(body.is_empty());
        assert_eq!(response.topics[0].partitions.len(), 3);
    }
}

/// Version 11 has the bytes of version 10, and a meaning of its own.
#[tokio::test]
async fn list_offsets_11_is_answered() {
    let (address, _stop) = serve().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = encoded(&ListOffsetsRequest::default().with_timeout_ms(100), 10);
    for version in [10, 11] {
        send(&mut client, ApiKey::ListOffsets, version, 1, &body).await;
        let (_, mut body) = receive(&mut client).await;
        assert_eq!(body.split_to(1)[0], 0, "no tagged fields in the header");
        let response = ListOffsetsResponse::decode(&mut body, 10).unwrap();
        assert!(body.is_empty());
        assert_eq!(response.throttle_time_ms, 100 + i32::from(version));
    }
}

/// Records of one partition, without and with acknowledgement, and null records.
fn produce(acks: i16, records: Option<&[u8]>) -> Vec<u8> {
    let mut body =
        [&[0xff, 0xff][..], &acks.to_be_bytes(), &[0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1]].concat();
    body.extend([0, 0, 0, 5]);
    body.extend(records.map_or(-1, |records| records.len() as i32).to_be_bytes());
    body.extend(records.unwrap_or_default());
    body
}

#[tokio::test]
async fn produce_is_answered_as_acks_says() {
    let (address, _stop) = serve().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    send(&mut client, ApiKey::Produce, 3, 1, &produce(0, Some(b"unanswered"))).await;
    send(&mut client, ApiKey::Produce, 3, 2, &produce(-1, Some(b"answered"))).await;
    let (id, mut body) = receive(&mut client).await;
    let response = TheirProduceResponse::decode(&mut body, 3).unwrap();
    assert_eq!((id, response.responses[0].partition_responses[0].base_offset), (2, 8));
    send(&mut client, ApiKey::Produce, 3, 3, &produce(0, None)).await;
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0, "a failure with acks=0 closes the connection");
}

#[tokio::test]
async fn what_is_not_served_closes_the_connection() {
    let (address, _stop) = serve().await;
    let lies = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &[0x7f, 0xff, 0xff, 0xff]].concat();
    for (api, version, body) in [
        (ApiKey::Produce, 3, &lies[..]),
        (ApiKey::Metadata, 1, &[0x7f, 0xff, 0xff, 0xff]),
        (ApiKey::Heartbeat, 0, &[]),
        (ApiKey::InitProducerId, 6, &[]),
        (ApiKey::Fetch, 4, &[0; 3]),
    ] {
        let mut client = TcpStream::connect(address).await.unwrap();
        send(&mut client, api, version, 1, body).await;
        assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0, "{api:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kcat on the machine"]
async fn kcat_lists_the_topic() {
    let (address, _stop) = serve().await;
    let run = move || std::process::Command::new("kcat").args(["-L", "-b", &address.to_string()]).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().expect("kcat is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(&format!("broker 1 at {address} (controller)")), "{text}");
    assert!(text.contains("topic \"flights\" with 3 partitions"), "{text}");
    assert!(text.contains("partition 2, leader 1, replicas: 1, isrs: 1"), "{text}");
}
