//! How many calls may be under way and how many may begin in a second: per connector, per service, per state machine.
//! Data and arithmetic; who waits for what is decided by the queues of calls.

use std::collections::BTreeMap;

use stepwright_machine::Millis;

/// A limit on calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Calls under way at once at most, at least 1. None: no limit of its own.
    pub concurrency: Option<usize>,
    /// Calls that begin in a second at most, at least 1. None: no limit.
    pub rate: Option<u32>,
}

/// The limits of all calls.
///
/// A service that has no concurrency of its own may have as many calls under way as its connector has left: one that
/// hangs takes half of them at most, two take a third each, and every other service still finds some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLimits {
    /// Of each connector, all its services together. The connector's own limit applies, too.
    pub connector: Limit,
    /// Of each service of each connector.
    pub service: Limit,
    /// Of each state machine, all services together.
    pub machine: Limit,
    /// Limits of those that are named, in the place of the above: a connector (`lambda`), a service of a connector
    /// (`lambda:charge-card`), a state machine (`machine:orders`).
    pub named: BTreeMap<String, Limit>,
}

/// What the name of a state machine is preceded by among the named limits.
pub const MACHINE: &str = "machine:";

impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            connector: Limit { concurrency: Some(1_000), rate: None },
            service: Limit::default(),
            machine: Limit::default(),
            named: BTreeMap::new(),
        }
    }
}

impl TaskLimits {
    /// What is in force for a name, over what is for all of its kind.
    fn of(&self, name: &str, all: Limit) -> Limit {
        let named = self.named.get(name).copied().unwrap_or_default();
        Limit { concurrency: named.concurrency.or(all.concurrency), rate: named.rate.or(all.rate) }
    }

    pub(crate) fn of_connector(&self, connector: &str) -> Limit {
        self.of(connector, self.connector)
    }

    pub(crate) fn of_service(&self, connector: &str, service: &str) -> Limit {
        self.of(&format!("{connector}:{service}"), self.service)
    }

    pub(crate) fn of_machine(&self, machine: &str) -> Limit {
        self.of(&format!("{MACHINE}{machine}"), self.machine)
    }

    /// Whether any state machine is limited.
    pub(crate) fn limits_machines(&self) -> bool {
        self.machine != Limit::default() || self.named.keys().any(|name| name.starts_with(MACHINE))
    }
}

const NANOS: i64 = 1_000_000_000;
const NANOS_A_MILLI: i64 = 1_000_000;

/// A token bucket that holds a tenth of a second's calls, at least one. Nothing fills it: it knows when the next call
/// would have been due if calls came evenly, and by how much they may be early.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Nanoseconds between two calls.
    interval: i64,
    /// By how much a call may be early.
    tolerance: i64,
    /// When the next call is due, in nanoseconds.
    due: i64,
}

impl Bucket {
    pub(crate) fn new(rate: u32) -> Self {
        let rate = i64::from(rate.max(1));
        let interval = NANOS / rate;
        Self { interval, tolerance: interval * ((rate / 10).max(1) - 1), due: i64::MIN }
    }

    /// Gives what there is to give; none: a call may begin. Otherwise when one may.
    pub(crate) fn blocked_until(&mut self, now: Millis) -> Option<Millis> {
        let nanos = nanos(now);
        // The clock was set back: nobody waits longer than after a call that was just made.
        self.due = self.due.min(nanos.saturating_add(self.tolerance + self.interval));
        let from = self.due.saturating_sub(self.tolerance);
        (from > nanos).then(|| from.div_euclid(NANOS_A_MILLI) + i64::from(from.rem_euclid(NANOS_A_MILLI) > 0))
    }

    /// A call begins.
    pub(crate) fn take(&mut self, now: Millis) {
        self.due = self.due.max(nanos(now)).saturating_add(self.interval);
    }

    /// A call that was to begin did not.
    pub(crate) fn give_back(&mut self) {
        self.due = self.due.saturating_sub(self.interval);
    }

    /// Whether it is as good as a new one.
    pub(crate) fn is_full(&self, now: Millis) -> bool {
        self.due <= nanos(now)
    }
}

fn nanos(millis: Millis) -> i64 {
    millis.saturating_mul(NANOS_A_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls that begin in so many milliseconds if one is always ready.
    fn begun(bucket: &mut Bucket, from: Millis, millis: Millis) -> usize {
        let mut count = 0;
        for now in from..from + millis {
            while bucket.blocked_until(now).is_none() {
                bucket.take(now);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn a_bucket_gives_its_rate_and_a_tenth_of_a_second_at_once() {
        let start = 1_700_000_000_000;
        for rate in [1_u32, 3, 10, 50, 1_000, 7_000] {
            let mut bucket = Bucket::new(rate);
            let first = begun(&mut bucket, start, 1);
            let burst = (rate / 10).max(1) as usize;
            assert!((burst..=burst + rate as usize / 1_000 + 1).contains(&first), "{rate}: {first} at once");
            let more = begun(&mut bucket, start + 1, 10_000);
            let even = rate as usize * 10;
            assert!(more.abs_diff(even) <= 1 + rate as usize / 1_000, "{rate}: {more} in ten seconds");
        }
    }

    #[test]
    fn it_says_when_the_next_call_may_begin() {
        let mut bucket = Bucket::new(4);
        assert_eq!(bucket.blocked_until(1_000), None);
        bucket.take(1_000);
        assert_eq!(bucket.blocked_until(1_000), Some(1_250));
        assert_eq!(bucket.blocked_until(1_249), Some(1_250));
        assert_eq!(bucket.blocked_until(1_250), None);
        assert!(bucket.is_full(1_250) && !bucket.is_full(1_249));
        bucket.take(1_250);
        bucket.give_back();
        assert_eq!(bucket.blocked_until(1_250), None);
    }

    #[test]
    fn a_clock_that_is_set_back_costs_one_interval_at_most() {
        let mut bucket = Bucket::new(1);
        bucket.take(1_000_000);
        assert_eq!(bucket.blocked_until(5_000), Some(6_000));
    }

    #[test]
    fn what_is_named_goes_before_what_is_for_all() {
        let limit = |concurrency, rate| Limit { concurrency, rate };
        let limits = TaskLimits {
            connector: limit(Some(10), None),
            service: limit(Some(5), Some(7)),
            machine: Limit::default(),
            named: [
                ("lambda".to_owned(), limit(None, Some(3))),
                ("lambda:pay".to_owned(), limit(Some(1), None)),
                ("machine:orders".to_owned(), limit(Some(2), None)),
            ]
            .into(),
        };
        assert_eq!(limits.of_connector("lambda"), limit(Some(10), Some(3)));
        assert_eq!(limits.of_connector("sqs"), limit(Some(10), None));
        assert_eq!(limits.of_service("lambda", "pay"), limit(Some(1), Some(7)));
        assert_eq!(limits.of_service("lambda", "other"), limit(Some(5), Some(7)));
        assert_eq!(limits.of_machine("orders"), limit(Some(2), None));
        assert_eq!(limits.of_machine("other"), Limit::default());
        assert!(limits.limits_machines() && !TaskLimits::default().limits_machines());
    }
}
