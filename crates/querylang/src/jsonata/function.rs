//! Functions as values.

use super::compile::{Lambda, Transform};
use super::context::Context;
use super::error::Error;
use super::frame::Frame;
use super::regex::Regex;
use super::signature::Signature;
use super::value::{Text, Value};
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// What a built-in function runs: it may take its arguments out of the slice.
pub type Native = fn(&mut Context<'_>, &mut [Value]) -> Result<Value, Error>;

/// A function written in Rust. The language's own and the caller's are alike.
pub struct Builtin {
    /// Its name, without the `$`.
    pub name: &'static str,
    /// Its signature, `<s-nn?:s>`; empty if the arguments come as they are.
    pub signature: &'static str,
    /// How many arguments it declares: `$map` and its like pass it that many,
    /// and the slice it gets is never shorter.
    pub arity: usize,
    native: Native,
    parsed: OnceLock<Option<Signature>>,
}

impl Builtin {
    /// Declares a function.
    #[must_use]
    pub const fn new(name: &'static str, signature: &'static str, arity: usize, native: Native) -> Self {
        Self { name, signature, arity, native, parsed: OnceLock::new() }
    }

    /// The signature, parsed once.
    pub(crate) fn parsed_signature(&self) -> Option<&Signature> {
        self.parsed.get_or_init(|| Signature::parse(self.signature).ok()).as_ref()
    }

    /// Runs it on arguments that its signature has passed.
    pub(crate) fn run(&self, context: &mut Context<'_>, mut arguments: Vec<Value>) -> Result<Value, Error> {
        if arguments.len() < self.arity {
            arguments.resize(self.arity, Value::Undefined);
        }
        (self.native)(context, &mut arguments)
    }
}

impl fmt::Debug for Builtin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "${}{}", self.name, self.signature)
    }
}

/// A function value.
#[derive(Debug)]
pub struct Function {
    pub(crate) kind: FunctionKind,
    depth: u32,
}

#[derive(Debug)]
pub(crate) enum FunctionKind {
    /// Written in Rust.
    Builtin(&'static Builtin),
    /// A lambda, with the item and the variables around it.
    Lambda(Closure),
    /// Another function with some arguments given: `None` are those to come.
    Partial(Rc<Function>, Vec<Option<Value>>),
    /// `f ~> g`
    Composition(Rc<Function>, Rc<Function>),
    /// A regular expression: called with a text, gives its first match.
    Regex(Arc<Regex>),
    /// The `next` of a match: the text, and where to go on, in bytes.
    Next(Arc<Regex>, Text, usize),
    /// `|pattern|update|`
    Transform(Arc<Transform>, Rc<Frame>),
}

#[derive(Debug)]
pub(crate) struct Closure {
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) item: Value,
    pub(crate) frame: Rc<Frame>,
}

impl Function {
    pub(crate) fn new(kind: FunctionKind) -> Self {
        let below = match &kind {
            FunctionKind::Lambda(closure) => closure.item.depth(),
            FunctionKind::Partial(function, arguments) => {
                let deepest = arguments.iter().flatten().map(Value::depth).max();
                deepest.unwrap_or(0).max(function.depth)
            }
            FunctionKind::Composition(first, second) => first.depth.max(second.depth),
            _ => 0,
        };
        Self { kind, depth: below + 1 }
    }

    /// How many arguments it takes.
    #[must_use]
    pub fn arity(&self) -> usize {
        match &self.kind {
            FunctionKind::Builtin(builtin) => builtin.arity,
            FunctionKind::Lambda(closure) => closure.lambda.parameters.len(),
            FunctionKind::Partial(_, arguments) => arguments.iter().filter(|argument| argument.is_none()).count(),
            FunctionKind::Regex(_) => 2,
            FunctionKind::Next(..) => 0,
            FunctionKind::Composition(..) | FunctionKind::Transform(..) => 1,
        }
    }

    /// The regular expression, if it is one: use it directly, not by calling it.
    #[must_use]
    pub(crate) fn as_regex(&self) -> Option<&Arc<Regex>> {
        if let FunctionKind::Regex(regex) = &self.kind { Some(regex) } else { None }
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }
}

impl From<&'static Builtin> for Value {
    fn from(builtin: &'static Builtin) -> Self {
        Self::Function(Rc::new(Function::new(FunctionKind::Builtin(builtin))))
    }
}
