//! Who outside is told what happens: logs of executions, and events about their status.
//!
//! The engine keeps which turns each sink is yet to be told of, durably (`stepwright_engine::NoticeOptions`); here they
//! are read, spelled as AWS does, and sent. `feed` is the loop of one sink: it sends in order, tries again after
//! pauses, and has the engine forget what arrived. A sink that is slow, down or hanging holds up nobody but itself.
//!
//! Nothing here is told before it is committed, nothing is told never (but for the bounds of the backlog, which are
//! counted), and after a crash some of it is told twice.

mod bus;
mod cloudwatch;
mod express;
mod feed;
mod lines;
mod record;
mod status_event;
mod view;
mod webhook;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use stepwright_engine::{Channel, Engine, EngineOptions, LogLevel, Told};
use stepwright_integrations::{
    error::ConfigError,
    sinks::{events::EventBridge, logs::CloudWatchLogs},
};
use tokio::task::JoinHandle;

use crate::{
    config::{LogDestination, Settings, When},
    service::Service,
};

use bus::Bus;
use cloudwatch::CloudWatch;
pub(crate) use cloudwatch::GroupError;
use express::Express;
use feed::Feed;
use lines::Lines;
use record::LogEntry;
use view::Express as SeenExpress;
pub(crate) use view::{Seen, Viewer};
use webhook::Webhook;

/// The channels. Their numbers are stored.
const LOG: Channel = 0;
const BUS: Channel = 1;
const FIRST_WEBHOOK: Channel = 16;

/// What became of telling a sink something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The sink has it.
    Delivered,
    /// The sink will never take it, for this reason.
    Lost(String),
    /// Not yet, for this reason, which says nothing about what else there is to tell.
    Refused(String),
    /// Not yet, for this reason.
    Again(String),
}

/// A thing that is told.
enum Sink {
    Logs(LogSink),
    Bus(Bus),
    Webhook(Arc<Webhook>),
    View(Viewer),
}

/// Where records of executions go.
#[derive(Clone)]
enum LogSink {
    CloudWatch(Arc<CloudWatch>),
    Lines(Arc<Lines>),
}

impl LogSink {
    async fn put(&self, entries: Vec<LogEntry>) -> Vec<Outcome> {
        match self {
            Self::CloudWatch(logs) => logs.put(entries).await,
            Self::Lines(lines) => lines.put(entries).await,
        }
    }
}

impl Sink {
    /// Tells it turns, each of which has one; what became of each.
    async fn tell(&self, told: Vec<Told>) -> Vec<Outcome> {
        match self {
            Self::Logs(logs) => logs.put(told.iter().filter_map(LogEntry::of_turn).collect()).await,
            Self::Bus(bus) => bus.put(&told).await,
            Self::Webhook(webhook) => webhook.post(&told).await,
            Self::View(viewer) => viewer.show(&told).await,
        }
    }

    /// Turns that it is told of at once.
    fn at_once(&self) -> usize {
        match self {
            Self::Logs(_) => 512,
            Self::Bus(_) => 100,
            Self::Webhook(_) | Self::View(_) => 64,
        }
    }

    /// Rounds under way at once, of different executions: one need not wait for the answer to another.
    fn rounds(&self) -> usize {
        match self {
            Self::Logs(LogSink::CloudWatch(_)) => 4,
            Self::Logs(LogSink::Lines(_)) | Self::Bus(_) | Self::Webhook(_) | Self::View(_) => 1,
        }
    }

    /// The shortest time between two rounds. What takes no time would be done for every turn by itself, and take it from
    /// executions; the others are slow enough for many turns to come together.
    fn breath(&self) -> Duration {
        match self {
            Self::Logs(LogSink::Lines(_)) | Self::View(_) => Duration::from_millis(20),
            _ => Duration::ZERO,
        }
    }

    /// Whether trouble with one execution's turns says nothing about those of others.
    fn tells_apart(&self) -> bool {
        matches!(self, Self::Webhook(_))
    }
}

