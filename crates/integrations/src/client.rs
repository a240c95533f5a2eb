//! HTTP/1.1 to services: pooled connections, limits on time, on the length of answers and on all of them together.
//!
//! A client never sends a request a second time once any of it may have left this machine, and never follows a
//! redirect: the requests are signed and may move money.

use std::{
    collections::HashMap,
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    body::{Body as _, Incoming},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::{error::Error, resolver::Resolver};

/// The limits of a client.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// To a connection.
    pub connect_timeout: Duration,
    /// From the request's first byte to the answer's last.
    pub call_timeout: Duration,
    /// From the end of an answer's head to its last byte.
    pub answer_timeout: Duration,
    /// Bytes of an answer's body.
    pub max_response_bytes: usize,
    /// Bytes of the bodies of one host's answers that are in memory at once, each of which counts for as much as it may
    /// become. The others wait, unread; short ones do not count.
    pub host_response_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            // A function may run for fifteen minutes.
            call_timeout: Duration::from_secs(16 * 60),
            answer_timeout: Duration::from_secs(60),
            // Four times what a task result may be: room for the blanks and escapes that parsing takes away.
            max_response_bytes: 1 << 20,
            host_response_bytes: 64 << 20,
        }
    }
}

/// Bodies up to this length do not count: there are no more of them than calls.
const SHORT: usize = 16 << 10;
/// What room is counted in.
const KIB: usize = 1 << 10;
/// Hosts that are remembered while nothing is read from them.
const KEPT_HOSTS: usize = 256;

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

type Tcp = HttpConnector<Resolver>;

/// Sends requests. Cheap to share; connections are pooled per host.
pub struct HttpClient {
    limits: HttpLimits,
    plain: Client<Tcp, Full<Bytes>>,
    /// Made when first needed: a server that calls nothing over TLS needs no certificates on its machine.
    secure: OnceCell<Client<HttpsConnector<Tcp>, Full<Bytes>>>,
    resolver: Resolver,
    /// Room for long answers, for each host that gave one.
    room: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

/// A body, and the room that it takes as long as it is there.
struct Held {
    bytes: BytesMut,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// A client.
    #[must_use]
    pub fn new(limits: HttpLimits) -> Self {
        let resolver = Resolver::new(limits.connect_timeout);
        let plain = builder().build(tcp(&limits, &resolver));
        Self { limits, plain, secure: OnceCell::new(), resolver, room: Mutex::default() }
    }

