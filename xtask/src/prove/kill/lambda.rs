//! A stand-in for AWS Lambda: one function, whatever it is called, that notes every request and answers it after a
//! while. Speaks just the Invoke call of the service, over kept connections. It must never answer what it did not note.

use super::{Call, Dice, Ledger, locked, now, workload};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;

/// The stand-in, bound to a port of its own.
pub(super) struct StandIn {
    listener: TcpListener,
}

impl StandIn {
    pub(super) fn bind() -> Result<Self> {
        Ok(Self { listener: TcpListener::bind(("127.0.0.1", 0)).context("no port of 127.0.0.1 is free")? })
    }

    pub(super) fn endpoint(&self) -> String {
        self.listener.local_addr().map_or_else(|_| String::new(), |address| format!("http://{address}"))
    }

    /// Serves until told to stop and woken.
    pub(super) fn serve<'scope, 'env>(
        &'scope self,
        scope: &'scope Scope<'scope, 'env>,
        ledger: &'scope Ledger,
        stop: &'scope AtomicBool,
    ) {
        for connection in self.listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Ok(connection) = connection else { continue };
            scope.spawn(move || {
                // A connection that breaks is a server that was killed.
                let _broken = converse(connection, ledger);
            });
        }
    }

    /// Lets [`StandIn::serve`] see that it shall stop.
    pub(super) fn wake(&self) {
        let _connection = self.listener.local_addr().map(TcpStream::connect);
    }
}

fn converse(connection: TcpStream, ledger: &Ledger) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut dice = Dice::new(u64::from(connection.peer_addr()?.port()));
    let mut connection = BufReader::new(connection);
    loop {
        let Some(payload) = request(&mut connection)? else { return Ok(()) };
        let task: Value = serde_json::from_slice(&payload).context("a payload that is no JSON")?;
        let (key, attempt) = (task["key"].as_str().unwrap_or_default(), task["attempt"].as_u64().unwrap_or(u64::MAX));
        let failure = workload::failure_of_call(key, attempt);
        let nonce = ledger.nonce();
        let place = {
            let mut calls = locked(&ledger.calls);
            let call = Call { key: key.to_string(), attempt, nonce: nonce.clone(), failure, answered: None };
            calls.push(call);
            calls.len() - 1
        };
        // Most functions are quick, some are under way when the server is killed.
        std::thread::sleep(if dice.below(20) == 0 { dice.millis(200, 900) } else { dice.millis(1, 40) });
        let (header, body) = match failure {
            Some(error) => {
                ("X-Amz-Function-Error: Unhandled\r\n", json!({"errorType": error, "errorMessage": nonce}).to_string())
            }
            None => ("", json!({"key": key, "nonce": nonce}).to_string()),
        };
        if hung_up(connection.get_ref()) {
            return Ok(());
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Amz-Executed-Version: $LATEST\r\n{header}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.get_mut().write_all(answer.as_bytes())?;
        locked(&ledger.calls)[place].answered = Some(now());
    }
}

/// The body of the next request; none if the connection ended between two.
fn request(connection: &mut BufReader<TcpStream>) -> Result<Option<Vec<u8>>> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().context("a content-length that is no number")?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok(Some(body))
}

/// Whether the other side has closed: then it hears no answer any more.
fn hung_up(connection: &TcpStream) -> bool {
    let looked = connection.set_nonblocking(true).and_then(|()| connection.peek(&mut [0]));
    let restored = connection.set_nonblocking(false);
    match looked {
        Ok(0) => true,
        Ok(_) => restored.is_err(),
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock || restored.is_err(),
    }
}
