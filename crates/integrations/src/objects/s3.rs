//! S3, and what speaks like it: every request signed, by AWS's endpoint rules or at the endpoint that the environment
//! names. Requests that change nothing when they are carried out twice are repeated a few times where S3 is busy, fails
//! or falls silent; a request may take so long and no longer.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::{Behalf, ListQuery, Listed, Object, ObjectError, Page, Piece};
use crate::{
    aws::{AwsClient, Caller},
    client::{HttpClient, HttpLimits, Response},
    credentials::CredentialSource,
    error::{ConfigError, Error, ServiceError},
    model::{Operation, ServiceModel},
    protocol::{Blobs, Unknown},
    retry::Backoff,
    service_client::{self, CallError, ServiceClient, Spelling},
};

/// Attempts of a request.
const ATTEMPTS: u32 = 5;
/// The first pause between two; doubles.
const PAUSE: Duration = Duration::from_millis(200);
/// Keys of a page.
const PAGE_KEYS: u32 = 1_000;

/// The client that all buckets share.
#[derive(Clone, Debug)]
pub struct S3Client {
    services: ServiceClient,
}

impl S3Client {
    /// A client whose requests take no longer than `call_timeout` and whose answers are no longer than `max_bytes`.
    ///
    /// # Errors
    /// The environment names an endpoint that is none.
    pub fn new(
        credentials: Arc<CredentialSource>,
        call_timeout: Duration,
        max_bytes: usize,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let limits = HttpLimits { call_timeout, max_response_bytes: max_bytes, ..HttpLimits::default() };
        let connect_timeout = limits.connect_timeout.min(call_timeout);
        let http = Arc::new(HttpClient::new(HttpLimits { connect_timeout, ..limits }));
        // Repeats are this module's business.
        let client = AwsClient {
            http,
            credentials,
            backoff: Backoff { max_retries: 0, ..Backoff::default() },
            local_lambda: None,
        };
        Ok(Self { services: ServiceClient::new(client, lookup)?.with_call_timeout(call_timeout) })
    }
}

/// S3 as someone reaches it.
#[derive(Clone)]
pub struct S3 {
    client: S3Client,
    behalf: Behalf,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("behalf", &self.behalf).finish_non_exhaustive()
    }
}

/// What a request brought.
enum Outcome {
    Answer(Response),
    Refused(Box<ServiceError>),
}

impl S3 {
    /// S3 on someone's behalf.
    #[must_use]
    pub fn new(client: S3Client, behalf: Behalf) -> Self {
        Self { client, behalf }
    }

    async fn once(
        &self,
        model: &ServiceModel,
        operation: &Operation,
        parameters: &Value,
    ) -> Result<Outcome, (Error, bool)> {
        let caller = Caller { region: &self.behalf.region, account: &self.behalf.account, task_role: None };
        let spelling = Spelling { blobs: Blobs::Base64, unknown: Unknown::Dropped };
        match self.client.services.exchange(model, operation, parameters, spelling, caller).await {
            Ok(answer) => Ok(Outcome::Answer(answer)),
            Err(CallError::Refused(error)) => Ok(Outcome::Refused(error)),
            Err(CallError::NotAnswered(error)) => {
                let may_pass = matches!(error, Error::NotConnected { .. } | Error::NoAnswer { .. } | Error::TimedOut);
                Err((error, may_pass))
            }
            Err(CallError::Parameters(problem) | CallError::Unreadable(problem)) => {
                Err((Error::Unsendable { reason: problem.to_string() }, false))
            }
        }
    }

    /// Makes a request as often as it takes, up to a limit. Says with the outcome whether an earlier attempt may have been
    /// carried out.
    async fn send(&self, action: &str, parameters: Map<String, Value>) -> Result<(Outcome, bool), ObjectError> {
        let model = service_client::model("s3").await;
        let operation = model.as_ref().and_then(|model| model.operation(action));
        let (Some(model), Some(operation)) = (&model, operation) else {
            return Err(ObjectError(format!("S3 has no operation {action}.")));
        };
        let parameters = Value::Object(parameters);
        let mut in_doubt = false;
        let mut attempt = 0;
        loop {
            let outcome = self.once(model, operation, &parameters).await;
            let is_last = attempt + 1 == ATTEMPTS;
            match outcome {
                Ok(Outcome::Refused(error)) if !is_last && is_passing(&error) => {
                    // S3 may say 200 and only then that it failed.
                    let may_be_done = error.status.is_server_error() || error.status.is_success();
                    in_doubt |= may_be_done && !error.is_throttling();
                }
                Ok(outcome) => return Ok((outcome, in_doubt)),
                Err((error, may_pass)) if is_last || !may_pass => return Err(ObjectError(error.to_string())),
                Err((error, _)) => in_doubt |= !error.nothing_sent(),
            }
            tokio::time::sleep(Backoff::pause(PAUSE, attempt, crate::aws::draw())).await;
            attempt += 1;
        }
    }

