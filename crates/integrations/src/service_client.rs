//! A call of any operation of any service, by its model: from parameters to a result, or to what went wrong. Endpoint,
//! checksums, signature and the few repeats are the same for all; what a connector makes of the end is its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::{
    HeaderMap, Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::{Map, Value};
use stepwright_asl::{Resource, resource::Pattern};
use stepwright_engine::{ConnectorFailure, TaskCall, TaskOutcome};

use crate::{
    aws::{AwsClient, Caller, ServiceRequest, Target, percent_encode},
    checksum::{checksum, md5},
    client::Response,
    endpoint::{Endpoint, ServiceEndpoint, is_region},
    endpoint_rules::{self, Resolved},
    error::{ConfigError, Error, ServiceError, failure},
    model::{Kind, Operation, ServiceModel, pack::Pack},
    protocol::{self, Blobs, Data, Problem, Unknown, WireRequest, read_error},
    signing::Signing,
};

/// Bytes that a task's result may be long.
const MAX_RESULT_BYTES: usize = 262_144;
/// How long a call may take, where its service is not known to take long: as AWS's clients wait for an answer.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Operations whose answers come when the work is done.
const SLOW: [(&str, &str, Duration); 4] = [
    ("lambda", "Invoke", Duration::from_secs(16 * 60)),
    ("bedrockruntime", "Converse", Duration::from_secs(6 * 60)),
    ("bedrockruntime", "InvokeModel", Duration::from_secs(6 * 60)),
    ("sagemakerruntime", "InvokeEndpoint", Duration::from_secs(2 * 60)),
];
/// Bodies of operations that compress are compressed from this length on.
const COMPRESSED_FROM: usize = 10_240;
/// Sets of endpoint rules that are kept.
const KEPT_RULES: usize = 64;

/// Calls services.
#[derive(Clone, Debug)]
pub struct ServiceClient {
    aws: AwsClient,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The endpoint of every service that has none of its own.
    everywhere: Option<Endpoint>,
    /// Endpoints of services by their names in resources.
    by_service: HashMap<String, Endpoint>,
    call_timeout: Duration,
    rules: Mutex<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    sets: HashMap<usize, Arc<Value>>,
    partitions: Option<Arc<Value>>,
}

/// How parameters and results are spelled.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    /// Bytes.
    pub blobs: Blobs,
    /// Parameters that the operation does not have.
    pub unknown: Unknown,
}

/// What a call brought.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The result.
    pub result: Map<String, Value>,
    /// The whole answer.
    pub response: Response,
}

/// Why a call brought no result.
#[derive(Clone, Debug)]
pub enum CallError {
    /// The parameters can't be sent.
    Parameters(Problem),
    /// No answer came.
    NotAnswered(Error),
    /// The service said no.
    Refused(Box<ServiceError>),
    /// The answer is not what the service's model says.
    Unreadable(Problem),
}

impl ServiceClient {
    /// A client whose endpoints are read from `lookup`, which knows environment variables.
    ///
    /// # Errors
    /// The environment names an endpoint that is none.
    pub fn new(aws: AwsClient, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        // The endpoint of services that have none of their own: no service has this name.
        let everywhere = custom(ServiceEndpoint::from_environment(lookup, "", "")?);
        let mut by_service = HashMap::new();
        for (name, id) in Pack::embedded().ids() {
            let id = id.to_ascii_uppercase().replace([' ', '-'], "_");
            if let Some(endpoint) = custom(ServiceEndpoint::from_environment(lookup, &id, "")?)
                && Some(&endpoint) != everywhere.as_ref()
            {
                by_service.insert(name.to_owned(), endpoint);
            }
        }
        let shared = Shared { everywhere, by_service, call_timeout: CALL_TIMEOUT, rules: Mutex::default() };
        Ok(Self { aws, shared: Arc::new(shared) })
    }

    /// The same with another limit on the time of a call.
    #[must_use]
    pub fn with_call_timeout(self, call_timeout: Duration) -> Self {
        let Shared { everywhere, by_service, .. } = &*self.shared;
        let (everywhere, by_service) = (everywhere.clone(), by_service.clone());
        let shared = Shared { everywhere, by_service, call_timeout, rules: Mutex::default() };
        Self { shared: Arc::new(shared), ..self }
    }

    /// Calls an operation. Blank results are empty objects.
    ///
    /// # Errors
    /// It brought no result.
    pub async fn call(
        &self,
        model: &ServiceModel,
        operation: &Operation,
        parameters: &Value,
        spelling: Spelling,
        caller: Caller<'_>,
    ) -> Result<Answer, CallError> {
        let response = self.exchange(model, operation, parameters, spelling, caller).await?;
        let result = protocol::decode(model, operation, spelling.blobs, &response).map_err(CallError::Unreadable)?;
        Ok(Answer { result, response })
    }

