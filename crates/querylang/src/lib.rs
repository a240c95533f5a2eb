//! The JSONPath query language of Step Functions: paths in the dialect the
//! service speaks, reference paths, intrinsic functions and payload templates.
//!
//! Everything is parsed once, when a definition is stored, and evaluated many
//! times. Evaluation is pure: it reads a [`Scope`] and returns a value. This
//! crate has no clock, no randomness of its own, no file and no socket, and its
//! work is bounded by the size of the text and of the document.
//!
//! ```
//! use serde_json::{Value, json};
//! use stepwright_querylang::{Environment, Scope, Template};
//!
//! struct World(Value);
//! impl Environment for World {
//!     fn context(&self) -> &Value { &self.0 }
//!     fn variable(&self, _name: &str) -> Option<&Value> { None }
//!     fn random(&self) -> u64 { 4 }
//! }
//!
//! let template = Template::compile(&json!({
//!     "greeting.$": "States.Format('Hello, {}!', $.name)",
//!     "execution.$": "$$.Execution.Name",
//! })).unwrap();
//! let input = json!({"name": "Ada"});
//! let world = World(json!({"Execution": {"Name": "first"}}));
//! let scope = Scope { input: &input, environment: &world };
//! assert_eq!(
//!     template.evaluate(&scope).unwrap(),
//!     json!({"greeting": "Hello, Ada!", "execution": "first"}),
//! );
//! ```

mod error;
mod expression;
pub mod intrinsic;
pub mod jsonata;
pub mod migrate;
mod path;
mod reference;
mod scope;
mod template;
mod value;

pub use error::{ErrorKind, EvaluationError, InsertError, SyntaxError};
pub use expression::Expression;
pub use path::Path;
pub use reference::{ReferencePath, ReferenceStep};
pub use scope::{Environment, Root, Scope};
pub use template::{Template, TemplateError};
pub use value::depth;

/// Whether `name` may name a variable: a Unicode identifier (UAX 31: a letter,
/// then letters, marks, digits and `_`), without the `$`. The service's length limit and
/// the reserved name `states` are not judged here.
///
/// ```
/// use stepwright_querylang::is_variable_name;
/// assert!(is_variable_name("größe_2"));
/// assert!(!is_variable_name("2nd"));
/// assert!(!is_variable_name("a.b"));
/// ```
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && path::variable_name(name) == name.len()
}
