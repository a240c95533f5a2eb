//! What goes wrong on the way to a service, in the words that a state sees.
//!
//! Two kinds: [`Error`], a call that brought no answer, and [`ServiceError`], an answer that says no. Both know the
//! text that AWS's own client would have given; neither knows which service it was, since the connector names it.
//! Nothing here decides about retries of a state.

use hyper::{HeaderMap, StatusCode};
use serde_json::Value;
use stepwright_engine::ConnectorFailure;

/// A configuration that can't be used. The process should not start with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value:?}: {rule}")]
pub struct ConfigError {
    /// The environment variable.
    pub variable: String,
    /// What it holds.
    pub value: String,
    /// What it should be.
    pub rule: &'static str,
}

/// A call that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No credentials to sign with. Nothing was sent.
    #[error("Unable to load AWS credentials from any provider in the chain: {reason}")]
    NoCredentials {
        /// Why.
        reason: String,
    },
    /// The role of the state's `Credentials` could not be assumed. Nothing was sent.
    #[error("the role {role} could not be assumed: {reason}")]
    RoleRefused {
        /// The role.
        role: String,
        /// What the token service said.
        reason: String,
    },
    /// The request can't be made as asked (a region that is none, a header that is none). Nothing was sent.
    #[error("{reason}")]
    Unsendable {
        /// Why.
        reason: String,
    },
    /// No connection. Nothing was sent.
    #[error("Unable to execute HTTP request: {reason}")]
    NotConnected {
        /// Why.
        reason: String,
    },
    /// The request was sent, at least in part, and no whole answer came: nobody knows whether it was carried out.
    #[error("Unable to execute HTTP request: {reason}")]
    NoAnswer {
        /// Why.
        reason: String,
    },
    /// The request was sent and no answer came in time.
    #[error("Client execution did not complete before the specified timeout configuration.")]
    TimedOut,
    /// The answer is longer than any task result may be. It was not read to its end.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// Whether the service can't have seen the request, so that sending it again can't make it happen twice.
    #[must_use]
    pub fn nothing_sent(&self) -> bool {
        match self {
            Self::NoCredentials { .. }
            | Self::RoleRefused { .. }
            | Self::Unsendable { .. }
            | Self::NotConnected { .. } => true,
            Self::NoAnswer { .. } | Self::TimedOut | Self::TooLong { .. } => false,
        }
    }
}

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The error code, such as `ResourceNotFoundException`; `Unknown` if the answer has none.
    pub code: String,
    /// The exception's own name, where the code is that of an older protocol.
    pub exception: Option<String>,
    /// The message, if the answer has one.
    pub message: Option<String>,
    /// The request's id, if the answer has one.
    pub request_id: Option<String>,
    /// S3's second id of the request.
    pub extended_request_id: Option<String>,
}

impl ServiceError {
    /// Reads the answer of a REST-JSON or AWS-JSON service.
    #[must_use]
    pub fn from_json(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let member = |names: &[&str]| names.iter().find_map(|name| body.get(name)?.as_str()).map(str::to_owned);
        let code = header(headers, "x-amzn-errortype")
            .or_else(|| member(&["__type", "code", "Code"]))
            .as_deref()
            .map(bare_code)
            .filter(|code| !code.is_empty())
            .unwrap_or("Unknown")
            .to_owned();
        let message = member(&["message", "Message", "errorMessage"]);
        Self { status, code, exception: None, message, request_id: request_id(headers), extended_request_id: None }
    }

    /// The cause as optimized integrations give it (AWS: recorded), `service` being the name in AWS's first Java SDK.
    #[must_use]
    pub fn cause(&self, service: &str) -> String {
        format!(
            "{} (Service: {service}; Status Code: {}; Error Code: {}; Request ID: {}; Proxy: null)",
            self.message.as_deref().unwrap_or("null"),
            self.status.as_u16(),
            self.code,
            self.request_id.as_deref().unwrap_or("null"),
        )
    }

