//! The two threads of the store: one reserves segments (and, in relaxed durability, syncs), one
//! writes checkpoints. Neither may hold up a commit for longer than it takes to swap a pointer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::{Shared, locked};
use crate::Error;
use crate::log::Durability;

/// How much a power cut may take in relaxed durability.
const RELAXED_SYNC: Duration = Duration::from_millis(200);

/// How long after a reservation or a checkpoint was refused for want of room the next is tried.
const RETRY: Duration = Duration::from_secs(1);

/// How much less than the others' the priority of checkpoints is (see nice(2)).
#[cfg(target_os = "linux")]
const LATER: i32 = 10;

impl Shared {
    /// Asks the threads to work, or does the work itself where there are none.
    pub(super) fn housekeeping(&self, checkpoint: bool, reserve: bool) {
        if self.options.background {
            let mut signals = locked(&self.signals);
            signals.checkpoint |= checkpoint;
            signals.reserve |= reserve;
            drop(signals);
            self.signalled.notify_all();
            return;
        }
        if reserve {
            self.reserver.reserve();
        }
        if checkpoint && let Err(error) = self.checkpoint() {
            // The commits before it are durable all the same.
            tracing::warn!(%error, "a checkpoint failed");
        }
    }

    /// Waits until `wanted` says so (true), or until the store stops (false).
    fn wait(&self, timeout: Option<Duration>, mut wanted: impl FnMut(&mut super::Signals) -> bool) -> bool {
        let mut signals = locked(&self.signals);
        loop {
            if signals.stop {
                return false;
            }
            if wanted(&mut signals) {
                return true;
            }
            match timeout {
                None => {
                    signals = self.signalled.wait(signals).unwrap_or_else(PoisonError::into_inner);
                }
                Some(timeout) => {
                    let (guard, result) =
                        self.signalled.wait_timeout(signals, timeout).unwrap_or_else(PoisonError::into_inner);
                    signals = guard;
                    if result.timed_out() {
                        return !signals.stop;
                    }
                }
            }
        }
    }

    fn reserve_loop(&self) {
        let relaxed = self.options.durability == Durability::Relaxed;
        let timeout = |refused: bool| match (relaxed, refused) {
            (true, _) => Some(RELAXED_SYNC),
            (false, true) => Some(RETRY),
            (false, false) => None,
        };
        while self.wait(timeout(self.reserver.is_refused()), |s| std::mem::take(&mut s.reserve)) {
            self.reserver.reserve();
            if relaxed
                && self.ended.get().is_none()
                && let Err(error) = locked(&self.log).sync()
            {
                self.poison(error);
            }
        }
    }

    fn checkpoint_loop(&self) {
        yield_to_others();
        let mut retry = None;
        while self.wait(retry, |s| std::mem::take(&mut s.checkpoint)) {
            if self.ended.get().is_some() {
                return;
            }
            retry = match self.checkpoint() {
                Ok(()) => None,
                Err(error) => {
                    tracing::warn!(%error, "a checkpoint failed");
                    matches!(error, Error::Full { .. }).then_some(RETRY)
                }
            };
        }
    }
}

/// Nobody waits for a checkpoint until memory is full: it takes what processor time is left. Only where priorities
/// belong to threads; elsewhere the whole process would give way.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(LATER) {
        tracing::debug!(%error, "checkpoints keep the priority of the process");
    }
}

pub(super) fn spawn(shared: &Arc<Shared>) -> std::io::Result<Vec<JoinHandle<()>>> {
    Ok(vec![
        spawn_one(shared, "store-reserve", Shared::reserve_loop)?,
        spawn_one(shared, "store-checkpoint", Shared::checkpoint_loop)?,
    ])
}

/// A thread whose panic ends this opening of the store: without it commits would wait for ever, or the log would never
/// be released again.
fn spawn_one(shared: &Arc<Shared>, name: &'static str, work: fn(&Shared)) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    Builder::new().name(name.to_owned()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(|| work(&shared))).is_err() {
            let reason = format!("the thread {name} panicked");
            shared.poison(Error::Failed { action: "maintaining", file: shared.dir.clone(), reason });
            shared.reserver.abandon();
            shared.checkpoint_ended.notify_all();
        }
    })
}
