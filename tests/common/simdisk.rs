//! A disk that fails on purpose, as a backend for redb.
//!
//! It holds what the kernel holds: the page cache, which every read sees; the durable image, which
//! alone survives a power cut; and between them the changes no sync has carried over yet, in order.
//! A cut leaves of those any part, in any order, torn at 512 bytes. A failed sync may drop changes
//! while the cache still shows them (fsyncgate). All chance comes from the seed.

// Each test program that includes this uses another part of it.
#![allow(dead_code)]

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// What a disk writes at once or not at all.
pub const SECTOR_BYTES: usize = 512;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `0..below`.
    pub fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(below)) >> 64) as u64
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n as u64 + 1) as usize);
        }
    }
}

/// What a power cut does to the changes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    LoseAll,
    KeepAll,
    /// The first so many percent arrived, in order.
    KeepFirst(u64),
    /// Each change is lost or kept, in any order.
    Reorder,
    /// Each 512-byte sector is lost or kept, in any order.
    Tear,
}

impl Damage {
    /// The n-th of an endless list that begins with the plain ones.
    pub fn nth(n: u64, dice: &mut Dice) -> Damage {
        match n {
            0 => Damage::LoseAll,
            1 => Damage::KeepAll,
            _ if n % 4 == 2 => Damage::KeepFirst(dice.below(100)),
            _ if n % 4 == 3 => Damage::Reorder,
            _ => Damage::Tear,
        }
    }
}

/// What goes wrong, and when. Changes (`write`, `set_len`, `sync_data`) and reads are counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trip {
    /// The power fails inside the change; from then on nothing works until [`SimDisk::power_cut`].
    PowerAt(u64),
    /// The change fails once with EIO, undone.
    ChangeOnce(u64),
    /// From that change on every change fails with EIO.
    ChangesFrom(u64),
    /// From that change on nothing can be written for want of space; syncs succeed.
    FullFrom(u64),
    /// The read fails once with EIO.
    ReadOnce(u64),
    /// The first sync from that change on fails and drops so many percent of what it should have
    /// made durable; the cache keeps all of it and later syncs succeed.
    SyncDropsFrom { change: u64, percent: u64 },
}

const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

/// A file's bytes in shared pages: a copy costs what is changed afterwards.
#[derive(Clone, Debug, Default)]
pub struct Image {
    len: usize,
    pages: Vec<Arc<Page>>,
}

impl Image {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// New bytes are zero.
    fn set_len(&mut self, len: usize) {
        if len < self.len && !len.is_multiple_of(PAGE_BYTES) {
            // What grows again behind the cut must not show the old bytes.
            Arc::make_mut(&mut self.pages[len / PAGE_BYTES])[len % PAGE_BYTES..].fill(0);
        }
        self.pages.resize_with(len.div_ceil(PAGE_BYTES), || Arc::new([0; PAGE_BYTES]));
        self.len = len;
    }

