//! The folder store over files that lose power. One round of the simulation is one seed:
//!
//! 1. Actors create (two of them often the same keys), read and delete, until the process dies at some step.
//! 2. On the same machine a successor does the same for a while, until the power goes.
//! 3. A third one reads. What a create answered `Ok`, or a get returned, in 1 or 2, must be there, complete.
//!    Whatever else has a name must be complete as well.
//!
//! With any rule of the store broken, the same rounds must find a loss.

use super::core::Folder;
use super::reserve::Reserve;
use super::rules::{Rule, Rules};
use super::sim::{Filling, SimFiles, Trouble};
use crate::{ErrorKind, Key, Purpose};
use bytes::Bytes;
use levee_base::Random;
use levee_base::limits::PAGE;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

const SEEDS: u64 = 3_000;
/// Bytes of the simulated reserve.
const RESERVE: u64 = 64 * 1024;
const ROOM: u64 = 64 * 1024 * 1024;

/// What was promised, by key: its bytes must survive.
#[derive(Debug, Default)]
struct Ledger(Mutex<BTreeMap<Key, Option<Bytes>>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Option<Bytes>>> {
        self.0.lock().unwrap()
    }

    /// `bytes` were promised; promising others for the same key is wrong whatever the power does. A key that
    /// somebody tried to delete is promised to nobody.
    fn promise(&self, key: &Key, bytes: Bytes) {
        let mut promised = self.lock();
        let before = promised.entry(key.clone()).or_insert_with(|| Some(bytes.clone()));
        if let Some(before) = before {
            assert_eq!(*before, bytes, "two contents of {key}");
        }
    }

    fn release(&self, key: &Key) {
        self.lock().insert(key.clone(), None);
    }
}

/// Contents that tell whether they are complete: a length, then bytes that follow from it and the writer.
/// Whether they lie aligned in memory decides which operations write them, so the seed decides that, not the
/// allocator.
fn contents(length: usize, writer: u8, aligned: bool) -> Bytes {
    let memory = vec![writer; length + 5 + 2 * PAGE];
    let start = memory.as_ptr().align_offset(PAGE) + usize::from(!aligned);
    let mut memory = memory;
    memory[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    Bytes::from(memory).slice(start..start + length + 5)
}

fn is_complete(bytes: &Bytes) -> bool {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return false };
    rest.len() == u32::from_le_bytes(*head) as usize + 1 && rest[0] != 0 && rest.iter().all(|b| *b == rest[0])
}

fn act(folder: &Folder<SimFiles>, ledger: &Ledger, random: &Random, writer: u8) {
    const KEYS: [&str; 6] = ["a", "d/a", "d/b", "d/e/a", "f/g/h/a", "f/g/b"];
    for _ in 0..4 {
        let key = Key::new(KEYS[random.below(KEYS.len() as u64) as usize]).unwrap();
        match random.below(20) {
            0..11 => {
                let bytes = contents(random.below(9_000) as usize, writer, random.chance(0.5));
                match folder.create(&key, std::slice::from_ref(&bytes), Purpose::Wal) {
                    Ok(()) => ledger.promise(&key, bytes),
                    // The doubt read.
                    Err(_) if random.chance(0.7) => read(folder, ledger, &key),
                    Err(_) => {}
                }
            }
            11..19 => read(folder, ledger, &key),
            _ => {
                ledger.release(&key);
                let _ = folder.delete(&key);
            }
        }
    }
}

fn read(folder: &Folder<SimFiles>, ledger: &Ledger, key: &Key) {
    if let Ok(bytes) = folder.get(key, None) {
        ledger.promise(key, bytes);
    }
}

/// One round; what was lost, if anything.
fn round(seed: u64, broken: Option<Rule>) -> Result<(), String> {
    let rules = Rules { broken };
    let random = Random::seeded(seed);
    let ledger = Ledger::default();
    let mut disk = SimFiles::new(random.next_u64(), ROOM);
    let trouble = match random.below(3) {
        0 => Trouble::default(),
        1 => Trouble { sync: 0.1, other: 0.0 },
        _ => Trouble { sync: 0.05, other: 0.05 },
    };
    for life in 0..2_u8 {
        disk.plan(trouble, 20 + random.below(120));
        if let Ok(folder) = Folder::open(disk.clone(), RESERVE, rules) {
            let actor = |n: u8| {
                let (folder, ledger, random) = (&folder, &ledger, random.fork());
                Box::new(move || act(folder, ledger, &random, 1 + life * 8 + n)) as Box<dyn FnOnce() + Send>
            };
            disk.run((0..3).map(actor).collect());
        }
        disk = if life == 0 { disk.kill_process() } else { disk.lose_power() };
    }
    let folder = Folder::open(disk, RESERVE, Rules::default()).map_err(|error| error.to_string())?;
    for (key, promised) in ledger.lock().iter() {
        let found = folder.get(key, None);
        match (promised, &found) {
            (Some(promised), Ok(found)) if promised == found => {}
            (Some(promised), Ok(found)) => {
                let (was, is) = (promised.len(), found.len());
                return Err(format!(
                    "seed {seed}: {was} bytes of {key} were promised, {is} others are there"
                ));
            }
            (Some(_), Err(error)) => return Err(format!("seed {seed}: {key} was promised: {error}")),
            (None, _) => {}
        }
    }
    let page = folder.list("", None, 1_000).map_err(|error| error.to_string())?;
    for listed in page.objects {
        let bytes = folder.get(&listed.key, None).map_err(|error| error.to_string())?;
        if !is_complete(&bytes) {
            return Err(format!("seed {seed}: {} is torn", listed.key));
        }
    }
    Ok(())
}

