//! Whether the engine rests: nothing is computed, committed, called or handed over, so that nothing happens any more
//! unless time passes or somebody outside does something. A virtual clock may skip time then, and only then.
//!
//! Everything under way holds [`Work`]. The count of it, how often work began, and whether time is being skipped are one
//! word that changes at once: what begins either keeps time from being skipped, or begins after it was.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::message::TaskRef;

/// Time is being skipped.
const CLAIMED: u64 = 1;
/// One piece of work.
const ONE: u64 = 2;
/// The bits of the count; those above count how often work began, and wrap.
const COUNT: u64 = 0xffff_fffe;
const BEGAN: u64 = 1 << 32;

type OnRest = Box<dyn Fn() + Send + Sync>;

/// What is under way.
#[derive(Default)]
pub(crate) struct Quiet {
    state: AtomicU64,
    /// Whether anybody wants to know when the engine rests.
    watched: AtomicBool,
    on_rest: OnceLock<OnRest>,
    /// Tasks that somebody outside holds: a worker, or whoever was given a token.
    held: Mutex<HashSet<TaskRef>>,
}

/// Something under way. Dropped when it is over, and whatever follows from it holds its own.
pub(crate) struct Work(Arc<Quiet>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.leave(1);
    }
}

/// That the engine rested at a moment.
pub(crate) struct Rest(u64);

/// The engine rests, and nothing begins until this is dropped.
pub(crate) struct Claim<'a>(&'a Arc<Quiet>);

impl Claim<'_> {
    /// Counts one piece of work that is over with [`Quiet::leave`].
    pub(crate) fn enter(&self) {
        self.0.state.fetch_add(BEGAN | ONE, Ordering::SeqCst);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_and(!CLAIMED, Ordering::SeqCst);
    }
}

impl Quiet {
    // Nothing under this lock can panic.
    fn held(&self) -> MutexGuard<'_, HashSet<TaskRef>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something begins.
    pub(crate) fn work(self: &Arc<Self>) -> Work {
        self.enter();
        Work(self.clone())
    }

    /// The same, for whoever calls [`leave`](Self::leave).
    pub(crate) fn enter(&self) {
        if self.state.fetch_add(BEGAN | ONE, Ordering::SeqCst) & CLAIMED != 0 {
            // A moment: a clock is set and a row handed over.
            while self.state.load(Ordering::SeqCst) & CLAIMED != 0 {
                std::thread::yield_now();
            }
        }
    }

    /// So many are over.
    pub(crate) fn leave(&self, many: usize) {
        let left = ONE * many as u64;
        let before = self.state.fetch_sub(left, Ordering::SeqCst);
        if many > 0
            && (before & COUNT) == left
            && self.watched.load(Ordering::Relaxed)
            && let Some(on_rest) = self.on_rest.get()
        {
            on_rest();
        }
    }

    /// What is called when the engine comes to rest, while that is watched.
    pub(crate) fn on_rest(&self, call: OnRest) {
        // Set once, when the engine is made.
        drop(self.on_rest.set(call));
    }

    /// Whether rest is of interest.
    pub(crate) fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::SeqCst);
    }

    /// That the engine rests, if it does.
    pub(crate) fn rest(&self) -> Option<Rest> {
        let state = self.state.load(Ordering::SeqCst);
        (state & (COUNT | CLAIMED) == 0).then_some(Rest(state))
    }

    /// Keeps everything from beginning, if nothing began since.
    #[expect(clippy::needless_pass_by_value, reason = "what was seen is of no use a second time")]
    pub(crate) fn claim<'a>(self: &'a Arc<Self>, rest: Rest) -> Option<Claim<'a>> {
        let claimed = self.state.compare_exchange(rest.0, rest.0 | CLAIMED, Ordering::SeqCst, Ordering::SeqCst);
        claimed.is_ok().then_some(Claim(self))
    }

    /// How many pieces of work are under way.
    pub(crate) fn count(&self) -> u64 {
        (self.state.load(Ordering::SeqCst) & COUNT) / ONE
    }

    /// Somebody outside holds a task from now on.
    pub(crate) fn hold(&self, task: TaskRef) {
        self.held().insert(task);
    }

    /// Nobody does any more.
    pub(crate) fn release(&self, task: TaskRef) {
        self.held().remove(&task);
    }

    /// How many tasks somebody outside holds.
    pub(crate) fn held_outside(&self) -> usize {
        self.held().len()
    }
}

