//! `POST /`: from HTTP to the API and back. What an operation does is not decided here.

use std::{sync::Arc, time::Instant};

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use stepwright_api::{ApiError, CONTENT_TYPE, ErrorCode, RequestContext, credential::Credential, dispatch};

use super::{
    body::{self, Refusal},
    text,
};
use crate::{
    delivery::{Outbox, ReplyBody},
    operations::Call,
    service::Service,
};

pub(super) async fn serve(
    service: &Service,
    outbox: Outbox,
    request: Request<Incoming>,
    request_id: &str,
) -> Response<ReplyBody> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let body = match body::read(body).await {
        Ok(body) => body,
        Err(refusal) => return refused(&refusal),
    };
    let context = match context(service, &head, request_id) {
        Ok(context) => context,
        Err(refusal) => return error(&refusal),
    };
    let target = text(&head.headers, "x-amz-target").unwrap_or_default();
    let call = Call::new(service);
    let answer = dispatch(&call, &context, target, &body).await;
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
    let body = match call.into_delivery() {
        // The reply is the only thing that tells the worker of its task: it counts as handed over when it is written.
        Some(delivery) if answer.error.is_none() => {
            ReplyBody::with_receipt(answer.body, Box::new(move || delivery.delivered()), outbox)
        }
        _ => ReplyBody::new(answer.body),
    };
    respond(answer.status, body)
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

fn refused(refusal: &Refusal) -> Response<ReplyBody> {
    let (message, drained) = match refusal {
        Refusal::TooLong { drained } => {
            (format!("The request body is longer than the {} bytes that a request may have", body::MAX_BYTES), *drained)
        }
        Refusal::TooSlow => ("The request body did not arrive in time".to_owned(), false),
        Refusal::Broken(error) => (format!("The request body could not be read: {error}"), false),
    };
    let mut response = error(&ApiError::new(ErrorCode::SerializationException, message));
    if !drained {
        // What is left of the body would be taken for the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
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

/// So that a whole request can be moved between threads while it waits.
#[expect(dead_code, reason = "checked by the compiler, not called")]
fn a_request_can_move_between_threads(service: Arc<Service>, outbox: Outbox, request: Request<Incoming>) {
    fn check(_: impl Send) {}
    check(async move { serve(&service, outbox, request, "").await });
}
