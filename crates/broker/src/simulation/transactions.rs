//! What clients know of their transactions, and of the offsets that they committed for groups.
//!
//! What becomes of a transaction is learned from whatever says so first: the answer to EndTxn, a marker that is durable,
//! records or offsets that are shown to those who want what is committed. All that comes later must say the same.

use std::collections::{BTreeMap, BTreeSet};

/// One transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    producer: (i64, i16),
    /// Before this, in Unix milliseconds, nobody but its client may end it.
    expires_ms: i64,
    /// Whether its client asked for it to be committed.
    asked: bool,
    committed: Option<bool>,
}

/// An offset that was sent.
#[derive(Debug)]
struct Sent {
    transaction: Option<usize>,
    acknowledged: bool,
}

/// What a group committed for one partition: numbers that go up, so that what is committed may not go back.
#[derive(Debug)]
struct Offsets {
    sent: BTreeMap<i64, Sent>,
    /// The largest that was shown, or -1.
    shown: i64,
}

/// Everything that clients know.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    all: Vec<Transaction>,
    /// The ids and epochs that producers were given.
    producers: BTreeSet<(i64, i16)>,
    offsets: BTreeMap<(String, i32), Offsets>,
    /// Offsets of groups that were shown.
    pub(super) fetched: usize,
}

impl Transactions {
    /// A client was given this producer id and epoch.
    pub(super) fn given(&mut self, producer: (i64, i16)) -> Result<(), String> {
        let older = self.producers.range((producer.0, i16::MIN)..(producer.0, i16::MAX)).next_back();
        if older.is_some_and(|older| *older >= producer) {
            return Err(format!("{producer:?} was given to a producer after {older:?}"));
        }
        self.producers.insert(producer);
        Ok(())
    }

    /// A client begins a transaction, which it may take so long for.
    pub(super) fn begin(&mut self, producer: (i64, i16), now_ms: i64, timeout_ms: i64) -> usize {
        let expires_ms = now_ms + timeout_ms;
        self.all.push(Transaction { producer, expires_ms, asked: false, committed: None });
        self.all.len() - 1
    }

    /// Whether a transaction may have been ended by its coordinator by now.
    pub(super) fn may_be_over(&self, transaction: usize, now_ms: i64) -> bool {
        now_ms >= self.all[transaction].expires_ms
    }

    /// A client is about to ask for a transaction to be committed.
    pub(super) fn asks_for_commit(&mut self, transaction: usize) {
        self.all[transaction].asked = true;
    }

    /// Whether it was committed, so far as is known.
    pub(super) fn committed(&self, transaction: usize) -> Option<bool> {
        self.all[transaction].committed
    }

    /// Something says what became of a transaction.
    pub(super) fn decided(&mut self, transaction: usize, commit: bool, who: &str) -> Result<(), String> {
        let known = &mut self.all[transaction];
        let told = if commit { "committed" } else { "aborted" };
        if commit && !known.asked {
            return Err(format!("{known:?} is {told} by {who}, and nobody asked for that"));
        }
        if known.committed.is_some_and(|before| before != commit) {
            return Err(format!("{known:?} is {told} by {who}"));
        }
        known.committed = Some(commit);
        Ok(())
    }

    /// Whether `marker`, of a producer's id and epoch, may end a transaction, if it is known of which.
    pub(super) fn may_end(&self, marker: (i64, i16), transaction: Option<usize>) -> Result<(), String> {
        let known = self.producers.range((marker.0, i16::MIN)..=(marker.0, i16::MAX)).next().is_some();
        let newer = transaction.is_none_or(|one| self.all[one].producer.1 <= marker.1);
        if known && newer { Ok(()) } else { Err(format!("{marker:?} has a marker: {transaction:?}")) }
    }

    /// An offset is about to be committed.
    pub(super) fn sends(&mut self, group: &str, partition: i32, offset: i64, transaction: Option<usize>) {
        let offsets = self.offsets.entry((group.to_owned(), partition));
        let offsets = offsets.or_insert_with(|| Offsets { sent: BTreeMap::new(), shown: -1 });
        offsets.sent.entry(offset).or_insert(Sent { transaction, acknowledged: false });
    }

    /// An offset was taken.
    pub(super) fn taken(&mut self, group: &str, partition: i32, offset: i64) {
        let sent = self.offsets.get_mut(&(group.to_owned(), partition));
        sent.and_then(|one| one.sent.get_mut(&offset)).expect("it was sent").acknowledged = true;
    }

    /// The least that a group's offset can be now; of those in transactions only as `stable` ones are asked for.
    pub(super) fn least(&self, group: &str, partition: i32, stable: bool) -> i64 {
        let Some(offsets) = self.offsets.get(&(group.to_owned(), partition)) else { return -1 };
        let counts = |sent: &Sent| {
            let committed = sent.transaction.is_none_or(|one| stable && self.committed(one) == Some(true));
            sent.acknowledged && committed
        };
        let last = offsets.sent.iter().rfind(|(_, sent)| counts(sent)).map_or(-1, |(offset, _)| *offset);
        last.max(offsets.shown)
    }

    /// A group's offset was shown, where it could be no less than `least`.
    pub(super) fn shown(
        &mut self,
        group: &str,
        partition: i32,
        offset: i64,
        least: i64,
    ) -> Result<(), String> {
        if offset < least {
            return Err(format!("{group}'s offset of {partition} is {offset}, and was {least}"));
        }
        self.fetched += 1;
        if offset < 0 {
            return Ok(());
        }
        let offsets = self.offsets.get_mut(&(group.to_owned(), partition));
        let sent = offsets.and_then(|offsets| {
            offsets.shown = offsets.shown.max(offset);
            offsets.sent.get(&offset)
        });
        match sent.map(|sent| sent.transaction) {
            Some(Some(transaction)) => self.decided(transaction, true, "an offset that is shown"),
            Some(None) => Ok(()),
            None => Err(format!("nobody committed {group}'s offset {offset} of {partition}")),
        }
    }

    /// How many were committed, and how many aborted.
    pub(super) fn ended(&self) -> (usize, usize) {
        let count = |commit| self.all.iter().filter(|one| one.committed == Some(commit)).count();
        (count(true), count(false))
    }
}