    /// The same without reading the answer, for bodies that are no result of a task.
    ///
    /// # Errors
    /// No answer came, or one that says no.
    pub async fn exchange(
        &self,
        model: &ServiceModel,
        operation: &Operation,
        parameters: &Value,
        spelling: Spelling,
        caller: Caller<'_>,
    ) -> Result<Response, CallError> {
        let (target, request) = self.prepare(model, operation, parameters, spelling, caller.region)?;
        let refused = |answer: &Response| read_error(model.protocol, answer.status, &answer.headers, &answer.body);
        let is_throttled = |answer: &Response| refused(answer).is_throttling();
        let response =
            self.aws.send_to(&target, caller, &request, &is_throttled).await.map_err(CallError::NotAnswered)?;
        if !response.status.is_success() || is_disguised_error(model, operation, &response) {
            return Err(CallError::Refused(Box::new(refused(&response))));
        }
        Ok(response)
    }

    fn prepare(
        &self,
        model: &ServiceModel,
        operation: &Operation,
        parameters: &Value,
        spelling: Spelling,
        region: &str,
    ) -> Result<(Target, ServiceRequest), CallError> {
        let mut input = match (&operation.input, parameters) {
            (Some(body), given) => {
                protocol::data::parameters(model, body.shape, given, spelling.blobs, spelling.unknown)
            }
            (None, Value::Object(given)) if given.is_empty() || spelling.unknown == Unknown::Dropped => {
                Ok(Data::empty())
            }
            (None, _) => Err(Problem::of_unknown(parameters)),
        }
        .map_err(CallError::Parameters)?;
        fill_in(model, operation, &mut input);
        let mut wire = protocol::encode(model, operation, &input).map_err(CallError::Parameters)?;
        let custom = self.endpoint(&model.name);
        let resolved = self.resolve(model, operation, &input, region, custom).map_err(CallError::NotAnswered)?;
        let mut endpoint =
            Endpoint::parse(&resolved.url).map_err(|rule| unsendable(format!("{}: {rule}", resolved.url)))?;
        match (custom, &wire.host_prefix) {
            // A place that was named is not changed: a stand-in has no host for each account. The path may be.
            (Some(custom), _) => endpoint = endpoint.at(custom),
            (None, Some(prefix)) => endpoint = endpoint.with_host_prefix(prefix),
            (None, None) => {}
        }
        wire.headers.extend(resolved.headers);
        finish(model, operation, &input, &mut wire);
        let signing = signing(model, operation, resolved.signing.as_ref(), region)?;
        let slow = SLOW.iter().find(|(name, slow, _)| *name == &*model.name && *slow == &*operation.name);
        let call_timeout = Some(slow.map_or(self.shared.call_timeout, |(.., timeout)| *timeout));
        Ok((Target { endpoint, custom: custom.is_some(), signing, call_timeout }, request(wire)?))
    }

    fn endpoint(&self, service: &str) -> Option<&Endpoint> {
        self.shared.by_service.get(service).or(self.shared.everywhere.as_ref())
    }

    fn resolve(
        &self,
        model: &ServiceModel,
        operation: &Operation,
        input: &Data<'_>,
        region: &str,
        custom: Option<&Endpoint>,
    ) -> Result<Resolved, Error> {
        let unsendable = |reason: String| Error::Unsendable { reason };
        if !is_region(region) {
            return Err(unsendable(format!("{region:?} is not the name of a region")));
        }
        let (rules, partitions) = self
            .rules(model.rules)
            .ok_or_else(|| unsendable(format!("the endpoint rules of {} can't be read", model.id)))?;
        let mut parameters = Map::new();
        parameters.insert("Region".to_owned(), region.into());
        parameters.insert("EndpointPrefix".to_owned(), (*model.endpoint_prefix).into());
        parameters.insert("AccountIdEndpointMode".to_owned(), "disabled".into());
        if let Some(endpoint) = custom {
            parameters.insert("Endpoint".to_owned(), endpoint.base.as_str().into());
            // A stand-in has no host for each bucket.
            parameters.insert("ForcePathStyle".to_owned(), true.into());
        }
        parameters.extend(operation.static_context.iter().map(|(name, value)| (name.to_string(), value.clone())));
        for (member, data) in input.members() {
            if let Some(name) = &member.context_param {
                let value = match data {
                    Data::Text(text) => text.as_str().into(),
                    Data::Boolean(value) => (*value).into(),
                    _ => continue,
                };
                parameters.insert(name.to_string(), value);
            }
        }
        endpoint_rules::resolve(&rules, &partitions, parameters).map_err(unsendable)
    }

