//! The invariants of `ARCHITECTURE.md` that can be seen in the text of the code: what is absent, and where.

#![allow(clippy::unwrap_used, reason = "a test whose helpers are outside of test functions")]

use std::fs;
use std::path::{Path, PathBuf};

/// The most lines a file may have. Generated tables are longer.
const LINES: usize = 800;

/// Each crate with the crates of ours that it may depend on.
const LAYERS: [(&str, &[&str]); 8] = [
    ("base", &[]),
    ("object", &["base"]),
    ("store", &["base", "object"]),
    ("meta", &["base", "object"]),
    ("client", &["base"]),
    ("coordinator", &["base"]),
    ("broker", &["base", "object", "store", "meta", "coordinator"]),
    ("cli", &["base", "object", "store", "meta", "broker", "client"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every source file of the workspace with its text.
fn sources() -> Vec<(String, String)> {
    let crates = root().join("crates");
    let files = rust_files(&crates);
    assert!(files.len() > 20, "the sources were not found");
    let name = |path: &Path| path.strip_prefix(&crates).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn check(problem: &str, offends: impl Fn(&str, &str) -> bool) {
    let offenders: Vec<String> =
        sources().into_iter().filter(|(name, text)| offends(name, text)).map(|(name, _)| name).collect();
    assert!(offenders.is_empty(), "{problem}: {offenders:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    check("files that don't open with //!", |_, text| !text.starts_with("//!"));
}

#[test]
fn no_file_is_too_long() {
    let generated = |text: &str| text.lines().take(5).any(|line| line.contains("Generated"));
    check("files that want splitting", |_, text| text.lines().count() > LINES && !generated(text));
}

#[test]
fn every_select_is_biased() {
    let needle = concat!("tokio::", "select!");
    check("an unbiased select", |_, text| {
        text.match_indices(needle).any(|(at, _)| {
            let body = text[at + needle.len()..].trim_start().trim_start_matches(['{', '(']);
            !body.trim_start().starts_with("biased")
        })
    });
}

#[test]
fn only_object_sees_the_store_crate() {
    check("files that name object_store", |name, text| {
        !name.starts_with("object/") && text.contains(concat!("object_", "store::"))
    });
}

#[test]
fn store_and_meta_know_no_kafka() {
    check("files that name kafka_protocol", |name, text| {
        !["broker/", "client/", "cli/", "coordinator/", "base/tests/"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            && text.contains("kafka_protocol")
    });
}

#[test]
fn dependencies_point_one_way() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let (_, allowed) =
            LAYERS.iter().find(|(layer, _)| *layer == name).unwrap_or_else(|| panic!("{name} has no layer"));
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        for line in dependencies.lines().filter_map(|line| line.strip_prefix("levee-")) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            assert!(allowed.contains(&dependency), "{name} must not depend on {dependency}");
        }
        seen += 1;
    }
    assert_eq!(seen, LAYERS.len());
}
