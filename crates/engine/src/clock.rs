//! Where the engine takes time and randomness from. Nothing else in the engine asks the world for either, so that a
//! simulator can supply both.

use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use stepwright_machine::Millis;

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the epoch, UTC. May jump; the engine never lets an execution's own time go back.
    fn now(&self) -> Millis;

    /// Takes what is to be called when the time was set by hand. A clock that runs by itself has no use for it.
    fn on_jump(&self, wake: Box<dyn Fn() + Send + Sync>) {
        drop(wake);
    }

    /// Itself, if it can be told what time it is.
    fn as_virtual(&self) -> Option<&crate::virtual_clock::VirtualClock> {
        None
    }
}

/// Randomness.
pub trait SeedSource: Send + Sync + 'static {
    /// Sixty-four fresh random bits.
    fn next(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }
}

/// A clock that stands still until it is set: for tests and simulations.
#[derive(Default)]
pub struct ManualClock {
    now: AtomicI64,
    wakes: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl ManualClock {
    /// A clock that shows this time.
    #[must_use]
    pub fn at(now: Millis) -> Self {
        Self { now: AtomicI64::new(now), wakes: Mutex::default() }
    }

    /// Moves it on.
    pub fn advance(&self, millis: Millis) {
        self.now.fetch_add(millis, Ordering::SeqCst);
        for wake in self.wakes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            wake();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.now.load(Ordering::SeqCst)
    }

    fn on_jump(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner).push(wake);
    }
}

/// The machine's randomness: the operating system's, fetched a page at a time, because asking costs more than a turn
/// does otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSeeds;

/// Random bytes fetched ahead, per thread.
struct Ahead {
    bytes: [u8; 1024],
    /// How many of them were given out.
    used: usize,
}

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; 1024], used: 1024 }) };
}

static FALLBACK: AtomicU64 = AtomicU64::new(1);

impl SeedSource for SystemSeeds {
    fn next(&self) -> u64 {
        AHEAD.with_borrow_mut(|ahead| {
            if ahead.used == ahead.bytes.len() {
                if getrandom::fill(&mut ahead.bytes).is_err() {
                    // A machine without a source of randomness still has the keys that the standard library hashes
                    // with.
                    let mut hasher = std::hash::RandomState::new().build_hasher();
                    hasher.write_u64(FALLBACK.fetch_add(1, Ordering::Relaxed));
                    return hasher.finish();
                }
                ahead.used = 0;
            }
            let (next, _) = ahead.bytes[ahead.used..].split_first_chunk::<8>().expect("given out eight at a time");
            ahead.used += 8;
            u64::from_ne_bytes(*next)
        })
    }
}
