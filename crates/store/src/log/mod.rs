//! The log: the truth of the embedded store. Numbered records in preallocated segments.
//!
//! A batch is one write and one sync, and lies in one segment. The segment after the active one
//! is reserved ahead, with its header written and synced, so that a full disk is noticed before
//! a commit can fail. This module must never sync a second time after a sync failed, and never
//! report a batch as written before its sync (unless told to by [`Durability::Relaxed`]).

pub(crate) mod format;
pub(crate) mod read;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, is_full};
use crate::{Commit, Error};
use format::{SEGMENT_HEADER, SegmentHeader, encode_record};
use read::{ReadSegment, io_error, segment_name};

pub use read::{LogReader, LogRecord, read_log};

/// The folder of the log in the data directory.
pub(crate) const LOG_DIR: &str = "log";
const RESERVING: &str = "reserving.tmp";

/// The first segment of a new log, which a server waits for when it starts.
const FIRST_SEGMENT: u64 = 1 << 20;

/// Zeros are written in pieces of this size, each with a sync of its own, so that a commit never waits behind a
/// whole segment of them.
const ZEROS: usize = 1 << 20;

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is synced: it survives a power cut.
    Durable,
    /// When the operating system has it: it survives the death of the process; a power cut may
    /// take the last moments.
    Relaxed,
}

struct Segment {
    number: u64,
    salt: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Where the next record goes.
    end: u64,
    /// How far space is reserved.
    len: u64,
}

/// What is known about the segment after the active one.
enum Spare {
    /// Nobody is at it.
    Wanted,
    /// The background thread is at it.
    Coming,
    Ready(Segment),
    /// There was no room, or worse.
    Refused(std::io::Error),
}

/// Creates segments ahead of need; shared by the committer and the background thread.
pub(crate) struct Reserver {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    spare: Mutex<(u64, Spare)>,
    changed: Condvar,
    /// The last attempt that ended was refused; an attempt under way may be, too.
    refused: AtomicBool,
}

impl Reserver {
    fn lock(&self) -> MutexGuard<'_, (u64, Spare)> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last attempt to reserve a segment was refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether nobody has reserved the segment after the active one yet.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.lock().1, Spare::Wanted)
    }

    /// Reserves the segment after the active one, unless it is there or on its way.
    pub(crate) fn reserve(&self) {
        let number = {
            let mut spare = self.lock();
            if matches!(spare.1, Spare::Ready(_) | Spare::Coming) {
                return;
            }
            spare.1 = Spare::Coming;
            spare.0
        };
        let (spare, refused) = match self.create(number) {
            Ok(segment) => (Spare::Ready(segment), None),
            Err(error) => (Spare::Refused(copy_error(&error)), Some(error)),
        };
        self.refused.store(refused.is_some(), Ordering::Relaxed);
        self.lock().1 = spare;
        self.changed.notify_all();
        if let Some(error) = refused {
            tracing::warn!(dir = %self.dir.display(), %error, "cannot reserve a log segment");
        }
    }

    /// Nobody is at a segment any more: whoever waits for it must make it.
    pub(crate) fn abandon(&self) {
        let mut spare = self.lock();
        if matches!(spare.1, Spare::Coming) {
            spare.1 = Spare::Wanted;
        }
        self.changed.notify_all();
    }

    /// Takes the reserved segment; waits if it is on its way, tries once more if it was refused.
    fn take(&self) -> std::io::Result<Segment> {
        let mut spare = self.lock();
        loop {
            match std::mem::replace(&mut spare.1, Spare::Wanted) {
                Spare::Ready(segment) => {
                    spare.0 = segment.number + 1;
                    return Ok(segment);
                }
                Spare::Coming => {
                    spare.1 = Spare::Coming;
                    spare = self.changed.wait(spare).unwrap_or_else(PoisonError::into_inner);
                }
                Spare::Wanted | Spare::Refused(_) => {
                    drop(spare);
                    self.reserve();
                    spare = self.lock();
                    if let Spare::Refused(error) = &spare.1 {
                        return Err(copy_error(error));
                    }
                }
            }
        }
    }

    /// A segment appears under its name only when its space is reserved and its header synced,
    /// so a damaged header is never a torn one.
    fn create(&self, number: u64) -> std::io::Result<Segment> {
        let temporary = self.dir.join(RESERVING);
        let path = self.dir.join(segment_name(number));
        let salt = self.disk.salt();
        let len = if number == 1 { self.segment_bytes.min(FIRST_SEGMENT) } else { self.segment_bytes };
        let file = self.disk.create(&temporary)?;
        let made = file
            .reserve(len)
            .and_then(|()| write_zeros(&*file, len))
            .and_then(|()| file.write_at(&SegmentHeader { salt, number }.encode(), 0))
            .and_then(|()| file.sync());
        if let Err(error) = made {
            // Gives the space back; recovery removes the file if this fails too.
            let _ = self.disk.remove(&temporary);
            return Err(error);
        }
        self.disk.rename(&temporary, &path)?;
        self.disk.sync_dir(&self.dir)?;
        Ok(Segment { number, salt, path, file, end: SEGMENT_HEADER as u64, len })
    }
}

