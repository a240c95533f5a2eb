//! A server in this process, on any free port and in memory, and raw HTTP to it; and the binary.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stepwright_server::{
    config::{HttpLimits, Settings},
    http,
    service::Service,
};

/// The stack that threads of a server have: they compute the beginning of Express executions.
const STACK_BYTES: usize = stepwright_querylang::jsonata::STACK_BYTES;

/// A running server; stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<Service>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with_limits(HttpLimits::default())
    }

    pub(crate) fn with_limits(http: HttpLimits) -> Self {
        Self::with_settings(Settings { http, ..Settings::default() })
    }

    /// With these settings, but in memory and on a port of its own.
    pub(crate) fn with_settings(settings: Settings) -> Self {
        let listen = "127.0.0.1:0".parse().expect("one");
        let settings = Settings { in_memory: true, listen, ..settings };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .expect("threads");
        let (address, service) = runtime.block_on(async {
            let listen = settings.listen;
            let service = Service::open(settings).expect("opens");
            let server = http::Server::bind(listen, Arc::clone(&service)).await.expect("binds");
            let address = server.address();
            tokio::spawn(server.serve(service.stopping(), Duration::from_secs(5)));
            (address, service)
        });
        Self { address, service, runtime: Some(runtime) }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("connects");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        socket
    }

    /// One request on a connection of its own.
    pub(crate) fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut socket = self.connect();
        send(&mut socket, head, body)
    }

    /// A call of an operation with a body that may be anything.
    pub(crate) fn raw(&self, target: &str, body: &[u8]) -> Answer {
        self.send(&format!("POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.{target}\r\n"), body)
    }

    /// A call of an operation.
    pub(crate) fn call(&self, operation: &str, input: &Value) -> Answer {
        self.raw(operation, input.to_string().as_bytes())
    }

    /// A call that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, operation: &str, input: &Value) -> Value {
        let answer = self.call(operation, input);
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        answer.body
    }

    /// Creates a state machine and gives its ARN.
    #[track_caller]
    pub(crate) fn create(&self, name: &str, definition: &Value) -> String {
        let input = json!({"name": name, "roleArn": ROLE, "definition": definition.to_string()});
        self.ok("CreateStateMachine", &input)["stateMachineArn"].as_str().expect("an ARN").to_owned()
    }

    /// Waits for what becomes true without anybody's doing.
    #[track_caller]
    pub(crate) fn until(&self, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "it did not become so");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for an execution to end and describes it.
    #[track_caller]
    pub(crate) fn wait(&self, execution: &Value) -> Value {
        let runtime = self.runtime.as_ref().expect("running");
        let scope = stepwright_engine::Scope::new("000000000000", "us-east-1");
        let arn = execution.as_str().expect("an ARN");
        let engine = self.service.engine();
        runtime.block_on(async {
            let ended = async {
                let mut seen = 0;
                loop {
                    let progress = engine.wait_for_change(&scope, arn, seen).await.expect("exists");
                    if progress.status != stepwright_machine::Status::Running {
                        break;
                    }
                    seen = progress.last_event;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), ended).await.expect("ends in time");
        });
        self.ok("DescribeExecution", &json!({"executionArn": execution}))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.service.stop();
        if let Some(runtime) = self.runtime.take() {
            let _closed = runtime.block_on(self.service.engine().drain(Duration::from_secs(5)));
            runtime.shutdown_background();
        }
    }
}

pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/test";

/// An answer, its body as JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of the error that it is.
    #[track_caller]
    pub(crate) fn code(&self) -> &str {
        assert_eq!(self.status, 400, "{self:?}");
        self.body["__type"].as_str().expect("a code")
    }

    /// Asserts that it is this error of AWS with a message that holds `part`.
    #[track_caller]
    pub(crate) fn is_error(&self, code: &str, part: &str) {
        assert_eq!(self.status, 400, "{self:?}");
        assert_eq!(self.body["__type"], code, "{self:?}");
        assert!(self.body["message"].as_str().is_some_and(|message| message.contains(part)), "{part:?} in {self:?}");
        assert!(self.head.contains("content-type: application/x-amz-json-1.0"), "{self:?}");
        assert!(self.head.contains("x-amzn-requestid: "), "{self:?}");
    }
}

/// Sends a request and reads its answer. `head` lacks only the length and the empty line.
pub(crate) fn send(socket: &mut TcpStream, head: &str, body: &[u8]) -> Answer {
    let head = format!("{head}host: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(head.as_bytes()).expect("writes");
    // The server may answer and close before it has read a body that it refuses.
    let _refused = socket.write_all(body);
    read_answer(socket)
}

pub(crate) fn read_answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    // Byte by byte: what follows belongs to the next answer.
    while !bytes.ends_with(b"\r\n\r\n") {
        let count = socket.read(&mut buffer[..1]).expect("an answer");
        assert!(count > 0, "closed without an answer: {:?}", String::from_utf8_lossy(&bytes));
        bytes.push(buffer[0]);
    }
    let end = bytes.len();
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text").to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0_usize);
    while bytes.len() < end + length {
        let wanted = (end + length - bytes.len()).min(buffer.len());
        let count = socket.read(&mut buffer[..wanted]).expect("the body");
        assert!(count > 0, "closed in the middle of an answer");
        bytes.extend_from_slice(&buffer[..count]);
    }
    let body = &bytes[end..];
    Answer { status, head, body: serde_json::from_slice(body).unwrap_or(Value::Null) }
}

/// The command, without what the surroundings of the tests would tell it.
pub(crate) fn stepwright(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepwright"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STEPWRIGHT_") || name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a command that ended has said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// Asserts how it ended, and parts of what it wrote to stderr.
    #[track_caller]
    pub(crate) fn ended(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is missing in:\n{}", self.stderr);
        }
    }
}

/// Runs the binary to its end, with `stdin` as its input.
pub(crate) fn say(directory: &Path, arguments: &[&str], stdin: &str) -> Said {
    let mut child = stepwright(directory).args(arguments).stdin(Stdio::piped()).spawn().expect("starts");
    // A command that does not read its input may have closed it.
    let _unread = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
