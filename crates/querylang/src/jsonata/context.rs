//! One evaluation: its bounds, its time and its randomness.
//!
//! Nothing here reads a clock or draws a random number of its own. Steps and
//! memory are counted as they are used, so the same evaluation always ends at
//! the same place; only the caller's `should_stop` may end it earlier.

use super::Expression;
use super::compile::{Library, Reference, Scope};
use super::error::{Error, Limit};
use super::explain::Parts;
use super::frame::Frame;
use super::function::Function;
use super::regex::{Asked, Measured, Regex};
use super::value::{Array, MAX_DEPTH, MAX_WEIGHT, Object, Text, Value};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// The stack, in bytes, of a thread that may compile any text or evaluate within the default [`Limits`]. Code that was
/// not optimised takes several times what it takes otherwise.
pub const STACK_BYTES: usize = if cfg!(debug_assertions) { 32 << 20 } else { 4 << 20 };

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
    /// The values of the variables that the expression does not bind itself.
    pub bindings: Option<&'e dyn Bindings>,
    /// Where the steps that it takes are added, however it ends.
    pub spent: Option<&'e Cell<u64>>,
    /// Where an expression that is explained puts the values of its parts.
    pub parts: Option<&'e Parts>,
}

/// Values for variables. Each is asked for once, when it is first needed.
pub trait Bindings {
    /// The value of the variable of this name, without the `$`.
    fn get(&self, name: &str) -> Option<Value>;
}

impl Bindings for [(&str, Value)] {
    fn get(&self, name: &str) -> Option<Value> {
        self.iter().find(|(bound, _)| *bound == name).map(|(_, value)| value.clone())
    }
}

impl<const N: usize> Bindings for [(&str, Value); N] {
    fn get(&self, name: &str) -> Option<Value> {
        Bindings::get(self.as_slice(), name)
    }
}

impl Bindings for Object {
    fn get(&self, name: &str) -> Option<Value> {
        Object::get(self, name).cloned()
    }
}

/// How many steps pass between two questions whether to stop.
const STEPS_BETWEEN_CHECKS: u64 = 4_096;

/// How many frames are kept to be used again.
const SPARE_FRAMES: usize = 64;

/// A frame used again has room for that many variables, or is charged for.
const FEW_SLOTS: usize = 16;

/// What is known of a variable that the caller may have bound.
#[derive(Debug, Clone, Default)]
enum External {
    #[default]
    Unasked,
    Unbound,
    Bound(Value),
}

/// An evaluation under way.
pub struct Context<'e> {
    environment: Environment<'e>,
    pub(crate) library: &'e Library,
    /// The input: `$$`.
    pub(crate) root: Value,
    steps_left: u64,
    next_check: u64,
    memory_left: usize,
    random: u64,
    pub(crate) depth: u32,
    /// Where the stack was when the evaluation began.
    stack_base: usize,
    /// The names of variables that the caller may have bound.
    names: &'e [Text],
    /// The same of expressions that `$eval` compiled.
    more_names: Vec<Text>,
    externals: Vec<External>,
    spare_frames: Vec<Rc<Frame>>,
    /// Frames that closures hold.
    held_frames: Vec<Weak<Frame>>,
    prune_at: usize,
    /// What has been built of the automatons of regular expressions, by where they lie.
    searched: HashMap<*const Regex, (Arc<Regex>, Option<Measured>)>,
    /// Where `$eval` was called: the frames there, and the item.
    pub(crate) caller: Option<(Vec<Arc<Scope>>, Rc<Frame>, Value)>,
}

/// About where the stack is.
fn stack_address() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

impl<'e> Context<'e> {
    pub(crate) fn new(expression: &'e Expression, root: Value, environment: Environment<'e>) -> Self {
        let steps = environment.limits.steps;
        Self {
            environment,
            library: expression.library(),
            root,
            steps_left: steps,
            next_check: steps.saturating_sub(STEPS_BETWEEN_CHECKS),
            memory_left: environment.limits.memory_bytes,
            random: environment.seed,
            depth: 0,
            stack_base: stack_address(),
            names: expression.externals(),
            more_names: Vec::new(),
            externals: Vec::new(),
            spare_frames: Vec::new(),
            held_frames: Vec::new(),
            prune_at: 256,
            searched: HashMap::new(),
            caller: None,
        }
    }