/// Writes zeros over space that is reserved already. A sync of a batch then has nothing to tell the file system's
/// journal: overwriting takes half the time of writing space for the first time, and a tenth of the bytes.
fn write_zeros(file: &dyn DiskFile, len: u64) -> std::io::Result<()> {
    let zeros = vec![0; ZEROS.min(usize::try_from(len).unwrap_or(ZEROS))];
    let mut at = 0;
    while at < len {
        let piece = (len - at).min(zeros.len() as u64);
        file.write_at(&zeros[..usize::try_from(piece).unwrap_or(zeros.len())], at)?;
        at += piece;
        file.sync()?;
    }
    Ok(())
}

fn copy_error(error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), error.to_string())
}

/// Counters of the log, readable without its lock.
#[derive(Default)]
pub(crate) struct LogCounters {
    pub(crate) bytes: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) syncs: AtomicU64,
}

/// The writing end of the log.
pub(crate) struct Log {
    dir: PathBuf,
    durability: Durability,
    reserver: Arc<Reserver>,
    active: Segment,
    /// Older segments and the last record in each.
    sealed: VecDeque<(u64, u64)>,
    buffer: Vec<u8>,
    next_sequence: u64,
    /// The last record known to be synced.
    durable: u64,
    counters: Arc<LogCounters>,
}

/// What recovery found: a walked log.
pub(crate) struct Recovered {
    pub(crate) segments: Vec<ReadSegment>,
    pub(crate) next_sequence: u64,
}

fn failed(action: &'static str, file: &Path, error: &std::io::Error) -> Error {
    Error::Failed { action, file: file.to_path_buf(), reason: error.to_string() }
}

