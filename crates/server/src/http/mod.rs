//! The HTTP server: connections, and which of its few paths a request is for.
//!
//! `POST /` is the API whatever the host name (SDKs put `sync-` before it). This module must never answer a request
//! of the API with anything but an AWS error or a result, and no request may end the process.

mod admin;
mod api;
mod body;

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::Pin, sync::Arc, task::Poll, time::Duration};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioTimer;
use serde_json::{Value, json};
use stepwright_api::ApiError;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    delivery::{Connection, Outbox, ReplyBody},
    service::Service,
};

/// How long a connection may take for the head of a request; also how long it may idle. Longer than clients keep
/// idle connections, so that it is they who close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(600);

/// All headers of a request together. SigV4 with a session token needs about 4 KiB.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Headers of a request.
const MAX_HEADERS: usize = 100;

/// A bound but not yet serving server.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
}

impl Server {
    /// Binds to an address, which must be a loopback one: there is no authentication yet.
    ///
    /// # Errors
    /// The address is taken, not this machine's, or not loopback.
    pub async fn bind(address: SocketAddr, service: Arc<Service>) -> std::io::Result<Self> {
        // Configuration refuses others with a longer explanation; this is the lock on the door itself.
        if !address.ip().to_canonical().is_loopback() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                "only loopback addresses are served as long as there is no authentication",
            ));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, service })
    }

    /// Where it listens; the real port when port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` becomes true; then takes no new connections, lets requests under way end for at most
    /// `grace`, and closes what is left.
    pub async fn serve(self, mut stop: watch::Receiver<bool>, grace: Duration) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = told(&mut stop) => break,
            };
            match accepted {
                Ok((socket, peer)) => {
                    // Answers are small and complete; waiting to fill a packet only adds to their latency.
                    let _best_effort = socket.set_nodelay(true);
                    tracing::trace!(%peer, "connection");
                    connections.spawn(connection(socket, Arc::clone(&self.service), stop.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: others must close before the next try can succeed.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        let open = connections.len();
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(open, "requests were still under way at the end of the grace period and are cut off");
        }
    }
}

/// Waits for the server to be told to stop; one whose service is gone stops too.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _service_is_gone = stop.wait_for(|stop| *stop).await.is_err();
}

async fn connection(socket: tokio::net::TcpStream, service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let outbox = Outbox::default();
    let io = Connection::new(socket, outbox.clone());
    let handler = service_fn(move |request| {
        let (service, outbox) = (Arc::clone(&service), outbox.clone());
        async move { Ok::<_, Infallible>(answer(service, outbox, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES)
        .serve_connection(io, handler);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// The answer to one request, whatever happens on the way.
async fn answer(service: Arc<Service>, outbox: Outbox, request: Request<Incoming>) -> Response<ReplyBody> {
    let request_id = uuid::Uuid::new_v4().to_string();
    let routed = route(&service, outbox, request, &request_id);
    let mut response = Guarded(Box::pin(routed)).await.unwrap_or_else(|| {
        // The panic's message and place are in the log already; the client gets the id to ask for.
        tracing::error!(request_id, "a request broke an invariant of the server");
        api::error(&ApiError::internal(format!("The server failed on this request; its log names it by {request_id}")))
    });
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}

async fn route(service: &Service, outbox: Outbox, request: Request<Incoming>, request_id: &str) -> Response<ReplyBody> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/" | "") => api::serve(service, outbox, request, request_id).await,
        (&Method::GET | &Method::HEAD, "/") => respond(StatusCode::OK, &hint()),
        (_, "/") => not_allowed(request.method(), "POST, GET", "Operations are called with POST /"),
        (&Method::GET | &Method::HEAD, "/healthz") => health(service),
        (_, "/healthz") => not_allowed(request.method(), "GET", "Health is asked for with GET /healthz"),
        (_, path) if path.starts_with(admin::PREFIX) => admin::serve(service, request).await,
        _ => respond(
            StatusCode::NOT_FOUND,
            &json!({"message": format!("There is nothing at {path}"), "api": "POST /", "health": "GET /healthz"}),
        ),
    }
}

fn hint() -> Value {
    json!({
        "service": "Stepwright: the AWS Step Functions API",
        "version": env!("CARGO_PKG_VERSION"),
        "use": "POST / with an AWS SDK or the AWS CLI: --endpoint-url, or AWS_ENDPOINT_URL_SFN, set to this address",
        "health": "/healthz",
    })
}

fn health(service: &Service) -> Response<ReplyBody> {
    let (status, state) = service.state();
    let stats = service.engine().stats();
    let body = json!({
        "status": if status { "ok" } else { "unavailable" },
        "version": env!("CARGO_PKG_VERSION"),
        "engine": {
            "state": state,
            "executionsStarted": stats.started,
            "executionsClosed": stats.closed,
            "executionsInMemory": stats.hot_executions,
            "turns": stats.turns,
            "queuedActivityTasks": stats.queued_activity_tasks,
            "activityPollers": stats.pollers,
            "queuedConnectorTasks": stats.queued_connector_tasks,
            "callsInFlight": stats.calls_in_flight,
            "quarantined": stats.quarantined,
        },
        "store": {
            "logBytes": stats.store.log_bytes,
            "records": stats.store.records,
            "syncs": stats.store.syncs,
            "checkpoints": stats.store.checkpoints,
            "memtableBytes": stats.store.memtable_bytes,
            "spaceShort": stats.store.space_short,
        },
    });
    respond(if status { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

fn not_allowed(method: &Method, allow: &'static str, help: &str) -> Response<ReplyBody> {
    let body = json!({"message": format!("{method} is not served here. {help}")});
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, &body);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// A JSON answer that is not the API's.
fn respond(status: StatusCode, body: &Value) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A header's text, if it is there and is text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A future whose panic is an answer (`None`) and not the end of its connection.
struct Guarded<F>(Pin<Box<F>>);

impl<F: Future> Future for Guarded<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        // The future is not polled again after a panic, so nothing sees what it left behind.
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}
