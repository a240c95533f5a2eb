//! Log records of executions, as AWS writes them to CloudWatch Logs (recorded).

use std::sync::Arc;

use serde_json::{Map, Value, json};
use stepwright_engine::{Event, ExpressEvents, HistoryPage, LogLevel, Told};
use stepwright_integrations::sinks::logs::{LogGroup, LogRecord};

use crate::history_wire::Speller;

/// Longer records have their texts cut (AWS: documented).
const MOST_BYTES: usize = 1_000 * 1_024;
/// Members of an event's details that are cut, and whether others tell of it.
const CUT: [&str; 4] = ["input", "output", "parameters", "cause"];

/// Records of one execution's turn, and where they go.
#[derive(Clone, Debug)]
pub(super) struct LogEntry {
    /// None: the configuration names no group that there could be.
    pub(super) group: Option<LogGroup>,
    pub(super) machine: Arc<str>,
    pub(super) records: Vec<LogRecord>,
}

/// `loggingConfiguration` as far as it matters here.
struct Configuration {
    level: LogLevel,
    include_data: bool,
    group: Option<LogGroup>,
}

impl Configuration {
    fn read(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let level = match value["level"].as_str() {
            Some("ALL") => LogLevel::All,
            Some("ERROR") => LogLevel::Error,
            Some("FATAL") => LogLevel::Fatal,
            _ => LogLevel::Off,
        };
        let arn = value["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"].as_str();
        Self { level, include_data: value["includeExecutionData"] == true, group: arn.and_then(LogGroup::parse) }
    }
}

/// How much a machine logs, from its stored `loggingConfiguration`.
pub(super) fn level(logging: &str) -> LogLevel {
    Configuration::read(logging).level
}

/// The log group that a stored `loggingConfiguration` names, if there could be such a one.
pub(super) fn group(logging: &str) -> Option<LogGroup> {
    Configuration::read(logging).group
}

impl LogEntry {
    /// The records of a turn; it holds only what its machine logs.
    pub(super) fn of_turn(told: &Told) -> Option<Self> {
        let turn = told.turn.as_ref()?;
        let configuration = Configuration::read(&turn.logging);
        let redrives = turn.redriven.map_or(0, |(count, _)| count);
        let execution = &turn.execution_arn;
        let records = records(&turn.page, &turn.page.events, configuration.include_data, execution, redrives);
        Some(Self { group: configuration.group, machine: turn.state_machine_name.clone(), records })
    }

    /// The records of what happened in an Express execution; none if its machine logs nothing of it.
    pub(super) fn of_express(told: &ExpressEvents) -> Option<Self> {
        let configuration = Configuration::read(&told.logging);
        let wanted = |event: &&Event| configuration.level.takes(&event.kind, &told.page.definition);
        let events: Vec<Event> = told.page.events.iter().filter(wanted).cloned().collect();
        let records = records(&told.page, &events, configuration.include_data, &told.execution_arn, 0);
        let machine = told.state_machine_name.clone();
        (!records.is_empty()).then_some(Self { group: configuration.group, machine, records })
    }

    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.message.len()).sum()
    }
}

fn records(
    page: &HistoryPage,
    events: &[Event],
    include_data: bool,
    execution_arn: &str,
    redrives: u32,
) -> Vec<LogRecord> {
    let speller = Speller::new(page, include_data);
    let record = |event: &Event| {
        let wire = serde_json::to_value(speller.spell(event)).unwrap_or(Value::Null);
        LogRecord { at: event.at, message: record(&wire, event, execution_arn, redrives) }
    };
    events.iter().map(record).collect()
}

/// One record: the event's details without the name of their kind, and every number a text.
fn record(wire: &Value, event: &Event, execution_arn: &str, redrives: u32) -> String {
    let details = wire.as_object().and_then(|wire| wire.iter().find(|(name, _)| name.ends_with("EventDetails")));
    let mut record = json!({
        "id": event.id.to_string(),
        "type": wire["type"],
        "details": details.map_or_else(|| Value::Object(Map::new()), |(_, details)| details.clone()),
        "previous_event_id": event.previous.to_string(),
        "event_timestamp": event.at.to_string(),
        "execution_arn": execution_arn,
        "redrive_count": redrives.to_string(),
    });
    let text = record.to_string();
    if text.len() <= MOST_BYTES {
        return text;
    }
    cut(&mut record["details"], MOST_BYTES - 4_096);
    record.to_string()
}

/// Cuts the texts of details so that they take no more than this as JSON, and says so.
fn cut(details: &mut Value, most: usize) {
    let Some(details) = details.as_object_mut() else { return };
    if details.remove("assignedVariables").is_some() {
        details.insert("assignedVariablesDetails".to_owned(), json!({"truncated": true}));
    }
    let mut left = most;
    for name in CUT {
        let Some(Value::String(text)) = details.get_mut(name) else { continue };
        let end = fitting(text, left);
        left = left.saturating_sub(escaped(&text[..end]));
        if end < text.len() {
            text.truncate(end);
            let told = format!("{name}Details");
            if details.contains_key(&told) {
                details.insert(told, json!({"truncated": true}));
            }
        }
    }
}

/// What a text takes inside a JSON string.
fn escaped(text: &str) -> usize {
    text.bytes().map(escaped_byte).sum()
}

fn escaped_byte(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

/// Where to cut a text that may take so much.
fn fitting(text: &str, most: usize) -> usize {
    let mut taken = 0;
    let mut end = 0;
    for (at, character) in text.char_indices() {
        taken += escaped(&text[at..at + character.len_utf8()]);
        if taken > most {
            return end;
        }
        end = at + character.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_say_how_much_is_logged_and_where() {
        let text = |level: &str| {
            json!({
                "level": level,
                "includeExecutionData": true,
                "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:r-1:1:log-group:g:*"}}],
            })
            .to_string()
        };
        for (name, expect) in
            [("ALL", LogLevel::All), ("ERROR", LogLevel::Error), ("FATAL", LogLevel::Fatal), ("OFF", LogLevel::Off)]
        {
            assert_eq!(level(&text(name)), expect);
            assert_eq!(group(&text(name)).map(|group| group.name).as_deref(), Some("g"));
        }
        assert_eq!(level("{}"), LogLevel::Off);
        assert_eq!(level("no JSON"), LogLevel::Off);
        assert!(Configuration::read(&text("ALL")).include_data);
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_says_so() {
        let long = "\"é".repeat(300_000);
        let mut details = json!({
            "name": "n", "output": long, "outputDetails": {"truncated": false},
            "assignedVariables": {"a": "1"}, "assignedVariablesDetails": {"truncated": false},
        });
        cut(&mut details, 1_000);
        assert_eq!(details["outputDetails"], json!({"truncated": true}));
        assert_eq!(details["assignedVariablesDetails"], json!({"truncated": true}));
        assert!(details.get("assignedVariables").is_none());
        assert_eq!(details["name"], "n");
        let output = details["output"].as_str().expect("a text");
        assert_eq!(escaped(output), 1_000);
        assert!(long.starts_with(output));

        let mut whole = json!({"input": "short", "inputDetails": {"truncated": false}});
        let before = whole.clone();
        cut(&mut whole, 1_000);
        assert_eq!(whole, before);
    }
}
