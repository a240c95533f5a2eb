//! Worlds of a bounded number of seeds, and that the same seed is the same run.

use stepwright_sim::{Counts, Options, Report, Tally, run_seed};

fn run(seeds: std::ops::Range<u64>) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        match run_seed(seed, &Options { trace: true, ..Options::default() }) {
            Ok(one) => report.merge(&one),
            Err(failure) => panic!("{failure}"),
        }
    }
    report
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed..seed + 1), run(seed..seed + 1));
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn a_bounded_number_of_worlds_keeps_every_rule() {
    let report = run(0..50);
    let fewest = report.faults_of_seeds.keys().next();
    assert!(fewest.is_some_and(|fewest| *fewest >= 3), "{:?}", report.faults_of_seeds);
    assert!(report.median_turns() >= 20, "{:?}", report.turns_of_executions);
    let all = Tally::of_nothing();
    let missing = |wanted: &Counts, seen: &Counts| -> Vec<&str> {
        wanted.keys().filter(|name| !seen.contains_key(*name)).copied().collect()
    };
    assert_eq!(missing(&all.states, &report.tally.states), Vec::<&str>::new(), "state types that never occurred");
    let fields = missing(&all.evaluations, &report.tally.evaluations);
    assert!(fields.len() <= 2, "fields whose expressions never failed: {fields:?}");
}
