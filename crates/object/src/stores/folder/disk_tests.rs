//! The kernel's files: what is staged, what is left over, and file systems that can do less.

use super::*;
use crate::stores::folder::file_system;

/// A folder on a disk: a system's temporary directory may be in memory, and then some of this is not shown.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let found = file_system(folder.path()).unwrap();
    assert!(!found.in_memory, "{} is on {}", folder.path().display(), found.name);
    folder
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_has_no_name_until_it_is_linked_however_it_is_staged() {
    for nameless in [true, false] {
        let folder = folder();
        let mut disk = Disk::open(folder.path()).unwrap();
        disk.nameless = nameless;
        disk.make_dir(&disk.root().unwrap(), "d").unwrap();
        let dir = disk.open_dir(&disk.root().unwrap(), "d").unwrap();
        let (kept, dropped) = (disk.stage(&dir).unwrap(), disk.stage(&dir).unwrap());
        assert_eq!(disk.entries(&dir).unwrap(), []);
        disk.link(&kept, &dir, "kept").unwrap();
        let taken = disk.link(&dropped, &dir, "kept").unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        drop((kept, dropped));
        assert_eq!(names(&folder.path().join("d")), ["kept"], "nothing staged is left");
    }
}

#[test]
fn what_a_predecessor_staged_is_swept_away() {
    let folder = folder();
    let mut disk = Disk::open(folder.path()).unwrap();
    disk.nameless = false;
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/.stage-1-7"), "left over").unwrap();
    std::fs::write(folder.path().join("d/object"), "stays").unwrap();
    let own = disk.stage(&disk.open_dir(&disk.root().unwrap(), "d").unwrap()).unwrap();
    disk.open_dir(&disk.root().unwrap(), "d").unwrap();
    assert_eq!(names(&folder.path().join("d")).len(), 2, "one's own is kept");
    drop(own);
    assert_eq!(names(&folder.path().join("d")), ["object"]);
}

#[test]
fn the_reserve_takes_room_and_gives_it_back() {
    use std::os::unix::fs::MetadataExt;
    let folder = folder();
    let mut disk = Disk::open(folder.path()).unwrap();
    assert!(disk.allocates, "this file system has fallocate");
    let reserve = folder.path().join(".levee/reserve");
    for allocates in [true, false] {
        disk.allocates = allocates;
        disk.set_reserve(1024 * 1024 + 1).unwrap();
        let taken = std::fs::metadata(&reserve).unwrap();
        assert!(taken.blocks() * 512 > 1024 * 1024);
        assert_eq!(taken.len(), 1024 * 1024 + 1);
        disk.set_reserve(0).unwrap();
        assert_eq!(std::fs::metadata(&reserve).unwrap().blocks(), 0);
    }
}

#[test]
fn long_reads_give_what_was_written_wherever_they_begin_and_end() {
    let folder = folder();
    let mut disk = Disk::open(folder.path()).unwrap();
    let length = 5 * DIRECT_READ_BYTES + 777;
    let bytes: Vec<u8> = (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 11) as u8).collect();
    std::fs::write(folder.path().join("object"), &bytes).unwrap();
    assert!(disk.direct, "this file system has O_DIRECT");
    for direct in [true, false] {
        disk.direct = direct;
        let file = disk.open(&disk.root().unwrap(), "object").unwrap();
        for (start, end) in [
            (0, length),
            (0, DIRECT_READ_BYTES),
            (PAGE, PAGE + DIRECT_READ_BYTES),
            (1, DIRECT_READ_BYTES + 1),
            (PAGE - 1, 3 * DIRECT_READ_BYTES + 5),
            (length - DIRECT_READ_BYTES, length),
            (length - 3, length),
        ] {
            let read = disk.read_at(&file, end - start, start as u64).unwrap();
            assert!(read == bytes[start..end], "{start}..{end}, direct: {direct}");
        }
        for bytes in [1, 2 * DIRECT_READ_BYTES] {
            let error = disk.read_at(&file, bytes, length as u64 - bytes as u64 + 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
