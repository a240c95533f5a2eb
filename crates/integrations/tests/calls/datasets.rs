//! Datasets read from and written to a store that behaves and misbehaves, and to folders: the same items however often
//! the reading is taken up again, AWS's errors, and never a hang.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stepwright_engine::{
    ConnectorFailure,
    datasets::{Datasets, ExportCall, OnBehalf, Position, ReadCall, ResultRecord, ResultRecords},
};
use stepwright_integrations::{datasets::DatasetOptions, objects::Location};
use stepwright_machine::{
    Status,
    map_run::{
        ExportPlan, Format, ManifestType, ReadAction, ReadPlan, ResultFormat, ResultShape, ResultTransformation,
    },
};

use crate::{
    bucket::{Bucket, error},
    stub::Act,
};

const RUN: u128 = 0x0bb8_a402_344d_4748_86e1_403c_b760_6b3b;
const UUID: &str = "0bb8a402-344d-4748-86e1-403cb7606b3b";

fn open(url: &str, options: DatasetOptions) -> Arc<dyn Datasets> {
    let lookup = |name: &str| (name == "AWS_ENDPOINT_URL_S3").then(|| url.to_owned());
    stepwright_integrations::datasets("us-east-1", options, &lookup).expect("datasets")
}

fn in_s3(bucket: &Bucket) -> Arc<dyn Datasets> {
    open(&bucket.url, DatasetOptions { call_timeout: Duration::from_millis(400), ..DatasetOptions::default() })
}

/// The folder as bucket `b`.
fn in_folder(folder: &Path) -> Arc<dyn Datasets> {
    let buckets = BTreeMap::from([("b".to_owned(), Location::Folder(folder.to_owned()))]);
    open(
        "http://127.0.0.1:9",
        DatasetOptions { buckets, folders: vec![folder.to_owned()], ..DatasetOptions::default() },
    )
}

fn on_behalf() -> OnBehalf {
    OnBehalf {
        run: RUN,
        map_run_arn: format!("arn:aws:states:us-east-1:000000000000:mapRun:m/l:{UUID}").into(),
        execution_arn: "arn:aws:states:us-east-1:000000000000:execution:m:e".into(),
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        account: "000000000000".into(),
        region: "us-east-1".into(),
    }
}

fn plan(key: &str, format: Option<Format>) -> ReadPlan {
    ReadPlan {
        action: ReadAction::GetObject,
        parameters: json!({"Bucket": "b", "Key": key}).to_string().into(),
        format,
        csv_headers: None,
        csv_delimiter: ',',
        items_pointer: None,
        manifest: ManifestType::S3Inventory,
        loads_and_flattens: false,
        max_items: 0,
    }
}

fn list(parameters: &Value, format: Option<Format>) -> ReadPlan {
    let (action, loads_and_flattens) = (ReadAction::ListObjects, format.is_some());
    ReadPlan { action, parameters: parameters.to_string().into(), loads_and_flattens, ..plan("", format) }
}

fn call(plan: &Arc<ReadPlan>, position: Position, at_most: usize) -> ReadCall {
    ReadCall { on_behalf: on_behalf(), plan: Arc::clone(plan), position, at_most, bytes: 1 << 20 }
}

/// All items. `forget`: nothing is kept open between two calls.
async fn items(
    datasets: &Arc<dyn Datasets>,
    plan: &ReadPlan,
    at_most: usize,
    forget: bool,
) -> Result<Vec<String>, ConnectorFailure> {
    let plan = Arc::new(plan.clone());
    let (mut found, mut position) = (Vec::new(), Position::default());
    loop {
        let chunk = datasets.read(call(&plan, position, at_most)).await?;
        assert!(chunk.items.len() <= at_most);
        found.extend(chunk.items.into_iter().map(|item| match item.key {
            Some(key) => format!("{key}: {}", item.text),
            None => item.text.to_string(),
        }));
        if chunk.is_end {
            return Ok(found);
        }
        position = chunk.next;
        if forget {
            datasets.close(RUN);
        }
    }
}

