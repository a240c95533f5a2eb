//! A clock that can be told what time it is: it runs, stands still, or skips the time in which nothing can happen. It
//! never goes back. What moves it while the engine rests is in `skip`.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
    task::{Poll, Waker},
};

use stepwright_machine::Millis;
use stepwright_store::records::ClockRow;

use crate::clock::{Clock, SystemClock};

/// How a virtual clock goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// It runs as the machine's does.
    #[default]
    Real,
    /// It runs, and whenever nothing else can happen it jumps to the next timer that is due.
    Skip,
    /// It stands still until it is told to go on.
    Frozen,
}

impl ClockMode {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Skip => "skip",
            Self::Frozen => "frozen",
        }
    }
}

/// No time: it runs.
const RUNS: Millis = Millis::MIN;

#[derive(Default)]
struct State {
    /// Where somebody wants it to be, and wants all timers until then to fire in their order.
    target: Option<Millis>,
    /// Who waits for a time, by that time.
    sleepers: BTreeMap<(Millis, u64), Waker>,
    numbers: u64,
    wakes: Vec<Arc<dyn Fn() + Send + Sync>>,
}

/// A clock that can be told what time it is.
pub struct VirtualClock {
    base: Arc<dyn Clock>,
    /// Milliseconds before the base's time.
    ahead: AtomicI64,
    /// The time at which it stands still, or [`RUNS`].
    stands_at: AtomicI64,
    mode: AtomicU8,
    /// Tasks in the hands of somebody outside keep time from being skipped.
    waits_for_others: bool,
    state: Mutex<State>,
}

impl VirtualClock {
    /// The machine's clock, which goes in this mode. Tasks that workers or services hold keep it from skipping time.
    #[must_use]
    pub fn new(mode: ClockMode) -> Self {
        Self::over(Arc::new(SystemClock), mode, true)
    }

    /// A clock that stands at a time and skips: nothing else moves it, and nobody outside is waited for.
    #[must_use]
    pub fn alone(at: Millis) -> Self {
        Self::over(Arc::new(crate::clock::ManualClock::at(at)), ClockMode::Skip, false)
    }

    fn over(base: Arc<dyn Clock>, mode: ClockMode, waits_for_others: bool) -> Self {
        let clock = Self {
            base,
            ahead: AtomicI64::new(0),
            stands_at: AtomicI64::new(RUNS),
            mode: AtomicU8::new(0),
            waits_for_others,
            state: Mutex::default(),
        };
        clock.set_mode(mode);
        clock
    }

    // Nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it goes.
    #[must_use]
    pub fn mode(&self) -> ClockMode {
        match self.mode.load(Ordering::SeqCst) {
            1 => ClockMode::Skip,
            2 => ClockMode::Frozen,
            _ => ClockMode::Real,
        }
    }

    /// Milliseconds that it is before the machine's clock; below 0: behind.
    #[must_use]
    pub fn ahead(&self) -> Millis {
        match self.stands_at.load(Ordering::SeqCst) {
            RUNS => self.ahead.load(Ordering::SeqCst),
            at => at.saturating_sub(self.base.now()),
        }
    }

    /// Where it is on its way to, if somebody told it to advance.
    #[must_use]
    pub fn target(&self) -> Option<Millis> {
        self.lock().target
    }

    /// Whether tasks in the hands of others keep time from being skipped: not if somebody told it to advance.
    pub(crate) fn waits_for_others(&self) -> bool {
        self.waits_for_others && self.target().is_none()
    }

    /// Lets it go in this mode from where it is.
    pub(crate) fn set_mode(&self, mode: ClockMode) -> ClockRow {
        let state = self.lock();
        let now = self.now();
        let number = match mode {
            ClockMode::Real => 0,
            ClockMode::Skip => 1,
            ClockMode::Frozen => 2,
        };
        self.mode.store(number, Ordering::SeqCst);
        if mode == ClockMode::Frozen {
            self.stands_at.store(now, Ordering::SeqCst);
        } else if self.stands_at.load(Ordering::SeqCst) != RUNS {
            self.ahead.store(now.saturating_sub(self.base.now()), Ordering::SeqCst);
            self.stands_at.store(RUNS, Ordering::SeqCst);
        }
        drop(state);
        self.row()
    }

    /// Puts it where it was when its engine was closed.
    pub(crate) fn restore(&self, row: &ClockRow) {
        let _state = self.lock();
        let now = self.base.now();
        let at = row.stands_at.unwrap_or_else(|| now.saturating_add(row.ahead));
        self.ahead.store(at.saturating_sub(now), Ordering::SeqCst);
        if self.mode() == ClockMode::Frozen {
            self.stands_at.store(at, Ordering::SeqCst);
        }
    }

