//! `fsck` on folders that a real broker has filled: nothing is found in what is whole, and each kind of damage where it
//! was done, and nowhere else.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod live;
mod support;

use levee_base::{BrokerEpoch, Clock, Random};
use levee_broker::fsck::{Finding, Part, Problem, Severity, Verdict, repair};
use levee_meta::ObjectName;
use levee_object::{Key, stores};
use std::fs;
use std::path::Path;
use support::{BATCHES, End, Object, RECORDS, check_folder, damage, filled, keys};

/// Finds exactly one thing.
fn the_one(folder: &Path) -> Finding {
    let report = check_folder(folder, false);
    assert_eq!(report.verdict, Verdict::Damaged);
    let found = damage(&report);
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

fn assert_clean(folder: &Path) {
    for quick in [false, true] {
        let report = check_folder(folder, quick);
        let unexpected: Vec<_> =
            report.findings.iter().filter(|finding| finding.problem != Problem::Garbage).collect();
        assert_eq!(unexpected, Vec::<&Finding>::new());
        assert_eq!((report.verdict, report.complete), (Verdict::Clean, true));
        assert_eq!(report.counts.blocks > 0, !quick);
        assert!(quick || report.counts.batches >= 2 * BATCHES, "{:?}", report.counts);
    }
}

#[test]
fn what_a_broker_leaves_is_clean_however_it_ended() {
    let ended = filled(End::InOrder, 8);
    assert_clean(ended.path());
    let report = check_folder(ended.path(), false);
    assert!(report.counts.objects > 0 && report.counts.log_objects == 0, "{:?}", report.counts);
    assert!(
        !keys(ended.path(), "data").is_empty(),
        "something was gathered, or the test shows less than it should"
    );
    assert!(report.counts.fences >= 2 && report.counts.partitions == 2);

    let killed = filled(End::Killed, 4_096);
    assert_clean(killed.path());
    let report = check_folder(killed.path(), false);
    assert!(report.counts.log_objects >= 20, "{:?}", report.counts);
    assert_eq!(report.counts.batches, 2 * BATCHES, "each once");
}

#[test]
fn one_changed_byte_is_found_where_it_is_and_nothing_else() {
    let folder = filled(End::InOrder, 8);
    let folder = folder.path();
    let gathered = keys(folder, "data").into_iter().next().unwrap();
    let promoted = registered_in_place(folder);
    for key in [gathered, promoted] {
        let object = Object::read(folder, &key);
        let whole = |found: &Finding| {
            assert_eq!((found.key.as_deref(), found.problem), (Some(&*key), Problem::Corrupt), "{found:?}");
            assert!(!found.affected.is_empty() && !found.give_up.is_empty(), "{found:?}");
        };
        let index_at = (object.header.index.start + object.header.index.end) / 2;
        for (at, part) in
            [(3, Part::Header), (300, Part::Header), (3_000, Part::Header), (index_at, Part::Index)]
        {
            let found = object.flipped(at, || the_one(folder));
            whole(&found);
            assert_eq!(found.part, Some(part), "byte {at}");
        }
        let block = object.index.blocks.last().unwrap();
        let found = object.flipped(block.position + u64::from(block.bytes) / 2, || the_one(folder));
        whole(&found);
        assert_eq!(found.part, Some(Part::Block));
        let (from, to) = (block.offsets.start.0, block.offsets.end.0);
        assert_eq!(found.affected.iter().map(|one| (one.from, one.to)).collect::<Vec<_>>(), [(from, to)]);
        // Blocks are not read.
        let quick = object.flipped(block.position, || check_folder(folder, true).verdict);
        assert_eq!(quick, Verdict::Clean);
        let short = object.bytes[..object.header.index.start as usize - 1].to_vec();
        let found = object.changed(&short, || the_one(folder));
        assert_eq!(found.part, Some(Part::Index), "cut short");
    }
    assert_clean(folder);
}

/// An object of the write-ahead log of which a long run was registered where it lies.
fn registered_in_place(folder: &Path) -> String {
    let found = keys(folder, "wal").into_iter().find(|key| {
        let lost = fs::read(folder.join(key)).unwrap();
        fs::remove_file(folder.join(key)).unwrap();
        let report = check_folder(folder, true);
        fs::write(folder.join(key), lost).unwrap();
        damage(&report).iter().any(|finding| !finding.affected.is_empty())
    });
    found.expect("long batches are promoted")
}

#[test]
fn a_batch_that_is_wrong_under_a_right_checksum_is_found() {
    let folder = filled(End::Killed, 4_096);
    let key = keys(folder.path(), "wal").into_iter().nth(5).unwrap();
    let object = Object::read(folder.path(), &key);
    let block = &object.index.blocks[0];
    let mut changed = object.bytes.clone();
    changed[block.position as usize + 80] ^= 1;
    // The first block's checksum, and then the index's.
    let at = object.header.index.start as usize;
    let crc = crc32c::crc32c(&changed[block.position as usize..block.range().end as usize]);
    changed[at + 32 + 36..at + 32 + 40].copy_from_slice(&crc.to_le_bytes());
    let end = object.header.index.end as usize;
    let crc = crc32c::crc32c(&changed[at..end - 4]);
    changed[end - 4..end].copy_from_slice(&crc.to_le_bytes());
    let found = object.changed(&changed, || the_one(folder.path()));
    assert_eq!((found.part, found.key.as_deref()), (Some(Part::Batch), Some(&*key)));
    let first = block.offsets.start.0;
    assert_eq!((found.affected[0].from, found.affected[0].to), (first, first + RECORDS));
}

#[test]
fn an_object_that_is_gone_is_missed_with_its_offsets() {
    let folder = filled(End::InOrder, 8);
    let key = keys(folder.path(), "data").into_iter().next().unwrap();
    let object = Object::read(folder.path(), &key);
    fs::remove_file(&object.path).unwrap();
    let found = the_one(folder.path());
    assert_eq!((found.problem, found.key.as_deref()), (Problem::Missing, Some(&*key)));
    let lost: u64 = found.affected.iter().map(|one| one.to - one.from).sum();
    let held: u64 = object.index.blocks.iter().map(|block| block.offsets.end.0 - block.offsets.start.0).sum();
    assert_eq!(lost, held);
    assert!(found.affected.iter().all(|one| one.topic == "flights"));
    let end = found.affected.last().unwrap().to;
    assert!(found.give_up.iter().any(|one| one.command.contains(&format!("\"offset\":{end}"))), "{found:#?}");
}

#[test]
fn fences_and_metadata_are_checked() {
    let folder = filled(End::InOrder, 8);
    let folder = folder.path();
    let fence = keys(folder, "wal").pop().unwrap();
    let bytes = fs::read(folder.join(&fence)).unwrap();
    assert_eq!(bytes.len(), 256);
    fs::remove_file(folder.join(&fence)).unwrap();
    let found = the_one(folder);
    assert_eq!((found.problem, found.part), (Problem::Missing, Some(Part::Fence)));
    fs::write(folder.join(&fence), &bytes).unwrap();

    let entry = keys(folder, "journal").pop().unwrap();
    let bytes = fs::read(folder.join(&entry)).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(folder.join(&entry), changed).unwrap();
    let report = check_folder(folder, false);
    assert!(!report.complete && report.orphans.is_empty());
    let found = damage(&report);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].part, found[0].key.as_deref()), (Some(Part::Metadata), Some(&*entry)));
    fs::write(folder.join(&entry), bytes).unwrap();
    assert_clean(folder);
}

