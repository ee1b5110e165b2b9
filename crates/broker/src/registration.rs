//! How a broker comes and goes: registering, recovering what a predecessor left, and closing its own log.
//!
//! Order: the new registration first, then each log that waits to be recovered is fenced, read and closed with
//! the new epoch as heir of its streams. A crash anywhere in between leaves a log that waits, and the next
//! broker goes on from there: fencing and closing twice is harmless. A clean shutdown fences and closes the
//! broker's own log by the same path, with no heir: its streams wait for the next one.

use async_trait::async_trait;
use levee_base::{BrokerEpoch, Clock, ClusterId, NodeId, Random, Slot, StreamId};
use levee_meta::{Answer, Command, CommitError, Metadata, NewExtent, Refusal, Register, wal_prefix};
use levee_object::Store;
use levee_object::log::LogContext;
use levee_store::recover::RecoveredIndexes;
use levee_store::{RecoverError, Registrar, RegistrarError, Registration, Trim};
use std::sync::Arc;

/// Why a broker can't come or go.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The metadata takes no commands.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The metadata refused.
    #[error("the metadata refused: {0}")]
    Refused(#[from] Refusal),
    /// A predecessor's log can't be read.
    #[error("can't recover the write-ahead log of broker epoch {epoch}: {source}")]
    Recover {
        /// Whose.
        epoch: BrokerEpoch,
        /// Why.
        source: RecoverError,
    },
    /// The metadata answered a question that was not asked.
    #[error("the metadata answered {0:?}")]
    Answer(Answer),
    /// Another broker is live in the same store.
    #[error(
        "node {node} (epoch {epoch}) is registered in this store, and this version of Levee runs one broker a \
         store; stop it first, or use its node id if it is gone"
    )]
    Another {
        /// Which.
        node: NodeId,
        /// Its registration.
        epoch: BrokerEpoch,
    },
}

/// What it takes to register.
#[derive(Debug, Clone)]
pub struct Registrant {
    /// The cluster's metadata.
    pub metadata: Metadata,
    /// Where the logs are.
    pub store: Arc<dyn Store>,
    /// This broker's number.
    pub node: NodeId,
    /// `host:port` for clients.
    pub address: String,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

impl Registrant {
    /// The log of a node.
    #[must_use]
    pub fn log(&self, node: NodeId) -> LogContext {
        LogContext {
            store: self.store.clone(),
            cluster: self.cluster(),
            prefix: wal_prefix(node),
            clock: self.clock,
            random: self.random.clone(),
        }
    }

    fn cluster(&self) -> ClusterId {
        self.metadata.cluster()
    }

    async fn commit(&self, command: Command) -> Result<Answer, RegistrationError> {
        match self.metadata.commit(command).await? {
            Answer::Refused(refusal) => Err(refusal.into()),
            answer => Ok(answer),
        }
    }

