//! Random requests of producers that compete for few transactional ids, zombies among them; markers are written late, or
//! twice; the shard is lost and loaded anew. What must hold whatever happens is checked after every step.

use super::harness::*;
use super::*;
use proptest::prelude::*;

const IDS: [&str; 3] = ["new", "tired", "old"];
const CLIENTS: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    /// A client starts anew.
    Init {
        client: usize,
    },
    /// It asks for the next epoch by what it has.
    InitAs {
        client: usize,
    },
    Add {
        client: usize,
        partition: i32,
        version: i16,
    },
    Offsets {
        client: usize,
    },
    End {
        client: usize,
        commit: bool,
        version: i16,
    },
    /// Markers have been written, and remembered to be.
    Markers {
        which: usize,
    },
    /// Markers that were asked for at any time before are written now.
    Stale {
        which: usize,
    },
    Pass {
        seconds: u64,
    },
    Crash,
    ProducerIds {
        are_there: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        2 => client().prop_map(|client| Step::Init { client }),
        2 => client().prop_map(|client| Step::InitAs { client }),
        6 => (client(), 0..4, prop_oneof![Just(3_i16), Just(5)])
            .prop_map(|(client, partition, version)| Step::Add { client, partition, version }),
        1 => client().prop_map(|client| Step::Offsets { client }),
        6 => (client(), any::<bool>(), prop_oneof![Just(4_i16), Just(5)])
            .prop_map(|(client, commit, version)| Step::End { client, commit, version }),
        5 => any::<usize>().prop_map(|which| Step::Markers { which }),
        1 => any::<usize>().prop_map(|which| Step::Stale { which }),
        1 => (1..100_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Crash),
        1 => prop::bool::weighted(0.8).prop_map(|are_there| Step::ProducerIds { are_there }),
    ]
}

/// What a client knows of itself.
#[derive(Debug, Clone, Copy)]
struct Knows {
    producer: Producer,
    /// Another client has been initialized since.
    is_fenced: bool,
}

/// What is known of an id from its records alone.
#[derive(Debug, Default)]
struct Told {
    last: Option<TransactionLogValue>,
    /// Producer ids of the past.
    past: BTreeSet<i64>,
}

struct World {
    it: Harness,
    clients: [Option<Knows>; CLIENTS],
    told: BTreeMap<String, Told>,
    /// Which transactional id a producer id was given to.
    owners: BTreeMap<i64, String>,
    /// How much of the log has been looked at.
    looked: usize,
    /// Markers that were asked for at some time.
    asked: Vec<Markers>,
}

fn status(state: State) -> i8 {
    state.number()
}

impl World {
    fn new() -> Self {
        let mut it = Harness::new();
        // One whose epochs are about to run out, twice at best.
        it.record("tired", State::Empty, producer(1, i16::MAX - 6));
        it.record("old", State::CompleteAbort, producer(2, i16::MAX - 2));
        Self {
            it,
            clients: [None; CLIENTS],
            told: BTreeMap::new(),
            owners: BTreeMap::new(),
            looked: 0,
            asked: Vec::new(),
        }
    }

