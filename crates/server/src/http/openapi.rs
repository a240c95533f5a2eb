//! `GET /openapi.json`, and the paths it describes: each operation under a path of its own.
//!
//! What happens to a request there is the API's own doing, as at `POST /`. The one thing added is a check of the content
//! type: `POST /` needs a header that a web page of another origin cannot send without the browser asking first, and
//! these paths must need one as well.

use std::sync::LazyLock;

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use serde_json::json;
use stepwright_api::{CONTENT_TYPE, Operation, openapi};

use super::{Front, api, not_allowed, respond, text, watch::Watched};
use crate::delivery::{Outbox, ReplyBody};

/// Where the document is.
pub(super) const DOCUMENT: &str = "/openapi.json";

/// What comes before the name of an operation in its path.
pub(super) const OPERATIONS: &str = openapi::PATH_PREFIX;

/// The document of this version.
pub(super) fn document() -> Response<ReplyBody> {
    static TEXT: LazyLock<String> = LazyLock::new(|| openapi::document(env!("CARGO_PKG_VERSION")).to_string());
    let mut response = Response::new(ReplyBody::new(TEXT.as_str()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(openapi::MEDIA_TYPE));
    response
}

/// A call of the operation that the path names.
pub(super) async fn serve(
    front: &Front,
    outbox: Outbox,
    watched: &Watched,
    request: Request<Incoming>,
    request_id: &str,
) -> Response<ReplyBody> {
    let path = request.uri().path();
    let Some(operation) = path.strip_prefix(OPERATIONS).and_then(Operation::parse) else {
        let message = format!("There is no operation at {path}; {DOCUMENT} has them all");
        return respond(StatusCode::NOT_FOUND, &json!({ "message": message }));
    };
    if request.method() != Method::POST {
        return not_allowed(request.method(), "POST", "Operations are called with POST");
    }
    let media_type = text(request.headers(), "content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if ![openapi::MEDIA_TYPE, CONTENT_TYPE].iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
        let message = format!("Content-Type must be {} or {CONTENT_TYPE}", openapi::MEDIA_TYPE);
        return respond(StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!({ "message": message }));
    }
    let target = format!("AWSStepFunctions.{}", operation.name());
    let mut response = api::serve(front, outbox, watched, request, &target, request_id).await;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(openapi::MEDIA_TYPE));
    response
}
