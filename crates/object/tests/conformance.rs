//! Every store and every wrapper is put through the conformance suite. Folders lie below the build directory,
//! as a system's temporary directory may be a RAM disk.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use levee_base::{Clock, Random};
use levee_object::check::{self, CheckOptions, Verdict};
use levee_object::stores::faulty::{FaultPlan, Faulty, Latency};
use levee_object::stores::folder::{FolderStore, file_system};
use levee_object::stores::memory::MemoryStore;
use levee_object::stores::metered::{Metered, Operation};
use levee_object::stores::probe::{Fitness, probe};
use levee_object::stores::resilient::{Resilient, RetryPolicy};
use levee_object::stores::{Kind, open, open_to_read};
use levee_object::{ErrorKind, Key, Page, Purpose, Store, conformance};
use std::sync::Arc;
use std::time::Duration;

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
    first.create(&key, "kept".into(), Purpose::Wal).await.unwrap();
    let refused = FolderStore::open(folder.path()).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Denied);
    assert!(refused.reason.contains(&format!("process {}", std::process::id())), "{refused}");
    drop(first);
    let second = FolderStore::open(folder.path()).unwrap();
    assert_eq!(second.get(&key, None, Purpose::Recovery).await.unwrap(), "kept");
}

/// What `levee inspect` does beside a broker.
#[tokio::test]
async fn a_folder_that_is_held_can_be_read_and_not_written_by_others() {
    let folder = folder();
    let (clock, random) = (Clock::system(), Random::seeded(1));
    let (url, keys) =
        (folder.path().display().to_string(), ["a/b/1", "a/b/2", "c"].map(|k| Key::new(k).unwrap()));
    let missing = open_to_read(&format!("{url}/missing"), clock, &random).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound, "{missing}");
    assert!(!folder.path().join("missing").exists(), "looking makes nothing");

    let holder = FolderStore::open(folder.path()).unwrap();
    let reader = open_to_read(&url, clock, &random).unwrap().store;
    for key in &keys {
        holder.create(key, key.to_string().into(), Purpose::Wal).await.unwrap();
        assert_eq!(reader.get(key, None, Purpose::Inspect).await.unwrap(), key.to_string());
    }
    assert_eq!(reader.get(&keys[0], Some(2..3), Purpose::Inspect).await.unwrap(), "b");
    let listed = |page: Page| page.objects.into_iter().map(|object| object.key).collect::<Vec<_>>();
    let first = reader.list("", None, 2, Purpose::Inspect).await.unwrap();
    assert!(first.more);
    assert_eq!(listed(first), keys[..2]);
    assert_eq!(listed(reader.list("a/b/", Some(&keys[0]), 9, Purpose::Inspect).await.unwrap()), keys[1..2]);

    let new = Key::new("new").unwrap();
    let refused = [
        reader.create(&new, "".into(), Purpose::Inspect).await.unwrap_err(),
        reader.create_parts(&new, vec!["".into()], Purpose::Inspect).await.unwrap_err(),
        reader.delete(&keys[0], Purpose::Inspect).await.unwrap_err(),
    ];
    for error in refused {
        assert!(error.kind == ErrorKind::Unsupported && error.reason.contains("read only"), "{error}");
    }
    assert!(holder.get(&keys[0], None, Purpose::Wal).await.is_ok(), "nothing was deleted");
    holder.delete(&keys[0], Purpose::Collect).await.unwrap();
    for key in [&keys[0], &new, &Key::new("a/b").unwrap(), &Key::new("c/d").unwrap()] {
        let missing = reader.get(key, None, Purpose::Inspect).await.unwrap_err();
        assert_eq!(missing.kind, ErrorKind::NotFound, "{missing}");
    }
}

