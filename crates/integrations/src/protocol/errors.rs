//! Answers that say no, by protocol.

use hyper::{HeaderMap, StatusCode};

use super::{cbor, header, xml};
use crate::{
    error::{ServiceError, bare_code, request_id},
    model::Protocol,
};

/// Reads an answer that says no. Whatever it holds, there is an error: what can't be read is `Unknown`.
#[must_use]
pub fn read_error(protocol: Protocol, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ServiceError {
    let mut error = match protocol {
        Protocol::Json | Protocol::RestJson => ServiceError::from_json(status, headers, body),
        Protocol::Cbor => match cbor::parse(body).map(cbor::plain) {
            Ok(value) => ServiceError::from_json(status, headers, value.to_string().as_bytes()),
            Err(_) => ServiceError::from_json(status, headers, b""),
        },
        Protocol::RestXml | Protocol::Query | Protocol::Ec2 => from_xml(status, headers, body),
    };
    // A service that once spoke Query keeps the codes that it had then.
    if matches!(protocol, Protocol::Json | Protocol::Cbor)
        && let Some(code) = header(headers, "x-amzn-query-error")
        && let Some(code) = code.split(';').next().filter(|code| !code.is_empty())
    {
        error.exception = Some(std::mem::replace(&mut error.code, code.to_owned()));
    }
    error
}

fn from_xml(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ServiceError {
    let root = xml::parse(body).unwrap_or_default();
    // `<ErrorResponse><Error>`, EC2's `<Response><Errors><Error>`, S3's `<Error>`.
    let inner = root.child("Error").or_else(|| root.child("Errors").and_then(|errors| errors.child("Error")));
    let error = inner.unwrap_or(&root);
    let code = error.text_of("Code").map(bare_code).filter(|code| !code.is_empty());
    let of_status = || match status.as_u16() {
        // S3 answers HEAD without a body.
        301 => "PermanentRedirect",
        304 => "NotModified",
        403 => "Forbidden",
        404 => "NotFound",
        _ => "Unknown",
    };
    let id = |names: &[&str]| {
        names.iter().find_map(|name| root.text_of(name).or_else(|| error.text_of(name))).map(str::to_owned)
    };
    ServiceError {
        status,
        code: code.unwrap_or_else(of_status).to_owned(),
        exception: None,
        message: error.text_of("Message").map(str::to_owned),
        request_id: id(&["RequestId", "RequestID"]).or_else(|| request_id(headers)),
        extended_request_id: header(headers, "x-amz-id-2")
            .map(std::borrow::Cow::into_owned)
            .or_else(|| id(&["HostId"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        protocol: Protocol,
        headers: &[(&'static str, &str)],
        body: &[u8],
        expected: (&str, Option<&str>, Option<&str>),
    ) {
        let headers = headers.iter().map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), value.parse().expect("a header value"))
        });
        let found = read_error(protocol, StatusCode::BAD_REQUEST, &headers.collect(), body);
        assert_eq!((found.code.as_str(), found.message.as_deref(), found.request_id.as_deref()), expected);
    }

    #[test]
    fn each_protocol_has_its_own_kind() {
        check(
            Protocol::Query,
            &[],
            b"<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>No.</Message></Error><RequestId>r</RequestId></ErrorResponse>",
            ("NotFound", Some("No."), Some("r")),
        );
        check(
            Protocol::Ec2,
            &[],
            b"<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>m</Message></Error></Errors><RequestID>r</RequestID></Response>",
            ("InvalidVpcID.NotFound", Some("m"), Some("r")),
        );
        check(
            Protocol::RestXml,
            &[("x-amz-request-id", "h")],
            b"<Error><Code>NoSuchKey</Code><Message>m</Message><Key>k</Key></Error>",
            ("NoSuchKey", Some("m"), Some("h")),
        );
        check(
            Protocol::Json,
            &[("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender"), ("x-amzn-requestid", "r")],
            br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"m"}"#,
            ("AWS.SimpleQueueService.NonExistentQueue", Some("m"), Some("r")),
        );
        check(Protocol::Cbor, &[], b"\xa1\x66__type\x63a#B", ("B", None, None));
        for protocol in [Protocol::Cbor, Protocol::Json, Protocol::Query, Protocol::RestXml] {
            check(protocol, &[], b"\xff<html>", ("Unknown", None, None));
        }
    }
}
