//! The HTTP server: connections, and which of its few paths a request is for.
//!
//! `POST /` is the API whatever the host name (SDKs put `sync-` before it). This module must never answer a request
//! of the API with anything but an AWS error or a result, and no request may end the process.

mod admin;
mod api;
mod body;
mod functions;
mod load;
mod metrics;
mod openapi;
mod refusal;
mod watch;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use serde_json::{Value, json};
use stepwright_api::ApiError;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch as channel,
    task::JoinSet,
};

use self::{
    load::Load,
    watch::{Paced, Phase, Told, Watch, Watched},
};
use crate::{
    delivery::{Connection, Outbox, ReplyBody},
    ids,
    service::Service,
};

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 4_096;

/// Files that are not connections of clients, and not those of calls: the store's, the refused, and connections to services
/// that are kept.
const OTHER_FILES: usize = 1_024;

/// Connections over the limit that are told so at once; the others of a flood are closed without a word.
const MAX_REFUSING: usize = 64;

/// What is read of a connection at once.
const MIN_READ_BUFFER: usize = 32 * 1024;

/// Headers that hyper reads without an allocation for each request.
const HEADERS_ON_THE_STACK: usize = 100;

/// A bound but not yet serving server.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    front: Arc<Front>,
}

/// What requests are answered with.
struct Front {
    service: Arc<Service>,
    load: Arc<Load>,
    http1: http1::Builder,
    refusing: AtomicUsize,
}

impl Server {
    /// Binds to an address, which must be a loopback one: there is no authentication yet. Takes as many open files as
    /// the system allows the process, and fewer connections than that.
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
        let socket = match address.ip() {
            IpAddr::V4(_) => TcpSocket::new_v4(),
            IpAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;

        let mut limits = service.settings().http.clone();
        limits.connections = connections_that_fit(limits.connections, service.settings().tasks.concurrency);
        let mut http1 = http1::Builder::new();
        http1
            .half_close(true)
            // The watch sees to it: it costs nothing per request.
            .header_read_timeout(None)
            .max_header_size(limits.header_bytes)
            .max_buf_size(limits.header_bytes.max(MIN_READ_BUFFER));
        if limits.headers != HEADERS_ON_THE_STACK {
            http1.max_headers(limits.headers);
        }
        let front = Front { service, load: Arc::new(Load::new(limits)), http1, refusing: AtomicUsize::new(0) };
        Ok(Self { listener, address, front: Arc::new(front) })
    }

    /// Where it listens; the real port when port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` becomes true; then takes no new connections, lets requests under way end for at most
    /// `grace`, and closes what is left.
    pub async fn serve(self, mut stop: channel::Receiver<bool>, grace: Duration) {
        let Self { listener, front, .. } = self;
        let watch = Arc::new(Watch::new(Arc::clone(&front.load)));
        let mut connections = JoinSet::new();
        let running = Arc::clone(&watch);
        let ticking = tokio::spawn(async move { running.run().await });
        let mut number = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = told(&mut stop) => break,
            };
            match accepted {
                Ok((socket, peer)) => {
                    // Answers are small and complete; waiting to fill a packet only adds to their latency.
                    let _best_effort = socket.set_nodelay(true);
                    tracing::trace!(%peer, "connection");
                    number += 1;
                    connections.spawn(connection(socket, Arc::clone(&front), Arc::clone(&watch), number));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: others must close before the next try can succeed.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        watch.stop();
        let open = connections.len();
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(open, "requests were still under way at the end of the grace period and are cut off");
        }
        ticking.abort();
    }
}

/// Waits for the server to be told to stop; one whose service is gone stops too.
async fn told(stop: &mut channel::Receiver<bool>) {
    let _service_is_gone = stop.wait_for(|stop| *stop).await.is_err();
}

/// As many of the connections that are wanted as the system has files for, after taking all that it allows. So many calls
/// of services may be under way, each with a connection.
fn connections_that_fit(wanted: usize, calls: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        // Not allowed: then it stays as it is.
        let _stays = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    }
    let files =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    // Where files are very few, other things get half of them.
    let others = OTHER_FILES.saturating_add(calls);
    let fitting = files.saturating_sub(others.min(files / 2)).max(1);
    if fitting < wanted {
        tracing::warn!(
            open_files = files,
            connections = fitting,
            "the process may open too few files for the {wanted} connections of http.connections; raise the limit \
             (ulimit -n, LimitNOFILE=) or lower the setting"
        );
    }
    wanted.min(fitting)
}

async fn connection(mut socket: TcpStream, front: Arc<Front>, watch: Arc<Watch>, number: u64) {
    let load = Arc::clone(&front.load);
    let Some(_counted) = load.connection() else {
        load.refused_connections.fetch_add(1, Ordering::Relaxed);
        if front.refusing.fetch_add(1, Ordering::Relaxed) < MAX_REFUSING {
            refusal::say(&mut socket, refusal::too_many(&load.limits)).await;
        }
        front.refusing.fetch_sub(1, Ordering::Relaxed);
        return;
    };
    let watched = watch.add(number);
    serve_connection(socket, front, &watched).await;
    watch.remove(number);
}