impl Log {
    /// Removes what an interrupted reservation left.
    pub(crate) fn clean(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
        match disk.remove(&dir.join(RESERVING)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("removing", &dir.join(RESERVING), &error)),
        }
    }

    /// Continues a log behind what recovery found: cuts a torn tail, or begins the first segment.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment_bytes: u64,
        durability: Durability,
        recovered: Recovered,
        counters: Arc<LogCounters>,
    ) -> Result<Log, Error> {
        let mut sealed = VecDeque::new();
        let mut active: Option<Segment> = None;
        let mut spare: Option<Segment> = None;
        let with_records = recovered.segments.iter().rposition(|s| s.last.is_some());
        let active_at = with_records.unwrap_or(0);
        let mut newest = 0;
        let mut last_record = 0;
        for (at, read) in recovered.segments.into_iter().enumerate() {
            let mut segment = Segment {
                number: read.number,
                salt: read.salt,
                path: dir.join(segment_name(read.number)),
                file: read.file,
                end: read.end,
                len: read.len,
            };
            last_record = read.last.unwrap_or(last_record);
            if read.torn {
                tracing::info!(
                    file = %segment.path.display(), offset = segment.end,
                    "cutting the remains of a batch that was never acknowledged"
                );
                segment
                    .file
                    .truncate(segment.end)
                    .and_then(|()| segment.file.sync())
                    .map_err(|e| io_error("cutting", &segment.path, &e))?;
                segment.len = segment.end;
                // Without room the segment stays short and the next batch goes to another one.
                if segment.file.reserve(read.len).is_ok() {
                    segment.len = read.len;
                }
            }
            newest = segment.number;
            if at < active_at {
                sealed.push_back((segment.number, last_record));
            } else if at == active_at {
                active = Some(segment);
            } else if read.torn {
                // Its first batch was torn: it goes on as the active one, now empty.
                if let Some(older) = active.replace(segment) {
                    sealed.push_back((older.number, last_record));
                }
            } else if spare.is_none() {
                spare = Some(segment);
            } else {
                // A rotation and a reservation came together: one spare is enough.
                newest = segment.number - 1;
                disk.remove(&segment.path)
                    .and_then(|()| disk.sync_dir(dir))
                    .map_err(|e| io_error("removing", &segment.path, &e))?;
            }
        }
        if let Some(active) = &active {
            // After a kill, records may have been read that are not on disk yet; they are about
            // to be answered from.
            active.file.sync().map_err(|e| io_error("syncing", &active.path, &e))?;
        }
        let next_number = spare.as_ref().map_or(newest + 1, |s| s.number);
        let reserver = Arc::new(Reserver {
            disk,
            dir: dir.to_path_buf(),
            segment_bytes,
            spare: Mutex::new((next_number, spare.map_or(Spare::Wanted, Spare::Ready))),
            changed: Condvar::new(),
            refused: AtomicBool::new(false),
        });
        let active = match active {
            Some(active) => active,
            None => reserver.take().map_err(|e| no_room(dir, segment_bytes, "creating a log segment in", &e))?,
        };
        Ok(Log {
            dir: dir.to_path_buf(),
            durability,
            reserver,
            active,
            sealed,
            buffer: Vec::new(),
            next_sequence: recovered.next_sequence,
            durable: recovered.next_sequence - 1,
            counters,
        })
    }

    pub(crate) fn reserver(&self) -> Arc<Reserver> {
        Arc::clone(&self.reserver)
    }

    /// The last record written.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// Writes a batch and, if so told, syncs it. Returns the bytes written.
    ///
    /// # Errors
    /// `Full` before anything was written. `Failed` when the outcome is unknown: the log must
    /// not be written to again.
    pub(crate) fn append(&mut self, batch: &[Commit]) -> Result<u64, Error> {
        self.encode(batch);
        let len = self.buffer.len() as u64;
        if self.active.end + len > self.active.len {
            self.make_room(len)?;
            self.encode(batch);
        }
        let active = &mut self.active;
        active.file.write_at(&self.buffer, active.end).map_err(|e| failed("writing", &active.path, &e))?;
        self.counters.bytes.fetch_add(len, Ordering::Relaxed);
        active.end += len;
        self.next_sequence += batch.len() as u64;
        if self.durability == Durability::Durable {
            self.sync()?;
        }
        self.counters.records.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        if self.buffer.capacity() > 8 << 20 {
            self.buffer = Vec::new();
        }
        Ok(len)
    }

    /// Syncs what was written, if anything was since the last sync.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        if self.durable == self.last_sequence() {
            return Ok(());
        }
        self.active.file.sync().map_err(|e| failed("syncing", &self.active.path, &e))?;
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.durable = self.last_sequence();
        Ok(())
    }

    fn encode(&mut self, batch: &[Commit]) {
        self.buffer.clear();
        for (commit, sequence) in batch.iter().zip(self.next_sequence..) {
            encode_record(&mut self.buffer, self.active.salt, sequence, self.durable, commit);
        }
    }

    fn make_room(&mut self, len: u64) -> Result<(), Error> {
        if SEGMENT_HEADER as u64 + len > self.reserver.segment_bytes {
            // Larger than any segment: this one grows.
            let needed = self.active.end + len;
            self.active.file.reserve(needed).map_err(|e| no_room(&self.dir, len, "reserving space in", &e))?;
            self.active.len = needed;
            return Ok(());
        }
        // A later segment may hold records only if this one is durable to its end.
        self.sync()?;
        let next = self
            .reserver
            .take()
            .map_err(|e| no_room(&self.dir, self.reserver.segment_bytes, "reserving a segment in", &e))?;
        let last = self.last_sequence();
        let old = std::mem::replace(&mut self.active, next);
        self.sealed.push_back((old.number, last));
        Ok(())
    }

    /// The file of the oldest segment, if no record in it is after `position`.
    pub(crate) fn oldest_released(&self, position: u64) -> Option<PathBuf> {
        let &(number, last) = self.sealed.front()?;
        (last <= position).then(|| self.dir.join(segment_name(number)))
    }

    /// The oldest segment's file was removed.
    pub(crate) fn forget_oldest(&mut self) {
        self.sealed.pop_front();
    }
}

/// No room is a refusal; any other failure to reserve is fatal.
fn no_room(dir: &Path, needed: u64, action: &'static str, error: &std::io::Error) -> Error {
    if is_full(error) {
        Error::Full { dir: dir.to_path_buf(), needed, reason: error.to_string() }
    } else {
        failed(action, dir, error)
    }
}