/// What a broker puts around a store, over one that is slow and fails what can be repeated.
#[tokio::test(start_paused = true)]
async fn every_wrapper() {
    let (clock, random) = (Clock::simulated(0), Random::seeded(7));
    let latency =
        Latency { typical: Duration::from_millis(20), tail: Duration::from_secs(2), tail_chance: 0.05 };
    let plan = FaultPlan { latency, ..FaultPlan::none() };
    let faulty: Arc<dyn Store> =
        Arc::new(Faulty::new(Arc::new(MemoryStore::new()), plan, clock, random.fork()));
    conformance::run(faulty.clone(), &below()).await;
    let metered = Arc::new(Metered::new(faulty, clock));
    conformance::run(metered.clone(), &below()).await;
    let resilient = Resilient::new(metered.clone(), RetryPolicy::default(), clock, random);
    conformance::run(Arc::new(resilient), &below()).await;
    let usage = metered.metrics().usage();
    assert!(usage.iter().all(|row| row.purpose == Purpose::Check && row.unanswered == 0));
    assert_eq!(usage.len(), Operation::ALL.len(), "every operation was counted");
}

#[tokio::test]
async fn opened_by_url() {
    let folder = folder();
    let (clock, random) = (Clock::system(), Random::seeded(1));
    let path = folder.path().display();
    for (url, kind) in [
        ("memory://".to_owned(), Kind::Memory),
        (format!("{path}/a"), Kind::Folder),
        (format!("file://{path}/b"), Kind::Folder),
    ] {
        let opened = open(&url, clock, &random).unwrap();
        assert_eq!(opened.kind, kind);
        conformance::run(opened.store, &below()).await;
    }
    for (url, says) in
        [("ftp://x", "use s3"), ("file://host/x", "file:///path"), ("s3://", "name the bucket")]
    {
        let error = open(url, clock, &random).unwrap_err();
        assert!(error.kind == ErrorKind::Unsupported && error.reason.contains(says), "{error}");
    }
}

/// The URL of a bucket, or a prefix of one, that tests may use.
fn url_from(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} names the bucket: scheme://bucket/prefix"))
}

async fn cloud_conformance(url: &str) {
    let opened = open(url, Clock::system(), &Random::from_entropy()).unwrap();
    conformance::run(opened.store, &below()).await;
    assert!(opened.metrics.usage().iter().all(|row| row.unanswered == 0));
}

async fn cloud_check(url: &str) {
    let random = Random::from_entropy();
    let report = check::check_url(url, CheckOptions::default(), Clock::system(), &random).await.unwrap();
    eprintln!("{report}");
    assert_eq!(report.verdict, Verdict::Fit, "{report}");
    let opened = open(url, Clock::system(), &random).unwrap();
    assert!(matches!(probe(&*opened.store, &random).await.0, Fitness::Fit));
}

#[tokio::test]
#[ignore = "needs an S3 server: e2e/s3-tests starts one and runs this; CI does so too"]
async fn s3_conformance() {
    cloud_conformance(&url_from("LEVEE_TEST_S3_URL")).await;
}

#[tokio::test]
#[ignore = "needs an S3 server: e2e/s3-tests starts one and runs this; CI does so too"]
async fn s3_check() {
    cloud_check(&url_from("LEVEE_TEST_S3_URL")).await;
}

#[tokio::test]
#[ignore = "needs an Azure Blob emulator: e2e/cloud-tests starts one and runs this"]
async fn azure_conformance() {
    cloud_conformance(&url_from("LEVEE_TEST_AZURE_URL")).await;
}

#[tokio::test]
#[ignore = "needs an Azure Blob emulator: e2e/cloud-tests starts one and runs this"]
async fn azure_check() {
    cloud_check(&url_from("LEVEE_TEST_AZURE_URL")).await;
}

#[tokio::test]
#[ignore = "needs a Google Cloud Storage emulator: e2e/cloud-tests starts one and runs this"]
async fn gcs_conformance() {
    cloud_conformance(&url_from("LEVEE_TEST_GCS_URL")).await;
}

#[tokio::test]
#[ignore = "needs a Google Cloud Storage emulator: e2e/cloud-tests starts one and runs this"]
async fn gcs_check() {
    cloud_check(&url_from("LEVEE_TEST_GCS_URL")).await;
}
