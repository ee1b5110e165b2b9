//! Brokers that are live: registered, and not out. At most one for a node id.

use crate::answer::{Answer, Refusal};
use crate::command::Register;
use crate::ids::ProcessId;
use crate::state::State;
use crate::state::settled::Settled;
use crate::state::wals::Wal;
use levee_base::{BrokerEpoch, NodeId, Slot};

/// A live broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Broker {
    /// Its number in the cluster.
    pub node: NodeId,
    /// `host:port` for Kafka clients.
    pub address: String,
    /// `host:port` for other brokers, or empty.
    pub internal: String,
    /// Which run of the program.
    pub process: ProcessId,
    /// Which of the objects that it makes are settled.
    pub settled: Settled,
}

impl State {
    /// The live brokers with their epochs, oldest registration first.
    pub fn brokers(&self) -> impl Iterator<Item = (BrokerEpoch, &Broker)> {
        self.brokers.iter().map(|(&epoch, broker)| (epoch, broker))
    }

    /// The broker of `epoch`, unless it is out.
    #[must_use]
    pub fn broker(&self, epoch: BrokerEpoch) -> Option<&Broker> {
        self.brokers.get(&epoch)
    }

    /// The live broker of a node id.
    #[must_use]
    pub fn live(&self, node: NodeId) -> Option<(BrokerEpoch, &Broker)> {
        self.brokers().find(|(_, broker)| broker.node == node)
    }

    /// The epoch is `at`, the number of commands applied so far: no other registration ever has it.
    pub(super) fn register(&mut self, at: u64, register: &Register) -> Result<Answer, Refusal> {
        if let Some((epoch, holder)) = self.live(register.node) {
            let (internal, process) = (holder.internal.clone(), holder.process);
            return Err(Refusal::NodeLive { epoch, internal, process });
        }
        let epoch = BrokerEpoch(at);
        let Register { node, address, internal, process } = register.clone();
        self.brokers.insert(epoch, Broker { node, address, internal, process, settled: Settled::default() });
        self.wals.insert(epoch, Wal { node, trim: Slot::ZERO, fence: None });
        Ok(Answer::Registered { epoch })
    }

    /// Irrevocable. Whoever is out already stays out, so a repeat is harmless.
    pub(super) fn out(&mut self, epoch: BrokerEpoch) -> Result<Answer, Refusal> {
        if !self.wals.contains_key(&epoch) {
            return Err(Refusal::UnknownBroker { epoch });
        }
        self.brokers.remove(&epoch);
        self.answers.forget_broker(epoch);
        Ok(Answer::Done)
    }
}
