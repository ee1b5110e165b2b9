//! Every store and every wrapper is put through the conformance suite. Folders lie below the build directory,
//! as a system's temporary directory may be a RAM disk.

use levee_object::stores::folder::{FolderStore, file_system};
use levee_object::stores::memory::MemoryStore;
use levee_object::{ErrorKind, Key, Store, conformance};
use std::sync::Arc;

fn below() -> Key {
    Key::new("conformance").unwrap()
}

/// A folder on a disk.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let found = file_system(folder.path()).unwrap();
    assert!(!found.in_memory, "{} is on {}: build on a disk", folder.path().display(), found.name);
    eprintln!("on {}", found.name);
    folder
}

#[tokio::test]
async fn memory() {
    conformance::run(Arc::new(MemoryStore::new()), &below()).await;
}

#[tokio::test]
async fn folder_store() {
    let folder = folder();
    conformance::run(Arc::new(FolderStore::open(folder.path().join("made/anew")).unwrap()), &below()).await;
}

#[tokio::test]
async fn a_folder_outlives_its_process_and_is_held_by_one() {
    let folder = folder();
    let key = Key::new("a/b").unwrap();
    let first = FolderStore::open(folder.path()).unwrap();
    first.create(&key, "kept".into(), levee_object::Purpose::Wal).await.unwrap();
    let refused = FolderStore::open(folder.path()).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Denied);
    assert!(refused.reason.contains(&format!("process {}", std::process::id())), "{refused}");
    drop(first);
    let second = FolderStore::open(folder.path()).unwrap();
    assert_eq!(second.get(&key, None, levee_object::Purpose::Recovery).await.unwrap(), "kept");
}
