//! A small HTTP client for the verbs that talk to a server. It sends unsigned requests, which a server on loopback
//! takes for its own account and region.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use super::Failure;

/// Where a server is, unless told otherwise.
pub(super) const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8083";

/// Talks to one server.
pub(super) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    endpoint: String,
}

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) message: String,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let Refused { code, message } = refused;
        Failure::Failed(if code.is_empty() { message } else { format!("{code}: {message}") })
    }
}

impl Client {
    /// A client of the server at this URL.
    pub(super) fn new(endpoint: &str) -> Result<Self, Failure> {
        let wrong =
            |rule: &str| Failure::Usage(format!("the endpoint {endpoint:?} {rule}, such as {DEFAULT_ENDPOINT}"));
        let uri: Uri = endpoint.parse().map_err(|_| wrong("is no URL; it must be one"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            return Err(wrong("must be an http:// URL with host and port"));
        }
        if uri.path() != "/" && !uri.path().is_empty() {
            return Err(wrong("must not have a path"));
        }
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        Ok(Self { http, endpoint: endpoint.trim_end_matches('/').to_owned() })
    }

    /// Calls an operation of the API.
    pub(super) async fn operation(&self, name: &str, input: &Value) -> Result<Result<Value, Refused>, Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.endpoint))
            .header("content-type", stepwright_api::CONTENT_TYPE)
            .header("x-amz-target", format!("AWSStepFunctions.{name}"));
        self.send(request, input.to_string()).await
    }

    /// Reads or changes something at a path of the server's own.
    pub(super) async fn admin(&self, method: Method, path: &str) -> Result<Result<Value, Refused>, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header("content-type", "application/json");
        self.send(request, String::new()).await
    }

    /// Asks for something long at a path of the server's own. Its pieces come as the server has them.
    pub(super) async fn stream(&self, path: &str) -> Result<Result<hyper::body::Incoming, Refused>, Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.endpoint))
            .header("content-type", "application/json")
            .body(Full::default())
            .map_err(|error| Failure::Usage(format!("cannot be asked for: {error}")))?;
        let answer = self.http.request(request).await.map_err(|error| self.unreachable(&error))?;
        if answer.status() == StatusCode::OK {
            return Ok(Ok(answer.into_body()));
        }
        Ok(Err(refusal(&self.value(answer).await?)))
    }

    /// Posts JSON to a path that is not of our own API, and gives the answer as it is.
    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Failure> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.endpoint))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request =
            request.body(Full::from(body)).map_err(|error| Failure::Usage(format!("cannot be asked for: {error}")))?;
        let (head, body) = self.http.request(request).await.map_err(|error| self.unreachable(&error))?.into_parts();
        let body = body.collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
        Ok((head.status, head.headers, body))
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Failure {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = cause.to_string();
            source = cause.source();
        }
        Failure::Failed(format!("no answer from {}: {reason}; is `stepwright serve` running there?", self.endpoint))
    }

    async fn send(
        &self,
        request: hyper::http::request::Builder,
        body: String,
    ) -> Result<Result<Value, Refused>, Failure> {
        let request =
            request.body(Full::from(body)).map_err(|error| Failure::Usage(format!("cannot be asked for: {error}")))?;
        let answer = self.http.request(request).await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let value = self.value(answer).await?;
        Ok(if status == StatusCode::OK { Ok(value) } else { Err(refusal(&value)) })
    }

    /// A short answer.
    async fn value(&self, answer: hyper::Response<hyper::body::Incoming>) -> Result<Value, Failure> {
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| {
            Failure::Failed(format!(
                "{} answered {status} with something that is not JSON: is it Stepwright?",
                self.endpoint
            ))
        })
    }
}

fn refusal(value: &Value) -> Refused {
    let text = |member: &str| value[member].as_str().unwrap_or_default().to_owned();
    let code = text("__type").rsplit('#').next().unwrap_or_default().to_owned();
    let message =
        Some(text("message")).filter(|message| !message.is_empty()).unwrap_or_else(|| json!(value).to_string());
    Refused { code, message }
}

/// A part of a path, percent-encoded: ARNs hold letters of any script, and slashes.
pub(super) fn path_segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_http_urls_without_a_path() {
        for right in ["http://127.0.0.1:8083", "http://localhost:8083/"] {
            assert!(Client::new(right).is_ok(), "{right}");
        }
        for wrong in ["127.0.0.1:8083", "https://127.0.0.1", "http://127.0.0.1/x", "", "http://"] {
            assert!(matches!(Client::new(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn arns_become_one_path_segment() {
        assert_eq!(path_segment("arn:aws:states:r:1:execution:m/l:ü"), "arn:aws:states:r:1:execution:m%2Fl:%C3%BC");
    }
}
