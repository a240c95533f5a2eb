//! What a run tells: figures of a world that kept every rule, or the seed, the complaint and the end of the trace of
//! one that did not.

use std::{collections::BTreeMap, fmt};

use crate::{check::Complaint, fault::Fault};

/// How a world is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Faults that strike in every world at least.
    pub faults: u64,
    /// Steps with faults at most; then the faults end and everything must close.
    pub steps: u64,
    /// Whether the trace is kept as text and not only as a hash. Needed to read a failure; costs time.
    pub trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { faults: 3, steps: 20_000, trace: false }
    }
}

/// How often things happened, by name.
pub type Counts = BTreeMap<&'static str, u64>;

/// What one world, or several, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Worlds.
    pub seeds: u64,
    /// Executions that were started.
    pub executions: u64,
    /// Turns of each number of turns: how many executions had so many.
    pub turns_of_executions: BTreeMap<u32, u64>,
    /// Worlds by how many faults struck in them.
    pub faults_of_seeds: BTreeMap<u64, u64>,
    /// Figures by kind.
    pub tally: Tally,
    /// How the executions ended.
    pub endings: Counts,
    /// A hash over everything that happened, in order.
    pub trace_hash: u64,
}

/// Figures by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Turns committed.
    pub turns: u64,
    /// Steps of worlds.
    pub steps: u64,
    /// Faults that struck.
    pub faults: Counts,
    /// States entered, by their type and the language they are in.
    pub states: Counts,
    /// Evaluations that failed, by the field of the state.
    pub evaluations: Counts,
    /// Commands that the interpreter gave.
    pub commands: Counts,
    /// Inputs that executions took.
    pub inputs: Counts,
    /// Calls of clients that were answered, by operation and answer.
    pub replies: Counts,
    /// What became of Express executions.
    pub express: Counts,
    /// What became of jobs.
    pub jobs: Counts,
    /// What became of map runs, and their children that have rows.
    pub map_runs: Counts,
}

/// The types of states, in each language.
const STATES: [&str; 18] = [
    "Task",
    "Pass",
    "Choice",
    "Wait",
    "Succeed",
    "Fail",
    "Parallel",
    "Map",
    "Task in JSONata",
    "Pass in JSONata",
    "Choice in JSONata",
    "Wait in JSONata",
    "Succeed in JSONata",
    "Fail in JSONata",
    "Parallel in JSONata",
    "Map in JSONata",
    "distributed Map",
    "distributed Map in JSONata",
];
/// Fields whose expressions fail.
pub(crate) const EVALUATIONS: [&str; 12] = [
    "Arguments",
    "Cause",
    "Output",
    "Assign",
    "Catch",
    "Choices",
    "Items",
    "ItemSelector",
    "MaxConcurrency",
    "Seconds",
    "Timestamp",
    "TimeoutSeconds",
];
/// The interpreter's commands.
const COMMANDS: [&str; 10] = [
    "FindActivity",
    "ScheduleTask",
    "CloseTask",
    "SetTimer",
    "CancelTimer",
    "Continue",
    "Finish",
    "StartMapRun",
    "StopMapRun",
    "RedriveMapRun",
];
/// An execution's inputs.
const INPUTS: [&str; 19] = [
    "Start",
    "Continue",
    "ActivityFound",
    "ActivityMissing",
    "TaskStarted",
    "TaskSubmitted",
    "TaskSucceeded",
    "TaskFailed",
    "Heartbeat",
    "TimerFired",
    "HeartbeatGrace",
    "Stop",
    "Abandon",
    "Settle",
    "SubmitFailed",
    "SubmitLost",
    "Redrive",
    "MapRunSucceeded",
    "MapRunFailed",
];

/// What becomes of Express executions.
pub(crate) const EXPRESS: [&str; 3] = ["runs", "runs that ended", "executions that ran again"];

/// What becomes of jobs.
pub(crate) const JOBS: [&str; 4] =
    ["submitted", "ended by themselves", "ended because nobody waited", "submitted again"];

/// What becomes of map runs.
pub(crate) const MAP_RUNS: [&str; 5] =
    ["runs", "children", "runs that succeeded", "runs that failed", "redrives of runs"];

impl Tally {
    /// Figures of nothing yet, with all kinds that must occur some day.
    #[must_use]
    pub fn of_nothing() -> Self {
        let zeros = |names: &[&'static str]| names.iter().map(|name| (*name, 0)).collect();
        Self {
            faults: Fault::ALL.iter().map(|fault| (fault.name(), 0)).collect(),
            states: zeros(&STATES),
            evaluations: zeros(&EVALUATIONS),
            commands: zeros(&COMMANDS),
            inputs: zeros(&INPUTS),
            express: zeros(&EXPRESS),
            jobs: zeros(&JOBS),
            map_runs: zeros(&MAP_RUNS),
            ..Self::default()
        }
    }

    pub(crate) fn add(counts: &mut Counts, name: &'static str, by: u64) {
        *counts.entry(name).or_default() += by;
    }

    fn merge(&mut self, other: &Tally) {
        self.turns += other.turns;
        self.steps += other.steps;
        let pairs = [
            (&mut self.faults, &other.faults),
            (&mut self.states, &other.states),
            (&mut self.evaluations, &other.evaluations),
            (&mut self.commands, &other.commands),
            (&mut self.inputs, &other.inputs),
            (&mut self.replies, &other.replies),
            (&mut self.express, &other.express),
            (&mut self.jobs, &other.jobs),
            (&mut self.map_runs, &other.map_runs),
        ];
        for (mine, theirs) in pairs {
            for (name, count) in theirs {
                Self::add(mine, name, *count);
            }
        }
    }
}

impl Report {
    /// Adds what other worlds came to.
    pub fn merge(&mut self, other: &Report) {
        self.seeds += other.seeds;
        self.executions += other.executions;
        for (turns, count) in &other.turns_of_executions {
            *self.turns_of_executions.entry(*turns).or_default() += count;
        }
        for (faults, count) in &other.faults_of_seeds {
            *self.faults_of_seeds.entry(*faults).or_default() += count;
        }
        for (name, count) in &other.endings {
            Tally::add(&mut self.endings, name, *count);
        }
        self.tally.merge(&other.tally);
        // The same for any order in which worlds are added.
        self.trace_hash = self.trace_hash.wrapping_add(other.trace_hash);
    }

    /// The median of the executions' numbers of turns; 0 if there were none.
    #[must_use]
    pub fn median_turns(&self) -> u32 {
        let total: u64 = self.turns_of_executions.values().sum();
        let mut so_far = 0;
        for (turns, count) in &self.turns_of_executions {
            so_far += count;
            if so_far * 2 >= total {
                return *turns;
            }
        }
        0
    }
}

/// A world in which a rule was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What was found.
    pub complaint: Complaint,
    /// The end of its trace, the last step last.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "{}", self.complaint)?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// A hash that is the same on every machine; not one to trust against malice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hash {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.word(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        }
        let mut last = [0; 8];
        last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }

    pub(crate) fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}
