//! The binary itself: signals, refusals, exit codes.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output},
};

use crate::support::{read_answer, send, stepwright};
use serde_json::{Value, json};

/// A `stepwright serve`, killed if a test fails.
struct Serve {
    child: Child,
    address: String,
}

impl Serve {
    fn start(directory: &Path, flags: &[&str]) -> Self {
        let mut child =
            stepwright(directory).args(["serve", "--listen", "127.0.0.1:0"]).args(flags).spawn().expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = lines
            .by_ref()
            .map(|line| line.expect("text"))
            .find_map(|line| {
                line.trim().strip_prefix("endpoint")?.trim().strip_prefix("http://").map(ToOwned::to_owned)
            })
            .expect("the banner names the endpoint");
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("connects")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Its exit code and what it logged.
    fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
        (self.child.wait().expect("ends").code(), log)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

const LIST: &str = "POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.ListActivities\r\n";

#[test]
fn a_signal_drains_and_the_data_is_there_again() {
    let directory = tempfile::tempdir().expect("a directory");
    for signal in ["TERM", "INT"] {
        let server = Serve::start(directory.path(), &[]);
        let mut idle = server.connect();
        let create = LIST.replace("ListActivities", "CreateActivity");
        assert_eq!(send(&mut idle, &create, format!("{{\"name\": \"{signal}\"}}").as_bytes()).status, 200);
        // A poll under way is answered; the idle connection does not hold the process.
        let mut polling = server.connect();
        let poll = format!("{{\"activityArn\": \"arn:aws:states:us-east-1:000000000000:activity:{signal}\"}}");
        let head = LIST.replace("ListActivities", "GetActivityTask");
        write!(polling, "{head}host: x\r\ncontent-length: {}\r\n\r\n{poll}", poll.len()).expect("writes");
        let health = |socket: &mut TcpStream| send(socket, "GET /healthz HTTP/1.1\r\n", b"").body;
        while health(&mut idle)["engine"]["activityPollers"] != 1 {
            std::thread::yield_now();
        }
        server.signal(signal);
        let answer = read_answer(&mut polling);
        assert_eq!((answer.status, answer.body), (200, json!({})));
        let (code, log) = server.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("stopped"), "{log}");
    }
    let server = Serve::start(directory.path(), &[]);
    let activities = send(&mut server.connect(), LIST, b"{}").body;
    assert_eq!(activities["activities"].as_array().map(Vec::len), Some(2), "{activities}");
}

#[test]
fn a_second_signal_does_not_wait() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Serve::start(directory.path(), &["--shutdown-grace-seconds=3600", "--in-memory"]);
    // A request whose body never comes is under way for as long as the grace lasts.
    let mut stuck = server.connect();
    stuck
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n")
        .expect("writes");
    let mut continued = [0; 12];
    stuck.read_exact(&mut continued).expect("the server reads the body");
    server.signal("TERM");
    // New connections are refused once the first signal was seen.
    while TcpStream::connect(&server.address).is_ok() {
        std::thread::yield_now();
    }
    server.signal("TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("second signal"), "{log}");
}

#[test]
fn mistakes_of_the_caller_end_with_2_and_a_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("bad.toml"), "listn = 1").expect("writes");
    std::fs::write(directory.path().join("bad.json"), "{\"StartAt\": \"A\",\n \"States\": {}}").expect("writes");
    let check = |arguments: &[&str], parts: &[&str]| {
        let output = stepwright(directory.path()).args(arguments).output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part:?} is missing in:\n{stderr}");
        }
    };
    check(&["serve", "--listen", "0.0.0.0:0"], &["no authentication yet", "0.0.0.0"]);
    check(&["serve", "--config", "bad.toml"], &["unknown key `listn` in bad.toml", "`listen`"]);
    check(&["serve", "--config", "none.toml"], &["none.toml cannot be read"]);
    check(&["serve", "--no-such-flag"], &["--no-such-flag"]);
    check(&["run", "none.json"], &["none.json cannot be read"]);
    check(&["run", "bad.json"], &["error[", "--> bad.json:", "^"]);
    check(&["run", "-", "--input", "-"], &["cannot both come from stdin"]);
    check(&["quarantine", "list", "--endpoint", "https://x"], &["are served over http:// only"]);
    check(&["quarantine", "list", "--endpoint", "ftp://x"], &["must be an http:// or https:// URL"]);
}

#[test]
fn a_taken_port_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Serve::start(directory.path(), &["--in-memory"]);
    let output = stepwright(directory.path())
        .args(["serve", "--in-memory", "--listen", &server.address])
        .output()
        .expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&server.address) && stderr.contains("--listen"), "{stderr}");
}

fn run(definition: &Value, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("d.json"), definition.to_string()).expect("writes");
    stepwright(directory.path()).args(["run", "d.json"]).args(arguments).output().expect("runs")
}

#[test]
fn run_shows_states_prints_the_output_and_tells_the_outcome() {
    let pass = json!({"StartAt": "Hello", "States": {"Hello": {"Type": "Pass", "ResultPath": "$.r", "Result": 1, "End": true}}});
    let output = run(&pass, &["--input", "{\"a\": 0}"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"a\":0,\"r\":1}\n");
    assert!(stderr.contains("Hello") && stderr.contains("SUCCEEDED"), "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "no colours without a terminal: {stderr}");

    let fail = json!({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Boom", "Cause": "why"}}});
    let output = run(&fail, &["--quiet"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: the execution ended as FAILED with Boom: why\n");
    assert!(output.stdout.is_empty());

    // An evaluation that fails is shown under the state that it fails in.
    let undefined = json!({"QueryLanguage": "JSONata", "StartAt": "First", "States": {
        "First": {"Type": "Pass", "Next": "Second"},
        "Second": {"Type": "Pass", "Output": "{% $none %}", "End": true},
    }});
    let output = run(&undefined, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stderr.lines().find(|line| line.contains("failed with States.QueryEvaluationError"));
    assert!(line.is_some_and(|line| line.contains("Second ")), "{stderr}");

    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1000, "End": true}}});
    let output = run(&wait, &["--timeout", "0.1", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result["status"], "ABORTED");
}

#[test]
fn run_uses_a_running_server_and_quarantine_asks_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Serve::start(directory.path(), &["--in-memory"]);
    let endpoint = format!("http://{}", server.address);
    let pass = json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}});
    let output = run(&pass, &["--endpoint", &endpoint, "--input", "[1]"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[1]\n");
    let health = send(&mut server.connect(), "GET /healthz HTTP/1.1\r\n", b"").body;
    assert_eq!(health["engine"]["executionsStarted"], 1);

    let quarantine = |arguments: &[&str]| {
        let output = stepwright(directory.path())
            .arg("quarantine")
            .args(arguments)
            .env("STEPWRIGHT_ENDPOINT", &endpoint)
            .output()
            .expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(quarantine(&["list"]), (Some(0), "No execution is in quarantine.\n".to_owned(), String::new()));
    let (_, listed, _) = quarantine(&["list", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&listed).expect("JSON"), json!({"executions": []}));
    for verb in ["show", "retry", "fail"] {
        let (code, _, stderr) = quarantine(&[verb, "arn:aws:states:us-east-1:000000000000:execution:m/l:ü"]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("execution:m/l:ü is not in quarantine"), "{stderr}");
    }
}
