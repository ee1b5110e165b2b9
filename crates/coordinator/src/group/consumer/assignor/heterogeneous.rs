//! `uniform` for members with different subscriptions: what a member had and may have it keeps; what is free goes to
//! whoever of a topic's subscribers has the least; then, topic by topic, partitions go from those who have the most to
//! those who have the least, until that helps no more.

use super::{Assignment, GroupSpec, MemberSpec, give};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use uuid::Uuid;

/// How often all topics are balanced at most. Where all subscribers of a topic have the same subscriptions, once is
/// enough; where subscriptions overlap, each round about halves what is out of balance.
const ROUNDS: usize = 16;

/// See the module's text.
pub(super) fn assign(group: &GroupSpec<'_>) -> Assignment {
    let mut builder = Builder::new(group);
    builder.retain();
    builder.assign_free();
    builder.balance();
    builder.assignment()
}

/// Members are numbered; so an owner is a number.
struct Builder<'a, 'g> {
    group: &'g GroupSpec<'a>,
    members: Vec<(&'a str, &'g MemberSpec<'a>)>,
    /// Who subscribes to a topic, ascending.
    subscribers: BTreeMap<Uuid, Vec<usize>>,
    /// How many partitions each member has so far.
    sizes: Vec<usize>,
    /// Whose each partition of a topic is so far.
    owners: BTreeMap<Uuid, Vec<Option<usize>>>,
}

impl<'a, 'g> Builder<'a, 'g> {
    fn new(group: &'g GroupSpec<'a>) -> Self {
        let members: Vec<_> = group.members.iter().map(|(&id, member)| (id, member)).collect();
        let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        for (number, (_, member)) in members.iter().enumerate() {
            for &topic in member.topics.iter() {
                subscribers.entry(topic).or_default().push(number);
            }
        }
        let owners = subscribers
            .keys()
            .map(|&topic| (topic, vec![None; group.partitions(topic).max(0) as usize]))
            .collect();
        Self { group, sizes: vec![0; members.len()], members, subscribers, owners }
    }

    fn retain(&mut self) {
        for (number, (_, member)) in self.members.iter().enumerate() {
            for (topic, partitions) in self.group.retained(member) {
                let Some(owners) = self.owners.get_mut(&topic) else { continue };
                for &partition in partitions {
                    let owner = &mut owners[partition as usize];
                    if owner.is_none() {
                        *owner = Some(number);
                        self.sizes[number] += 1;
                    }
                }
            }
        }
    }

    /// Topics with the most partitions a subscriber first, then with the fewest subscribers.
    fn sorted(&self, topics: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
        let key = |topic: &Uuid| {
            let partitions = self.group.partitions(*topic).max(0) as u64;
            (partitions, self.subscribers.get(topic).map_or(1, Vec::len) as u64)
        };
        let order = |a: &Uuid, b: &Uuid| -> Ordering {
            let ((a_partitions, a_members), (b_partitions, b_members)) = (key(a), key(b));
            let by_share = (b_partitions * a_members).cmp(&(a_partitions * b_members));
            by_share.then(a_members.cmp(&b_members)).then(a.cmp(b))
        };
        let mut topics: Vec<Uuid> = topics.collect();
        topics.sort_by(order);
        topics
    }

    fn assign_free(&mut self) {
        let has_free = |owners: &[Option<usize>]| owners.contains(&None);
        let topics = self.owners.iter().filter(|(_, owners)| has_free(owners)).map(|(&topic, _)| topic);
        for topic in self.sorted(topics) {
            let mut balancer = Balancer::new(&self.subscribers[&topic], &self.sizes);
            for partition in 0..self.owners[&topic].len() {
                if self.owners[&topic][partition].is_none() {
                    let to = balancer.next_least_loaded(&self.sizes);
                    self.give(topic, partition, to);
                }
            }
        }
    }

    fn balance(&mut self) {
        // Where only one member subscribes, nothing can be moved.
        let shared = self.subscribers.iter().filter(|(_, members)| members.len() > 1);
        let topics = self.sorted(shared.map(|(&topic, _)| topic));
        let mut last_moved = None;
        for _ in 0..ROUNDS {
            for (at, &topic) in topics.iter().enumerate() {
                if last_moved == Some(at) {
                    // A whole round without a move.
                    return;
                }
                let moved = self.balance_topic(topic);
                if moved || last_moved.is_none() {
                    last_moved = Some(at);
                }
            }
        }
    }

