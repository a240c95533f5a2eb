//! Records of executions as lines of JSON, into a file that is put aside when it is large, or to standard output. A
//! thread of its own writes them: what reads standard output may be slow, and a disk may hang.
//!
//! What counts as told is in the system's hands, and a file's lines are on the disk before their turns are forgotten:
//! one sync for many lines, for it costs the store's own syncs as much as it takes.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::mpsc,
};

use tokio::sync::oneshot;

use super::{LogEntry, Outcome};
use crate::config::Telling;

enum Work {
    Write(String),
    Sync,
}

struct Job {
    work: Work,
    reply: oneshot::Sender<io::Result<()>>,
}

/// The writer's other end.
pub(super) struct Lines {
    jobs: mpsc::Sender<Job>,
}

impl Lines {
    /// Lines into the file of the settings, after those that it has.
    pub(super) fn to_file(telling: &Telling) -> io::Result<Self> {
        let mut file = RotatedFile::open(telling.log_file.clone(), telling.log_file_bytes, telling.log_files)?;
        Self::with(move |work| match work {
            Work::Write(text) => file.write(text),
            Work::Sync => file.sync(),
        })
    }

    /// Lines to standard output.
    pub(super) fn to_stdout() -> io::Result<Self> {
        Self::with(|work| match work {
            Work::Write(text) => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            }
            Work::Sync => Ok(()),
        })
    }

    fn with(mut work: impl FnMut(&Work) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let run = move || {
            for job in inbox {
                // Whoever no longer waits will come again.
                let _ = job.reply.send(work(&job.work));
            }
        };
        std::thread::Builder::new().name("execution-logs".to_owned()).spawn(run)?;
        Ok(Self { jobs })
    }

    /// Writes records; all entries have the same outcome.
    pub(super) async fn put(&self, entries: Vec<LogEntry>) -> Vec<Outcome> {
        let mut text = String::with_capacity(entries.iter().map(LogEntry::bytes).sum());
        for record in entries.iter().flat_map(|entry| &entry.records) {
            text.push_str(&record.message);
            text.push('\n');
        }
        let outcome = match self.work(Work::Write(text)).await {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::Again(error.to_string()),
        };
        vec![outcome; entries.len()]
    }

    /// Brings what was written to the disk.
    pub(super) async fn sync(&self) -> io::Result<()> {
        self.work(Work::Sync).await
    }

    async fn work(&self, work: Work) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        let ended = || io::Error::other("the writer ended");
        self.jobs.send(Job { work, reply }).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// A file that is renamed to `FILE.1` when it is large, `FILE.1` to `FILE.2`, and so on.
struct RotatedFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    most_bytes: u64,
    kept: usize,
    unsynced: bool,
}

impl RotatedFile {
    fn open(path: PathBuf, most_bytes: u64, kept: usize) -> io::Result<Self> {
        let mut file = append(&path)?;
        let bytes = file.metadata()?.len();
        if bytes > 0 && !ends_with_newline(&path)? {
            // A crash or a full disk cut the last line short; it will be written again, as a line of its own.
            file.write_all(b"\n")?;
        }
        Ok(Self { path, file, bytes, most_bytes, kept, unsynced: false })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.most_bytes {
            self.put_aside()?;
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // What was written of it must not become the beginning of the next line.
            let length = self.bytes;
            self.file.set_len(length)?;
            return Err(error);
        }
        self.bytes += text.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.sync()?;
        for number in (1..self.kept).rev() {
            let (from, to) = (numbered(&self.path, number), numbered(&self.path, number + 1));
            match std::fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, numbered(&self.path, 1))?;
        self.file = append(&self.path)?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn ends_with_newline(path: &Path) -> io::Result<bool> {
    use std::io::{Read as _, Seek as _};
    let mut file = File::open(path)?;
    let mut last = [0];
    file.seek(io::SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_put_aside_and_old_ones_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut file = RotatedFile::open(path.clone(), 10, 2).expect("opens");
        for text in ["aaaa\n", "bbbb\n", "cccc\n", "dddddddddddddddd\n", "eeee\n"] {
            file.write(text).expect("writes");
        }
        let read = |path: PathBuf| std::fs::read_to_string(path).ok();
        assert_eq!(read(path.clone()).as_deref(), Some("eeee\n"));
        assert_eq!(read(numbered(&path, 1)).as_deref(), Some("dddddddddddddddd\n"));
        assert_eq!(read(numbered(&path, 2)).as_deref(), Some("cccc\n"));
        assert_eq!(read(numbered(&path, 3)), None);
    }

    #[test]
    fn a_line_that_was_cut_short_stays_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "whole\ncut sho").expect("writes");
        let mut file = RotatedFile::open(path.clone(), 1_000, 2).expect("opens");
        file.write("next\n").expect("writes");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "whole\ncut sho\nnext\n");
    }
}
