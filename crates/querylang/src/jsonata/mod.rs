//! JSONata, the language of Step Functions' `{% %}`: compiled once, evaluated
//! many times.
//!
//! The behaviour is the reference's (2.2), or 2.0.6 where that is asked for.
//! Evaluation is pure, bounded in steps, depth and memory, and never panics.
//! Nothing here may read a clock, draw a random number or touch the world:
//! time and seed come with the [`Environment`].
//!
//! A text goes through `lexer.rs` and `parse.rs` to an [`Ast`], which `print.rs`
//! writes back; `compile/` makes of it what `evaluate/` runs on [`Value`]s with
//! the functions in `functions/`.
//!
//! ```
//! use serde_json::json;
//! use stepwright_querylang::jsonata::{Environment, Expression, Value};
//!
//! let total = Expression::compile("$sum(items.(price * quantity))").unwrap();
//! let order = Value::from_json(&json!({"items": [
//!     {"price": 2.5, "quantity": 4},
//!     {"price": 1, "quantity": 3},
//! ]}));
//! let value = total.evaluate(&order, Environment::default()).unwrap();
//! assert_eq!(value.to_json(1_000).unwrap(), Some(json!(13)));
//! ```

mod ast;
mod compile;
mod context;
mod error;
mod evaluate;
mod explain;
mod expression;
mod frame;
mod function;
mod functions;
mod json;
mod lexer;
mod number;
mod parse;
pub mod picture;
mod print;
mod reads;
mod regex;
mod signature;
mod sort;
mod states;
mod template;
mod value;

pub use ast::{Ast, AstKind, Operator, Pair, RegexLiteral, SortTerm};
pub use context::{Bindings, Context, Environment, Limits, STACK_BYTES};
pub use error::{Error, Limit};
pub use explain::{Explanation, Part, Parts};
pub use expression::{Compiler, Dialect, Expression, FreeName, FreeNameKind};
pub use function::{Builtin, Function, Native};
pub use functions::step_functions;
pub use json::NotJson;
pub use states::{EvaluationFailure, JsonType, Members, Refusal, StatesExpression, StatesScope};
pub use template::{StatesTemplate, TemplateRefusal};
pub use value::{Array, Kind, MAX_DEPTH, MAX_WEIGHT, Object, Text, Value, compare_text};
