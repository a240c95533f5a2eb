//! Records of executions into CloudWatch Logs: streams, batches within the service's bounds, and what its answers mean.
//!
//! A group that is gone loses its records, and nothing else: AWS delivers them as well as it can, too.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use stepwright_engine::{
    LogLevel,
    clock::{SeedSource as _, SystemSeeds},
};
use stepwright_integrations::sinks::{
    SinkError,
    logs::{BATCH_BYTES, BATCH_RECORDS, BATCH_SPAN_MS, CloudWatchLogs, LogGroup, LogRecord, RECORD_BYTES},
};
use tokio::task::JoinSet;

use super::{LogEntry, Outcome, record};

/// What AWS makes to see whether it may write to a group (recorded: streams of a group that a machine was created
/// with).
const VALIDATION_STREAM: &str = "log_stream_created_by_aws_to_validate_log_delivery_subscriptions";
/// How long creating a machine waits for the service.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams written to at once.
const STREAMS_AT_ONCE: usize = 8;
/// Names of streams kept; one that is forgotten is followed by a new one.
const MOST_STREAMS: usize = 10_000;

/// Why a log group cannot be logged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupError {
    /// There is none.
    NotFound,
    /// The server's credentials don't allow it.
    NotAllowed,
}

type StreamKey = (LogGroup, Arc<str>);

/// CloudWatch Logs.
pub(super) struct CloudWatch {
    logs: CloudWatchLogs,
    /// The stream of each group and machine, and whether it is known to exist.
    streams: Mutex<HashMap<StreamKey, (Arc<str>, bool)>>,
    /// What the names of this process's streams end with: no other process writes to them.
    hash: String,
}

impl CloudWatch {
    pub(super) fn new(logs: CloudWatchLogs) -> Self {
        Self { logs, streams: Mutex::default(), hash: format!("{:08x}", SystemSeeds.next() >> 32) }
    }

