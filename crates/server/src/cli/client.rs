//! The one way in which verbs talk to an endpoint: a server of ours, another, or AWS itself.
//!
//! Requests to loopback are not signed, and a server there takes them for its own account and region. All others are
//! signed with the credentials that the AWS CLI would use.

use std::time::SystemTime;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use stepwright_integrations::{
    client::{HttpClient, HttpLimits},
    credentials::CredentialSource,
    endpoint::{Endpoint, ServiceEndpoint},
    signing::{Signing, sign_request},
};

use super::Failure;

/// Where a server is, unless told otherwise.
pub(super) const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8083";

/// The longest answer that is read: a page of a history can hold a thousand payloads.
const MAX_ANSWER_BYTES: usize = 512 << 20;

/// Where to.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct EndpointArgs {
    /// The server [default: AWS_ENDPOINT_URL_SFN, AWS_ENDPOINT_URL, or http://127.0.0.1:8083]
    #[arg(
        long,
        global = true,
        visible_alias = "endpoint",
        value_name = "URL",
        env = "STEPWRIGHT_ENDPOINT",
        hide_env = true
    )]
    endpoint_url: Option<String>,
    /// The region to sign for [default: the endpoint's, AWS_REGION, or AWS_DEFAULT_REGION]
    #[arg(long, global = true, value_name = "REGION")]
    region: Option<String>,
}

impl EndpointArgs {
    /// The client of the endpoint.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoint = self
            .endpoint_url
            .clone()
            .or_else(|| variable("AWS_ENDPOINT_URL_SFN"))
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        Client::of(endpoint.trim(), self.region.as_deref())
    }
}

/// Talks to one server.
pub(super) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    endpoint: String,
    signer: Option<Signer>,
}

/// Calls that are signed.
struct Signer {
    http: HttpClient,
    credentials: CredentialSource,
    signing: Signing,
    place: Endpoint,
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
        Self::of(endpoint, None)
    }

    /// `region`: what to sign for; none: the endpoint's own or the environment's, and on loopback nothing is signed.
    fn of(endpoint: &str, region: Option<&str>) -> Result<Self, Failure> {
        let wrong =
            |rule: &str| Failure::Usage(format!("the endpoint {endpoint:?} {rule}, such as {DEFAULT_ENDPOINT}"));
        let uri: Uri = endpoint.parse().map_err(|_| wrong("is no URL; it must be one"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
            return Err(wrong("must be an http:// or https:// URL with host and port"));
        }
        if uri.path() != "/" && !uri.path().is_empty() || uri.query().is_some() {
            return Err(wrong("must not have a path"));
        }
        let place = Endpoint::parse(endpoint).map_err(wrong)?;
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        let signer = match (place.loopback && uri.scheme_str() == Some("http"), region) {
            (true, None) => None,
            (_, region) => Some(Signer::new(place, region)?),
        };
        Ok(Self { http, endpoint: endpoint.trim_end_matches('/').to_owned(), signer })
    }

    /// Calls an operation of the API.
    pub(super) async fn operation(&self, name: &str, input: &Value) -> Result<Result<Value, Refused>, Failure> {
        let request = |base: &str| {
            Request::builder()
                .method(Method::POST)
                .uri(format!("{base}/"))
                .header("content-type", stepwright_api::CONTENT_TYPE)
                .header("x-amz-target", format!("AWSStepFunctions.{name}"))
        };
        match &self.signer {
            None => self.send(request(&self.endpoint), input.to_string()).await,
            Some(signer) => {
                let place = signer.place_of(name);
                let request = request(&place.base).header("host", &place.authority);
                let (status, body) = signer.send(request, input.to_string()).await?;
                let value = self.json(status, &body)?;
                Ok(if status == StatusCode::OK { Ok(value) } else { Err(refusal(&value)) })
            }
        }
    }

    /// The entries of all pages of a list, `most` at most; none: all of them. `member` is the list's name in answers.
    pub(super) async fn pages(
        &self,
        name: &str,
        input: &Value,
        member: &str,
        most: Option<usize>,
    ) -> Result<Vec<Value>, Failure> {
        let mut found = Vec::new();
        let mut input = input.clone();
        loop {
            let left = most.map_or(1_000, |most| (most - found.len()).clamp(1, 1_000));
            input["maxResults"] = json!(left);
            let mut page = self.operation(name, &input).await?.map_err(Failure::from)?;
            if let Value::Array(entries) = page[member].take() {
                found.extend(entries);
            }
            if let Some(most) = most {
                found.truncate(most);
            }
            let token = page["nextToken"].take();
            if token.is_null() || most.is_some_and(|most| found.len() >= most) {
                return Ok(found);
            }
            input["nextToken"] = token;
        }
    }

    /// Reads or changes something at a path of the server's own.
    pub(super) async fn admin(&self, method: Method, path: &str) -> Result<Result<Value, Refused>, Failure> {
        self.own_paths()?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header("content-type", "application/json");
        self.send(request, String::new()).await
    }

    /// Asks for something long at a path of the server's own. Its pieces come as the server has them.
    pub(super) async fn stream(&self, path: &str) -> Result<Result<hyper::body::Incoming, Refused>, Failure> {
        self.own_paths()?;
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

    fn own_paths(&self) -> Result<(), Failure> {
        if self.endpoint.starts_with("http://") {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "this is asked of a server of Stepwright, whose own paths are served over http:// only, not {}",
            self.endpoint
        )))
    }

    /// Posts JSON to a path that is not of our own API, and gives the answer as it is.
    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Failure> {
        self.own_paths()?;
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
        self.json(status, &body)
    }

    fn json(&self, status: StatusCode, body: &[u8]) -> Result<Value, Failure> {
        serde_json::from_slice(body).map_err(|_| {
            Failure::Failed(format!(
                "{} answered {status} with something that is not JSON: is it Stepwright?",
                self.endpoint
            ))
        })
    }
}

