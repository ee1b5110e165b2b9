//! Every codec both ways, the bound, and records that lie about their length.

use super::*;
use crate::batch::Compression;
use crate::batch::build::Build;

const LIMIT: usize = 1 << 20;

fn read(bytes: &[u8], limit_bytes: usize) -> Result<Vec<Record>, Unreadable> {
    open(&BatchView::first(bytes).expect("a batch"), limit_bytes)?.collect()
}

#[test]
fn every_codec_gives_the_same_records() {
    let plain = Build::new().record(10, "k", "v").record_without_key(9, "v").record(1 << 50, "k", "");
    let expected = [(0, 10, true), (1, 9, false), (2, 1 << 50, true)];
    let mut builds = vec![plain.clone().xerial()];
    for id in 0..=4 {
        builds.push(plain.clone().compressed(Compression::from_id(id).unwrap()));
    }
    for build in builds {
        let records = read(&build.bytes(), LIMIT).unwrap();
        let records: Vec<_> = records.iter().map(|r| (r.offset, r.timestamp, r.has_key)).collect();
        assert_eq!(records, expected);
    }
    assert_eq!(Compression::from_id(5), None);
}

#[test]
fn large_batches_cross_the_blocks_of_each_codec() {
    let plain = Build::records(20_000, 5);
    let mut builds = vec![plain.clone().xerial()];
    for id in 1..=4 {
        builds.push(plain.clone().compressed(Compression::from_id(id).unwrap()));
    }
    for build in builds {
        let records = read(&build.bytes(), LIMIT).unwrap();
        assert_eq!(records.len(), 20_000);
        assert_eq!(records[19_999].offset, 19_999);
    }
}

#[test]
fn a_small_batch_that_unpacks_to_much_is_refused_at_the_bound() {
    let bomb = Build::new().record(1, "k", &"x".repeat(1 << 20));
    let mut builds = vec![bomb.clone().xerial()];
    for id in 1..=4 {
        builds.push(bomb.clone().compressed(Compression::from_id(id).unwrap()));
    }
    for build in builds {
        let bytes = build.bytes();
        assert!(read(&bytes, 1 << 19).is_err());
        assert_eq!(read(&bytes, 1 << 21).unwrap().len(), 1);
    }
}

#[test]
fn a_stated_length_takes_no_memory() {
    // A record of 2 GiB in a batch of a few bytes: nothing is allocated for it, and it ends too early.
    let mut bytes = Build::new().record(1, "k", "v").bytes();
    let mut payload = vec![0xfe, 0xff, 0xff, 0xff, 0x0f];
    payload.extend_from_slice(&[0; 8]);
    bytes.truncate(61);
    bytes.extend_from_slice(&payload);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    assert!(read(&bytes, LIMIT).is_err());
    // A raw snappy block that says it unpacks to 4 GiB.
    let mut bytes = Build::records(1, 1).compressed(Compression::Snappy).bytes();
    bytes.truncate(61);
    bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    assert!(read(&bytes, LIMIT).is_err());
}

#[test]
fn a_stamped_batch_gives_one_timestamp() {
    let bytes = Build::new().record(10, "k", "v").record(30, "k", "v").attribute(3).bytes();
    let records = read(&bytes, LIMIT).unwrap();
    assert_eq!(records.iter().map(|r| r.timestamp).collect::<Vec<_>>(), [30, 30]);
}
