//! Functions as their callers see them: real processes of Python, Node and shells, and what becomes of them.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{HeaderMap, Response};
use serde_json::{Value, json};
use stepwright_functions::{Functions, Options, Stream, invoke_api, read};
use tempfile::TempDir;

/// Longer than anything here takes, on whatever machine.
const LONG: Duration = Duration::from_secs(120);

struct Host {
    functions: Arc<Functions>,
    folder: TempDir,
}

/// Functions in a folder with these files.
fn host(files: &[(&str, &str)], functions: &Value) -> Host {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("writes");
    }
    let options = Options {
        folder: folder.path().to_path_buf(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        guard: None,
    };
    let functions = Functions::new(&read(functions).expect("functions"), options);
    Host { functions, folder }
}

impl Host {
    async fn call(&self, name: &str, headers: &[(&'static str, &str)], event: &str) -> Response<Bytes> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header value"));
        }
        let invoked = invoke_api::invoke(&self.functions, name, None, &map, Bytes::from(event.to_owned()));
        tokio::time::timeout(LONG, invoked).await.expect("an answer")
    }

    /// The result of a function that must succeed.
    async fn result(&self, name: &str, event: &Value) -> Value {
        let answer = self.call(name, &[], &event.to_string()).await;
        let body = serde_json::from_slice(answer.body()).expect("JSON");
        assert!(!answer.headers().contains_key("x-amz-function-error"), "{body}");
        assert_eq!(answer.status(), 200, "{body}");
        body
    }

    /// The error object of a function that must fail.
    async fn error(&self, name: &str, event: &Value) -> Value {
        let answer = self.call(name, &[], &event.to_string()).await;
        let body = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(answer.status(), 200, "{body}");
        assert_eq!(answer.headers().get("x-amz-function-error").expect("an error"), "Unhandled", "{body}");
        body
    }

    fn said(&self, name: &str) -> Vec<String> {
        let lines = self.functions.log(Some(name), 0, usize::MAX).into_iter();
        lines.filter(|line| line.stream != Stream::Platform).map(|line| line.text).collect()
    }

    fn processes(&self, name: &str) -> usize {
        self.functions.all().find(|(known, ..)| *known == name).expect("a function").2.processes
    }
}

fn alive(pid: u64) -> bool {
    // A process that nobody has waited for counts: it must not be left either.
    Path::new(&format!("/proc/{pid}")).exists()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < LONG, "it never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const PYTHON: &str = r#"
import os, sys, time, logging
import decimal
print("imported")
calls = 0

def echo(event, context):
    return event

def count(event, context):
    global calls
    calls += 1
    return {"calls": calls, "pid": os.getpid()}

def about(event, context):
    left = context.get_remaining_time_in_millis()
    return {
        "id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
        "memory": context.memory_limit_in_mb, "left": 0 < left <= 60000, "cwd": os.getcwd() == os.environ["LAMBDA_TASK_ROOT"],
        "env": os.environ.get("GREETING"), "region": os.environ["AWS_REGION"], "handler": os.environ["_HANDLER"],
        "custom": context.client_context.custom if context.client_context else None,
        "trace": os.environ["_X_AMZN_TRACE_ID"], "secrets": [n for n in os.environ if n.startswith("STEPWRIGHT_")],
    }

class Declined(Exception):
    pass

def fail(event, context):
    raise Declined("no funds: é")

def talk(event, context):
    print("HTTP/1.1 200 OK\r\n\r\n{\"not\": \"the answer\"}")
    os.write(1, b"raw to one\n")
    os.write(2, b"raw to two\n")
    logging.getLogger().setLevel("INFO")
    logging.info("by logging")
    return "the answer"

def leave(event, context):
    print("leaving", flush=True)
    os._exit(event)


def large(event, context):
    return "x" * event

def unwritable(event, context):
    return {1, 2}

def raw(event, context):
    return b"{not json"

def numbers(event, context):
    return [decimal.Decimal("1"), decimal.Decimal("0.5")]

def flood(event, context):
    for _ in range(10_000):
        print("y" * 1_023)
    return "done"
"#;

/// Says who it is while it is loaded, which no time limit of an invocation cuts short.
const HANG: &str = r#"
import os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
print("pids", os.getpid(), child.pid, flush=True)

def hang(event, context):
    time.sleep(600)
"#;

fn python(name: &str) -> Value {
    json!({"python": format!("handlers.{name}"), "timeout": 60})
}

#[tokio::test]
async fn a_python_function_answers_and_its_process_is_kept() {
    let host = host(&[("handlers.py", PYTHON)], &json!({"echo": python("echo"), "count": python("count")}));
    assert_eq!(host.result("echo", &json!({"a": ["é", 1.5, null]})).await, json!({"a": ["é", 1.5, null]}));
    let first = host.result("count", &json!({})).await;
    let second = host.result("arn:aws:lambda:us-east-1:1:function:count:prod", &json!({})).await;
    assert_eq!((&first["calls"], &second["calls"]), (&json!(1), &json!(2)));
    assert_eq!(first["pid"], second["pid"]);
    // No body is an empty object.
    assert_eq!(host.call("echo", &[], "").await.body(), "{}");
}

#[tokio::test]
async fn a_python_function_is_told_what_lambda_tells() {
    let mut about = python("about");
    about["env"] = json!({"GREETING": "hello"});
    let host = host(&[("handlers.py", PYTHON)], &json!({"about": about}));
    let context = "eyJjdXN0b20iOiB7ImEiOiAiw6kifX0=";
    let headers = [("x-amz-client-context", context), ("x-amzn-trace-id", "Root=1-2-3")];
    let answer = host.call("about:7", &headers, "{}").await;
    let mut told: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let id = told.as_object_mut().expect("an object").remove("id").expect("an id");
    assert_eq!(answer.headers()["x-amzn-requestid"], *id.as_str().expect("a text"));
    assert_eq!(answer.headers()["x-amz-executed-version"], "$LATEST");
    let expected = json!({
        "arn": "arn:aws:lambda:eu-west-1:123456789012:function:about:7", "name": "about", "memory": "128",
        "left": true, "cwd": true, "env": "hello", "region": "eu-west-1", "handler": "handlers.about",
        "custom": {"a": "é"}, "trace": "Root=1-2-3", "secrets": [],
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn errors_of_a_python_function_are_lambdas() {
    let files = [("handlers.py", PYTHON), ("broken.py", "def f(:\n"), ("missing.py", "import no_such_module_here\n")];
    let functions = json!({
        "fail": python("fail"), "unwritable": python("unwritable"), "numbers": python("numbers"),
        "absent": python("absent"), "broken": {"python": "broken.f", "timeout": 60}, "missing": {"python": "missing.f", "timeout": 60},
    });
    let host = host(&files, &functions);
    let error = host.error("fail", &json!({})).await;
    assert_eq!((&error["errorType"], &error["errorMessage"]), (&json!("Declined"), &json!("no funds: é")));
    let trace = error["stackTrace"].as_array().expect("a trace");
    assert_eq!(trace.len(), 1, "{trace:?}");
    assert!(trace[0].as_str().expect("a frame").contains("in fail\n    raise Declined"), "{trace:?}");
    assert!(host.said("fail").iter().any(|line| line == "[ERROR] Declined: no funds: é"), "{:?}", host.said("fail"));

    let check = async |name: &str, kind: &str, message: &str| {
        let error = host.error(name, &json!({})).await;
        assert_eq!(error["errorType"], kind, "{error}");
        assert!(error["errorMessage"].as_str().expect("a message").starts_with(message), "{error}");
    };
    check("unwritable", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON").await;
    check("absent", "Runtime.HandlerNotFound", "Handler 'absent' missing on module 'handlers'").await;
    check("broken", "Runtime.UserCodeSyntaxError", "Syntax error in module 'broken': ").await;
    check("missing", "Runtime.ImportModuleError", "Unable to import module 'missing': No module named").await;
    assert_eq!(host.result("numbers", &json!({})).await, json!([1, 0.5]));
}

#[tokio::test]
async fn what_a_function_prints_is_log_and_never_its_answer() {
    let host = host(&[("handlers.py", PYTHON)], &json!({"talk": python("talk")}));
    for _ in 0..2 {
        let answer = host.call("talk", &[("x-amz-log-type", "Tail")], "{}").await;
        assert_eq!(answer.body(), "\"the answer\"");
        let log = answer.headers()["x-amz-log-result"].to_str().expect("text");
        let log = String::from_utf8(base64(log)).expect("text");
        let id = answer.headers()["x-amzn-requestid"].to_str().expect("text");
        assert!(log.starts_with(&format!("START RequestId: {id} Version: $LATEST\n")), "{log}");
        for part in ["{\"not\": \"the answer\"}\n", "raw to one\n", "raw to two\n", "\tby logging\n"] {
            assert!(log.contains(part), "{part} is missing in {log}");
        }
        assert!(log.contains(&format!("END RequestId: {id}\nREPORT RequestId: {id}\tDuration: ")), "{log}");
    }
    assert_eq!(host.said("talk")[0], "imported");
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

#[tokio::test]
async fn a_process_that_ends_is_an_exit_error_and_the_next_invocation_gets_another() {
    let host = host(&[("handlers.py", PYTHON)], &json!({"leave": python("leave")}));
    let message = |error: &Value| error["errorMessage"].as_str().expect("a message").to_owned();
    // More often than crashes are free, so that starts have to wait.
    for _ in 0..4 {
        let error = host.error("leave", &json!(7)).await;
        assert_eq!(error["errorType"], "Runtime.ExitError");
        assert!(message(&error).ends_with(" Error: Runtime exited with error: exit status 7"), "{error}");
        assert!(message(&error).starts_with("RequestId: "), "{error}");
    }
    let error = host.error("leave", &json!(0)).await;
    assert!(message(&error).ends_with(" Error: Runtime exited without providing a reason"), "{error}");
    assert!(host.said("leave").contains(&"leaving".to_owned()));
    assert_eq!(host.processes("leave"), 0);
}

#[tokio::test]
async fn a_function_that_hangs_is_ended_with_all_it_started() {
    let host = host(&[("hang.py", HANG)], &json!({"hang": {"python": "hang.hang", "timeout": 1}}));
    let error = host.error("hang", &json!({})).await;
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    let message = error["errorMessage"].as_str().expect("a message");
    assert!(message.ends_with(" Error: Task timed out after 1.00 seconds"), "{message}");
    let said = host.said("hang");
    let pids = said.iter().find_map(|line| line.strip_prefix("pids ")).expect("pids");
    for pid in pids.split(' ') {
        let pid: u64 = pid.parse().expect("a pid");
        until("the process is gone", || !alive(pid)).await;
    }
    assert_eq!(host.processes("hang"), 0);
}

#[tokio::test]
async fn an_answer_that_is_too_large_fails_and_the_process_goes_on() {
    let host = host(&[("handlers.py", PYTHON)], &json!({"large": python("large")}));
    let error = host.error("large", &json!(10 << 20)).await;
    assert_eq!(error["errorType"], "Function.ResponseSizeTooLarge");
    let expected = "Response payload size (10485762 bytes) exceeded maximum allowed payload size (6291556 bytes).";
    assert_eq!(error["errorMessage"], expected);
    // Six million bytes are fine, and by the same process.
    assert_eq!(host.result("large", &json!(6_000_000)).await.as_str().expect("a text").len(), 6_000_000);
    assert_eq!(host.said("large").iter().filter(|line| *line == "imported").count(), 1);
}

#[tokio::test]
async fn ten_megabytes_of_log_cost_a_bounded_memory_and_no_answer() {
    let host = host(&[("handlers.py", PYTHON)], &json!({"flood": python("flood")}));
    assert_eq!(host.result("flood", &json!({})).await, "done");
    let kept: usize = host.said("flood").iter().map(String::len).sum();
    assert!(kept > 500_000 && kept <= 1 << 20, "{kept}");
}

#[tokio::test]
async fn a_result_that_is_no_json_is_handed_on_as_it_is() {
    let host = host(&[("handlers.py", PYTHON)], &json!({"raw": python("raw")}));
    let answer = host.call("raw", &[], "{}").await;
    assert_eq!(answer.body(), "{not json");
    assert!(!answer.headers().contains_key("x-amz-function-error"));
}

#[tokio::test]
async fn as_many_run_at_once_as_may_and_the_others_wait_or_are_refused() {
    let slow = "import time, os\ndef f(event, context):\n    while not os.path.exists('go'): time.sleep(0.01)\n    return os.getpid()\n";
    let function = |wait: f64| json!({"python": "slow.f", "concurrency": 2, "timeout": 100, "wait": wait});
    let host = Arc::new(host(&[("slow.py", slow)], &json!({"waits": function(100.0), "refuses": function(0.0)})));
    let call = |name: &'static str| {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.call(name, &[], "{}").await })
    };
    let refused_after: Vec<_> = (0..2).map(|_| call("refuses")).collect();
    until("two processes", || host.processes("refuses") == 2).await;
    let refused = host.call("refuses", &[], "{}").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["x-amzn-errortype"], "TooManyRequestsException");
    assert!(String::from_utf8_lossy(refused.body()).contains("\"message\":\"Rate Exceeded.\""));

    let waiting: Vec<_> = (0..5).map(|_| call("waits")).collect();
    let busy = || host.functions.all().find(|(name, ..)| *name == "waits").expect("it").2;
    until("two run and three wait", || (busy().processes, busy().waiting) == (2, 3)).await;
    std::fs::write(host.folder.path().join("go"), "").expect("writes");
    let mut pids = std::collections::BTreeSet::new();
    for answer in waiting {
        pids.insert(answer.await.expect("an answer").into_body());
    }
    assert_eq!(pids.len(), 2, "{pids:?}");
    for answer in refused_after {
        assert_eq!(answer.await.expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn who_gives_up_waiting_costs_nothing_and_what_runs_goes_on() {
    let slow = "import time, os\ndef f(event, context):\n    while not os.path.exists('go'): time.sleep(0.01)\n    open('ran-%s' % event, 'w').close()\n";
    let functions = json!({"f": {"python": "slow.f", "concurrency": 1, "timeout": 100}});
    let host = Arc::new(host(&[("slow.py", slow)], &functions));
    let call = |event: &'static str| {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.call("f", &[], event).await })
    };
    let runs = call("1");
    until("it runs", || host.processes("f") == 1).await;
    let waits = call("2");
    until("it waits", || host.functions.all().next().expect("it").2.waiting == 1).await;
    waits.abort();
    runs.abort();
    until("nobody waits", || host.functions.all().next().expect("it").2.waiting == 0).await;
    std::fs::write(host.folder.path().join("go"), "").expect("writes");
    let last = call("3").await.expect("an answer");
    assert_eq!(last.status(), 200);
    let ran = |event: u32| host.folder.path().join(format!("ran-{event}")).exists();
    assert_eq!([1, 2, 3].map(ran), [true, false, true]);
}

#[tokio::test]
async fn warm_processes_stay_and_the_others_go() {
    let files = [("handlers.py", PYTHON)];
    let functions = json!({
        "warm": {"python": "handlers.count", "warm": 1, "idle": 1, "timeout": 60},
        "cold": {"python": "handlers.count", "warm": 0, "idle": 1, "timeout": 60},
    });
    let host = host(&files, &functions);
    let warm = host.result("warm", &json!({})).await;
    let cold = host.result("cold", &json!({})).await;
    let pid = cold["pid"].as_u64().expect("a pid");
    until("the cold one is gone", || !alive(pid)).await;
    assert_eq!(host.result("warm", &json!({})).await["pid"], warm["pid"]);
    assert_eq!(host.result("cold", &json!({})).await["calls"], 1);
}

#[tokio::test]
async fn an_event_meets_a_process_that_was_killed_while_it_had_nothing_to_do() {
    let host = host(&[("handlers.py", PYTHON)], &json!({"count": python("count")}));
    let killed = async || {
        let pid = host.result("count", &json!({})).await["pid"].as_u64().expect("a pid");
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill runs");
        pid
    };
    for _ in 0..5 {
        let pid = killed().await;
        // It is dead, and since nothing is awaited here, nobody has heard of it.
        while !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z ")) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(host.result("count", &json!({})).await["calls"], 1);
        let pid = killed().await;
        until("it is gone", || !alive(pid)).await;
        assert_eq!(host.result("count", &json!({})).await["calls"], 1);
    }
}

#[tokio::test]
async fn all_end_when_the_server_stops() {
    let host = host(&[("hang.py", HANG)], &json!({"hang": {"python": "hang.hang", "timeout": 100}}));
    let functions = Arc::clone(&host.functions);
    let call =
        tokio::spawn(
            async move { invoke_api::invoke(&functions, "hang", None, &HeaderMap::new(), Bytes::new()).await },
        );
    let pids = || host.said("hang").iter().find_map(|line| line.strip_prefix("pids ").map(str::to_owned));
    until("it runs", || pids().is_some()).await;
    host.functions.stop().await;
    for pid in pids().expect("pids").split(' ') {
        let pid: u64 = pid.parse().expect("a pid");
        until("the process is gone", || !alive(pid)).await;
    }
    let answer = call.await.expect("an answer");
    assert!(String::from_utf8_lossy(answer.body()).contains("Runtime.ExitError"), "{answer:?}");
    let refused = host.call("hang", &[], "{}").await;
    assert_eq!(refused.status(), 500);
}

#[tokio::test]
async fn unknown_functions_and_bad_calls_are_refused_in_lambdas_words() {
    let host = host(&[("handlers.py", PYTHON)], &json!({"echo": python("echo")}));
    let check =
        async |name: &str, headers: &[(&'static str, &str)], event: &str, status: u16, code: &str, part: &str| {
            let answer = host.call(name, headers, event).await;
            let body = String::from_utf8_lossy(answer.body()).into_owned();
            assert_eq!(answer.status(), status, "{body}");
            assert_eq!(answer.headers()["x-amzn-errortype"], *code);
            assert!(body.contains(part), "{body}");
        };
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:nobody";
    check("nobody", &[], "", 404, "ResourceNotFoundException", &format!("Function not found: {arn}")).await;
    check("echo", &[], "{", 400, "InvalidRequestContentException", "Could not parse request body into json").await;
    check("echo", &[("x-amz-invocation-type", "Now")], "", 400, "InvalidParameterValueException", "[Event, Req").await;
    check("echo", &[("x-amz-client-context", "?")], "", 400, "InvalidParameterValueException", "base64").await;
    let long = format!("\"{}\"", "x".repeat(7 << 20));
    check("echo", &[], &long, 413, "RequestTooLargeException", "6291456").await;
    assert_eq!(host.call("echo", &[("x-amz-invocation-type", "DryRun")], "").await.status(), 204);
    assert_eq!(host.processes("echo"), 0, "nothing of this needs a process");
}

#[tokio::test]
async fn an_event_that_nobody_waits_for_runs_all_the_same() {
    let write = "def f(event, context):\n    open(event, 'w').close()\n";
    let host = host(&[("write.py", write)], &json!({"write": {"python": "write.f", "timeout": 60}}));
    let answer = host.call("write", &[("x-amz-invocation-type", "Event")], "\"done\"").await;
    assert_eq!((answer.status().as_u16(), answer.body().len()), (202, 0));
    let done = host.folder.path().join("done");
    until("it ran", || done.exists()).await;
}

#[tokio::test]
async fn a_command_that_is_not_there_is_an_invalid_entrypoint() {
    let functions = json!({"a": {"command": ["no-such-program-here"]}, "b": {"command": ["./not/here"]}});
    let host = host(&[], &functions);
    for name in ["a", "b"] {
        let error = host.error(name, &json!({})).await;
        assert_eq!(error["errorType"], "Runtime.InvalidEntrypoint");
        assert!(error["errorMessage"].as_str().expect("a message").contains("could not be started in /"), "{error}");
    }
}

#[tokio::test]
async fn a_shell_script_with_curl_is_a_function() {
    // What a custom runtime does that ends after each answer.
    let script = "#!/bin/sh\nset -e\napi=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime\n\
        id=$(curl -sS -o event -D - $api/invocation/next | tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip')\n\
        curl -sS -o /dev/null --data-binary @event $api/invocation/$id/response\n";
    let host =
        host(&[("run.sh", script)], &json!({"shell": {"command": ["sh", "run.sh"], "handler": "x", "timeout": 60}}));
    for number in 0..3 {
        assert_eq!(host.result("shell", &json!({"n": number})).await, json!({"n": number}));
    }
}

const NODE: &str = r#"
console.log('imported');
exports.echo = async (event) => event;
exports.about = async (event, context) => ({
  name: context.functionName, id: context.awsRequestId, left: context.getRemainingTimeInMillis() > 0, custom: context.clientContext?.custom,
});
exports.callback = (event, context, callback) => { setTimeout(() => callback(null, 'called back'), 1); };
exports.nothing = (event) => 'this is not an answer';
exports.fail = async () => { const error = new TypeError('no'); throw error; };
exports.circle = async () => { const a = {}; a.a = a; return a; };
exports.undefined = async () => {};
exports.uncaught = async () => { setTimeout(() => { throw new RangeError('late'); }, 1); await new Promise(() => setTimeout(() => {}, 60000)); };
exports.leave = async (event) => { process.exit(event); };
exports.nested = { deep: async () => 'deep' };
"#;

#[tokio::test]
async fn node_functions() {
    let names = ["echo", "about", "callback", "nothing", "fail", "circle", "undefined", "uncaught", "leave", "absent"];
    let mut functions: serde_json::Map<String, Value> = names
        .map(|name| (name.to_owned(), json!({"node": format!("index.{name}"), "timeout": 60})))
        .into_iter()
        .collect();
    functions.insert("nested".to_owned(), json!({"node": "index.nested.deep", "timeout": 60}));
    functions.insert("module".to_owned(), json!({"node": "other.handler", "timeout": 60}));
    functions.insert("missing".to_owned(), json!({"node": "nowhere.handler"}));
    let module = "import os from 'node:os'; export const handler = async (e) => ({ got: e, eol: os.EOL });";
    let host = host(&[("index.js", NODE), ("other.mjs", module)], &Value::Object(functions));
    assert_eq!(host.result("echo", &json!({"a": "é😀"})).await, json!({"a": "é😀"}));
    assert_eq!(host.result("echo", &json!([1])).await, json!([1]));
    assert_eq!(host.said("echo"), ["imported"]);
    let about = host.result("about", &json!({})).await;
    assert_eq!((&about["name"], &about["left"]), (&json!("about"), &json!(true)));
    assert_eq!(host.result("callback", &json!({})).await, "called back");
    assert_eq!(host.result("nothing", &json!({})).await, Value::Null);
    assert_eq!(host.result("nested", &json!({})).await, "deep");
    assert_eq!(host.result("module", &json!(1)).await, json!({"got": 1, "eol": "\n"}));
    assert_eq!(host.result("undefined", &json!({})).await, Value::Null);
    let check = async |name: &str, event: Value, kind: &str, message: &str| {
        let error = host.error(name, &event).await;
        assert_eq!(error["errorType"], kind, "{error}");
        assert!(error["errorMessage"].as_str().expect("a message").contains(message), "{error}");
        error
    };
    let error = check("fail", json!({}), "TypeError", "no").await;
    assert_eq!(error["trace"][0], "TypeError: no");
    check("circle", json!({}), "Runtime.JSONStringifyError", "Unable to stringify response body").await;
    check("uncaught", json!({}), "RangeError", "late").await;
    check("leave", json!(3), "Runtime.ExitError", "exit status 3").await;
    check("absent", json!({}), "Runtime.HandlerNotFound", "index.absent is undefined or not exported").await;
    check("missing", json!({}), "Runtime.ImportModuleError", "Cannot find module 'nowhere'").await;
}

#[tokio::test]
async fn a_function_behind_a_url() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    // The last promises more than it gives.
    let answers = [
        ("200 OK", 7, "{\"a\":1}"),
        ("200 OK", 41, "{\"errorType\":\"E\",\"errorMessage\":\"broken\"}"),
        ("502 Bad", 2, "no"),
        ("200 OK", 7, "{"),
    ];
    tokio::spawn(async move {
        for (status, length, body) in answers {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut bytes = vec![0; 4096];
            let mut read = 0;
            while !bytes[..read].ends_with(b"\"event\"") {
                read += socket.read(&mut bytes[read..]).await.expect("reads");
            }
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            socket.write_all(format!("{head}{body}").as_bytes()).await.expect("writes");
        }
    });
    let url = format!("http://127.0.0.1:{port}/2015-03-31/functions/function/invocations");
    let host = host(&[], &json!({"far": {"url": url, "timeout": 100}}));
    assert_eq!(host.result("far", &json!("event")).await, json!({"a": 1}));
    let answer = host.call("far", &[], "\"event\"").await;
    let body = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(answer.headers().contains_key("x-amz-function-error"), "{body}");
    // The third answer, the fourth, and then nobody is there any more.
    for part in ["502 Bad Gateway: no", "end of file before message length reached", "refused"] {
        let answer = host.call("far", &[], "\"event\"").await;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["x-amzn-errortype"].as_bytes()),
            (500, &b"ServiceException"[..])
        );
        assert!(body.contains(part), "{body}");
    }
}

#[tokio::test]
async fn functions_can_be_listed() {
    let host = host(&[], &json!({"a": {"python": "x.y", "timeout": 2.5}, "b": {"url": "http://127.0.0.1:1/"}}));
    let list: Value = serde_json::from_slice(invoke_api::list(&host.functions).body()).expect("JSON");
    assert_eq!(list["Functions"][0]["FunctionArn"], "arn:aws:lambda:eu-west-1:123456789012:function:a");
    assert_eq!((&list["Functions"][0]["Timeout"], &list["Functions"][1]["PackageType"]), (&json!(3), &json!("Image")));
    let one: Value = serde_json::from_slice(invoke_api::get(&host.functions, "a:live").body()).expect("JSON");
    assert_eq!(one["Configuration"]["Handler"], "x.y");
    assert_eq!(invoke_api::get(&host.functions, "c").status(), 404);
}
