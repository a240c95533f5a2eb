//! What REST-JSON and REST-XML share: members in the path, the query and headers, and the rest in the body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Blobs, Data, Problem, Reader, WireRequest, header, json, sorted, time, xml, xml_body};
use crate::{
    aws::percent_encode,
    client::Response,
    model::{Kind, Location, Member, Operation, Protocol, ServiceModel, ShapeId, Structure, TimestampFormat},
};

/// Fills path, query, headers and body of a request.
pub(super) fn fill(
    model: &ServiceModel,
    operation: &Operation,
    input: &Data<'_>,
    request: &mut WireRequest,
) -> Result<(), Problem> {
    let (path, fixed) = operation.uri.split_once('?').unwrap_or((&operation.uri, ""));
    // The endpoint holds the bucket, as a host or as a path.
    let path = if model.id.as_ref() == "S3" { path.strip_prefix("/{Bucket}").unwrap_or(path) } else { path };
    let path = if path.is_empty() { "/" } else { path };
    for pair in fixed.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value.to_owned())));
        request.query.push((name.to_owned(), value));
    }
    request.path = labelled(path, input, |member, data| location_text(model, member, data))?;
    for (member, data) in input.members() {
        match member.location {
            Some(Location::Query) => query(model, member, data, &mut request.query),
            Some(Location::Header) => {
                if let Some(text) = header_text(model, member, data) {
                    request.headers.push((member.wire_name().to_owned(), text));
                }
            }
            Some(Location::Headers) => {
                if let Data::Map(_, entries) = data {
                    for (key, value) in entries {
                        let text = value.as_text().unwrap_or_default().to_owned();
                        request.headers.push((format!("{}{key}", member.wire_name()), text));
                    }
                }
            }
            Some(Location::Uri | Location::Status) | None => {}
        }
    }
    let Some(body) = &operation.input else { return Ok(()) };
    let Some(structure) = model.structure(body.shape) else { return Ok(()) };
    payload(model, operation, structure, input, request);
    Ok(())
}

fn payload(
    model: &ServiceModel,
    operation: &Operation,
    structure: &Structure,
    input: &Data<'_>,
    request: &mut WireRequest,
) {
    let json = model.protocol == Protocol::RestJson;
    if let Some(payload) = structure.payload.as_deref().and_then(|name| structure.member(name)) {
        let kind = &model.shape(payload.shape).kind;
        match (input.member(&payload.name), kind) {
            (Some(Data::Blob(bytes)), _) => request.body = bytes.clone().into(),
            (Some(Data::Text(text)), _) => request.body = text.clone().into(),
            (None, Kind::Blob { .. } | Kind::String { .. }) => {}
            (Some(data), _) if json => {
                request.body = json::body(model, data).into();
            }
            (Some(data), _) => {
                let of_shape = model.shape(payload.shape);
                let name = payload.location_name.as_deref().or(of_shape.location_name.as_deref());
                let namespace = payload.xml_namespace.as_ref().or(of_shape.xml_namespace.as_ref());
                let members = data.members().iter();
                request.body = xml_body::element(model, name.unwrap_or(&payload.name), namespace, members).into();
            }
            (None, _) if json => request.body = Bytes::from_static(b"{}"),
            (None, _) => {}
        }
        if !matches!(kind, Kind::Blob { .. } | Kind::String { .. }) {
            content_type(json, request);
        }
        return;
    }
    let in_body = || input.members().iter().filter(|(member, _)| member.location.is_none());
    let has_body_members = structure.members.iter().any(|member| member.location.is_none());
    if json && has_body_members {
        request.body = json::members_body(model, in_body()).into();
    } else if in_body().next().is_some() {
        let body = operation.input.as_ref();
        let name = body.and_then(|body| body.location_name.as_deref());
        let namespace = body.and_then(|body| body.xml_namespace.as_ref());
        let name = name.map_or_else(|| format!("{}Request", operation.name), str::to_owned);
        request.body = xml_body::element(model, &name, namespace, in_body()).into();
    }
    content_type(json, request);
}