    async fn answer(&self, action: &str, parameters: Map<String, Value>) -> Result<Response, ObjectError> {
        match self.send(action, parameters).await?.0 {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Refused(error) => Err(refused(&error)),
        }
    }

    pub(super) async fn read(
        &self,
        object: &Object,
        start: u64,
        length: usize,
        if_match: Option<&str>,
    ) -> Result<Piece, ObjectError> {
        let end = start + length.max(1) as u64 - 1;
        let mut parameters = of_object(object);
        parameters.insert("Range".to_owned(), format!("bytes={start}-{end}").into());
        if let Some(etag) = if_match {
            parameters.insert("IfMatch".to_owned(), etag.into());
        }
        let answer = match self.send("getObject", parameters).await?.0 {
            Outcome::Answer(answer) => answer,
            Outcome::Refused(error) => {
                return match error.status {
                    StatusCode::PRECONDITION_FAILED => Err(ObjectError::changed(object)),
                    // Nothing is a range of an object without bytes.
                    StatusCode::RANGE_NOT_SATISFIABLE if start == 0 => {
                        Ok(Piece { bytes: Bytes::new(), total: 0, etag: None })
                    }
                    _ => Err(refused(&error)),
                };
            }
        };
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let etag = header("etag").map(Arc::from);
        if answer.status == StatusCode::PARTIAL_CONTENT {
            let total = header("content-range")
                .and_then(|range| range.strip_prefix("bytes ")?.split_once('/'))
                .filter(|(range, _)| range.split('-').next().and_then(|from| from.parse().ok()) == Some(start))
                .and_then(|(_, total)| total.parse().ok());
            let total = total.ok_or_else(|| ObjectError(format!("{object}: the answer holds another range.")))?;
            // Copied: a slice of the answer would hold its host's room for as long as the dataset is open.
            return Ok(Piece { bytes: Bytes::copy_from_slice(&answer.body), total, etag });
        }
        // A store that knows no ranges gives the whole.
        let total = answer.body.len() as u64;
        let from = usize::try_from(start).unwrap_or(usize::MAX).min(answer.body.len());
        let to = from.saturating_add(length).min(answer.body.len());
        Ok(Piece { bytes: Bytes::copy_from_slice(&answer.body[from..to]), total, etag })
    }

    pub(super) async fn list(&self, query: &ListQuery, after: Option<&str>) -> Result<Page, ObjectError> {
        let mut parameters = Map::new();
        parameters.insert("Bucket".to_owned(), (*query.bucket).into());
        parameters.insert("MaxKeys".to_owned(), PAGE_KEYS.into());
        if !query.prefix.is_empty() {
            parameters.insert("Prefix".to_owned(), (*query.prefix).into());
        }
        if let Some(after) = after {
            parameters.insert("StartAfter".to_owned(), after.into());
        }
        if let Some(owner) = &query.owner {
            parameters.insert("ExpectedBucketOwner".to_owned(), (**owner).into());
        }
        let answer = self.answer("listObjectsV2", parameters).await?;
        let model = service_client::model("s3").await;
        let operation = model.as_ref().and_then(|model| model.operation("listObjectsV2"));
        let result = model.as_ref().zip(operation).map(|(model, operation)| {
            crate::protocol::decode(model, operation, Blobs::Text, &answer).map_err(|problem| problem.to_string())
        });
        let unreadable =
            |reason: &str| ObjectError(format!("The list of bucket {} can't be read: {reason}", query.bucket));
        let mut result = match result {
            Some(Ok(result)) => result,
            Some(Err(reason)) => return Err(unreadable(&reason)),
            None => return Err(unreadable("S3 has no model")),
        };
        let is_end = result.get("IsTruncated").and_then(Value::as_bool) != Some(true);
        let contents = match result.remove("Contents") {
            Some(Value::Array(contents)) => contents,
            _ => Vec::new(),
        };
        let objects: Option<Vec<Listed>> = contents.iter().map(listed).collect();
        let objects = objects.ok_or_else(|| unreadable("an object has no key"))?;
        // Whoever says that there is more must give something, or asking on would never end.
        if !is_end && objects.last().is_none_or(|last| after.is_some_and(|after| &*last.key <= after)) {
            return Err(unreadable("it is truncated and does not go on"));
        }
        Ok(Page { objects, is_end })
    }

    pub(super) async fn put(&self, object: &Object, bytes: Bytes) -> Result<(), ObjectError> {
        let mut parameters = of_object(object);
        parameters.insert("Body".to_owned(), BASE64_STANDARD.encode(&bytes).into());
        parameters.insert("ContentType".to_owned(), "application/json".into());
        self.answer("putObject", parameters).await.map(drop)
    }

