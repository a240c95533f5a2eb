//! The tree of an expression as it is written: what the parser makes, the
//! printer writes and a caller may walk.

use super::regex::Regex;
use super::value::Text;
use std::fmt;
use std::sync::Arc;

/// The deepest a tree may be.
pub(crate) const MAX_NESTING: u16 = 500;

/// A node: what it is, and where its token ends in the text.
///
/// Nodes are equal if they are the same code, wherever it stands.
#[derive(Clone)]
pub struct Ast {
    /// What it is.
    pub kind: AstKind,
    /// Where its token ends, in UTF-16 units, as the reference counts.
    pub position: u32,
    /// `[]` follows: a result of one item stays an array.
    pub keep_array: bool,
    pub(crate) depth: u16,
}

/// A pair of an object, or of a grouping.
pub type Pair = (Ast, Ast);

/// What a node can be.
#[derive(Clone, PartialEq)]
pub enum AstKind {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// `1.5`
    Number(f64),
    /// `"text"`
    String(Text),
    /// `/ab+/i`
    Regex(RegexLiteral),
    /// A field: `name`, or `` `any name` ``.
    Name(Text),
    /// `$name`, without the `$`: empty is the context item, `$` the input.
    Variable(Text),
    /// `*`
    Wildcard,
    /// `**`
    Descendant,
    /// `%`
    Parent,
    /// `-x`
    Negate(Box<Ast>),
    /// `a + b` and all that look like it.
    Binary(Operator, Box<Ast>, Box<Ast>),
    /// `a[b]`
    Filter(Box<Ast>, Box<Ast>),
    /// `a{b: c}`
    Group(Box<Ast>, Vec<Pair>),
    /// `a^(<b, >c)`
    Sort(Box<Ast>, Vec<SortTerm>),
    /// `a@$b`
    Focus(Box<Ast>, Text),
    /// `a#$b`
    Index(Box<Ast>, Text),
    /// `$a := b`
    Bind(Text, Box<Ast>),
    /// `[a, b..c]`
    Array(Vec<Ast>),
    /// `{a: b}`
    Object(Vec<Pair>),
    /// `(a; b)`
    Block(Vec<Ast>),
    /// `f(a, b)`
    Call(Box<Ast>, Vec<Ast>),
    /// `f(a, ?)`
    Partial(Box<Ast>, Vec<Ast>),
    /// The `?` in a partial application.
    Placeholder,
    /// `function($a) <n:n> { b }`
    Lambda(Vec<Text>, Option<Text>, Box<Ast>),
    /// `a ? b : c`
    Condition(Box<Ast>, Box<Ast>, Option<Box<Ast>>),
    /// `|a|b|` and `|a|b, c|`
    Transform(Box<Ast>, Box<Ast>, Option<Box<Ast>>),
    /// The text ended where an operand was expected. No compiled expression has one.
    End,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the text of each stands in Operator::text")]
pub enum Operator {
    Map,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Concatenate,
    And,
    Or,
    In,
    Range,
    Apply,
    Coalesce,
    Default,
}

/// An item of an order-by clause.
#[derive(Clone, PartialEq, Debug)]
pub struct SortTerm {
    /// Whether the largest comes first.
    pub descending: bool,
    /// What to compare.
    pub expression: Ast,
}

/// A regular expression as it is written.
#[derive(Clone)]
pub struct RegexLiteral(pub(crate) Arc<Regex>);

impl RegexLiteral {
    /// The text between the slashes.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.0.pattern()
    }

    /// The flags: `i` and `m`.
    #[must_use]
    pub fn flags(&self) -> &str {
        self.0.flags()
    }
}

impl PartialEq for RegexLiteral {
    fn eq(&self, other: &Self) -> bool {
        self.pattern() == other.pattern() && self.flags() == other.flags()
    }
}

impl fmt::Debug for RegexLiteral {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}/{}", self.pattern(), self.flags())
    }
}

