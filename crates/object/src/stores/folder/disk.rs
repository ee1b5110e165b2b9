//! The kernel's files. Three things are tried once, when the folder is opened, and remembered: whether files can
//! be staged without a name (O_TMPFILE and a link through /proc), whether they can be written past the page cache
//! (O_DIRECT), and whether room can be set aside without writing to it (fallocate). Where the first fails a file is staged under a name that begins with a dot, in its
//! destination's directory, and what a predecessor left of those is removed when a directory is opened.

use super::files::{Entry, Files};
use super::lock::{Lock, Refused};
use bytes::Bytes;
use levee_base::limits::PAGE;
use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, CWD, Dir, FallocateFlags, FileType, Mode, OFlags, StatVfs, fallocate, fcntl_setfl, fstat,
    fstatvfs, fsync, ftruncate, linkat, mkdirat, openat, statat, unlinkat,
};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the store keeps what is its own: the lock and the reserve.
const OWN: &str = ".levee";
/// What the names of staged files begin with.
const STAGED: &str = ".stage-";
/// Reads of so many bytes go past the page cache. For less it costs more than it saves.
const DIRECT_READ_BYTES: usize = 128 * 1024;

/// The kernel's files below one folder.
#[derive(Debug)]
pub(super) struct Disk {
    root: OwnedFd,
    /// `None` when the folder was opened to be read only.
    held: Option<Held>,
    direct: bool,
    nameless: bool,
    allocates: bool,
    staged: AtomicU64,
}

/// What only the folder's holder has.
#[derive(Debug)]
struct Held {
    /// The store's own directory.
    own: OwnedFd,
    _lock: Lock,
}

/// A staged file's name, taken away when the file is dropped.
#[derive(Debug)]
struct StagedName {
    dir: Arc<OwnedFd>,
    name: String,
}