    fn rules(&self, number: usize) -> Option<(Arc<Value>, Arc<Value>)> {
        // Every change is complete before anything can panic, so a poisoned lock guards good data.
        let mut held = self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if held.partitions.is_none() {
            held.partitions = Some(Arc::new(Pack::embedded().partitions()?));
        }
        if !held.sets.contains_key(&number) {
            if held.sets.len() >= KEPT_RULES {
                held.sets.clear();
            }
            held.sets.insert(number, Arc::new(Pack::embedded().rules(number)?));
        }
        Some((Arc::clone(held.sets.get(&number)?), Arc::clone(held.partitions.as_ref()?)))
    }
}

/// The model of a service. Reading one takes milliseconds, so it is not done where calls wait for each other.
pub(crate) async fn model(name: &str) -> Option<Arc<ServiceModel>> {
    let pack = Pack::embedded();
    if let Some(model) = pack.held_service(name) {
        return Some(model);
    }
    let name = name.to_owned();
    tokio::task::spawn_blocking(move || pack.service(&name)).await.ok().flatten()
}

fn custom(endpoint: ServiceEndpoint) -> Option<Endpoint> {
    match endpoint {
        ServiceEndpoint::Custom(endpoint) => Some(endpoint),
        ServiceEndpoint::Aws { .. } => None,
    }
}

fn unsendable(reason: String) -> CallError {
    CallError::NotAnswered(Error::Unsendable { reason })
}

/// What the SDKs fill in where nothing is given: tokens by which a service knows a call again.
fn fill_in<'m>(model: &'m ServiceModel, operation: &Operation, input: &mut Data<'m>) {
    let Some(structure) = operation.input.as_ref().and_then(|body| model.structure(body.shape)) else { return };
    let Data::Structure(given) = input else { return };
    for member in &structure.members {
        if member.idempotency_token && !given.iter().any(|(other, _)| other.name == member.name) {
            given.push((member, Data::Text(uuid::Uuid::new_v4().to_string())));
        }
    }
    // Identifiers are known with what stands before them in answers.
    if &*model.id == "Route 53" {
        for (member, data) in given {
            if matches!(&*member.name, "Id" | "HostedZoneId" | "DelegationSetId" | "ResourceId" | "ChangeId")
                && let Data::Text(text) = data
                && let Some(bare) =
                    ["/hostedzone/", "/change/", "/delegationset/"].iter().find_map(|p| text.strip_prefix(p))
            {
                *text = bare.to_owned();
            }
        }
    }
}

/// What stands around the body: checksums, compression, and headers that one service alone wants.
fn finish(model: &ServiceModel, operation: &Operation, input: &Data<'_>, wire: &mut WireRequest) {
    if operation.compressed && wire.body.len() >= COMPRESSED_FROM {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        // Writing into memory can't fail.
        if std::io::Write::write_all(&mut encoder, &wire.body).is_ok()
            && let Ok(body) = encoder.finish()
        {
            wire.body = body.into();
            wire.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
        }
    }
    match &*model.id {
        "API Gateway" => wire.headers.push(("Accept".to_owned(), "application/json".to_owned())),
        "Glacier" => wire.headers.push(("x-amz-glacier-version".to_owned(), model.api_version.to_string())),
        _ => {}
    }
    let streamed = || {
        let structure = model.structure(operation.input.as_ref()?.shape)?;
        let payload = structure.member(structure.payload.as_deref()?)?;
        let streaming = matches!(model.shape(payload.shape).kind, Kind::Blob { streaming: true, .. });
        (streaming || payload.streaming).then(|| input.member(&payload.name)).flatten()
    };
    // A body that streams is sent as the text of its JSON (AWS: recorded).
    if streamed().is_some() && !wire.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        wire.headers.push(("Content-Type".to_owned(), "text/plain; charset=UTF-8".to_owned()));
    }
    let has_checksum = wire.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("x-amz-checksum-"));
    if has_checksum || operation.checksum.is_none() && !operation.checksum_required {
        return;
    }
    let member = operation.checksum.as_ref().and_then(|checksum| checksum.algorithm_member.as_deref());
    let chosen = member.and_then(|member| input.member(member)).and_then(Data::as_text);
    if member.is_none() && !operation.checksum_required {
        return;
    }
    let algorithm = chosen.unwrap_or("CRC32");
    let Some(sum) = checksum(algorithm, &wire.body) else {
        wire.headers.push(("Content-MD5".to_owned(), md5(&wire.body)));
        return;
    };
    wire.headers.push((format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase()), sum));
    let structure = operation.input.as_ref().and_then(|body| model.structure(body.shape));
    if let Some(member) = member.and_then(|member| structure?.member(member))
        && chosen.is_none()
        && member.location.is_some()
    {
        wire.headers.push((member.wire_name().to_owned(), algorithm.to_owned()));
    }
}

