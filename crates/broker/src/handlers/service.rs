//! The broker's `Service`: from a frame to the handler of its API, and from the handler's answer to a frame.

use super::{api_versions, create_topics, delete_topics, fetch, find_coordinator, init_producer_id};
use super::{list_offsets, metadata, produce};
use crate::broker::Broker;
use crate::fetch_session::Sessions;
use crate::net::{Begun, Service};
use crate::wire::frame::RequestHead;
use crate::wire::produce::ProduceRequest;
use crate::wire::{Response, guard};
use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind};
use kafka_protocol::protocol::Encodable;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Answers Kafka's requests.
#[derive(Debug)]
pub struct Handlers {
    broker: RwLock<Arc<Broker>>,
    sessions: Arc<Mutex<Sessions>>,
}

impl Handlers {
    /// For a broker.
    #[must_use]
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker: RwLock::new(broker), sessions: Arc::default() }
    }

    /// From now on requests go to `broker`, which has registered anew.
    pub fn replace(&self, broker: Arc<Broker>) {
        *self.broker.write().unwrap_or_else(PoisonError::into_inner) = broker;
    }

    fn broker(&self) -> Arc<Broker> {
        self.broker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service for Handlers {
    async fn begin<'a>(&'a self, head: RequestHead, frame: &'a mut [u8], peer: SocketAddr) -> Begun {
        tracing::trace!(%peer, api = ?head.api, version = head.version, client = head.client_id(frame), "request");
        let broker = self.broker();
        let began = broker.clock.now();
        let served = api_versions::served(head.api as i16, head.version).is_some();
        if head.api == ApiKey::ApiVersions {
            let (version, answer) = api_versions::answer(head.version);
            return Begun::Alone(Box::pin(async move {
                let response = message(&head, version, &answer);
                broker.metrics.answered(head.api, broker.clock.now() - began);
                response
            }));
        }
        if !served {
            return Begun::Close(format!("{:?} version {} is not served", head.api, head.version));
        }
        if head.api == ApiKey::Produce {
            let request = match ProduceRequest::parse(head.version, &mut frame[head.body..]) {
                Ok(request) => request,
                Err(malformed) => return Begun::Close(format!("a malformed Produce request: {malformed}")),
            };
            let pending = produce::begin(&broker, head.version, request).await;
            return Begun::Pipelined(Box::pin(async move {
                let answer = produce::finish(&broker, pending).await;
                broker.metrics.answered(head.api, broker.clock.now() - began);
                answer.map(|answer| answer.encode(&head))
            }));
        }
        let body = &frame[head.body..];
        let decoded = guard::walk(head.api as i16, head.version, body)
            .and_then(|_| guard::decode(head.api, head.version, Bytes::copy_from_slice(body)));
        let request = match decoded {
            Ok(request) => request,
            Err(malformed) => {
                return Begun::Close(format!("a malformed {:?} request: {malformed}", head.api));
            }
        };
        let sessions = self.sessions.clone();
        Begun::Alone(Box::pin(async move {
            let response = answer(&broker, &sessions, &head, request).await;
            broker.metrics.answered(head.api, broker.clock.now() - began);
            response
        }))
    }
}

async fn answer(
    broker: &Broker,
    sessions: &Mutex<Sessions>,
    head: &RequestHead,
    request: RequestKind,
) -> Option<Response> {
    let version = head.version;
    match request {
        RequestKind::Fetch(request) => {
            Some(fetch::answer(broker, sessions, version, request).await.encode(head))
        }
        RequestKind::ListOffsets(request) => {
            message(head, version, &list_offsets::answer(broker, version, request).await)
        }
        RequestKind::Metadata(request) => {
            message(head, version, &metadata::answer(broker, version, request).await)
        }
        RequestKind::FindCoordinator(request) => {
            message(head, version, &find_coordinator::answer(version, request))
        }
        RequestKind::CreateTopics(request) => {
            message(head, version, &create_topics::answer(broker, version, request).await)
        }
        RequestKind::DeleteTopics(request) => {
            message(head, version, &delete_topics::answer(broker, version, request).await)
        }
        RequestKind::InitProducerId(request) => {
            message(head, version, &init_producer_id::answer(broker, request).await)
        }
        // Not in the table of what is served.
        _ => None,
    }
}

/// A message's frame. What can't be encoded is a fault of ours: the client sees no answer and tries again.
fn message(head: &RequestHead, version: i16, body: &impl Encodable) -> Option<Response> {
    match Response::message(head, version, body) {
        Ok(response) => Some(response),
        Err(error) => {
            tracing::error!(%error, "please report this");
            None
        }
    }
}
