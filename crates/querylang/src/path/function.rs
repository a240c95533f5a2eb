//! Tail functions of paths: `$.items.length()`, `$.prices.sum()`.
//!
//! Behind a path with several matches a function works on the array of them.
//! Integers stay integers where they fit.

use super::evaluate::{Budget, Miss};
use super::{Parser, Place, Steps};
use crate::SyntaxError;
use crate::value::{MAX_WEIGHT, compare_numbers};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A function with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: Name,
    pub(crate) arguments: Box<[Argument]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Length,
    Keys,
    Min,
    Max,
    Sum,
    Avg,
    StdDev,
    First,
    Last,
    Index,
    Concat,
    Append,
}

#[derive(Debug, Clone)]
pub(crate) enum Argument {
    /// `$…`: from the root of the document.
    Path(Steps),
    Literal(Value),
}

impl Function {
    /// `(…)`, behind the name.
    pub(super) fn parse(parser: &mut Parser<'_>, name: &str, name_at: usize) -> Result<Self, SyntaxError> {
        let name = match name {
            "length" | "size" => Name::Length,
            "keys" => Name::Keys,
            "min" => Name::Min,
            "max" => Name::Max,
            "sum" => Name::Sum,
            "avg" => Name::Avg,
            "stddev" => Name::StdDev,
            "first" => Name::First,
            "last" => Name::Last,
            "index" => Name::Index,
            "concat" => Name::Concat,
            "append" => Name::Append,
            _ => {
                return Err(SyntaxError::new(name_at, format!("There is no path function '{name}()'")));
            }
        };
        parser.expect("(")?;
        let mut arguments = Vec::new();
        parser.skip_blanks();
        if !parser.take(")") {
            loop {
                parser.skip_blanks();
                arguments.push(if parser.take("$") {
                    Argument::Path(parser.nested(|parser| parser.steps(Place::Argument))?)
                } else {
                    Argument::Literal(super::filter::literal(parser)?)
                });
                parser.skip_blanks();
                if parser.take(")") {
                    break;
                }
                parser.expect(",")?;
            }
        }
        if name == Name::Index && arguments.len() != 1 {
            return Err(SyntaxError::new(name_at, "'index()' takes one argument"));
        }
        Ok(Self { name, arguments: arguments.into() })
    }

    /// `document` is what `$` in the arguments means.
    pub(super) fn apply(&self, value: &Value, document: &Value, budget: &mut Budget) -> Result<Value, Miss> {
        let arguments = self.arguments(document, budget)?;
        match self.name {
            Name::Length | Name::First | Name::Last | Name::Index => {}
            _ => drop(budget.spend_on(value)?),
        }
        match (self.name, value) {
            (Name::Length, Value::Array(elements)) => Ok(elements.len().into()),
            (Name::Length, Value::Object(members)) => Ok(members.len().into()),
            (Name::Length, Value::String(text)) => Ok(text.chars().count().into()),
            (Name::Keys, Value::Object(members)) => Ok(members.keys().cloned().collect()),
            (Name::First, Value::Array(elements)) => pick(elements, 0, budget),
            (Name::Last, Value::Array(elements)) => pick(elements, -1, budget),
            (Name::Index, Value::Array(elements)) => {
                let index = arguments.first().and_then(|index| index.as_i64());
                let index = index.ok_or_else(|| Miss::function("'index()' needs a whole number".to_owned()))?;
                pick(elements, index, budget)
            }
            (Name::Concat, _) => {
                let mut text = String::new();
                for part in elements(value).iter().chain(arguments.iter().map(|a| &**a)) {
                    match part {
                        Value::String(part) => text.push_str(part),
                        Value::Number(_) | Value::Bool(_) => text.push_str(&part.to_string()),
                        _ => {}
                    }
                }
                Ok(Value::String(text))
            }
            (Name::Append, Value::Array(elements)) => {
                let mut elements = elements.clone();
                elements.extend(arguments.into_iter().map(Cow::into_owned));
                Ok(Value::Array(elements))
            }
            (Name::Min | Name::Max | Name::Sum | Name::Avg | Name::StdDev, _) => {
                let numbers: Vec<&Number> = elements(value)
                    .iter()
                    .chain(arguments.iter().map(|argument| &**argument))
                    .filter_map(Value::as_number)
                    .collect();
                self.aggregate(&numbers)
            }
            _ => Err(Miss::function("The function cannot be applied to this kind of value".to_owned())),
        }
    }

    fn arguments<'v>(&'v self, document: &'v Value, budget: &mut Budget) -> Result<Vec<Cow<'v, Value>>, Miss> {
        let mut total = 0;
        let mut values = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            let value = match argument {
                Argument::Path(steps) => steps.evaluate_within(document, document, budget).map_err(|miss| {
                    if miss.stops_everything() {
                        miss
                    } else {
                        Miss::function("An argument of the function selects nothing".to_owned())
                    }
                })?,
                Argument::Literal(value) => Cow::Borrowed(value),
            };
            total += budget.spend_on(&value)?;
            if total > MAX_WEIGHT {
                return Err(Miss::too_much());
            }
            values.push(value);
        }
        Ok(values)
    }

    #[expect(clippy::cast_precision_loss, reason = "means and deviations are floating point by nature")]
    fn aggregate(&self, numbers: &[&Number]) -> Result<Value, Miss> {
        let empty = || Miss::function("Aggregation function attempted to calculate value using empty array".to_owned());
        if numbers.is_empty() {
            return Err(empty());
        }
        let floats = || numbers.iter().filter_map(|number| number.as_f64());
        let mean = floats().sum::<f64>() / numbers.len() as f64;
        let extreme = |wanted: Ordering| {
            numbers.iter().copied().reduce(
                |best, number| {
                    if compare_numbers(number, best) == Some(wanted) { number } else { best }
                },
            )
        };
        let result = match self.name {
            Name::Min => extreme(Ordering::Less).cloned(),
            Name::Max => extreme(Ordering::Greater).cloned(),
            Name::Sum => numbers
                .iter()
                .try_fold(0i64, |sum, number| sum.checked_add(number.as_i64()?))
                .map(Number::from)
                .or_else(|| Number::from_f64(floats().sum())),
            Name::StdDev => {
                let squares = floats().map(|number| (number - mean).powi(2)).sum::<f64>();
                Number::from_f64((squares / numbers.len() as f64).sqrt())
            }
            _ => Number::from_f64(mean),
        };
        result.map(Value::Number).ok_or_else(empty)
    }
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn pick(elements: &[Value], index: i64, budget: &mut Budget) -> Result<Value, Miss> {
    let element = super::evaluate::position(index, elements.len())
        .and_then(|index| elements.get(index))
        .ok_or_else(|| Miss::function("The array is too short for the function".to_owned()))?;
    budget.spend_on(element)?;
    Ok(element.clone())
}
