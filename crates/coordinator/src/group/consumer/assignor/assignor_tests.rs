//! What every assignment must be, whatever the group: properties, and Kafka's own examples.

use super::*;
use proptest::prelude::*;

/// A group: topics with their partitions, and members with their topics and what they had.
#[derive(Debug, Clone)]
struct Group {
    topics: Vec<i32>,
    members: BTreeMap<String, (Option<String>, BTreeSet<usize>, Partitions)>,
}

fn topic(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

impl Group {
    fn spec(&self) -> GroupSpec<'_> {
        let members: BTreeMap<_, _> = self
            .members
            .iter()
            .map(|(id, (instance_id, topics, assigned))| {
                let topics = Rc::new(topics.iter().copied().map(topic).collect());
                (id.as_str(), MemberSpec { instance_id: instance_id.as_deref(), topics, assigned })
            })
            .collect();
        let first = self.members.values().next().map(|(_, topics, _)| topics);
        GroupSpec {
            homogeneous: self.members.values().all(|(_, topics, _)| Some(topics) == first),
            members,
            topics: self.topics.iter().enumerate().map(|(number, &size)| (topic(number), size)).collect(),
        }
    }

    /// Makes an assignment, checks what always holds, and remembers it.
    fn assign(&mut self, assignor: Assignor) -> Assignment {
        let assignment = assignor.assign(&self.spec());
        let mut owners = BTreeMap::new();
        for (id, partitions) in &assignment {
            for (topic, partitions) in partitions {
                for partition in partitions {
                    let before = owners.insert((*topic, *partition), id);
                    assert_eq!(before, None, "{topic}-{partition} has two owners");
                    assert!(
                        self.spec().members[id.as_str()].topics.contains(topic),
                        "{id} didn't ask for {topic}"
                    );
                }
            }
        }
        for (number, &size) in self.topics.iter().enumerate() {
            let is_wanted = self.members.values().any(|(_, topics, _)| topics.contains(&number));
            for partition in 0..size {
                let owner = owners.get(&(topic(number), partition));
                assert_eq!(owner.is_some(), is_wanted, "{number}-{partition}");
            }
        }
        for (id, (_, _, assigned)) in &mut self.members {
            *assigned = assignment.get(id).cloned().unwrap_or_default();
        }
        assignment
    }

    fn sizes(&self) -> Vec<usize> {
        self.members.values().map(|(_, _, assigned)| size(assigned)).collect()
    }
}

fn size(partitions: &Partitions) -> usize {
    partitions.values().map(BTreeSet::len).sum()
}

fn all(partitions: &Partitions) -> BTreeSet<(Uuid, i32)> {
    partitions.iter().flat_map(|(topic, each)| each.iter().map(|partition| (*topic, *partition))).collect()
}

fn subset(of: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..of, 0..=of)
}

const TOPICS: usize = 4;

/// A step in the life of a group.
#[derive(Debug, Clone)]
enum Step {
    Join { id: u8, is_static: bool, topics: BTreeSet<usize> },
    Leave { at: usize },
    Grow { topic: usize, by: i32 },
}

fn step(topics: impl Strategy<Value = BTreeSet<usize>> + 'static) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), any::<bool>(), topics)
            .prop_map(|(id, is_static, topics)| Step::Join { id, is_static, topics }),
        2 => any::<usize>().prop_map(|at| Step::Leave { at }),
        1 => (0..TOPICS, 1..4).prop_map(|(topic, by)| Step::Grow { topic, by }),
    ]
}

fn live(group: &mut Group, step: Step) {
    match step {
        Step::Join { id, is_static, topics } => {
            let instance_id = is_static.then(|| format!("i{id}"));
            let assigned = group.members.remove(&format!("m{id}")).map(|(_, _, assigned)| assigned);
            group.members.insert(format!("m{id}"), (instance_id, topics, assigned.unwrap_or_default()));
        }
        Step::Leave { at } => {
            let ids: Vec<_> = group.members.keys().cloned().collect();
            if let Some(id) = at.checked_rem(ids.len()).map(|at| &ids[at]) {
                group.members.remove(id);
            }
        }
        Step::Grow { topic, by } => group.topics[topic] += by,
    }
}

fn sizes() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(0..12, TOPICS)
}

