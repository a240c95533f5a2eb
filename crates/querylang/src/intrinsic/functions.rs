//! The functions themselves: what each takes and yields.

use super::{Failure, format, random, text};
use crate::Environment;
use crate::value::{canonical, equal, to_integer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashSet;

/// The most elements `States.ArrayRange` makes.
const MAX_RANGE: i128 = 1_000;

/// The most characters Base64 and digests take.
const MAX_CHARACTERS: usize = 10_000;

/// An intrinsic function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `States.Format(template, …)`
    Format,
    /// `States.StringToJson(text)`
    StringToJson,
    /// `States.JsonToString(value)`
    JsonToString,
    /// `States.Array(…)`
    Array,
    /// `States.ArrayPartition(array, size)`
    ArrayPartition,
    /// `States.ArrayContains(array, value)`
    ArrayContains,
    /// `States.ArrayRange(first, last, step)`
    ArrayRange,
    /// `States.ArrayGetItem(array, index)`
    ArrayGetItem,
    /// `States.ArrayLength(array)`
    ArrayLength,
    /// `States.ArrayUnique(array)`
    ArrayUnique,
    /// `States.Base64Encode(text)`
    Base64Encode,
    /// `States.Base64Decode(text)`
    Base64Decode,
    /// `States.Hash(data, algorithm)`
    Hash,
    /// `States.JsonMerge(first, second, false)`
    JsonMerge,
    /// `States.MathRandom(start, end[, seed])`
    MathRandom,
    /// `States.MathAdd(first, second)`
    MathAdd,
    /// `States.StringSplit(text, delimiters)`
    StringSplit,
    /// `States.UUID()`
    Uuid,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Format,
        Self::StringToJson,
        Self::JsonToString,
        Self::Array,
        Self::ArrayPartition,
        Self::ArrayContains,
        Self::ArrayRange,
        Self::ArrayGetItem,
        Self::ArrayLength,
        Self::ArrayUnique,
        Self::Base64Encode,
        Self::Base64Decode,
        Self::Hash,
        Self::JsonMerge,
        Self::MathRandom,
        Self::MathAdd,
        Self::StringSplit,
        Self::Uuid,
    ];

    /// The name, with `States.`.
    ///
    /// ```
    /// use stepwright_querylang::intrinsic::Function;
    /// assert_eq!(Function::Uuid.name(), "States.UUID");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Format => "States.Format",
            Self::StringToJson => "States.StringToJson",
            Self::JsonToString => "States.JsonToString",
            Self::Array => "States.Array",
            Self::ArrayPartition => "States.ArrayPartition",
            Self::ArrayContains => "States.ArrayContains",
            Self::ArrayRange => "States.ArrayRange",
            Self::ArrayGetItem => "States.ArrayGetItem",
            Self::ArrayLength => "States.ArrayLength",
            Self::ArrayUnique => "States.ArrayUnique",
            Self::Base64Encode => "States.Base64Encode",
            Self::Base64Decode => "States.Base64Decode",
            Self::Hash => "States.Hash",
            Self::JsonMerge => "States.JsonMerge",
            Self::MathRandom => "States.MathRandom",
            Self::MathAdd => "States.MathAdd",
            Self::StringSplit => "States.StringSplit",
            Self::Uuid => "States.UUID",
        }
    }

    /// The function of this name (`States.…`; case matters).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// Wrong number or kinds of arguments.
    fn refuse(self, reason: &str) -> Failure {
        Failure::Arguments(format!("Invalid arguments in {}: {reason}", self.name()))
    }

    /// Right kinds of arguments, impossible values.
    pub(super) fn refuse_values(self, reason: &str) -> Failure {
        Failure::Values(format!("Invalid arguments in {}: {reason}", self.name()))
    }

    /// `format` is the first argument as written in quotes, escapes included.
    pub(super) fn apply(
        self,
        arguments: &[Cow<'_, Value>],
        format: Option<&str>,
        environment: &dyn Environment,
    ) -> Result<Value, Failure> {
        match (self, arguments) {
            (Self::Format, [template, rest @ ..]) => {
                let template = match format {
                    Some(raw) => raw,
                    None => self.text(template, "the template")?,
                };
                format::fill(template, rest).map(Value::String).map_err(Failure::Arguments)
            }
            (Self::StringToJson, [text]) => self.parse_json(self.text(text, "the argument")?),
            (Self::JsonToString, [value]) => Ok(Value::String(value.to_string())),
            (Self::Array, elements) => Ok(elements.iter().map(|e| Value::clone(e)).collect()),
            (Self::ArrayPartition, [array, size]) => {
                let array = self.array(array)?;
                let size = usize::try_from(self.whole(size, "the size")?)
                    .ok()
                    .filter(|size| *size > 0)
                    .ok_or_else(|| self.refuse_values("the size must be at least 1"))?;
                Ok(array.chunks(size).map(<[Value]>::to_vec).collect())
            }
            (Self::ArrayContains, [array, wanted]) => {
                let array = self.array(array)?;
                Ok(array.iter().any(|element| equal(element, wanted)).into())
            }
            (Self::ArrayRange, [first, last, step]) => self.range(
                self.whole(first, "the first number")?,
                self.whole(last, "the last number")?,
                self.whole(step, "the step")?,
            ),
            (Self::ArrayGetItem, [array, index]) => {
                let array = self.array(array)?;
                let index = self.whole(index, "the index")?;
                usize::try_from(index).ok().and_then(|index| array.get(index)).cloned().ok_or_else(|| {
                    self.refuse_values(&format!("the array has {} elements, so there is no index {index}", array.len()))
                })
            }
            (Self::ArrayLength, [array]) => Ok(self.array(array)?.len().into()),
            (Self::ArrayUnique, [array]) => Ok(unique(self.array(array)?)),
            (Self::Base64Encode, [text]) => {
                let text = self.short(self.text(text, "the argument")?)?;
                Ok(text::base64_encode(text).into())
            }
            (Self::Base64Decode, [text]) => {
                let text = self.short(self.text(text, "the argument")?)?;
                Ok(text::base64_decode(text).into())
            }
            (Self::Hash, [data, algorithm]) => {
                let data = match &**data {
                    Value::String(text) => Cow::Borrowed(text.as_str()),
                    other => Cow::Owned(other.to_string()),
                };
                let algorithm = self.text(algorithm, "the algorithm")?;
                text::hash(self.short(&data)?, algorithm)
                    .map(Value::String)
                    .ok_or_else(|| self.refuse_values("the algorithm must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512"))
            }
            (Self::JsonMerge, [first, second, deep]) => {
                let (first, second) = (self.object(first)?, self.object(second)?);
                match **deep {
                    Value::Bool(false) => {}
                    Value::Bool(true) => {
                        return Err(self.refuse_values("deep merging is not supported"));
                    }
                    _ => return Err(self.refuse("the third argument must be false")),
                }
                let mut merged = first.clone();
                for (key, value) in second {
                    merged.insert(key.clone(), value.clone());
                }
                Ok(Value::Object(merged))
            }
            (Self::MathRandom, [start, end]) => {
                // The high half of the product spreads the bits evenly over the width.
                self.random(start, end, |width| ((u128::from(environment.random()) * u128::from(width)) >> 64) as u64)
            }
            (Self::MathRandom, [start, end, seed]) => {
                let seed = self.whole(seed, "the seed")?;
                self.random(start, end, |width| random::below(seed, width))
            }
            (Self::MathAdd, [first, second]) => self.add(first, second),
            (Self::StringSplit, [text, delimiters]) => {
                let text = self.text(text, "the first argument")?;
                let delimiters: HashSet<char> = self.text(delimiters, "the delimiter")?.chars().collect();
                Ok(text.split(|character| delimiters.contains(&character)).filter(|piece| !piece.is_empty()).collect())
            }
            (Self::Uuid, []) => Ok(text::uuid(environment.random(), environment.random()).into()),
            (_, arguments) => {
                Err(self.refuse(&format!("the function cannot be called with {} arguments", arguments.len())))
            }
        }
    }

    fn text<'v>(self, value: &'v Value, what: &str) -> Result<&'v str, Failure> {
        value.as_str().ok_or_else(|| self.refuse(&format!("{what} must be a string")))
    }

    fn array(self, value: &Value) -> Result<&[Value], Failure> {
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.refuse("the first argument must be an array"))
    }

    fn object(self, value: &Value) -> Result<&Map<String, Value>, Failure> {
        value.as_object().ok_or_else(|| self.refuse("the first two arguments must be objects"))
    }

    fn short(self, text: &str) -> Result<&str, Failure> {
        if text.chars().nth(MAX_CHARACTERS).is_some() {
            return Err(self.refuse_values(&format!("the text is longer than {MAX_CHARACTERS} characters")));
        }
        Ok(text)
    }

    /// A number without its fraction (AWS: observed; the documentation speaks of
    /// rounding).
    fn whole(self, value: &Value, what: &str) -> Result<i64, Failure> {
        self.integer(value, what, f64::trunc)
    }

    fn integer(self, value: &Value, what: &str, round: impl Fn(f64) -> f64) -> Result<i64, Failure> {
        let number = value.as_number().ok_or_else(|| self.refuse(&format!("{what} must be a number")))?;
        if let Some(integer) = number.as_i64() {
            return Ok(integer);
        }
        number
            .as_f64()
            .map(round)
            .filter(|rounded| rounded.abs() < 9_007_199_254_740_992.0)
            .map(to_integer)
            .ok_or_else(|| self.refuse_values(&format!("{what} is too large")))
    }

    fn parse_json(self, text: &str) -> Result<Value, Failure> {
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        let mut value = serde_json::from_str(text)
            .map_err(|error| self.refuse_values(&format!("the text is not valid JSON: {error}")))?;
        unsign_zeros(&mut value);
        Ok(value)
    }

    fn range(self, first: i64, last: i64, step: i64) -> Result<Value, Failure> {
        let distance = i128::from(last) - i128::from(first);
        let step = i128::from(step);
        if step == 0 {
            return Err(self.refuse_values("the step must not be 0"));
        }
        if distance != 0 && distance.signum() != step.signum() {
            return Ok(Value::Array(Vec::new()));
        }
        let count = distance / step + 1;
        if count > MAX_RANGE {
            return Err(self.refuse_values(&format!("more than {MAX_RANGE} elements")));
        }
        (0..count)
            .map(|index| i64::try_from(i128::from(first) + index * step).ok().map(Value::from))
            .collect::<Option<Vec<Value>>>()
            .map(Value::Array)
            .ok_or_else(|| self.refuse_values("the numbers are too large"))
    }

    /// `draw` gives a number below the one it is given.
    fn random(self, start: &Value, end: &Value, draw: impl FnOnce(u64) -> u64) -> Result<Value, Failure> {
        let start = self.whole(start, "the start")?;
        let end = self.whole(end, "the end")?;
        let width = i128::from(end) - i128::from(start);
        let Some(width) = u64::try_from(width).ok().filter(|width| *width > 0) else {
            return Err(self.refuse_values("the start must be less than the end"));
        };
        i64::try_from(i128::from(start) + i128::from(draw(width)))
            .map(Value::from)
            .map_err(|_| self.refuse_values("the numbers are too large"))
    }

    fn add(self, first: &Value, second: &Value) -> Result<Value, Failure> {
        let half_up = |number: f64| (number + 0.5).floor();
        let operand = |value| {
            let number = self.integer(value, "each argument", half_up)?;
            i32::try_from(number)
                .map_err(|_| self.refuse_values("each argument must be between -2147483648 and 2147483647"))
        };
        operand(first)?
            .checked_add(operand(second)?)
            .map(Value::from)
            .ok_or_else(|| self.refuse_values("the sum must be between -2147483648 and 2147483647"))
    }
}

/// The first of all equal elements, found by hashing: comparing all pairs would
/// take hours on a hostile array.
fn unique(array: &[Value]) -> Value {
    let mut seen = HashSet::with_capacity(array.len());
    array
        .iter()
        .filter(|element| {
            let mut key = String::new();
            canonical(element, &mut key);
            seen.insert(key)
        })
        .cloned()
        .collect()
}

/// `-0` reads as a floating-point number; the service makes it `0`.
fn unsign_zeros(value: &mut Value) {
    match value {
        Value::Number(number) if number.as_f64() == Some(0.0) && number.as_f64().is_some_and(f64::is_sign_negative) => {
            *value = Value::from(0);
        }
        Value::Array(elements) => elements.iter_mut().for_each(unsign_zeros),
        Value::Object(members) => members.values_mut().for_each(unsign_zeros),
        _ => {}
    }
}
