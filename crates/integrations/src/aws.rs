//! A signed call to an AWS service: endpoint, credentials, signature, connection and the few repeats that are safe.
//! Connectors of AWS services are written on top of this and hold what is particular to their service.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT},
};
use stepwright_engine::TaskCall;

use crate::{
    client::{HttpClient, Response},
    credentials::CredentialSource,
    endpoint::{Endpoint, ServiceEndpoint},
    error::{Error, ServiceError},
    local_lambda::{LocalLambda, SIGNING_NAME},
    retry::Backoff,
    signing::{Signing, sign_request},
};

/// What all connectors of AWS services share.
#[derive(Clone, Debug)]
pub struct AwsClient {
    /// Connections.
    pub http: Arc<HttpClient>,
    /// Credentials.
    pub credentials: Arc<CredentialSource>,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// Who runs functions here, in the place of Lambda.
    pub local_lambda: Option<Arc<dyn LocalLambda>>,
}

/// An AWS service.
#[derive(Clone, Debug)]
pub struct Service {
    /// The name in credential scopes: `lambda`.
    pub signing_name: &'static str,
    /// Where it is.
    pub endpoint: ServiceEndpoint,
}

/// Where a call goes and how it is signed.
#[derive(Clone, Debug)]
pub struct Target {
    /// The place.
    pub endpoint: Endpoint,
    /// Whether the environment named it, so that it may be a stand-in for AWS.
    pub custom: bool,
    /// How requests are signed; none: not at all.
    pub signing: Option<Signing>,
    /// How long the whole call may take; none: as long as any call may.
    pub call_timeout: Option<Duration>,
}

/// On whose behalf a call is made.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The region to call.
    pub region: &'a str,
    /// The execution's account.
    pub account: &'a str,
    /// The role to assume, of the state's `Credentials`.
    pub task_role: Option<&'a str>,
}

impl<'a> Caller<'a> {
    /// The caller of a task, in its own region.
    #[must_use]
    pub fn of(task: &'a TaskCall) -> Self {
        Self { region: &task.region, account: &task.account, task_role: task.task_role_arn.as_deref() }
    }
}

/// A request, without what the client adds: host, signature, user agent.
#[derive(Clone, Debug)]
pub struct ServiceRequest {
    /// The method.
    pub method: Method,
    /// Path and query, encoded, from `/` on.
    pub path_and_query: String,
    /// The service's own headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl ServiceRequest {
    /// A POST of JSON.
    #[must_use]
    pub fn post_json(path_and_query: String, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { method: Method::POST, path_and_query, headers, body }
    }

    /// Adds a header.
    ///
    /// # Errors
    /// The value can't be one.
    pub fn header(&mut self, name: &'static str, value: &str) -> Result<(), Error> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Error::Unsendable { reason: format!("the header {name} can't hold {value:?}") })?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(())
    }
}

impl AwsClient {
    /// Makes a call. `Ok` is an answer of the service, whatever its status.
    ///
    /// # Errors
    /// No answer came.
    pub async fn send(
        &self,
        service: &Service,
        caller: Caller<'_>,
        request: &ServiceRequest,
    ) -> Result<Response, Error> {
        let target = Target {
            endpoint: service.endpoint.in_region(caller.region)?,
            custom: service.endpoint.is_custom(),
            signing: Some(Signing::new(service.signing_name, caller.region)),
            call_timeout: None,
        };
        let is_throttled =
            |answer: &Response| ServiceError::from_json(answer.status, &answer.headers, &answer.body).is_throttling();
        self.send_to(&target, caller, request, &is_throttled).await
    }

    /// Makes a call to a place that is known. `is_throttled` says of an answer without success whether the service
    /// refused for too many requests.
    ///
    /// # Errors
    /// No answer came.
    pub async fn send_to(
        &self,
        target: &Target,
        caller: Caller<'_>,
        request: &ServiceRequest,
        is_throttled: &(dyn Fn(&Response) -> bool + Sync),
    ) -> Result<Response, Error> {
        let is_lambda = target.signing.as_ref().is_some_and(|signing| signing.name == SIGNING_NAME);
        let local = self.local_lambda.as_ref().filter(|_| is_lambda);
        if let Some(answer) = local.and_then(|local| local.answer(request)) {
            return Ok(answer.await);
        }
        let mut attempt = 0;
        loop {
            let result = self.attempt(target, caller, request).await;
            let base = match &result {
                Err(Error::NotConnected { .. }) => self.backoff.not_connected,
                Ok(answer) if !answer.status.is_success() && is_throttled(answer) => self.backoff.throttled,
                // Nobody else to ask.
                Err(Error::NoCredentials { .. }) => {
                    return local.and_then(|local| local.unknown(request)).map_or(result, Ok);
                }
                _ => return result,
            };
            if attempt == self.backoff.max_retries {
                return result;
            }
            tokio::time::sleep(Backoff::pause(base, attempt, draw())).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, target: &Target, caller: Caller<'_>, request: &ServiceRequest) -> Result<Response, Error> {
        let endpoint = &target.endpoint;
        let unsendable = |reason: String| Error::Unsendable { reason };
        let mut signed = Request::builder()
            .method(request.method.clone())
            .uri(join(&endpoint.base, &request.path_and_query))
            .body(request.body.clone())
            .map_err(|error| unsendable(error.to_string()))?;
        let host = HeaderValue::from_str(&endpoint.authority).map_err(|error| unsendable(error.to_string()))?;
        signed.headers_mut().extend(request.headers.clone());
        signed.headers_mut().insert(HOST, host);
        if let Some(signing) = &target.signing {
            let mut credentials = self.credentials.resolve(target.custom, endpoint, caller.account).await?;
            if let Some(role) = caller.task_role {
                credentials = self.credentials.assume(role, caller.region, &credentials).await?;
            }
            sign_request(&mut signed, &credentials, signing, SystemTime::now())?;
        }
        // Not signed: proxies rewrite it.
        signed
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(concat!("stepwright/", env!("CARGO_PKG_VERSION"))));
        self.http.send(signed, target.call_timeout).await
    }
}

/// A request's path behind an endpoint's own, which may be the whole path: that of a bucket, for one.
fn join(base: &str, path_and_query: &str) -> String {
    let scheme_ends = base.find("://").map_or(0, |at| at + 3);
    match path_and_query.strip_prefix('/') {
        Some(rest) if base[scheme_ends..].contains('/') && (rest.is_empty() || rest.starts_with('?')) => {
            format!("{base}{rest}")
        }
        _ => format!("{base}{path_and_query}"),
    }
}

pub(crate) fn draw() -> u8 {
    let mut byte = [u8::MAX];
    // Without randomness the pause is merely a whole one.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

/// A text as one segment of a path, or one value of a query: all but unreserved characters are encoded.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_as_the_sdks_do() {
        for (base, path, expected) in [
            ("http://a", "/", "http://a/"),
            ("http://a", "/b?c", "http://a/b?c"),
            ("http://a/bucket", "/", "http://a/bucket"),
            ("http://a/bucket", "/?list", "http://a/bucket?list"),
            ("http://a/bucket", "/key", "http://a/bucket/key"),
        ] {
            assert_eq!(join(base, path), expected);
        }
    }
}
