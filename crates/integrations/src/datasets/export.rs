//! Results as files: `SUCCEEDED_0.json`, `FAILED_0.json`, `PENDING_0.json` and the manifest that names them, below the
//! run's UUID. Records come as the store gives them and go out in parts; no more than a part of each file is in memory.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use stepwright_engine::datasets::{ExportCall, ResultRecord, ResultRecords};
use stepwright_machine::{
    Status,
    map_run::{ResultFormat, ResultTransformation},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{behalf, plan::Parameters};
use crate::objects::{Object, ObjectError, ObjectWriter, Places};

/// Pieces of records that are read ahead.
const AHEAD: usize = 2;

/// The kinds of files, in the order of the manifest.
const KINDS: [&str; 3] = ["FAILED", "PENDING", "SUCCEEDED"];

/// Writes the files and gives the state's result.
pub(super) async fn export(
    places: &Places,
    file_bytes: u64,
    call: &ExportCall,
    records: Box<dyn ResultRecords>,
) -> Result<Arc<str>, ObjectError> {
    let parameters = Parameters::read(&call.plan.parameters)?;
    let bucket = parameters.required("Bucket")?;
    let prefix = parameters.optional("Prefix")?.unwrap_or_default().trim_end_matches('/');
    let run = Uuid::from_u128(call.on_behalf.run);
    let folder = if prefix.is_empty() { run.to_string() } else { format!("{prefix}/{run}") };
    let owner = parameters.optional("ExpectedBucketOwner")?.map(Arc::from);
    let object = |name: &str| Object {
        bucket: bucket.into(),
        key: format!("{folder}/{name}").into(),
        version: None,
        owner: owner.clone(),
    };
    let behalf = behalf(&call.on_behalf);
    let writer = |name: &str| {
        let object = object(name);
        let (place, there) = places.of_object(&object, &behalf)?;
        Ok::<_, ObjectError>(ObjectWriter::new(place, there))
    };
    let mut files =
        KINDS.map(|kind| Files { kind, format: call.shape.format, file_bytes, open: None, done: Vec::new() });
    let written = write(call, records, &mut files, &writer).await;
    let results = match written {
        Ok(()) => finish(&mut files, &folder).await,
        Err(error) => Err(error),
    };
    let results = match results {
        Ok(results) => results,
        Err(error) => {
            for file in &mut files {
                if let Some(open) = &mut file.open {
                    open.abort().await;
                }
            }
            return Err(error);
        }
    };
    let manifest = json!({
        "DestinationBucket": bucket,
        "MapRunArn": &*call.on_behalf.map_run_arn,
        "ResultFiles": results,
    });
    let mut file = writer("manifest.json")?;
    file.write(&manifest.to_string()).await?;
    file.finish().await?;
    let result = json!({
        "MapRunArn": &*call.on_behalf.map_run_arn,
        "ResultWriterDetails": {"Bucket": bucket, "Key": format!("{folder}/manifest.json")},
    });
    Ok(result.to_string().into())
}

/// The files of a kind.
struct Files {
    kind: &'static str,
    format: ResultFormat,
    file_bytes: u64,
    open: Option<ObjectWriter>,
    /// How long each is that was written.
    done: Vec<u64>,
}

impl Files {
    async fn add(
        &mut self,
        value: &str,
        writer: &impl Fn(&str) -> Result<ObjectWriter, ObjectError>,
    ) -> Result<(), ObjectError> {
        let is_lines = self.format == ResultFormat::JsonLines;
        // Room for a bracket at the end.
        if self.open.as_ref().is_some_and(|open| open.len() + value.len() as u64 + 2 > self.file_bytes) {
            self.close().await?;
        }
        let open = match &mut self.open {
            Some(open) => {
                if !is_lines {
                    open.write(",").await?;
                }
                open
            }
            none => {
                let mut open = writer(&format!("{}_{}.json", self.kind, self.done.len()))?;
                if !is_lines {
                    open.write("[").await?;
                }
                none.insert(open)
            }
        };
        open.write(value).await?;
        if is_lines { open.write("\n").await } else { Ok(()) }
    }

    async fn close(&mut self) -> Result<(), ObjectError> {
        if let Some(mut open) = self.open.take() {
            if self.format == ResultFormat::Json {
                open.write("]").await?;
            }
            self.done.push(open.finish().await?);
        }
        Ok(())
    }
}

/// Closes the files. Says what the manifest tells of them.
async fn finish(files: &mut [Files], folder: &str) -> Result<Value, ObjectError> {
    let mut results = Map::new();
    for files in files {
        files.close().await?;
        let told = files
            .done
            .iter()
            .enumerate()
            .map(|(number, size)| json!({"Key": format!("{folder}/{}_{number}.json", files.kind), "Size": size}));
        results.insert(files.kind.to_owned(), told.collect());
    }
    Ok(Value::Object(results))
}

async fn write(
    call: &ExportCall,
    mut records: Box<dyn ResultRecords>,
    files: &mut [Files; 3],
    writer: &impl Fn(&str) -> Result<ObjectWriter, ObjectError>,
) -> Result<(), ObjectError> {
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    // The store is read by blocking. Whoever reads it stops when nobody takes what it read.
    let reading = tokio::task::spawn_blocking(move || {
        loop {
            let records = records.next();
            let is_last = !matches!(records, Ok(Some(_)));
            if sender.blocking_send(records).is_err() || is_last {
                return;
            }
        }
    });
    while let Some(records) = receiver.recv().await {
        let Some(records) = records.map_err(ObjectError)? else { return Ok(()) };
        for record in records {
            let [failed, pending, succeeded] = files;
            let files = match record.status {
                Status::Running => pending,
                Status::Succeeded => succeeded,
                Status::Failed | Status::TimedOut | Status::Aborted => failed,
            };
            for value in values(&record, call.shape.transformation) {
                files.add(&value, writer).await?;
            }
        }
    }
    // The end was not told: reading panicked.
    let reason = reading.await.err().map_or_else(|| "they have no end".to_owned(), |error| error.to_string());
    Err(ObjectError(format!("The results can't be read: {reason}")))
}

/// What is written of a child.
fn values(record: &ResultRecord, transformation: ResultTransformation) -> Vec<String> {
    let output = record.output.as_deref().unwrap_or("null");
    match (record.status, transformation) {
        (Status::Succeeded, ResultTransformation::Compact) => vec![output.to_owned()],
        (Status::Succeeded, ResultTransformation::Flatten) => match serde_json::from_str(output) {
            Ok(Value::Array(elements)) => elements.iter().map(Value::to_string).collect(),
            _ => vec![output.to_owned()],
        },
        _ => vec![full(record)],
    }
}

/// All that is known of a child, as AWS tells it.
pub(super) fn full(record: &ResultRecord) -> String {
    let mut members = Map::new();
    let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
    let date = |time: Option<i64>| {
        time.and_then(|time| jiff::Timestamp::from_millisecond(time).ok()).map(|time| format!("{time:.3}"))
    };
    let (is_pending, is_success) = (record.status == Status::Running, record.status == Status::Succeeded);
    if let Some(cause) = &record.cause {
        add("Cause", (**cause).into());
    }
    if let Some(error) = &record.error {
        add("Error", (**error).into());
    }
    add("ExecutionArn", (*record.arn).into());
    add("Input", (*record.input).into());
    add("InputDetails", json!({"Included": true}));
    add("Name", (*record.name).into());
    if let Some(output) = &record.output {
        add("Output", (**output).into());
        add("OutputDetails", json!({"Included": true}));
    }
    if !is_pending {
        add("RedriveCount", record.redrives.into());
        add("RedriveStatus", if is_success { "NOT_REDRIVABLE" } else { "REDRIVABLE_BY_MAP_RUN" }.into());
        if is_success {
            add("RedriveStatusReason", "Execution is SUCCEEDED and cannot be redriven".into());
        }
    }
    if let Some(date) = date(record.started_at) {
        add("StartDate", date.into());
    }
    add("StateMachineArn", (*record.state_machine_arn).into());
    let status = match record.status {
        Status::Running => "PENDING",
        Status::Succeeded => "SUCCEEDED",
        Status::Failed => "FAILED",
        Status::TimedOut => "TIMED_OUT",
        Status::Aborted => "ABORTED",
    };
    add("Status", status.into());
    if let Some(date) = date(record.stopped_at) {
        add("StopDate", date.into());
    }
    Value::Object(members).to_string()
}
