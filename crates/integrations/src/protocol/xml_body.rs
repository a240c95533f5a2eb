//! XML bodies: requests of REST-XML, answers of REST-XML, Query and EC2.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    Data, Problem, Reader, json, sorted, time,
    xml::{Element, escaped, escaped_attribute},
};
use crate::model::{Kind, Member, ServiceModel, ShapeId, TimestampFormat, XmlNamespace};

/// An element of a request.
pub(super) fn element<'a, 'm: 'a>(
    model: &'a ServiceModel,
    name: &str,
    namespace: Option<&XmlNamespace>,
    members: impl Iterator<Item = &'a (&'m Member, Data<'m>)>,
) -> String {
    let mut writer = Writer { model, out: String::new() };
    writer.structure(name, namespace, members);
    writer.out
}

struct Writer<'a> {
    model: &'a ServiceModel,
    out: String,
}

impl<'a> Writer<'a> {
    fn structure<'d, 'm: 'd>(
        &mut self,
        name: &str,
        namespace: Option<&XmlNamespace>,
        members: impl Iterator<Item = &'d (&'m Member, Data<'m>)>,
    ) {
        let mut head = format!("<{name}{}", declared(namespace));
        let outer = std::mem::take(&mut self.out);
        for (member, data) in members {
            if member.xml_attribute {
                let text = self.text(data, member.shape);
                head += &format!(" {}=\"{}\"", member.wire_name(), escaped_attribute(&text));
            } else {
                self.member(member, data);
            }
        }
        let inner = std::mem::replace(&mut self.out, outer);
        self.out += &head;
        self.close(name, &inner);
    }

    /// What follows the head of an element.
    fn close(&mut self, name: &str, inner: &str) {
        if inner.is_empty() {
            self.out += " />";
        } else {
            self.out += &format!(">{inner}</{name}>");
        }
    }

    fn member(&mut self, member: &Member, data: &Data<'_>) {
        let of_shape = self.model.shape(member.shape);
        let name = member.location_name.as_deref().or(of_shape.location_name.as_deref()).unwrap_or(&member.name);
        let namespace = member.xml_namespace.as_ref().or(of_shape.xml_namespace.as_ref());
        self.value(name, namespace, member.shape, member.flattened, data);
    }

    fn value(&mut self, name: &str, namespace: Option<&XmlNamespace>, shape: ShapeId, flat: bool, data: &Data<'_>) {
        match data {
            Data::Structure(members) => self.structure(name, namespace, members.iter()),
            Data::List(shape, items) => self.list(name, namespace, *shape, flat, items),
            Data::Map(shape, entries) => self.map(name, namespace, *shape, flat, entries),
            _ => {
                let text = escaped(&self.text(data, shape));
                self.out += &format!("<{name}{}", declared(namespace));
                self.close(name, &text);
            }
        }
    }

    fn list(&mut self, name: &str, namespace: Option<&XmlNamespace>, shape: ShapeId, flat: bool, items: &[Data<'_>]) {
        let model: &'a ServiceModel = self.model;
        let Kind::List { member, flattened, .. } = &model.shape(shape).kind else { return };
        let of_shape = model.shape(member.shape);
        let inner_namespace = of_shape.xml_namespace.as_ref();
        if *flattened || flat {
            for item in items {
                self.value(name, inner_namespace, member.shape, false, item);
            }
            return;
        }
        let item_name = member.location_name.as_deref().or(of_shape.location_name.as_deref()).unwrap_or("member");
        let outer = std::mem::take(&mut self.out);
        for item in items {
            self.value(item_name, inner_namespace, member.shape, false, item);
        }
        let inner = std::mem::replace(&mut self.out, outer);
        self.out += &format!("<{name}{}", declared(namespace));
        self.close(name, &inner);
    }

    fn map(
        &mut self,
        name: &str,
        namespace: Option<&XmlNamespace>,
        shape: ShapeId,
        flat: bool,
        entries: &[(String, Data<'_>)],
    ) {
        let model: &'a ServiceModel = self.model;
        let Kind::Map { key, value, flattened, .. } = &model.shape(shape).kind else { return };
        let flat = *flattened || flat;
        let entry_name = if flat { name } else { "entry" };
        let key_name = key.location_name.as_deref().unwrap_or("key");
        let value_name = value.location_name.as_deref().unwrap_or("value");
        let outer = std::mem::take(&mut self.out);
        for (text, data) in entries {
            self.out += &format!("<{entry_name}><{key_name}");
            self.close(key_name, &escaped(text));
            self.value(value_name, None, value.shape, false, data);
            self.out += &format!("</{entry_name}>");
        }
        let inner = std::mem::replace(&mut self.out, outer);
        if flat {
            self.out += &inner;
        } else {
            self.out += &format!("<{name}{}", declared(namespace));
            self.close(name, &inner);
        }
    }

    fn text(&self, data: &Data<'_>, shape: ShapeId) -> String {
        match data {
            Data::Text(text) => text.clone(),
            Data::Blob(bytes) => STANDARD.encode(bytes),
            Data::Boolean(value) => value.to_string(),
            Data::Number(number) => number.to_string(),
            Data::Special(word) => (*word).to_owned(),
            Data::Time(at) => match self.model.shape(shape).kind {
                Kind::Timestamp(Some(format)) => time::written(*at, format),
                _ => time::written(*at, TimestampFormat::Iso8601),
            },
            Data::Document(value) => value.to_string(),
            Data::Structure(_) | Data::List(..) | Data::Map(..) => String::new(),
        }
    }
}

fn declared(namespace: Option<&XmlNamespace>) -> String {
    namespace.map_or_else(String::new, |namespace| {
        let prefix = namespace.prefix.as_deref().map_or_else(String::new, |prefix| format!(":{prefix}"));
        format!(" xmlns{prefix}=\"{}\"", escaped_attribute(&namespace.uri))
    })
}

/// A structure of an answer: the members that stand in the body.
pub(super) fn structure(reader: &Reader<'_>, shape: ShapeId, element: &Element) -> Result<Map<String, Value>, Problem> {
    let Some(structure) = reader.model.structure(shape) else { return Ok(Map::new()) };
    let mut members = Vec::new();
    for member in &structure.members {
        if member.location.is_some() {
            continue;
        }
        let of_shape = reader.model.shape(member.shape);
        let name = member.location_name.as_deref().or(of_shape.location_name.as_deref()).unwrap_or(&member.name);
        if member.xml_attribute {
            if let Some((_, text)) = element.attributes.iter().find(|(given, _)| given == name) {
                members.push((member.pascal.to_string(), Value::String(text.clone())));
            }
            continue;
        }
        let flat = member.flattened
            || matches!(of_shape.kind, Kind::List { flattened: true, .. } | Kind::Map { flattened: true, .. });
        let value = if flat {
            flattened(reader, member.shape, name, element)?
        } else {
            element.child(name).map(|child| value(reader, member.shape, child)).transpose()?
        };
        if let Some(value) = value {
            members.push((member.pascal.to_string(), value));
        }
    }
    Ok(sorted(members))
}

/// A list or map whose elements stand among other members.
fn flattened(reader: &Reader<'_>, shape: ShapeId, name: &str, parent: &Element) -> Result<Option<Value>, Problem> {
    let mut name = name;
    if let Kind::List { member, .. } = &reader.model.shape(shape).kind
        && let Some(given) = &member.location_name
    {
        name = given;
    }
    let found: Vec<&Element> = parent.children.iter().filter(|child| child.name == name).collect();
    if found.is_empty() {
        return Ok(None);
    }
    Ok(Some(match &reader.model.shape(shape).kind {
        Kind::List { member, .. } => {
            found.into_iter().map(|item| value(reader, member.shape, item)).collect::<Result<_, _>>()?
        }
        _ => map(reader, shape, found.into_iter())?,
    }))
}

fn map<'a>(reader: &Reader<'_>, shape: ShapeId, entries: impl Iterator<Item = &'a Element>) -> Result<Value, Problem> {
    let Kind::Map { key, value: of_value, .. } = &reader.model.shape(shape).kind else { return Ok(Value::Null) };
    let key_name = key.location_name.as_deref().unwrap_or("key");
    let value_name = of_value.location_name.as_deref().unwrap_or("value");
    let mut found = Map::new();
    for entry in entries {
        if let (Some(key), Some(child)) = (entry.text_of(key_name), entry.child(value_name)) {
            found.insert(key.to_owned(), value(reader, of_value.shape, child)?);
        }
    }
    Ok(Value::Object(found))
}

fn value(reader: &Reader<'_>, shape: ShapeId, element: &Element) -> Result<Value, Problem> {
    let described = reader.model.shape(shape);
    let wrong = || Problem::new(format!("a value is no {}", described.name));
    let text = element.text.trim();
    Ok(match &described.kind {
        Kind::Structure(_) => Value::Object(structure(reader, shape, element)?),
        Kind::List { member, .. } => {
            let name = member.location_name.as_deref().unwrap_or("member");
            // Services differ in the names of elements; there is nothing else in a list.
            let items = element.children.iter().filter(|child| child.name == name || member.location_name.is_none());
            items.map(|item| value(reader, member.shape, item)).collect::<Result<_, _>>()?
        }
        Kind::Map { .. } => map(reader, shape, element.children.iter())?,
        Kind::String { .. } => element.text.as_str().into(),
        Kind::Blob { .. } => {
            let joined: String = text.split_ascii_whitespace().collect();
            json::blob(reader.blobs, &STANDARD.decode(joined).map_err(|_| wrong())?)
        }
        Kind::Boolean => match text {
            "true" => true.into(),
            "false" => false.into(),
            _ => return Err(wrong()),
        },
        Kind::Integer(_) | Kind::Long(_) => text.parse::<i64>().map_err(|_| wrong())?.into(),
        Kind::Float(_) | Kind::Double(_) => {
            let number: f64 = text.parse().map_err(|_| wrong())?;
            serde_json::Number::from_f64(number).map_or_else(|| text.into(), Value::Number)
        }
        Kind::Timestamp(_) => time::shown(time::parsed(text).ok_or_else(wrong)?).into(),
        Kind::Document => text.into(),
    })
}