impl PartialEq for Ast {
    fn eq(&self, other: &Self) -> bool {
        self.keep_array == other.keep_array && self.kind == other.kind
    }
}

impl fmt::Debug for Ast {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl fmt::Debug for AstKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Ast { kind: self.clone(), position: 0, keep_array: false, depth: 0 };
        write!(formatter, "{whole}")
    }
}

impl Operator {
    /// How it is written.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Map => ".",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Concatenate => "&",
            Self::And => "and",
            Self::Or => "or",
            Self::In => "in",
            Self::Range => "..",
            Self::Apply => "~>",
            Self::Coalesce => "??",
            Self::Default => "?:",
        }
    }

    /// How strongly it binds. The range stands in an array constructor only and
    /// binds nothing.
    #[must_use]
    pub(crate) fn power(self) -> u8 {
        match self {
            Self::Map => 75,
            Self::Multiply | Self::Divide | Self::Remainder => 60,
            Self::Add | Self::Subtract | Self::Concatenate => 50,
            Self::And => 30,
            Self::Or => 25,
            Self::Range => 0,
            _ => 40,
        }
    }

    /// The operator of this text that stands between two operands.
    pub(crate) fn of(text: &str) -> Option<Self> {
        const ALL: [Operator; 19] = [
            Operator::Map,
            Operator::Add,
            Operator::Subtract,
            Operator::Multiply,
            Operator::Divide,
            Operator::Remainder,
            Operator::Equal,
            Operator::NotEqual,
            Operator::Less,
            Operator::LessOrEqual,
            Operator::Greater,
            Operator::GreaterOrEqual,
            Operator::Concatenate,
            Operator::And,
            Operator::Or,
            Operator::In,
            Operator::Apply,
            Operator::Coalesce,
            Operator::Default,
        ];
        ALL.into_iter().find(|operator| operator.text() == text)
    }
}

impl Ast {
    /// A node above others; `None` if the tree would become too deep.
    pub(crate) fn new(kind: AstKind, position: u32) -> Option<Self> {
        let mut deepest = 0;
        kind.for_each_child(&mut |child| deepest = deepest.max(child.depth));
        let depth = deepest + 1;
        (depth <= MAX_NESTING).then_some(Self { kind, position, keep_array: false, depth })
    }

    /// Calls `visit` with each node directly below this one, in the order of the text.
    pub fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        self.kind.for_each_child(visit);
    }
}

impl AstKind {
    fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Ast)) {
        match self {
            Self::Null
            | Self::Boolean(_)
            | Self::Number(_)
            | Self::String(_)
            | Self::Regex(_)
            | Self::Name(_)
            | Self::Variable(_)
            | Self::Wildcard
            | Self::Descendant
            | Self::Parent
            | Self::Placeholder
            | Self::End => {}
            Self::Negate(operand)
            | Self::Focus(operand, _)
            | Self::Index(operand, _)
            | Self::Bind(_, operand)
            | Self::Lambda(_, _, operand) => visit(operand),
            Self::Binary(_, left, right) | Self::Filter(left, right) => {
                visit(left);
                visit(right);
            }
            Self::Group(operand, pairs) => {
                visit(operand);
                pairs.iter().for_each(|(key, value)| {
                    visit(key);
                    visit(value);
                });
            }
            Self::Sort(operand, terms) => {
                visit(operand);
                terms.iter().for_each(|term| visit(&term.expression));
            }
            Self::Object(pairs) => pairs.iter().for_each(|(key, value)| {
                visit(key);
                visit(value);
            }),
            Self::Array(items) | Self::Block(items) => items.iter().for_each(visit),
            Self::Call(procedure, arguments) | Self::Partial(procedure, arguments) => {
                visit(procedure);
                arguments.iter().for_each(visit);
            }
            Self::Condition(first, second, third) | Self::Transform(first, second, third) => {
                visit(first);
                visit(second);
                third.iter().for_each(|third| visit(third));
            }
        }
    }
}
