//! Compiled expressions: what a caller sees of the language.

use super::ast::{Ast, AstKind, Operator};
use super::compile::{self, Library, Program};
use super::context::{Context, Environment};
use super::error::Error;
use super::explain::{self, Explanation, Parts};
use super::function::Builtin;
use super::parse;
use super::value::{Text, Value};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Which edition of the language.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The current reference, 2.2.
    #[default]
    Reference,
    /// What Step Functions runs: without `??` and `?:`.
    V2_0_6,
}

/// How to compile expressions: the edition, and the functions they may call.
#[derive(Debug, Clone, Default)]
pub struct Compiler {
    library: Library,
}

/// A compiled expression. It may be evaluated by many threads at once.
///
/// ```
/// use serde_json::json;
/// use stepwright_querylang::jsonata::{Environment, Expression, Value};
/// let greeting = Expression::compile("'Hello, ' & $name").unwrap();
/// let bindings = [("name", Value::from("Ada"))];
/// let environment = Environment { bindings: Some(&bindings), ..Environment::default() };
/// let value = greeting.evaluate(&Value::Undefined, environment).unwrap();
/// assert_eq!(value.as_str(), Some("Hello, Ada"));
/// ```
#[derive(Clone)]
pub struct Expression(Arc<Inner>);

struct Inner {
    ast: Ast,
    program: Program,
    externals: Vec<Text>,
    library: Library,
}

/// A name that an expression uses but does not explain itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeName {
    /// What kind of name.
    pub kind: FreeNameKind,
    /// The name, without `$`.
    pub name: Text,
    /// Where it ends in the text, in UTF-16 units.
    pub position: u32,
}

/// What kind of name an expression leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FreeNameKind {
    /// A variable that is bound nowhere around its use, and is no function.
    Variable,
    /// `$`, where nothing has set an item.
    Item,
    /// `$$`
    Input,
    /// A field, `*`, `**` or `%` of the item, where nothing has set one.
    Field,
}

impl Compiler {
    /// A compiler for an edition of the language.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { library: Library { dialect, ..Library::default() } }
    }

    /// Adds a function; it comes before the language's own of that name.
    #[must_use]
    pub fn with_function(mut self, function: &'static Builtin) -> Self {
        self.library.added.push(function);
        self
    }

    /// Takes a function of the language away.
    #[must_use]
    pub fn without_function(mut self, name: &'static str) -> Self {
        self.library.removed.push(name);
        self
    }

    /// Compiles an expression.
    ///
    /// # Errors
    /// S-codes with a position, and U1001 if it is nested too deep.
    pub fn compile(&self, text: &str) -> Result<Expression, Error> {
        let ast = parse::parse(text, self.library.dialect)?;
        Expression::of(ast, self.library.clone())
    }
}

impl Expression {
    /// Compiles an expression of the current edition.
    ///
    /// # Errors
    /// S-codes with a position.
    pub fn compile(text: &str) -> Result<Self, Error> {
        Compiler::default().compile(text)
    }

    fn of(ast: Ast, library: Library) -> Result<Self, Error> {
        let mut externals = Vec::new();
        let program = compile::compile(&ast, &library, &mut externals, &[])?;
        Ok(Self(Arc::new(Inner { ast, program, externals, library })))
    }

    /// Evaluates it on an input, and says what each of its parts was worth. It takes more steps and more depth than
    /// [`evaluate`](Self::evaluate), so it may reach a bound that the expression alone does not.
    #[must_use]
    pub fn explain(&self, input: &Value, environment: Environment<'_>) -> Explanation {
        let parts = Parts::default();
        let mut library = self.0.library.clone();
        library.added.push(&explain::PART);
        let looked_at = explain::instrument(&self.0.ast, &parts).and_then(|ast| Self::of(ast, library));
        match looked_at {
            Ok(looked_at) => {
                let environment = Environment { parts: Some(&parts), ..environment };
                let value = looked_at.evaluate(input, environment);
                Explanation { value, parts: parts.into_parts() }
            }
            Err(error) => Explanation { value: Err(error), parts: Vec::new() },
        }
    }

