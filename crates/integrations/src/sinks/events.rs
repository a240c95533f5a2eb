//! EventBridge: events put on a bus.

use serde_json::{Value, json};

use super::{JsonService, SinkError};
use crate::{aws::Caller, error::ConfigError};

/// Entries of one PutEvents.
pub const BATCH_ENTRIES: usize = 10;
/// Bytes of the entries of one call.
pub const BATCH_BYTES: usize = 256 * 1_024;

/// An event to put.
#[derive(Clone, Debug)]
pub struct EventEntry {
    /// Who says it.
    pub source: String,
    /// What kind of event it is.
    pub detail_type: String,
    /// What it says: a JSON object as text.
    pub detail: String,
    /// What it is about.
    pub resources: Vec<String>,
    /// When it happened, in seconds since the epoch.
    pub time: i64,
    /// The bus; none: the default one.
    pub bus: Option<String>,
}

impl EventEntry {
    /// Its size as the service counts it (AWS: documented).
    #[must_use]
    pub fn bytes(&self) -> usize {
        let resources: usize = self.resources.iter().map(String::len).sum();
        14 + self.source.len() + self.detail_type.len() + self.detail.len() + resources
    }
}

/// EventBridge.
#[derive(Clone, Debug)]
pub struct EventBridge(JsonService);

impl EventBridge {
    /// The service where the environment says, for a server whose own region is `region`.
    ///
    /// # Errors
    /// The environment names an endpoint that is none.
    pub fn new(region: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        JsonService::new(region, lookup, &["EVENTBRIDGE", "EVENTS"], "events", "AWSEvents").map(Self)
    }

    /// Whether the environment names its endpoint.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.0.is_custom()
    }

    /// Puts at most [`BATCH_ENTRIES`] events; for each, why it was not taken, if it was not.
    ///
    /// # Errors
    /// The service cannot be told, or refuses the call as a whole.
    pub async fn put(
        &self,
        region: &str,
        account: &str,
        entries: &[EventEntry],
    ) -> Result<Vec<Option<SinkError>>, SinkError> {
        let caller = Caller { region, account, task_role: None };
        let body = json!({"Entries": entries.iter().map(wire).collect::<Vec<Value>>()});
        let answer = self.0.call(caller, "PutEvents", &body).await?;
        let refused = |entry: &Value| {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
            text("ErrorCode").map(|code| SinkError::Refused { code, message: text("ErrorMessage") })
        };
        Ok((0..entries.len()).map(|index| refused(&answer["Entries"][index])).collect())
    }
}

fn wire(entry: &EventEntry) -> Value {
    let mut wire = json!({
        "Source": entry.source,
        "DetailType": entry.detail_type,
        "Detail": entry.detail,
        "Resources": entry.resources,
        "Time": entry.time,
    });
    if let Some(bus) = &entry.bus {
        wire["EventBusName"] = Value::from(bus.as_str());
    }
    wire
}