    /// Goes one node deeper; [`Context::leave`] comes back.
    #[inline]
    pub(crate) fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > self.environment.limits.depth {
            return Err(Error::limit(Limit::Depth));
        }
        self.guard()
    }

    /// Takes note of a step, and sees to it that there is stack left.
    #[inline]
    pub(crate) fn guard(&mut self) -> Result<(), Error> {
        if stack_address().abs_diff(self.stack_base) > self.environment.limits.stack_bytes {
            return Err(Error::limit(Limit::Depth));
        }
        self.steps(1)
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// A frame for the variables of a scope.
    pub(crate) fn frame(&mut self, scope: &Scope, parent: &Rc<Frame>) -> Result<Rc<Frame>, Error> {
        let slots = scope.names.len();
        self.steps(slots as u64 / 8)?;
        if let Some(mut spare) = self.spare_frames.pop()
            && let Some(frame) = Rc::get_mut(&mut spare)
        {
            if slots > FEW_SLOTS {
                self.charge(slots * size_of::<Option<Value>>())?;
            }
            frame.renew(slots, Rc::clone(parent));
            return Ok(spare);
        }
        self.charge(96 + slots * size_of::<Option<Value>>())?;
        Ok(Rc::new(Frame::new(slots, Some(Rc::clone(parent)))))
    }

    /// Takes a frame back that has done its work, unless a closure holds it.
    pub(crate) fn release(&mut self, mut frame: Rc<Frame>) {
        if let Some(unused) = Rc::get_mut(&mut frame) {
            unused.retire();
            if self.spare_frames.len() < SPARE_FRAMES {
                self.spare_frames.push(frame);
            }
        }
    }

    /// Takes note that a closure holds a frame.
    pub(crate) fn hold(&mut self, frame: &Rc<Frame>) {
        if frame.list() {
            return;
        }
        if self.held_frames.len() >= self.prune_at {
            self.held_frames.retain(|frame| frame.strong_count() > 0);
            self.prune_at = self.held_frames.len() * 2 + 256;
        }
        self.held_frames.push(Rc::downgrade(frame));
    }

    /// The names that may be bound from outside, those of `$eval` included.
    pub(crate) fn external_names(&self) -> Vec<Text> {
        self.names.iter().chain(&self.more_names).cloned().collect()
    }

    pub(crate) fn set_external_names(&mut self, names: Vec<Text>) {
        self.more_names = names;
        self.more_names.drain(..self.names.len());
    }

    /// The value of a variable that no frame binds.
    pub(crate) fn external(&mut self, reference: &Reference) -> Option<Value> {
        if reference.root {
            return Some(self.root.clone());
        }
        let bindings = self.environment.bindings?;
        if self.externals.len() <= reference.external {
            self.externals.resize(reference.external.checked_add(1)?, External::Unasked);
        }
        let known = &mut self.externals[reference.external];
        if let External::Unasked = known {
            let first = self.names.get(reference.external);
            let name = first.or_else(|| self.more_names.get(reference.external - self.names.len()))?;
            *known = bindings.get(name).map_or(External::Unbound, External::Bound);
        }
        if let External::Bound(value) = known { Some(value.clone()) } else { None }
    }

    /// Where the values of parts go, if the expression is being explained.
    pub(crate) fn parts(&self) -> Option<&'e Parts> {
        self.environment.parts
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

    /// Takes note of the work of a search from a byte of a text on.
    ///
    /// # Errors
    /// As [`Context::steps`] and [`Context::charge`].
    pub(crate) fn searches(&mut self, regex: &Arc<Regex>, ahead: (&str, usize), asked: Asked) -> Result<(), Error> {
        let place = Arc::as_ptr(regex);
        let known = self.searched.remove(&place);
        let (regex, mut measured) = known.unwrap_or_else(|| (Arc::clone(regex), regex.measured()));
        let noted = regex.measure(measured.as_mut(), ahead, asked, &mut |steps, memory| {
            self.steps(steps)?;
            self.charge(memory)
        });
        self.searched.insert(place, (regex, measured));
        noted
    }

    /// Takes note of the work of comparing a text with another, or of hashing it.
    ///
    /// # Errors
    /// As [`Context::steps`].
    #[inline]
    pub(crate) fn compares(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes < 64 { Ok(()) } else { self.steps(bytes as u64 / 64) }
    }

    /// Takes note of items that are about to be put into a list: of their memory, and of the work.
    ///
    /// # Errors
    /// As [`Context::steps`] and [`Context::charge`].
    #[inline]
    pub(crate) fn extends(&mut self, items: usize) -> Result<(), Error> {
        self.steps(items as u64 / 8)?;
        self.charge(items.saturating_mul(size_of::<Value>()))
    }

    /// Makes room for more items in a list, which grows by doubling; takes note of the room and of the work.
    ///
    /// # Errors
    /// As [`Context::steps`] and [`Context::charge`].
    #[inline]
    pub(crate) fn makes_room(&mut self, list: &mut Vec<Value>, more: usize) -> Result<(), Error> {
        if more > 1 {
            self.steps(more as u64 / 8)?;
        }
        let wanted = list.len() + more;
        if wanted > list.capacity() {
            let room = wanted.max(list.capacity() * 2);
            self.charge(room.saturating_mul(size_of::<Value>()))?;
            list.reserve_exact(room - list.len());
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
        if array.weight() > MAX_WEIGHT {
            return Err(Error::limit(Limit::Memory));
        }
        Ok(Value::from(array))
    }

    /// A new object, charged for.
    ///
    /// # Errors
    /// U1001 if it is too large or nested too deep.
    pub fn object(&mut self, object: Object) -> Result<Value, Error> {
        self.charge(object.memory())?;
        if object.depth() > MAX_DEPTH {
            return Err(Error::limit(Limit::Depth));
        }
        if object.weight() > MAX_WEIGHT {
            return Err(Error::limit(Limit::Memory));
        }
        Ok(Value::from(object))
    }

    /// A new function value, charged for.
    pub(crate) fn function(&mut self, function: Function) -> Result<Value, Error> {
        self.charge(128)?;
        if function.depth() > MAX_DEPTH {
            return Err(Error::limit(Limit::Depth));
        }
        Ok(Value::Function(Rc::new(function)))
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        if let Some(spent) = self.environment.spent {
            spent.set(spent.get().saturating_add(self.environment.limits.steps - self.steps_left));
        }
        for frame in std::mem::take(&mut self.held_frames) {
            if let Some(frame) = frame.upgrade() {
                frame.clear();
            }
        }
    }
}
