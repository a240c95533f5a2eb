//! What is evaluated: the tree as written, with its paths made flat, its
//! parents found (`process.rs`) and its variables given slots (`resolve.rs`).

mod process;
mod resolve;

use super::Dialect;
use super::ast::{Ast, Operator};
use super::error::Error;
use super::function::Builtin;
use super::regex::Regex;
use super::signature::Signature;
use super::value::Text;
use std::sync::Arc;

/// The functions that an expression may name, besides the language's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Library {
    pub(crate) dialect: Dialect,
    /// The caller's; they come before the language's own.
    pub(crate) added: Vec<&'static Builtin>,
    /// Names of the language's that may not be used.
    pub(crate) removed: Vec<&'static str>,
}

impl Library {
    /// The function of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Builtin> {
        let added = self.added.iter().copied().find(|builtin| builtin.name == name);
        added.or_else(|| {
            if self.removed.contains(&name) { None } else { super::functions::find(name).or_else(|| own(name)) }
        })
    }
}

/// Functions that the evaluator itself provides.
fn own(name: &str) -> Option<&'static Builtin> {
    (name == "eval").then_some(&super::evaluate::EVAL)
}

/// Compiles a tree. The names of variables that the expression does not bind
/// are put into `externals`, at the end of those that are there.
pub(crate) fn compile(
    ast: &Ast,
    library: &Library,
    externals: &mut Vec<Text>,
    enclosing: &[Arc<Scope>],
) -> Result<Program, Error> {
    let (root, labels) = process::process(ast)?;
    Ok(resolve::resolve(root, &labels, library, externals, enclosing))
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) root: Node,
    /// The variables bound at its top.
    pub(crate) scope: Arc<Scope>,
}

/// The variables of a frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) names: Vec<Text>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) position: u32,
    /// Nothing of what follows is set: the value of `kind` is the value.
    pub(crate) plain: bool,
    pub(crate) keep_array: bool,
    /// An array constructor at an end of a path: it is not flattened.
    pub(crate) constructed: bool,
    /// It begins or carries a stream of tuples.
    pub(crate) tuple: bool,
    /// Filters on the whole value.
    pub(crate) predicates: Vec<Stage>,
    /// Filters on what a step makes of each item.
    pub(crate) stages: Vec<Stage>,
    pub(crate) group: Option<Box<Group>>,
    pub(crate) focus: Option<Text>,
    pub(crate) index: Option<Text>,
    /// The `%` that this step answers: an index of labels, then their name.
    pub(crate) ancestor: Option<usize>,
    pub(crate) ancestor_name: Option<Text>,
    /// Those `%` below whose step is not found yet.
    seeking: Vec<usize>,
    /// The frame in which tuples' expressions are evaluated.
    pub(crate) tuple_scope: Option<Arc<Scope>>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Boolean(bool),
    Number(f64),
    String(Text),
    Regex(Arc<Regex>),
    Name(Text),
    /// `a.b.c` without anything else: the quick way.
    Fields(Vec<Text>),
    /// The same behind a variable: `$a.b.c`.
    VariableFields(Box<Node>, Vec<Text>),
    /// `$`
    Item,
    Variable(Box<Reference>),
    VariableName(Text),
    Wildcard,
    Descendant,
    /// `%`: an index of labels; it becomes a variable.
    Parent(usize),
    Path(Vec<Node>, bool),
    Sort(Vec<(bool, Node)>),
    Negate(Box<Node>),
    Binary(Operator, Box<[Node; 2]>),
    Bind(Text, usize, Box<Node>),
    Array(Vec<Node>),
    Object(Box<Group>),
    Block(Vec<Node>, Option<Arc<Scope>>),
    Call(Box<Call>),
    Partial(Box<Call>),
    Placeholder,
    Lambda(Arc<Lambda>),
    Condition(Box<[Node; 2]>, Option<Box<Node>>),
    Transform(Arc<Transform>),
}

#[derive(Debug)]
pub(crate) enum Stage {
    Filter(Node),
    Index(Text),
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) pairs: Vec<(Node, Node)>,
    pub(crate) position: u32,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) procedure: Node,
    pub(crate) arguments: Vec<Node>,
    /// Nothing is left to do in the function that calls.
    pub(crate) tail: bool,
    /// A field is called that is also the name of a function or variable.
    pub(crate) forgot_dollar: Option<Box<Reference>>,
    /// The name that messages give.
    pub(crate) name: Option<Text>,
    /// For a call of `$eval`: the frames around it.
    pub(crate) scopes: Option<Vec<Arc<Scope>>>,
}

#[derive(Debug)]
pub(crate) struct Lambda {
    pub(crate) parameters: Vec<Text>,
    pub(crate) signature: Option<Signature>,
    pub(crate) body: Node,
    /// The parameters come first.
    pub(crate) scope: Arc<Scope>,
    pub(crate) slots: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Transform {
    pub(crate) pattern: Node,
    pub(crate) update: Node,
    pub(crate) delete: Option<Node>,
    pub(crate) clone: Reference,
}

/// Where a variable's value may be: the frames outwards, then the caller's.
#[derive(Debug)]
pub(crate) struct Reference {
    /// How many frames up, and which slot there.
    pub(crate) candidates: Vec<(u32, usize)>,
    /// The number among the externals.
    pub(crate) external: usize,
    pub(crate) builtin: Option<&'static Builtin>,
    /// `$$`
    pub(crate) root: bool,
}

impl Node {
    fn new(kind: Kind, position: u32) -> Self {
        Self {
            kind,
            position,
            plain: false,
            keep_array: false,
            constructed: false,
            tuple: false,
            predicates: Vec::new(),
            stages: Vec::new(),
            group: None,
            focus: None,
            index: None,
            ancestor: None,
            ancestor_name: None,
            seeking: Vec::new(),
            tuple_scope: None,
        }
    }
}
