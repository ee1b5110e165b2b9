//! A connection: versions are agreed upon when it opens, then requests go one at a time.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use levee_base::Clock;
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest answer that is accepted, in bytes.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How long a connection and each answer may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("can't reach a broker at {address}: {source}; is it running, and is --bootstrap-server right?")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to {address} broke: {source}")]
    Broken {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing came in time.
    #[error("no answer from {address} within {} s", DEADLINE.as_secs())]
    Late {
        /// Where.
        address: String,
    },
    /// The broker and this client have no version of the request in common.
    #[error("{address} does not serve API {api} in a version that this client knows")]
    Unserved {
        /// Where.
        address: String,
        /// The API's key.
        api: i16,
    },
    /// What came is no answer to what was asked.
    #[error("{address} answered with what is no Kafka response: {reason}")]
    Malformed {
        /// Where.
        address: String,
        /// In words.
        reason: String,
    },
}

/// A connection to one broker.
#[derive(Debug)]
pub struct Connection {
    address: String,
    client_id: StrBytes,
    clock: Clock,
    stream: TcpStream,
    correlation_id: i32,
    versions: BTreeMap<i16, RangeInclusive<i16>>,
}

impl Connection {
    /// Connects to `address` (`HOST:PORT`) and asks which versions it serves.
    ///
    /// # Errors
    /// When there is nobody, or nobody who speaks Kafka.
    pub async fn open(address: &str, client_id: &str, clock: Clock) -> Result<Self, Error> {
        let late = || Error::Late { address: address.to_owned() };
        let connected = clock.timeout(DEADLINE, TcpStream::connect(address)).await.ok_or_else(late)?;
        let stream = connected.map_err(|source| Error::Connect { address: address.to_owned(), source })?;
        // Nothing depends on it: a broker answers the same, a little later.
        let _ = stream.set_nodelay(true);
        let mut connection = Self {
            address: address.to_owned(),
            client_id: StrBytes::from_string(client_id.to_owned()),
            clock,
            stream,
            correlation_id: 0,
            versions: BTreeMap::new(),
        };
        // Version 0 is served by every broker; its answer tells the others.
        let answer = connection.call_version(ApiVersionsRequest::default(), 0).await?;
        connection.versions =
            answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version)).collect();
        Ok(connection)
    }

    /// The versions of an API that the broker serves.
    #[must_use]
    pub fn served(&self, api: i16) -> Option<&RangeInclusive<i16>> {
        self.versions.get(&api)
    }

    /// Sends `request` in the newest version that both sides know and waits for its answer.
    ///
    /// # Errors
    /// When there is no such version, or no answer that can be read. Error codes inside the answer are the
    /// caller's to look at.
    pub async fn call<R: Request>(&mut self, request: R) -> Result<R::Response, Error> {
        let ours = R::VERSIONS;
        let version = self
            .versions
            .get(&R::KEY)
            .map(|theirs| ((*theirs.start()).max(ours.min), (*theirs.end()).min(ours.max)))
            .and_then(|(oldest, newest)| (oldest <= newest).then_some(newest))
            .ok_or_else(|| Error::Unserved { address: self.address.clone(), api: R::KEY })?;
        self.call_version(request, version).await
    }

    async fn call_version<R: Request>(&mut self, request: R, version: i16) -> Result<R::Response, Error> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = self.encode(&request, version).map_err(|reason| self.malformed(&reason))?;
        let clock = self.clock;
        let answer = clock
            .timeout(DEADLINE, self.exchange(&frame))
            .await
            .ok_or_else(|| Error::Late { address: self.address.clone() })??;
        self.decode::<R>(answer, version).map_err(|reason| self.malformed(&reason))
    }

    fn encode<R: Request>(&self, request: &R, version: i16) -> Result<BytesMut, String> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version)).map_err(|e| e.to_string())?;
        request.encode(&mut frame, version).map_err(|e| e.to_string())?;
        let length = i32::try_from(frame.len() - 4).map_err(|e| e.to_string())?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame)
    }

    async fn exchange(&mut self, frame: &[u8]) -> Result<Bytes, Error> {
        let sent = self.stream.write_all(frame).await;
        sent.map_err(|source| Error::Broken { address: self.address.clone(), source })?;
        let length = self.stream.read_i32().await;
        let length = length.map_err(|source| Error::Broken { address: self.address.clone(), source })?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > ANSWER_BYTES {
            return Err(self.malformed(&format!("a frame of {length} bytes")));
        }
        let mut answer = vec![0; length];
        let read = self.stream.read_exact(&mut answer).await;
        read.map_err(|source| Error::Broken { address: self.address.clone(), source })?;
        Ok(Bytes::from(answer))
    }

    fn decode<R: Request>(&self, mut answer: Bytes, version: i16) -> Result<R::Response, String> {
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut answer, header_version).map_err(|e| e.to_string())?;
        if header.correlation_id != self.correlation_id {
            return Err(format!("correlation id {} for {}", header.correlation_id, self.correlation_id));
        }
        let response = R::Response::decode(&mut answer, version).map_err(|e| e.to_string())?;
        if answer.has_remaining() {
            return Err(format!("{} bytes too many", answer.remaining()));
        }
        Ok(response)
    }

    fn malformed(&self, reason: &str) -> Error {
        Error::Malformed { address: self.address.clone(), reason: reason.to_owned() }
    }
}
