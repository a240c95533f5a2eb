//! Moves a virtual clock while the engine rests: to the next timer that is due, or to where somebody wants it. Runs on
//! the thread of the timers, which is the only one that fires them, so nothing becomes due behind its back.

use std::{ops::Bound, sync::atomic::Ordering};

use stepwright_machine::Millis;
use stepwright_store::{
    Commit, Order, Table,
    keys::{self, MetaKey},
    records::{self, ClockRow, MetaRow},
};

use crate::{
    clock::Clock as _,
    error::{Error, Result},
    facade::answered,
    message::{After, CommitMessage, Pending},
    model::ClockState,
    shared::Shared,
    virtual_clock::{ClockMode, VirtualClock},
};

/// How long after its last poll an activity's worker is believed to come back.
pub(crate) const WORKER_MS: u64 = 60_000;

impl Shared {
    /// Moves the clock on, if it is to be moved and nothing else can happen. Whether it was.
    pub(crate) fn skip(&self) -> bool {
        let Some(clock) = self.options.clock.as_virtual() else { return false };
        let target = clock.target();
        self.quiet.watch(target.is_some() || clock.mode() == ClockMode::Skip);
        if target.is_none() && clock.mode() != ClockMode::Skip {
            return false;
        }
        let Some(rest) = self.quiet.rest() else { return false };
        // While an engine stops, tasks are not sent any more: they must not time out for that.
        if !self.dispatch.is_open() || self.failed.load(Ordering::SeqCst) {
            return false;
        }
        if self.dispatch.counts().0 > 0 || (clock.waits_for_others() && self.is_held()) {
            return false;
        }
        let next = match self.next_due(clock, target.is_some()) {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "timers could not be read; the clock is not moved");
                return false;
            }
        };
        let now = self.now();
        let Some(to) = next.into_iter().chain(target).min() else { return false };
        if to <= now {
            // What is due is fired first.
            if next.is_none_or(|next| next > now) && target.is_some_and(|target| target <= now) {
                clock.arrived();
                self.watchers_of_clock.notify_waiters();
            }
            return false;
        }
        let Some(claim) = self.quiet.claim(rest) else { return true };
        let row = clock.jump(to);
        // Before anything that can begin is committed, so no time is durable without it.
        claim.enter();
        let pending = Pending { shard: None, execution: None, commit: kept(&row), after: Vec::new() };
        if self.committer.send_entered(CommitMessage::Pending(pending)).is_err() {
            self.quiet.leave(1);
        }
        drop(claim);
        tracing::debug!(to, skipped = to - now, "time was skipped");
        clock.tell();
        true
    }

    /// How long executions are kept is counted in time that did pass: what was skipped deletes nothing.
    pub(crate) fn lived(&self) -> Millis {
        let now = self.now();
        self.options.clock.as_virtual().map_or(now, |clock| now.min(now.saturating_sub(clock.ahead())))
    }

    /// Whether somebody outside holds a task or is about to.
    fn is_held(&self) -> bool {
        self.quiet.held_outside() > 0 || self.activities.awaits_worker()
    }

    /// When something is due by itself. `all`: also what waits for a moment only because something was refused.
    fn next_due(&self, clock: &VirtualClock, all: bool) -> Result<Option<Millis>> {
        let Some(from) = self.timers.all_fired(all) else { return Ok(Some(Millis::MIN)) };
        let (from, put_off) = from;
        let (first, end) = (Bound::Included(&from[..]), Bound::Unbounded);
        let rows = self.store.scan(Table::Timer, first, end, Order::Ascending, 1)?;
        let stored = rows.first().and_then(|(key, _)| keys::parse_timer(key)).map(|(due, ..)| due);
        let others = [put_off, self.express.timers.next_due(), clock.next_sleeper()];
        Ok(stored.into_iter().chain(others.into_iter().flatten()).min())
    }

    /// The clock, if it can be told.
    fn told_clock(&self) -> Result<&VirtualClock> {
        self.options.clock.as_virtual().ok_or_else(|| Error::unavailable("this engine's clock cannot be told anything"))
    }

    /// What the clock is at.
    pub(crate) fn clock_state(&self) -> Result<ClockState> {
        let clock = self.told_clock()?;
        Ok(ClockState {
            mode: clock.mode(),
            now: clock.now(),
            ahead: clock.ahead(),
            target: clock.target(),
            next: self.next_due(clock, true).ok().flatten().filter(|next| *next > Millis::MIN),
            under_way: self.quiet.count(),
            waiting_calls: self.dispatch.counts().0,
            held_outside: self.quiet.held_outside() as u64,
            awaits_worker: self.activities.awaits_worker(),
        })
    }

    /// Lets a clock skip from now on that ran until now. Nothing of that needs to be kept.
    pub(crate) fn start_skipping(&self) {
        if let Some(clock) = self.options.clock.as_virtual() {
            clock.set_mode(ClockMode::Skip);
            clock.tell();
        }
    }

    /// Lets the clock go in a mode; durable when this returns.
    pub(crate) async fn set_clock(&self, mode: ClockMode) -> Result<()> {
        self.check()?;
        let clock = self.told_clock()?;
        let (reply, answer) = tokio::sync::oneshot::channel();
        {
            // Nothing is skipped meanwhile, so no older row comes after this one.
            let _work = self.quiet.work();
            let commit = kept(&clock.set_mode(mode));
            let after = vec![After::Answered { reply, result: Ok(()) }];
            self.submit(Pending { shard: None, execution: None, commit, after });
            clock.tell();
        }
        answered(answer).await
    }

    /// Advances the clock by way of all timers until then. It arrives when nothing is under way any more.
    pub(crate) async fn advance_clock(&self, millis: Millis) -> Result<()> {
        self.check()?;
        let clock = self.told_clock()?;
        let target = {
            let _work = self.quiet.work();
            let target = self.now().saturating_add(millis);
            clock.go_to(target);
            target
        };
        loop {
            let arrived = self.watchers_of_clock.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            clock.tell();
            if self.now() >= target && clock.target().is_none() {
                return Ok(());
            }
            self.check()?;
            arrived.await;
        }
    }
}

fn kept(row: &ClockRow) -> Commit {
    let mut commit = Commit::default();
    commit.put(Table::Meta, keys::meta(MetaKey::Clock), records::encode(&MetaRow::Clock(row.clone())));
    commit
}

/// Puts a clock where the store says it was.
pub(crate) fn restore(store: &dyn stepwright_store::Store, clock: &dyn crate::clock::Clock) -> Result<()> {
    let (Some(clock), Some(bytes)) = (clock.as_virtual(), store.get(Table::Meta, &keys::meta(MetaKey::Clock))?) else {
        return Ok(());
    };
    if let MetaRow::Clock(row) = records::decode(Table::Meta, &bytes)? {
        clock.restore(&row);
        // It may run now where it stood: its next opening must not begin where this one did.
        if clock.row() != row {
            store.commit(&[kept(&clock.row())])?;
        }
        if clock.ahead() != 0 {
            tracing::info!(ahead_ms = clock.ahead(), "the clock goes on from where it was, not with the machine's");
        }
    }
    Ok(())
}