impl Drop for StagedName {
    fn drop(&mut self) {
        // What stays is removed when the directory is opened the next time.
        if let Err(error) = unlinkat(&*self.dir, &self.name, AtFlags::empty()) {
            tracing::debug!(%error, name = self.name, "a staged file stays");
        }
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct DiskFile {
    fd: OwnedFd,
    staged: Option<StagedName>,
}

/// Why a folder can't be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    Held { pid: Option<u32> },
    Failed { step: &'static str, error: io::Error },
}

fn failed(step: &'static str) -> impl Fn(Errno) -> OpenError {
    move |error| OpenError::Failed { step, error: error.into() }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Disk {
    /// Makes the folder if it isn't there, durably, and takes its lock. `path` is absolute.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        make_path(path)?;
        let root = openat(CWD, path, DIRECTORY, Mode::empty()).map_err(failed("opening the folder"))?;
        match mkdirat(&root, OWN, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("making the store's own directory")(error)),
        }
        let own = openat(&root, OWN, DIRECTORY, Mode::empty())
            .map_err(failed("opening the store's own directory"))?;
        let lock = Lock::take(&own).map_err(|refused| match refused {
            Refused::Held { pid } => OpenError::Held { pid },
            Refused::Failed(error) => OpenError::Failed { step: "taking the lock", error },
        })?;
        let held = Some(Held { own, _lock: lock });
        let mut disk =
            Self { root, held, direct: true, nameless: true, allocates: true, staged: AtomicU64::new(0) };
        disk.probe().map_err(|error| OpenError::Failed { step: "trying to write", error })?;
        tracing::info!(path = %path.display(), direct = disk.direct, nameless = disk.nameless, allocates = disk.allocates, "folder opened");
        Ok(disk)
    }

    /// Opens the folder without its lock. Nothing may be written, and nothing is: not even the folder is made.
    pub(super) fn open_to_read(path: &Path) -> io::Result<Self> {
        let root = openat(CWD, path, DIRECTORY, Mode::empty())?;
        // As `nameless` is set, nothing of others is taken for a leftover and swept.
        let (held, staged) = (None, AtomicU64::new(0));
        Ok(Self { root, held, direct: false, nameless: true, allocates: false, staged })
    }

    /// The store's own directory.
    fn own(&self) -> io::Result<&OwnedFd> {
        let held = self.held.as_ref();
        held.map(|held| &held.own).ok_or_else(|| io::ErrorKind::ReadOnlyFilesystem.into())
    }

    /// Finds out what the file system can do, by doing it in the store's own directory.
    fn probe(&mut self) -> io::Result<()> {
        let own = Arc::new(self.own()?.try_clone()?);
        let linked = self.stage(&own).and_then(|file| {
            let _ = unlinkat(&*own, "probe", AtFlags::empty());
            self.link(&file, &own, "probe")
        });
        if let Err(error) = linked {
            // A full disk says nothing about what the file system can do, and every one in use can do it.
            if error.kind() != io::ErrorKind::StorageFull {
                tracing::debug!(%error, "files can't be staged without a name here");
                self.nameless = false;
            }
        }
        let _ = unlinkat(&*own, "probe", AtFlags::empty());
        if let Ok(file) = self.stage(&own)
            && let Err(Errno::OPNOTSUPP | Errno::NOSYS) =
                fallocate(&file.fd, FallocateFlags::empty(), 0, PAGE as u64)
        {
            self.allocates = false;
        }
        self.direct = match self.stage(&own) {
            Ok(file) => {
                let block = vec![0_u8; 2 * PAGE];
                let start = block.as_ptr().align_offset(PAGE);
                match self.write_at(&file, &block[start..start + PAGE], 0) {
                    Ok(()) => true,
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => true,
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => false,
                    Err(error) => return Err(error),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => true,
            // EINVAL is how a file system says that it has no O_DIRECT; anything else fails again buffered.
            Err(_) => false,
        };
        Ok(())
    }

    fn staging_flags(&self) -> OFlags {
        let direct = if self.direct { OFlags::DIRECT } else { OFlags::empty() };
        OFlags::WRONLY | OFlags::CLOEXEC | direct
    }

    /// Names of this process: those of others are left over.
    fn own_staged_prefix() -> String {
        format!("{STAGED}{}-", std::process::id())
    }

    /// Removes what a predecessor staged under a name and never linked.
    fn sweep(&self, dir: &OwnedFd) -> io::Result<()> {
        let own = Self::own_staged_prefix();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with(STAGED) && !name.starts_with(&own) {
                unlinkat(dir, name, AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

/// Makes the directories of `path`. A parent is synced after each one that is made, and so is the parent of
/// the deepest one that was there: a predecessor may have died between making and syncing it.
fn make_path(path: &Path) -> Result<(), OpenError> {
    let there = path.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("/"));
    if let Some(above) = there.parent() {
        match sync_path(above) {
            // The parent is not ours, and was there before us.
            Ok(()) | Err(Errno::ACCESS | Errno::PERM) => {}
            Err(error) => return Err(failed("syncing the directory above the folder")(error)),
        }
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| *ancestor != there).collect();
    for directory in missing.into_iter().rev() {
        match mkdirat(CWD, directory, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("making the folder")(error)),
        }
        sync_path(directory.parent().unwrap_or(Path::new("/")))
            .map_err(failed("syncing the directory above"))?;
    }
    Ok(())
}

/// Writes `bytes` of noise: file systems that have no fallocate (ZFS, NFS) may compress, and zeros would take no room.
fn occupy(file: &OwnedFd, bytes: u64) -> io::Result<()> {
    const PIECE: usize = 256 * 1024;
    let (mut noise, mut word) = (vec![0; PIECE], 1_u64);
    let mut at = 0;
    while at < bytes {
        for place in noise.chunks_exact_mut(8) {
            // Marsaglia's xorshift: all that matters is that it has no pattern a compressor finds.
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            place.copy_from_slice(&word.to_le_bytes());
        }
        let piece = usize::try_from(bytes - at).unwrap_or(PIECE).min(PIECE);
        let written = retry_on_intr(|| pwrite(file, &noise[..piece], at))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        at += written as u64;
    }
    Ok(())
}

/// Reads past the page cache, where what is read once would only drive out what others want, at several times the cost
/// of the reading itself. `None` if the file system won't, this time or at all.
fn read_direct(file: &DiskFile, bytes: usize, offset: u64) -> io::Result<Option<Bytes>> {
    if fcntl_setfl(&file.fd, OFlags::DIRECT).is_err() {
        return Ok(None);
    }
    let skip = (offset % PAGE as u64) as usize;
    let (start, wanted) = (offset - skip as u64, skip + bytes);
    let length = wanted.next_multiple_of(PAGE);
    let mut memory = Vec::new();
    memory.try_reserve_exact(length + PAGE).map_err(|_| io::ErrorKind::OutOfMemory)?;
    memory.resize(length + PAGE, 0);
    let first = memory.as_ptr().align_offset(PAGE);
    let place = &mut memory[first..first + length];
    let mut read = 0;
    while read < wanted {
        match retry_on_intr(|| pread(&file.fd, &mut place[read..], start + read as u64)) {
            Ok(more) if more > 0 => read += more,
            // The end came too early, or in the middle of a block: whoever reads through the cache finds out.
            _ => break,
        }
    }
    fcntl_setfl(&file.fd, OFlags::empty())?;
    Ok((read >= wanted).then(|| Bytes::from(memory).slice(first + skip..first + wanted)))
}

fn sync_path(path: &Path) -> rustix::io::Result<()> {
    fsync(openat(CWD, path, DIRECTORY, Mode::empty())?)
}

impl Files for Disk {
    type Dir = Arc<OwnedFd>;
    type File = DiskFile;

    fn root(&self) -> io::Result<Self::Dir> {
        Ok(Arc::new(self.root.try_clone()?))
    }

    fn open_dir(&self, above: &Self::Dir, name: &str) -> io::Result<Self::Dir> {
        let dir = openat(above, name, DIRECTORY, Mode::empty())?;
        if !self.nameless {
            self.sweep(&dir)?;
        }
        Ok(Arc::new(dir))
    }

    fn make_dir(&self, above: &Self::Dir, name: &str) -> io::Result<()> {
        Ok(mkdirat(above, name, Mode::from_raw_mode(0o755))?)
    }

    fn sync_dir(&self, dir: &Self::Dir) -> io::Result<()> {
        Ok(fsync(&**dir)?)
    }

    fn entries(&self, dir: &Self::Dir) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&**dir)? {
            let entry = entry?;
            // Keys are ASCII; what isn't UTF-8 is none.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let is_dir = match entry.file_type() {
                FileType::Directory => true,
                FileType::RegularFile => false,
                // Some file systems don't tell in the listing.
                FileType::Unknown => match statat(&**dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                },
                _ => continue,
            };
            entries.push(Entry { name: name.to_owned(), is_dir });
        }
        Ok(entries)
    }

    fn alignment(&self) -> usize {
        if self.direct { PAGE } else { 1 }
    }

    fn stage(&self, dir: &Self::Dir) -> io::Result<Self::File> {
        let mode = Mode::from_raw_mode(0o644);
        if self.nameless {
            let fd = openat(dir, ".", self.staging_flags() | OFlags::TMPFILE, mode)?;
            return Ok(DiskFile { fd, staged: None });
        }
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{number}", Self::own_staged_prefix());
        // A predecessor with the same pid may have left one; it is nobody's.
        let flags = self.staging_flags() | OFlags::CREATE | OFlags::TRUNC;
        let fd = openat(dir, &name, flags, mode)?;
        Ok(DiskFile { fd, staged: Some(StagedName { dir: dir.clone(), name }) })
    }

    fn write_at(&self, file: &Self::File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = retry_on_intr(|| pwrite(&file.fd, bytes, offset))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
            offset += written as u64;
        }
        Ok(())
    }

    fn truncate(&self, file: &Self::File, bytes: u64) -> io::Result<()> {
        Ok(retry_on_intr(|| ftruncate(&file.fd, bytes))?)
    }

    fn sync(&self, file: &Self::File) -> io::Result<()> {
        Ok(fsync(&file.fd)?)
    }

    fn link(&self, file: &Self::File, dir: &Self::Dir, name: &str) -> io::Result<()> {
        let linked = match &file.staged {
            Some(staged) => linkat(&*staged.dir, &staged.name, dir, name, AtFlags::empty()),
            None => {
                let path = format!("/proc/self/fd/{}", file.fd.as_raw_fd());
                linkat(CWD, path, dir, name, AtFlags::SYMLINK_FOLLOW)
            }
        };
        Ok(linked?)
    }

    fn open(&self, dir: &Self::Dir, name: &str) -> io::Result<Self::File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(DiskFile { fd: openat(dir, name, flags, Mode::empty())?, staged: None })
    }

