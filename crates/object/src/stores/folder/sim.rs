//! Files that lose power: a layer that stands where the kernel does, in memory, and is worse than any file
//! system. For tests only.
//!
//! What survives a power loss is what was synced, and of everything else any part: each name independently of
//! all others, each 512-byte piece of a file's unsynced data (new, old or zeroes), any of the lengths that the
//! file has had. Syncing a file says nothing about its name, syncing a directory nothing about files in it or
//! about the directory's own name. A sync may fail; what it was to write is then never written, and a second
//! sync answers `Ok` all the same, as the kernel's does.
//!
//! Actors are threads of which exactly one runs at a time: each file operation is a step, and a seeded
//! generator chooses who takes the next one. The order of all steps follows from the seed alone.

use super::files::{Entry, Files};
use bytes::Bytes;
use levee_base::Random;
use levee_base::limits::PAGE;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a disk writes at once.
const SECTOR: usize = 512;

type Inode = usize;

#[derive(Debug, Default, Clone)]
struct FileNode {
    /// What is read now.
    now: Vec<u8>,
    /// What survives for sure.
    durable: Vec<u8>,
    /// Lengths since the last sync.
    lengths: Vec<usize>,
    /// What a failed sync gave up: from then on only this may be made durable.
    given_up: bool,
}

#[derive(Debug, Default, Clone)]
struct DirNode {
    now: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
    /// What each name has meant since the last sync.
    history: BTreeMap<String, Vec<Option<Inode>>>,
}

#[derive(Debug, Clone)]
enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// What goes wrong, by the chance of each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trouble {
    /// A sync of a file fails, and its data is lost.
    pub(super) sync: f64,
    /// Any other operation fails, without effect.
    pub(super) other: f64,
}

/// How filling the reserve goes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filling {
    /// The file system can't.
    pub(super) impossible: bool,
    /// How often it lets other threads run first.
    pub(super) yields: u32,
    /// How often it was done.
    pub(super) done: u32,
}

#[derive(Debug)]
struct World {
    nodes: Vec<Node>,
    random: Random,
    trouble: Trouble,
    /// Steps until everything stops; none left: every operation fails.
    steps: u64,
    capacity: u64,
    reserve: u64,
    filling: Filling,
    actors: BTreeMap<usize, bool>,
    running: Option<usize>,
}

/// A simulated disk; clones are handles to the same one.
#[derive(Debug, Clone)]
pub(super) struct SimFiles {
    world: Arc<(Mutex<World>, Condvar)>,
}

thread_local! {
    static ACTOR: Cell<Option<usize>> = const { Cell::new(None) };
}

const ROOT: Inode = 0;

impl SimFiles {
    pub(super) fn new(seed: u64, capacity: u64) -> Self {
        Self::of(vec![Node::Dir(DirNode::default())], Random::seeded(seed), capacity, 0)
    }

    fn of(nodes: Vec<Node>, random: Random, capacity: u64, reserve: u64) -> Self {
        let world = World {
            nodes,
            random,
            trouble: Trouble::default(),
            steps: u64::MAX,
            capacity,
            reserve,
            filling: Filling::default(),
            actors: BTreeMap::new(),
            running: None,
        };
        Self { world: Arc::new((Mutex::new(world), Condvar::new())) }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may go wrong from now on, and after how many steps everything stops.
    pub(super) fn plan(&self, trouble: Trouble, steps: u64) {
        let mut world = self.lock();
        world.trouble = trouble;
        world.steps = steps;
    }

    /// Sets the disk's size in bytes.
    pub(super) fn resize(&self, capacity: u64) {
        self.lock().capacity = capacity;
    }

    /// Runs all `actors`, one step at a time, in an order that the seed gives.
    pub(super) fn run<'a>(&self, actors: Vec<Box<dyn FnOnce() + Send + 'a>>) {
        {
            let mut world = self.lock();
            world.actors = (0..actors.len()).map(|actor| (actor, true)).collect();
            world.choose();
        }
        std::thread::scope(|scope| {
            for (actor, work) in actors.into_iter().enumerate() {
                scope.spawn(move || {
                    ACTOR.set(Some(actor));
                    drop(self.wait_for_turn());
                    let leave = Leave(self, actor);
                    work();
                    drop(leave);
                });
            }
        });
    }