    /// Registers, recovers all logs that wait for it, and takes over the streams that nobody leads. Returns the
    /// registration and the indexes that were read.
    ///
    /// Whoever holds the node id is put out: in a folder the lock says that it is dead. Elsewhere a wrong guess
    /// costs it its epoch, which it opens anew; its log's fence keeps it from acknowledging anything.
    ///
    /// # Errors
    /// When the metadata refuses, or a log can't be recovered.
    pub async fn register(&self) -> Result<(BrokerEpoch, Vec<RecoveredIndexes>), RegistrationError> {
        let other = self.metadata.view(|state| {
            let mut others = state.brokers().filter(|(_, broker)| broker.node != self.node);
            others.next().map(|(epoch, broker)| (broker.node, epoch))
        });
        if let Some((node, epoch)) = other {
            return Err(RegistrationError::Another { node, epoch });
        }
        let epoch = loop {
            let register = Register {
                node: self.node,
                address: self.address.clone(),
                internal: String::new(),
                process: self.metadata.process(),
            };
            match self.metadata.commit(Command::Register(register)).await? {
                Answer::Registered { epoch } => break epoch,
                Answer::Refused(Refusal::NodeLive { epoch, .. }) => {
                    tracing::info!(%epoch, "the last holder of this node id did not sign off; taking over from it");
                    self.commit(Command::Out { epoch }).await?;
                }
                Answer::Refused(refusal) => return Err(refusal.into()),
                answer => return Err(RegistrationError::Answer(answer)),
            }
        };
        let waiting: Vec<(BrokerEpoch, NodeId, Slot)> = self
            .metadata
            .view(|state| state.orphans().map(|(epoch, wal)| (epoch, wal.node, wal.trim)).collect());
        let mut indexes = Vec::new();
        for (orphan, node, trim) in waiting {
            indexes.push(self.close(orphan, node, trim, Some(epoch)).await?);
        }
        let streams: Vec<StreamId> =
            self.metadata.view(|state| state.leaderless().map(|(stream, _)| stream).collect());
        if !streams.is_empty() {
            self.commit(Command::Lead { leader: epoch, streams }).await?;
        }
        Ok((epoch, indexes))
    }

    /// Fences a log, reads what is not trimmed of it, and closes it.
    async fn close(
        &self,
        epoch: BrokerEpoch,
        node: NodeId,
        trim: Slot,
        heir: Option<BrokerEpoch>,
    ) -> Result<RecoveredIndexes, RegistrationError> {
        let began = self.clock.now();
        let recovered = levee_store::recover(&self.log(node), epoch, trim, self.random.writer_id())
            .await
            .map_err(|source| RegistrationError::Recover { epoch, source })?;
        let (fence, count) = (recovered.fence, recovered.objects.len());
        let objects = recovered.objects.into_iter().map(registered).collect();
        match self.commit(Command::CloseWal { epoch, fence, objects, heir }).await {
            // Somebody else was first; the log is closed.
            Ok(_) | Err(RegistrationError::Refused(Refusal::WalClosed { .. })) => {}
            Err(error) => return Err(error),
        }
        let took_ms = u64::try_from((self.clock.now() - began).as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%epoch, %fence, objects = count, took_ms, "closed a write-ahead log");
        Ok(recovered.indexes)
    }

    /// Signs off: the broker's own log is fenced and closed as that of a dead one would be.
    ///
    /// # Errors
    /// When that fails: the next start does it then.
    pub async fn sign_off(&self, epoch: BrokerEpoch) -> Result<(), RegistrationError> {
        let Some(trim) = self.metadata.view(|state| state.wal(epoch).map(|wal| wal.trim)) else {
            return Ok(());
        };
        self.close(epoch, self.node, trim, None).await?;
        self.commit(Command::Out { epoch }).await?;
        Ok(())
    }
}

/// The store's words for a registered object in the metadata's.
fn registered(object: Registration) -> levee_meta::Registration {
    let extents = object.extents.into_iter().map(|(stream, leader_epoch, range, bytes)| NewExtent {
        stream,
        leader_epoch,
        range,
        bytes,
    });
    levee_meta::Registration {
        slot: object.slot,
        total_bytes: object.total_bytes,
        index: object.index,
        extents: extents.collect(),
    }
}

/// Commits the store's trims.
#[derive(Debug)]
pub struct MetadataRegistrar(pub Metadata);

#[async_trait]
impl Registrar for MetadataRegistrar {
    async fn trim(&self, trim: Trim) -> Result<(), RegistrarError> {
        let Trim { epoch, to, objects } = trim;
        let objects = objects.into_iter().map(registered).collect();
        match self.0.commit(Command::TrimWal { epoch, to, objects }).await {
            Ok(Answer::Refused(refusal)) => Err(RegistrarError::Refused(refusal.to_string())),
            Ok(_) => Ok(()),
            Err(error) => Err(RegistrarError::Unavailable(error.to_string())),
        }
    }
}
