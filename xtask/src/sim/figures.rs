//! The figures of simulated worlds, as the runner gives them: shown as a table, and held against what is promised.

use serde_json::Value;
use std::fmt::Write as _;

/// The least median of turns that an execution takes.
const MEDIAN_TURNS: u64 = 20;
/// The fewest faults that any seed has.
const FAULTS_PER_SEED: u64 = 3;
/// What is counted by kind, its title, and whether a kind that never occurred breaks the promise.
const COUNTED: [(&str, &str, bool); 8] = [
    ("stateTypes", "states entered", true),
    ("evaluations", "evaluations that failed, by the field", true),
    ("commands", "commands", true),
    ("inputs", "inputs", true),
    ("faults", "faults", true),
    ("mapRuns", "map runs", true),
    ("jobs", "jobs", true),
    ("ends", "executions by their end", false),
];

/// What the runner printed at its end.
pub(super) struct Figures(pub(super) Value);

impl Figures {
    fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or(0)
    }

    fn turns(&self, name: &str) -> u64 {
        self.0["turns"][name].as_u64().unwrap_or(0)
    }

    fn kinds(&self, of: &str) -> Vec<(&str, u64)> {
        let kinds = self.0[of].as_object();
        kinds.into_iter().flatten().map(|(kind, count)| (kind.as_str(), count.as_u64().unwrap_or(0))).collect()
    }

    fn faults_per_seed(&self) -> f64 {
        let faults: u64 = self.kinds("faults").iter().map(|(_, count)| count).sum();
        faults as f64 / self.number("seeds").max(1) as f64
    }

    /// What checkers complained of.
    pub(super) fn complaints(&self) -> &[Value] {
        self.0["complaints"].as_array().map_or(&[], Vec::as_slice)
    }

    /// A table for people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let seconds = self.0["seconds"].as_f64().unwrap_or(0.0);
        let executions = self.number("executions");
        let _ = writeln!(
            text,
            "{executions} executions in {} seeds, {seconds:.1} s ({:.0} executions a second)",
            self.number("seeds"),
            executions as f64 / seconds.max(0.001)
        );
        let _ = writeln!(
            text,
            "turns of an execution: median {}, mean {}, p99 {}; faults of a seed: mean {:.1}, at least {}",
            self.turns("median"),
            self.turns("mean"),
            self.turns("p99"),
            self.faults_per_seed(),
            self.number("leastFaultsOfASeed")
        );
        for (of, title, _) in COUNTED {
            let _ = writeln!(text, "\n{title}");
            for (kind, count) in self.kinds(of) {
                let _ = writeln!(text, "  {kind:34} {count:>12}");
            }
        }
        let _ = writeln!(text, "\ncomplaints of checkers: {}", self.complaints().len());
        text
    }

    /// What to say of complaints: the first few, and how to see each again.
    pub(super) fn failure(&self, commit: &str) -> String {
        let mut text = format!("checkers complained at {commit}:");
        for complaint in self.complaints().iter().take(5) {
            let _ = write!(text, "\n  {}", shown(complaint));
            if let Some(seed) = complaint["seed"].as_u64() {
                let _ = write!(text, "\n    again: cargo xtask sim --seed {seed}");
            }
        }
        text
    }

    /// Which promises the figures do not keep.
    pub(super) fn broken_bounds(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (of, title, required) in COUNTED {
            let kinds = self.kinds(of);
            if required && kinds.is_empty() {
                broken.push(format!("{title}: nothing was counted"));
            }
            for (kind, _) in kinds.into_iter().filter(|(_, count)| required && *count == 0) {
                broken.push(format!("{title}: {kind} never occurred"));
            }
        }
        let median = self.turns("median");
        if median < MEDIAN_TURNS {
            broken.push(format!("the median execution takes {median} turns; it should take {MEDIAN_TURNS} at least"));
        }
        let faults = self.number("leastFaultsOfASeed");
        if faults < FAULTS_PER_SEED {
            broken.push(format!("a seed has {faults} faults; each should have {FAULTS_PER_SEED} at least"));
        }
        broken
    }
}

/// A complaint in one line: who, what rule, and what was seen.
pub(super) fn shown(complaint: &Value) -> String {
    let of = |name: &str| complaint[name].as_str().unwrap_or("?").to_owned();
    format!("seed {}: {}: {}: {}", complaint["seed"], of("checker"), of("rule"), of("detail"))
}

#[cfg(test)]
mod tests {
    use super::Figures;
    use serde_json::json;

    fn figures() -> serde_json::Value {
        json!({
            "seeds": 10, "executions": 100, "seconds": 1.5, "turns": {"median": 25, "mean": 27, "p99": 80},
            "stateTypes": {"Task": 5}, "evaluations": {"Output": 2}, "commands": {"set timer": 3}, "inputs": {"start": 9}, "faults": {"power cut": 40}, "mapRuns": {"succeeded": 4}, "jobs": {"submitted": 2},
            "leastFaultsOfASeed": 3, "ends": {"failed": 0}, "complaints": []
        })
    }

    #[test]
    fn figures_that_keep_every_promise_break_none() {
        assert_eq!(Figures(figures()).broken_bounds(), Vec::<String>::new());
    }

    #[test]
    fn each_promise_is_seen_to_be_broken() {
        for (pointer, value, expected) in [
            ("/turns/median", json!(19), "takes 19 turns"),
            ("/leastFaultsOfASeed", json!(2), "a seed has 2 faults"),
            ("/stateTypes/Task", json!(0), "Task never occurred"),
            ("/evaluations/Output", json!(0), "Output never occurred"),
            ("/commands", json!({}), "nothing was counted"),
        ] {
            let mut figures = figures();
            *figures.pointer_mut(pointer).expect("a member") = value;
            let broken = Figures(figures).broken_bounds();
            assert!(broken.iter().any(|said| said.contains(expected)), "{pointer}: {broken:?}");
        }
    }
}
