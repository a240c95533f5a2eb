//! HTTP/1.1 to services: pooled connections, limits on time and on the length of answers.
//!
//! A client never sends a request a second time once any of it may have left this machine, and never follows a
//! redirect: the requests are signed and may move money.

use std::{io, net::IpAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode, Uri, body::Body as _};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::sync::OnceCell;

use crate::error::Error;

/// The limits of a client.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// To a connection.
    pub connect_timeout: Duration,
    /// From the request's first byte to the answer's last.
    pub call_timeout: Duration,
    /// Bytes of an answer's body.
    pub max_response_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            // A function may run for fifteen minutes.
            call_timeout: Duration::from_secs(16 * 60),
            // Four times what a task result may be: room for the blanks and escapes that parsing takes away.
            max_response_bytes: 1 << 20,
        }
    }
}

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

/// Sends requests. Cheap to share; connections are pooled per host.
#[derive(Debug)]
pub struct HttpClient {
    limits: HttpLimits,
    plain: Client<HttpConnector, Full<Bytes>>,
    /// Made when first needed: a server that calls nothing over TLS needs no certificates on its machine.
    secure: OnceCell<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl HttpClient {
    /// A client.
    #[must_use]
    pub fn new(limits: HttpLimits) -> Self {
        let plain = builder().build(tcp(&limits));
        Self { limits, plain, secure: OnceCell::new() }
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
        let (head, mut body) = response.into_parts();
        let limit = self.limits.max_response_bytes;
        if usize::try_from(body.size_hint().lower()).is_ok_and(|length| length > limit) {
            return Err(Error::TooLong { limit });
        }
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::NoAnswer { reason: reason(&error, &uri, false) })?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > limit {
                    return Err(Error::TooLong { limit });
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(Response { status: head.status, headers: head.headers, body: bytes.freeze() })
    }

    async fn secure(&self) -> Result<&Client<HttpsConnector<HttpConnector>, Full<Bytes>>, Error> {
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
                let mut tcp = tcp(&self.limits);
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
        .pool_max_idle_per_host(64);
    builder
}

fn tcp(limits: &HttpLimits) -> HttpConnector {
    let mut tcp = HttpConnector::new();
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
