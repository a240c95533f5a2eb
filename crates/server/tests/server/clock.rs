//! The virtual clock, over HTTP and by the command.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpStream,
    process::{Child, Stdio},
};

use serde_json::{Value, json};
use stepwright_engine::ClockMode;
use stepwright_server::config::Settings;

use crate::support::{ROLE, Server, say, send, stepwright};

const DAY: f64 = 86_400.0;

fn skipping() -> Server {
    Server::with_settings(Settings { clock: ClockMode::Skip, ..Settings::default() })
}

fn lasted(described: &Value) -> f64 {
    let time = |member: &str| described[member].as_f64().expect("a time");
    time("stopDate") - time("startDate")
}

#[test]
fn a_nested_execution_skips_with_its_parent() {
    let server = skipping();
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 30 * 86_400, "End": true}}});
    let child = server.create("child", &wait);
    let task = |resource: &str| {
        json!({"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": resource, "TimeoutSeconds": 31 * 86_400,
            "Parameters": {"StateMachineArn": child}, "End": true}}})
    };
    let parent = server.create("parent", &task("arn:aws:states:::states:startExecution.sync:2"));
    // Many at once: between an end and its parent's hearing of it, no time may be skipped.
    let started: Vec<Value> = (0..40)
        .map(|_| server.ok("StartExecution", &json!({"stateMachineArn": parent}))["executionArn"].clone())
        .collect();
    for execution in started {
        let described = server.wait(&execution);
        assert_eq!(described["status"], "SUCCEEDED", "{described}");
        assert!((30.0 * DAY..31.0 * DAY).contains(&lasted(&described)), "{described}");
    }
}

#[test]
fn a_call_of_this_server_that_waits_for_an_express_execution_skips() {
    let server = skipping();
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 250, "End": true}}});
    let new = json!({"name": "express", "roleArn": ROLE, "type": "EXPRESS", "definition": wait.to_string()});
    let express = server.ok("CreateStateMachine", &new)["stateMachineArn"].clone();
    let parent = server.create(
        "parent",
        &json!({"StartAt": "S", "States": {"S": {"Type": "Task", "End": true,
        "Resource": "arn:aws:states:::aws-sdk:sfn:startSyncExecution", "TimeoutSeconds": 3_600,
        "Parameters": {"StateMachineArn": express}}}}),
    );
    let started: Vec<Value> = (0..20)
        .map(|_| server.ok("StartExecution", &json!({"stateMachineArn": parent}))["executionArn"].clone())
        .collect();
    for execution in started {
        let described = server.wait(&execution);
        assert_eq!(described["status"], "SUCCEEDED", "{described}");
        assert!((250.0..3_600.0).contains(&lasted(&described)), "{described}");
    }
}

/// `serve`, until it is dropped, which kills it.
pub(crate) struct Serving(Child, pub(crate) String);

impl Serving {
    pub(crate) fn start(directory: &std::path::Path, arguments: &[&str]) -> Self {
        let mut command = stepwright(directory);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-directory", "data"]).args(arguments);
        let mut child = command.stderr(Stdio::null()).spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line[line.find("http://127.0.0.1:")?..].split_whitespace().next()?.to_owned()));
        Self(child, url.expect("an address"))
    }

    /// A call of an operation that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, operation: &str, input: &Value) -> Value {
        let mut socket = TcpStream::connect(self.1.trim_start_matches("http://")).expect("connects");
        let head = format!("POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.{operation}\r\n");
        let answer = send(&mut socket, &head, input.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        answer.body
    }

    pub(crate) fn clock(&self, directory: &std::path::Path, arguments: &[&str]) -> Value {
        let all = [&["clock"], arguments, &["--json", "--endpoint", &self.1]].concat();
        let said = say(directory, &all, "");
        said.ended(0, &[]);
        said.json()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn the_binary_skips_a_year_and_keeps_it_over_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let serving = Serving::start(at, &["--clock=skip"]);
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 364 * 86_400, "End": true}}});
    std::fs::write(at.join("year.asl.json"), wait.to_string()).expect("written");
    let said = say(at, &["run", "year.asl.json", "--json", "--quiet", "--endpoint", &serving.1], "");
    said.ended(0, &[]);
    assert!((364.0 * DAY..365.0 * DAY).contains(&lasted(&said.json())), "{}", said.stdout);
    let before = serving.clock(at, &[]);
    assert_eq!(before["mode"], "skip");
    drop(serving);
    let serving = Serving::start(at, &[]);
    let after = serving.clock(at, &["show"]);
    assert_eq!(after["mode"], "real");
    assert!(after["now"].as_f64() >= before["now"].as_f64(), "{before} {after}");
}

#[test]
fn the_command_freezes_and_advances() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let serving = Serving::start(at, &["--in-memory"]);
    let frozen = serving.clock(at, &["freeze"]);
    assert_eq!(frozen["mode"], "frozen");
    let now = |state: &Value| state["now"].as_f64().expect("a time");
    let advanced = serving.clock(at, &["advance", "3d"]);
    assert!((now(&advanced) - now(&frozen) - 3.0 * DAY).abs() < 0.002, "{frozen} {advanced}");
    assert_eq!(serving.clock(at, &["real"])["mode"], "real");
    let text = say(at, &["clock", "--endpoint", &serving.1], "");
    assert!(text.stdout.contains("mode  real") && text.stdout.contains("ahead of the machine"), "{}", text.stdout);
    say(at, &["clock", "advance", "3", "--endpoint", &serving.1], "").ended(2, &["\"3\" is no duration", "10m"]);
    say(at, &["clock", "--endpoint", "http://127.0.0.1:1"], "").ended(1, &["is `stepwright serve` running there?"]);
}

#[test]
fn what_the_clock_cannot_be_told() {
    let server = Server::start();
    let json = "content-type: application/json\r\n";
    for path in ["stop", "advance/0", "advance/x", "advance/99999999999999999"] {
        let answer = server.send(&format!("POST /_stepwright/clock/{path} HTTP/1.1\r\n{json}"), b"");
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    assert_eq!(server.send("POST /_stepwright/clock/skip HTTP/1.1\r\n", b"").status, 415);
    assert_eq!(server.send("GET /_stepwright/clock/skip HTTP/1.1\r\n", b"").status, 405);
    assert_eq!(server.send("GET /_stepwright/clocks HTTP/1.1\r\n", b"").status, 404);
}
