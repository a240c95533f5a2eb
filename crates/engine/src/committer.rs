//! The one place where the store is written. It takes what is ready, makes one batch of it, and only when that is
//! durable lets replies and effects go, in order. It never computes a turn, and never makes a refused commit again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use stepwright_store::{Commit, ErrorKind};

use crate::{
    error::Error,
    mailbox::Receiver,
    message::{After, CommitMessage, ExecutionRef, Pending, ShardMessage},
    shared::Shared,
};

/// Commits of one batch at most.
const BATCH_COMMITS: usize = 4_096;
/// Bytes of one batch after which nothing is added.
const BATCH_BYTES: usize = 16 << 20;

/// A batch of so many says that the server is busy.
const CROWD: f64 = 4.0;
/// What is left of a crowd after a batch: a few small batches don't say that it went away. Without this, one hiccup
/// made batches small, small batches made pauses short, and short pauses kept batches small.
const STAYS: f64 = 0.995;
/// About the time in which one of those who were answered comes back with the next request.
const BREATH_PER_COMMIT: Duration = Duration::from_micros(10);
const LONGEST_BREATH: Duration = Duration::from_millis(2);

/// The committer.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// What each shard's commits must carry. Raised when commits of the shard were refused: later ones that rest on
    /// them are refused, too, until the shard has forgotten what is not durable.
    generations: Vec<u64>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let generations = vec![0; shared.shards.len()];
        Self { shared, generations }
    }

    /// Runs until told to stop; what came before that is committed.
    pub(crate) fn run(mut self, inbox: &Receiver<CommitMessage>) {
        let mut crowd = 0.0;
        loop {
            let (mut commits, mut bytes) = (0, 0);
            let messages = inbox.wait(|message| match message {
                CommitMessage::Pending(pending) => {
                    commits += 1;
                    bytes += pending.commit.size();
                    commits >= BATCH_COMMITS || bytes >= BATCH_BYTES
                }
                CommitMessage::Stop => true,
            });
            let taken = messages.len();
            let mut stop = false;
            let mut batch = Vec::with_capacity(messages.len());
            for message in messages {
                match message {
                    CommitMessage::Pending(pending) => batch.push(pending),
                    CommitMessage::Stop => stop = true,
                }
            }
            let shards = &self.shared.shards;
            self.shared.pace.begin(|shard| !shards[shard].is_empty());
            let commits = batch.len();
            crowd = (commits as f64).max(crowd * STAYS);
            self.handle(batch);
            inbox.done(taken);
            if commits > 1
                && let Some(breath) = breath(crowd)
            {
                std::thread::sleep(breath);
            }
            if inbox.len() == 0 {
                self.shared.pace.idle();
            }
            if stop {
                return;
            }
        }
    }

    /// Commits a batch and lets go what waits for it.
    pub(crate) fn handle(&mut self, batch: Vec<Pending>) {
        let mut batch = self.keep_current(batch);
        let something: Vec<bool> = batch.iter().map(|pending| !pending.commit.is_empty()).collect();
        let commits: Vec<Commit> = batch
            .iter_mut()
            .map(|pending| std::mem::take(&mut pending.commit))
            .filter(|commit| !commit.is_empty())
            .collect();
        if self.shared.failed.load(Ordering::SeqCst) {
            let error = Error::unavailable("the store failed and must be opened again");
            return self.refuse(batch, &error);
        }
        if commits.is_empty() {
            return self.release(batch);
        }
        match self.shared.store.commit(&commits) {
            Ok(()) => {
                // At once: what comes in a second can take all that is left for executions that run.
                self.shared.look_at_space();
                self.release(batch);
            }
            Err(error) if error.kind() == ErrorKind::Invalid && batch.len() > 1 => {
                // Nothing was written. One of them is over the store's limits; the others are not to suffer for it.
                let mut commits = commits.into_iter();
                for (mut pending, something) in batch.into_iter().zip(something) {
                    if something {
                        pending.commit = commits.next().unwrap_or_default();
                    }
                    self.handle(vec![pending]);
                }
            }
            Err(error) => {
                tracing::error!(%error, commits = commits.len(), "a batch of commits was refused");
                // Only these two say that nothing was written and that the store goes on.
                if !matches!(error.kind(), ErrorKind::Full | ErrorKind::Invalid) {
                    self.shared.fail();
                }
                self.refuse(batch, &Error::from(error));
            }
        }
    }

    fn keep_current(&mut self, batch: Vec<Pending>) -> Vec<Pending> {
        let (current, stale): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|pending| pending.shard.is_none_or(|(shard, generation)| self.generations[shard] == generation));
        let error = Error::unavailable("an earlier change of the same shard was refused");
        for pending in stale {
            self.refuse_one(pending, &error);
        }
        current
    }

    fn release(&self, batch: Vec<Pending>) {
        let mut committed: Vec<Vec<ExecutionRef>> = vec![Vec::new(); self.generations.len()];
        for pending in batch {
            if let (Some((shard, _)), Some(execution)) = (pending.shard, pending.execution) {
                committed[shard].push(execution);
            }
            // Replies last: who comes back with the next request finds counted and indexed what the first one did.
            let (replies, effects): (Vec<_>, Vec<_>) = pending.after.into_iter().partition(After::is_reply);
            for after in effects.into_iter().chain(replies) {
                self.shared.release(after);
            }
        }
        for (shard, executions) in committed.into_iter().enumerate().filter(|(_, executions)| !executions.is_empty()) {
            drop(self.shared.shards[shard].send(ShardMessage::Committed(executions)));
        }
    }

    fn refuse(&mut self, batch: Vec<Pending>, error: &Error) {
        let mut shards: Vec<usize> = batch.iter().filter_map(|pending| Some(pending.shard?.0)).collect();
        shards.sort_unstable();
        shards.dedup();
        // The shard forgets before it hears anything else, in particular before a caller can come back.
        for shard in shards {
            self.generations[shard] += 1;
            let generation = self.generations[shard];
            drop(self.shared.shards[shard].send(ShardMessage::Rejected { generation }));
        }
        for pending in batch {
            self.refuse_one(pending, error);
        }
    }

    fn refuse_one(&self, pending: Pending, error: &Error) {
        for after in pending.after {
            self.shared.refuse(after, error);
        }
    }
}

/// How long the next batch may wait for those who were just answered to come back. Each sync costs about as much as
/// two starts, so under load fewer and larger batches let everybody through sooner; a few are not held up.
fn breath(crowd: f64) -> Option<Duration> {
    (crowd >= CROWD).then(|| BREATH_PER_COMMIT.mul_f64(crowd).min(LONGEST_BREATH))
}
