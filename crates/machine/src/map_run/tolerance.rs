//! How many failures a map run survives.

/// The failures that a run tolerates. Where only one of the two is given, only that one counts; where none is, no
/// failure is tolerated.
///
/// ```
/// use stepwright_machine::map_run::Tolerance;
/// let tolerance = Tolerance { count: None, percentage: Some(50.0) };
/// assert!(!tolerance.is_exceeded(1, Some(2)) && tolerance.is_exceeded(2, Some(3)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// `ToleratedFailureCount`.
    pub count: Option<u64>,
    /// `ToleratedFailurePercentage`, from 0 to 100.
    pub percentage: Option<f64>,
}

impl Tolerance {
    /// Whether so many failed items are more than that. `total` is the number of all items, once it is known: as long as
    /// it is not, no share of them but 0 is exceeded.
    #[must_use]
    pub fn is_exceeded(&self, failed: u64, total: Option<u64>) -> bool {
        let Self { count, percentage } = *self;
        if count.is_none() && percentage.is_none() {
            return failed > 0;
        }
        // Numbers of items are far below 2^53: both sides are exact.
        let is_share_exceeded = |most: f64| match total {
            Some(total) => failed as f64 * 100.0 > most * total as f64,
            // Of however many there are.
            None => most <= 0.0 && failed > 0,
        };
        count.is_some_and(|most| failed > most) || percentage.is_some_and(is_share_exceeded)
    }
}

#[cfg(test)]
mod tests {
    use super::Tolerance;

    #[track_caller]
    fn check(count: Option<u64>, percentage: Option<f64>, exceeded: &[(u64, Option<u64>, bool)]) {
        for (failed, total, expected) in exceeded {
            let found = Tolerance { count, percentage }.is_exceeded(*failed, *total);
            assert_eq!(found, *expected, "{failed} of {total:?}");
        }
    }

    #[test]
    fn what_is_given_counts() {
        check(None, None, &[(0, Some(0), false), (0, None, false), (1, None, true), (1, Some(100), true)]);
        check(Some(1), None, &[(1, Some(1), false), (2, Some(1_000), true), (2, None, true)]);
        check(Some(0), None, &[(0, Some(9), false), (1, Some(9), true)]);
        check(None, Some(0.0), &[(0, Some(5), false), (1, Some(5), true), (1, None, true)]);
        check(None, Some(100.0), &[(5, Some(5), false)]);
        check(None, Some(0.1), &[(1, Some(1_000), false), (2, Some(1_000), true), (1, Some(999), true)]);
        check(None, Some(50.0), &[(1, Some(2), false), (2, Some(3), true), (3, None, false)]);
        // Either of the two is enough.
        check(Some(1), Some(50.0), &[(2, Some(100), true), (1, Some(1), true), (1, Some(2), false), (2, None, true)]);
    }
}