#[test]
fn nothing_promised_is_lost() {
    for seed in 0..SEEDS {
        round(seed, None).unwrap();
    }
}

#[test]
fn a_seed_gives_the_same_round_again() {
    // Losses of a broken store are the most telling outcome there is.
    for seed in 0..500 {
        let outcome = || round(seed, Some(Rule::SyncFile));
        assert_eq!(outcome(), outcome());
    }
}

/// The simulation finds what breaking `rule` loses.
#[track_caller]
fn loses(rule: Rule) {
    let found = (0..SEEDS).find_map(|seed| round(seed, Some(rule)).err());
    eprintln!(
        "{rule:?} broken: {}",
        found.unwrap_or_else(|| panic!("{rule:?} broken, and nothing was lost"))
    );
}

#[test]
fn without_the_sync_of_the_file_data_is_lost() {
    loses(Rule::SyncFile);
}

#[test]
fn without_the_sync_of_the_directory_names_are_lost() {
    loses(Rule::SyncDirectory);
}

#[test]
fn without_the_sync_above_a_new_directory_all_in_it_is_lost() {
    loses(Rule::SyncAboveNewDirectory);
}

#[test]
fn without_the_sync_before_a_doubtful_read_what_was_read_is_lost() {
    loses(Rule::SyncBeforeDoubtfulRead);
}

#[test]
fn syncing_a_file_again_after_a_failed_sync_loses_it() {
    loses(Rule::AbandonAfterFailedSync);
}

#[test]
fn a_full_disk_can_be_emptied() {
    const SMALL: u64 = 16 * 1024 * 1024;
    let disk = SimFiles::new(1, SMALL);
    let folder = Folder::open(disk.clone(), 8 * 1024 * 1024, Rules::default()).unwrap();
    let key = |n: u64| Key::new("wal").unwrap().join_number(n);
    let block = [Bytes::from(vec![1; 1024 * 1024])];
    let mut written = 0;
    let full = loop {
        match folder.create(&key(written), &block, Purpose::Wal) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((full.kind, written), (ErrorKind::NoSpace, 8));
    // Metadata goes on from the reserve, records don't take what it freed.
    let journal = Key::new("journal/0").unwrap();
    folder.create(&journal, &block, Purpose::Journal).unwrap();
    let refused = folder.create(&key(written), &block, Purpose::Wal).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NoSpace);
    assert_eq!(folder.get(&key(0), None).unwrap(), block[0], "reads go on");
    // Once there is room for the reserve again, everybody may write. Simulated disks don't shrink, so the
    // room comes from a larger one.
    disk.resize(3 * SMALL);
    folder.delete(&key(0)).unwrap();
    folder.create(&key(written), &block, Purpose::Wal).unwrap();
    assert_eq!(folder.files().free_bytes_now(), 3 * SMALL - 8 * 1024 * 1024 - (written + 2) * 1024 * 1024);
}

#[test]
fn a_disk_that_can_set_no_room_aside_takes_records_until_it_is_full() {
    const MIB: u64 = 1024 * 1024;
    let disk = SimFiles::new(1, 4 * MIB);
    disk.set_filling(Filling { impossible: true, ..Filling::default() });
    let folder = Folder::open(disk, 8 * MIB, Rules::default()).unwrap();
    let key = |n: u64| Key::new("wal").unwrap().join_number(n);
    let block = [Bytes::from(vec![1; MIB as usize])];
    for n in 0..4 {
        folder.create(&key(n), &block, Purpose::Wal).unwrap();
    }
    assert_eq!(folder.create(&key(4), &block, Purpose::Wal).unwrap_err().kind, ErrorKind::NoSpace);
    folder.delete(&key(0)).unwrap();
}

#[test]
fn the_reserve_is_filled_by_one_however_many_delete() {
    const MIB: u64 = 1024 * 1024;
    let disk = SimFiles::new(1, 4 * MIB);
    let reserve = Reserve::open(&disk, 8 * MIB);
    assert!(!reserve.admits(&disk, Purpose::Wal, 1));
    disk.resize(64 * MIB);
    // So often that all eight would meet.
    disk.set_filling(Filling { yields: 100_000, ..Filling::default() });
    let all = std::sync::Barrier::new(8);
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                all.wait();
                reserve.refill(&disk);
            });
        }
    });
    assert_eq!(disk.filling().done, 1);
    assert!(reserve.admits(&disk, Purpose::Wal, 1));
}
