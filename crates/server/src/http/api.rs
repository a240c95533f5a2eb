//! A call of the API: from HTTP to the operation and back. What an operation does is not decided here.

use std::{
    future::poll_fn,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use stepwright_api::{ApiError, CONTENT_TYPE, RequestContext, credential::Credential, dispatch};

use super::{Front, body, load::counted_reply, text, watch::Watched};
use crate::{
    delivery::{Outbox, ReplyBody},
    operations::Call,
    service::Service,
};

/// The target of the operation that waits for something to happen.
const LONG_POLL: &str = "AWSStepFunctions.GetActivityTask";
/// The target of the operation that waits for what it began. The engine bounds how many there are.
const SYNCHRONOUS: &str = "AWSStepFunctions.StartSyncExecution";

/// The target of the one that works as long as its state does.
const TEST: &str = "AWSStepFunctions.TestState";

/// How long it goes on for a client that has closed its end. Most have gone away then; a few only have nothing more to
/// say, and still read.
const AFTER_CLOSE: Duration = Duration::from_secs(5);

pub(super) async fn serve(
    front: &Front,
    outbox: Outbox,
    watched: &Watched,
    request: Request<Incoming>,
    target: &str,
    request_id: &str,
) -> Response<ReplyBody> {
    let started = Instant::now();
    let (service, load) = (&*front.service, &front.load);
    let (head, body) = request.into_parts();
    let long_poll = target == LONG_POLL;
    let mut buffered = load.buffer();
    let body = match body::read(body, &load.limits, &mut buffered).await {
        Ok(body) => body,
        Err(refusal) => return refused(watched, &refusal.error, refusal.drained),
    };
    // Only now: those whose bodies come slowly are in nobody's way.
    let counted = if long_poll || target == SYNCHRONOUS { Ok(load.long_poll()) } else { load.request() };
    let _counted = match counted {
        Ok(counted) => counted,
        Err(full) => return refused(watched, &full, true),
    };
    let context = match context(service, &head, request_id) {
        Ok(context) => context,
        Err(refusal) => return error(&refusal),
    };
    let call = Call::new(service);
    // A poll may wait for a minute, with ten thousand others: the connection's buffers are not kept for it.
    let body = if long_poll { Bytes::copy_from_slice(&body) } else { body };
    let answer = if long_poll {
        drop(head);
        poll(&outbox, Box::pin(dispatch(&call, &context, LONG_POLL, &body))).await
    } else if target == TEST {
        outlast(&outbox, Box::pin(dispatch(&call, &context, TEST, &body))).await
    } else {
        Some(dispatch(&call, &context, target, &body).await)
    };
    let Some(answer) = answer else {
        tracing::debug!(request_id, "the client went away while it waited for its answer");
        return respond(200, ReplyBody::new("{}"));
    };
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let operation = answer.operation.map_or("-", |operation| operation.name());
    match answer.error {
        Some(code) if answer.status >= 500 => {
            tracing::error!(operation, request_id, duration_ms, error = code.as_str(), "request failed");
        }
        Some(code) => {
            tracing::debug!(operation, request_id, duration_ms, error = code.as_str(), "request refused");
        }
        None => tracing::debug!(operation, request_id, duration_ms, "request served"),
    }
    let body = match counted_reply(load, answer.body) {
        Ok(body) => body,
        // A task that it would have handed over goes to the next worker. Closed, because who asks for long answers one
        // after the other and reads none would have them made for nothing again and again.
        Err(full) => return refused(watched, &full, false),
    };
    let body = match call.into_delivery() {
        // The reply is the only thing that tells the worker of its task: it counts as handed over when it is written.
        Some(delivery) if answer.error.is_none() => {
            ReplyBody::with_receipt(body, Box::new(move || delivery.delivered()), outbox)
        }
        _ => ReplyBody::new(body),
    };
    let mut response = respond(answer.status, body);
    if answer.status == 503 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// What a poll is answered with; nothing if the worker closed its end before. One that still reads gets an answer
/// without a task.
async fn poll<T>(outbox: &Outbox, answer: impl Future<Output = T>) -> Option<T> {
    let (mut answer, mut closed) = (pin!(answer), pin!(outbox.peer_closed()));
    poll_fn(|cx| {
        // A task that is there is handed over first: whether its answer can be written is seen when it is.
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        closed.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// What who waits is answered with; nothing if they closed their end some time before.
async fn outlast<T>(outbox: &Outbox, answer: impl Future<Output = T>) -> Option<T> {
    let left = async {
        outbox.peer_closed().await;
        tokio::time::sleep(AFTER_CLOSE).await;
    };
    tokio::select! {
        answer = answer => Some(answer),
        () = left => None,
    }
}

/// An error answer.
pub(super) fn error(error: &ApiError) -> Response<ReplyBody> {
    respond(error.status(), ReplyBody::new(error.to_body()))
}

fn respond(status: u16, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// An answer to what is over a limit.
pub(super) fn refused(watched: &Watched, refusal: &ApiError, drained: bool) -> Response<ReplyBody> {
    let mut response = error(refusal);
    if refusal.status() == 503 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if !drained {
        // What is left of the body would be taken for the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        watched.linger();
    }
    response
}

/// Whom the request is for. Unsigned requests are for the account and region of the configuration.
fn context(
    service: &Service,
    head: &hyper::http::request::Parts,
    request_id: &str,
) -> Result<RequestContext, ApiError> {
    let credential = match text(&head.headers, "authorization") {
        Some(authorization) => Some(Credential::from_authorization(authorization)?),
        None => Credential::from_query(head.uri.query().unwrap_or_default())?,
    };
    let settings = service.settings();
    let region = credential.as_ref().map_or(&settings.region, |credential| &credential.region).clone();
    let account = credential.as_ref().and_then(Credential::account).unwrap_or(&settings.account).to_owned();
    Ok(RequestContext {
        region,
        account,
        request_id: request_id.to_owned(),
        trace_header: text(&head.headers, "x-amzn-trace-id").map(ToOwned::to_owned),
    })
}
