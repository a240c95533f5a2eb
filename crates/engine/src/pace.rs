//! When shards look into their inboxes. While a batch is being synced, what arrives can wait a moment: it cannot be
//! durable before the next batch anyway. So a shard is not woken for each message then, but once, when the committer
//! begins to sync: it computes the next batch meanwhile. When the committer has nothing to do, every message wakes its
//! shard at once. This only decides when a thread sleeps; nothing may depend on it to be right.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::Thread,
    time::Duration,
};

/// A shard that was forgotten looks by itself after this time.
const NAP: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Sleeper {
    thread: OnceLock<Thread>,
    waits: AtomicBool,
}

/// The pace of all shards.
pub(crate) struct Pace {
    syncing: AtomicBool,
    shards: Vec<Sleeper>,
}

impl Pace {
    pub(crate) fn new(shards: usize) -> Self {
        Self { syncing: AtomicBool::new(false), shards: (0..shards).map(|_| Sleeper::default()).collect() }
    }

    /// The committer begins to write a batch. `waiting`: whether there is something in a shard's inbox.
    pub(crate) fn begin(&self, waiting: impl Fn(usize) -> bool) {
        self.syncing.store(true, Ordering::SeqCst);
        self.wake(waiting);
    }

    /// The committer has nothing to do.
    pub(crate) fn idle(&self) {
        self.syncing.store(false, Ordering::SeqCst);
        self.wake(|_| true);
    }

    fn wake(&self, which: impl Fn(usize) -> bool) {
        for (index, sleeper) in self.shards.iter().enumerate() {
            if sleeper.waits.load(Ordering::SeqCst)
                && which(index)
                && let Some(thread) = sleeper.thread.get()
            {
                thread.unpark();
            }
        }
    }

    /// A shard with an empty inbox waits until it is worth looking again. False at once if a message is to wake it.
    pub(crate) fn nap(&self, shard: usize) -> bool {
        if !self.syncing.load(Ordering::SeqCst) {
            return false;
        }
        let sleeper = &self.shards[shard];
        sleeper.thread.get_or_init(std::thread::current);
        sleeper.waits.store(true, Ordering::SeqCst);
        // The committer may have become idle before it could see that this shard waits.
        if self.syncing.load(Ordering::SeqCst) {
            std::thread::park_timeout(NAP);
        }
        sleeper.waits.store(false, Ordering::SeqCst);
        true
    }
}
