//! The service model as data: every shape and operation, as the generated code understands them.
//!
//! The tables point at the very rules that decoding uses, so a test that compares them with the model compares
//! what runs. Nothing here is needed to serve a valid request.

use std::fmt;

use serde_json::Value;

use crate::error::ErrorCode;
use crate::generated::operations::Operation;
use crate::generated::reflection::SHAPES;
use crate::rules::{FloatRule, IntegerRule, JavaFloat, ListRule, StringRule};

/// A member of a structure.
#[derive(Clone, Copy, Debug)]
pub struct MemberInfo {
    /// Its name on the wire.
    pub name: &'static str,
    /// The name of its shape.
    pub shape: &'static str,
    /// Whether it must be present.
    pub required: bool,
}

/// What a shape is, with its constraints.
#[derive(Clone, Copy, Debug)]
pub enum ShapeKind {
    /// A structure of named members.
    Structure {
        /// The members, in the order of the model.
        members: &'static [MemberInfo],
        /// Whether it is the body of an error.
        exception: bool,
        /// Whether its content may not be shown.
        sensitive: bool,
    },
    /// A list of values of one shape.
    List {
        /// The shape of the items.
        member: &'static str,
        /// The length.
        rule: &'static ListRule,
    },
    /// A map from strings to values of one shape.
    Map {
        /// The shape of the keys.
        key: &'static str,
        /// The shape of the values.
        value: &'static str,
        /// Whether its content may not be shown.
        sensitive: bool,
    },
    /// A string.
    String(&'static StringRule),
    /// A string out of a closed set, in the order of the model.
    Enum(&'static [&'static str]),
    /// A whole number of 32 bits.
    Integer(&'static IntegerRule),
    /// A whole number of 64 bits.
    Long(&'static IntegerRule),
    /// A number.
    Float(&'static FloatRule),
    /// A boolean.
    Boolean,
    /// An instant.
    Timestamp,
}

/// A shape of the model.
#[derive(Clone, Copy, Debug)]
pub struct ShapeInfo {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: ShapeKind,
}

/// An operation of the model.
#[derive(Clone, Copy, Debug)]
pub struct OperationInfo {
    /// The operation.
    pub operation: Operation,
    /// The shape of its request.
    pub input: &'static str,
    /// The shape of its answer.
    pub output: &'static str,
    /// The errors that the model lists for it.
    pub errors: &'static [ErrorCode],
    /// Whether the model calls it idempotent.
    pub idempotent: bool,
}

/// A place where the service is known to differ from its own model.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// The structure.
    pub structure: &'static str,
    /// Its member.
    pub member: &'static str,
    /// The constraint of the model that is not applied: `min` or `required`.
    pub constraint: &'static str,
    /// What the service does instead.
    pub reason: &'static str,
}

/// The shape of this name.
#[must_use]
pub fn shape(name: &str) -> Option<&'static ShapeInfo> {
    SHAPES.iter().find(|shape| shape.name == name)
}

/// The most items of a list that a message shows; the lists of the model that have a limit end far below it.
const MOST_SHOWN: usize = 100;

/// A whole list as AWS prints it in a constraint message (recorded):
/// `[RoutingConfigurationListItem(stateMachineVersionArn=…, weight=50), …]`.
pub(crate) struct JavaList<'a> {
    pub(crate) shape: &'static str,
    pub(crate) items: &'a [Value],
}

impl fmt::Display for JavaList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item_shape = match shape(self.shape).map(|shape| shape.kind) {
            Some(ShapeKind::List { member, .. }) => member,
            _ => "",
        };
        f.write_str("[")?;
        for (index, item) in self.items.iter().enumerate() {
            if index == MOST_SHOWN {
                f.write_str(", …")?;
                break;
            }
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", JavaValue { shape: item_shape, value: item })?;
        }
        f.write_str("]")
    }
}

struct JavaValue<'a> {
    shape: &'static str,
    value: &'a Value,
}

impl fmt::Display for JavaValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = shape(self.shape).map(|shape| shape.kind);
        match (self.value, kind) {
            (Value::Null, _) => f.write_str("null"),
            (_, Some(ShapeKind::Structure { sensitive: true, .. } | ShapeKind::Map { sensitive: true, .. })) => {
                f.write_str("***")
            }
            (_, Some(ShapeKind::String(rule))) if rule.sensitive => f.write_str("***"),
            (Value::Object(values), Some(ShapeKind::Structure { members, .. })) => {
                write!(f, "{}(", self.shape)?;
                for (index, member) in members.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    let value = values.get(member.name).unwrap_or(&Value::Null);
                    write!(f, "{comma}{}={}", member.name, JavaValue { shape: member.shape, value })?;
                }
                f.write_str(")")
            }
            (Value::Array(items), _) => write!(f, "{}", JavaList { shape: self.shape, items }),
            (Value::String(text), _) => f.write_str(text),
            (Value::Number(number), Some(ShapeKind::Float(_))) => match number.as_f64() {
                Some(float) => write!(f, "{}", JavaFloat(float)),
                None => write!(f, "{number}"),
            },
            (value, _) => write!(f, "{value}"),
        }
    }
}
