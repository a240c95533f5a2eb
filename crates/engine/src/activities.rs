//! Queues of activity tasks and the workers that poll them. First in, first out; a task is given to one worker, and
//! only after "started" was committed. It never touches an execution: it pairs tasks with workers and tells a shard.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use stepwright_machine::InputKind;
use tokio::sync::oneshot;

use crate::{
    delivery::Delivery,
    error::{Error, Result},
    message::{Origin, QueuedTask, ShardMessage, TaskRef},
    shared::Shared,
    skip::WORKER_MS,
};

/// A worker that waits for a task.
pub(crate) struct Poller {
    pub(crate) activity: Arc<str>,
    pub(crate) worker_name: Option<Arc<str>>,
    sender: oneshot::Sender<Result<Option<Delivery>>>,
}

impl Poller {
    fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }

    /// Gives it a task. A delivery that finds nobody is dropped, which puts its task back.
    pub(crate) fn give(self, delivery: Delivery) {
        drop(self.sender.send(Ok(Some(delivery))));
    }

    /// Ends its wait.
    pub(crate) fn refuse(self, error: Error) {
        drop(self.sender.send(Err(error)));
    }
}

#[derive(Default)]
struct Activity {
    queue: BTreeMap<u64, QueuedTask>,
    pollers: VecDeque<Poller>,
    /// Polls under way, the ones that were paired with a task included.
    polling: usize,
}

#[derive(Default)]
struct State {
    activities: HashMap<Arc<str>, Activity>,
    places: HashMap<TaskRef, (Arc<str>, u64)>,
    /// When each activity was polled last.
    polled: HashMap<Arc<str>, Instant>,
    closed: bool,
}

/// All activity queues.
#[derive(Default)]
pub(crate) struct Activities {
    state: Mutex<State>,
}

/// A poll that is counted as long as it lives.
struct Poll<'a> {
    activities: &'a Activities,
    arn: Arc<str>,
    answer: Option<oneshot::Receiver<Result<Option<Delivery>>>>,
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        // First: a task that lies in it goes back, and its poller counts as gone.
        drop(self.answer.take());
        let mut state = self.activities.lock();
        if let Some(polled) = state.polled.get_mut(&self.arn) {
            *polled = Instant::now();
        }
        if let Some(activity) = state.activities.get_mut(&self.arn) {
            activity.polling -= 1;
            activity.pollers.retain(|poller| !poller.is_gone());
            if activity.polling == 0 && activity.pollers.is_empty() && activity.queue.is_empty() {
                state.activities.remove(&self.arn);
            }
        }
    }
}

impl Activities {
    // Every change under this lock is complete before anything can panic, so a poisoned lock guards good data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One long poll.
    pub(crate) async fn poll(
        &self,
        shared: &Arc<Shared>,
        arn: Arc<str>,
        worker_name: Option<Arc<str>>,
    ) -> Result<Option<Delivery>> {
        let (sender, receiver) = oneshot::channel();
        let limit = shared.options.pollers_per_activity;
        // Whichever way the wait ends, the poll is taken off the count.
        let mut poll = {
            let mut state = self.lock();
            if state.closed {
                return Ok(None);
            }
            state.polled.insert(arn.clone(), Instant::now());
            let activity = state.activities.entry(arn.clone()).or_default();
            if activity.polling >= limit {
                return Err(Error::ActivityWorkerLimitExceeded { arn, limit });
            }
            activity.polling += 1;
            activity.pollers.push_back(Poller { activity: arn.clone(), worker_name, sender });
            Poll { activities: self, arn: arn.clone(), answer: Some(receiver) }
        };
        // Deleted since it was looked up: whoever deletes ends the polls that it sees.
        if !shared.knows_activity(&arn) {
            return Err(Error::ActivityDoesNotExist { arn });
        }
        self.pair(shared, &arn);
        let wait = std::time::Duration::from_millis(shared.options.long_poll_ms);
        let Some(receiver) = &mut poll.answer else { return Ok(None) };
        match tokio::time::timeout(wait, &mut *receiver).await {
            Ok(answer) => answer.unwrap_or(Ok(None)),
            Err(_) => {
                // A task may have been given in this very moment.
                receiver.close();
                receiver.try_recv().unwrap_or(Ok(None))
            }
        }
    }

