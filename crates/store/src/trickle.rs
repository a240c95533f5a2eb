//! Files that are written in one go reach the disk in small portions. Left alone, what a checkpoint or a merge writes
//! stays in the system's memory until its file is done, and goes to the disk all at once: for a quarter of a second,
//! commits stand in line behind it. So while somebody writes, a thread syncs what has been written so far, again and again.
//! It only hurries what would be synced anyway; nothing rests on it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{Builder, scope};
use std::time::Duration;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(10);

/// The least that is worth a sync, in bytes.
const PORTION: u64 = 512 << 10;

/// Runs `work`. While it runs, the files that `writing` names are synced as they grow.
pub(crate) fn trickling<T>(writing: impl Fn() -> Vec<PathBuf> + Sync, work: impl FnOnce() -> T) -> T {
    let (done, ended) = (Mutex::new(false), Condvar::new());
    scope(|scope| {
        let trickle = || {
            let mut synced: Vec<(PathBuf, u64)> = Vec::new();
            let mut over = done.lock().unwrap_or_else(PoisonError::into_inner);
            while !*over {
                over = ended.wait_timeout(over, LOOK).unwrap_or_else(PoisonError::into_inner).0;
                drop(over);
                synced = writing().into_iter().filter_map(|path| sync_grown(path, &synced)).collect();
                over = done.lock().unwrap_or_else(PoisonError::into_inner);
            }
        };
        // Without it the work is done all the same.
        let _ = Builder::new().name("store-trickle".to_owned()).spawn_scoped(scope, trickle);
        let _end = End { done: &done, ended: &ended };
        work()
    })
}

/// Ends the thread, also if the work panics.
struct End<'a> {
    done: &'a Mutex<bool>,
    ended: &'a Condvar,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ended.notify_all();
    }
}

/// Syncs a file if it grew enough since it was synced last. How much of it is synced now; none if it is not there.
fn sync_grown(path: PathBuf, synced: &[(PathBuf, u64)]) -> Option<(PathBuf, u64)> {
    let before = synced.iter().find(|(known, _)| *known == path).map_or(0, |(_, length)| *length);
    let length = std::fs::metadata(&path).ok()?.len();
    if length < before + PORTION {
        return Some((path, before));
    }
    // Who writes it syncs it again, and is told if that fails.
    let _ = File::open(&path).and_then(|file| file.sync_data());
    Some((path, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_is_written_meanwhile_is_as_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let block = vec![7_u8; 1 << 20];
        let written = trickling(
            || vec![path.clone(), directory.path().join("missing")],
            || {
                let mut file = File::create(&path).expect("a file");
                for _ in 0..8 {
                    file.write_all(&block).expect("room");
                }
                8
            },
        );
        let found = std::fs::read(&path).expect("the file");
        assert!(written == 8 && found.len() == 8 << 20 && found.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn only_what_grew_enough_is_synced_and_what_is_gone_is_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        assert_eq!(sync_grown(path.clone(), &[]), None);
        std::fs::write(&path, vec![0_u8; 1_000]).expect("room");
        assert_eq!(sync_grown(path.clone(), &[]), Some((path.clone(), 0)), "it is small");
        std::fs::write(&path, vec![0_u8; 600 << 10]).expect("room");
        assert_eq!(sync_grown(path.clone(), &[(path.clone(), 0)]), Some((path.clone(), 600 << 10)));
        std::fs::write(&path, vec![0_u8; 700 << 10]).expect("room");
        let synced = [(path.clone(), 600 << 10)];
        assert_eq!(sync_grown(path.clone(), &synced), Some(synced[0].clone()), "it grew little");
    }

    #[test]
    #[should_panic(expected = "as told")]
    fn a_panic_of_the_work_ends_the_thread() {
        trickling(Vec::new, || panic!("as told"));
    }
}
