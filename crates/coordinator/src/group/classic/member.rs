//! A member of a classic group.

use crate::effects::Token;
use crate::group::turn::text;
use bytes::Bytes;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use std::sync::Arc;

/// What a member takes in memory beside what it says.
const MEMBER_BYTES: usize = 256;
/// What a protocol takes in memory beside its name and its metadata.
const PROTOCOL_BYTES: usize = 64;

/// What a protocol takes in memory, in bytes.
pub(super) fn protocol_bytes(name: &str, metadata: &[u8]) -> usize {
    PROTOCOL_BYTES + name.len() + metadata.len()
}

/// A request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) token: Token,
    pub(crate) version: i16,
}

/// A protocol that a member supports, and what it has to say with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) name: Arc<str>,
    pub(crate) metadata: Bytes,
}

impl Protocol {
    /// Those of a request, copied.
    pub(crate) fn all(protocols: &[JoinGroupRequestProtocol]) -> Vec<Self> {
        protocols
            .iter()
            .map(|protocol| Self {
                name: (*protocol.name).into(),
                metadata: Bytes::copy_from_slice(&protocol.metadata),
            })
            .collect()
    }
}

/// See the module's text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    /// What a static member is known by.
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) client_id: Arc<str>,
    pub(crate) client_host: Arc<str>,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// In the order of its preference.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// The JoinGroup that waits for the others.
    pub(crate) joining: Option<Waiting>,
    /// The SyncGroup that waits for the leader.
    pub(crate) syncing: Option<Waiting>,
    /// It has not been in any generation yet.
    pub(crate) is_new: bool,
}

impl Member {
    /// What it takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [Some(&self.id), self.instance.as_ref(), Some(&self.client_id), Some(&self.client_host)];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        let protocols =
            self.protocols.iter().map(|protocol| protocol_bytes(&protocol.name, &protocol.metadata));
        MEMBER_BYTES + texts + protocols.sum::<usize>() + self.assignment.len()
    }

    /// What it says with a protocol; nothing where it doesn't support it.
    pub(crate) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let supported = self.protocols.iter().find(|supported| Some(&*supported.name) == protocol);
        supported.map(|supported| supported.metadata.clone()).unwrap_or_default()
    }

    /// Whether a request has just the protocols that it is known for: names, metadata and order.
    pub(crate) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols.len() == protocols.len()
            && self
                .protocols
                .iter()
                .zip(protocols)
                .all(|(known, asked)| *known.name == *asked.name && known.metadata == asked.metadata)
    }

    /// Whether it needn't be heard of: it has asked for something and waits. A new member's JoinGroup does expire, as
    /// nobody could tell otherwise that its client is gone.
    pub(crate) const fn is_heard(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    pub(crate) fn as_joined(&self, protocol: Option<&str>) -> JoinGroupResponseMember {
        JoinGroupResponseMember::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_metadata(self.metadata(protocol))
    }

    /// Described, with its metadata where the group is stable and the protocol thus decided.
    pub(crate) fn as_described(&self, protocol: Option<&str>) -> DescribedGroupMember {
        DescribedGroupMember::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_client_id(text(&self.client_id))
            .with_client_host(text(&self.client_host))
            .with_member_metadata(self.metadata(protocol))
            .with_member_assignment(self.assignment.clone())
    }
}
