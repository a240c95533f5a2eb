//! What validation says: diagnostics with the service's codes, messages and locations.
//! Their wording is an interface; a message never depends on anything but the definition.

use std::fmt;

use crate::json::Node;

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The definition is refused.
    Error,
    /// The definition is accepted, but probably does not mean what its author meant.
    Warning,
}

impl Severity {
    /// The service's name of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident;)*) => {
        /// What a diagnostic is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// The service's name of it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    /// The text is not JSON.
    InvalidJsonDescription = "INVALID_JSON_DESCRIPTION", Error;
    /// There is no text.
    MissingDescription = "MISSING_DESCRIPTION", Error;
    /// Fields, types, values, ranges: everything structural.
    SchemaValidationFailed = "SCHEMA_VALIDATION_FAILED", Error;
    /// A resource.
    InvalidResource = "INVALID_RESOURCE", Error;
    /// A flow that cannot end.
    MissingEndState = "MISSING_END_STATE", Error;
    /// A transition to nowhere, or a state without a transition to it.
    MissingTransitionTarget = "MISSING_TRANSITION_TARGET", Error;
    /// A state name used twice in the definition.
    DuplicateStateName = "DUPLICATE_STATE_NAME", Error;
    /// A state name that is empty or too long.
    InvalidStateName = "INVALID_STATE_NAME", Error;
    /// A label used twice in the definition.
    DuplicateLabelName = "DUPLICATE_LABEL_NAME", Error;
    /// A label with a character it may not have, or too long.
    InvalidLabelName = "INVALID_LABEL_NAME", Error;
    /// A variable's name.
    InvalidVariableName = "INVALID_VARIABLE_NAME", Error;
    /// The variable name `states`.
    ReservedVariableName = "RESERVED_VARIABLE_NAME", Error;
    /// A `{% … %}` that is not JSONata.
    InvalidJsonataExpression = "INVALID_JSONATA_EXPRESSION", Error;
    /// A `{% … %}` that asks for what is not there.
    UnsupportedJsonataExpression = "UNSUPPORTED_JSONATA_EXPRESSION", Error;
    /// Brackets nested too deeply.
    TooDeeplyNested = "TOO_DEEPLY_NESTED", Error;
    /// A payload template's value looks like a path or a call, but its key does not end in `.$`.
    NoDollar = "NO_DOLLAR", Warning;
    /// A field's value looks like a path, but the field's name does not end in `Path`.
    NoPath = "NO_PATH", Warning;
    /// A path in a Pass state's `Result`, which is never evaluated.
    PassResultIsStatic = "PASS_RESULT_IS_STATIC", Warning;
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A place in the definition's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Byte offset of the first character.
    pub start: usize,
    /// Byte offset just after the last one.
    pub end: usize,
    /// Line of the first character, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
}

/// One thing that validation has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// A slash path from the root: `/States/A/Next`.
    pub location: Option<String>,
    /// The place in the text, where there is one.
    pub span: Option<Span>,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { severity: code.severity(), code, message: message.into(), location: None, span: None }
    }

    /// With the node's place; line and column come later, see [`locate`].
    pub(crate) fn spanning(mut self, node: &Node) -> Self {
        self.span = Some(Span { start: node.start, end: node.end, line: 0, column: 0 });
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)?;
        self.location.iter().try_for_each(|location| write!(formatter, " at {location}"))
    }
}

/// The message of the service's `InvalidDefinition` error: every error, in order.
///
/// ```
/// use stepwright_asl::{Options, invalid_definition_message, parse};
/// let parsed = parse("{}", &Options::default());
/// assert_eq!(
///     invalid_definition_message(&parsed.diagnostics),
///     "Invalid State Machine Definition: \
///      'SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /'",
/// );
/// ```
#[must_use]
pub fn invalid_definition_message(diagnostics: &[Diagnostic]) -> String {
    let errors: Vec<String> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    format!("Invalid State Machine Definition: '{}'", errors.join(", "))
}

/// Fills in the lines and columns of all spans in one pass over the text, however many there are.
pub(crate) fn locate(text: &str, diagnostics: &mut [Diagnostic]) {
    locate_spans(text, diagnostics.iter_mut().filter_map(|diagnostic| diagnostic.span.as_mut()).collect());
}

/// The same for spans from anywhere.
pub(crate) fn locate_spans(text: &str, mut spans: Vec<&mut Span>) {
    spans.sort_by_key(|span| span.start);
    let (mut offset, mut line, mut column) = (0, 1, 1);
    for span in spans {
        for character in text[offset..span.start].chars() {
            if character == '\n' {
                line += 1;
                column = 1;
            } else {
                column += 1;
            }
        }
        offset = span.start;
        span.line = line;
        span.column = column;
    }
}