    /// Evaluates it on an input.
    ///
    /// The result may be *undefined*, and may be or hold functions.
    ///
    /// # Errors
    /// T- and D-codes; U1001 if a bound is reached ([`Error::reached_limit`]).
    pub fn evaluate(&self, input: &Value, environment: Environment<'_>) -> Result<Value, Error> {
        Context::new(self, input.clone(), environment).run(&self.0.program)
    }

    /// The tree, as written.
    #[must_use]
    pub fn ast(&self) -> &Ast {
        &self.0.ast
    }

    /// Whether it names this variable or function, bound or not.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.0.externals.iter().any(|external| **external == *name)
    }

    /// The names that it leaves open, in the order of the text: variables that
    /// it does not bind, and what it asks of an item where nothing has set one.
    #[must_use]
    pub fn free_names(&self) -> Vec<FreeName> {
        let mut finder = Finder { library: &self.0.library, scopes: vec![BTreeSet::new()], found: Vec::new() };
        finder.visit(&self.0.ast, false);
        finder.found
    }

    pub(crate) fn library(&self) -> &Library {
        &self.0.library
    }

    pub(crate) fn externals(&self) -> &[Text] {
        &self.0.externals
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.ast)
    }
}

struct Finder<'a> {
    library: &'a Library,
    /// The variables bound around, by block and lambda.
    scopes: Vec<BTreeSet<Text>>,
    found: Vec<FreeName>,
}

impl Finder<'_> {
    fn add(&mut self, kind: FreeNameKind, name: &str, position: u32) {
        self.found.push(FreeName { kind, name: name.into(), position });
    }

    fn bind(&mut self, name: &Text) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(Text::clone(name));
        }
    }

    /// `has_item`: something around has set the item.
    fn visit(&mut self, ast: &Ast, has_item: bool) {
        let position = ast.position;
        match &ast.kind {
            AstKind::Variable(name) if name.is_empty() => {
                if !has_item {
                    self.add(FreeNameKind::Item, "", position);
                }
            }
            AstKind::Variable(name) if &**name == "$" => self.add(FreeNameKind::Input, "$", position),
            AstKind::Variable(name) => {
                let bound = self.scopes.iter().any(|scope| scope.contains(name));
                if !bound && self.library.find(name).is_none() {
                    self.add(FreeNameKind::Variable, name, position);
                }
            }
            AstKind::Name(name) if !has_item => self.add(FreeNameKind::Field, name, position),
            AstKind::Wildcard if !has_item => self.add(FreeNameKind::Field, "*", position),
            AstKind::Descendant if !has_item => self.add(FreeNameKind::Field, "**", position),
            AstKind::Parent if !has_item => self.add(FreeNameKind::Field, "%", position),
            AstKind::Binary(Operator::Map, left, right) | AstKind::Filter(left, right) => {
                self.visit(left, has_item);
                self.visit(right, true);
            }
            AstKind::Focus(left, name) | AstKind::Index(left, name) => {
                self.visit(left, has_item);
                self.bind(name);
            }
            AstKind::Group(left, pairs) => {
                self.visit(left, has_item);
                for (key, value) in pairs {
                    self.visit(key, true);
                    self.visit(value, true);
                }
            }
            AstKind::Sort(left, terms) => {
                self.visit(left, has_item);
                terms.iter().for_each(|term| self.visit(&term.expression, true));
            }
            AstKind::Transform(pattern, update, delete) => {
                self.visit(pattern, true);
                self.visit(update, true);
                delete.iter().for_each(|delete| self.visit(delete, true));
            }
            AstKind::Bind(name, value) => {
                // A lambda may call itself.
                if matches!(value.kind, AstKind::Lambda(..)) {
                    self.bind(name);
                }
                self.visit(value, has_item);
                self.bind(name);
            }
            AstKind::Block(items) => {
                self.scopes.push(BTreeSet::new());
                // Functions of a block may call those that come later.
                for item in items {
                    if let AstKind::Bind(name, value) = &item.kind
                        && matches!(value.kind, AstKind::Lambda(..))
                    {
                        self.bind(name);
                    }
                }
                items.iter().for_each(|item| self.visit(item, has_item));
                self.scopes.pop();
            }
            AstKind::Lambda(parameters, _, body) => {
                self.scopes.push(parameters.iter().cloned().collect());
                self.visit(body, has_item);
                self.scopes.pop();
            }
            _ => ast.for_each_child(&mut |child| self.visit(child, has_item)),
        }
    }
}