/// A future that awaits nothing but this engine: it is work whenever it runs or is about to, and none while it waits.
pub(crate) struct Counted<F> {
    inner: Pin<Box<F>>,
    woken: Arc<Woken>,
}

struct Woken {
    quiet: Arc<Quiet>,
    state: Mutex<WokenState>,
}

#[derive(Default)]
struct WokenState {
    /// Held from the moment when it is woken until it runs.
    work: Option<Work>,
    outer: Option<Waker>,
    gone: bool,
}

impl Woken {
    // Nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, WokenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        let work = self.quiet.work();
        let mut state = self.lock();
        if state.gone {
            return;
        }
        let outer = state.outer.clone();
        let before = state.work.replace(work);
        drop(state);
        drop(before);
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

impl<F> Counted<F> {
    /// About to run.
    pub(crate) fn new(quiet: &Arc<Quiet>, inner: F) -> Self {
        let state = WokenState { work: Some(quiet.work()), ..WokenState::default() };
        Self { inner: Box::pin(inner), woken: Arc::new(Woken { quiet: quiet.clone(), state: Mutex::new(state) }) }
    }
}

impl<F: Future> Future for Counted<F> {
    /// What it came to, which is work until it is dropped.
    type Output = (F::Output, Work);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let work = {
            let mut state = self.woken.lock();
            state.outer = Some(context.waker().clone());
            state.work.take()
        };
        let work = work.unwrap_or_else(|| self.woken.quiet.work());
        let waker = Waker::from(self.woken.clone());
        match self.inner.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Poll::Ready((output, work)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<F> Drop for Counted<F> {
    fn drop(&mut self) {
        let mut state = self.woken.lock();
        state.gone = true;
        let left = (state.work.take(), state.outer.take());
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_in_between_keeps_time_from_being_skipped() {
        let quiet = Arc::new(Quiet::default());
        let rest = quiet.rest().expect("nothing began");
        drop(quiet.work());
        assert!(quiet.claim(rest).is_none());
        let rest = quiet.rest().expect("it is over");
        assert!(quiet.claim(rest).is_some());
        let _work = quiet.work();
        assert!(quiet.rest().is_none());
    }

    #[test]
    fn what_begins_waits_for_the_end_of_a_claim() {
        let quiet = Arc::new(Quiet::default());
        let claim = quiet.claim(quiet.rest().expect("nothing began")).expect("nothing began");
        let order = Arc::new(AtomicU64::new(0));
        std::thread::scope(|scope| {
            let begun = scope.spawn(|| {
                let _work = quiet.work();
                order.load(Ordering::SeqCst)
            });
            order.store(1, Ordering::SeqCst);
            drop(claim);
            assert_eq!(begun.join().expect("no panic"), 1);
        });
        assert_eq!(quiet.count(), 0);
    }

    #[test]
    fn the_count_of_beginnings_may_wrap() {
        let quiet = Arc::new(Quiet::default());
        quiet.state.store(u64::MAX << 32, Ordering::SeqCst);
        drop(quiet.work());
        assert_eq!(quiet.state.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_counted_future_is_work_from_its_waking_on() {
        let quiet = Arc::new(Quiet::default());
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(Counted::new(&quiet, receiver));
        while quiet.count() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(sender.send(()), Ok(()));
        // It did not run yet: this thread runs all tasks.
        assert_eq!(quiet.count(), 1);
        let (_, work) = task.await.expect("no panic");
        assert_eq!(quiet.count(), 1);
        drop(work);
        assert_eq!(quiet.count(), 0);
    }
}
