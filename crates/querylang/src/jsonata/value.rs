//! The values that JSONata computes with: JSON, *undefined*, and functions.
//!
//! Containers are shared by reference count, so that passing one on never
//! copies it, and belong to one thread; text is shared across threads, so that
//! a compiled expression can hold its literals. Every container knows how deep
//! it is nested and how much a walk over it meets (a member counts as often as
//! it is shared), and [`Context`](super::Context) refuses to make one deeper
//! than [`MAX_DEPTH`] or heavier than [`MAX_WEIGHT`]: whoever walks a value may
//! recurse and comes to an end, and dropping one never overflows the stack.

use super::function::Function;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A text, shared.
pub type Text = Arc<str>;

/// How deep arrays, objects and functions may be nested in one another.
pub const MAX_DEPTH: u32 = 500;

/// How many values a container may hold in all, with those inside of others.
pub const MAX_WEIGHT: u32 = 1 << 24;

/// An object with more members than this keeps an index of its keys.
const INDEXED_FROM: usize = 16;

/// What an expression is evaluated on, and to.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Nothing: a path that leads nowhere, a function without a result.
    #[default]
    Undefined,
    /// JSON's null.
    Null,
    /// True or false.
    Boolean(bool),
    /// A double.
    Number(f64),
    /// A text.
    String(Text),
    /// An array or a sequence.
    Array(Rc<Array>),
    /// An object.
    Object(Rc<Object>),
    /// A function: built-in, lambda, regular expression and so on.
    Function(Rc<Function>),
}

/// What an array is besides its items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kind {
    /// Made by a path or a function, not written as an array: one that holds a
    /// single item is the same as the item, an empty one is undefined.
    pub sequence: bool,
    /// A sequence that stays one even if it holds a single item: `[]` was said.
    pub keep_singleton: bool,
    /// Written with brackets at the end of a path: not flattened into it.
    pub constructed: bool,
    /// Wraps the input document, which is an array itself.
    pub outer_wrapper: bool,
    /// The items are tuples: objects from variable names to values, with the
    /// item itself under `@`.
    pub tuples: bool,
}

/// An array or a sequence.
#[derive(Debug, Clone, Default)]
pub struct Array {
    items: Vec<Value>,
    /// What it is besides its items.
    pub kind: Kind,
    depth: u32,
    weight: u32,
}

/// An object; its members keep the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Object {
    members: Vec<(Text, Value)>,
    index: Option<HashMap<Text, u32>>,
    depth: u32,
    weight: u32,
}

impl Value {
    /// Whether this is *undefined*.
    #[must_use]
    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined)
    }

    /// How deep containers are nested in it: 0 for what is not a container.
    #[must_use]
    pub fn depth(&self) -> u32 {
        match self {
            Self::Array(array) => array.depth,
            Self::Object(object) => object.depth,
            Self::Function(function) => function.depth(),
            _ => 0,
        }
    }

    /// How many values a walk over it meets, itself included; long texts and
    /// keys count for several. A walk over a value costs that many steps
    /// ([`Context::steps`](super::Context::steps)).
    #[must_use]
    pub fn weight(&self) -> u32 {
        match self {
            Self::Array(array) => array.weight,
            Self::Object(object) => object.weight,
            Self::String(text) => 1 + u32::try_from(text.len() / 256).unwrap_or(u32::MAX - 1),
            _ => 1,
        }
    }

    /// The items, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&Rc<Array>> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The text, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The number, if this is one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The function, if this is one.
    #[must_use]
    pub fn as_function(&self) -> Option<&Rc<Function>> {
        if let Self::Function(function) = self { Some(function) } else { None }
    }

    /// The letter that signatures have for the type: `m` is undefined.
    #[must_use]
    pub(crate) fn symbol(&self) -> u8 {
        match self {
            Self::Undefined => b'm',
            Self::Null => b'l',
            Self::Boolean(_) => b'b',
            Self::Number(_) => b'n',
            Self::String(_) => b's',
            Self::Array(_) => b'a',
            Self::Object(_) => b'o',
            Self::Function(_) => b'f',
        }
    }

    /// The value cast to a boolean as `$boolean` does; undefined is false.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Undefined | Self::Null | Self::Function(_) => false,
            Self::Boolean(boolean) => *boolean,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(array) => array.iter().any(Self::is_truthy),
            Self::Object(object) => !object.is_empty(),
        }
    }

    /// Deep equality; the order of members does not matter. Functions are equal
    /// only to themselves.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Undefined, Self::Undefined) | (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => {
                Rc::ptr_eq(a, b) || (a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b)))
            }
            (Self::Object(a), Self::Object(b)) => {
                Rc::ptr_eq(a, b)
                    || (a.len() == b.len()
                        && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| value.equals(other))))
            }
            (Self::Function(a), Self::Function(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// What `===` says in the reference: containers are equal to themselves only.
    #[must_use]
    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(a), Self::Array(b)) => Rc::ptr_eq(a, b),
            (Self::Object(a), Self::Object(b)) => Rc::ptr_eq(a, b),
            _ => self.equals(other),
        }
    }
}

/// What a key adds to the weight of its object: keys are hashed and compared.
fn weight_of_key(key: &str) -> u32 {
    u32::try_from(key.len() / 64).unwrap_or(u32::MAX)
}