fn content_type(json: bool, request: &mut WireRequest) {
    let given = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if json && !request.body.is_empty() && !given {
        request.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
}

/// A template with each `{Label}` replaced by the member of that wire name. `{Label+}` keeps its slashes.
fn labelled(
    template: &str,
    input: &Data<'_>,
    text: impl Fn(&Member, &Data<'_>) -> Option<String>,
) -> Result<String, Problem> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (label, after) = after.split_once('}').ok_or_else(|| Problem::new("a path is no template"))?;
        let greedy = label.ends_with('+');
        let label = label.trim_end_matches('+');
        let found = input
            .members()
            .iter()
            .find(|(member, _)| member.wire_name() == label && matches!(member.location, Some(Location::Uri)));
        let value = found.and_then(|(member, data)| text(member, data)).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| Problem::new(format!("The field '{label}' is required but was missing")))?;
        // A path of dots would lead elsewhere.
        if !greedy && matches!(value.as_str(), "." | "..") {
            return Err(Problem::new(format!("The value of the field '{label}' has an invalid format")));
        }
        out += before;
        out += &if greedy { percent_encode(&value).replace("%2F", "/") } else { percent_encode(&value) };
        rest = after;
    }
    Ok(out + rest)
}

/// The part of the host name that comes before the service's.
pub(super) fn host_prefix(template: &str, input: &Data<'_>) -> Result<String, Problem> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (label, after) = after.split_once('}').ok_or_else(|| Problem::new("a host is no template"))?;
        let value = input.member(label).and_then(Data::as_text);
        let value = value.ok_or_else(|| Problem::new(format!("The field '{label}' is required but was missing")))?;
        let fits = (1..=63).contains(&value.len())
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        if !fits || value.starts_with('.') {
            return Err(Problem::new(format!("The value of the field '{label}' has an invalid format")));
        }
        out += before;
        out += value;
        rest = after;
    }
    Ok(out + rest)
}

fn query(model: &ServiceModel, member: &Member, data: &Data<'_>, out: &mut Vec<(String, Option<String>)>) {
    let text = |value: &Data<'_>, shape: ShapeId| scalar(model, shape, value, TimestampFormat::Iso8601);
    match data {
        Data::Map(shape, entries) => {
            let Kind::Map { value: of_value, .. } = &model.shape(*shape).kind else { return };
            for (key, value) in entries {
                match value {
                    Data::List(_, items) => {
                        out.extend(items.iter().map(|item| (key.clone(), text(item, of_value.shape))));
                    }
                    value => out.push((key.clone(), text(value, of_value.shape))),
                }
            }
        }
        Data::List(shape, items) => {
            let Kind::List { member: of_item, .. } = &model.shape(*shape).kind else { return };
            out.extend(items.iter().map(|item| (member.wire_name().to_owned(), text(item, of_item.shape))));
        }
        data => out.push((member.wire_name().to_owned(), text(data, member.shape))),
    }
}

fn location_text(model: &ServiceModel, member: &Member, data: &Data<'_>) -> Option<String> {
    scalar(model, member.shape, data, TimestampFormat::Iso8601)
}

fn scalar(model: &ServiceModel, shape: ShapeId, data: &Data<'_>, default: TimestampFormat) -> Option<String> {
    Some(match data {
        Data::Text(text) => text.clone(),
        Data::Boolean(value) => value.to_string(),
        Data::Number(number) => number.to_string(),
        Data::Special(word) => (*word).to_owned(),
        Data::Blob(bytes) => STANDARD.encode(bytes),
        Data::Time(at) => match model.shape(shape).kind {
            Kind::Timestamp(Some(format)) => time::written(*at, format),
            _ => time::written(*at, default),
        },
        Data::Structure(_) | Data::List(..) | Data::Map(..) | Data::Document(_) => return None,
    })
}

fn header_text(model: &ServiceModel, member: &Member, data: &Data<'_>) -> Option<String> {
    if member.json_value {
        // A text is JSON already: that is how it is given where an object would be turned into text.
        return match data {
            Data::Text(text) => Some(STANDARD.encode(text)),
            Data::Document(value) => Some(STANDARD.encode(value.to_string())),
            _ => None,
        };
    }
    match data {
        Data::List(shape, items) => {
            let Kind::List { member: of_item, .. } = &model.shape(*shape).kind else { return None };
            let texts = items.iter().filter_map(|item| {
                let text = scalar(model, of_item.shape, item, TimestampFormat::Rfc822)?;
                let quoted = matches!(item, Data::Text(_)) && (text.contains('"') || text.contains(','));
                Some(if quoted { format!("\"{}\"", text.replace('"', "\\\"")) } else { text })
            });
            let texts: Vec<String> = texts.collect();
            (!texts.is_empty()).then(|| texts.join(","))
        }
        data => scalar(model, member.shape, data, TimestampFormat::Rfc822),
    }
}