/// Answers requests until one side ends, and says why if it was ours.
async fn serve_connection(socket: TcpStream, front: Arc<Front>, watched: &Arc<Watched>) {
    let load = Arc::clone(&front.load);
    let outbox = Outbox::default();
    let io = Paced::new(Connection::new(socket, outbox.clone()), Arc::clone(watched));
    let handler = {
        let (front, watched) = (Arc::clone(&front), Arc::clone(watched));
        service_fn(move |request| {
            let (front, outbox, watched) = (Arc::clone(&front), outbox.clone(), Arc::clone(&watched));
            async move {
                // Not before it runs: hyper takes the next request up while the answer to the one before is still being
                // written, and lets it wait until then.
                watched.enter(Phase::Serving);
                let mut answer = answer(&front, outbox, &watched, request).await;
                answer.body_mut().while_it_comes(|| Box::new(watched.stream()));
                watched.enter(Phase::Answered);
                Ok::<_, Infallible>(answer)
            }
        })
    };
    let mut connection = front.http1.serve_connection(io, handler);
    let (mut known, mut stopping) = (false, false);
    let late = poll_fn(|cx| {
        if !known {
            watched.in_task(cx);
            known = true;
        }
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended badly");
                }
                return Poll::Ready(None);
            }
            match watched.told() {
                Some(Told::Late(phase)) => return Poll::Ready(Some(phase)),
                Some(Told::Stop) if !stopping => {
                    stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                _ => return Poll::Pending,
            }
        }
    })
    .await;
    let http1::Parts { mut io, read_buf, .. } = connection.into_parts();
    let socket = io.io.inner_mut();
    match (late, watched.refusal()) {
        (Some(Phase::Head), _) => {
            load.timed_out.fetch_add(1, Ordering::Relaxed);
            refusal::say(socket, refusal::late_head(&load.limits)).await;
        }
        (Some(phase), _) => {
            load.timed_out.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(?phase, "a connection took too long and is closed");
        }
        (None, Some(status)) => {
            load.refused_heads.fetch_add(1, Ordering::Relaxed);
            refusal::say(socket, refusal::no_request(status, &read_buf, &load.limits)).await;
        }
        (None, None) if watched.lingers() => refusal::linger(socket).await,
        (None, None) => {}
    }
}

/// The answer to one request, whatever happens on the way.
async fn answer(front: &Front, outbox: Outbox, watched: &Watched, request: Request<Incoming>) -> Response<ReplyBody> {
    let request_id = ids::random_uuid();
    let routed = route(front, outbox, watched, request, &request_id);
    let mut response = Guarded(Box::pin(routed)).await.unwrap_or_else(|| {
        // The panic's message and place are in the log already; the client gets the id to ask for.
        tracing::error!(request_id, "a request broke an invariant of the server");
        api::error(&ApiError::internal(format!("The server failed on this request; its log names it by {request_id}")))
    });
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        // A function's invocation has an id of its own.
        response.headers_mut().entry("x-amzn-requestid").or_insert(value);
    }
    response
}

async fn route(
    front: &Front,
    outbox: Outbox,
    watched: &Watched,
    request: Request<Incoming>,
    request_id: &str,
) -> Response<ReplyBody> {
    if request.method() == Method::POST && matches!(request.uri().path(), "/" | "") {
        let target = text(request.headers(), "x-amz-target").unwrap_or_default().to_owned();
        return api::serve(front, outbox, watched, request, &target, request_id).await;
    }
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET | &Method::HEAD, "/") => respond(StatusCode::OK, &hint()),
        (_, "/") => not_allowed(request.method(), "POST, GET", "Operations are called with POST /"),
        (&Method::GET | &Method::HEAD, "/healthz") => health(front),
        (_, "/healthz") => not_allowed(request.method(), "GET", "Health is asked for with GET /healthz"),
        (&Method::GET | &Method::HEAD, metrics::PATH) => metrics::serve(&front.service),
        (_, metrics::PATH) => not_allowed(request.method(), "GET", "Figures are asked for with GET /metrics"),
        (&Method::GET | &Method::HEAD, openapi::DOCUMENT) => openapi::document(),
        (_, openapi::DOCUMENT) => {
            not_allowed(request.method(), "GET", "The description of the API is asked for with GET")
        }
        (_, path) if path.starts_with(openapi::OPERATIONS) => {
            openapi::serve(front, outbox, watched, request, request_id).await
        }
        (_, path) if functions::is_one(path) => functions::serve(front, watched, request).await,
        (_, path) if path.starts_with(admin::PREFIX) => admin::serve(&front.service, request).await,
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
        "description": openapi::DOCUMENT,
        "health": "/healthz",
        "metrics": metrics::PATH,
    })
}

fn health(front: &Front) -> Response<ReplyBody> {
    let (status, state) = front.service.state();
    let stats = front.service.engine().stats();
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
            "longTurns": stats.long_turns,
            "quarantined": stats.quarantined,
            "expressOpen": stats.express_open,
            "expressBytes": stats.express_bytes,
            "expressWaiting": stats.express_waiting,
        },
        "sinks": front.service.sinks().shown(&front.service.engine()),
        "http": front.load.shown(),
        "process": { "residentBytes": resident_bytes() },
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

/// Memory of this process, if the system tells.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<u64>().ok()?;
    Some(pages * rustix::param::page_size() as u64)
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
