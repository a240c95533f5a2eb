//! Reading AWS JSON 1.0: from the bytes of a request to a typed structure.
//!
//! One pass over the parsed JSON does both of AWS's first two checks. A value of the wrong JSON type ends it at
//! once (`SerializationException`); a violated model constraint is noted and the pass goes on, so that one
//! `ValidationException` can name all of them. The structures know their own members (they are generated); this
//! module must never know a particular one.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::error::{ApiError, ErrorCode};
use crate::rules::ListRule;

/// Where in the request a value lies, printed as AWS does: `tags.1.member.key`.
///
/// A chain of borrowed links: nothing is allocated unless a path is printed.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// The request itself.
    Root,
    /// A member of the structure at the first field.
    Member(&'a At<'a>, &'a str),
    /// An item of the list at the first field, counted from 1.
    Item(&'a At<'a>, usize),
    /// The value of a key of the map at the first field.
    Entry(&'a At<'a>, &'a str),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parent, step): (&At<'_>, &dyn fmt::Display) = match self {
            At::Root => return Ok(()),
            At::Member(parent, name) => (parent, name),
            At::Item(parent, number) => (parent, number),
            At::Entry(parent, key) => (parent, key),
        };
        if !matches!(parent, At::Root) {
            write!(f, "{parent}.")?;
        }
        write!(f, "{step}")?;
        if matches!(self, At::Member(..)) { Ok(()) } else { f.write_str(".member") }
    }
}

/// A value as AWS quotes it in a constraint message.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'a> {
    /// `Value null`: a required member is missing.
    Missing,
    /// `Value`: the model marks the shape as sensitive, so its value is not repeated.
    Sensitive,
    /// `Value '…'`.
    Text(&'a dyn fmt::Display),
}

/// The most violations that one message lists. A megabyte of `null` items must not become many megabytes of answer.
const MOST_LISTED: usize = 100;

/// The constraint violations found in one request.
#[derive(Debug, Default)]
pub struct Report {
    /// The first of them.
    listed: Vec<String>,
    /// All of them.
    count: usize,
}

impl Report {
    pub(crate) fn violation(&mut self, shown: Shown<'_>, at: &At<'_>, constraint: fmt::Arguments<'_>) {
        self.count += 1;
        if self.listed.len() == MOST_LISTED {
            return;
        }
        let rest = format_args!("at '{at}' failed to satisfy constraint: {constraint}");
        self.listed.push(match shown {
            Shown::Missing => format!("Value null {rest}"),
            Shown::Sensitive => format!("Value {rest}"),
            Shown::Text(text) => format!("Value '{text}' {rest}"),
        });
    }

    fn missing(&mut self, at: &At<'_>) {
        self.violation(Shown::Missing, at, format_args!("Member must not be null"));
    }

    /// Whether no constraint was violated.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.count == 0
    }

    /// All violations as the one error AWS answers (recorded: `1 validation error detected: …`). The count is true
    /// even where the list is cut.
    #[must_use]
    pub fn into_error(self) -> ApiError {
        let count = self.count;
        let errors = if count == 1 { "error" } else { "errors" };
        let mut list = self.listed.join("; ");
        if count > self.listed.len() {
            list.push_str("; …");
        }
        ApiError::new(ErrorCode::ValidationException, format!("{count} validation {errors} detected: {list}"))
    }
}

/// A request that is no JSON object of the shape asked for; answered as `SerializationException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl DecodeError {
    /// The value at `at` should have been `wanted` ("a string", …).
    pub(crate) fn wrong_type(at: &At<'_>, wanted: &str, got: &Value) -> Self {
        let got = match got {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Self::wrong(at, format_args!("must be {wanted}, but is {got}"))
    }

    pub(crate) fn wrong(at: &At<'_>, rule: fmt::Arguments<'_>) -> Self {
        match at {
            At::Root => Self(format!("The request body {rule}")),
            _ => Self(format!("The member '{at}' {rule}")),
        }
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        ApiError::new(ErrorCode::SerializationException, error.0)
    }
}

/// What reading a value gives: `None` if it violated a constraint (which then stands in the report).
pub type Decoded<T> = Result<Option<T>, DecodeError>;

/// A wire type that can be read from JSON.
pub trait Decode: Sized {
    /// Reads the value at `at`.
    ///
    /// # Errors
    /// The JSON has the wrong type. Constraint violations go to the report instead.
    fn decode(value: Value, at: &At<'_>, report: &mut Report) -> Decoded<Self>;
}

impl<T: Decode> Decode for Box<T> {
    fn decode(value: Value, at: &At<'_>, report: &mut Report) -> Decoded<Self> {
        Ok(T::decode(value, at, report)?.map(Box::new))
    }
}

/// The members of one structure, taken out one by one; what remains is unknown and ignored, as AWS does.
pub(crate) struct Members<'a> {
    map: Map<String, Value>,
    at: &'a At<'a>,
    report: &'a mut Report,
}

