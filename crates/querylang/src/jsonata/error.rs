//! What can go wrong, with the reference's codes and texts.

use super::value::Value;
use std::fmt;

/// Why an expression cannot be compiled, or its evaluation failed.
///
/// ```
/// use stepwright_querylang::jsonata::Expression;
/// let error = Expression::compile("a.(").unwrap_err();
/// assert_eq!(error.code(), "S0203");
/// assert_eq!(error.position(), Some(3));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Details {
    code: &'static str,
    position: Option<u32>,
    token: Option<String>,
    value: Option<String>,
    value2: Option<String>,
    index: Option<usize>,
    kind: Option<String>,
    text: Option<String>,
    limit: Option<Limit>,
}

/// Which bound an evaluation ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Calls or values nested too deep.
    Depth,
    /// Too many steps, or the caller said that it takes too long.
    Time,
    /// Too much memory used.
    Memory,
    /// The text itself is nested too deep.
    Nesting,
}

impl Error {
    /// An error with a code of the table.
    #[must_use]
    pub fn new(code: &'static str) -> Self {
        Self(Box::new(Details { code, ..Details::default() }))
    }

    /// An evaluation that ran into one of its bounds.
    #[must_use]
    pub(crate) fn limit(limit: Limit) -> Self {
        let mut error = Self::new("U1001");
        error.0.limit = Some(limit);
        error
    }

    /// Adds the position in the text, in UTF-16 units, as the reference counts.
    #[must_use]
    pub(crate) fn at(mut self, position: u32) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Adds the token: what stood there.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.0.token = Some(token.into());
        self
    }

    /// Adds a text as the value.
    #[must_use]
    pub fn with_text_value(mut self, text: &str) -> Self {
        self.0.value = Some(quoted(text));
        self
    }

    /// Adds the value that was wrong.
    #[must_use]
    pub fn with_value(mut self, value: &Value) -> Self {
        self.0.value = Some(shown(value));
        self
    }

    /// Adds the second value, or the exponent.
    #[must_use]
    pub fn with_value2(mut self, value: &Value) -> Self {
        self.0.value2 = Some(shown(value));
        self
    }

    /// Adds the number of the argument, from 1.
    #[must_use]
    pub fn with_index(mut self, index: usize) -> Self {
        self.0.index = Some(index);
        self
    }

    /// Adds the type that was expected, in words.
    #[must_use]
    pub fn with_type(mut self, kind: impl Into<String>) -> Self {
        self.0.kind = Some(kind.into());
        self
    }

    /// Sets the whole message (`$error`, `$assert`), or the function's name for D3140.
    #[must_use]
    pub fn with_message(mut self, text: impl Into<String>) -> Self {
        self.0.text = Some(text.into());
        self
    }

    pub(crate) fn set_token_if_none(&mut self, token: &str) {
        if self.0.token.is_none() {
            self.0.token = Some(token.to_owned());
        }
    }

    /// The code: `T2001`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Where in the text, in UTF-16 units, if it is known.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.0.position
    }

    /// What stood there: an operator, the name of a function.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.0.token.as_deref()
    }

    /// The value that was wrong, as JSON.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.0.value.as_deref()
    }

    /// Which bound was reached, if that is what stopped the evaluation.
    #[must_use]
    pub fn reached_limit(&self) -> Option<Limit> {
        self.0.limit
    }

    /// The message, without the code.
    #[must_use]
    pub fn message(&self) -> String {
        let details = &*self.0;
        let template = match details.limit {
            Some(Limit::Depth) => {
                "Stack overflow error: Check for non-terminating recursive function.  Consider rewriting as tail-recursive."
            }
            Some(Limit::Time) => "Expression evaluation timeout: Check for infinite loop",
            Some(Limit::Memory) => "Expression evaluation memory limit exceeded",
            Some(Limit::Nesting) => "The expression is nested too deep",
            None => template(details.code),
        };
        let mut message = String::with_capacity(template.len() + 16);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            message.push_str(before);
            let raw = after.starts_with('{');
            let (open, close) = if raw { (1, "}}}") } else { (0, "}}") };
            let Some((name, tail)) = after[open..].split_once(close) else { break };
            let insert = match name {
                "token" => details.token.as_deref().map(|token| if raw { token.to_owned() } else { quoted(token) }),
                "value" => details.value.clone(),
                "value2" | "exp" => details.value2.clone(),
                "index" => details.index.map(|index| index.to_string()),
                "type" => details.kind.as_deref().map(quoted),
                _ => details.text.clone(),
            };
            message.push_str(insert.as_deref().unwrap_or("undefined"));
            rest = tail;
        }
        message.push_str(rest);
        message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code(), self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl std::error::Error for Error {}

/// How much of a wrong value a message shows.
const SHOWN: usize = 1_000;

fn quoted(text: &str) -> String {
    let mut cut = text.len().min(SHOWN);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    serde_json::Value::from(&text[..cut]).to_string()
}

