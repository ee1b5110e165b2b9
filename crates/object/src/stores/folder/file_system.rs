//! Which file system a folder lies on: tests and benchmarks name it, and refuse one that is in memory.

use std::io;
use std::path::Path;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name, `unknown` for one that isn't in the list.
    pub name: &'static str,
    /// Whether it loses everything when the power goes.
    pub in_memory: bool,
}

/// The file system that `path` lies on.
///
/// # Errors
/// When `path` can't be looked at.
pub fn file_system(path: impl AsRef<Path>) -> io::Result<FileSystem> {
    let stat = rustix::fs::statfs(path.as_ref())?;
    Ok(named(stat.f_type as i64))
}

/// The kernel's numbers, from statfs(2).
const fn named(magic: i64) -> FileSystem {
    let (name, in_memory) = match magic & 0xffff_ffff {
        0xef53 => ("ext4", false),
        0x5846_5342 => ("xfs", false),
        0x9123_683e => ("btrfs", false),
        0x2fc1_2fc1 => ("zfs", false),
        0xf2f5_2010 => ("f2fs", false),
        0xca45_1a4e => ("bcachefs", false),
        0x794c_7630 => ("overlayfs", false),
        0x6969 => ("nfs", false),
        0x0102_1994 => ("tmpfs", true),
        0x8584_58f6 => ("ramfs", true),
        _ => ("unknown", false),
    };
    FileSystem { name, in_memory }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ram_disk_is_told_from_a_disk() {
        assert_eq!(named(0xef53), FileSystem { name: "ext4", in_memory: false });
        assert!(named(0x0102_1994).in_memory && named(0x8584_58f6).in_memory);
    }
}
