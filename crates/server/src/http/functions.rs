//! The part of Lambda's API that is served beside our own: running functions that are here, and saying which there are.
//!
//! Tools that call functions send no header that a web page could not send as well, so whatever comes from a page of
//! another origin is refused: browsers say so.

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{HOST, ORIGIN},
};
use serde_json::json;
use stepwright_functions::invoke_api::{self, PATH, invoked, unescaped};

use super::{Front, api, body, not_allowed, respond, text, watch::Watched};
use crate::delivery::ReplyBody;

/// Whether a path is one of these.
pub(super) fn is_one(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) async fn serve(front: &Front, watched: &Watched, request: Request<Incoming>) -> Response<ReplyBody> {
    if from_elsewhere(request.headers()) {
        let message = "Functions are not called by web pages of another origin";
        return respond(StatusCode::FORBIDDEN, &json!({ "message": message }));
    }
    let functions = front.service.functions();
    let path = request.uri().path();
    let path_and_query = request.uri().path_and_query().map_or(path, |path| path.as_str()).to_owned();
    if let Some((function, qualifier)) = invoked(&path_and_query) {
        if request.method() != Method::POST {
            return not_allowed(request.method(), "POST", "Functions are called with POST");
        }
        let (head, body) = request.into_parts();
        let mut buffered = front.load.buffer();
        let body = match body::read(body, &front.load.limits, &mut buffered).await {
            Ok(body) => body,
            Err(refusal) => return api::refused(watched, &refusal.error, refusal.drained),
        };
        // How many there are at once, each function bounds by itself.
        let _counted = front.load.long_poll();
        let answer = invoke_api::invoke(functions, &function, qualifier.as_deref(), &head.headers, body).await;
        return answer.map(ReplyBody::new);
    }
    let parts: Vec<String> = path[PATH.len()..].split('/').skip(1).map(unescaped).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, [] | [""]) => invoke_api::list(functions).map(ReplyBody::new),
        (&Method::GET, [function]) => invoke_api::get(functions, function).map(ReplyBody::new),
        (&Method::GET, [function, "configuration"]) => {
            invoke_api::get_configuration(functions, function).map(ReplyBody::new)
        }
        (method, [] | [_] | [_, "configuration"]) => {
            not_allowed(method, "GET", "Functions are what the configuration says, and can't be changed here")
        }
        _ => respond(
            StatusCode::NOT_FOUND,
            &json!({"message": format!("There is nothing at {path}; functions are called at {PATH}/NAME/invocations")}),
        ),
    }
}

/// Whether a web page sent it that did not come from here.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    let host = text(headers, HOST.as_str()).unwrap_or_default();
    match text(headers, ORIGIN.as_str()) {
        Some(origin) => origin.strip_prefix("http://") != Some(host),
        None => {
            headers.contains_key(ORIGIN) || text(headers, "sec-fetch-site").is_some_and(|site| site == "cross-site")
        }
    }
}