    fn wait_for_turn(&self) -> MutexGuard<'_, World> {
        let mut world = self.lock();
        if let Some(actor) = ACTOR.get() {
            while world.running != Some(actor) {
                world = self.world.1.wait(world).unwrap_or_else(PoisonError::into_inner);
            }
        }
        world
    }

    /// One operation: whoever's turn it is goes on, this one when its turn comes.
    fn step(&self) -> io::Result<MutexGuard<'_, World>> {
        if ACTOR.get().is_some() {
            self.lock().choose();
            self.world.1.notify_all();
        }
        let mut world = self.wait_for_turn();
        if world.steps == 0 {
            return Err(io::Error::other("stopped"));
        }
        world.steps -= 1;
        Ok(world)
    }

    /// As `step`, for operations that may fail for no reason of ours.
    fn fallible_step(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.step()?;
        if world.trouble.other > 0.0 && world.random.chance(world.trouble.other) {
            return Err(io::Error::other("made to fail"));
        }
        Ok(world)
    }

    /// The process dies, the machine goes on: everything written is still there.
    pub(super) fn kill_process(&self) -> Self {
        let world = self.lock();
        Self::of(world.nodes.clone(), world.random.fork(), world.capacity, world.reserve)
    }

    /// The power goes: what a machine finds that starts from this disk.
    pub(super) fn lose_power(&self) -> Self {
        let world = self.lock();
        let random = world.random.fork();
        let nodes = world.nodes.iter().map(|node| node.after_power_loss(&random)).collect();
        Self::of(nodes, random.fork(), world.capacity, world.reserve)
    }
}

/// Takes an actor out of the turns, also when it panics.
struct Leave<'a>(&'a SimFiles, usize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut world = self.0.lock();
        world.actors.remove(&self.1);
        world.choose();
        self.0.world.1.notify_all();
    }
}

impl World {
    fn choose(&mut self) {
        let place = self.random.below(self.actors.len() as u64) as usize;
        self.running = self.actors.keys().nth(place).copied();
    }

    fn used(&self) -> u64 {
        let bytes = |node: &Node| if let Node::File(file) = node { file.now.len() as u64 } else { 0 };
        self.reserve + self.nodes.iter().map(bytes).sum::<u64>()
    }