    fn len(&self, file: &Self::File) -> io::Result<u64> {
        let stat = fstat(&file.fd)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn len_of(&self, dir: &Self::Dir, name: &str) -> io::Result<u64> {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn read_at(&self, file: &Self::File, bytes: usize, offset: u64) -> io::Result<Bytes> {
        if self.direct
            && bytes >= DIRECT_READ_BYTES
            && let Some(read) = read_direct(file, bytes, offset)?
        {
            return Ok(read);
        }
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        while buffer.len() < bytes {
            let at = offset + buffer.len() as u64;
            let read = retry_on_intr(|| pread(&file.fd, spare_capacity(&mut buffer), at))?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        // The allocator may have given more room than was asked for.
        buffer.truncate(bytes);
        Ok(buffer.into())
    }

    fn unlink(&self, dir: &Self::Dir, name: &str) -> io::Result<()> {
        Ok(unlinkat(dir, name, AtFlags::empty())?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let StatVfs { f_bavail, f_frsize, .. } = fstatvfs(&self.root)?;
        Ok(f_bavail.saturating_mul(f_frsize))
    }

    fn set_reserve(&self, bytes: u64) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(self.own()?, "reserve", flags, Mode::from_raw_mode(0o644))?;
        if bytes == 0 {
            ftruncate(&file, 0)?;
        } else if self.allocates {
            fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
        } else {
            occupy(&file, bytes)?;
        }
        // Blocks that were freed can be used again only after the journal's commit.
        Ok(fsync(&file)?)
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