    const fn id(client: usize) -> &'static str {
        IDS[client % IDS.len()]
    }

    /// Reads the records that came since.
    fn look(&mut self) {
        for record in &self.it.log[self.looked..] {
            let id = TransactionLogKey::read(record.key.clone()).unwrap().transactional_id;
            let value = record.value.clone().map(|value| TransactionLogValue::read(value).unwrap());
            for given in
                value.iter().flat_map(|it| [it.producer_id, it.next_producer_id]).filter(|it| *it != -1)
            {
                let owner = self.owners.entry(given).or_insert_with(|| id.clone());
                assert_eq!(*owner, id, "producer id {given} was given twice");
            }
            let told = self.told.entry(id).or_default();
            if let (Some(before), Some(after)) = (&told.last, &value) {
                if before.producer_id == after.producer_id {
                    assert!(
                        after.producer_epoch >= before.producer_epoch,
                        "an epoch went back: {before:?} {after:?}"
                    );
                } else {
                    told.past.insert(before.producer_id);
                    assert!(before.producer_epoch >= i16::MAX - 1, "an id was left early: {before:?}");
                }
                assert!(!told.past.contains(&after.producer_id), "a producer id came back: {after:?}");
                let to = after.transaction_status;
                if before.transaction_status == status(State::PrepareCommit) {
                    assert_eq!(to, status(State::CompleteCommit), "a commit was not carried out");
                } else if before.transaction_status == status(State::PrepareAbort) {
                    assert_eq!(to, status(State::CompleteAbort), "an abort was not carried out");
                } else if to == status(State::PrepareCommit) {
                    assert_eq!(before.transaction_status, status(State::Ongoing), "nothing was committed");
                }
                if before.transaction_status != to && [4, 5].contains(&to) {
                    assert!([2, 3].contains(&before.transaction_status), "complete but never decided");
                }
            }
            told.last = value;
        }
        self.looked = self.it.log.len();
        for markers in &self.it.markers {
            if !self.asked.contains(markers) {
                self.asked.push(markers.clone());
            }
        }
    }

    /// What must always hold.
    fn check(&mut self) {
        self.look();
        // Markers are wanted for what is decided by the records, for all of that, and as it was decided.
        let mut decided = BTreeMap::new();
        for (id, told) in &self.told {
            if let Some(last) = &told.last
                && [2, 3].contains(&last.transaction_status)
            {
                decided.insert(id.clone(), last);
            }
        }
        assert_eq!(
            self.it.markers.iter().map(|it| it.transactional_id.clone()).collect::<BTreeSet<_>>(),
            decided.keys().cloned().collect()
        );
        assert_eq!(self.it.markers.len(), decided.len(), "markers are asked for once");
        for markers in &self.it.markers {
            let last = decided[&markers.transactional_id];
            assert_eq!(markers.commit, last.transaction_status == status(State::PrepareCommit));
            assert_eq!(markers.producer, producer(last.producer_id, last.producer_epoch));
            assert_eq!(i16::from(markers.transaction_version), last.client_transaction_version);
            let partitions = last.transaction_partitions.iter().flatten();
            let partitions = partitions.flat_map(|(topic, all)| all.iter().map(|one| (topic.clone(), *one)));
            assert_eq!(markers.partitions, partitions.collect::<Vec<_>>());
        }
        // Nothing is known that isn't on record.
        let mut replayed = TransactionShard::new(self.it.options.clone(), 0);
        for record in &self.it.log {
            replayed.replay(record.key.clone(), record.value.clone()).unwrap();
        }
        let mut transactions = self.it.shard.transactions.clone();
        for metadata in transactions.values_mut() {
            metadata.last_producer_epoch = metadata::NO_PRODUCER_EPOCH;
        }
        assert_eq!(transactions, replayed.transactions);
        assert_eq!(self.it.shard.ongoing, replayed.ongoing);
        assert_eq!(self.it.shard.partitions, replayed.partitions);
        assert_eq!(self.it.shard.id_bytes, replayed.id_bytes);
    }

    fn initialized(&mut self, client: usize, (code, id, epoch): (i16, i64, i16), anew: bool) {
        if code != NONE {
            assert_eq!((id, epoch), (-1, -1));
            return;
        }
        let me = producer(id, epoch);
        if anew {
            for other in (0..CLIENTS).filter(|other| Self::id(*other) == Self::id(client)) {
                if let Some(knows) = &mut self.clients[other] {
                    assert!(
                        knows.producer < me || knows.producer.id != me.id,
                        "{knows:?} has what {me:?} gets"
                    );
                    knows.is_fenced = true;
                }
            }
        }
        self.clients[client] = Some(Knows { producer: me, is_fenced: false });
    }

    fn run(&mut self, step: &Step) {
        let appended = self.it.log.len();
        match *step {
            Step::Init { client } => {
                let answer = self.it.init(Self::id(client));
                self.initialized(client, answer, true);
            }
            Step::InitAs { client } => {
                let Some(knows) = self.clients[client] else { return };
                let answer = self.it.init_as(Self::id(client), knows.producer);
                assert!(!knows.is_fenced || answer.0 != NONE, "a fenced producer got another epoch");
                self.initialized(client, answer, false);
            }
            Step::Add { client, partition, version } => {
                let Some(knows) = self.clients[client] else { return };
                let topics: &[(&str, &[i32])] = &[("t", &[partition])];
                let codes = self.it.add_by(version, Self::id(client), knows.producer, topics, false);
                assert!(!knows.is_fenced || codes[0].1[0].1 != NONE, "a fenced producer added a partition");
            }
            Step::Offsets { client } => {
                let Some(knows) = self.clients[client] else { return };
                let code = self.it.add_offsets(3, Self::id(client), knows.producer, "group");
                assert!(!knows.is_fenced || code != NONE, "a fenced producer added offsets");
            }
            Step::End { client, commit, version } => {
                let Some(knows) = self.clients[client] else { return };
                let (code, id, epoch) = self.it.end_by(version, Self::id(client), knows.producer, commit);
                if code != NONE {
                    assert_eq!(self.it.log.len(), appended);
                    return;
                }
                self.look();
                let last = self.told[Self::id(client)].last.as_ref().unwrap();
                let expected = if commit { [2, 4] } else { [3, 5] };
                assert!(expected.contains(&last.transaction_status), "{last:?} is not what was answered");
                assert!(!knows.is_fenced, "a fenced producer ended a transaction");
                if version >= 5 {
                    self.clients[client] = Some(Knows { producer: producer(id, epoch), ..knows });
                }
            }
            Step::Markers { which } => {
                if !self.it.markers.is_empty() {
                    let which = which % self.it.markers.len();
                    self.it.markers.swap(0, which);
                    self.it.write_markers();
                }
            }
            Step::Stale { which } => {
                self.look();
                if let Some(markers) = self.asked.get(which % self.asked.len().max(1)).cloned() {
                    let known = |it: &Markers| {
                        (&it.transactional_id, it.producer) == (&markers.transactional_id, markers.producer)
                    };
                    // By the old protocol two transactions have the same epoch: their markers can't be told apart, and the
                    // shell doesn't mix them up, as it drops what it has when it has told that they are written.
                    if !self.it.markers.iter().any(known) {
                        self.it.written(&markers.transactional_id, markers.producer);
                        assert_eq!(
                            self.it.log.len(),
                            appended,
                            "markers of another transaction were taken for this one's"
                        );
                    }
                }
            }
            Step::Pass { seconds } => self.it.pass(Duration::from_secs(seconds)),
            Step::Crash => self.it.reload(),
            Step::ProducerIds { are_there } => self.it.has_producer_ids = are_there,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        world.check();
        for step in &steps {
            world.run(step);
            world.check();
        }
        // In the end everything that was decided is carried out, and the ids may be used.
        world.it.has_producer_ids = true;
        while !world.it.markers.is_empty() {
            world.it.write_markers();
        }
        for id in IDS {
            let mut answer = world.it.init(id);
            if answer.0 == ResponseError::ConcurrentTransactions.code() {
                world.it.write_markers();
                answer = world.it.init(id);
            }
            prop_assert_eq!(answer.0, NONE);
        }
        world.check();
    }
}
