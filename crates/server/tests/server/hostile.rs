//! Clients that are slow, half gone, greedy or many: each gets a clear answer, and the others do not notice.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stepwright_server::config::HttpLimits;

use crate::support::{Answer, Server, read_answer, send};

const HEAD: &str = "POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.";

fn request(operation: &str, input: &Value) -> String {
    let body = input.to_string();
    format!("{HEAD}{operation}\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn list(socket: &mut TcpStream) -> Answer {
    send(socket, &format!("{HEAD}ListActivities\r\n"), b"{}")
}

#[track_caller]
fn is_refused(answer: &Answer, status: u16, parts: &[&str]) {
    assert_eq!(answer.status, status, "{answer:?}");
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert!(parts.iter().all(|part| message.contains(part)), "{parts:?} in {answer:?}");
    assert!(answer.head.contains("content-type: application/x-amz-json-1.0"), "{answer:?}");
    assert!(answer.head.contains("x-amzn-requestid: "), "{answer:?}");
    assert_eq!(answer.head.contains("retry-after: 1"), status == 503, "{answer:?}");
}

/// The end of the connection, without an answer.
#[track_caller]
fn is_closed(socket: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset ends it as well.
    let _reset = socket.read_to_end(&mut rest);
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// `/healthz` as soon as it is as wanted.
#[track_caller]
fn wait_for(server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let health = server.send("GET /healthz HTTP/1.1\r\n", b"").body;
        if wanted(&health) {
            return health;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}: {health}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An activity, and a machine with one task for it.
fn activity(server: &Server) -> (Value, String) {
    let activity = server.ok("CreateActivity", &json!({"name": "a"}))["activityArn"].clone();
    let task = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": true}}});
    let machine = server.create("m", &task);
    (activity, machine)
}

fn poll(server: &Server, activity: &Value) -> TcpStream {
    let mut socket = server.connect();
    socket.write_all(request("GetActivityTask", &json!({"activityArn": activity})).as_bytes()).expect("writes");
    socket
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut socket = server.connect();
    let names: Vec<String> = (0..50).map(|number| format!("pipelined-{number}")).collect();
    let requests: String = names.iter().map(|name| request("CreateActivity", &json!({"name": name}))).collect();
    socket.write_all(requests.as_bytes()).expect("writes");
    for name in &names {
        let answer = read_answer(&mut socket);
        let arn = answer.body["activityArn"].as_str().unwrap_or_default();
        assert!(arn.ends_with(&format!(":{name}")), "{answer:?}");
    }
    // What follows a refusal on the same connection is answered as well.
    socket
        .write_all((request("Nonsense", &json!({})) + &request("ListActivities", &json!({}))).as_bytes())
        .expect("writes");
    read_answer(&mut socket).is_error("UnknownOperationException", "");
    assert_eq!(read_answer(&mut socket).status, 200);
}

#[test]
fn who_has_said_everything_still_gets_the_answer() {
    let server = Server::start();
    let mut socket = server.connect();
    let both = request("CreateActivity", &json!({"name": "last"})) + &request("ListActivities", &json!({}));
    socket.write_all(both.as_bytes()).expect("writes");
    socket.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(read_answer(&mut socket).status, 200);
    assert_eq!(read_answer(&mut socket).body["activities"][0]["name"], "last");
    is_closed(&mut socket);
}

#[test]
fn a_worker_that_ends_its_side_gets_an_answer_and_no_task() {
    let server = Server::start();
    let (activity, machine) = activity(&server);
    let mut socket = poll(&server, &activity);
    wait_for(&server, "the poll waits", |health| health["engine"]["activityPollers"] == 1);
    socket.shutdown(Shutdown::Write).expect("half closed");
    let answer = read_answer(&mut socket);
    assert_eq!((answer.status, &answer.body), (200, &json!({})), "without waiting for a task");
    wait_for(&server, "the poll is over", |health| health["engine"]["activityPollers"] == 0);
    server.ok("StartExecution", &json!({"stateMachineArn": machine}));
    assert!(server.ok("GetActivityTask", &json!({"activityArn": activity}))["taskToken"].is_string());
}

#[test]
fn a_worker_that_is_gone_takes_no_task_with_it() {
    let server = Server::start();
    let (activity, machine) = activity(&server);
    let gone: Vec<TcpStream> = (0..20).map(|_| poll(&server, &activity)).collect();
    let health = wait_for(&server, "the polls wait", |health| health["engine"]["activityPollers"] == 20);
    assert_eq!((&health["http"]["longPolls"], &health["http"]["requests"]), (&json!(20), &json!(0)));
    // One of them had sent the next request ahead.
    (&gone[7]).write_all(request("ListActivities", &json!({})).as_bytes()).expect("writes");
    drop(gone);
    wait_for(&server, "all polls but one are over", |health| {
        health["http"]["longPolls"].as_u64().is_some_and(|polls| polls <= 1)
    });
    server.ok("StartExecution", &json!({"stateMachineArn": machine}));
    assert!(server.ok("GetActivityTask", &json!({"activityArn": activity}))["taskToken"].is_string());
}

#[test]
fn connections_over_the_limit_are_told_so() {
    let server = Server::with_limits(HttpLimits { connections: 3, ..HttpLimits::default() });
    let mut held: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    for socket in &mut held {
        assert_eq!(list(socket).status, 200);
    }
    let mut over = server.connect();
    is_refused(&list(&mut over), 503, &["3 connections are open", "http.connections"]);
    is_closed(&mut over);
    assert_eq!(list(&mut held[0]).status, 200, "who was there is served on");
    held.pop();
    let health = wait_for(&server, "a place is free", |health| health["http"].is_object());
    assert!(health["http"]["refused"]["connections"].as_u64().is_some_and(|refused| refused >= 1), "{health}");
}

#[test]
fn a_head_that_does_not_come_is_not_awaited_for_ever() {
    let server = Server::with_limits(HttpLimits { header_time: Duration::from_secs(1), ..HttpLimits::default() });
    let mut silent = server.connect();
    let mut slow = server.connect();
    slow.write_all(b"POST / HTTP/1.1\r\nhost: x\r\nx-slow").expect("writes");
    let mut used = server.connect();
    assert_eq!(list(&mut used).status, 200);
    let idle = Instant::now();
    for socket in [&mut silent, &mut slow] {
        is_refused(&read_answer(socket), 408, &["within the 1 seconds that http.header_seconds allows"]);
        is_closed(socket);
    }
    assert!(idle.elapsed() < Duration::from_secs(20));
    assert_eq!(list(&mut used).status, 200, "between requests it takes as long as it takes");
    let health = wait_for(&server, "counted", |health| health["http"]["refused"]["timedOut"] == 2);
    assert_eq!(health["status"], "ok");
}

#[test]
fn a_body_that_does_not_come_is_not_awaited_for_ever() {
    let server = Server::with_limits(HttpLimits { body_time: Duration::from_secs(1), ..HttpLimits::default() });
    let mut slow = server.connect();
    write!(slow, "{HEAD}ListActivities\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{").expect("writes");
    let answer = read_answer(&mut slow);
    is_refused(&answer, 400, &["within the 1 seconds that http.body_seconds allows"]);
    assert!(answer.head.contains("connection: close"), "{answer:?}");
    is_closed(&mut slow);
}

#[test]
fn idle_connections_are_closed() {
    let server = Server::with_limits(HttpLimits { idle_time: Duration::from_secs(1), ..HttpLimits::default() });
    let mut socket = server.connect();
    assert_eq!(list(&mut socket).status, 200);
    is_closed(&mut socket);
}

#[test]
fn a_reader_that_does_not_read_is_closed_and_its_answers_forgotten() {
    let server = Server::with_limits(HttpLimits { reply_time: Duration::from_secs(1), ..HttpLimits::default() });
    let comment = "x".repeat(1_000_000);
    let machine = server
        .create("m", &json!({"Comment": comment, "StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}));
    let mut socket = server.connect();
    let describe = request("DescribeStateMachine", &json!({"stateMachineArn": machine}));
    socket.write_all(describe.repeat(40).as_bytes()).expect("writes");
    let health = wait_for(&server, "closed", |health| health["http"]["refused"]["timedOut"] == 1);
    let peak = health["http"]["bufferedBytesPeak"].as_u64().expect("a number");
    assert!((1_000_000..3_000_000).contains(&peak), "one answer at a time: {peak}");
    wait_for(&server, "forgotten", |health| health["http"]["bufferedBytes"] == 0);
}

#[test]
fn what_would_not_fit_into_the_memory_is_refused() {
    let server = Server::with_limits(HttpLimits { buffered_bytes: 200_000, ..HttpLimits::default() });
    let mut socket = server.connect();
    let head = format!("{HEAD}ListActivities\r\n");
    let answer = send(&mut socket, &head, &vec![b' '; 300_000]);
    is_refused(&answer, 503, &["over the 200000 that http.buffered_bytes allows"]);
    assert_eq!(list(&mut socket).status, 200, "the same connection");
    // What one client has sent is in the way of others that send much, as long as it is there.
    let mut slow = server.connect();
    write!(slow, "{head}host: x\r\ncontent-length: 160000\r\n\r\n{}", " ".repeat(150_000)).expect("writes");
    wait_for(&server, "it arrived", |health| health["http"]["bufferedBytes"] == 150_000);
    is_refused(&send(&mut socket, &head, &[b' '; 60_000]), 503, &["http.buffered_bytes"]);
    assert_eq!(send(&mut socket, &head, &[b' '; 10_000]).status, 200, "but not of those that send little");
    drop(slow);
    wait_for(&server, "it is forgotten", |health| health["http"]["bufferedBytes"] == 0);
    assert_eq!(send(&mut socket, &head, &[b' '; 60_000]).status, 200);
}

#[test]
fn requests_over_the_limit_are_told_to_come_again() {
    let server = Server::with_limits(HttpLimits { requests: 0, ..HttpLimits::default() });
    let mut socket = server.connect();
    for _ in 0..3 {
        is_refused(&list(&mut socket), 503, &["0 requests", "http.requests"]);
    }
    let poll = send(&mut socket, &format!("{HEAD}GetActivityTask\r\n"), b"{}");
    poll.is_error("ValidationException", "'activityArn'");
    let health = wait_for(&server, "counted", |health| health["http"]["refused"]["requests"] == 3);
    assert_eq!(health["http"]["requests"], 0);
}

#[test]
fn chunks_of_impossible_sizes() {
    let server = Server::start();
    for chunks in ["zz\r\n{}\r\n", "ffffffffffffffffff\r\n", "-1\r\n", "2\r\n{}xx", "5\r\n{}", "7fffffffffffffff\r\n{}"]
    {
        let mut socket = server.connect();
        write!(socket, "{HEAD}ListActivities\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
            .expect("writes");
        socket.shutdown(Shutdown::Write).expect("half closed");
        let answer = read_answer(&mut socket);
        assert_eq!((answer.status, &answer.body["__type"]), (400, &json!("SerializationException")), "{chunks:?}");
        is_closed(&mut socket);
    }
    let mut socket = server.connect();
    write!(
        socket,
        "{HEAD}ListActivities\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n"
    )
    .expect("writes");
    assert_eq!(read_answer(&mut socket).status, 200);
    let both = "transfer-encoding: chunked\r\ncontent-length: 4";
    let mut socket = server.connect();
    write!(socket, "{HEAD}ListActivities\r\nhost: x\r\n{both}\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n")
        .expect("writes");
    let answers = [read_answer(&mut socket)];
    assert!(matches!(answers[0].status, 200 | 400), "{answers:?}");
}

#[test]
fn a_server_that_stops_ends_what_waits_and_closes() {
    let server = Server::start();
    let (activity, _) = activity(&server);
    let mut waiting = poll(&server, &activity);
    let mut idle = server.connect();
    assert_eq!(list(&mut idle).status, 200);
    wait_for(&server, "the poll waits", |health| health["engine"]["activityPollers"] == 1);
    server.service.stop();
    assert_eq!(read_answer(&mut waiting).status, 200);
    is_closed(&mut waiting);
    is_closed(&mut idle);
}