    fn file(&mut self, inode: Inode) -> io::Result<&mut FileNode> {
        match &mut self.nodes[inode] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn dir(&mut self, inode: Inode) -> &mut DirNode {
        match &mut self.nodes[inode] {
            Node::Dir(dir) => dir,
            Node::File(_) => unreachable!("only directories are opened as such"),
        }
    }

    fn add(&mut self, node: Node) -> Inode {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

impl DirNode {
    fn set(&mut self, name: &str, meaning: Option<Inode>) {
        match meaning {
            Some(inode) => self.now.insert(name.to_owned(), inode),
            None => self.now.remove(name),
        };
        self.history.entry(name.to_owned()).or_default().push(meaning);
    }
}

impl Node {
    fn after_power_loss(&self, random: &Random) -> Self {
        match self {
            Self::Dir(dir) => {
                let mut kept = dir.durable.clone();
                for (name, meanings) in &dir.history {
                    let choice = random.below(meanings.len() as u64 + 1) as usize;
                    match meanings.get(choice) {
                        Some(Some(inode)) => kept.insert(name.clone(), *inode),
                        Some(None) => kept.remove(name),
                        // What it meant when it was synced.
                        None => continue,
                    };
                }
                Self::Dir(DirNode { now: kept.clone(), durable: kept, history: BTreeMap::new() })
            }
            Self::File(file) => Self::File(file.after_power_loss(random)),
        }
    }
}

impl FileNode {
    fn after_power_loss(&self, random: &Random) -> Self {
        let mut lengths = vec![self.durable.len()];
        if !self.given_up {
            lengths.extend(&self.lengths);
        }
        let length = lengths[random.below(lengths.len() as u64) as usize];
        let mut kept = self.durable.clone();
        kept.resize(length, 0);
        for (n, piece) in kept.chunks_mut(SECTOR).enumerate() {
            let from = n * SECTOR;
            let new = self.now.get(from..self.now.len().min(from + piece.len())).unwrap_or_default();
            let same = self.durable.get(from..from + piece.len()) == Some(new);
            if same || self.given_up {
                continue;
            }
            match random.below(3) {
                0 => {}
                1 if self.durable.len() <= from => piece.fill(0),
                _ => piece[..new.len()].copy_from_slice(new),
            }
        }
        Self { now: kept.clone(), durable: kept, lengths: Vec::new(), given_up: false }
    }
}

impl Files for SimFiles {
    type Dir = Inode;
    type File = Inode;

    fn root(&self) -> io::Result<Inode> {
        Ok(ROOT)
    }

    fn open_dir(&self, above: &Inode, name: &str) -> io::Result<Inode> {
        let mut world = self.fallible_step()?;
        let inode = *world.dir(*above).now.get(name).ok_or(io::ErrorKind::NotFound)?;
        match world.nodes[inode] {
            Node::Dir(_) => Ok(inode),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn make_dir(&self, above: &Inode, name: &str) -> io::Result<()> {
        let mut world = self.fallible_step()?;
        if world.dir(*above).now.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = world.add(Node::Dir(DirNode::default()));
        world.dir(*above).set(name, Some(inode));
        Ok(())
    }

    fn sync_dir(&self, dir: &Inode) -> io::Result<()> {
        let mut world = self.fallible_step()?;
        let dir = world.dir(*dir);
        dir.durable = dir.now.clone();
        dir.history.clear();
        Ok(())
    }

    fn entries(&self, dir: &Inode) -> io::Result<Vec<Entry>> {
        let mut world = self.fallible_step()?;
        let found = world.dir(*dir).now.clone();
        let entry = |(name, inode): (String, Inode)| Entry {
            is_dir: matches!(world.nodes[inode], Node::Dir(_)),
            name,
        };
        Ok(found.into_iter().map(entry).collect())
    }

    fn alignment(&self) -> usize {
        PAGE
    }

    fn stage(&self, _dir: &Inode) -> io::Result<Inode> {
        Ok(self.fallible_step()?.add(Node::File(FileNode::default())))
    }

    fn write_at(&self, file: &Inode, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.fallible_step()?;
        let unaligned = [bytes.as_ptr() as usize, bytes.len(), offset as usize].iter().any(|n| n % PAGE != 0);
        if unaligned {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if world.used() + bytes.len() as u64 > world.capacity {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        let file = world.file(*file)?;
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        if file.now.len() < to {
            file.now.resize(to, 0);
        }
        file.now[from..to].copy_from_slice(bytes);
        file.lengths.push(file.now.len());
        Ok(())
    }

    fn truncate(&self, file: &Inode, bytes: u64) -> io::Result<()> {
        let mut world = self.fallible_step()?;
        let file = world.file(*file)?;
        file.now.resize(bytes as usize, 0);
        file.lengths.push(bytes as usize);
        Ok(())
    }

    fn sync(&self, file: &Inode) -> io::Result<()> {
        let mut world = self.step()?;
        let fails = world.random.chance(world.trouble.sync);
        let file = world.file(*file)?;
        if fails {
            file.given_up = true;
            return Err(io::Error::other("the disk lost what it was to write"));
        }
        if !file.given_up {
            file.durable = file.now.clone();
            file.lengths.clear();
        }
        Ok(())
    }

    fn link(&self, file: &Inode, dir: &Inode, name: &str) -> io::Result<()> {
        let mut world = self.fallible_step()?;
        if world.dir(*dir).now.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.dir(*dir).set(name, Some(*file));
        Ok(())
    }

    fn open(&self, dir: &Inode, name: &str) -> io::Result<Inode> {
        let mut world = self.fallible_step()?;
        world.dir(*dir).now.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn len(&self, file: &Inode) -> io::Result<u64> {
        Ok(self.fallible_step()?.file(*file)?.now.len() as u64)
    }

    fn len_of(&self, dir: &Inode, name: &str) -> io::Result<u64> {
        let inode = self.open(dir, name)?;
        self.len(&inode)
    }

    fn read_at(&self, file: &Inode, bytes: usize, offset: u64) -> io::Result<Bytes> {
        let mut world = self.fallible_step()?;
        let from = offset as usize;
        let read = world.file(*file)?.now.get(from..from + bytes).map(Bytes::copy_from_slice);
        read.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn unlink(&self, dir: &Inode, name: &str) -> io::Result<()> {
        let mut world = self.fallible_step()?;
        if !world.dir(*dir).now.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = world.dir(*dir).now[name];
        world.dir(*dir).set(name, None);
        // Room is given back at once; a name that comes back after a power loss names what it did.
        if let Node::File(file) = &mut world.nodes[inode] {
            file.lengths.push(file.now.len());
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let world = self.lock();
        Ok(world.capacity.saturating_sub(world.used()))
    }

    fn set_reserve(&self, bytes: u64) -> io::Result<()> {
        let filling = self.lock().filling;
        if bytes > 0 && filling.impossible {
            return Err(rustix::io::Errno::OPNOTSUPP.into());
        }
        (0..filling.yields).for_each(|_| std::thread::yield_now());
        let mut world = self.lock();
        world.filling.done += u32::from(bytes > 0);
        let others = world.used() - world.reserve;
        if others + bytes > world.capacity {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        world.reserve = bytes;
        Ok(())
    }
}

impl SimFiles {
    /// How filling the reserve goes from now on.
    pub(super) fn set_filling(&self, filling: Filling) {
        self.lock().filling = filling;
    }

    pub(super) fn filling(&self) -> Filling {
        self.lock().filling
    }

    /// Room left, for assertions.
    pub(super) fn free_bytes_now(&self) -> u64 {
        self.free_bytes().unwrap_or(0)
    }
}
