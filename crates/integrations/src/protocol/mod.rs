//! From parameters to requests and from answers to results, by a service's model: AWS JSON, REST with JSON and XML,
//! the Query protocol and EC2's, CBOR. Pure: bytes and values in, bytes and values out. No client, no clock.

mod cbor;
pub mod data;
mod errors;
mod form;
mod json;
mod rest;
mod time;
mod xml;
mod xml_body;

use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::{Map, Value};

pub use self::{
    data::{Blobs, Data, Problem, Unknown},
    errors::read_error,
};
use crate::{
    client::Response,
    model::{Operation, Protocol, ServiceModel},
};

/// Levels that an answer may nest.
const MAX_DEPTH: usize = 120;

/// A request as the protocol writes it: without host, signature and checksums.
#[derive(Clone, Debug, PartialEq)]
pub struct WireRequest {
    /// The method.
    pub method: String,
    /// The path, encoded.
    pub path: String,
    /// Names and values of the query, as they are before they are encoded; a name without a value stands alone.
    pub query: Vec<(String, Option<String>)>,
    /// The headers of the protocol.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The part of the host name that comes before the service's.
    pub host_prefix: Option<String>,
}

/// Writes a request.
///
/// # Errors
/// A value can't stand where it should: it is missing in the path, or no header can hold it.
pub fn encode(model: &ServiceModel, operation: &Operation, input: &Data<'_>) -> Result<WireRequest, Problem> {
    let host_prefix = operation.host_prefix.as_deref().map(|prefix| rest::host_prefix(prefix, input)).transpose()?;
    let mut request = WireRequest {
        method: operation.method.to_string(),
        path: "/".to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Bytes::new(),
        host_prefix,
    };
    let mut header = |name: &str, value: String| request.headers.push((name.to_owned(), value));
    match model.protocol {
        Protocol::Json => {
            let target = model.target_prefix.as_deref().unwrap_or(&model.endpoint_prefix);
            header("X-Amz-Target", format!("{target}.{}", operation.name));
            header("Content-Type", format!("application/x-amz-json-{}", model.json_version));
            query_mode(model, &mut header);
            request.body = json::body(model, input).into();
        }
        Protocol::Cbor => {
            let target = model.target_prefix.as_deref().unwrap_or(&model.endpoint_prefix);
            header("smithy-protocol", "rpc-v2-cbor".to_owned());
            query_mode(model, &mut header);
            header("Accept", "application/cbor".to_owned());
            if operation.input.is_some() {
                header("Content-Type", "application/cbor".to_owned());
                request.body = cbor::body(model, input).into();
            }
            request.method = "POST".to_owned();
            request.path = format!("/service/{target}/operation/{}", operation.name);
        }
        Protocol::Query | Protocol::Ec2 => {
            header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8".to_owned());
            request.body = form::body(model, operation, input).into();
        }
        Protocol::RestJson | Protocol::RestXml => rest::fill(model, operation, input, &mut request)?,
    }
    Ok(request)
}

/// Asks services that once spoke Query for the error codes that they had then.
fn query_mode(model: &ServiceModel, header: &mut impl FnMut(&str, String)) {
    if model.query_compatible {
        header("x-amzn-query-mode", "true".to_owned());
    }
}

/// Reads the answer of a call that succeeded: the result as a state gets it, members in the spelling of definitions and
/// in alphabetical order, a body that streams last (AWS: recorded).
///
/// # Errors
/// The body is not what the model says.
pub fn decode(
    model: &ServiceModel,
    operation: &Operation,
    blobs: Blobs,
    answer: &Response,
) -> Result<Map<String, Value>, Problem> {
    let Some(output) = &operation.output else { return Ok(Map::new()) };
    let reader = Reader { model, blobs };
    let empty = answer.body.iter().all(u8::is_ascii_whitespace);
    match model.protocol {
        _ if empty && matches!(model.protocol, Protocol::Json | Protocol::Cbor | Protocol::Query | Protocol::Ec2) => {
            Ok(Map::new())
        }
        Protocol::Json => {
            let value = serde_json::from_slice(&answer.body).map_err(|error| Problem::new(format!("{error}")))?;
            json::structure(&reader, output.shape, value)
        }
        Protocol::Cbor => cbor::structure(&reader, output.shape, &answer.body),
        Protocol::Query => {
            let root = xml::parse(&answer.body)?;
            let inner = output.result_wrapper.as_deref().and_then(|name| root.child(name));
            xml_body::structure(&reader, output.shape, inner.unwrap_or(&root))
        }
        Protocol::Ec2 => {
            let mut root = xml::parse(&answer.body)?;
            // The request's id is part of every answer and of no output.
            root.children.retain(|child| child.name != "requestId");
            xml_body::structure(&reader, output.shape, &root)
        }
        Protocol::RestJson | Protocol::RestXml => rest::read(&reader, output.shape, answer),
    }
}

/// What reading an answer needs to know.
#[derive(Clone, Copy)]
struct Reader<'m> {
    model: &'m ServiceModel,
    blobs: Blobs,
}

/// A header's value as text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// The members of a result in AWS's order.
fn sorted(mut members: Vec<(String, Value)>) -> Map<String, Value> {
    members.sort_by(|a, b| a.0.cmp(&b.0));
    members.into_iter().collect()
}