fn shown(value: &Value) -> String {
    let mut text = String::new();
    show(value, &mut text);
    text
}

fn show(value: &Value, text: &mut String) {
    if text.len() > SHOWN {
        return;
    }
    match value {
        Value::Undefined => text.push_str("undefined"),
        Value::Null => text.push_str("null"),
        Value::Boolean(boolean) => text.push_str(if *boolean { "true" } else { "false" }),
        Value::Number(number) if !number.is_finite() => text.push_str("null"),
        Value::Number(number) => text.push_str(&super::number::to_text(*number)),
        Value::String(string) => text.push_str(&quoted(string)),
        Value::Function(_) => text.push_str("{}"),
        Value::Array(array) => {
            text.push('[');
            for (index, item) in array.iter().enumerate() {
                if text.len() > SHOWN {
                    break;
                }
                if index > 0 {
                    text.push(',');
                }
                show(if item.is_undefined() { &Value::Null } else { item }, text);
            }
            text.push(']');
        }
        Value::Object(object) => {
            text.push('{');
            for (index, (key, item)) in object.iter().enumerate() {
                if text.len() > SHOWN {
                    break;
                }
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&quoted(key));
                text.push(':');
                show(item, text);
            }
            text.push('}');
        }
    }
}

/// The text of a code; `{{name}}` stands for a value as JSON, `{{{name}}}` for a text as it is.
fn template(code: &str) -> &'static str {
    match code {
        "S0101" => "String literal must be terminated by a matching quote",
        "S0102" => "Number out of range: {{token}}",
        "S0103" => "Unsupported escape sequence: \\{{token}}",
        "S0104" => "The escape sequence \\u must be followed by 4 hex digits",
        "S0105" => "Quoted property name must be terminated with a backquote (`)",
        "S0106" => "Comment has no closing tag",
        "S0201" => "Syntax error: {{token}}",
        "S0202" => "Expected {{value}}, got {{token}}",
        "S0203" => "Expected {{value}} before end of expression",
        "S0204" => "Unknown operator: {{token}}",
        "S0205" => "Unexpected token: {{token}}",
        "S0206" => "Unknown expression type: {{token}}",
        "S0207" => "Unexpected end of expression",
        "S0208" => "Parameter {{value}} of function definition must be a variable name (start with $)",
        "S0209" => "A predicate cannot follow a grouping expression in a step",
        "S0210" => "Each step can only have one grouping expression",
        "S0211" => "The symbol {{token}} cannot be used as a unary operator",
        "S0212" => "The left side of := must be a variable name (start with $)",
        "S0213" => "The literal value {{value}} cannot be used as a step within a path expression",
        "S0214" => "The right side of {{token}} must be a variable name (start with $)",
        "S0215" => "A context variable binding must precede any predicates on a step",
        "S0216" => "A context variable binding must precede the 'order-by' clause on a step",
        "S0217" => "The object representing the 'parent' cannot be derived from this expression",
        "S0301" => "Empty regular expressions are not allowed",
        "S0302" => "No terminating / in regular expression",
        "S0402" => "Choice groups containing parameterized types are not supported",
        "S0401" => "Type parameters can only be applied to functions and arrays",
        "S0500" => "Attempted to evaluate an expression containing syntax error(s)",
        "T0410" => "Argument {{index}} of function {{token}} does not match function signature",
        "T0411" => "Context value is not a compatible type with argument {{index}} of function {{token}}",
        "T0412" => "Argument {{index}} of function {{token}} must be an array of {{type}}",
        "D1001" => "Number out of range: {{value}}",
        "D1002" => "Cannot negate a non-numeric value: {{value}}",
        "T1003" => "Key in object structure must evaluate to a string; got: {{value}}",
        "D1004" => "Regular expression matches zero length string",
        "T1005" => "Attempted to invoke a non-function. Did you mean ${{{token}}}?",
        "T1006" => "Attempted to invoke a non-function",
        "T1007" => "Attempted to partially apply a non-function. Did you mean ${{{token}}}?",
        "T1008" => "Attempted to partially apply a non-function",
        "D1009" => "Multiple key definitions evaluate to same key: {{value}}",
        "T1010" => {
            "The matcher function argument passed to function {{token}} does not return the correct object structure"
        }
        "D1011" => {
            "Stack overflow. Check for non-terminating recursive function.  Consider rewriting as tail-recursive"
        }
        "D1012" => "Evaluation timeout after {{value}} milliseconds. Check for infinite loop",
        "D1013" => "Object property names starting with _jsonata_ are reserved for internal use: {{value}}",
        "T2001" => "The left side of the {{token}} operator must evaluate to a number",
        "T2002" => "The right side of the {{token}} operator must evaluate to a number",
        "T2003" => "The left side of the range operator (..) must evaluate to an integer",
        "T2004" => "The right side of the range operator (..) must evaluate to an integer",
        "D2005" => "The left side of := must be a variable name (start with $)",
        "T2006" => "The right side of the function application operator ~> must be a function",
        "T2007" => "Type mismatch when comparing values {{value}} and {{value2}} in order-by clause",
        "T2008" => "The expressions within an order-by clause must evaluate to numeric or string values",
        "T2009" => {
            "The values {{value}} and {{value2}} either side of operator {{token}} must be of the same data type"
        }
        "T2010" => "The expressions either side of operator {{token}} must evaluate to numeric or string values",
        "T2011" => "The insert/update clause of the transform expression must evaluate to an object: {{value}}",
        "T2012" => {
            "The delete clause of the transform expression must evaluate to a string or array of strings: {{value}}"
        }
        "T2013" => {
            "The transform expression clones the input object using the $clone() function.  This has been overridden in the current scope by a non-function."
        }
        "D2014" => {
            "The size of the sequence allocated by the range operator (..) must not exceed 1e7.  Attempted to allocate {{value}}."
        }
        "D2015" => "The maximum sequence length of {{value}} was exceeded.",
        "D3001" => "Attempting to invoke string function on Infinity or NaN",
        "D3010" => "Second argument of replace function cannot be an empty string",
        "D3011" => "Fourth argument of replace function must evaluate to a positive number",
        "D3012" => "Attempted to replace a matched string with a non-string value",
        "D3020" => "Third argument of split function must evaluate to a positive number",
        "D3030" => "Unable to cast value to a number: {{value}}",
        "D3040" => "Third argument of match function must evaluate to a positive number",
        "D3050" => "The second argument of reduce function must be a function with at least two arguments",
        "D3060" => "The sqrt function cannot be applied to a negative number: {{value}}",
        "D3061" => {
            "The power function has resulted in a value that cannot be represented as a JSON number: base={{value}}, exponent={{exp}}"
        }
        "D3070" => {
            "The single argument form of the sort function can only be applied to an array of strings or an array of numbers.  Use the second argument to specify a comparison function"
        }
        "D3080" => "The picture string must only contain a maximum of two sub-pictures",
        "D3081" => "The sub-picture must not contain more than one instance of the 'decimal-separator' character",
        "D3082" => "The sub-picture must not contain more than one instance of the 'percent' character",
        "D3083" => "The sub-picture must not contain more than one instance of the 'per-mille' character",
        "D3084" => "The sub-picture must not contain both a 'percent' and a 'per-mille' character",
        "D3085" => {
            "The mantissa part of a sub-picture must contain at least one character that is either an 'optional digit character' or a member of the 'decimal digit family'"
        }
        "D3086" => {
            "The sub-picture must not contain a passive character that is preceded by an active character and that is followed by another active character"
        }
        "D3087" => {
            "The sub-picture must not contain a 'grouping-separator' character that appears adjacent to a 'decimal-separator' character"
        }
        "D3088" => "The sub-picture must not contain a 'grouping-separator' at the end of the integer part",
        "D3089" => "The sub-picture must not contain two adjacent instances of the 'grouping-separator' character",
        "D3090" => {
            "The integer part of the sub-picture must not contain a member of the 'decimal digit family' that is followed by an instance of the 'optional digit character'"
        }
        "D3091" => {
            "The fractional part of the sub-picture must not contain an instance of the 'optional digit character' that is followed by a member of the 'decimal digit family'"
        }
        "D3092" => {
            "A sub-picture that contains a 'percent' or 'per-mille' character must not contain a character treated as an 'exponent-separator'"
        }
        "D3093" => {
            "The exponent part of the sub-picture must comprise only of one or more characters that are members of the 'decimal digit family'"
        }
        "D3100" => "The radix of the formatBase function must be between 2 and 36.  It was given {{value}}",
        "D3110" => "The argument of the toMillis function must be an ISO 8601 formatted timestamp. Given {{value}}",
        "D3120" => "Syntax error in expression passed to function eval: {{value}}",
        "D3121" => "Dynamic error evaluating the expression passed to function eval: {{value}}",
        "D3130" => {
            "Formatting or parsing an integer as a sequence starting with {{value}} is not supported by this implementation"
        }
        "D3131" => "In a decimal digit pattern, all digits must be from the same decimal group",
        "D3132" => "Unknown component specifier {{value}} in date/time picture string",
        "D3133" => {
            "The 'name' modifier can only be applied to months and days in the date/time picture string, not {{value}}"
        }
        "D3134" => "The timezone integer format specifier cannot have more than four digits",
        "D3135" => "No matching closing bracket ']' in date/time picture string",
        "D3136" => "The date/time picture string is missing specifiers required to parse the timestamp",
        "D3137" => "{{{message}}}",
        "D3138" => "The $single() function expected exactly 1 matching result.  Instead it matched more.",
        "D3139" => "The $single() function expected exactly 1 matching result.  Instead it matched 0.",
        "D3140" => "Malformed URL passed to ${{{functionName}}}(): {{value}}",
        "D3141" => "{{{message}}}",
        _ => "{{{message}}}",
    }
}