    /// Sends a request and reads the whole answer, within the client's time or a shorter one. Dropping the future
    /// closes the connection.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn send(&self, request: Request<Bytes>, within: Option<Duration>) -> Result<Response, Error> {
        let within = within.map_or(self.limits.call_timeout, |within| within.min(self.limits.call_timeout));
        match tokio::time::timeout(within, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut),
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response, Error> {
        let uri = request.uri().clone();
        let request = request.map(Full::new);
        let sent = if uri.scheme_str() == Some("https") {
            self.secure().await?.request(request).await
        } else {
            self.plain.request(request).await
        };
        let response = sent.map_err(|error| {
            let connecting = error.is_connect();
            let reason = reason(&error, &uri, connecting);
            if connecting { Error::NotConnected { reason } } else { Error::NoAnswer { reason } }
        })?;
        let (head, body) = response.into_parts();
        let body = match tokio::time::timeout(self.limits.answer_timeout, self.read(&uri, body)).await {
            Ok(body) => body?,
            Err(_) => return Err(Error::NoAnswer { reason: "Read timed out".to_owned() }),
        };
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    async fn read(&self, uri: &Uri, mut body: Incoming) -> Result<Bytes, Error> {
        let limit = self.limits.max_response_bytes;
        let too_long = || Error::TooLong { limit };
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(too_long());
        }
        let mut bytes = BytesMut::new();
        let mut room = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::NoAnswer { reason: reason(&error, uri, false) })?;
            let Some(data) = frame.data_ref() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(too_long());
            }
            if room.is_none() && (announced > SHORT || bytes.len() + data.len() > SHORT) {
                // All that it may take: who has some need never wait for more while others wait for it.
                let at_most = body.size_hint().exact().map_or(limit, |_| announced);
                room = Some(self.room(uri, at_most).await?);
            }
            bytes.extend_from_slice(data);
        }
        Ok(match room {
            Some(room) => Bytes::from_owner(Held { bytes, _room: room }),
            None => bytes.freeze(),
        })
    }

    /// Room for a body from a host.
    async fn room(&self, uri: &Uri, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let all = (self.limits.host_response_bytes / KIB).clamp(1, u32::MAX as usize);
        let room = {
            let mut hosts = self.room.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() >= KEPT_HOSTS && !hosts.contains_key(host) {
                hosts.retain(|_, room| Arc::strong_count(room) > 1);
            }
            hosts.entry(host.into()).or_insert_with(|| Arc::new(Semaphore::new(all))).clone()
        };
        let wanted = bytes.div_ceil(KIB).clamp(1, all);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        // It is never closed.
        room.acquire_many_owned(wanted)
            .await
            .map_err(|error| Error::NoAnswer { reason: format!("no room for the answer: {error}") })
    }

    async fn secure(&self) -> Result<&Client<HttpsConnector<Tcp>, Full<Bytes>>, Error> {
        self.secure
            .get_or_try_init(|| async {
                // Reads the machine's certificates from disk.
                let builder = tokio::task::spawn_blocking(|| {
                    HttpsConnectorBuilder::new()
                        .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
                })
                .await
                .map_err(io::Error::other)
                .flatten()
                .map_err(|error| Error::NotConnected {
                    reason: format!("no certificates to trust on this machine: {error}"),
                })?;
                let mut tcp = tcp(&self.limits, &self.resolver);
                tcp.enforce_http(false);
                Ok(self::builder().build(builder.https_only().enable_http1().wrap_connector(tcp)))
            })
            .await
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        // Shorter than servers' own limits, so that a request seldom meets a connection that is just being closed.
        .pool_idle_timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(256);
    builder
}

fn tcp(limits: &HttpLimits, resolver: &Resolver) -> Tcp {
    let mut tcp = HttpConnector::new_with_resolver(resolver.clone());
    tcp.set_connect_timeout(Some(limits.connect_timeout));
    tcp.set_nodelay(true);
    // A long call is silent: without these its connection may be forgotten on the way.
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    tcp.set_keepalive_interval(Some(Duration::from_secs(10)));
    tcp
}

/// What went wrong, in the words of AWS's Java client.
fn reason(error: &(dyn std::error::Error + 'static), uri: &Uri, connecting: bool) -> String {
    let mut deepest = error;
    let mut io_error = None;
    while let Some(source) = deepest.source() {
        deepest = source;
        if let Some(found) = deepest.downcast_ref::<io::Error>() {
            io_error = Some(found);
        }
    }
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let kind = io_error.map(io::Error::kind);
    if !connecting {
        return match kind {
            Some(io::ErrorKind::ConnectionReset) => "Connection reset".to_owned(),
            Some(io::ErrorKind::TimedOut) => "Read timed out".to_owned(),
            _ => format!("{host}:{port} failed to respond"),
        };
    }
    let deepest = deepest.to_string();
    if let Some(lookup) = deepest.strip_prefix("failed to lookup address information: ") {
        return format!("{host}: {lookup}");
    }
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = if address.parse::<IpAddr>().is_ok() { format!(" [/{address}]") } else { String::new() };
    let what = match kind {
        Some(io::ErrorKind::ConnectionRefused) => "Connection refused (Connection refused)".to_owned(),
        Some(io::ErrorKind::TimedOut) => "connect timed out".to_owned(),
        _ => deepest,
    };
    format!("Connect to {host}:{port}{address} failed: {what}")
}
