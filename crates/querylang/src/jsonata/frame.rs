//! Frames: the variables of one call, block or tuple.
//!
//! A frame that no closure holds is used again. Closures and frames may hold
//! each other in a circle; the evaluation keeps a list of the frames that are
//! held and empties them when it ends.

use super::value::{Text, Value};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The variables of one call, block or tuple.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// `None`: not bound yet.
    slots: RefCell<Vec<Option<Value>>>,
    parent: Option<Rc<Frame>>,
    /// Whether the evaluation has it in its list.
    listed: Cell<bool>,
}

impl Frame {
    pub(crate) fn new(slots: usize, parent: Option<Rc<Self>>) -> Self {
        Self { slots: RefCell::new(vec![None; slots]), parent, listed: Cell::new(false) }
    }

    /// Makes a frame that is not in use into another one.
    pub(crate) fn renew(&mut self, slots: usize, parent: Rc<Self>) {
        self.slots.get_mut().resize(slots, None);
        self.parent = Some(parent);
    }

    /// Forgets everything, so that it may be renewed.
    pub(crate) fn retire(&mut self) {
        self.slots.get_mut().clear();
        self.parent = None;
    }

    pub(crate) fn get(&self, slot: usize) -> Option<Value> {
        self.slots.borrow().get(slot).cloned().flatten()
    }

    /// The value of a path of names in a variable, without taking the variable
    /// out: `None` if it is not bound here, or an array is on the way.
    pub(crate) fn field(&self, slot: usize, names: &[Text]) -> Option<Value> {
        let slots = self.slots.borrow();
        let mut value = slots.get(slot)?.as_ref()?;
        for name in names {
            let Value::Object(object) = value else { return None };
            match object.get(name) {
                Some(member) => value = member,
                None => return Some(Value::Undefined),
            }
        }
        Some(value.clone())
    }

    pub(crate) fn set(&self, slot: usize, value: Value) {
        // The old value is dropped when the frame is not borrowed any more.
        let _old = match self.slots.borrow_mut().get_mut(slot) {
            Some(place) => place.replace(value),
            None => None,
        };
    }

    pub(crate) fn parent(&self) -> Option<&Rc<Self>> {
        self.parent.as_ref()
    }

    /// Whether it was in the list before; it is from now on.
    pub(crate) fn list(&self) -> bool {
        self.listed.replace(true)
    }

    /// Empties it and the frames around it.
    pub(crate) fn clear(&self) {
        let mut frame = Some(self);
        while let Some(here) = frame {
            let values = std::mem::take(&mut *here.slots.borrow_mut());
            drop(values);
            frame = here.parent.as_deref();
        }
    }
}

thread_local! {
    /// Values of dropped frames, and whether someone is dropping them.
    static DROPPED: RefCell<(bool, Vec<Value>)> = const { RefCell::new((false, Vec::new())) };
}

/// A chain of frames and closures may be longer than the stack is deep: what
/// they hold is dropped one after the other, not one inside the other.
impl Drop for Frame {
    fn drop(&mut self) {
        let values = std::mem::take(self.slots.get_mut());
        if !values.iter().flatten().any(|value| value.depth() > 0) {
            return;
        }
        let queued = DROPPED.try_with(|dropped| {
            let mut dropped = dropped.borrow_mut();
            dropped.1.extend(values.into_iter().flatten());
            std::mem::replace(&mut dropped.0, true)
        });
        if queued != Ok(false) {
            return;
        }
        while let Ok(Some(value)) = DROPPED.try_with(|dropped| dropped.borrow_mut().1.pop()) {
            drop(value);
        }
        let _ended = DROPPED.try_with(|dropped| dropped.borrow_mut().0 = false);
    }
}
