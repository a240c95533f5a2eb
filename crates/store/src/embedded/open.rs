//! Opening: the format, the lock, the index's position, and the log after it.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};

use super::{EmbeddedStore, FORMAT, Memory, OLDEST_FORMAT, Options, Shared, Signals, background};
use crate::disk::{Disk, is_full};
use crate::index::Index;
use crate::log::read::{Walk, io_error, list_segments, segment_name};
use crate::log::{LOG_DIR, Log, LogCounters, Recovered};
use crate::memtable::Generation;
use crate::{Commit, Error};

const FORMAT_FILE: &str = "FORMAT";
const FORMAT_PREFIX: &str = "stepwright store format ";
const LOCK_FILE: &str = "LOCK";
const INDEX_DIR: &str = "index";

impl EmbeddedStore {
    /// [`EmbeddedStore::open`] on another disk and with another index, for simulators and
    /// measurements. `open_index` is given the index's directory after the lock is taken.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn open_with(
        disk: Arc<dyn Disk>,
        dir: &Path,
        mut options: Options,
        open_index: impl FnOnce(&Path) -> Result<Box<dyn Index>, Error>,
    ) -> Result<EmbeddedStore, Error> {
        options.segment_bytes = options.segment_bytes.max(4096);
        let io = |action: &'static str, error: &std::io::Error| io_error(action, dir, error);
        disk.create_dir_all(dir).map_err(|e| io("creating", &e))?;
        let lock = disk.lock(&dir.join(LOCK_FILE)).map_err(|error| {
            if error.kind() == std::io::ErrorKind::WouldBlock {
                Error::Locked { dir: dir.to_path_buf() }
            } else {
                io_error("locking", &dir.join(LOCK_FILE), &error)
            }
        })?;
        let format = read_format(&*disk, dir)?;
        let existing = format.is_some();

        let log_dir = dir.join(LOG_DIR);
        disk.create_dir_all(&log_dir).map_err(|e| io_error("creating", &log_dir, &e))?;
        Log::clean(&*disk, &log_dir)?;
        if existing {
            // A process that ended between giving a file its name and syncing the directory left a name that a power
            // cut may still take. What is about to be acknowledged will rest on it.
            sync_dirs(&*disk, dir).map_err(|e| io("syncing", &e))?;
        }
        disk.sync_dir(&log_dir).map_err(|e| io_error("syncing", &log_dir, &e))?;
        let index = open_index(&dir.join(INDEX_DIR))?;
        let position = index.position()?;

        let (recovered, active) = replay(&*disk, &log_dir, position)?;
        let has_records = recovered.segments.iter().any(|s| s.last.is_some());
        if existing && recovered.segments.is_empty() {
            return Err(Error::corrupt(
                log_dir.join(segment_name(1)),
                0,
                "the log has no segments, although the store was in use",
            ));
        }
        if let Some(first) = recovered.segments.first().filter(|s| position == 0 && s.number > 1) {
            return Err(Error::corrupt(
                log_dir.join(segment_name(1)),
                0,
                format!(
                    "this log segment is missing: no checkpoint was written yet, and the log begins with {}",
                    segment_name(first.number)
                ),
            ));
        }
        if !existing && (has_records || position > 0) {
            return Err(Error::corrupt(
                dir.join(FORMAT_FILE),
                0,
                "this file is missing, although the store was in use",
            ));
        }

        let counters = Arc::new(LogCounters::default());
        let log = Log::resume(
            Arc::clone(&disk),
            &log_dir,
            options.segment_bytes,
            options.durability,
            recovered,
            Arc::clone(&counters),
        )?;
        // Before anything is written that an older version would misread.
        if format != Some(FORMAT) {
            write_format(&*disk, dir)?;
        }
        let reserver = log.reserver();
        if !options.background {
            reserver.reserve();
        }
        let replayed = active.bytes();
        let shared = Arc::new(Shared {
            disk,
            dir: dir.to_path_buf(),
            index,
            log: Mutex::new(log),
            reserver,
            memory: RwLock::new(Memory { active, frozen: None, frozen_position: position }),
            checkpointing: Mutex::new(()),
            position: AtomicU64::new(position),
            ended: OnceLock::new(),
            checkpoint_refused: Mutex::new(None),
            signals: Mutex::new(Signals {
                checkpoint: replayed >= options.checkpoint_bytes,
                reserve: true,
                stop: false,
            }),
            signalled: Condvar::new(),
            checkpoint_ended: Condvar::new(),
            log_bytes_since_freeze: AtomicU64::new(replayed),
            counters,
            checkpoints: AtomicU64::new(0),
            index_rows: AtomicU64::new(0),
            options,
        });
        let threads = if shared.options.background {
            background::spawn(&shared).map_err(|e| io("starting threads for", &e))?
        } else {
            Vec::new()
        };
        Ok(EmbeddedStore { shared, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) })
    }
}

