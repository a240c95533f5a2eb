//! Where the engine takes time and randomness from. Nothing else in the engine asks the world for either, so that a
//! simulator can supply both.

use std::{
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use stepwright_machine::Millis;

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the epoch, UTC. May jump; the engine never lets an execution's own time go back.
    fn now(&self) -> Millis;
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

/// The machine's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSeeds;

static FALLBACK: AtomicU64 = AtomicU64::new(1);

impl SeedSource for SystemSeeds {
    fn next(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| {
            // A machine without a source of randomness still has the keys that the standard library hashes with.
            let mut hasher = std::hash::RandomState::new().build_hasher();
            hasher.write_u64(FALLBACK.fetch_add(1, Ordering::Relaxed));
            hasher.finish()
        })
    }
}
