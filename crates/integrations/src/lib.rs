//! Connectors: what Task states call.
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | [`mod@connectors`] | the connectors, one file each: from a task to a request, from an answer to an outcome |
//! | [`aws`] | a signed call to an AWS service, and the few repeats that can't make it happen twice |
//! | [`service_client`] | a call of any operation of any service, by its model |
//! | [`protocol`] | how requests and answers are written: JSON, XML, forms, CBOR |
//! | [`checksum`] | checksums of bodies |
//! | [`objects`] | objects of S3, of folders, of Google Cloud and Azure: read by ranges, listed, written in parts |
//! | [`datasets`] | items out of objects, results into them |
//! | [`endpoint_rules`] | AWS's rules for finding a service's endpoint |
//! | [`endpoint`] | where a service is: the environment's word, else AWS's host |
//! | [`credentials`] | the standard credential chain, asked when needed, kept, single-file |
//! | [`signing`] | Signature Version 4 |
//! | [`client`] | HTTP/1.1, pooled, with limits on time and length |
//! | `resolver` | addresses of hosts, asked for once at a time |
//! | [`retry`] | pauses, and why so little is repeated |
//! | [`sinks`] | services that are told what happened: CloudWatch Logs, EventBridge |
//! | [`model`] | what services say of themselves: operations, shapes, protocols, from a pack in the binary |
//! | [`metadata`] | `SdkHttpMetadata` and its kin in results |
//! | [`error`] | no answer, or an answer that says no, in AWS's words |
//!
//! A new connector is a file under `connectors/` that implements [`Connector`], and a line in [`connectors()`]. It
//! holds what is particular to its service: resource names, parameters, the shapes of results, error prefixes. What a
//! second service needs too belongs in a module above.
//!
//! # Invariants
//!
//! A connector never sees the store, an execution's state or a history, never decides about a state's Retry, and
//! never sends again what may have been carried out. Nothing runs at start: credentials, certificates and
//! connections are sought when a call needs them.

pub mod aws;
pub mod checksum;
pub mod client;
pub mod connectors;
pub mod credentials;
pub mod datasets;
pub mod endpoint;
pub mod endpoint_rules;
pub mod error;
pub mod local_lambda;
pub mod metadata;
pub mod model;
pub mod objects;
pub mod protocol;
mod resolver;
pub mod retry;
pub mod service_client;
pub mod signing;
pub mod sinks;

use std::{sync::Arc, time::Duration};

use stepwright_engine::{Connector, datasets::Datasets};

use crate::{
    aws::AwsClient,
    client::{HttpClient, HttpLimits},
    connectors::{dynamodb, events, lambda::LambdaConnector, sdk::SdkConnector, sns, sqs},
    credentials::CredentialSource,
    datasets::{DatasetOptions, ObjectDatasets},
    endpoint::ServiceEndpoint,
    error::ConfigError,
    local_lambda::LocalLambda,
    retry::Backoff,
    service_client::ServiceClient,
};

/// What a call may take.
#[derive(Clone, Debug)]
pub struct CallLimits {
    /// Of every call.
    pub http: HttpLimits,
    /// How long a call may take whose service is not known to take long.
    pub call_timeout: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { http: HttpLimits::default(), call_timeout: service_client::CALL_TIMEOUT }
    }
}

/// All connectors, for a server whose own region is `region`. `lookup` knows environment variables. `local_lambda` runs
/// functions in the place of Lambda.
///
/// ```
/// use stepwright_integrations::{CallLimits, connectors};
/// let connectors = connectors("eu-west-1", CallLimits::default(), None, &|name| std::env::var(name).ok())?;
/// assert!(connectors.iter().any(|connector| connector.name() == "lambda"));
/// # Ok::<(), stepwright_integrations::error::ConfigError>(())
/// ```
///
/// # Errors
/// The environment names an endpoint that is none.
pub fn connectors(
    region: &str,
    limits: CallLimits,
    local_lambda: Option<Arc<dyn LocalLambda>>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Arc<dyn Connector>>, ConfigError> {
    let token_service = ServiceEndpoint::from_environment(lookup, "STS", "sts")?;
    let client = AwsClient {
        http: Arc::new(HttpClient::new(limits.http)),
        credentials: Arc::new(CredentialSource::standard(region, token_service)),
        backoff: Backoff::default(),
        local_lambda,
    };
    let services = ServiceClient::new(client.clone(), lookup)?.with_call_timeout(limits.call_timeout);
    Ok(vec![
        Arc::new(LambdaConnector::new(client, lookup)?),
        Arc::new(sqs::connector(services.clone())),
        Arc::new(sns::connector(services.clone())),
        Arc::new(dynamodb::connector(services.clone())),
        Arc::new(events::connector(services.clone())),
        Arc::new(SdkConnector::new(services)),
    ])
}

/// The datasets of distributed Maps, for a server whose own region is `region`. `lookup` knows environment variables.
///
/// # Errors
/// The environment names an endpoint that is none.
pub fn datasets(
    region: &str,
    options: DatasetOptions,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Arc<dyn Datasets>, ConfigError> {
    let token_service = ServiceEndpoint::from_environment(lookup, "STS", "sts")?;
    let credentials = Arc::new(CredentialSource::standard(region, token_service));
    Ok(Arc::new(ObjectDatasets::new(options, credentials, lookup)?))
}
