//! JSON bodies.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{Blobs, Data, Problem, Reader, sorted, time};
use crate::model::{Kind, ServiceModel, ShapeId, TimestampFormat};

/// A body.
pub(super) fn body(model: &ServiceModel, input: &Data<'_>) -> String {
    value(model, input, None).to_string()
}

/// A body of the members that don't stand elsewhere.
pub(super) fn members_body<'a, 'm: 'a>(
    model: &ServiceModel,
    members: impl Iterator<Item = &'a (&'m crate::model::Member, Data<'m>)>,
) -> String {
    structure_value(model, members).to_string()
}

fn structure_value<'a, 'm: 'a>(
    model: &ServiceModel,
    members: impl Iterator<Item = &'a (&'m crate::model::Member, Data<'m>)>,
) -> Value {
    let members = members.map(|(member, data)| (member.wire_name().to_owned(), value(model, data, Some(member.shape))));
    Value::Object(members.collect())
}

fn value(model: &ServiceModel, data: &Data<'_>, shape: Option<ShapeId>) -> Value {
    match data {
        Data::Structure(members) => structure_value(model, members.iter()),
        Data::List(shape, items) => {
            let element = match &model.shape(*shape).kind {
                Kind::List { member, .. } => Some(member.shape),
                _ => None,
            };
            Value::Array(items.iter().map(|item| value(model, item, element)).collect())
        }
        Data::Map(shape, entries) => {
            let element = match &model.shape(*shape).kind {
                Kind::Map { value, .. } => Some(value.shape),
                _ => None,
            };
            Value::Object(entries.iter().map(|(key, entry)| (key.clone(), value(model, entry, element))).collect())
        }
        Data::Text(text) => text.as_str().into(),
        Data::Blob(bytes) => STANDARD.encode(bytes).into(),
        Data::Boolean(value) => (*value).into(),
        Data::Number(number) => Value::Number(number.clone()),
        Data::Special(word) => (*word).into(),
        Data::Time(at) => {
            let format = shape.and_then(|shape| match model.shape(shape).kind {
                Kind::Timestamp(format) => format,
                _ => None,
            });
            match format {
                Some(format @ (TimestampFormat::Iso8601 | TimestampFormat::Rfc822)) => {
                    time::written(*at, format).into()
                }
                _ => Value::Number(time::seconds(*at)),
            }
        }
        Data::Document(value) => value.clone(),
    }
}

/// A structure of an answer.
pub(super) fn structure(reader: &Reader<'_>, shape: ShapeId, value: Value) -> Result<Map<String, Value>, Problem> {
    match (reader.model.structure(shape), value) {
        (Some(structure), Value::Object(mut given)) => {
            let mut members = Vec::new();
            for member in &structure.members {
                if member.location.is_some() {
                    continue;
                }
                match given.remove(member.wire_name()) {
                    None | Some(Value::Null) => {}
                    Some(value) => members.push((member.pascal.to_string(), read(reader, member.shape, value)?)),
                }
            }
            Ok(sorted(members))
        }
        (_, Value::Null) => Ok(Map::new()),
        _ => Err(Problem::new("the answer is not a JSON object")),
    }
}

/// A value of an answer.
pub(super) fn read(reader: &Reader<'_>, shape: ShapeId, value: Value) -> Result<Value, Problem> {
    let described = reader.model.shape(shape);
    let wrong = || Problem::new(format!("a value is no {}", described.name));
    Ok(match (&described.kind, value) {
        (_, Value::Null) => Value::Null,
        (Kind::Structure(_), value @ Value::Object(_)) => Value::Object(structure(reader, shape, value)?),
        (Kind::List { member, .. }, Value::Array(items)) => {
            items.into_iter().map(|item| read(reader, member.shape, item)).collect::<Result<_, _>>()?
        }
        (Kind::Map { value: inner, .. }, Value::Object(entries)) => {
            let entries = entries.into_iter().map(|(key, entry)| Ok((key, read(reader, inner.shape, entry)?)));
            Value::Object(entries.collect::<Result<_, Problem>>()?)
        }
        (Kind::String { .. }, value @ Value::String(_)) => value,
        (Kind::String { .. }, value) => Value::String(value.to_string()),
        (Kind::Blob { .. }, Value::String(text)) => blob_from_base64(reader, &text).ok_or_else(wrong)?,
        (Kind::Boolean, value @ Value::Bool(_)) => value,
        (
            Kind::Integer(_) | Kind::Long(_) | Kind::Float(_) | Kind::Double(_),
            value @ (Value::Number(_) | Value::String(_)),
        ) => value,
        (Kind::Timestamp(_), Value::Number(seconds)) => {
            let at = seconds.as_f64().and_then(time::from_seconds).ok_or_else(wrong)?;
            time::shown(at).into()
        }
        (Kind::Timestamp(_), Value::String(text)) => time::shown(time::parsed(&text).ok_or_else(wrong)?).into(),
        (Kind::Document, value) => value,
        _ => return Err(wrong()),
    })
}

fn blob_from_base64(reader: &Reader<'_>, text: &str) -> Option<Value> {
    match reader.blobs {
        Blobs::Base64 => Some(text.into()),
        Blobs::Text => Some(blob(Blobs::Text, &STANDARD.decode(text).ok()?)),
    }
}

/// Bytes as a state sees them.
pub(super) fn blob(style: Blobs, bytes: &[u8]) -> Value {
    match (style, std::str::from_utf8(bytes)) {
        (Blobs::Text, Ok(text)) => text.into(),
        _ => STANDARD.encode(bytes).into(),
    }
}
