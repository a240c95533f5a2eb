//! Which calls are sent again before a state hears of them, and after what pause.
//!
//! AWS's client also repeats calls that failed with a 5xx status or lost their answer. This one never does: the
//! service may have carried them out, and a Standard workflow runs nothing twice unless its Retry says so. What is
//! left are calls that surely were not carried out: refused for too many requests, or never sent.

use std::time::Duration;

/// Pauses between attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    /// Attempts after the first.
    pub max_retries: u32,
    /// First pause after a refusal for too many requests; doubles.
    pub throttled: Duration,
    /// First pause after a connection that failed; doubles.
    pub not_connected: Duration,
}

impl Default for Backoff {
    /// As AWS's Java client.
    fn default() -> Self {
        Self { max_retries: 3, throttled: Duration::from_millis(500), not_connected: Duration::from_millis(100) }
    }
}

impl Backoff {
    /// The pause after attempt `n` (0 for the first), of which a random half is taken away so that callers that were
    /// refused together don't come back together. `draw` is anything.
    #[must_use]
    pub fn pause(base: Duration, n: u32, draw: u8) -> Duration {
        const LONGEST: Duration = Duration::from_secs(20);
        let whole = base.saturating_mul(1 << n.min(16)).min(LONGEST);
        whole / 2 + (whole / 2) * u32::from(draw) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let check = |base, n, draw, expect| {
            let found = Backoff::pause(Duration::from_millis(base), n, draw);
            assert_eq!(found, Duration::from_millis(expect), "{base} {n} {draw}");
        };
        check(500, 0, 0, 250);
        check(500, 0, 255, 500);
        check(500, 2, 255, 2_000);
        check(500, 9, 255, 20_000);
        check(500, u32::MAX, 0, 10_000);
    }
}
