//! Status events posted to a URL, signed: HMAC-SHA256 over the time and the body, in a header, so that a receiver knows
//! who says it and when. The events of one execution arrive in order; those of others need not wait for them.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::{
    Request, StatusCode,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use sha2::Sha256;
use stepwright_engine::Told;
use stepwright_integrations::client::{HttpClient, HttpLimits};
use tokio::task::JoinSet;

use super::{
    Outcome,
    status_event::{self, StatusEvent},
};
use crate::config::{Secret, Telling};

/// Posts under way at once.
const POSTS_AT_ONCE: usize = 16;

/// Reasons why a turn is told again that are not the receiver's.
const BROKE: &str = "the post was not made";
const BEHIND: &str = "an earlier event of the execution was not taken yet";

/// A receiver.
pub(super) struct Webhook {
    url: String,
    source: String,
    secret: Secret,
    http: HttpClient,
}

impl Webhook {
    pub(super) fn new(url: &str, telling: &Telling) -> Self {
        let limits = HttpLimits {
            connect_timeout: telling.webhook_time,
            call_timeout: telling.webhook_time,
            ..HttpLimits::default()
        };
        Self {
            url: url.to_owned(),
            source: telling.source.clone(),
            secret: telling.webhook_secret.clone(),
            http: HttpClient::new(limits),
        }
    }

    /// Posts the events of turns; what became of each turn. Those of one execution in order, and none after one that
    /// was not taken.
    pub(super) async fn post(self: &Arc<Self>, told: &[Told]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Again(BROKE.to_owned()); told.len()];
        let mut executions: Vec<Vec<(usize, Vec<StatusEvent>)>> = Vec::new();
        let mut places: HashMap<[u8; 16], usize> = HashMap::new();
        for (turn, told) in told.iter().enumerate() {
            let place = *places.entry(told.notice.execution()).or_insert_with(|| {
                executions.push(Vec::new());
                executions.len() - 1
            });
            executions[place].push((turn, status_event::of_turn(told)));
        }
        let mut running = JoinSet::new();
        let mut waiting = executions.into_iter();
        loop {
            while running.len() < POSTS_AT_ONCE
                && let Some(turns) = waiting.next()
            {
                let webhook = Arc::clone(self);
                running.spawn(async move { webhook.post_execution(turns).await });
            }
            let Some(done) = running.join_next().await else { return outcomes };
            for (turn, outcome) in done.unwrap_or_default() {
                outcomes[turn] = outcome;
            }
        }
    }

    /// Posts the events of one execution.
    async fn post_execution(&self, turns: Vec<(usize, Vec<StatusEvent>)>) -> Vec<(usize, Outcome)> {
        let mut turns = turns.into_iter();
        let mut outcomes = Vec::new();
        while let Some((turn, events)) = turns.next() {
            for event in events {
                if let Err(outcome) = self.post_event(&event).await {
                    let behind = match &outcome {
                        Outcome::Refused(_) => Outcome::Refused(BEHIND.to_owned()),
                        _ => Outcome::Again(BEHIND.to_owned()),
                    };
                    outcomes.push((turn, outcome));
                    outcomes.extend(turns.map(|(turn, _)| (turn, behind.clone())));
                    return outcomes;
                }
            }
            outcomes.push((turn, Outcome::Delivered));
        }
        outcomes
    }

    async fn post_event(&self, event: &StatusEvent) -> Result<(), Outcome> {
        let broken = |error: String| Outcome::Again(error);
        let body = event.envelope(&self.source).to_string();
        let now = jiff::Timestamp::now().as_second();
        let uri: hyper::Uri = self.url.parse().map_err(|error| broken(format!("{error}")))?;
        let host = uri.authority().map_or_else(String::new, ToString::to_string);
        let request = Request::post(uri)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("stepwright/", env!("CARGO_PKG_VERSION")))
            .header("stepwright-event-id", &event.id)
            .header("stepwright-signature", signature(&self.secret, now, &body))
            .body(Bytes::from(body))
            .map_err(|error| broken(error.to_string()))?;
        match self.http.send(request, None).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) if is_about_the_event(answer.status) => {
                Err(Outcome::Refused(format!("HTTP {}", answer.status.as_u16())))
            }
            Ok(answer) => Err(Outcome::Again(format!("HTTP {}", answer.status.as_u16()))),
            Err(error) => Err(Outcome::Again(error.to_string())),
        }
    }
}

/// Whether a status says that the receiver is there and does not want this event, rather than that it is busy or broken.
fn is_about_the_event(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::REQUEST_TIMEOUT
}

/// `t=<seconds since the epoch>,v1=<hex of the HMAC-SHA256 of "<seconds>.<body>">`.
fn signature(secret: &Secret, seconds: i64, body: &str) -> String {
    use std::fmt::Write as _;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).expect("a key of any length");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let mut text = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OpenSSL has it: `printf '1700000000.{}' | openssl dgst -sha256 -hmac swordfish`.
    #[test]
    fn signatures_are_those_of_other_tools() {
        let found = signature(&Secret("swordfish".to_owned()), 1_700_000_000, "{}");
        assert_eq!(found, "t=1700000000,v1=5a64dfe949eac45d01aee3b0b6d5328a7bcd1554ae39b55693172fc02dd57c75");
    }
}