    /// Returns whether a partition was moved.
    fn balance_topic(&mut self, topic: Uuid) -> bool {
        let mut balancer = Balancer::new(&self.subscribers[&topic], &self.sizes);
        if balancer.spread(&self.sizes) <= 1 {
            return false;
        }
        // What each member has of this topic; the last is given away first.
        let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in self.owners[&topic].iter().enumerate() {
            if let Some(owner) = owner {
                owned.entry(*owner).or_default().push(partition);
            }
        }
        let mut moved = false;
        while !balancer.is_balanced() {
            let giver = loop {
                let Some(giver) = balancer.next_most_loaded(&self.sizes) else { return moved };
                if let Some(partition) = owned.get_mut(&giver).and_then(Vec::pop) {
                    break Some(partition);
                }
                // It may be loaded by other topics.
                balancer.exclude_most_loaded();
            };
            let taker = balancer.next_least_loaded(&self.sizes);
            // Both sides may have come so near by this step that a move wouldn't help.
            if balancer.is_balanced() {
                return moved;
            }
            if let Some(partition) = giver {
                self.give(topic, partition, taker);
                moved = true;
            }
        }
        moved
    }

    fn give(&mut self, topic: Uuid, partition: usize, to: usize) {
        let Some(owner) = self.owners.get_mut(&topic).and_then(|owners| owners.get_mut(partition)) else {
            return;
        };
        if let Some(from) = owner.replace(to) {
            self.sizes[from] -= 1;
        }
        self.sizes[to] += 1;
    }

    fn assignment(&self) -> Assignment {
        let mut assignment = Assignment::new();
        for (&topic, owners) in &self.owners {
            for (partition, owner) in owners.iter().enumerate() {
                if let Some(owner) = owner {
                    give(&mut assignment, self.members[*owner].0, topic, partition as i32);
                }
            }
        }
        assignment
    }
}

/// A topic's subscribers by how many partitions they have, of which two ranges are worked on: from the left those with
/// the least, which grows to the right as its members are filled up to the level of their neighbour; from the right
/// those with the most, which grows to the left as its members are emptied. Whoever has nothing to give is put right of
/// the range.
struct Balancer {
    members: Vec<usize>,
    least_end: usize,
    /// The level that members of the left range are filled from.
    least_level: i64,
    next_least: usize,
    most_start: usize,
    most_end: usize,
    /// The level that members of the right range are emptied from.
    most_level: i64,
    /// The number of the next one to be emptied, plus 1.
    next_most: usize,
}

impl Balancer {
    /// Over at least one member.
    fn new(members: &[usize], sizes: &[usize]) -> Self {
        let mut members = members.to_vec();
        members.sort_by_key(|&member| (sizes[member], member));
        let level = |at: usize| members.get(at).map_or(0, |&member| sizes[member] as i64);
        Self {
            least_end: 0,
            least_level: level(0) - 1,
            next_least: 0,
            most_start: members.len(),
            most_end: members.len(),
            most_level: level(members.len() - 1) + 1,
            next_most: members.len(),
            members,
        }
    }

    /// How many more the fullest has than the emptiest.
    fn spread(&self, sizes: &[usize]) -> usize {
        let size = |member: Option<&usize>| member.map_or(0, |&member| sizes[member]);
        size(self.members.last()) - size(self.members.first())
    }

    fn level(&self, at: usize, sizes: &[usize]) -> i64 {
        sizes[self.members[at]] as i64
    }

    /// Who is to get the next partition.
    fn next_least_loaded(&mut self, sizes: &[usize]) -> usize {
        if self.next_least >= self.least_end {
            self.least_level += 1;
            while self.least_end < self.members.len() && self.level(self.least_end, sizes) == self.least_level
            {
                self.least_end += 1;
            }
            self.next_least = 0;
        }
        let member = self.members[self.next_least];
        self.next_least += 1;
        member
    }

    /// Who is to give the next partition; none if nobody is left who may have one.
    fn next_most_loaded(&mut self, sizes: &[usize]) -> Option<usize> {
        if self.next_most <= self.most_start {
            if self.most_end <= self.most_start && self.most_start > 0 {
                // All of the range were put aside: it begins anew with who is next.
                self.most_level = self.level(self.most_start - 1, sizes);
            } else {
                self.most_level -= 1;
            }
            while self.most_start > 0 && self.level(self.most_start - 1, sizes) == self.most_level {
                self.most_start -= 1;
            }
            self.next_most = self.most_end;
        }
        let at = self.next_most.checked_sub(1)?;
        self.next_most = at;
        Some(self.members[at])
    }

    /// Puts whom `next_most_loaded` has just named out of the range.
    fn exclude_most_loaded(&mut self) {
        self.members.swap(self.next_most, self.most_end - 1);
        self.most_end -= 1;
    }

    /// Whether both ranges are so near that moving partitions helps no more.
    const fn is_balanced(&self) -> bool {
        self.most_level - self.least_level <= 1
    }
}