    /// A worker for a task that is being scheduled, if one waits and no older task does.
    pub(crate) fn reserve(&self, arn: &str) -> Option<Poller> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let activity = state.activities.get_mut(arn)?;
        if !activity.queue.is_empty() {
            return None;
        }
        std::iter::from_fn(|| activity.pollers.pop_front()).find(|poller| !poller.is_gone())
    }

    /// A worker that got nothing after all waits on, before the others.
    pub(crate) fn put_back_poller(&self, shared: &Shared, poller: Poller) {
        let arn = poller.activity.clone();
        {
            let mut state = self.lock();
            if state.closed || poller.is_gone() {
                return;
            }
            state.activities.entry(arn.clone()).or_default().pollers.push_front(poller);
        }
        self.pair(shared, &arn);
    }

    /// A task waits for a worker; its sequence is its place.
    pub(crate) fn queue(&self, shared: &Shared, arn: &Arc<str>, queued: QueuedTask) {
        shared.quiet.release(queued.task);
        {
            let mut state = self.lock();
            state.places.insert(queued.task, (arn.clone(), queued.sequence));
            state.activities.entry(arn.clone()).or_default().queue.insert(queued.sequence, queued);
        }
        self.pair(shared, arn);
    }

    /// A task is over: no worker shall get it.
    pub(crate) fn remove(&self, task: TaskRef) {
        let mut state = self.lock();
        let Some((arn, sequence)) = state.places.remove(&task) else { return };
        if let Some(activity) = state.activities.get_mut(&arn) {
            activity.queue.remove(&sequence);
            if activity.polling == 0 && activity.queue.is_empty() {
                state.activities.remove(&arn);
            }
        }
    }

    /// Gives waiting tasks to waiting workers.
    fn pair(&self, shared: &Shared, arn: &str) {
        // A task that is taken out of its queue is nowhere until its shard is told.
        let _work = shared.quiet.work();
        loop {
            let (poller, queued) = {
                let mut state = self.lock();
                if state.closed {
                    return;
                }
                let Some(activity) = state.activities.get_mut(arn) else { return };
                if activity.queue.is_empty() {
                    return;
                }
                let Some(poller) = std::iter::from_fn(|| activity.pollers.pop_front()).find(|p| !p.is_gone()) else {
                    return;
                };
                let (_, queued) = activity.queue.pop_first().expect("the queue is not empty");
                state.places.remove(&queued.task);
                (poller, queued)
            };
            let execution = queued.task.execution;
            let message = if queued.started {
                ShardMessage::Redeliver { queued, poller }
            } else {
                let kind = InputKind::TaskStarted { task: queued.task.task, worker_name: poller.worker_name.clone() };
                ShardMessage::Input { execution, kind, origin: Origin::Worker { poller, queued } }
            };
            shared.send(execution.id, message);
        }
    }

    /// Whether a task waits for a worker that is likely to come back for it: one that polled lately.
    pub(crate) fn awaits_worker(&self) -> bool {
        let state = self.lock();
        state.places.values().any(|(arn, _)| {
            let lately = |polled: &Instant| polled.elapsed() < Duration::from_millis(WORKER_MS);
            state.polled.get(arn).is_some_and(lately)
        })
    }

    /// Ends every poll of a deleted activity.
    pub(crate) fn deleted(&self, arn: &Arc<str>) {
        let pollers = {
            let mut state = self.lock();
            state.polled.remove(arn);
            state.activities.get_mut(arn).map(|activity| std::mem::take(&mut activity.pollers)).unwrap_or_default()
        };
        for poller in pollers {
            poller.refuse(Error::ActivityDoesNotExist { arn: arn.clone() });
        }
    }

    /// Ends every poll, without a task; none is given out from now on.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for activity in state.activities.values_mut() {
            activity.pollers.clear();
        }
    }

    /// Tasks that wait for workers, and workers that wait for tasks.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        let polling = state.activities.values().map(|activity| activity.polling as u64).sum();
        (state.places.len() as u64, polling)
    }
}
