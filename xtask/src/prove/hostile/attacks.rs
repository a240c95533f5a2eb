//! What hostile clients do, one function each. They are many, they do not tire, and they must never be mistaken for the
//! regular client whose calls are measured beside them.

use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connections that one attacker holds in the attacks that hold some.
const HELD: usize = 400;

/// How long an attacker waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whom to attack, and what came of it.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// A state machine whose definition is long.
    pub(super) machine: Value,
    pub(super) stop: AtomicBool,
    /// Connections opened.
    pub(super) opened: AtomicU64,
    /// Those that got an answer with a status of HTTP.
    pub(super) answered: AtomicU64,
}

/// One attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) run: fn(&Target),
}

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "connect and close", run: connect_and_close },
    Attack { name: "garbage", run: |target| say(target, b"\x00\xff{]nonsense\xfe\x01 / \r\n\r\n") },
    Attack { name: "TLS hello", run: |target| say(target, TLS_HELLO) },
    Attack { name: "giant headers", run: giant_headers },
    Attack { name: "impossible chunks", run: |target| say(target, BAD_CHUNKS) },
    Attack { name: "slow heads", run: |target| drip(target, b"POST / HTTP/1.1\r\nx-slow: ", b"x") },
    Attack { name: "slow bodies", run: slow_bodies },
    Attack { name: "answers not read", run: answers_not_read },
];

const TLS_HELLO: &[u8] =
    b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03aaaaaaaabbbbbbbbccccccccdddddddd\x00\x00\x04\x13\x01\x13\x02\x01\x00";

const BAD_CHUNKS: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.ListActivities\r\n\
    transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}";

impl Target {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn connect(&self) -> Option<TcpStream> {
        let Ok(socket) = TcpStream::connect_timeout(&self.address, PATIENCE) else {
            // Nothing listens for a moment, or no port is free: others of this machine have their turn.
            std::thread::sleep(Duration::from_millis(5));
            return None;
        };
        self.opened.fetch_add(1, Ordering::Relaxed);
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        socket.set_write_timeout(Some(PATIENCE)).ok()?;
        Some(socket)
    }

    fn read_answer(&self, socket: &mut TcpStream) {
        let mut start = [0; 9];
        if socket.read_exact(&mut start).is_ok() && start == *b"HTTP/1.1 " {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn connect_and_close(target: &Target) {
    while target.goes_on() {
        drop(target.connect());
    }
}

/// Says something once for each connection, and listens to what is answered.
fn say(target: &Target, bytes: &[u8]) {
    while target.goes_on() {
        let Some(mut socket) = target.connect() else { continue };
        let _refused = socket.write_all(bytes);
        let _closed = socket.shutdown(Shutdown::Write);
        target.read_answer(&mut socket);
    }
}

fn giant_headers(target: &Target) {
    let head = format!("POST / HTTP/1.1\r\nx-giant: {}\r\n\r\n", "x".repeat(1 << 20));
    say(target, head.as_bytes());
}

/// Holds many connections, and sends a little on each from time to time.
fn drip(target: &Target, first: &[u8], drop_of: &[u8]) {
    let mut held: Vec<TcpStream> = Vec::new();
    while target.goes_on() {
        let begun = Instant::now();
        while held.len() < HELD && target.goes_on() {
            let Some(mut socket) = target.connect() else { break };
            let _refused = socket.write_all(first);
            let _nonblocking = socket.set_nonblocking(true);
            held.push(socket);
        }
        held.retain_mut(|socket| {
            let mut start = [0; 9];
            match socket.read(&mut start) {
                Ok(9) if start == *b"HTTP/1.1 " => {
                    target.answered.fetch_add(1, Ordering::Relaxed);
                    false
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => socket.write_all(drop_of).is_ok(),
                _ => false,
            }
        });
        std::thread::sleep(Duration::from_millis(500).saturating_sub(begun.elapsed()));
    }
}

fn slow_bodies(target: &Target) {
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.ListActivities\r\ncontent-length: 4000000\r\n\r\n";
    drip(target, format!("{head}{}", " ".repeat(100_000)).as_bytes(), b" ");
}

/// Asks for long answers, many on each connection, and reads none of them.
fn answers_not_read(target: &Target) {
    let body = serde_json::json!({"stateMachineArn": target.machine}).to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.DescribeStateMachine\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let requests = request.repeat(20);
    while target.goes_on() {
        let held: Vec<TcpStream> = (0..5).filter_map(|_| target.connect()).collect();
        for mut socket in &held {
            let _refused = socket.write_all(requests.as_bytes());
        }
        let until = Instant::now() + Duration::from_secs(3);
        while target.goes_on() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
