//! CloudWatch Logs: log streams, and records put into them.

use serde_json::{Value, json};

use super::{JsonService, SinkError};
use crate::{aws::Caller, error::ConfigError};

/// What one PutLogEvents may hold (AWS: documented).
pub const BATCH_BYTES: usize = 1_048_576;
/// What a record counts beside its text.
pub const RECORD_BYTES: usize = 26;
/// Records of one call.
pub const BATCH_RECORDS: usize = 10_000;
/// Milliseconds that the records of one call may span.
pub const BATCH_SPAN_MS: i64 = 24 * 3_600 * 1_000;

/// A log group, as its ARN names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogGroup {
    /// Its region.
    pub region: String,
    /// Its account.
    pub account: String,
    /// Its name.
    pub name: String,
}

impl LogGroup {
    /// Reads `arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*`.
    #[must_use]
    pub fn parse(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(7, ':');
        let (arn, _partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, kind, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let name = name.strip_suffix(":*").unwrap_or(name);
        let fits = arn == "arn" && service == "logs" && kind == "log-group" && !name.is_empty() && !name.contains(':');
        fits.then(|| Self { region: region.to_owned(), account: account.to_owned(), name: name.to_owned() })
    }

    fn caller(&self) -> Caller<'_> {
        Caller { region: &self.region, account: &self.account, task_role: None }
    }
}

/// A record to put.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// When it happened, in milliseconds since the epoch.
    pub at: i64,
    /// What is said.
    pub message: String,
}

/// CloudWatch Logs.
#[derive(Clone, Debug)]
pub struct CloudWatchLogs(JsonService);

impl CloudWatchLogs {
    /// The service where the environment says, for a server whose own region is `region`.
    ///
    /// # Errors
    /// The environment names an endpoint that is none.
    pub fn new(region: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        JsonService::new(region, lookup, &["CLOUDWATCH_LOGS", "LOGS"], "logs", "Logs_20140328").map(Self)
    }

    /// Whether the environment names its endpoint.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.0.is_custom()
    }

    /// Makes a stream; one that exists is fine.
    ///
    /// # Errors
    /// `ResourceNotFoundException`: there is no such group. Or it cannot be told.
    pub async fn create_stream(&self, group: &LogGroup, stream: &str) -> Result<(), SinkError> {
        let body = json!({"logGroupName": group.name, "logStreamName": stream});
        match self.0.call(group.caller(), "CreateLogStream", &body).await {
            Err(error) if error.code() != Some("ResourceAlreadyExistsException") => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts records, which are in the order of their times. How many the service did not take, for they are too old or
    /// too far ahead.
    ///
    /// # Errors
    /// `ResourceNotFoundException`: there is no such group or stream. Or it cannot be told.
    pub async fn put(&self, group: &LogGroup, stream: &str, records: &[LogRecord]) -> Result<usize, SinkError> {
        let events: Vec<Value> =
            records.iter().map(|record| json!({"timestamp": record.at, "message": record.message})).collect();
        let count = events.len();
        let body = json!({"logGroupName": group.name, "logStreamName": stream, "logEvents": events});
        let answer = self.0.call(group.caller(), "PutLogEvents", &body).await?;
        Ok(rejected(&answer["rejectedLogEventsInfo"], count))
    }
}

/// How many of so many records the answer says were not taken.
fn rejected(info: &Value, count: usize) -> usize {
    let index = |name: &str| info.get(name).and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
    // The first two are where what is too old ends, the last where what is too new begins.
    let old = index("tooOldLogEventEndIndex").max(index("expiredLogEventEndIndex")).unwrap_or(0);
    let new = index("tooNewLogEventStartIndex").map_or(0, |start| count.saturating_sub(start));
    (old + new).min(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_off_their_arns() {
        let check = |arn: &str, expect: Option<(&str, &str, &str)>| {
            let group = LogGroup::parse(arn);
            let found = group.as_ref().map(|g| (g.region.as_str(), g.account.as_str(), g.name.as_str()));
            assert_eq!(found, expect, "{arn}");
        };
        let name = "/aws/vendedlogs/states/x";
        check(&format!("arn:aws:logs:eu-west-1:12:log-group:{name}:*"), Some(("eu-west-1", "12", name)));
        check(&format!("arn:aws-cn:logs:cn-north-1:12:log-group:{name}"), Some(("cn-north-1", "12", name)));
        check("arn:aws:logs:eu-west-1:12:log-group:a:log-stream:b", None);
        check("arn:aws:logs:eu-west-1:12:log-group::*", None);
        check("arn:aws:sqs:eu-west-1:12:q", None);
        check("", None);
    }

    #[test]
    fn what_was_not_taken_is_counted() {
        assert_eq!(rejected(&Value::Null, 5), 0);
        assert_eq!(rejected(&json!({"tooOldLogEventEndIndex": 2}), 5), 2);
        assert_eq!(rejected(&json!({"expiredLogEventEndIndex": 3, "tooOldLogEventEndIndex": 2}), 5), 3);
        assert_eq!(rejected(&json!({"tooNewLogEventStartIndex": 4, "tooOldLogEventEndIndex": 1}), 5), 2);
    }
}
