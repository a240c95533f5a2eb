//! Amazon States Language: a definition's text becomes a typed [`Definition`] and a list of diagnostics.
//!
//! Parsing never fails: it yields what it understood and says what is wrong where. Nothing here evaluates a path,
//! knows an execution, or touches the world.
//!
//! ```
//! use stepwright_asl::{Options, parse};
//!
//! let parsed = parse(r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}"#, &Options::default());
//! assert!(parsed.definition.is_none());
//! assert_eq!(
//!     parsed.diagnostics[0].to_string(),
//!     "MISSING_TRANSITION_TARGET: Missing 'Next' target: B at /States/A/Next",
//! );
//! ```

use std::sync::Arc;

pub mod advice;
mod check;
pub mod definition;
mod diagnostic;
pub mod json;
mod label;
pub mod lint;
pub mod map_run;
mod nearest;
mod registry;
pub mod resource;
mod timestamp;
mod variables;

pub use definition::*;
pub use diagnostic::{Code, Diagnostic, Severity, Span, invalid_definition_message};
pub use label::label_refusal;
pub use map_run::{
    InputType, ItemBatcher, ItemReader, ManifestType, MapRunFields, PayloadField, ResultTransformation, ResultWriter,
};
pub use nearest::nearest;
pub use resource::{Integration, Pattern, Resource, ResourceError};
pub use timestamp::{parse_instant, parse_timestamp};
pub use variables::variable_references;

/// What kind of machine a definition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MachineType {
    /// Durable, up to a year.
    #[default]
    Standard,
    /// Short, without activities, callbacks, jobs and distributed maps.
    Express,
}

/// How deep the brackets of a definition nest at most. It leaves room below the 128 levels that JSON readers of
/// clients, and our own of stored payloads, commonly take.
pub const DEFAULT_MAX_DEPTH: usize = 100;

/// What a definition is judged by.
#[derive(Clone, Debug)]
pub struct Options {
    /// What kind of machine it is for.
    pub machine_type: MachineType,
    /// How deep its brackets nest at most. The checker recurses with it, so it should not be much larger than
    /// [`DEFAULT_MAX_DEPTH`].
    pub max_depth: usize,
    /// Which SDK integrations there are; none: every service and action is taken to exist, whatever its parameters.
    pub sdk: Option<&'static dyn SdkCatalog>,
}

impl Default for Options {
    fn default() -> Self {
        Self { machine_type: MachineType::Standard, max_depth: DEFAULT_MAX_DEPTH, sdk: None }
    }
}

/// The services that SDK integrations may call. Whoever has their models says it.
pub trait SdkCatalog: std::fmt::Debug + Send + Sync {
    /// A service by its name in resources; none: there is no such service. It is asked for once per definition.
    fn service(&self, name: &str) -> Option<Arc<dyn SdkService>>;

    /// The names of all services, to say which one was probably meant; none by default.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A service of an [`SdkCatalog`].
pub trait SdkService: std::fmt::Debug + Send + Sync {
    /// The parameters of an action by their names in definitions, each with whether it must be there; none: there is no
    /// such action.
    fn parameters(&self, action: &str) -> Option<Vec<(&str, bool)>>;

    /// The names of all actions, to say which one was probably meant; none by default.
    fn actions(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// What became of a definition's text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The definition, if it has no errors.
    pub definition: Option<Definition>,
    /// Errors and warnings: structure in document order, then transitions.
    pub diagnostics: Vec<Diagnostic>,
    /// Parts that are valid but that this version does not run yet.
    pub unsupported: Vec<Unsupported>,
}

/// A part of a valid definition that this version does not run yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// What it is, as it would read after "does not support": `the resource arn:aws:states:::ecs:runTask`.
    pub feature: String,
    /// The state, as in diagnostics.
    pub location: String,
}

/// Parses and checks a definition.
#[must_use]
pub fn parse(text: &str, options: &Options) -> Parsed {
    parse_root(text, options, |root| check::definition(&root, options))
}

/// The name that a state has which stands alone (recorded: TestState).
pub const LONE_STATE: &str = "StateName";

/// What became of the text of a state that stands alone.
#[derive(Clone, Debug)]
pub struct ParsedState {
    /// A machine of nothing but this state, whose name is [`LONE_STATE`].
    pub parsed: Parsed,
    /// States that it leads to. They are in no definition: the first has the number after the last that is.
    pub elsewhere: Vec<std::sync::Arc<str>>,
}

/// Parses and checks one state, without the machine that it belongs to: it may lead to states that are not there.
///
/// ```
/// use stepwright_asl::{Options, parse_state};
///
/// let lone = parse_state(r#"{"Type": "Pass", "Next": "Elsewhere"}"#, &Options::default());
/// assert!(lone.parsed.definition.is_some());
/// assert_eq!(&*lone.elsewhere[0], "Elsewhere");
/// let lone = parse_state(r#"{"Type": "Pass"}"#, &Options::default());
/// assert_eq!(lone.parsed.diagnostics[0].location.as_deref(), Some("/States/StateName"));
/// ```
#[must_use]
pub fn parse_state(text: &str, options: &Options) -> ParsedState {
    let mut elsewhere = Vec::new();
    let parsed = parse_root(text, options, |state| {
        let (parsed, names) = check::lone_state(state, options);
        elsewhere = names;
        parsed
    });
    ParsedState { parsed, elsewhere }
}

fn parse_root(text: &str, options: &Options, check: impl FnOnce(json::Node) -> Parsed) -> Parsed {
    let refuse = |diagnostic| Parsed { definition: None, diagnostics: vec![diagnostic], unsupported: Vec::new() };
    let not_an_object = || Diagnostic::new(Code::SchemaValidationFailed, "Definition must be a valid JSON object");
    if text.trim().is_empty() {
        return refuse(not_an_object());
    }
    let mut parsed = match json::parse(text, options.max_depth) {
        Ok(root) if root.as_object().is_some() => check(root),
        Ok(_) => refuse(not_an_object()),
        Err(error) => {
            let location = error.source_location(text);
            let mut diagnostic = match error.kind {
                json::ErrorKind::Syntax => {
                    Diagnostic::new(Code::InvalidJsonDescription, format!("{error}\n at {location}"))
                }
                json::ErrorKind::TooDeep => Diagnostic::new(Code::TooDeeplyNested, error.message),
            };
            diagnostic.location = Some(location);
            diagnostic.span = Some(Span { start: error.offset, end: error.offset, line: 0, column: 0 });
            refuse(diagnostic)
        }
    };
    diagnostic::locate(text, &mut parsed.diagnostics);
    parsed
}