/// Orders texts by UTF-16 code units, as the reference does: characters beyond
/// the basic plane come before U+E000.
#[must_use]
pub fn compare_text(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    match (left.get(same), right.get(same)) {
        (Some(&a), Some(&b)) => match (a >= 0xF0, b >= 0xF0) {
            (true, false) if b >= 0xEE => Ordering::Less,
            (false, true) if a >= 0xEE => Ordering::Greater,
            _ => a.cmp(&b),
        },
        _ => left.len().cmp(&right.len()),
    }
}

impl From<bool> for Value {
    fn from(boolean: bool) -> Self {
        Self::Boolean(boolean)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(Text::from(text))
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::String(text)
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Array(Rc::new(array))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(Rc::new(object))
    }
}

impl Array {
    /// An array of these items. Inside an evaluation use
    /// [`Context::array`](super::Context::array), which charges for it.
    #[must_use]
    pub fn new(items: Vec<Value>) -> Self {
        let mut array = Self { items, kind: Kind::default(), depth: 1, weight: 1 };
        for item in &array.items {
            array.depth = array.depth.max(item.depth() + 1);
            array.weight = array.weight.saturating_add(item.weight());
        }
        array
    }

    /// A sequence of these items.
    #[must_use]
    pub fn sequence(items: Vec<Value>) -> Self {
        Self { kind: Kind { sequence: true, ..Kind::default() }, ..Self::new(items) }
    }

    /// The same with other flags.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        if kind.tuples {
            // Nobody walks over what tuples carry, and they all carry the same.
            self.weight = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        }
        self
    }

    /// The items, given up.
    #[must_use]
    pub fn into_items(self) -> Vec<Value> {
        self.items
    }

    /// How deep containers are nested in it, itself included.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// How many values a walk over it meets, itself included.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: Value) {
        self.depth = self.depth.max(item.depth() + 1);
        self.weight = self.weight.saturating_add(item.weight());
        self.items.push(item);
    }
}

impl std::ops::Deref for Array {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl Object {
    /// An object without members.
    #[must_use]
    pub fn new() -> Self {
        Self { members: Vec::new(), index: None, depth: 1, weight: 1 }
    }

    /// An object without members, and room for some.
    #[must_use]
    pub fn with_capacity(members: usize) -> Self {
        Self { members: Vec::with_capacity(members), index: None, depth: 1, weight: 1 }
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How deep containers are nested in it, itself included.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// How many values a walk over it meets, itself included.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// About how many bytes it takes, without what its members hold.
    #[must_use]
    pub(crate) fn memory(&self) -> usize {
        let index = if self.members.len() > INDEXED_FROM { 64 } else { 0 };
        size_of::<Self>() + 16 + self.members.capacity() * size_of::<(Text, Value)>() + self.members.len() * index
    }

    /// The members in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, (Text, Value)> {
        self.members.iter()
    }

    /// Where the member of this name is.
    #[must_use]
    pub fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).map(|at| *at as usize),
            None => self.members.iter().position(|(name, _)| **name == *key),
        }
    }

    /// The member at a position.
    #[must_use]
    pub fn at(&self, position: usize) -> Option<&(Text, Value)> {
        self.members.get(position)
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.position(key).map(|at| &self.members[at].1)
    }

    /// Sets a member; a new one comes last.
    pub fn insert(&mut self, key: Text, value: Value) {
        self.depth = self.depth.max(value.depth() + 1);
        if let Some(at) = self.position(&key) {
            let old = std::mem::replace(&mut self.members[at].1, value);
            let new = &self.members[at].1;
            self.weight = self.weight.saturating_sub(old.weight()).saturating_add(new.weight());
            return;
        }
        self.push_new(key, value);
    }

    /// Adds a member whose name is not there yet.
    pub(crate) fn push_new(&mut self, key: Text, value: Value) {
        self.depth = self.depth.max(value.depth() + 1);
        self.weight = self.weight.saturating_add(value.weight()).saturating_add(weight_of_key(&key));
        self.members.push((key, value));
        self.index_last();
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.position(key)?;
        let (_, value) = self.members.remove(at);
        if self.index.is_some() {
            self.index = None;
            self.index_all();
        }
        Some(value)
    }

    /// The members, given up.
    #[must_use]
    pub fn into_members(self) -> Vec<(Text, Value)> {
        self.members
    }

    fn index_last(&mut self) {
        if let Some(index) = &mut self.index {
            let at = self.members.len() - 1;
            index.insert(Arc::clone(&self.members[at].0), u32::try_from(at).unwrap_or(u32::MAX));
        } else {
            self.index_all();
        }
    }

    fn index_all(&mut self) {
        if self.members.len() > INDEXED_FROM {
            let keys = self.members.iter().map(|(key, _)| Arc::clone(key));
            self.index = Some(keys.zip(0..).collect());
        }
    }
}

impl<'a> IntoIterator for &'a Object {
    type Item = &'a (Text, Value);
    type IntoIter = std::slice::Iter<'a, (Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<(Text, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (Text, Value)>>(members: I) -> Self {
        let mut object = Self::new();
        for (key, value) in members {
            object.insert(key, value);
        }
        object
    }
}