proptest! {
    /// Members with equal subscriptions get as many partitions, give or take one; nobody loses and gains at once; and
    /// doing it again changes nothing.
    #[test]
    fn uniform_is_balanced_and_sticky(
        topics in sizes(),
        wanted in subset(TOPICS),
        steps in prop::collection::vec(step(Just(BTreeSet::new())), 1..20),
    ) {
        let mut group = Group { topics, members: BTreeMap::new() };
        for step in steps {
            live(&mut group, step);
            for (_, topics, _) in group.members.values_mut() {
                topics.clone_from(&wanted);
            }
            let before = group.clone();
            group.assign(Assignor::Uniform);
            let sizes = group.sizes();
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            prop_assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= 1, "{:?}", sizes);
            for (id, (_, _, now)) in &group.members {
                let (had, has) = (all(&before.members[id].2), all(now));
                prop_assert!(had.is_subset(&has) || has.is_subset(&had), "{} lost and gained: {:?} {:?}", id, had, has);
            }
            let settled = group.members.clone();
            group.assign(Assignor::Uniform);
            prop_assert_eq!(&settled, &group.members);
        }
    }

    /// Whatever the subscriptions: nobody could give a partition to another who has two less and wants its topic, as
    /// long as the rounds suffice, which they do for so few topics; and doing it again changes nothing.
    #[test]
    fn uniform_is_balanced_for_different_subscriptions(
        topics in sizes(),
        steps in prop::collection::vec(step(subset(TOPICS)), 1..16),
    ) {
        let mut group = Group { topics, members: BTreeMap::new() };
        for step in steps {
            live(&mut group, step);
            let assignment = group.assign(Assignor::Uniform);
            let nothing = Partitions::new();
            let spec = group.spec();
            if spec.homogeneous {
                continue;
            }
            for (giver, partitions) in &assignment {
                for topic in partitions.keys() {
                    for (taker, member) in &spec.members {
                        let taken = size(assignment.get(*taker).unwrap_or(&nothing));
                        let fair = size(partitions) <= taken + 1 || !member.topics.contains(topic);
                        prop_assert!(fair, "{} should give {} to {}: {:?}", giver, topic, taker, assignment);
                    }
                }
            }
            let settled = group.members.clone();
            group.assign(Assignor::Uniform);
            prop_assert_eq!(&settled, &group.members);
        }
    }

    /// Each member gets one run of each of its topics, as long as everybody else's, give or take one.
    #[test]
    fn range_gives_ranges(
        topics in sizes(),
        steps in prop::collection::vec(step(subset(TOPICS)), 1..16),
    ) {
        let mut group = Group { topics, members: BTreeMap::new() };
        for step in steps {
            live(&mut group, step);
            let assignment = group.assign(Assignor::Range);
            for (number, &partitions) in group.topics.iter().enumerate() {
                let wanting = group.members.iter().filter(|(_, (_, topics, _))| topics.contains(&number));
                let parts: Vec<_> = wanting
                    .map(|(id, _)| assignment[id].get(&topic(number)).cloned().unwrap_or_default())
                    .collect();
                for part in &parts {
                    let least = partitions as usize / parts.len();
                    prop_assert!((least..=least + 1).contains(&part.len()));
                    if let (Some(first), Some(last)) = (part.first(), part.last()) {
                        prop_assert_eq!((last - first + 1) as usize, part.len());
                    }
                }
            }
        }
    }
}

fn group(topics: &[i32], members: &[(&str, Option<&str>, &[usize])]) -> Group {
    let members = members.iter().map(|(id, instance_id, topics)| {
        let instance_id = instance_id.map(str::to_owned);
        ((*id).to_owned(), (instance_id, topics.iter().copied().collect(), Partitions::new()))
    });
    Group { topics: topics.to_vec(), members: members.collect() }
}

fn shown(assignment: &Assignment) -> Vec<String> {
    let each =
        |(topic, partitions): (&Uuid, &BTreeSet<i32>)| format!("{}{partitions:?}", topic.as_u128() - 1);
    assignment
        .iter()
        .map(|(id, partitions)| {
            format!("{id}: {}", partitions.iter().map(each).collect::<Vec<_>>().join(" "))
        })
        .collect()
}

#[test]
fn a_new_member_takes_what_is_above_the_quota() {
    let mut group = group(&[3], &[("a", None, &[0])]);
    assert_eq!(shown(&group.assign(Assignor::Uniform)), ["a: 0{0, 1, 2}"]);
    let newcomer = (None, BTreeSet::from([0]), Partitions::new());
    group.members.insert("b".to_owned(), newcomer.clone());
    assert_eq!(shown(&group.assign(Assignor::Uniform)), ["a: 0{0, 1}", "b: 0{2}"]);
    // The one more that there is stays with whoever has it, though it isn't the first member.
    group.members.insert("0".to_owned(), newcomer);
    group.topics = vec![4];
    assert_eq!(shown(&group.assign(Assignor::Uniform)), ["0: 0{3}", "a: 0{0, 1}", "b: 0{2}"]);
}

#[test]
fn static_members_keep_their_place_in_ranges() {
    let mut group =
        group(&[4, 4], &[("z", Some("1"), &[0, 1]), ("a", None, &[0, 1]), ("b", Some("2"), &[0])]);
    let assignment = group.assign(Assignor::Range);
    assert_eq!(shown(&assignment), ["a: 0{3} 1{2, 3}", "b: 0{2}", "z: 0{0, 1} 1{0, 1}"]);
}

#[test]
fn nobody_and_nothing_is_assigned() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        assert_eq!(group(&[3], &[]).assign(assignor), Assignment::new());
        let empty = group(&[3], &[("a", None, &[]), ("b", None, &[])]).assign(assignor);
        assert!(empty.values().all(Partitions::is_empty));
    }
}
