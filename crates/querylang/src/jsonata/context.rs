//! One evaluation: its bounds, its time and its randomness.
//!
//! Nothing here reads a clock or draws a random number of its own. Steps and
//! memory are counted as they are used, so the same evaluation always ends at
//! the same place; only the caller's `should_stop` may end it earlier.

use super::error::{Error, Limit};
use super::value::{Array, MAX_DEPTH, Object, Text, Value};

/// The bounds of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many steps it may take: nodes evaluated, items passed over.
    pub steps: u64,
    /// How deep evaluations may be nested, in nodes of the expression's tree.
    pub depth: u32,
    /// How much of the thread's stack it may use, in bytes. The thread must have it.
    pub stack_bytes: usize,
    /// How much memory it may allocate in all, in bytes.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 100_000_000, depth: 2_000, stack_bytes: 1 << 20, memory_bytes: 256 << 20 }
    }
}

/// What an evaluation is given besides its input.
#[derive(Clone, Copy, Default)]
pub struct Environment<'e> {
    /// The time that `$now` and `$millis` tell, in milliseconds since 1970.
    pub now_millis: f64,
    /// Where `$random` and its like start.
    pub seed: u64,
    /// The bounds.
    pub limits: Limits,
    /// Asked every few thousand steps: true ends the evaluation.
    pub should_stop: Option<&'e dyn Fn() -> bool>,
}

/// How many steps pass between two questions whether to stop.
const STEPS_BETWEEN_CHECKS: u64 = 4_096;

/// An evaluation under way.
pub struct Context<'e> {
    environment: Environment<'e>,
    steps_left: u64,
    next_check: u64,
    memory_left: usize,
    random: u64,
}

impl<'e> Context<'e> {
    /// A new evaluation.
    #[must_use]
    pub fn new(environment: Environment<'e>) -> Self {
        let steps = environment.limits.steps;
        Self {
            environment,
            steps_left: steps,
            next_check: steps.saturating_sub(STEPS_BETWEEN_CHECKS),
            memory_left: environment.limits.memory_bytes,
            random: environment.seed,
        }
    }

    /// The time of this evaluation, in milliseconds since 1970: always the same.
    #[must_use]
    pub fn now_millis(&self) -> f64 {
        self.environment.now_millis
    }

    /// The next random bits.
    pub fn random_u64(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// The next random number, from 0 up to but not including 1.
    pub fn random(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let bits = (self.random_u64() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// Takes note of work: call it for every item a loop passes over, or once
    /// with their number.
    ///
    /// # Errors
    /// U1001 if that was too much, or the caller wants the evaluation to end.
    #[inline]
    pub fn steps(&mut self, steps: u64) -> Result<(), Error> {
        self.steps_left = self.steps_left.saturating_sub(steps);
        if self.steps_left <= self.next_check { self.check_steps() } else { Ok(()) }
    }

    #[cold]
    fn check_steps(&mut self) -> Result<(), Error> {
        self.next_check = self.steps_left.saturating_sub(STEPS_BETWEEN_CHECKS);
        if self.steps_left == 0 || self.environment.should_stop.is_some_and(|stop| stop()) {
            return Err(Error::limit(Limit::Time));
        }
        Ok(())
    }

    /// Takes note of memory that is about to be allocated: call it *before* a
    /// large allocation whose size is known.
    ///
    /// # Errors
    /// U1001 if that is too much.
    #[inline]
    pub fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        match self.memory_left.checked_sub(bytes) {
            Some(left) => {
                self.memory_left = left;
                Ok(())
            }
            None => Err(Error::limit(Limit::Memory)),
        }
    }

    /// A new text, charged for.
    ///
    /// # Errors
    /// U1001 if it is too large.
    pub fn string(&mut self, text: impl Into<Text> + AsRef<str>) -> Result<Value, Error> {
        self.charge(text.as_ref().len() + 16)?;
        Ok(Value::String(text.into()))
    }

    /// A new array, charged for.
    ///
    /// # Errors
    /// U1001 if it is too large or nested too deep.
    pub fn array(&mut self, items: Vec<Value>) -> Result<Value, Error> {
        self.any_array(Array::new(items))
    }

    /// A new sequence, charged for. It is given back as it is: whoever calls a
    /// function unwraps one that holds a single item, or none.
    ///
    /// # Errors
    /// U1001 if it is too large or nested too deep.
    pub fn sequence(&mut self, items: Vec<Value>) -> Result<Value, Error> {
        self.any_array(Array::sequence(items))
    }

    /// A new array of any kind, charged for.
    ///
    /// # Errors
    /// U1001 if it is too large or nested too deep.
    pub fn any_array(&mut self, array: Array) -> Result<Value, Error> {
        self.charge(array.len() * size_of::<Value>() + 64)?;
        if array.depth() > MAX_DEPTH {
            return Err(Error::limit(Limit::Depth));
        }
        Ok(Value::from(array))
    }

    /// A new object, charged for.
    ///
    /// # Errors
    /// U1001 if it is too large or nested too deep.
    pub fn object(&mut self, object: Object) -> Result<Value, Error> {
        self.charge(object.len() * size_of::<(Text, Value)>() + 64)?;
        if object.depth() > MAX_DEPTH {
            return Err(Error::limit(Limit::Depth));
        }
        Ok(Value::from(object))
    }
}
