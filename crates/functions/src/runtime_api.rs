//! Lambda's Runtime API, for one process: a listener of its own tells it apart from all others.
//!
//! The clients know an address and nothing more, so the address is the process. Whoever sends what only a browser sends
//! is refused: a page that guessed the port must not take events.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

use crate::exchange::{Exchange, Handed, NotAnswered, Reported};

/// Bytes of a result at most, as on AWS.
pub(crate) const MAX_RESPONSE: usize = 6_291_556;
/// Bytes of an error object at most.
const MAX_ERROR: usize = 256 << 10;
/// Bytes that are read and thrown away of what is too long, so that the process gets to read the answer.
const MAX_DISCARDED: u64 = 256 << 20;
/// Connections of one process at once.
const MAX_CONNECTIONS: usize = 16;

const PREFIX: &str = "/2018-06-01/runtime/";
/// Of our own shim for Python alone.
const INTERPRETER: &str = "stepwright-interpreter";
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");

/// A place where a process can ask for events.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    listener: TcpListener,
    address: SocketAddr,
}

impl RuntimeApi {
    pub(crate) async fn bind() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the process, and once it has ended, what it sent before.
    pub(crate) async fn serve(self, exchange: Arc<Exchange>, mut ended: oneshot::Receiver<()>) {
        let host: Arc<str> = self.address.to_string().into();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(serve_connection(socket, Arc::clone(&exchange), Arc::clone(&host)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a function's process could not connect");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                _ = &mut ended => break,
            }
        }
        while let Ok(Ok((socket, _))) = tokio::time::timeout(Duration::from_millis(1), self.listener.accept()).await {
            connections.spawn(serve_connection(socket, Arc::clone(&exchange), Arc::clone(&host)));
        }
        while connections.join_next().await.is_some() {}
    }
}

async fn serve_connection(socket: TcpStream, exchange: Arc<Exchange>, host: Arc<str>) {
    let _best_effort = socket.set_nodelay(true);
    let service = service_fn(move |request| {
        let (exchange, host) = (Arc::clone(&exchange), Arc::clone(&host));
        async move { Ok::<_, Infallible>(answer(&exchange, &host, request).await) }
    });
    let _the_process_knows = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(exchange: &Exchange, host: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let headers = request.headers();
    let other_host = headers.get(HOST).is_some_and(|named| named.as_bytes() != host.as_bytes());
    if other_host || headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-mode") {
        return refuse(StatusCode::FORBIDDEN, "Forbidden", "this is for the function's own process");
    }
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.strip_prefix(PREFIX).map(|rest| rest.split('/').collect()).unwrap_or_default();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => {
            if let Some(Ok(interpreter)) = headers.get(INTERPRETER).map(HeaderValue::to_str) {
                let _once = exchange.interpreter.set(interpreter.to_owned());
            }
            next(exchange).await
        }
        (&Method::POST, ["invocation", id, "response"]) => response(exchange, id, request).await,
        (&Method::POST, ["invocation", id, "error"]) => {
            if !exchange.is_current(id) {
                return unknown_id(id);
            }
            let (_, body) = request.into_parts();
            match read(body, MAX_ERROR).await {
                Ok((body, _)) => accepted(exchange.report(id, Reported::Error(body)), id),
                Err(problem) => refuse_body(&problem),
            }
        }
        (&Method::POST, ["init", "error"]) => match read(request.into_body(), MAX_ERROR).await {
            Ok((body, _)) => {
                exchange.failed(body);
                status_ok()
            }
            Err(problem) => refuse_body(&problem),
        },
        _ => refuse(StatusCode::NOT_FOUND, "NotFound", &format!("there is nothing at {path}")),
    }
}

async fn next(exchange: &Exchange) -> Response<Full<Bytes>> {
    match exchange.next().await {
        Ok(event) => hand(event),
        Err(NotAnswered(id)) => refuse(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            &format!("the invocation {id} has not been answered yet"),
        ),
    }
}

fn hand(event: Handed) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(event.payload));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let texts = [
        ("lambda-runtime-aws-request-id", Some(event.request_id.to_string())),
        ("lambda-runtime-deadline-ms", Some(event.deadline_ms.to_string())),
        ("lambda-runtime-invoked-function-arn", Some(event.function_arn)),
        ("lambda-runtime-trace-id", Some(event.trace_id)),
        ("lambda-runtime-client-context", event.client_context),
    ];
    for (name, text) in texts {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

async fn response(exchange: &Exchange, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if !exchange.is_current(id) {
        return unknown_id(id);
    }
    let (head, body) = request.into_parts();
    let streaming = head.headers.get(RESPONSE_MODE).is_some_and(|mode| mode.as_bytes() == b"streaming");
    match read(body, MAX_RESPONSE).await {
        Ok((body, trailers)) => {
            // A stream that broke off says why behind its end.
            let error = trailers.filter(|_| streaming).and_then(|trailers| {
                let body = trailers.get(ERROR_BODY)?;
                STANDARD.decode(body.as_bytes()).ok().map(Bytes::from)
            });
            accepted(exchange.report(id, error.map_or(Reported::Result(body), Reported::Error)), id)
        }
        Err(Problem::TooLong { bytes, limit }) => {
            exchange.report(id, Reported::TooLarge { bytes, limit });
            refuse_body(&Problem::TooLong { bytes, limit })
        }
        Err(problem) => refuse_body(&problem),
    }
}

enum Problem {
    TooLong { bytes: u64, limit: usize },
    Broken(String),
}

/// Reads a body to its end, and what stands behind it.
async fn read(mut body: Incoming, limit: usize) -> Result<(Bytes, Option<HeaderMap>), Problem> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(announced.min(limit));
    let (mut length, mut trailers) = (0_u64, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::Broken(error.to_string()))?;
        match frame.into_data() {
            Ok(data) => {
                length += data.len() as u64;
                if length <= limit as u64 {
                    bytes.extend_from_slice(&data);
                } else {
                    bytes = BytesMut::new();
                }
                if length > MAX_DISCARDED {
                    break;
                }
            }
            Err(other) => trailers = other.into_trailers().ok(),
        }
    }
    if length > limit as u64 { Err(Problem::TooLong { bytes: length, limit }) } else { Ok((bytes.freeze(), trailers)) }
}

fn accepted(known: bool, id: &str) -> Response<Full<Bytes>> {
    if known { status_ok() } else { unknown_id(id) }
}

fn status_ok() -> Response<Full<Bytes>> {
    reply(StatusCode::ACCEPTED, r#"{"status":"OK"}"#.to_owned())
}

fn unknown_id(id: &str) -> Response<Full<Bytes>> {
    refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", &format!("no invocation {id} waits for an answer"))
}

fn refuse_body(problem: &Problem) -> Response<Full<Bytes>> {
    match problem {
        Problem::TooLong { bytes, limit } => refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            &format!("exceeded maximum allowed payload size: {bytes} bytes of {limit}"),
        ),
        Problem::Broken(reason) => refuse(StatusCode::BAD_REQUEST, "InvalidRequest", reason),
    }
}

fn refuse(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    reply(status, serde_json::json!({"errorType": error_type, "errorMessage": message}).to_string())
}

fn reply(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
