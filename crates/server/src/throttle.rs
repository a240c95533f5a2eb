//! AWS's request rates, for those who want to rehearse them (`aws_quotas`): a token bucket for each operation, account
//! and region. Off, nothing is counted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use stepwright_api::{ApiError, ErrorCode};
use stepwright_engine::Scope;

/// What a bucket holds, and what comes in each second (AWS: documented, of the large regions).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    bucket: f64,
    refill: f64,
}

const fn rate(bucket: u32, refill: u32) -> Rate {
    Rate { bucket: bucket as f64, refill: refill as f64 }
}

/// Starts of Express executions.
pub(crate) const EXPRESS_STARTS: Rate = rate(6_000, 6_000);

/// The rate of an operation, by the name that the code has for it.
pub(crate) fn of_operation(operation: &str) -> Rate {
    match operation {
        "start_execution" | "redrive_execution" => rate(1_300, 300),
        "start_sync_execution" => EXPRESS_STARTS,
        "stop_execution" => rate(1_000, 200),
        "get_activity_task" | "send_task_success" | "send_task_failure" | "send_task_heartbeat" => rate(3_000, 500),
        "get_execution_history" => rate(400, 20),
        "describe_execution" => rate(300, 15),
        "describe_state_machine" => rate(200, 20),
        "list_executions" => rate(200, 5),
        "test_state" => rate(50, 10),
        "list_activities" => rate(100, 10),
        "list_state_machines" => rate(100, 5),
        "describe_activity"
        | "describe_state_machine_for_execution"
        | "describe_map_run"
        | "tag_resource"
        | "untag_resource" => rate(200, 1),
        _ => rate(100, 1),
    }
}

struct Bucket {
    left: f64,
    filled: Instant,
}

/// The buckets.
#[derive(Default)]
pub(crate) struct Throttle {
    buckets: Mutex<HashMap<(Scope, &'static str), Bucket>>,
}

impl Throttle {
    /// Takes one request's worth.
    ///
    /// # Errors
    /// `ThrottlingException`: the bucket is empty.
    pub(crate) fn take(&self, scope: &Scope, name: &'static str, rate: Rate, now: Instant) -> Result<(), ApiError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry((scope.clone(), name)).or_insert_with(|| Bucket { left: rate.bucket, filled: now });
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.left = (bucket.left + passed * rate.refill).min(rate.bucket);
        bucket.filled = now;
        if bucket.left < 1.0 {
            return Err(ApiError::new(ErrorCode::ThrottlingException, "Rate exceeded"));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let throttle = Throttle::default();
        let (ours, theirs) = (Scope::new("1", "r"), Scope::new("2", "r"));
        let start = Instant::now();
        let take = |scope: &Scope, at: f64| {
            let rate = of_operation("test_state");
            throttle.take(scope, "test_state", rate, start + Duration::from_secs_f64(at)).is_ok()
        };
        assert_eq!((0..60).filter(|_| take(&ours, 0.0)).count(), 50);
        assert!(take(&theirs, 0.0), "another account has a bucket of its own");
        assert_eq!((0..60).filter(|_| take(&ours, 1.0)).count(), 10);
        assert_eq!((0..60).filter(|_| take(&ours, 1_000.0)).count(), 50, "no more than it holds");
        let refused = throttle.take(&ours, "test_state", of_operation("test_state"), start).expect_err("empty");
        assert_eq!((refused.code, &*refused.message), (ErrorCode::ThrottlingException, "Rate exceeded"));
    }
}