    /// What is kept of it.
    pub(crate) fn row(&self) -> ClockRow {
        let stands_at = Some(self.stands_at.load(Ordering::SeqCst)).filter(|at| *at != RUNS);
        ClockRow { ahead: self.ahead.load(Ordering::SeqCst), stands_at }
    }

    /// Lets it go to a time, by way of all timers until then.
    pub(crate) fn go_to(&self, at: Millis) {
        let mut state = self.lock();
        state.target = Some(state.target.map_or(at, |target| target.max(at)));
    }

    /// It is where it was told to go.
    pub(crate) fn arrived(&self) {
        self.lock().target = None;
    }

    /// Puts it at a later time. Only while nothing can begin.
    pub(crate) fn jump(&self, to: Millis) -> ClockRow {
        {
            let _state = self.lock();
            let stands_at = self.stands_at.load(Ordering::SeqCst);
            if stands_at == RUNS {
                let ahead = to.saturating_sub(self.base.now());
                self.ahead.fetch_max(ahead, Ordering::SeqCst);
            } else {
                self.stands_at.store(stands_at.max(to), Ordering::SeqCst);
            }
        }
        self.row()
    }

    /// Looks again at the time, whoever waits for one.
    pub(crate) fn tell(&self) {
        let wakes = self.lock().wakes.clone();
        for wake in wakes {
            wake();
        }
    }

    // Waiting

    /// Waits for a time. It counts as a timer: the clock may jump to it.
    pub async fn sleep_until(self: Arc<Self>, at: Millis) {
        let mut sleeper = Sleeper { clock: self, at, number: None };
        poll_fn(move |context| {
            if sleeper.clock.now() >= at {
                return Poll::Ready(());
            }
            let clock = sleeper.clock.clone();
            let mut state = clock.lock();
            let number = *sleeper.number.get_or_insert_with(|| {
                state.numbers += 1;
                state.numbers
            });
            let is_first = state.sleepers.first_key_value().is_none_or(|((first, _), _)| at < *first);
            state.sleepers.insert((at, number), context.waker().clone());
            drop(state);
            if is_first {
                clock.tell();
            }
            Poll::Pending
        })
        .await;
    }

    /// When the next one wants to be woken.
    pub(crate) fn next_sleeper(&self) -> Option<Millis> {
        self.lock().sleepers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes those whose time has come.
    pub(crate) fn wake_sleepers(&self, now: Millis) {
        let due = {
            let mut state = self.lock();
            let later = state.sleepers.split_off(&(now.saturating_add(1), 0));
            std::mem::replace(&mut state.sleepers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }
}

struct Sleeper {
    clock: Arc<VirtualClock>,
    at: Millis,
    number: Option<u64>,
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let left = self.clock.lock().sleepers.remove(&(self.at, number));
            drop(left);
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Millis {
        match self.stands_at.load(Ordering::SeqCst) {
            RUNS => self.base.now().saturating_add(self.ahead.load(Ordering::SeqCst)),
            at => at,
        }
    }

    fn on_jump(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.lock().wakes.push(Arc::from(wake));
    }

    fn as_virtual(&self) -> Option<&VirtualClock> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn over(base: &Arc<ManualClock>, mode: ClockMode) -> VirtualClock {
        VirtualClock::over(base.clone(), mode, true)
    }

    #[test]
    fn it_goes_on_from_where_it_stood() {
        let base = Arc::new(ManualClock::at(1_000));
        let clock = over(&base, ClockMode::Real);
        base.advance(10);
        assert_eq!(clock.now(), 1_010);
        clock.set_mode(ClockMode::Frozen);
        base.advance(500);
        assert_eq!((clock.now(), clock.ahead()), (1_010, -500));
        clock.jump(2_000);
        assert_eq!(clock.now(), 2_000);
        clock.set_mode(ClockMode::Skip);
        base.advance(1);
        assert_eq!(clock.now(), 2_001);
        clock.jump(1_500);
        assert_eq!(clock.now(), 2_001, "it never goes back");
    }

    #[test]
    fn it_goes_on_after_a_restart() {
        let base = Arc::new(ManualClock::at(1_000));
        let clock = over(&base, ClockMode::Skip);
        let row = clock.jump(9_000);
        base.advance(5);
        let later = over(&base, ClockMode::Real);
        later.restore(&row);
        assert_eq!(later.now(), 9_005);
        let row = later.set_mode(ClockMode::Frozen);
        base.advance(100);
        for (mode, now) in [(ClockMode::Frozen, 9_005), (ClockMode::Real, 9_005)] {
            let again = over(&base, mode);
            again.restore(&row);
            assert_eq!(again.now(), now, "{mode:?}");
        }
    }
}
