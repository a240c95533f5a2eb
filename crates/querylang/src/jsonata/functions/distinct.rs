//! Finding equal values by hashing: comparing all pairs would take hours on a
//! hostile array.

use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::value::Value;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::rc::Rc;

/// The values seen so far. Deep equality, as [`Value::equals`] has it.
pub(super) struct Distinct<'v> {
    /// By hash; the hasher has its own key, so nobody can make hashes collide.
    seen: HashMap<u64, (&'v Value, Vec<&'v Value>)>,
    state: RandomState,
}

impl<'v> Distinct<'v> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let state = RandomState::new();
        Self { seen: HashMap::with_capacity_and_hasher(capacity, state.clone()), state }
    }

    /// Whether the value has not been seen before.
    pub(super) fn insert(&mut self, context: &mut Context<'_>, value: &'v Value) -> Result<bool, Error> {
        context.steps(1)?;
        let hash = self.hash(context, value)?;
        match self.seen.entry(hash) {
            Entry::Vacant(place) => {
                place.insert((value, Vec::new()));
                Ok(true)
            }
            Entry::Occupied(mut place) => {
                let (first, others) = place.get_mut();
                let new = !first.equals(value) && others.iter().all(|other| !other.equals(value));
                if new {
                    others.push(value);
                }
                Ok(new)
            }
        }
    }

    /// The same for equal values. Recurses as deep as the value is nested, which
    /// is bounded; steps are counted, because the same container may be in
    /// another many times over.
    fn hash(&self, context: &mut Context<'_>, value: &Value) -> Result<u64, Error> {
        let mut hasher = self.state.build_hasher();
        hasher.write_u8(value.symbol());
        match value {
            Value::Undefined | Value::Null => {}
            Value::Boolean(boolean) => boolean.hash(&mut hasher),
            // 0 and -0 are equal.
            Value::Number(number) => (number + 0.0).to_bits().hash(&mut hasher),
            Value::String(text) => {
                super::scan(context, text.len())?;
                text.hash(&mut hasher);
            }
            Value::Array(array) => {
                context.steps(array.len() as u64)?;
                for item in array.iter() {
                    hasher.write_u64(self.hash(context, item)?);
                }
            }
            Value::Object(object) => {
                context.steps(object.len() as u64)?;
                // The order of the members does not matter.
                let mut sum = 0u64;
                for (key, member) in object.iter() {
                    super::scan(context, key.len())?;
                    let mut of_member = self.state.build_hasher();
                    key.hash(&mut of_member);
                    of_member.write_u64(self.hash(context, member)?);
                    sum = sum.wrapping_add(of_member.finish());
                }
                hasher.write_u64(sum);
            }
            Value::Function(function) => Rc::as_ptr(function).addr().hash(&mut hasher),
        }
        Ok(hasher.finish())
    }
}