    /// The cause as SDK integrations give it (AWS: recorded), `service` being the service's id in AWS's second Java SDK.
    #[must_use]
    pub fn sdk_cause(&self, service: &str) -> String {
        let message = self.message.as_deref().unwrap_or("null");
        let request_id = self.request_id.as_deref().unwrap_or("null");
        let extended = self.extended_request_id.as_ref().map(|id| format!(", Extended Request ID: {id}"));
        let status = self.status.as_u16();
        format!(
            "{message} (Service: {service}, Status Code: {status}, Request ID: {request_id}{})",
            extended.unwrap_or_default()
        )
    }

    /// Whether the service refused because of too many requests: it did not carry the request out.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || matches!(
                self.code.as_str(),
                "TooManyRequestsException"
                    | "Throttling"
                    | "ThrottlingException"
                    | "ThrottledException"
                    | "RequestThrottled"
                    | "RequestThrottledException"
                    | "RequestLimitExceeded"
                    | "BandwidthLimitExceeded"
                    | "EC2ThrottledException"
                    | "PriorRequestNotComplete"
                    | "ProvisionedThroughputExceededException"
                    | "SlowDown"
                    | "TransactionInProgressException"
            )
    }
}

/// The id that a service gave the request.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    header(headers, "x-amzn-requestid").or_else(|| header(headers, "x-amz-request-id"))
}

/// `namespace#Code:http://…` without what stands around the code.
pub(crate) fn bare_code(text: &str) -> &str {
    let text = text.split(':').next().unwrap_or_default();
    text.rsplit('#').next().unwrap_or_default().trim()
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Error names and causes are limited; AWS cuts what is longer.
const MAX_ERROR_CHARS: usize = 256;
const MAX_CAUSE_CHARS: usize = 32_768;

/// A failure of a task, its texts cut to what a history may hold.
#[must_use]
pub fn failure(error: &str, cause: &str) -> ConnectorFailure {
    ConnectorFailure::new(cut(error, MAX_ERROR_CHARS), cut(cause, MAX_CAUSE_CHARS))
}

fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(error_type: Option<&'static str>, body: &str) -> ServiceError {
        let mut headers = HeaderMap::new();
        if let Some(value) = error_type {
            headers.insert("x-amzn-ErrorType", value.parse().expect("a header value"));
        }
        headers.insert("x-amzn-RequestId", "r-1".parse().expect("a header value"));
        ServiceError::from_json(StatusCode::NOT_FOUND, &headers, body.as_bytes())
    }

    #[test]
    fn codes_and_messages() {
        let check = |error_type, body, code: &str, message: Option<&str>| {
            let found = error(error_type, body);
            assert_eq!((found.code.as_str(), found.message.as_deref()), (code, message), "{error_type:?} {body}");
        };
        check(Some("A"), r#"{"Message":"m"}"#, "A", Some("m"));
        check(Some("A:http://internal.amazon.com/coral/"), r#"{"message":"m"}"#, "A", Some("m"));
        check(None, r#"{"__type":"com.amazon.coral.service#B","message":"m"}"#, "B", Some("m"));
        check(None, r#"{"code":"C"}"#, "C", None);
        check(None, "<html>", "Unknown", None);
        check(Some(""), "", "Unknown", None);
    }

    #[test]
    fn causes_read_as_those_of_the_java_sdk() {
        assert_eq!(
            error(Some("A"), r#"{"Message":"No."}"#).cause("AWSLambda"),
            "No. (Service: AWSLambda; Status Code: 404; Error Code: A; Request ID: r-1; Proxy: null)"
        );
        assert_eq!(
            error(None, "").cause("AWSLambda"),
            "null (Service: AWSLambda; Status Code: 404; Error Code: Unknown; Request ID: r-1; Proxy: null)"
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let found = failure(&"é".repeat(300), &"é".repeat(40_000));
        assert_eq!(found.error.expect("an error").chars().count(), 256);
        assert_eq!(found.cause.expect("a cause").chars().count(), 32_768);
    }
}