/// Why sinks cannot be set up.
#[derive(Debug)]
pub enum SinksError {
    /// The environment names endpoints that are none.
    Endpoint(ConfigError),
    /// The settings don't go together.
    Settings(String),
    /// The file of execution logs cannot be opened.
    File(std::path::PathBuf, std::io::Error),
}

impl fmt::Display for SinksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => write!(f, "environment variable {error}"),
            Self::Settings(rule) => f.write_str(rule),
            Self::File(path, error) => write!(
                f,
                "the file {} for logs of executions cannot be opened: {error}; another can be chosen with \
                 --execution-logs-file",
                path.display()
            ),
        }
    }
}

/// All sinks of a server.
pub(crate) struct Sinks {
    feeds: Vec<Arc<Feed>>,
    logs: Option<LogSink>,
    express: Option<Arc<Express>>,
    viewer: Option<Viewer>,
    backlog: usize,
    backlog_time: Duration,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Sinks {
    /// The sinks of the settings; `lookup` knows environment variables.
    pub(crate) fn new(
        settings: &Settings,
        lookup: &dyn Fn(&str) -> Option<String>,
        viewer: Option<Viewer>,
    ) -> Result<Self, SinksError> {
        let telling = &settings.telling;
        let mut feeds = Vec::new();
        let logs = if viewer.is_some() { None } else { log_sink(settings, lookup)? };
        if let Some(viewer) = &viewer {
            feeds.push(Feed::new(LOG, "view".to_owned(), Sink::View(viewer.clone())));
        }
        if let Some(logs) = &logs {
            feeds.push(Feed::new(LOG, "logs".to_owned(), Sink::Logs(logs.clone())));
        }
        let events = EventBridge::new(&settings.region, lookup).map_err(SinksError::Endpoint)?;
        if telling.eventbridge == When::On || (telling.eventbridge == When::Auto && events.is_custom()) {
            feeds.push(Feed::new(BUS, "eventbridge".to_owned(), Sink::Bus(Bus::new(events, telling))));
        }
        if !telling.webhooks.is_empty() && telling.webhook_secret.0.is_empty() {
            let rule = "status_events.webhooks needs status_events.webhook_secret: receivers must be able to tell \
                        your server's posts from anybody else's";
            return Err(SinksError::Settings(rule.to_owned()));
        }
        for (channel, url) in (FIRST_WEBHOOK..).zip(&telling.webhooks) {
            let name = format!("webhook{}", channel - FIRST_WEBHOOK + 1);
            feeds.push(Feed::new(channel, name, Sink::Webhook(Arc::new(Webhook::new(url, telling)))));
        }
        let express = logs.as_ref().map(|_| Arc::new(Express::default()));
        let feeds = feeds.into_iter().map(Arc::new).collect();
        let (backlog, backlog_time) = (telling.backlog, telling.backlog_time);
        Ok(Self { feeds, logs, express, viewer, backlog, backlog_time, tasks: Mutex::default() })
    }

    /// Tells the engine who is to be told.
    pub(crate) fn configure(&self, options: &mut EngineOptions) {
        let channels = || self.feeds.iter().map(|feed| feed.channel);
        options.notices.log = channels().find(|channel| *channel == LOG);
        options.notices.status = channels().filter(|channel| *channel != LOG).collect();
        options.notices.level = record::level;
        options.notices.most = self.backlog;
        options.notices.keep_ms = i64::try_from(self.backlog_time.as_millis()).unwrap_or(i64::MAX);
        options.event_sink = self.express.clone().map(|express| -> Arc<dyn stepwright_engine::EventSink> { express });
        if let Some(viewer) = &self.viewer {
            options.notices.level = |_| LogLevel::All;
            options.event_sink = Some(Arc::new(SeenExpress(viewer.clone())));
        }
    }

    /// Begins to tell. Inside a tokio runtime.
    pub(crate) fn start(&self, service: &Arc<Service>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for feed in &self.feeds {
            tasks.push(tokio::spawn(Arc::clone(feed).run(Arc::downgrade(service))));
        }
        if let (Some(logs), Some(express)) = (&self.logs, &self.express) {
            tasks.push(tokio::spawn(Arc::clone(express).run(logs.clone(), Arc::downgrade(service))));
        }
        tokio::spawn(feed::forget(Arc::downgrade(service)));
    }

    /// Once the server stops: waits until what waits is told, as long as the sinks take it and no longer than this.
    pub(crate) async fn finish(&self, engine: &Engine, at_most: Duration) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async {
            for task in tasks {
                // One that panicked tells nothing more; its turns wait in the store.
                let _ended = task.await;
            }
        };
        let _in_time = tokio::time::timeout(at_most, all).await;
        if let Err(error) = self.forget(engine).await {
            tracing::warn!(error, "what sinks were told last is told again at the next start");
        }
    }