#[test]
fn a_hole_in_an_open_log_counts_when_no_writer_leaves_one() {
    let folder = filled(End::Killed, 4_096);
    let slots = keys(folder.path(), "wal");
    assert!(slots.len() > 20, "{slots:?}");
    let hide = |key: &str, look: &dyn Fn()| {
        let bytes = fs::read(folder.path().join(key)).unwrap();
        fs::remove_file(folder.path().join(key)).unwrap();
        look();
        fs::write(folder.path().join(key), bytes).unwrap();
    };
    hide(&slots[2], &|| {
        let found = the_one(folder.path());
        assert_eq!((found.problem, found.key.as_deref()), (Problem::Missing, Some(&*slots[2])));
    });
    // So near to the end it may never have been answered.
    hide(&slots[slots.len() - 2], &|| assert_eq!(check_folder(folder.path(), false).verdict, Verdict::Clean));
    // An object that was swapped for another of the same log.
    let (one, two) =
        (Object::read(folder.path(), &slots[2]), fs::read(folder.path().join(&slots[4])).unwrap());
    let found = one.changed(&two, || the_one(folder.path()));
    assert_eq!((found.problem, found.part), (Problem::Corrupt, Some(Part::Header)));
}

#[test]
fn orphans_are_deleted_and_nothing_else() {
    let folder = filled(End::InOrder, 8);
    let data = keys(folder.path(), "data").into_iter().next().unwrap();
    let ObjectName::Data { epoch, .. } = ObjectName::from_key(&Key::new(&data).unwrap()).unwrap() else {
        panic!("{data}");
    };
    let orphan = ObjectName::Data { epoch, number: 999 };
    let nobodys = ObjectName::Data { epoch: BrokerEpoch(1 << 40), number: 0 };
    let foreign = folder.path().join("notes/read-me.txt");
    for path in [
        folder.path().join(orphan.key().as_str()),
        folder.path().join(nobodys.key().as_str()),
        foreign.clone(),
    ] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "anything").unwrap();
    }
    let report = check_folder(folder.path(), false);
    assert_eq!(report.verdict, Verdict::Clean, "waste is no damage");
    let of = |problem| report.findings.iter().filter(move |finding| finding.problem == problem).count();
    assert_eq!((of(Problem::Orphan), of(Problem::Foreign)), (1, 2), "{:#?}", report.findings);
    assert!(report.findings.iter().all(|finding| finding.severity != Severity::Damage));
    assert_eq!(report.orphans, [(orphan, 8)]);

    let before = keys(folder.path(), "");
    // As if somebody had put what is referred to, and what may be, on the list too.
    let referred = ObjectName::from_key(&Key::new(&data).unwrap()).unwrap();
    let repaired = repaired(folder.path(), &[(orphan, 8), (referred, 8), (nobodys, 8)]);
    assert_eq!(repaired.deleted, [orphan]);
    assert_eq!(repaired.left.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [referred, nobodys]);
    let mut after = keys(folder.path(), "");
    after.push(orphan.key().to_string());
    after.sort();
    assert_eq!(after, before);
    assert!(foreign.exists());
}

#[test]
fn what_a_live_broker_may_be_writing_is_no_orphan() {
    let folder = filled(End::Killed, 8);
    let wal = keys(folder.path(), "wal").pop().unwrap();
    let ObjectName::Wal { epoch, .. } = ObjectName::from_key(&Key::new(&wal).unwrap()).unwrap() else {
        panic!("{wal}");
    };
    let making = ObjectName::Data { epoch, number: 999 };
    let before = check_folder(folder.path(), false).counts.in_the_making;
    let path = folder.path().join(making.key().as_str());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "half").unwrap();
    assert_clean(folder.path());
    let report = check_folder(folder.path(), false);
    assert_eq!((report.counts.in_the_making, report.orphans.len()), (before + 1, 0));
    assert_eq!(repaired(folder.path(), &[(making, 4)]).deleted, []);
    assert!(path.exists());
}

fn repaired(folder: &Path, orphans: &[(ObjectName, u64)]) -> levee_broker::fsck::Repaired {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (clock, random) = (Clock::system(), Random::from_entropy());
        let store = stores::open(folder.to_str().unwrap(), clock, &random).unwrap().store;
        repair(store, orphans, clock, &random).await.unwrap()
    })
}
