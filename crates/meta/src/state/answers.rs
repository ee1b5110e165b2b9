//! What makes a repeated command harmless: the answers to each sender's latest commands.
//!
//! A sender numbers its commands from 0 and has fewer of them in flight than answers are remembered, so every
//! repeat it may send finds its answer. A number below the window that isn't remembered is refused, never
//! applied: it may have been applied long ago.

use super::rules::Rules;
use crate::answer::Answer;
use crate::command::Sender;
use levee_base::BrokerEpoch;
use std::collections::BTreeMap;

/// The latest answers, by sender.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Answers {
    pub(crate) by_sender: BTreeMap<Sender, Window>,
}

/// The latest answers to one sender.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Window {
    /// Where in the journal, in commands, the sender was heard last.
    pub(crate) heard: u64,
    /// The answers by number.
    pub(crate) answers: BTreeMap<u64, Answer>,
}

/// What is known of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen<'a> {
    /// It is new.
    Never,
    /// It was applied before, and this was the answer.
    Answered(&'a Answer),
    /// It is so old that it can't be told.
    Forgotten,
}

impl Answers {
    pub(crate) fn seen(&self, rules: &Rules, sender: Sender, number: u64) -> Seen<'_> {
        let Some(window) = self.by_sender.get(&sender) else { return Seen::Never };
        if let Some(answer) = window.answers.get(&number) {
            return Seen::Answered(answer);
        }
        match window.answers.last_key_value() {
            Some((&newest, _)) if newest - newest.min(number) >= rules.answers => Seen::Forgotten,
            _ => Seen::Never,
        }
    }

    pub(crate) fn remember(&mut self, rules: &Rules, at: u64, sender: Sender, number: u64, answer: Answer) {
        let window = self.by_sender.entry(sender).or_default();
        window.heard = at;
        window.answers.insert(number, answer);
        let newest = window.answers.last_key_value().map_or(number, |(&newest, _)| newest);
        while let Some(oldest) = window.answers.first_entry()
            && newest - *oldest.key() >= rules.answers
        {
            oldest.remove();
        }
        if matches!(sender, Sender::Process(_)) {
            self.forget_processes(rules.processes);
        }
    }

    /// Forgets the processes that were heard longest ago, until `most` are left.
    fn forget_processes(&mut self, most: usize) {
        let processes = || self.by_sender.iter().filter(|(sender, _)| matches!(sender, Sender::Process(_)));
        if processes().count() > most
            && let Some((&sender, _)) = processes().min_by_key(|(_, window)| window.heard)
        {
            self.by_sender.remove(&sender);
        }
    }

    /// Forgets a broker: all it may still send is refused.
    pub(crate) fn forget_broker(&mut self, epoch: BrokerEpoch) {
        self.by_sender.remove(&Sender::Broker(epoch));
    }
}