    /// Lets the store forget what was told, which must not be lost any more.
    async fn forget(&self, engine: &Engine) -> Result<(), String> {
        let settled = engine.take_settled_notices();
        if let Some(LogSink::Lines(lines)) = &self.logs {
            lines.sync().await.map_err(|error| error.to_string())?;
        }
        engine.forget_notices(settled).await.map_err(|error| error.to_string())
    }

    /// Looks at the log group of a machine that is created (`new`) or changed, and has its stream ready.
    pub(crate) async fn check_group(&self, logging: &str, machine: &str, new: bool) -> Result<(), GroupError> {
        match &self.logs {
            Some(LogSink::CloudWatch(logs)) => logs.check_group(logging, machine, new).await,
            Some(LogSink::Lines(_)) => Ok(()),
            None => {
                if self.viewer.is_none() && record::level(logging) != LogLevel::Off {
                    warn_of_nowhere();
                }
                Ok(())
            }
        }
    }

    /// For `/healthz`.
    pub(crate) fn shown(&self, engine: &Engine) -> Value {
        let now = jiff::Timestamp::now().as_millisecond();
        let mut shown = Map::new();
        for stats in engine.notice_stats() {
            let Some(feed) = self.feeds.iter().find(|feed| feed.channel == stats.channel) else { continue };
            let age = stats.oldest_at.map(|at| (now - at).max(0) as f64 / 1_000.0);
            let sink = json!({
                "delivered": stats.delivered,
                "retried": feed.retried(),
                "dropped": stats.dropped,
                "backlog": stats.waiting,
                "oldestSeconds": age,
                "trouble": feed.trouble(),
            });
            shown.insert(feed.name.clone(), sink);
        }
        if let Some(express) = &self.express {
            shown.insert("expressLogs".to_owned(), express.shown());
        }
        Value::Object(shown)
    }
}

/// Said once: most servers need no logs of executions, and machines are often created with a configuration that the
/// tool made up.
fn warn_of_nowhere() {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        tracing::warn!(
            "a state machine logs its executions, but logs of executions go nowhere: choose a place with \
             execution_logs.destination (cloudwatch, file or stdout)"
        );
    });
}

fn log_sink(settings: &Settings, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<LogSink>, SinksError> {
    let telling = &settings.telling;
    let cloudwatch = CloudWatchLogs::new(&settings.region, lookup).map_err(SinksError::Endpoint)?;
    let opened = |lines: std::io::Result<Lines>| {
        let sink = |lines| Some(LogSink::Lines(Arc::new(lines)));
        lines.map(sink).map_err(|error| SinksError::File(telling.log_file.clone(), error))
    };
    let to_cloudwatch = |logs| Some(LogSink::CloudWatch(Arc::new(CloudWatch::new(logs))));
    match telling.logs {
        LogDestination::Auto if cloudwatch.is_custom() => Ok(to_cloudwatch(cloudwatch)),
        LogDestination::CloudWatch => Ok(to_cloudwatch(cloudwatch)),
        LogDestination::File => opened(Lines::to_file(telling)),
        LogDestination::Stdout => opened(Lines::to_stdout()),
        LogDestination::Auto | LogDestination::None => Ok(None),
    }
}