/// Reads an answer.
pub(super) fn read(reader: &Reader<'_>, shape: ShapeId, answer: &Response) -> Result<Map<String, Value>, Problem> {
    let Some(structure) = reader.model.structure(shape) else { return Ok(Map::new()) };
    let mut members = Vec::new();
    for member in &structure.members {
        let value = match member.location {
            Some(Location::Header) => header(&answer.headers, member.wire_name())
                .map(|text| from_header(reader, member, &text))
                .transpose()?,
            Some(Location::Headers) => Some(prefixed_headers(member.wire_name(), answer)),
            Some(Location::Status) => Some(answer.status.as_u16().into()),
            Some(Location::Uri | Location::Query) | None => None,
        };
        members.extend(value.map(|value| (member.pascal.to_string(), value)));
    }
    let empty = answer.body.iter().all(u8::is_ascii_whitespace);
    let Some(payload) = structure.payload.as_deref().and_then(|name| structure.member(name)) else {
        if !empty {
            members.extend(body_structure(reader, shape, answer)?);
        }
        return Ok(sorted(members));
    };
    let mut last = None;
    match &reader.model.shape(payload.shape).kind {
        Kind::Blob { streaming, .. } => {
            let value = json::blob(reader.blobs, &answer.body);
            if *streaming || payload.streaming {
                last = Some((payload.pascal.to_string(), value));
            } else if !answer.body.is_empty() {
                members.push((payload.pascal.to_string(), value));
            }
        }
        Kind::String { .. } if answer.body.is_empty() => {}
        Kind::String { .. } => {
            members.push((payload.pascal.to_string(), json::blob(Blobs::Text, &answer.body)));
        }
        _ if empty => {}
        Kind::Structure(_) => {
            let inner = body_structure(reader, payload.shape, answer)?;
            members.push((payload.pascal.to_string(), Value::Object(inner)));
        }
        _ => members.push((payload.pascal.to_string(), json::read(reader, payload.shape, parsed_json(answer)?)?)),
    }
    let mut members = sorted(members);
    members.extend(last);
    Ok(members)
}

fn parsed_json(answer: &Response) -> Result<Value, Problem> {
    serde_json::from_slice(&answer.body).map_err(|error| Problem::new(format!("the answer is not JSON: {error}")))
}

fn body_structure(reader: &Reader<'_>, shape: ShapeId, answer: &Response) -> Result<Map<String, Value>, Problem> {
    if reader.model.protocol == Protocol::RestJson {
        json::structure(reader, shape, parsed_json(answer)?)
    } else {
        let root = xml::parse(&answer.body)?;
        // S3 answers GetBucketLocation with an element that is the member itself.
        if let Some(structure) = reader.model.structure(shape)
            && let [only] = structure.members.as_slice()
            && only.wire_name() == root.name
            && root.children.is_empty()
        {
            let value = if root.text.trim().is_empty() { None } else { Some(root.text.trim().into()) };
            return Ok(value.map(|value: Value| (only.pascal.to_string(), value)).into_iter().collect());
        }
        xml_body::structure(reader, shape, &root)
    }
}

fn prefixed_headers(prefix: &str, answer: &Response) -> Value {
    let prefix = prefix.to_ascii_lowercase();
    let found = answer.headers.iter().filter_map(|(name, value)| {
        let key = name.as_str().strip_prefix(&prefix)?;
        Some((key.to_owned(), Value::String(String::from_utf8_lossy(value.as_bytes()).into_owned())))
    });
    Value::Object(found.collect())
}

fn from_header(reader: &Reader<'_>, member: &Member, text: &str) -> Result<Value, Problem> {
    let described = reader.model.shape(member.shape);
    let wrong = || Problem::new(format!("the header {} is no {}", member.wire_name(), described.name));
    Ok(match &described.kind {
        Kind::Boolean => match text {
            "true" => true.into(),
            "false" => false.into(),
            _ => return Err(wrong()),
        },
        Kind::Integer(_) | Kind::Long(_) => text.trim().parse::<i64>().map_err(|_| wrong())?.into(),
        Kind::Float(_) | Kind::Double(_) => text.trim().parse::<f64>().map_err(|_| wrong())?.into(),
        Kind::Timestamp(_) => match time::parsed(text) {
            Some(at) => time::shown(at).into(),
            // S3 hands on whatever was stored as Expires.
            None => text.into(),
        },
        Kind::List { .. } => text.split(',').map(|item| Value::from(item.trim().trim_matches('"'))).collect(),
        Kind::String { .. } if member.json_value => {
            let decoded = STANDARD.decode(text).map_err(|_| wrong())?;
            String::from_utf8_lossy(&decoded).into_owned().into()
        }
        _ => text.into(),
    })
}
