//! A client for one server on this machine: just enough HTTP/1.1 to speak AWS JSON 1.0 to it over a kept connection.
//! It signs nothing (the server under development checks no signatures) and must never be used for anything else.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the 60 s that GetActivityTask may take.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// What the server refused: an answer of it, and not a connection that broke.
#[derive(Debug)]
pub(crate) struct Refused {
    operation: String,
    pub(crate) status: u16,
    pub(crate) answer: Value,
}

impl Refused {
    /// The error's name, such as `TaskTimedOut`.
    pub(crate) fn kind(&self) -> &str {
        let kind = self.answer["__type"].as_str().unwrap_or_default();
        kind.rsplit('#').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answered HTTP {}: {}", self.operation, self.status, self.answer)
    }
}

impl std::error::Error for Refused {}

/// One connection; calls on it go one after the other.
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Where it calls.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls an operation. An error of the API is an `Err` that shows its type and message.
    pub(crate) fn call(&mut self, operation: &str, request: &Value) -> Result<Value> {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AWSStepFunctions.{operation}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/states/aws4_request, SignedHeaders=host, Signature=0\r\n",
            self.address
        );
        let (status, body) = self.exchange(&head, request.to_string().as_bytes())?;
        let answer: Value =
            serde_json::from_slice(&body).with_context(|| format!("{operation} answered no JSON (HTTP {status})"))?;
        if status != 200 {
            return Err(Refused { operation: operation.to_string(), status, answer }.into());
        }
        Ok(answer)
    }

    /// Gets a page such as `/healthz`.
    pub(crate) fn get(&mut self, path: &str) -> Result<String> {
        let (status, body) = self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.address), b"")?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if status != 200 {
            bail!("{path} answered HTTP {status}: {text}");
        }
        Ok(text)
    }

    /// Posts JSON to a path and gives what it was answered with.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Result<String> {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", self.address);
        let (status, body) = self.exchange(&head, body.as_bytes())?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if status != 200 {
            bail!("{path} answered HTTP {status}: {text}");
        }
        Ok(text)
    }

    fn exchange(&mut self, head: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let result = self.try_exchange(head, body);
        if result.is_err() {
            // Whatever is left on this connection belongs to the failed call.
            self.connection = None;
        }
        result
    }

    fn try_exchange(&mut self, head: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let address = self.address;
        let connection = if let Some(connection) = &mut self.connection {
            connection
        } else {
            let stream =
                TcpStream::connect(address).with_context(|| format!("no server answers at http://{address}"))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(READ_TIMEOUT))?;
            self.connection.insert(BufReader::new(stream))
        };
        let mut message = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        message.extend_from_slice(body);
        connection.get_mut().write_all(&message)?;

        let mut line = String::new();
        connection.read_line(&mut line)?;
        let status =
            line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("the server closed the connection")?;
        let mut length = 0;
        let mut closes = false;
        loop {
            line.clear();
            connection.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().context("a content-length that is no number")?,
                "transfer-encoding" => bail!("the server answered in chunks, which this client does not read"),
                "connection" => closes = value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        connection.read_exact(&mut answer)?;
        if closes {
            self.connection = None;
        }
        Ok((status, answer))
    }
}