fn signing(
    model: &ServiceModel,
    operation: &Operation,
    scheme: Option<&Value>,
    region: &str,
) -> Result<Option<Signing>, CallError> {
    if operation.unauthenticated {
        return Ok(None);
    }
    let text = |name: &str| scheme.and_then(|scheme| scheme[name].as_str());
    if let Some(name) = text("name").filter(|name| *name != "sigv4") {
        return Err(unsendable(format!("requests to this endpoint are signed by {name}, which is not supported")));
    }
    let name = text("signingName").unwrap_or(&model.signing_name).to_owned();
    let as_s3 = matches!(name.as_str(), "s3" | "s3-outposts" | "s3-object-lambda");
    let region = text("signingRegion").unwrap_or(region).to_owned();
    Ok(Some(Signing { name, region, as_s3, unsigned_body: operation.unsigned_body }))
}

fn request(wire: WireRequest) -> Result<ServiceRequest, CallError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &wire.headers {
        let wrong =
            || CallError::Parameters(Problem::new(format!("The header '{name}' can't hold the value {value:?}")));
        let name: HeaderName = name.parse().map_err(|_| wrong())?;
        let value: HeaderValue = value.parse().map_err(|_| wrong())?;
        headers.insert(name, value);
    }
    let query: Vec<String> = wire
        .query
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{}={}", percent_encode(name), percent_encode(value)),
            None => percent_encode(name),
        })
        .collect();
    let path = wire.path;
    let path_and_query = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    let method = Method::from_bytes(wire.method.as_bytes()).map_err(|error| unsendable(error.to_string()))?;
    Ok(ServiceRequest { method, path_and_query, headers, body: wire.body })
}

/// S3 says of some long operations that they succeed before it knows that they don't.
fn is_disguised_error(model: &ServiceModel, operation: &Operation, answer: &Response) -> bool {
    const LONG: [&str; 3] = ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"];
    let head: Bytes = answer.body.slice(..answer.body.len().min(200));
    &*model.id == "S3" && LONG.contains(&&*operation.name) && String::from_utf8_lossy(&head).contains("<Error>")
}

/// How a connector tells the ends of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling<'a> {
    /// What error names begin with: `SQS`.
    pub(crate) prefix: &'a str,
    /// `resourceType`, for results that are too long.
    pub(crate) resource_type: &'a str,
}

impl Telling<'_> {
    /// The failure of a call that the service did not refuse.
    pub(crate) fn failure(self, error: &CallError, task: &TaskCall) -> ConnectorFailure {
        let client = |cause: &str| failure(&format!("{}.SdkClientException", self.prefix), cause);
        match error {
            CallError::Parameters(problem) => failure(
                "States.Runtime",
                &format!("The Parameters '{}' could not be used to start the Task: [{problem}]", task.input),
            ),
            CallError::NotAnswered(Error::RoleRefused { role, reason }) => {
                tracing::warn!(role, reason, "a task's role could not be assumed");
                failure(
                    "States.TaskFailed",
                    &format!("The role {} is not authorized to assume the task state's role, {role}.", task.role_arn),
                )
            }
            CallError::NotAnswered(Error::TooLong { .. }) => self.too_long(),
            CallError::NotAnswered(error) => client(&error.to_string()),
            CallError::Unreadable(problem) => client(&format!("Unable to unmarshall response ({problem}).")),
            CallError::Refused(error) => client(&error.sdk_cause(self.prefix)),
        }
    }

    /// The failure of a result that is longer than a payload may be.
    pub(crate) fn too_long(self) -> ConnectorFailure {
        failure(
            "States.DataLimitExceeded",
            &format!(
                "The state/task '{}' returned a result with a size exceeding the maximum number of bytes service limit.",
                self.resource_type
            ),
        )
    }

    /// The outcome of a result.
    pub(crate) fn outcome(self, task: &TaskCall, result: Map<String, Value>) -> Result<TaskOutcome, ConnectorFailure> {
        let text = Value::Object(result).to_string();
        if text.len() > MAX_RESULT_BYTES {
            return Err(self.too_long());
        }
        Ok(match &task.resource {
            Resource::Integration(integration) if integration.pattern == Pattern::WaitForTaskToken => {
                TaskOutcome::Submitted(text.into())
            }
            _ => TaskOutcome::Succeeded(text.into()),
        })
    }
}
