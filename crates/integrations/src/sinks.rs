//! Services that are told what happened: CloudWatch Logs and EventBridge. Requests and answers only; what a record or
//! an event says, when it is sent and how often is the caller's business.

pub mod events;
pub mod logs;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    aws::{AwsClient, Caller, Service, ServiceRequest},
    client::{HttpClient, HttpLimits},
    credentials::CredentialSource,
    endpoint::ServiceEndpoint,
    error::{ConfigError, Error, ServiceError},
    retry::Backoff,
};

use std::{sync::Arc, time::Duration};

/// Why a service was not told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SinkError {
    /// No answer came.
    #[error("{0}")]
    NoAnswer(Error),
    /// It said no.
    #[error("{code}{}", message.as_deref().map(|message| format!(": {message}")).unwrap_or_default())]
    Refused {
        /// The error's code.
        code: String,
        /// Its message.
        message: Option<String>,
    },
}

impl SinkError {
    /// The code with which the service refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::NoAnswer(_) => None,
        }
    }
}

/// How long a call may take: its caller waits in a loop of its own and tries again.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A service that speaks AWS JSON 1.1.
#[derive(Clone, Debug)]
struct JsonService {
    client: AwsClient,
    service: Service,
    /// What its targets begin with: `Logs_20140328`.
    target: &'static str,
}

impl JsonService {
    /// A service whose endpoint the first of these names gives that the environment knows.
    fn new(
        region: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
        ids: &[&str],
        name: &'static str,
        target: &'static str,
    ) -> Result<Self, ConfigError> {
        let named = ids.iter().find(|id| lookup(&format!("AWS_ENDPOINT_URL_{id}")).is_some_and(|url| !url.is_empty()));
        let endpoint = ServiceEndpoint::from_environment(lookup, named.unwrap_or(&ids[0]), name)?;
        let token_service = ServiceEndpoint::from_environment(lookup, "STS", "sts")?;
        let limits =
            HttpLimits { connect_timeout: CONNECT_TIMEOUT, call_timeout: CALL_TIMEOUT, ..HttpLimits::default() };
        let client = AwsClient {
            local_lambda: None,
            http: Arc::new(HttpClient::new(limits)),
            credentials: Arc::new(CredentialSource::standard(region, token_service)),
            backoff: Backoff::default(),
        };
        Ok(Self { client, service: Service { signing_name: name, endpoint }, target })
    }

    fn is_custom(&self) -> bool {
        self.service.endpoint.is_custom()
    }

    async fn call(&self, caller: Caller<'_>, operation: &str, body: &Value) -> Result<Value, SinkError> {
        let mut request = ServiceRequest::post_json("/".to_owned(), Bytes::from(body.to_string()));
        request.header("content-type", "application/x-amz-json-1.1").map_err(SinkError::NoAnswer)?;
        request.header("x-amz-target", &format!("{}.{operation}", self.target)).map_err(SinkError::NoAnswer)?;
        let answer = self.client.send(&self.service, caller, &request).await.map_err(SinkError::NoAnswer)?;
        if answer.status.is_success() {
            return Ok(serde_json::from_slice(&answer.body).unwrap_or(Value::Null));
        }
        let error = ServiceError::from_json(answer.status, &answer.headers, &answer.body);
        let message = error.message.or_else(|| Some(format!("HTTP {}", answer.status.as_u16())));
        Err(SinkError::Refused { code: error.code, message })
    }
}