    pub(super) async fn begin(&self, object: &Object) -> Result<Upload, ObjectError> {
        let mut parameters = of_object(object);
        parameters.insert("ContentType".to_owned(), "application/json".into());
        let answer = self.answer("createMultipartUpload", parameters).await?;
        let model = service_client::model("s3").await;
        let operation = model.as_ref().and_then(|model| model.operation("createMultipartUpload"));
        let id = model.as_ref().zip(operation).and_then(|(model, operation)| {
            let result = crate::protocol::decode(model, operation, Blobs::Text, &answer).ok()?;
            result.get("UploadId")?.as_str().map(str::to_owned)
        });
        let id =
            id.ok_or_else(|| ObjectError(format!("{object}: the answer to CreateMultipartUpload names no upload.")))?;
        Ok(Upload { s3: self.clone(), id, parts: Vec::new() })
    }
}

/// An upload in parts.
#[derive(Debug)]
pub(super) struct Upload {
    s3: S3,
    id: String,
    /// The entity tags of the parts.
    parts: Vec<String>,
}

impl Upload {
    fn parameters(&self, object: &Object) -> Map<String, Value> {
        let mut parameters = of_object(object);
        parameters.insert("UploadId".to_owned(), self.id.as_str().into());
        parameters
    }

    pub(super) async fn part(&mut self, object: &Object, bytes: Bytes) -> Result<(), ObjectError> {
        let mut parameters = self.parameters(object);
        parameters.insert("PartNumber".to_owned(), (self.parts.len() + 1).into());
        parameters.insert("Body".to_owned(), BASE64_STANDARD.encode(&bytes).into());
        let answer = self.s3.answer("uploadPart", parameters).await?;
        let etag = answer.headers.get("etag").and_then(|value| value.to_str().ok());
        let etag = etag.ok_or_else(|| ObjectError(format!("{object}: the answer to UploadPart has no entity tag.")))?;
        self.parts.push(etag.to_owned());
        Ok(())
    }

    pub(super) async fn complete(&mut self, object: &Object, length: u64) -> Result<(), ObjectError> {
        let parts: Vec<Value> =
            (1..).zip(&self.parts).map(|(number, etag)| json!({"ETag": etag, "PartNumber": number})).collect();
        let mut parameters = self.parameters(object);
        parameters.insert("MultipartUpload".to_owned(), json!({ "Parts": parts }));
        match self.s3.send("completeMultipartUpload", parameters).await? {
            (Outcome::Answer(_), _) => Ok(()),
            // The attempt whose answer was lost may have done it.
            (Outcome::Refused(error), true) if error.code == "NoSuchUpload" => {
                match self.s3.read(object, 0, 1, None).await {
                    Ok(piece) if piece.total == length => Ok(()),
                    _ => Err(refused(&error)),
                }
            }
            (Outcome::Refused(error), _) => Err(refused(&error)),
        }
    }

    pub(super) async fn abort(self, object: &Object) {
        if let Err(error) = self.s3.answer("abortMultipartUpload", self.parameters(object)).await {
            tracing::warn!(%object, upload = self.id, %error, "parts of an upload could not be given up");
        }
    }
}

fn of_object(object: &Object) -> Map<String, Value> {
    let mut parameters = Map::new();
    parameters.insert("Bucket".to_owned(), (*object.bucket).into());
    parameters.insert("Key".to_owned(), (*object.key).into());
    let optional = [("VersionId", &object.version), ("ExpectedBucketOwner", &object.owner)];
    for (name, value) in optional {
        if let Some(value) = value {
            parameters.insert(name.to_owned(), (**value).into());
        }
    }
    parameters
}

fn listed(entry: &Value) -> Option<Listed> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let modified = text("LastModified").and_then(|time| time.parse::<jiff::Timestamp>().ok());
    Some(Listed {
        key: text("Key")?.to_owned(),
        etag: text("ETag").unwrap_or_default().to_owned(),
        modified: modified.map_or(0, jiff::Timestamp::as_second),
        size: entry.get("Size").and_then(Value::as_u64).unwrap_or_default(),
        storage_class: text("StorageClass").unwrap_or("STANDARD").to_owned(),
    })
}

/// Whether what was refused may be granted a little later.
fn is_passing(error: &ServiceError) -> bool {
    error.is_throttling()
        || error.status.is_server_error()
        || matches!(error.code.as_str(), "RequestTimeout" | "InternalError" | "ServiceUnavailable")
}

/// The words of AWS's client.
fn refused(error: &ServiceError) -> ObjectError {
    let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "null".to_owned());
    ObjectError(format!(
        "{} (Service: Amazon S3; Status Code: {}; Error Code: {}; Request ID: {}; S3 Extended Request ID: {}; Proxy: null)",
        error.message.as_deref().unwrap_or("null"),
        error.status.as_u16(),
        error.code,
        id(&error.request_id),
        id(&error.extended_request_id),
    ))
}
