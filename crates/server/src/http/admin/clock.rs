//! `/_stepwright/clock`: what time it is for executions, and how it goes on. Read with GET; changed with POST to
//! `freeze`, `skip`, `real` or `advance/MILLISECONDS` below it.

use std::time::Duration;

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::json;
use stepwright_engine::{ClockMode, ClockState, Error};

use super::{failed, not_allowed, refused, respond, text};
use crate::{delivery::ReplyBody, service::Service};

/// How long an advance is waited for: what is under way may take longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A hundred years, in milliseconds.
const LONGEST_MS: i64 = 100 * 365 * 86_400_000;

enum Change {
    Mode(ClockMode),
    Advance(i64),
}

impl Change {
    fn parse(rest: &str) -> Option<Self> {
        Some(match rest.strip_prefix('/')? {
            "freeze" => Self::Mode(ClockMode::Frozen),
            "skip" => Self::Mode(ClockMode::Skip),
            "real" => Self::Mode(ClockMode::Real),
            rest => {
                let millis = rest.strip_prefix("advance/")?.parse().ok();
                Self::Advance(millis.filter(|millis| (1..=LONGEST_MS).contains(millis))?)
            }
        })
    }
}

pub(super) async fn serve(service: &Service, request: &Request<Incoming>, rest: &str) -> Response<ReplyBody> {
    let engine = service.engine();
    match (request.method(), rest) {
        (&Method::GET, "") => {}
        (method, "") => return not_allowed(method, "GET", "It is read with GET"),
        (&Method::POST, rest) => {
            if text(request.headers(), "content-type") != Some("application/json") {
                return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json");
            }
            let done = match Change::parse(rest) {
                None => {
                    let rule = "a clock is told freeze, skip, real or advance/N, N milliseconds up to a hundred years";
                    return refused(StatusCode::NOT_FOUND, rule);
                }
                Some(Change::Mode(mode)) => engine.set_clock(mode).await,
                // One that takes longer is said to be on its way.
                Some(Change::Advance(millis)) => {
                    tokio::time::timeout(PATIENCE, engine.advance_clock(millis)).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = done {
                return failed(&error);
            }
        }
        (method, _) => return not_allowed(method, "POST", "It is changed with POST"),
    }
    answer(engine.clock())
}

fn answer(state: Result<ClockState, Error>) -> Response<ReplyBody> {
    match state {
        Ok(state) => respond(
            StatusCode::OK,
            &json!({
                "mode": state.mode.as_str(),
                "now": stepwright_api::Timestamp(state.now),
                "aheadMilliseconds": state.ahead,
                "advancingTo": state.target.map(stepwright_api::Timestamp),
                "heldBy": {
                    "underWay": state.under_way,
                    "waitingCalls": state.waiting_calls,
                    "tasksInHand": state.held_outside,
                    "awaitsWorker": state.awaits_worker,
                },
            }),
        ),
        Err(error) => failed(&error),
    }
}