impl Signer {
    fn new(place: Endpoint, region: Option<&str>) -> Result<Self, Failure> {
        let lookup = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let host = place.authority.split(':').next().unwrap_or_default();
        let of_host = host.contains("amazonaws.").then(|| host.split('.').nth(1)).flatten();
        let region = region
            .or(of_host)
            .map(str::to_owned)
            .or_else(|| lookup("AWS_REGION"))
            .or_else(|| lookup("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".to_owned());
        let token_service = ServiceEndpoint::from_environment(&lookup, "STS", "sts")
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let limits = HttpLimits {
            max_response_bytes: MAX_ANSWER_BYTES,
            host_response_bytes: MAX_ANSWER_BYTES,
            ..HttpLimits::default()
        };
        Ok(Self {
            http: HttpClient::new(limits),
            credentials: CredentialSource::standard(&region, token_service),
            signing: Signing::new("states", &region),
            place,
        })
    }

    /// Where an operation is. AWS has hosts of their own for those that answer when the work is done.
    fn place_of(&self, operation: &str) -> Endpoint {
        let Endpoint { base, authority, loopback } = self.place.clone();
        let apart = matches!(operation, "StartSyncExecution" | "TestState");
        if apart && authority.starts_with("states.") && authority.contains(".amazonaws.") {
            let base = base.replacen("://", "://sync-", 1);
            return Endpoint { base, authority: format!("sync-{authority}"), loopback };
        }
        Endpoint { base, authority, loopback }
    }

    async fn send(&self, request: hyper::http::request::Builder, body: String) -> Result<(StatusCode, Bytes), Failure> {
        let unsendable = |error: &dyn std::fmt::Display| Failure::Usage(format!("cannot be asked for: {error}"));
        let mut request = request.body(Bytes::from(body)).map_err(|error| unsendable(&error))?;
        let failed = |error: stepwright_integrations::error::Error| {
            Failure::Failed(format!("no answer from {}: {error}", self.place.base))
        };
        let credentials = self.credentials.resolve(true, &self.place, "000000000000").await.map_err(failed)?;
        sign_request(&mut request, &credentials, &self.signing, SystemTime::now())
            .map_err(|error| unsendable(&error))?;
        let answer = self.http.send(request, None).await.map_err(failed)?;
        Ok((answer.status, answer.body))
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
        for right in ["http://127.0.0.1:8083", "http://localhost:8083/", "https://states.eu-west-1.amazonaws.com"] {
            assert!(Client::new(right).is_ok(), "{right}");
        }
        for wrong in ["127.0.0.1:8083", "ftp://127.0.0.1", "http://127.0.0.1/x", "", "http://"] {
            assert!(matches!(Client::new(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn whatever_is_not_on_this_machine_is_signed_for_its_region() {
        let region = |endpoint: &str, region: Option<&str>| {
            Client::of(endpoint, region).expect("a client").signer.map(|signer| signer.signing.region)
        };
        assert_eq!(region("http://127.0.0.1:8083", None), None);
        assert_eq!(region("http://127.0.0.1:8083", Some("eu-west-1")).as_deref(), Some("eu-west-1"));
        assert_eq!(region("https://states.eu-central-1.amazonaws.com", None).as_deref(), Some("eu-central-1"));
        assert_eq!(region("https://states.eu-central-1.amazonaws.com", Some("x-1")).as_deref(), Some("x-1"));
    }

    #[test]
    fn some_operations_have_hosts_of_their_own_at_aws() {
        let host = |endpoint: &str, operation: &str| {
            let client = Client::of(endpoint, Some("eu-west-1")).expect("a client");
            client.signer.expect("signed").place_of(operation).base
        };
        let aws = "https://states.eu-west-1.amazonaws.com";
        assert_eq!(host(aws, "StartExecution"), aws);
        assert_eq!(host(aws, "StartSyncExecution"), "https://sync-states.eu-west-1.amazonaws.com");
        assert_eq!(host("http://127.0.0.1:8083", "StartSyncExecution"), "http://127.0.0.1:8083");
    }

    #[test]
    fn arns_become_one_path_segment() {
        assert_eq!(path_segment("arn:aws:states:r:1:execution:m/l:ü"), "arn:aws:states:r:1:execution:m%2Fl:%C3%BC");
    }
}
