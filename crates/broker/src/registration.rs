//! How a broker comes and goes: registering, recovering what a predecessor left, and closing its own log.
//!
//! Order: the new registration first, then each log that waits to be recovered is fenced, read and closed with
//! the new epoch as heir of its streams. A crash anywhere in between leaves a log that waits, and the next
//! broker goes on from there: fencing and closing twice is harmless.
//!
//! A log that can't be read keeps a broker from coming, and it must not make the metadata grow meanwhile, for that
//! keeps every registration. So a process that goes on trying does so under the registration it has, and a new one
//! reads the logs that wait before it registers. The logs that can be read are closed all the same.
//!
//! A clean shutdown fences and closes the broker's own log by the same path, with no heir: its streams wait for the
//! next one.
//!
//! A node id that is live is taken over only when its holder is gone. On a folder the store's lock says so. On
//! other stores the holder is asked (`holder`): a broker that answers as the holder keeps the id, one that is
//! silent loses it after the session time-out.

use crate::holder::{self, Newcomer, Verdict};
use crate::registrar::registered;
use futures::{StreamExt, TryStreamExt, stream};
use levee_base::limits::{IDENTITY_AGAIN, IDENTITY_TIMEOUT, LOGS_RECOVERING};
use levee_base::{BrokerEpoch, Clock, ClusterId, NodeId, Random, Slot, StreamId};
use levee_meta::{Answer, Command, CommitError, Metadata, ProcessId, Refusal, Register, State, wal_prefix};
use levee_object::Store;
use levee_object::log::LogContext;
use levee_store::recover::RecoveredIndexes;
use levee_store::{RecoverError, Recovered};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

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
    /// The node id's holder is alive.
    #[error(
        "node id {node} is held by another process, the broker at {address} (epoch {epoch}, internal address \
         {internal}): {reason}. Stop that one, or give this one a store of its own"
    )]
    Held {
        /// Which node id.
        node: NodeId,
        /// The holder's registration.
        epoch: BrokerEpoch,
        /// Where clients find the holder.
        address: String,
        /// Where it was asked.
        internal: String,
        /// How it is known to be alive.
        reason: String,
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
    /// `host:port` of the HTTP endpoint for other brokers; empty when there is none.
    pub internal: String,
    /// Whether holding the store proves that no other process serves from it.
    pub exclusive: bool,
    /// How long the last holder of the node id may stay silent.
    pub session_timeout: Duration,
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
    /// `held` is the registration of a try that failed later on: it is gone on with, as its log was never written.
    /// After a failure it is to be given to the next try.
    ///
    /// Whoever holds the node id is put out once it is gone. Taking it for gone by mistake costs it its epoch; its
    /// log's fence keeps it from acknowledging anything. Dropping this is a crash, and as harmless.
    ///
    /// # Errors
    /// When the holder is alive, the metadata refuses, or a log can't be recovered.
    pub async fn register(
        &self,
        newcomer: Newcomer,
        held: &mut Option<BrokerEpoch>,
    ) -> Result<(BrokerEpoch, Vec<RecoveredIndexes>), RegistrationError> {
        let live = |epoch: &BrokerEpoch| self.metadata.view(|state| state.broker(*epoch).is_some());
        let (epoch, mut read) = match held.filter(live) {
            Some(epoch) => (epoch, BTreeMap::new()),
            None => self.enlist(newcomer).await?,
        };
        *held = Some(epoch);
        let closed: Vec<_> = stream::iter(self.waiting())
            .map(|(orphan, node, trim)| {
                let recovered = read.remove(&orphan);
                async move {
                    let recovered = match recovered {
                        Some(recovered) => recovered,
                        None => self.recover(orphan, node, trim).await?,
                    };
                    self.close(orphan, recovered, Some(epoch)).await
                }
            })
            .buffered(LOGS_RECOVERING)
            .collect()
            .await;
        let indexes = closed.into_iter().collect::<Result<_, _>>()?;
        let streams: Vec<StreamId> =
            self.metadata.view(|state| state.leaderless().map(|(stream, _)| stream).collect());
        if !streams.is_empty() {
            self.commit(Command::Lead { leader: epoch, streams }).await?;
        }
        Ok((epoch, indexes))
    }

    /// The logs that wait to be recovered, and from where on.
    fn waiting(&self) -> Vec<(BrokerEpoch, NodeId, Slot)> {
        self.metadata.view(|state| state.orphans().map(|(epoch, wal)| (epoch, wal.node, wal.trim)).collect())
    }

    /// Fences and reads the logs that wait by now. Their brokers are out and their fences stand, so what was read
    /// stays all there is.
    async fn read_waiting(&self) -> Result<BTreeMap<BrokerEpoch, Recovered>, RegistrationError> {
        stream::iter(self.waiting())
            .map(|(orphan, node, trim)| async move { Ok((orphan, self.recover(orphan, node, trim).await?)) })
            .buffered(LOGS_RECOVERING)
            .try_collect()
            .await
    }

    /// Makes a registration, once the holder of the node id is gone and the logs that wait have been read. Returns
    /// what was read, too.
    async fn enlist(
        &self,
        newcomer: Newcomer,
    ) -> Result<(BrokerEpoch, BTreeMap<BrokerEpoch, Recovered>), RegistrationError> {
        let other = self.metadata.view(|state| {
            let mut others = state.brokers().filter(|(_, broker)| broker.node != self.node);
            others.next().map(|(epoch, broker)| (broker.node, epoch))
        });
        if let Some((node, epoch)) = other {
            return Err(RegistrationError::Another { node, epoch });
        }
        let register = Command::Register(Register {
            node: self.node,
            address: self.address.clone(),
            internal: self.internal.clone(),
            process: self.metadata.process(),
        });
        let live = |state: &State| {
            state.live(self.node).map(|(epoch, broker)| (epoch, broker.internal.clone(), broker.process))
        };
        let mut holder = self.metadata.view(live);
        loop {
            let gone = match holder.take() {
                None => None,
                Some((epoch, internal, process)) => {
                    let why = self.wait_for_holder(epoch, &internal, process, newcomer).await?;
                    Some((epoch, why))
                }
            };
            let read = self.read_waiting().await?;
            let answer = match gone {
                None => self.metadata.commit(register.clone()).await?,
                Some((epoch, why)) => {
                    tracing::info!(
                        %epoch,
                        why,
                        "the last holder of this node id did not sign off; taking over from it"
                    );
                    // Sent together, as one entry of the journal takes both.
                    let register = self.metadata.commit(register.clone());
                    let (out, answer) =
                        futures::future::join(self.commit(Command::Out { epoch }), register).await;
                    out?;
                    answer?
                }
            };
            match answer {
                Answer::Registered { epoch } => return Ok((epoch, read)),
                // What is seen here may be older than what is durable.
                Answer::Refused(Refusal::NodeLive { epoch, internal, process }) => {
                    holder = Some((epoch, internal, process));
                }
                Answer::Refused(refusal) => return Err(refusal.into()),
                answer => return Err(RegistrationError::Answer(answer)),
            }
        }
    }

    /// Waits until the holder of the node id is gone, or counts as gone; returns why.
    async fn wait_for_holder(
        &self,
        epoch: BrokerEpoch,
        internal: &str,
        holder: ProcessId,
        newcomer: Newcomer,
    ) -> Result<String, RegistrationError> {
        let own = self.metadata.process();
        if self.exclusive {
            return Ok("this process holds the store".to_owned());
        }
        if holder == own {
            return Ok("it was this process".to_owned());
        }
        let until = self.clock.now() + self.session_timeout;
        let mut changes = self.metadata.changes();
        let mut told = false;
        loop {
            let verdict = if internal.is_empty() {
                Verdict::Unknown("it registered no internal address".to_owned())
            } else {
                let left = until.saturating_duration_since(self.clock.now());
                let asked = holder::ask(self.clock, internal, left.min(IDENTITY_TIMEOUT)).await;
                holder::judge(&asked, holder, own, newcomer)
            };
            match verdict {
                Verdict::Gone(why) => return Ok(why),
                Verdict::Alive(reason) => {
                    let address = self.metadata.view(|state| state.broker(epoch).map(|b| b.address.clone()));
                    let (node, internal) = (self.node, internal.to_owned());
                    let address = address.unwrap_or_default();
                    return Err(RegistrationError::Held { node, epoch, address, internal, reason });
                }
                Verdict::Unknown(_) if self.clock.now() >= until => {
                    return Ok(format!("it was silent for {:?}", self.session_timeout));
                }
                Verdict::Unknown(why) => {
                    if !told {
                        let (seconds, asked) = (self.session_timeout.as_secs_f64(), internal);
                        tracing::info!(
                            %epoch,
                            asked,
                            why,
                            "can't tell whether the last holder of this node id is alive; asking for {seconds} s"
                        );
                        told = true;
                    }
                    let again = until.min(self.clock.now() + IDENTITY_AGAIN);
                    tokio::select! {
                        biased;
                        () = self.signed_off(&mut changes, epoch) => return Ok("it signed off".to_owned()),
                        () = self.clock.sleep_until(again) => {}
                    }
                }
            }
        }
    }

    /// Waits until the metadata, as far as it is known here, says that the broker is out.
    async fn signed_off(&self, changes: &mut watch::Receiver<u64>, epoch: BrokerEpoch) {
        while self.metadata.view(|state| state.broker(epoch).is_some()) {
            if changes.changed().await.is_err() {
                // The metadata has ended: nothing more will be known.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Fences a log, and reads what is not trimmed of it.
    async fn recover(
        &self,
        epoch: BrokerEpoch,
        node: NodeId,
        trim: Slot,
    ) -> Result<Recovered, RegistrationError> {
        let began = self.clock.now();
        let recovered = levee_store::recover(&self.log(node), epoch, trim, self.random.writer_id())
            .await
            .map_err(|source| RegistrationError::Recover { epoch, source })?;
        let took_ms = u64::try_from((self.clock.now() - began).as_millis()).unwrap_or(u64::MAX);
        let (fence, objects) = (recovered.fence, recovered.objects.len());
        tracing::info!(%epoch, %fence, objects, took_ms, "fenced and read a write-ahead log");
        Ok(recovered)
    }

    /// Closes a log that was fenced and read.
    async fn close(
        &self,
        epoch: BrokerEpoch,
        recovered: Recovered,
        heir: Option<BrokerEpoch>,
    ) -> Result<RecoveredIndexes, RegistrationError> {
        let fence = recovered.fence;
        let objects = recovered.objects.into_iter().map(registered).collect();
        match self.commit(Command::CloseWal { epoch, fence, objects, heir }).await {
            // Somebody else was first; the log is closed.
            Ok(_) | Err(RegistrationError::Refused(Refusal::WalClosed { .. })) => {}
            Err(error) => return Err(error),
        }
        tracing::info!(%epoch, %fence, "closed a write-ahead log");
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
        let recovered = self.recover(epoch, self.node, trim).await?;
        self.close(epoch, recovered, None).await?;
        self.commit(Command::Out { epoch }).await?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "registration_tests.rs"]
pub(crate) mod tests;