impl<'a> Members<'a> {
    pub(crate) fn open(value: Value, at: &'a At<'a>, report: &'a mut Report) -> Result<Self, DecodeError> {
        match value {
            Value::Object(map) => Ok(Self { map, at, report }),
            other => Err(DecodeError::wrong_type(at, "an object", &other)),
        }
    }

    /// Takes an optional member; `null` equals absent.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        decode: impl FnOnce(Value, &At<'_>, &mut Report) -> Decoded<T>,
    ) -> Decoded<T> {
        match self.map.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => decode(value, &At::Member(self.at, name), self.report),
        }
    }

    /// Takes a required member; its absence is a violation.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        decode: impl FnOnce(Value, &At<'_>, &mut Report) -> Decoded<T>,
    ) -> Decoded<T> {
        match self.map.remove(name) {
            None | Some(Value::Null) => {
                self.report.missing(&At::Member(self.at, name));
                Ok(None)
            }
            Some(value) => decode(value, &At::Member(self.at, name), self.report),
        }
    }
}

/// Reads a list: its own length first, then every item.
pub(crate) fn list<T>(
    value: Value,
    at: &At<'_>,
    report: &mut Report,
    rule: &ListRule,
    item: impl Fn(Value, &At<'_>, &mut Report) -> Decoded<T>,
) -> Decoded<Vec<T>> {
    let Value::Array(values) = value else {
        return Err(DecodeError::wrong_type(at, "a list", &value));
    };
    rule.check(&values, at, report);
    let count = values.len();
    let mut items = Vec::with_capacity(count);
    for (index, value) in values.into_iter().enumerate() {
        let at = At::Item(at, index + 1);
        if value.is_null() {
            report.missing(&at);
        } else {
            items.extend(item(value, &at, report)?);
        }
    }
    Ok((items.len() == count).then_some(items))
}

/// Reads a map; a key with the value `null` counts as absent.
pub(crate) fn map<T>(
    value: Value,
    at: &At<'_>,
    report: &mut Report,
    key: impl Fn(Value, &At<'_>, &mut Report) -> Decoded<String>,
    item: impl Fn(Value, &At<'_>, &mut Report) -> Decoded<T>,
) -> Decoded<BTreeMap<String, T>> {
    let Value::Object(entries) = value else {
        return Err(DecodeError::wrong_type(at, "an object", &value));
    };
    let mut whole = true;
    let mut items = BTreeMap::new();
    for (name, value) in entries {
        if value.is_null() {
            continue;
        }
        let decoded = item(value, &At::Entry(at, &name), report)?;
        match (key(Value::String(name), at, report)?, decoded) {
            (Some(name), Some(value)) => {
                items.insert(name, value);
            }
            _ => whole = false,
        }
    }
    Ok(whole.then_some(items))
}

/// Reads a boolean.
pub(crate) fn boolean(value: Value, at: &At<'_>, _: &mut Report) -> Decoded<bool> {
    match value {
        Value::Bool(value) => Ok(Some(value)),
        other => Err(DecodeError::wrong_type(at, "a boolean", &other)),
    }
}

/// Reads a whole request (or answer) of type `T` from parsed JSON.
///
/// # Errors
/// `SerializationException` for JSON of the wrong type, else one `ValidationException` naming every violation.
pub fn from_value<T: Decode>(value: Value) -> Result<T, ApiError> {
    let mut report = Report::default();
    let decoded = T::decode(value, &At::Root, &mut report)?;
    match decoded {
        Some(decoded) if report.is_clean() => Ok(decoded),
        _ => Err(report.into_error()),
    }
}

/// Reads a whole request (or answer) of type `T` from the bytes of a body; an empty body is `{}`.
///
/// # Errors
/// As [`from_value`]; `SerializationException` also for what is not JSON, not UTF-8, or nested too deeply.
pub fn from_body<T: Decode>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() {
        return from_value(Value::Object(Map::new()));
    }
    match serde_json::from_slice(body) {
        Ok(value) => from_value(value),
        Err(error) => Err(ApiError::new(
            ErrorCode::SerializationException,
            format!("The request body is not valid JSON: {error}"),
        )),
    }
}

/// Defines an enumeration of the model: its variants, their texts, and the order in which AWS lists them in a
/// constraint message.
macro_rules! string_enum {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? } shown $shown:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the model.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The list of values in a constraint message, as AWS orders it.
            pub(crate) const SHOWN: &'static str = $shown;

            /// The text on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value with this text on the wire.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl $crate::wire::Decode for $name {
            fn decode(
                value: serde_json::Value,
                at: &$crate::wire::At<'_>,
                report: &mut $crate::wire::Report,
            ) -> $crate::wire::Decoded<Self> {
                $crate::rules::enumeration(value, at, report, Self::parse, Self::SHOWN)
            }
        }
    };
}
pub(crate) use string_enum;
