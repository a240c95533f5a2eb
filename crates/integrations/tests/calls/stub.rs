//! A server on the loopback interface that answers what a script says, one act for each request, and remembers what
//! it was asked. It speaks just enough HTTP/1.1 for that, by hand, so that it can also misbehave.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use stepwright_engine::TaskOutcome;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answer these bytes.
    Raw(Vec<u8>),
    /// Answer these bytes, then nothing more until the client hangs up.
    RawThenHang(Vec<u8>),
    /// Answer the first bytes, and the others once there is a permit.
    RawInHalves(Vec<u8>, Arc<Semaphore>, Vec<u8>),
    /// Answer these bytes and close the connection.
    RawThenClose(Vec<u8>),
    /// Close the connection.
    Close,
    /// Answer nothing until the client hangs up.
    Hang,
    /// Answer without end.
    Endless,
    /// Answer the first bytes, and then the others again and again.
    Repeat(Vec<u8>, Vec<u8>),
    /// Answer the first bytes, and then the others one by one, again and again.
    Drip(Vec<u8>, Vec<u8>),
}

/// How long a byte takes that drips.
const DROP: Duration = Duration::from_millis(5);

impl Act {
    pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status} Some Reason\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if status == 204 {
            bytes.extend(b"\r\n");
        } else {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(body);
        }
        Self::Raw(bytes)
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::reply(status, &[("Content-Type", "application/json")], body.as_bytes())
    }

    pub(crate) fn raw(text: &str) -> Self {
        Self::Raw(text.as_bytes().to_vec())
    }

    pub(crate) fn raw_then_hang(text: &str) -> Self {
        Self::RawThenHang(text.as_bytes().to_vec())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct Seen {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Seen>,
    asked: Arc<Semaphore>,
    hung_up: Arc<Semaphore>,
}

impl Stub {
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stub = Self {
            url,
            seen: Arc::default(),
            asked: Arc::new(Semaphore::new(0)),
            hung_up: Arc::new(Semaphore::new(0)),
        };
        let acts = Arc::new(Mutex::new(acts.into_iter()));
        let (seen, asked, hung_up) = (Arc::clone(&stub.seen), Arc::clone(&stub.asked), Arc::clone(&stub.hung_up));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (acts, seen) = (Arc::clone(&acts), Arc::clone(&seen));
                let (asked, hung_up) = (Arc::clone(&asked), Arc::clone(&hung_up));
                tokio::spawn(async move {
                    while let Some(request) = read(&mut stream).await {
                        seen.requests.lock().expect("not poisoned").push(request);
                        let act = acts.lock().expect("not poisoned").next().unwrap_or(Act::Close);
                        asked.add_permits(1);
                        if !perform(act, &mut stream).await {
                            break;
                        }
                    }
                    hung_up.add_permits(1);
                });
            }
        });
        stub
    }

    pub(crate) fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.seen.requests.lock().expect("not poisoned").clone()
    }

    /// The only request.
    pub(crate) fn one(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until a request came.
    pub(crate) async fn asked(&self) {
        self.asked.acquire().await.expect("never closed").forget();
    }

    /// Waits until a connection ended.
    pub(crate) async fn hung_up(&self) {
        self.hung_up.acquire().await.expect("never closed").forget();
    }
}

/// Whether the connection goes on.
pub(crate) async fn perform(act: Act, stream: &mut TcpStream) -> bool {
    match act {
        Act::Raw(bytes) => stream.write_all(&bytes).await.is_ok() && bytes.starts_with(b"HTTP") && whole(&bytes),
        Act::RawThenHang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            end_of(stream).await;
            false
        }
        Act::RawInHalves(first, permit, rest) => {
            if stream.write_all(&first).await.is_err() {
                return false;
            }
            permit.acquire().await.expect("never closed").forget();
            stream.write_all(&rest).await.is_ok()
        }
        Act::RawThenClose(bytes) => {
            let _ = stream.write_all(&bytes).await;
            false
        }
        Act::Close => false,
        Act::Hang => {
            end_of(stream).await;
            false
        }
        Act::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            repeat(stream, head, &[b"10000\r\n".as_slice(), &[b'a'; 0x10000], b"\r\n"].concat()).await
        }
        Act::Repeat(first, again) => repeat(stream, &first, &again).await,
        Act::Drip(first, again) => {
            let mut bytes = again.iter().cycle();
            let mut written = stream.write_all(&first).await;
            while written.is_ok() {
                tokio::time::sleep(DROP).await;
                written = stream.write_all(&[*bytes.next().expect("a cycle")]).await;
            }
            false
        }
    }
}

async fn repeat(stream: &mut TcpStream, first: &[u8], again: &[u8]) -> bool {
    let mut written = stream.write_all(first).await;
    while written.is_ok() {
        written = stream.write_all(again).await;
    }
    false
}

/// Whether an answer is as long as it says.
fn whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    match head.split("Content-Length: ").nth(1) {
        Some(length) => length.lines().next().and_then(|n| n.parse().ok()) == Some(body.len()) || !body.is_ascii(),
        None => true,
    }
}

async fn end_of(stream: &mut TcpStream) {
    let mut byte = [0];
    while stream.read(&mut byte).await.is_ok_and(|n| n > 0) {}
}

async fn read(stream: &mut TcpStream) -> Option<Recorded> {
    let (line, headers, body) = read_bytes(stream).await?;
    Some(Recorded { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A request: its first line, its headers, its body.
pub(crate) async fn read_bytes(stream: &mut TcpStream) -> Option<(String, Vec<(String, String)>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).expect("a head of text");
    let mut lines = head.split("\r\n").map(str::to_owned);
    let line = lines.next().expect("a first line");
    let headers: Vec<(String, String)> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.trim().to_owned(), value.trim().to_owned())
        })
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().expect("a length"));
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((line, headers, bytes.split_off(head_end + 4)))
}

/// Error and cause of a task that failed.
pub(crate) fn failed(outcome: TaskOutcome) -> (String, String) {
    match outcome {
        TaskOutcome::Failed(failure) => {
            (failure.error.expect("an error name").to_string(), failure.cause.expect("a cause").to_string())
        }
        other => panic!("a failure was expected: {other:?}"),
    }
}