    /// A write can arrive although the growth before it was lost: then it makes the room itself.
    fn write(&mut self, offset: usize, data: &[u8]) {
        if self.len < offset + data.len() {
            self.set_len(offset + data.len());
        }
        let mut at = 0;
        while at < data.len() {
            let (page, from) = ((offset + at) / PAGE_BYTES, (offset + at) % PAGE_BYTES);
            let count = (PAGE_BYTES - from).min(data.len() - at);
            Arc::make_mut(&mut self.pages[page])[from..from + count].copy_from_slice(&data[at..at + count]);
            at += count;
        }
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = 0;
        while at < out.len() {
            let (page, from) = ((offset + at) / PAGE_BYTES, (offset + at) % PAGE_BYTES);
            let count = (PAGE_BYTES - from).min(out.len() - at);
            out[at..at + count].copy_from_slice(&self.pages[page][from..from + count]);
            at += count;
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

type Watcher = Box<dyn FnMut(&State) + Send>;

pub struct State {
    cache: Image,
    durable: Image,
    pending: Vec<Change>,
    dice: Dice,
    changes: u64,
    /// Which of the changes were syncs.
    syncs: Vec<u64>,
    reads: u64,
    /// Faults that happened.
    faults: u64,
    trip: Option<Trip>,
    /// How long the file may get, in bytes.
    space_bytes: Option<u64>,
    powered: bool,
    /// The process that may use the disk; handles of earlier ones are dead.
    process: u64,
    watcher: Option<Watcher>,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

/// The file as one process sees it: the backend for one opening.
pub struct SimFile {
    disk: SimDisk,
    process: u64,
}

impl State {
    /// What a power cut would leave now.
    pub fn image_after_cut(&self, damage: Damage, dice: &mut Dice) -> Image {
        let mut image = self.durable.clone();
        self.land(damage, dice, &mut image);
        image
    }

    /// Lets of the pending changes arrive what survives the damage.
    fn land(&self, damage: Damage, dice: &mut Dice, image: &mut Image) {
        let kept: Vec<Change> = match damage {
            Damage::LoseAll => Vec::new(),
            Damage::KeepAll => self.pending.clone(),
            Damage::KeepFirst(percent) => self.pending[..self.pending.len() * percent as usize / 100].to_vec(),
            Damage::Reorder => {
                let mut kept: Vec<Change> = self.pending.iter().filter(|_| dice.chance(50)).cloned().collect();
                dice.shuffle(&mut kept);
                kept
            }
            Damage::Tear => {
                let mut kept: Vec<Change> = self.pending.iter().flat_map(sectors).filter(|_| dice.chance(50)).collect();
                dice.shuffle(&mut kept);
                kept
            }
        };
        kept.iter().for_each(|change| apply(image, change));
    }

    /// Whether a cut now can leave only one image.
    pub fn is_synced(&self) -> bool {
        self.pending.is_empty()
    }

    fn change(&mut self, change: Option<Change>) -> io::Result<()> {
        if let (Some(space), Some(needed)) = (self.space_bytes, change.as_ref().map(end))
            && needed as u64 > space
            && needed > self.cache.len()
        {
            self.faults += 1;
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let number = self.changes;
        self.changes += 1;
        if change.is_none() {
            self.syncs.push(number);
        }
        match self.trip {
            Some(Trip::ChangeOnce(at)) if at == number => {
                self.trip = None;
                self.faults += 1;
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Some(Trip::ChangesFrom(at)) if number >= at => {
                self.faults += 1;
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Some(Trip::FullFrom(at)) if number >= at && change.is_some() => {
                self.faults += 1;
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            Some(Trip::SyncDropsFrom { change: at, percent }) if number >= at && change.is_none() => {
                self.trip = None;
                self.faults += 1;
                let pending = std::mem::take(&mut self.pending);
                let kept = pending.iter().flat_map(sectors).filter(|_| !self.dice.chance(percent));
                kept.for_each(|change| apply(&mut self.durable, &change));
                return Err(io::Error::from_raw_os_error(EIO));
            }
            _ => {}
        }
        let is_sync = change.is_none();
        if let Some(change) = change {
            apply(&mut self.cache, &change);
            self.pending.push(change);
        }
        // Inside the change: a write is on its way, a sync has carried nothing over yet.
        if let Some(mut watcher) = self.watcher.take() {
            watcher(self);
            self.watcher = Some(watcher);
        }
        if self.trip == Some(Trip::PowerAt(number)) {
            self.trip = None;
            self.faults += 1;
            self.powered = false;
            return Err(io::Error::other("the power is off"));
        }
        if is_sync {
            for change in std::mem::take(&mut self.pending) {
                apply(&mut self.durable, &change);
            }
        }
        Ok(())
    }
}

fn end(change: &Change) -> usize {
    match change {
        Change::Write { offset, data } => offset + data.len(),
        Change::SetLen(len) => *len,
    }
}

fn apply(image: &mut Image, change: &Change) {
    match change {
        Change::Write { offset, data } => image.write(*offset, data),
        Change::SetLen(len) => image.set_len(*len),
    }
}

/// A change in the pieces in which it can arrive.
fn sectors(change: &Change) -> Vec<Change> {
    let Change::Write { offset, data } = change else { return vec![change.clone()] };
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let sector_end = ((offset + at) / SECTOR_BYTES + 1) * SECTOR_BYTES - offset;
        let to = sector_end.min(data.len());
        pieces.push(Change::Write { offset: offset + at, data: data[at..to].to_vec() });
        at = to;
    }
    pieces
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::with_image(seed, Image::default())
    }

    /// A disk with this durable file on it.
    pub fn with_image(seed: u64, image: Image) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            cache: image.clone(),
            durable: image,
            pending: Vec::new(),
            dice: Dice::new(seed),
            changes: 0,
            syncs: Vec::new(),
            reads: 0,
            faults: 0,
            trip: None,
            space_bytes: None,
            powered: true,
            process: 0,
            watcher: None,
        })))
    }

    /// The file for a new process: the handles of the one before are dead, as after a kill -9, so that
    /// dropping a store that still has one writes nothing. The page cache stays.
    pub fn file(&self) -> SimFile {
        let mut state = self.state();
        state.process += 1;
        SimFile { disk: self.clone(), process: state.process }
    }

    /// Sets what goes wrong next, or nothing.
    pub fn trip(&self, trip: Option<Trip>) {
        self.state().trip = trip;
    }

    /// Limits the file's length: what would grow it beyond fails with ENOSPC.
    pub fn limit(&self, space_bytes: Option<u64>) {
        self.state().space_bytes = space_bytes;
    }

    /// Called inside every change, before a sync takes effect.
    pub fn watch(&self, watcher: impl FnMut(&State) + Send + 'static) {
        self.state().watcher = Some(Box::new(watcher));
    }

    pub fn unwatch(&self) {
        self.state().watcher = None;
    }

    /// Cuts the power and gives it back: the cache is lost, of the pending changes some arrive.
    /// Handles given out before are dead.
    pub fn power_cut(&self, damage: Damage) {
        let mut state = self.state();
        let mut dice = state.dice.clone();
        let mut image = std::mem::take(&mut state.durable);
        state.land(damage, &mut dice, &mut image);
        state.dice = dice;
        state.pending.clear();
        state.cache.clone_from(&image);
        state.durable = image;
        state.powered = true;
        state.trip = None;
        state.process += 1;
    }

    /// Copies the file to a new one that is synced and takes its place: what the cache shows is
    /// durable. What [`reconciled::store::file::StoreFile::recover`] does.
    pub fn copy_over(&self) {
        let mut state = self.state();
        let state = &mut *state;
        state.durable.clone_from(&state.cache);
        state.pending.clear();
        state.process += 1;
    }

    /// The file as a reader sees it.
    pub fn cache_image(&self) -> Image {
        self.state().cache.clone()
    }

    /// How many changes were tried.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// The numbers of those changes that were syncs.
    pub fn syncs(&self) -> Vec<u64> {
        self.state().syncs.clone()
    }

    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// How many faults were served.
    pub fn faults(&self) -> u64 {
        self.state().faults
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic inside a watcher is a failed test; what it left here is not read again.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl SimFile {
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if !state.powered {
            return Err(io::Error::other("the power is off"));
        }
        if state.process != self.process {
            return Err(io::Error::other("this process was killed"));
        }
        Ok(state)
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.process)
    }
}

impl StorageBackend for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.alive()?.cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.alive()?;
        let number = state.reads;
        state.reads += 1;
        if state.trip == Some(Trip::ReadOnce(number)) {
            state.trip = None;
            state.faults += 1;
            return Err(io::Error::from_raw_os_error(EIO));
        }
        state.cache.read(offset as usize, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.alive()?.change(Some(Change::SetLen(len as usize)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.alive()?.change(None)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.alive()?.change(Some(Change::Write { offset: offset as usize, data: data.to_vec() }))
    }
}
