//! A model's JSON, as the pack has it, becomes a [`ServiceModel`].

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Body, Bounds, Checksum, Element, Exception, Kind, Location, Member, Operation, Protocol, ServiceModel, Shape,
    ShapeId, Structure, TimestampFormat, XmlNamespace, names,
};

type Text = Box<str>;

#[derive(Deserialize)]
struct RawModel {
    metadata: RawMetadata,
    shapes: Vec<RawShape>,
    operations: Vec<RawOperation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    service_id: Text,
    api_version: Text,
    endpoint_prefix: Text,
    signing_name: Option<Text>,
    protocol: Text,
    json_version: Option<Text>,
    target_prefix: Option<Text>,
    xml_namespace: Option<RawNamespace>,
    aws_query_compatible: Option<Value>,
    checksum_format: Option<Text>,
}

/// Some models give the name alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawNamespace {
    Name(Text),
    Full { uri: Text, prefix: Option<Text> },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOperation {
    name: Text,
    http: RawHttp,
    input: Option<RawBody>,
    output: Option<RawBody>,
    #[serde(default)]
    errors: Vec<u32>,
    endpoint: Option<RawEndpoint>,
    authtype: Option<Text>,
    #[serde(default)]
    unsigned_payload: bool,
    http_checksum: Option<RawChecksum>,
    #[serde(default)]
    http_checksum_required: bool,
    requestcompression: Option<Value>,
    #[serde(default)]
    static_context_params: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHttp {
    method: Text,
    request_uri: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEndpoint {
    host_prefix: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawChecksum {
    request_algorithm_member: Option<Text>,
    #[serde(default)]
    request_checksum_required: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBody {
    shape: u32,
    location_name: Option<Text>,
    xml_namespace: Option<RawNamespace>,
    result_wrapper: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawShape {
    name: Text,
    r#type: Text,
    #[serde(default)]
    members: Vec<RawMember>,
    #[serde(default)]
    required: Vec<Text>,
    payload: Option<Text>,
    #[serde(default)]
    union: bool,
    #[serde(default)]
    exception: bool,
    error: Option<RawError>,
    #[serde(default)]
    eventstream: bool,
    member: Option<RawMember>,
    key: Option<RawMember>,
    value: Option<RawMember>,
    #[serde(default)]
    flattened: bool,
    min: Option<f64>,
    max: Option<f64>,
    pattern: Option<Text>,
    #[serde(default)]
    r#enum: Vec<Text>,
    #[serde(default)]
    streaming: bool,
    timestamp_format: Option<Text>,
    #[serde(default)]
    document: bool,
    location_name: Option<Text>,
    xml_namespace: Option<RawNamespace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawError {
    code: Option<Text>,
    http_status_code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMember {
    #[serde(default)]
    name: Text,
    shape: u32,
    location: Option<Text>,
    location_name: Option<Text>,
    query_name: Option<Text>,
    #[serde(default)]
    flattened: bool,
    #[serde(default)]
    xml_attribute: bool,
    xml_namespace: Option<RawNamespace>,
    #[serde(default)]
    idempotency_token: bool,
    #[serde(default)]
    host_label: bool,
    context_param: Option<RawContext>,
    #[serde(default)]
    jsonvalue: bool,
    #[serde(default)]
    streaming: bool,
}

#[derive(Deserialize)]
struct RawContext {
    name: Text,
}

/// Reads a model.
///
/// # Errors
/// It is not what the pack's maker writes.
pub(super) fn model(json: &[u8], rules: usize) -> Result<ServiceModel, String> {
    let RawModel { metadata, shapes, operations } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let protocol = match &*metadata.protocol {
        "json" => Protocol::Json,
        "rest-json" => Protocol::RestJson,
        "rest-xml" => Protocol::RestXml,
        "query" => Protocol::Query,
        "ec2" => Protocol::Ec2,
        "smithy-rpc-v2-cbor" => Protocol::Cbor,
        other => return Err(format!("the protocol {other} is unknown")),
    };
    let count = u32::try_from(shapes.len()).unwrap_or(u32::MAX);
    let shapes = shapes.into_iter().map(|raw| shape(raw, count)).collect::<Result<Vec<_>, _>>()?;
    let mut operations: Vec<Operation> = operations.into_iter().map(operation).collect();
    for operation in &mut operations {
        let ends = [&operation.input, &operation.output].into_iter().flatten().map(|body| body.shape);
        if ends.clone().chain(operation.errors.iter().copied()).any(|id| id.0 >= count) {
            return Err(format!("{} refers to a shape that is not there", operation.name));
        }
        operation.event_stream = ends.into_iter().any(|id| streams_events(&shapes, id));
    }
    let by_action = operations.iter().enumerate().map(|(place, found)| (found.action.clone(), place));
    Ok(ServiceModel {
        name: names::service(&metadata.service_id).into(),
        class: names::class(&metadata.service_id).into(),
        id: metadata.service_id,
        protocol,
        api_version: metadata.api_version,
        signing_name: metadata.signing_name.unwrap_or_else(|| metadata.endpoint_prefix.clone()),
        endpoint_prefix: metadata.endpoint_prefix,
        target_prefix: metadata.target_prefix,
        json_version: metadata.json_version.unwrap_or_else(|| "1.0".into()),
        xml_namespace: metadata.xml_namespace.map(|found| namespace(found).uri),
        query_compatible: metadata.aws_query_compatible.is_some(),
        checksum_format: metadata.checksum_format,
        rules,
        by_action: by_action.collect::<HashMap<_, _>>(),
        operations,
        shapes,
    })
}

fn streams_events(shapes: &[Shape], id: ShapeId) -> bool {
    let structure = |id: ShapeId| match &shapes[id.0 as usize].kind {
        Kind::Structure(structure) => Some(structure),
        _ => None,
    };
    structure(id).is_some_and(|body| {
        body.members.iter().any(|member| structure(member.shape).is_some_and(|inner| inner.event_stream))
    })
}

fn operation(raw: RawOperation) -> Operation {
    let authtype = raw.authtype.as_deref();
    let required = raw.http_checksum.as_ref().is_some_and(|checksum| checksum.request_checksum_required);
    Operation {
        action: names::action(&raw.name).into(),
        name: raw.name,
        method: raw.http.method,
        uri: raw.http.request_uri,
        input: raw.input.map(body),
        output: raw.output.map(body),
        errors: raw.errors.into_iter().map(ShapeId).collect(),
        host_prefix: raw.endpoint.and_then(|endpoint| endpoint.host_prefix),
        unauthenticated: authtype == Some("none"),
        unsigned_body: raw.unsigned_payload || authtype == Some("v4-unsigned-body"),
        checksum_required: required || raw.http_checksum_required,
        checksum: raw.http_checksum.map(|raw| Checksum { algorithm_member: raw.request_algorithm_member }),
        compressed: raw.requestcompression.is_some(),
        event_stream: false,
        static_context: raw
            .static_context_params
            .into_iter()
            .filter_map(|(name, mut value)| Some((name.into(), value.get_mut("value")?.take())))
            .collect(),
    }
}

fn body(raw: RawBody) -> Body {
    Body {
        shape: ShapeId(raw.shape),
        location_name: raw.location_name,
        xml_namespace: raw.xml_namespace.map(namespace),
        result_wrapper: raw.result_wrapper,
    }
}

fn namespace(raw: RawNamespace) -> XmlNamespace {
    match raw {
        RawNamespace::Name(uri) => XmlNamespace { uri, prefix: None },
        RawNamespace::Full { uri, prefix } => XmlNamespace { uri, prefix },
    }
}

fn shape(raw: RawShape, count: u32) -> Result<Shape, String> {
    let members = raw.members.iter().chain(&raw.member).chain(&raw.key).chain(&raw.value);
    if members.into_iter().any(|member| member.shape >= count) {
        return Err(format!("{} refers to a shape that is not there", raw.name));
    }
    let bounds = Bounds { min: raw.min, max: raw.max };
    let element = |member: Option<RawMember>| match member {
        Some(member) => Ok(Element { shape: ShapeId(member.shape), location_name: member.location_name }),
        None => Err(format!("{} lacks its elements", raw.name)),
    };
    let kind = match &*raw.r#type {
        "structure" if raw.document => Kind::Document,
        "structure" => {
            let required = raw.required;
            let error = raw.error;
            let exception = raw.exception.then(|| {
                let (code, status) = error.map_or((None, None), |error| (error.code, error.http_status_code));
                Exception { code: code.unwrap_or_else(|| raw.name.clone()), status }
            });
            Kind::Structure(Structure {
                members: raw.members.into_iter().map(|raw| member(raw, &required)).collect(),
                payload: raw.payload,
                union: raw.union,
                exception,
                event_stream: raw.eventstream,
            })
        }
        "list" => Kind::List { member: element(raw.member)?, flattened: raw.flattened, bounds },
        "map" => Kind::Map { key: element(raw.key)?, value: element(raw.value)?, flattened: raw.flattened, bounds },
        "string" | "character" => Kind::String { pattern: raw.pattern, values: raw.r#enum, bounds },
        "blob" => Kind::Blob { streaming: raw.streaming, bounds },
        "boolean" => Kind::Boolean,
        "integer" | "short" | "byte" => Kind::Integer(bounds),
        "long" | "biginteger" => Kind::Long(bounds),
        "float" => Kind::Float(bounds),
        "double" | "bigdecimal" => Kind::Double(bounds),
        "timestamp" => Kind::Timestamp(match raw.timestamp_format.as_deref() {
            None => None,
            Some("iso8601") => Some(TimestampFormat::Iso8601),
            Some("rfc822") => Some(TimestampFormat::Rfc822),
            Some("unixTimestamp") => Some(TimestampFormat::Unix),
            Some(other) => return Err(format!("the timestamp format {other} is unknown")),
        }),
        other => return Err(format!("the kind of shape {other} is unknown")),
    };
    Ok(Shape {
        name: raw.name,
        kind,
        location_name: raw.location_name,
        xml_namespace: raw.xml_namespace.map(namespace),
    })
}

fn member(raw: RawMember, required: &[Text]) -> Member {
    Member {
        pascal: names::capitalized(&raw.name).into(),
        required: required.contains(&raw.name),
        name: raw.name,
        shape: ShapeId(raw.shape),
        location: raw.location.as_deref().and_then(|location| match location {
            "uri" => Some(Location::Uri),
            "querystring" => Some(Location::Query),
            "header" => Some(Location::Header),
            "headers" => Some(Location::Headers),
            "statusCode" => Some(Location::Status),
            _ => None,
        }),
        location_name: raw.location_name,
        query_name: raw.query_name,
        flattened: raw.flattened,
        xml_attribute: raw.xml_attribute,
        xml_namespace: raw.xml_namespace.map(namespace),
        idempotency_token: raw.idempotency_token,
        host_label: raw.host_label,
        context_param: raw.context_param.map(|context| context.name),
        json_value: raw.jsonvalue,
        streaming: raw.streaming,
    }
}
