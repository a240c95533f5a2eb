//! Logging, tracing and encryption of a state machine or activity: checked, brought into their normal form, kept as
//! text and given back. `sinks` acts on logging; on the others nothing does in this version.

use std::sync::Arc;

use serde::Serialize;
use stepwright_api::{
    ApiError, ErrorCode,
    types::{EncryptionConfiguration, EncryptionType, LogLevel, LoggingConfiguration, TracingConfiguration},
    wire,
};

use crate::sinks::GroupError;

/// Seconds for which a data key is used again, where nothing else is said.
const KEY_REUSE_SECONDS: i32 = 300;

/// The text of `loggingConfiguration`; absent and `{}` mean OFF (recorded).
pub(super) fn logging(given: Option<LoggingConfiguration>) -> Result<Arc<str>, ApiError> {
    let given = given.unwrap_or_default();
    let level = given.level.unwrap_or(LogLevel::Off);
    let count = given.destinations.as_ref().map_or(0, Vec::len);
    if count > 1 || (level != LogLevel::Off && count == 0) {
        return Err(invalid_logging("Must specify exactly one Log Destination."));
    }
    for destination in given.destinations.iter().flatten() {
        let group = destination.cloud_watch_logs_log_group.as_ref().and_then(|group| group.log_group_arn.as_deref());
        match group {
            None => return Err(invalid_logging("Log Destination not found.")),
            Some(arn) if !arn.starts_with("arn:") || !arn.ends_with(":*") => {
                return Err(invalid_logging(
                    "The CloudWatch Logs Resource ARN must be that of a log group, ending in :*",
                ));
            }
            Some(_) => {}
        }
    }
    Ok(text(&LoggingConfiguration {
        level: Some(level),
        include_execution_data: Some(given.include_execution_data.unwrap_or(false)),
        destinations: given.destinations,
    }))
}

/// The text of `tracingConfiguration`.
pub(super) fn tracing(given: Option<&TracingConfiguration>) -> Arc<str> {
    let enabled = given.and_then(|given| given.enabled).unwrap_or(false);
    text(&TracingConfiguration { enabled: Some(enabled) })
}

/// The text of `encryptionConfiguration`.
pub(super) fn encryption(given: Option<EncryptionConfiguration>) -> Result<Arc<str>, ApiError> {
    let Some(given) = given else {
        return Ok(text(&EncryptionConfiguration::new(EncryptionType::AwsOwnedKey)));
    };
    let invalid = |message: &str| {
        ApiError::new(
            ErrorCode::InvalidEncryptionConfiguration,
            format!("Invalid Encryption Configuration: '{message}'"),
        )
    };
    match given.r#type {
        EncryptionType::AwsOwnedKey => {
            if given.kms_key_id.is_some() || given.kms_data_key_reuse_period_seconds.is_some() {
                return Err(invalid("KmsKeyId and KmsDataKeyReusePeriodSeconds are only for CUSTOMER_MANAGED_KMS_KEY"));
            }
            Ok(text(&given))
        }
        EncryptionType::CustomerManagedKmsKey => {
            if given.kms_key_id.is_none() {
                return Err(invalid("KmsKeyId is required for CUSTOMER_MANAGED_KMS_KEY"));
            }
            let period = given.kms_data_key_reuse_period_seconds.unwrap_or(KEY_REUSE_SECONDS);
            Ok(text(&EncryptionConfiguration { kms_data_key_reuse_period_seconds: Some(period), ..given }))
        }
    }
}

/// A configuration from its kept text. None if it is not readable, which only another version's data can be.
pub(super) fn read<T: wire::Decode>(text: &str) -> Option<T> {
    let configuration = wire::from_body(text.as_bytes());
    if let Err(error) = &configuration {
        tracing::error!(%error, "a stored configuration cannot be read and is left out");
    }
    configuration.ok()
}

fn text(configuration: &impl Serialize) -> Arc<str> {
    serde_json::to_string(configuration).expect("configurations consist of texts, numbers and booleans").into()
}

/// Why a log group that cannot be logged to is refused.
pub(super) fn refused_group(error: GroupError) -> ApiError {
    match error {
        GroupError::NotFound => invalid_logging("Log Destination not found."),
        GroupError::NotAllowed => {
            invalid_logging("The state machine IAM Role is not authorized to access the Log Destination")
        }
    }
}

fn invalid_logging(message: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidLoggingConfiguration, format!("Invalid Logging Configuration: {message}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn logging_has_one_normal_form() {
        #[track_caller]
        fn check(given: serde_json::Value, expect: Result<serde_json::Value, &str>) {
            let given: Option<LoggingConfiguration> =
                (!given.is_null()).then(|| wire::from_value(given).expect("a configuration"));
            match (logging(given), expect) {
                (Ok(text), Ok(expect)) => {
                    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), expect);
                }
                (Err(error), Err(expect)) => {
                    assert_eq!(error.code, ErrorCode::InvalidLoggingConfiguration);
                    assert_eq!(error.message, format!("Invalid Logging Configuration: {expect}"));
                }
                (got, _) => panic!("{got:?}"),
            }
        }
        let group = json!({"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:us-east-1:1:log-group:g:*"}});
        let off = json!({"level": "OFF", "includeExecutionData": false});
        check(json!(null), Ok(off.clone()));
        check(json!({}), Ok(off));
        check(
            json!({"destinations": []}),
            Ok(json!({"level": "OFF", "includeExecutionData": false, "destinations": []})),
        );
        let all = json!({"level": "ALL", "includeExecutionData": true, "destinations": [group.clone()]});
        check(all.clone(), Ok(all));
        check(json!({"level": "ERROR"}), Err("Must specify exactly one Log Destination."));
        check(json!({"level": "ERROR", "destinations": []}), Err("Must specify exactly one Log Destination."));
        check(json!({"destinations": [group.clone(), group]}), Err("Must specify exactly one Log Destination."));
        check(json!({"level": "ALL", "destinations": [{}]}), Err("Log Destination not found."));
    }

    #[test]
    fn encryption_with_a_key_shows_its_period() {
        let given = wire::from_value(json!({"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"})).expect("one");
        let text = encryption(Some(given)).expect("valid");
        let shown: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            shown,
            json!({"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k", "kmsDataKeyReusePeriodSeconds": 300})
        );
        assert_eq!(&*encryption(None).expect("the default"), r#"{"type":"AWS_OWNED_KEY"}"#);
        let without_key = wire::from_value(json!({"type": "CUSTOMER_MANAGED_KMS_KEY"})).expect("one");
        let error = encryption(Some(without_key)).expect_err("no key");
        assert_eq!(error.code, ErrorCode::InvalidEncryptionConfiguration);
    }
}