    /// The stream for a machine's records, and whether it is known to exist.
    fn stream(&self, key: &StreamKey) -> (Arc<str>, bool) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get(key) {
            return stream.clone();
        }
        if streams.len() >= MOST_STREAMS {
            streams.clear();
        }
        let minute = Timestamp::now().strftime("%Y-%m-%d-%H-%M").to_string();
        let name: Arc<str> = format!("states/{}/{minute}/{}", key.1, self.hash).into();
        streams.insert(key.clone(), (name.clone(), false));
        (name, false)
    }

    fn exists(&self, key: &StreamKey, exists: bool) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get_mut(key) {
            stream.1 = exists;
        }
    }

    /// Has the stream of a machine made, unless it exists.
    async fn ready(&self, key: &StreamKey) -> Result<Arc<str>, SinkError> {
        let (name, exists) = self.stream(key);
        if !exists {
            self.logs.create_stream(&key.0, &name).await?;
            self.exists(key, true);
        }
        Ok(name)
    }

    /// Looks whether a machine's group is there, and makes its streams. When the service does not answer, the machine
    /// is taken all the same: its records will wait.
    pub(super) async fn check_group(&self, logging: &str, machine: &str, new: bool) -> Result<(), GroupError> {
        if record::level(logging) == LogLevel::Off {
            return Ok(());
        }
        let group = record::group(logging).ok_or(GroupError::NotFound)?;
        let key = (group, Arc::from(machine));
        let look = async {
            if new {
                self.logs.create_stream(&key.0, VALIDATION_STREAM).await?;
            } else {
                // It may have been deleted since it was made.
                self.exists(&key, false);
            }
            self.ready(&key).await
        };
        let problem = match tokio::time::timeout(CHECK_TIMEOUT, look).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => match error.code() {
                Some("ResourceNotFoundException") => return Err(GroupError::NotFound),
                Some("AccessDeniedException") => return Err(GroupError::NotAllowed),
                _ => error.to_string(),
            },
            Err(_) => format!("no answer in {} seconds", CHECK_TIMEOUT.as_secs()),
        };
        tracing::warn!(
            group = key.0.name,
            machine,
            problem,
            "whether the log group exists cannot be told now; the state machine is taken as if it did"
        );
        Ok(())
    }

    /// Puts records, each machine's into its own stream; what became of each entry.
    pub(super) async fn put(self: &Arc<Self>, entries: Vec<LogEntry>) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; entries.len()];
        let mut by_stream: BTreeMap<StreamKey, Vec<(usize, LogRecord)>> = BTreeMap::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let Some(group) = entry.group else {
                outcomes[index] = Some(Outcome::Lost("the logging configuration names no log group".to_owned()));
                continue;
            };
            let records = by_stream.entry((group, entry.machine)).or_default();
            records.extend(entry.records.into_iter().map(|record| (index, record)));
        }
        let mut take = |done: Vec<(usize, Outcome)>| {
            for (index, outcome) in done {
                // What is lost for one of a turn's records is lost for none of the others; what is to be told again
                // is told again with all of them.
                let worse = match &outcomes[index] {
                    None | Some(Outcome::Delivered) => true,
                    Some(_) => matches!(outcome, Outcome::Again(_)),
                };
                if worse {
                    outcomes[index] = Some(outcome);
                }
            }
        };
        let mut running = JoinSet::new();
        let mut waiting = by_stream.into_iter();
        if waiting.len() == 1
            && let Some((key, records)) = waiting.next()
        {
            take(self.put_stream(key, records).await);
        }
        loop {
            while running.len() < STREAMS_AT_ONCE
                && let Some((key, records)) = waiting.next()
            {
                let logs = Arc::clone(self);
                running.spawn(async move { logs.put_stream(key, records).await });
            }
            let Some(done) = running.join_next().await else { break };
            take(done.unwrap_or_default());
        }
        let broke = || Outcome::Again("the records were not put".to_owned());
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(broke)).collect()
    }

    /// Puts the records of one stream, batch by batch.
    async fn put_stream(&self, key: StreamKey, mut records: Vec<(usize, LogRecord)>) -> Vec<(usize, Outcome)> {
        // The service demands it; records of one execution keep their order.
        records.sort_by_key(|(_, record)| record.at);
        let mut outcomes = Vec::new();
        let mut rest = &records[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch_length(rest));
            let texts: Vec<LogRecord> = batch.iter().map(|(_, record)| record.clone()).collect();
            match self.put_batch(&key, &texts).await {
                Ok(()) => outcomes.extend(batch.iter().map(|(index, _)| (*index, Outcome::Delivered))),
                Err(outcome @ Outcome::Again(_)) => {
                    outcomes.extend(rest.iter().map(|(index, _)| (*index, outcome.clone())));
                    return outcomes;
                }
                Err(outcome) => outcomes.extend(batch.iter().map(|(index, _)| (*index, outcome.clone()))),
            }
            rest = after;
        }
        outcomes
    }

    async fn put_batch(&self, key: &StreamKey, records: &[LogRecord]) -> Result<(), Outcome> {
        let again = |error: &SinkError| Outcome::Again(error.to_string());
        let gone = || Outcome::Lost(format!("the log group {} does not exist", key.0.name));
        for _ in 0..2 {
            let stream = match self.ready(key).await {
                Ok(stream) => stream,
                Err(error) if error.code() == Some("ResourceNotFoundException") => return Err(gone()),
                Err(error) if error.code() == Some("AccessDeniedException") => {
                    return Err(Outcome::Lost(error.to_string()));
                }
                Err(error) => return Err(again(&error)),
            };
            match self.logs.put(&key.0, &stream, records).await {
                Ok(0) => return Ok(()),
                Ok(rejected) => {
                    tracing::warn!(group = key.0.name, rejected, "CloudWatch Logs took no records of such a time");
                    return Ok(());
                }
                // The group or the stream: making the stream tells which.
                Err(error) if error.code() == Some("ResourceNotFoundException") => self.exists(key, false),
                // As on AWS, whose role may not write either.
                Err(error) if matches!(error.code(), Some("InvalidParameterException" | "AccessDeniedException")) => {
                    return Err(Outcome::Lost(error.to_string()));
                }
                Err(error) => return Err(again(&error)),
            }
        }
        Err(Outcome::Again("the log stream is deleted as soon as it is made".to_owned()))
    }
}

/// How many of these records, which are sorted by time, go into one call.
fn batch_length(records: &[(usize, LogRecord)]) -> usize {
    let first = records.first().map_or(0, |(_, record)| record.at);
    let mut bytes = 0;
    let fits = |(_, record): &&(usize, LogRecord)| {
        bytes += record.message.len() + RECORD_BYTES;
        bytes <= BATCH_BYTES && record.at - first < BATCH_SPAN_MS
    };
    // One that is too long by itself goes alone: the service says so.
    records.iter().take(BATCH_RECORDS).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_bounds_of_the_service() {
        let record = |at: i64, bytes: usize| (0, LogRecord { at, message: "x".repeat(bytes) });
        assert_eq!(batch_length(&[record(0, 10), record(5, 10)]), 2);
        assert_eq!(batch_length(&[record(0, 600_000), record(0, 448_000), record(0, 500)]), 2);
        assert_eq!(batch_length(&[record(0, 2_000_000), record(0, 1)]), 1);
        assert_eq!(batch_length(&[record(0, 1), record(BATCH_SPAN_MS - 1, 1), record(BATCH_SPAN_MS, 1)]), 2);
        assert_eq!(batch_length(&vec![record(0, 0); BATCH_RECORDS + 1]), BATCH_RECORDS);
    }
}
