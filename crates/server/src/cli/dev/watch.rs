//! Looks for changes by looking at all files' times and lengths: it works on every file system and with every editor,
//! and a project has few files. How often depends on how long a look takes.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use stepwright_project::{Fingerprint, fingerprint};

/// The pause between two looks, at least.
const PAUSE: Duration = Duration::from_millis(50);
/// A look may take this part of the time.
const SHARE: u32 = 10;

pub(super) struct Watch {
    folder: PathBuf,
    known: Fingerprint,
    pause: Duration,
}

impl Watch {
    /// From now on.
    pub(super) async fn begin(folder: &Path) -> Self {
        let mut watch = Self { folder: folder.to_owned(), known: Fingerprint::default(), pause: PAUSE };
        watch.catch_up().await;
        watch
    }

    /// Takes what is there now for known. Which files differ.
    pub(super) async fn catch_up(&mut self) -> Vec<PathBuf> {
        let folder = self.folder.clone();
        let started = Instant::now();
        let Ok(now) = tokio::task::spawn_blocking(move || fingerprint(&folder)).await else { return Vec::new() };
        self.pause = PAUSE.max(started.elapsed() * SHARE);
        let changed = now.changed(&self.known).into_iter().map(Path::to_owned).collect();
        self.known = now;
        changed
    }

    /// Waits for a change. Which files it is about.
    pub(super) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            tokio::time::sleep(self.pause).await;
            let changed = self.catch_up().await;
            if !changed.is_empty() {
                return changed;
            }
        }
    }
}