/// The items, which are the same in whatever portions they are asked for.
#[track_caller]
fn same_in_portions(
    datasets: &Arc<dyn Datasets>,
    plan: &ReadPlan,
) -> impl Future<Output = Result<Vec<String>, ConnectorFailure>> {
    let (datasets, plan) = (Arc::clone(datasets), plan.clone());
    async move {
        let whole = items(&datasets, &plan, 1_000, false).await;
        for (at_most, forget) in [(1, false), (1, true), (2, true), (3, false)] {
            let found = items(&datasets, &plan, at_most, forget).await;
            assert_eq!(found.as_ref().map_err(cause), whole.as_ref().map_err(cause), "{at_most} {forget}");
        }
        whole
    }
}

fn cause(failure: &ConnectorFailure) -> String {
    format!("{}: {}", failure.error.as_deref().unwrap_or_default(), failure.cause.as_deref().unwrap_or_default())
}

async fn refused(datasets: &Arc<dyn Datasets>, plan: &ReadPlan) -> String {
    let failure = items(datasets, plan, 10, false).await.expect_err("a failure");
    assert_eq!(failure.error.as_deref(), Some("States.ItemReaderFailed"));
    failure.cause.expect("a cause").to_string()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn parquet() -> Vec<u8> {
    use parquet::{data_type::Int64Type, file::writer::SerializedFileWriter, schema::parser::parse_message_type};
    let schema = Arc::new(parse_message_type("message m { REQUIRED INT64 n; }").expect("a schema"));
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).expect("a writer");
    for values in [[1, 2], [3, 4]] {
        let mut group = writer.next_row_group().expect("a group");
        let mut column = group.next_column().expect("a column").expect("a column");
        column.typed::<Int64Type>().write_batch(&values, None, None).expect("written");
        column.close().expect("a column");
        group.close().expect("a group");
    }
    writer.into_inner().expect("a file")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_taken_up_again_after_every_item() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let pointed = ReadPlan { items_pointer: Some("/a".into()), ..plan("json", Some(Format::Json)) };
    let given = ReadPlan { csv_headers: Some(vec!["x".into()]), csv_delimiter: ';', ..plan("rows", Some(Format::Csv)) };
    let cases: [(&str, ReadPlan, Vec<u8>, &[&str]); 7] = [
        ("array", plan("array", None), b"[1, [2], {\"a\" : 3}]".to_vec(), &["1", "[2]", "{\"a\":3}"]),
        ("object", plan("object", Some(Format::Json)), b"{\"a\":1,\"b\":[2]}".to_vec(), &["a: 1", "b: [2]"]),
        ("json", pointed, b"{\"z\":[9],\"a\":[1,2,3],\"y\":0}".to_vec(), &["1", "2", "3"]),
        ("lines", plan("lines", Some(Format::JsonLines)), b"1\n\n{\"a\": 2}\r\n3".to_vec(), &["1", "{\"a\":2}", "3"]),
        (
            "csv",
            plan("csv", Some(Format::Csv)),
            b"a,b\r\n1,\"x\r\ny\"\r\n2\r\n".to_vec(),
            &[r#"{"a":"1","b":"x\r\ny"}"#, r#"{"a":"2","b":""}"#],
        ),
        ("rows", given, b"1;2\n3".to_vec(), &[r#"{"x":"1"}"#, r#"{"x":"3"}"#]),
        (
            "parquet",
            plan("parquet", Some(Format::Parquet)),
            parquet(),
            &[r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#, r#"{"n":4}"#],
        ),
    ];
    let places = [in_s3(&bucket), in_folder(folder.path())];
    for (name, plan, bytes, expect) in cases {
        let mut ways = vec![bytes.clone()];
        if name != "parquet" {
            ways.extend([gzip(&bytes), zstd::bulk::compress(&bytes, 3).expect("memory")]);
        }
        for bytes in ways {
            bucket.put(&format!("b/{name}"), bytes.clone());
            std::fs::write(folder.path().join(name), &bytes).expect("a file");
            for place in &places {
                let found = same_in_portions(place, &plan).await.map_err(|failure| cause(&failure));
                assert_eq!(
                    found.as_deref(),
                    Ok(&*expect.iter().map(ToString::to_string).collect::<Vec<_>>()),
                    "{name}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_long_object_is_read_by_ranges_of_one_version() {
    let bucket = Bucket::start().await;
    let text: String = (0..120_000).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "x".repeat(30))).collect();
    bucket.put("b/long", text.clone());
    let datasets = in_s3(&bucket);
    let plan = Arc::new(plan("long", Some(Format::JsonLines)));
    let found = items(&datasets, &plan, 1_000_000, false).await.expect("items");
    assert_eq!(found.len(), 120_000);
    assert_eq!(found.last().map(String::as_str), text.lines().last());
    assert_eq!(bucket.requests().len(), text.len().div_ceil(2 << 20), "{:?}", bucket.requests());
    // Between two calls the object changes: what was read and what comes don't belong together.
    let chunk = datasets.read(call(&plan, Position::default(), 10)).await.expect("a chunk");
    assert_eq!(chunk.progress.1, Some(text.len() as u64));
    assert!(chunk.progress.0 > 0 && chunk.progress.0 < 1_000, "{:?}", chunk.progress);
    datasets.close(RUN);
    bucket.put("b/long", text.replace('x', "y"));
    let failure = datasets.read(call(&plan, chunk.next, 10)).await.expect_err("a failure");
    assert_eq!(cause(&failure), "States.ItemReaderFailed: The object s3://b/long was changed while it was being read.");
}

#[tokio::test]
async fn a_store_that_is_busy_or_fails_for_a_while() {
    let bucket = Bucket::start().await;
    bucket.put("b/k", "1\n2\n");
    let datasets = in_s3(&bucket);
    let plan = plan("k", Some(Format::JsonLines));
    bucket.fail([error(503, "SlowDown", "Please reduce your request rate."), error(500, "InternalError", "oops")]);
    assert_eq!(items(&datasets, &plan, 10, false).await.expect("items"), ["1", "2"]);
    // A connection that breaks off, in silence or in the middle of an answer.
    let cut = Act::raw("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n\r\n1\n");
    bucket.fail([Act::Close, cut, Act::Hang]);
    assert_eq!(items(&datasets, &plan, 10, false).await.expect("items"), ["1", "2"]);
}

#[tokio::test]
async fn a_store_that_goes_on_failing() {
    let bucket = Bucket::start().await;
    bucket.put("b/k", "1\n2\n");
    let datasets = in_s3(&bucket);
    let plan = plan("k", Some(Format::JsonLines));
    bucket.fail(vec![error(503, "SlowDown", "Please reduce your request rate."); 5]);
    assert_eq!(
        refused(&datasets, &plan).await,
        "Please reduce your request rate. (Service: Amazon S3; Status Code: 503; Error Code: SlowDown; Request ID: r; \
         S3 Extended Request ID: h; Proxy: null)"
    );
    let began = Instant::now();
    bucket.fail(vec![Act::Hang; 5]);
    assert_eq!(
        refused(&datasets, &plan).await,
        "Client execution did not complete before the specified timeout configuration."
    );
    let short = || {
        Act::raw_then_hang("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n\r\n1")
    };
    bucket.fail(vec![short(), short(), short(), short(), short()]);
    assert!(refused(&datasets, &plan).await.contains("timeout"));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_not_tried_again() {
    let bucket = Bucket::start().await;
    bucket.put("b/k", "1\n2\n");
    let datasets = in_s3(&bucket);
    assert_eq!(
        refused(&datasets, &plan("gone", None)).await,
        "The specified key does not exist. (Service: Amazon S3; Status Code: 404; Error Code: NoSuchKey; Request ID: r; S3 \
         Extended Request ID: h; Proxy: null)"
    );
    bucket.fail([error(403, "AccessDenied", "Access Denied")]);
    assert!(
        refused(&datasets, &plan("k", None)).await.starts_with("Access Denied (Service: Amazon S3; Status Code: 403")
    );
    assert_eq!(bucket.requests().len(), 2);
    // An answer that is not the range that was asked for, or holds less than it says.
    let other = Act::reply(206, &[("Content-Range", "bytes 2-3/4")], b"2\n");
    bucket.fail([other]);
    assert_eq!(refused(&datasets, &plan("k", None)).await, "s3://b/k: the answer holds another range.");
    let less = Act::reply(206, &[("Content-Range", "bytes 0-3/4")], b"1\n");
    bucket.fail([less]);
    assert_eq!(refused(&datasets, &plan("k", None)).await, "s3://b/k: 2 bytes came where 4 were due, at byte 0.");
    let missing = ReadPlan { parameters: "{\"Bucket\":\"b\"}".into(), ..plan("k", None) };
    assert_eq!(refused(&datasets, &missing).await, "The required parameter 'Key' is missing.");
    let number = ReadPlan { parameters: "{\"Bucket\":1,\"Key\":\"k\"}".into(), ..plan("k", None) };
    assert_eq!(refused(&datasets, &number).await, "The parameter 'Bucket' must be a string, not 1.");
}

#[tokio::test]
async fn stores_that_know_no_ranges_and_objects_without_bytes() {
    let bucket = Bucket::start().await;
    let datasets = in_s3(&bucket);
    bucket.put("b/none", "");
    for (format, expect) in [(Format::JsonLines, Some(0)), (Format::Csv, Some(0)), (Format::Json, None)] {
        let found = items(&datasets, &plan("none", Some(format)), 10, false).await;
        assert_eq!(found.as_ref().map(Vec::len).ok(), expect, "{format:?}");
    }
    assert_eq!(refused(&datasets, &plan("none", None)).await, "s3://b/none: the document is empty");
    bucket.know_no_ranges();
    bucket.put("b/k", "1\n2\n3\n");
    assert_eq!(same_in_portions(&datasets, &plan("k", Some(Format::JsonLines))).await.expect("items"), ["1", "2", "3"]);
}

#[tokio::test]
async fn broken_datasets_are_named() {
    let bucket = Bucket::start().await;
    let datasets = open(&bucket.url, DatasetOptions::default());
    bucket.put("b/k", "1\n2\n{\"a\":\n");
    let lines = plan("k", Some(Format::JsonLines));
    assert_eq!(
        refused(&datasets, &lines).await,
        "s3://b/k: line 3: no JSON value: the value is not complete, at byte 5"
    );
    // What comes before is given all the same, if it is asked for first.
    let lines = Arc::new(lines);
    assert_eq!(datasets.read(call(&lines, Position::default(), 2)).await.expect("a chunk").items.len(), 2);
    bucket.put("b/k", "true");
    assert_eq!(refused(&datasets, &plan("k", None)).await, "Attempting to map over non-iterable node.");
    bucket.put("b/k", "a,a\n");
    assert_eq!(refused(&datasets, &plan("k", Some(Format::Csv))).await, "CSV headers cannot contain duplicates.");
    bucket.put("b/k", format!("a\n{}\n", "x".repeat(50 << 20)));
    assert_eq!(
        refused(&datasets, &plan("k", Some(Format::Csv))).await,
        "s3://b/k: line 2: the row is longer than 8388608 bytes"
    );
    let mut cut = gzip(b"1\n2\n");
    cut.truncate(cut.len() - 3);
    bucket.put("b/k", cut);
    assert!(refused(&datasets, &lines).await.starts_with("s3://b/k: the GZIP file is damaged"));
    bucket.put("b/k", "PAR1 not");
    assert!(refused(&datasets, &plan("k", Some(Format::Parquet))).await.starts_with("s3://b/k: it is no Parquet file"));
}

#[tokio::test]
async fn lists() {
    let bucket = Bucket::start().await;
    let datasets = in_s3(&bucket);
    for (key, text) in [("in/", ""), ("in/1", "1\n"), ("in/2", "2\n3\n"), ("in/3", "4\n"), ("other", "9\n")] {
        bucket.put(&format!("b/{key}"), text);
    }
    let entry = |key: &str, size: usize| {
        format!(r#"{{"Etag":"\"e\"","LastModified":1668696281,"Key":"{key}","Size":{size},"StorageClass":"STANDARD"}}"#)
    };
    let prefix = json!({"Bucket": "b", "Prefix": "in/"});
    let entries = [entry("in/", 0), entry("in/1", 2), entry("in/2", 4), entry("in/3", 2)];
    assert_eq!(same_in_portions(&datasets, &list(&prefix, None)).await.expect("items"), entries);
    let found = same_in_portions(&datasets, &list(&prefix, Some(Format::JsonLines))).await;
    assert_eq!(found.expect("items"), ["1", "2", "3", "4"]);
    let nothing = json!({"Bucket": "b", "Prefix": "nothing"});
    assert_eq!(same_in_portions(&datasets, &list(&nothing, None)).await.expect("items"), [] as [String; 0]);
    bucket.fail([error(404, "NoSuchBucket", "The specified bucket does not exist")]);
    assert!(
        refused(&datasets, &list(&prefix, None))
            .await
            .starts_with("The specified bucket does not exist (Service: Amazon S3;")
    );
    // A list that says it goes on and does not would never end.
    let stuck = Act::reply(200, &[], b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>");
    bucket.fail([stuck]);
    assert!(refused(&datasets, &list(&prefix, None)).await.ends_with("it is truncated and does not go on"));
}

#[tokio::test]
async fn manifests() {
    let bucket = Bucket::start().await;
    let datasets = in_s3(&bucket);
    let manifest = json!({"destinationBucket": "arn:aws:s3:::inv", "fileFormat": "CSV", "fileSchema": "Bucket, Key",
        "files": [{"key": "1.csv.gz"}, {"key": "2.csv.gz"}]});
    bucket.put("b/manifest.json", manifest.to_string());
    bucket.put("inv/1.csv.gz", gzip(b"\"s\",\"a\"\n\"s\",\"b\"\n"));
    bucket.put("inv/2.csv.gz", gzip(b"\"s\",\"c\"\n"));
    let rows = ["a", "b", "c"].map(|key| format!(r#"{{"Bucket":"s","Key":"{key}"}}"#));
    let inventory = plan("manifest.json", Some(Format::Manifest));
    assert_eq!(same_in_portions(&datasets, &inventory).await.expect("items"), rows);
    bucket.put("b/out.csv", "s3://inv/r1\ns3://inv/r2\n");
    bucket.put("inv/r1", gzip(b"1\n2\n"));
    bucket.put("inv/r2", "3\n");
    let athena = ReadPlan { manifest: ManifestType::AthenaData, ..plan("out.csv", Some(Format::JsonLines)) };
    assert_eq!(same_in_portions(&datasets, &athena).await.expect("items"), ["1", "2", "3"]);
    // A manifest that changes in between lists other files.
    let athena = Arc::new(athena);
    let chunk = datasets.read(call(&athena, Position::default(), 1)).await.expect("a chunk");
    datasets.close(RUN);
    bucket.put("b/out.csv", "s3://inv/r2\n");
    let failure = datasets.read(call(&athena, chunk.next, 1)).await.expect_err("a failure");
    assert_eq!(
        cause(&failure),
        "States.ItemReaderFailed: The object s3://b/out.csv was changed while it was being read."
    );
}

#[tokio::test]
async fn folders_are_reached_where_they_are_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("k"), "1\n").expect("a file");
    let datasets = in_folder(folder.path());
    let at = |bucket: String, key: &str| ReadPlan {
        parameters: json!({"Bucket": bucket, "Key": key}).to_string().into(),
        ..plan("", Some(Format::JsonLines))
    };
    let uri = format!("file://{}", folder.path().display());
    assert_eq!(items(&datasets, &at(uri.clone(), "k"), 1, true).await.expect("items"), ["1"]);
    for bucket in ["file:///etc".to_owned(), format!("{uri}/.."), format!("{uri}x"), "file://".to_owned()] {
        let found = refused(&datasets, &at(bucket.clone(), "passwd")).await;
        assert_eq!(found, format!("The folder {bucket} is not one that the server's setting datasets.folders allows."));
    }
    assert!(refused(&datasets, &at(uri, "../k")).await.contains("does not name a file in the folder"));
}

struct Records(Vec<Vec<ResultRecord>>);

impl ResultRecords for Records {
    fn next(&mut self) -> Result<Option<Vec<ResultRecord>>, String> {
        Ok(if self.0.is_empty() { None } else { Some(self.0.remove(0)) })
    }
}

struct Broken;

impl ResultRecords for Broken {
    fn next(&mut self) -> Result<Option<Vec<ResultRecord>>, String> {
        Err("the disk is gone".to_owned())
    }
}

fn record(name: &str, status: Status, output: Option<&str>) -> ResultRecord {
    let ended = status != Status::Running;
    let failed = ended && status != Status::Succeeded;
    ResultRecord {
        arn: format!("arn:e:{name}").into(),
        name: name.into(),
        state_machine_arn: "arn:m/l".into(),
        status,
        input: "{\"i\":1}".into(),
        output: output.map(Arc::from),
        error: failed.then(|| "E".into()),
        cause: failed.then(|| "C".into()),
        redrives: 0,
        is_express: false,
        started_at: ended.then_some(1_665_601_313_011),
        stopped_at: ended.then_some(1_665_601_314_000),
    }
}

fn export(transformation: ResultTransformation, format: ResultFormat) -> ExportCall {
    ExportCall {
        on_behalf: on_behalf(),
        plan: ExportPlan { parameters: "{\"Bucket\":\"out\",\"Prefix\":\"p\"}".into() },
        shape: ResultShape { transformation, format },
    }
}

fn results() -> Box<Records> {
    Box::new(Records(vec![
        vec![record("a", Status::Succeeded, Some("[1,[2]]")), record("b", Status::Failed, None)],
        vec![record("c", Status::Succeeded, Some("{\"x\":1}")), record("d", Status::Running, None)],
    ]))
}

#[tokio::test]
async fn results_in_every_shape() {
    let bucket = Bucket::start().await;
    let datasets = in_s3(&bucket);
    let call = export(ResultTransformation::None, ResultFormat::Json);
    let result = datasets.export(call, results()).await.expect("exported");
    let key = format!("p/{UUID}/manifest.json");
    assert_eq!(
        &*result,
        format!(
            r#"{{"MapRunArn":"arn:aws:states:us-east-1:000000000000:mapRun:m/l:{UUID}","ResultWriterDetails":{{"Bucket":"out","Key":"{key}"}}}}"#
        )
    );
    let file = |kind: &str| bucket.text(&format!("out/p/{UUID}/{kind}_0.json")).expect(kind);
    let manifest: Value = serde_json::from_str(&bucket.text(&format!("out/{key}")).expect("a manifest")).expect("JSON");
    let told = |kind: &str| json!([{"Key": format!("p/{UUID}/{kind}_0.json"), "Size": file(kind).len()}]);
    assert_eq!(
        manifest,
        json!({"DestinationBucket": "out", "MapRunArn": &*on_behalf().map_run_arn,
            "ResultFiles": {"FAILED": told("FAILED"), "PENDING": told("PENDING"), "SUCCEEDED": told("SUCCEEDED")}})
    );
    let succeeded = |name: &str, output: &str| {
        json!({"ExecutionArn": format!("arn:e:{name}"), "Input": "{\"i\":1}",
        "InputDetails": {"Included": true}, "Name": name, "Output": output, "OutputDetails": {"Included": true},
        "RedriveCount": 0, "RedriveStatus": "NOT_REDRIVABLE",
        "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven", "StartDate": "2022-10-12T19:01:53.011Z",
        "StateMachineArn": "arn:m/l", "Status": "SUCCEEDED", "StopDate": "2022-10-12T19:01:54.000Z"})
    };
    assert_eq!(file("SUCCEEDED"), json!([succeeded("a", "[1,[2]]"), succeeded("c", "{\"x\":1}")]).to_string());
    let failed = json!([{"Cause": "C", "Error": "E", "ExecutionArn": "arn:e:b", "Input": "{\"i\":1}",
        "InputDetails": {"Included": true}, "Name": "b", "RedriveCount": 0, "RedriveStatus": "REDRIVABLE_BY_MAP_RUN",
        "StartDate": "2022-10-12T19:01:53.011Z", "StateMachineArn": "arn:m/l", "Status": "FAILED",
        "StopDate": "2022-10-12T19:01:54.000Z"}]);
    assert_eq!(file("FAILED"), failed.to_string());
    let pending = json!([{"ExecutionArn": "arn:e:d", "Input": "{\"i\":1}", "InputDetails": {"Included": true}, "Name": "d",
        "StateMachineArn": "arn:m/l", "Status": "PENDING"}]);
    assert_eq!(file("PENDING"), pending.to_string());
    for (transformation, format, expect) in [
        (ResultTransformation::Compact, ResultFormat::Json, "[[1,[2]],{\"x\":1}]"),
        (ResultTransformation::Compact, ResultFormat::JsonLines, "[1,[2]]\n{\"x\":1}\n"),
        (ResultTransformation::Flatten, ResultFormat::Json, "[1,[2],{\"x\":1}]"),
        (ResultTransformation::Flatten, ResultFormat::JsonLines, "1\n[2]\n{\"x\":1}\n"),
    ] {
        datasets.export(export(transformation, format), results()).await.expect("exported");
        assert_eq!(file("SUCCEEDED"), expect);
        let of_lines = if format == ResultFormat::Json { failed.to_string() } else { format!("{}\n", failed[0]) };
        assert_eq!(file("FAILED"), of_lines);
    }
}

#[tokio::test]
async fn results_of_nothing_and_of_much() {
    let bucket = Bucket::start().await;
    let datasets = open(&bucket.url, DatasetOptions { file_bytes: 20 << 20, ..DatasetOptions::default() });
    let call = || export(ResultTransformation::Compact, ResultFormat::Json);
    datasets.export(call(), Box::new(Records(Vec::new()))).await.expect("exported");
    assert_eq!(bucket.names(), [format!("out/p/{UUID}/manifest.json")]);
    let output = format!("\"{}\"", "x".repeat(100_000));
    let many = || Records(vec![vec![record("a", Status::Succeeded, Some(&output)); 10]; 30]);
    datasets.export(call(), Box::new(many())).await.expect("exported");
    let lengths: Vec<usize> =
        (0..2).filter_map(|n| Some(bucket.text(&format!("out/p/{UUID}/SUCCEEDED_{n}.json"))?.len())).collect();
    assert!(lengths.iter().all(|length| *length <= 20 << 20), "{lengths:?}");
    assert_eq!(lengths.iter().sum::<usize>(), 300 * output.len() + 298 + 4);
    let values: Vec<Value> =
        serde_json::from_str(&bucket.text(&format!("out/p/{UUID}/SUCCEEDED_1.json")).expect("a file")).expect("JSON");
    assert!(values.len() > 50);
    assert_eq!(bucket.parts(), 0);
}

#[tokio::test]
async fn results_that_cannot_be_written() {
    let bucket = Bucket::start().await;
    let datasets = in_s3(&bucket);
    let call = || export(ResultTransformation::Compact, ResultFormat::Json);
    bucket.fail([error(404, "NoSuchBucket", "The specified bucket does not exist")]);
    let failure = datasets.export(call(), results()).await.expect_err("a failure");
    assert_eq!(
        cause(&failure),
        "States.ResultWriterFailed: The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: \
         NoSuchBucket; Request ID: r; S3 Extended Request ID: h; Proxy: null)"
    );
    let failure = datasets.export(call(), Box::new(Broken)).await.expect_err("a failure");
    assert_eq!(cause(&failure), "States.ResultWriterFailed: the disk is gone");
    // The second part is refused: the first is given up, and no file is there.
    let output = format!("\"{}\"", "x".repeat(1 << 20));
    let many = Records(vec![vec![record("a", Status::Succeeded, Some(&output)); 20]]);
    let begun =
        Act::reply(200, &[], b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>");
    let first = Act::reply(200, &[("ETag", "\"1\"")], b"");
    bucket.put("b/names", "");
    bucket.fail([begun, first, error(403, "AccessDenied", "Access Denied")]);
    let failure = datasets.export(call(), Box::new(many)).await.expect_err("a failure");
    assert!(
        cause(&failure).starts_with("States.ResultWriterFailed: Access Denied (Service: Amazon S3; Status Code: 403")
    );
    assert!(bucket.requests().last().expect("a request").starts_with("DELETE /out/p/"), "{:?}", bucket.requests());
    assert!(!bucket.names().iter().any(|name| name.contains("manifest")));
}

#[tokio::test]
async fn results_in_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let datasets = in_folder(folder.path());
    let plan = ExportPlan { parameters: "{\"Bucket\":\"b\",\"Prefix\":\"deep/er/\"}".into() };
    let call = ExportCall { plan, ..export(ResultTransformation::Flatten, ResultFormat::JsonLines) };
    // Written again, as after a crash: over what is there.
    for _ in 0..2 {
        datasets.export(call.clone(), results()).await.expect("exported");
    }
    let place = folder.path().join("deep/er").join(UUID);
    let mut names: Vec<_> = std::fs::read_dir(&place)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert_eq!(names, ["FAILED_0.json", "PENDING_0.json", "SUCCEEDED_0.json", "manifest.json"]);
    assert_eq!(std::fs::read_to_string(place.join("SUCCEEDED_0.json")).expect("a file"), "1\n[2]\n{\"x\":1}\n");
}