/// Reads the log and repeats what the index does not hold.
fn replay(disk: &dyn Disk, log_dir: &Path, position: u64) -> Result<(Recovered, Generation), Error> {
    let mut active = Generation::default();
    let mut walk = Walk::new(disk, log_dir, Some(position));
    let mut segments = Vec::new();
    for number in list_segments(disk, log_dir)? {
        let path = log_dir.join(segment_name(number));
        segments.push(walk.segment(number, |offset, record| {
            if record.sequence <= position {
                return Ok(());
            }
            let commit = Commit::from_bytes(record.payload).map_err(|reason| Error::corrupt(&path, offset, reason))?;
            commit.mutations().for_each(|mutation| active.apply_again(&mutation));
            Ok(())
        })?);
    }
    let next_sequence = walk.finish()?;
    Ok((Recovered { segments, next_sequence }, active))
}

/// The format of a store that exists already; it can be read.
fn read_format(disk: &dyn Disk, dir: &Path) -> Result<Option<u32>, Error> {
    let path = dir.join(FORMAT_FILE);
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("opening", &path, &error)),
    };
    let bytes = file.read_all().map_err(|e| io_error("reading", &path, &e))?;
    let found = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.strip_prefix(FORMAT_PREFIX))
        .and_then(|rest| rest.trim_end().parse::<u32>().ok())
        .ok_or_else(|| Error::corrupt(&path, 0, format!("it should say `{FORMAT_PREFIX}` and a number")))?;
    if found > FORMAT {
        return Err(Error::NewerFormat { dir: dir.to_path_buf(), found, supported: FORMAT });
    }
    if found < OLDEST_FORMAT {
        return Err(Error::invalid(format!(
            "the data in {} has format {found}, which was never released; this version reads formats from \
             {OLDEST_FORMAT} to {FORMAT}: make a backup with the version that wrote it, and restore that",
            dir.display()
        )));
    }
    Ok(Some(found))
}

/// Makes the names in the data directory durable, and its own.
fn sync_dirs(disk: &dyn Disk, dir: &Path) -> std::io::Result<()> {
    disk.sync_dir(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => disk.sync_dir(parent),
        _ => Ok(()),
    }
}

/// Written last, so that a directory without it was never in use.
fn write_format(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let path = dir.join(FORMAT_FILE);
    let temporary = dir.join("FORMAT.tmp");
    let written = disk
        .create(&temporary)
        .and_then(|file| {
            file.write_at(format!("{FORMAT_PREFIX}{FORMAT}\n").as_bytes(), 0)?;
            file.sync()
        })
        .and_then(|()| disk.rename(&temporary, &path))
        .and_then(|()| sync_dirs(disk, dir));
    written.map_err(|error| {
        if is_full(&error) {
            Error::Full { dir: dir.to_path_buf(), needed: 4096, reason: error.to_string() }
        } else {
            io_error("writing", &path, &error)
        }
    })
}
