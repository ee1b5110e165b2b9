//! What can be found: how bad it is, where, which records it is about, and what a person can do.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something that was acknowledged can't be read, or may not be readable after the next start.
    Damage,
    /// Room that is taken for nothing.
    Waste,
    /// Worth knowing; nothing depends on it.
    Note,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// It is there and is not what it should be.
    Corrupt,
    /// It is referred to and not there.
    Missing,
    /// Offsets or slots don't go on where those before end.
    Discontinuous,
    /// A count that does not agree with what it counts.
    Miscounted,
    /// Nothing refers to it and nothing ever will, and the metadata doesn't know of it.
    Orphan,
    /// Nothing refers to it any more; a broker deletes it when it gets to it.
    Garbage,
    /// It is no object of Levee's layout, or of a maker that the metadata doesn't know.
    Foreign,
}

/// Which part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The first 4 KiB.
    Header,
    /// The index.
    Index,
    /// A block of batches.
    Block,
    /// A record batch.
    Batch,
    /// A checkpoint of a partition's other state.
    Checkpoint,
    /// A fence: all of such an object.
    Fence,
    /// An entry of the metadata journal, or one of its snapshots.
    Metadata,
}

/// Records that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Affected {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The first offset.
    pub from: u64,
    /// The offset after the last.
    pub to: u64,
    /// The first offset that the partition keeps.
    pub start: u64,
}

/// How to go on without records that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GiveUp {
    /// A command for a shell. BROKER stands for the address of a running one.
    pub command: String,
    /// What it deletes, in words.
    pub loses: String,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub problem: Problem,
    /// With which object; the metadata itself has none.
    pub key: Option<String>,
    /// In which part of it.
    pub part: Option<Part>,
    /// Its length, where that is known.
    pub bytes: Option<u64>,
    /// In words.
    pub detail: String,
    /// Records that can't be read, or are in doubt.
    pub affected: Vec<Affected>,
    /// What a person can do.
    pub remedy: String,
    /// And if that is not possible.
    pub give_up: Vec<GiveUp>,
}

impl Finding {
    /// Damage to `key`.
    pub(super) fn damage(problem: Problem, key: impl ToString, part: Part, detail: impl ToString) -> Self {
        let (key, detail) = (Some(key.to_string()), detail.to_string());
        Self::new(Severity::Damage, problem, key, Some(part), detail, Vec::new())
    }

    /// With a remedy that follows from the rest.
    pub(super) fn new(
        severity: Severity,
        problem: Problem,
        key: Option<String>,
        part: Option<Part>,
        detail: String,
        affected: Vec<Affected>,
    ) -> Self {
        let remedy = remedy(severity, problem, part, &affected);
        let give_up = if severity == Severity::Damage { give_up(&affected) } else { Vec::new() };
        Self { severity, problem, key, part, bytes: None, detail, affected, remedy, give_up }
    }

    pub(super) fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    pub(super) fn with_remedy(mut self, remedy: impl ToString) -> Self {
        self.remedy = remedy.to_string();
        self
    }
}

/// What a person can do.
fn remedy(severity: Severity, problem: Problem, part: Option<Part>, affected: &[Affected]) -> String {
    let restore =
        "Restore the object under its key: an earlier version, where the bucket keeps versions, or a backup";
    match (severity, problem) {
        (_, Problem::Orphan) => {
            "A running broker deletes it within an hour or so; `levee fsck --repair` does it now".to_owned()
        }
        (_, Problem::Garbage) => "A running broker deletes it; nothing is to be done".to_owned(),
        (Severity::Note, Problem::Corrupt | Problem::Missing) => {
            "Nothing is to be done: no offset that is kept depends on it".to_owned()
        }
        (_, Problem::Foreign) => "Levee never touches it: move it elsewhere if it is not wanted".to_owned(),
        (_, Problem::Miscounted) => {
            "The metadata contradicts itself, which is a fault of Levee: keep the journal as it is and report it"
                .to_owned()
        }
        _ if part == Some(Part::Metadata) || part == Some(Part::Fence) => format!("{restore}, before a broker is started"),
        _ if affected.is_empty() => format!("{restore}, before a broker is started"),
        _ => restore.to_owned(),
    }
}

/// The commands that move partitions' starts beyond what is lost, and what goes with it.
fn give_up(affected: &[Affected]) -> Vec<GiveUp> {
    let mut ends: Vec<Affected> = Vec::new();
    for one in affected.iter().filter(|one| one.from < one.to) {
        let same = |known: &&mut Affected| known.topic == one.topic && known.partition == one.partition;
        match ends.iter_mut().find(same) {
            Some(known) => known.to = one.to.max(known.to),
            None => ends.push(one.clone()),
        }
    }
    let give_up = |one: Affected| {
        let Affected { topic, partition, to, start, .. } = one;
        let json = format!(
            r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":{partition},"offset":{to}}}]}}"#
        );
        GiveUp {
            command: format!(
                "echo '{json}' > beyond.json && kafka-delete-records.sh --bootstrap-server BROKER \
                 --offset-json-file beyond.json"
            ),
            loses: format!("offsets {start} to {to} of {topic}-{partition}, those that can be read too"),
        }
    };
    ends.into_iter().map(give_up).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_up_names_the_command_and_what_goes_with_it() {
        let lost = |from, to| Affected { topic: "flights".to_owned(), partition: 3, from, to, start: 5 };
        let finding = Finding::new(
            Severity::Damage,
            Problem::Missing,
            Some("data/1/2".to_owned()),
            None,
            String::new(),
            vec![lost(10, 20), lost(40, 70)],
        );
        assert_eq!(finding.give_up.len(), 1, "one command for each partition");
        let GiveUp { command, loses } = &finding.give_up[0];
        assert!(command.contains(r#"{"topic":"flights","partition":3,"offset":70}"#), "{command}");
        assert_eq!(loses, "offsets 5 to 70 of flights-3, those that can be read too");
    }

    #[test]
    fn only_what_harms_records_is_to_be_given_up() {
        let metadata = Finding::damage(Problem::Corrupt, "journal/1/2", Part::Metadata, "its checksum");
        assert!(metadata.remedy.starts_with("Restore") && metadata.give_up.is_empty());
        let orphan = Finding::new(Severity::Waste, Problem::Orphan, None, None, String::new(), vec![]);
        assert!(orphan.remedy.contains("--repair"));
        let checkpoint = Affected { topic: "t".to_owned(), partition: 0, from: 7, to: 7, start: 0 };
        let finding =
            Finding::new(Severity::Damage, Problem::Corrupt, None, None, String::new(), vec![checkpoint]);
        assert_eq!(finding.give_up, [], "no record is lost with a checkpoint");
    }
}
