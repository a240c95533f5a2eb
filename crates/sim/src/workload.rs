//! What a simulated world is given to do: machines, activities and starts, and the dice that everything random in a
//! simulation is thrown with. Data only; nothing here acts, and nothing but the dice may decide by chance.

use stepwright_machine::Millis;

/// What one world runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// State machines, created before the first start.
    pub machines: Vec<Machine>,
    /// Names of activities, created likewise.
    pub activities: Vec<String>,
    /// Executions to start.
    pub starts: Vec<Start>,
}

/// A state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its definition, valid ASL text.
    pub definition: String,
    /// Whether it is of type EXPRESS.
    pub express: bool,
}

/// An execution to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which of the workload's machines.
    pub machine: usize,
    /// The execution's name.
    pub name: String,
    /// Its input, valid JSON text.
    pub input: String,
    /// When, in milliseconds after the world's beginning.
    pub at: Millis,
    /// What it comes to, if that is known.
    pub expect: Option<Expectation>,
}

/// How an execution must end unless someone stops it: well, and with this output. It holds only if the activity and
/// the function that are called [`ECHO`](crate::generate::ECHO) answer with their input whenever they answer well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The output, JSON text.
    pub output: String,
}

/// Pseudo-randomness with nothing hidden: the same seed throws the same numbers on every machine (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always throw the same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Sixty-four bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `sides - 1`; 0 if there are no sides.
    pub fn roll(&mut self, sides: u64) -> u64 {
        // The bias of a remainder does not matter for what is chosen here.
        if sides == 0 { 0 } else { self.bits() % sides }
    }

    /// [`Self::roll`] for an index.
    pub fn index(&mut self, sides: usize) -> usize {
        self.roll(sides as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll(high.saturating_sub(low) + 1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    /// One of these. Panics if there are none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// Dice of their own, so that throws here do not shift throws elsewhere.
    #[must_use]
    pub fn fork(&mut self) -> Dice {
        Dice(self.bits())
    }
}

/// The account of every simulated world.
pub const ACCOUNT: &str = "000000000000";
/// The region of every simulated world.
pub const REGION: &str = "us-east-1";

/// The ARN of an activity of a workload.
#[must_use]
pub fn activity_arn(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:activity:{name}")
}

/// The ARN of a Lambda function.
#[must_use]
pub fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// The ARN of a state machine.
#[must_use]
pub fn machine_arn(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}")
}

/// The ARN of an execution.
#[must_use]
pub fn execution_arn(machine: &str, name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine}:{name}")
}
