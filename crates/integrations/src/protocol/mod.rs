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

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::model;

    /// Numbers that look random and are the same in every run.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn no_answer_makes_reading_panic() {
        let json = br#"{"Item":{"a":{"M":{"b":{"L":[{"B":"AA=="},{"N":"1"},{"BOOL":true}]}}}},"ConsumedCapacity":{"CapacityUnits":1.5}}"#;
        let s3 =
            b"<ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated><Contents><Key>a&amp;b</Key><Size>1</Size>\
            <LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>";
        let iam =
            b"<ListUsersResponse><ListUsersResult><Users><member><UserName>u</UserName><Tags><member><Key>k</Key>\
            <Value>v</Value></member></Tags></member></Users></ListUsersResult></ListUsersResponse>";
        let ec2 =
            b"<DescribeVpcsResponse><requestId>r</requestId><vpcSet><item><vpcId>v</vpcId><isDefault>true</isDefault>\
            </item></vpcSet></DescribeVpcsResponse>";
        let cbor = b"\xbf\x6aEventBuses\x81\xbf\x64Name\x61a\x6cCreationTime\xc1\x1a\x65\x00\x00\x00\xff\xff";
        let samples: [(&str, &str, &[u8]); 5] = [
            ("dynamodb", "getItem", json),
            ("s3", "listObjectsV2", s3),
            ("iam", "listUsers", iam),
            ("ec2", "describeVpcs", ec2),
            ("eventbridgev2", "listEventBuses", cbor),
        ];
        let mut state = 0x9E37_79B9_7F4A_7C15;
        for (service, action, sample) in samples {
            let model = model::service(service).expect(service);
            let operation = model.operation(action).expect(action);
            let answer = |body: &[u8]| Response {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::copy_from_slice(body),
            };
            let whole = decode(&model, operation, Blobs::Text, &answer(sample)).expect(service);
            assert!(!whole.is_empty(), "{service}");
            let mut refused = 0;
            for _ in 0..4_000 {
                let mut body = sample.to_vec();
                for _ in 0..=next(&mut state) % 4 {
                    let place = usize::try_from(next(&mut state)).unwrap_or(0) % body.len().max(1);
                    match next(&mut state) % 4 {
                        0 => body.truncate(place),
                        1 if place < body.len() => body[place] = next(&mut state).to_le_bytes()[0],
                        2 if place < body.len() => drop(body.remove(place)),
                        _ => body.insert(place.min(body.len()), next(&mut state).to_le_bytes()[0]),
                    }
                }
                refused += usize::from(decode(&model, operation, Blobs::Text, &answer(&body)).is_err());
                let error = read_error(model.protocol, StatusCode::BAD_REQUEST, &HeaderMap::new(), &body);
                assert!(!error.code.is_empty());
            }
            assert!(refused > 100, "{service}: {refused}");
        }
    }
}
