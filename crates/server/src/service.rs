//! What requests are served with: the settings, the engine on its store, and whether the server is stopping.
//!
//! A store that failed under its engine is opened anew here; until that works, requests get 503.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use stepwright_api::{ApiError, RequestContext};
use stepwright_engine::{
    ClockMode, Connector, Engine, EngineOptions, ExpressOptions, Mocks, Quotas, Scope, VirtualClock,
};
use stepwright_functions::{Definitions, Functions};
use stepwright_machine::{EvaluationLimits, Limits};
use stepwright_store::{
    Store,
    embedded::{self, EmbeddedStore},
    memory::MemoryStore,
};
use stepwright_testing::mocks::{MockConfig, MockConnector};
use tokio::sync::watch;

use crate::{
    attached::Attached,
    calls,
    config::{Durability, OnLost, Settings},
    definitions,
    functions::{self, Hosted},
    nested::Nested,
    operations::Tests,
    self_calls::SelfCalls,
    sinks::{Sinks, SinksError, Viewer},
    throttle::{self, Throttle},
};

/// Why a service cannot open.
#[derive(Debug)]
pub enum OpenError {
    /// The store cannot be opened.
    Store(stepwright_store::Error),
    /// The engine cannot be opened on the store.
    Engine(stepwright_engine::Error),
    /// The environment tells the connectors something that cannot be.
    Connectors(stepwright_integrations::error::ConfigError),
    /// A limit is named after something that is not there.
    Limits(String),
    /// The file of mocked answers is wrong.
    Mocks(String),
    /// What is told outside cannot be set up.
    Sinks(SinksError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Engine(error) => error.fmt(f),
            Self::Connectors(error) => write!(f, "environment variable {error}"),
            Self::Limits(error) | Self::Mocks(error) => error.fmt(f),
            Self::Sinks(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// An open service.
pub struct Service {
    settings: Settings,
    engine: RwLock<Engine>,
    own_calls: Attached,
    tests: Tests,
    sinks: Sinks,
    functions: Hosted,
    mocks: Option<Arc<MockConfig>>,
    throttle: Option<Throttle>,
    stop: watch::Sender<bool>,
}

impl Service {
    /// Opens the store that the settings name, and an engine on it. Must be called inside a tokio runtime; blocks
    /// while the store is recovered.
    ///
    /// # Errors
    /// The store cannot be opened or recovered, or the environment names endpoints that are none.
    pub fn open(settings: Settings) -> Result<Arc<Self>, OpenError> {
        Self::open_seen(settings, None)
    }

    /// As [`Service::open`]; everything that happens is shown to a viewer, in the place of the logs of the settings.
    ///
    /// # Errors
    /// As [`Service::open`].
    pub(crate) fn open_seen(settings: Settings, viewer: Option<Viewer>) -> Result<Arc<Self>, OpenError> {
        let own_calls = Attached::default();
        let sinks = Sinks::new(&settings, &|name| std::env::var(name).ok(), viewer).map_err(OpenError::Sinks)?;
        let functions = Hosted::new(functions::open(&settings));
        let mocks = read_mocks(&settings)?;
        let engine = RwLock::new(open_engine(&settings, &own_calls, &sinks, &functions, mocks.as_ref())?);
        let throttle = settings.aws_quotas.then(Throttle::default);
        let service = Arc::new(Self {
            settings,
            engine,
            own_calls,
            tests: Tests::default(),
            sinks,
            functions,
            mocks,
            throttle,
            stop: watch::Sender::new(false),
        });
        service.own_calls.attach(&service);
        service.start_skipping();
        service.sinks.start(&service);
        Ok(service)
    }

    /// Not before calls of this server find it: their tasks must not time out meanwhile.
    fn start_skipping(&self) {
        if self.settings.clock == ClockMode::Skip {
            self.engine().start_skipping();
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether an operation may be called once more, where AWS's rates are rehearsed.
    ///
    /// # Errors
    /// `ThrottlingException`.
    pub(crate) fn throttle(&self, context: &RequestContext, operation: &'static str) -> Result<(), ApiError> {
        let Some(throttle) = &self.throttle else { return Ok(()) };
        let scope = Scope::new(context.account.as_str(), context.region.as_str());
        throttle.take(&scope, operation, throttle::of_operation(operation), Instant::now())
    }

    /// The limits of executions.
    pub(crate) fn limits(&self) -> Limits {
        limits(&self.settings)
    }

    /// What all tests of states share.
    pub(crate) fn tests(&self) -> &Tests {
        &self.tests
    }

    /// Mocked answers, if there are any.
    pub(crate) fn mocks(&self) -> Option<&MockConfig> {
        self.mocks.as_deref()
    }

    /// Who outside is told what happens.
    pub(crate) fn sinks(&self) -> &Sinks {
        &self.sinks
    }

    /// The functions that run here.
    pub(crate) fn functions(&self) -> Arc<Functions> {
        self.functions.now()
    }

    /// Has these functions in the place of those that run here; those whose code is `new` start anew.
    pub(crate) fn replace_functions(&self, definitions: &Definitions, new: &dyn Fn(&str) -> bool) {
        self.functions.replace(self.functions.now().replaced(definitions, new));
    }

    /// Says where the server is, for functions that call it.
    pub fn serve_functions_at(&self, endpoint: String) {
        self.functions.now().serve_at(endpoint);
    }

    /// Ends the functions that run here: once nothing calls them any more.
    pub async fn end_functions(&self) {
        self.functions.now().stop().await;
    }

    /// Once the server stops: tells what waits to be told, as long as that is taken and no longer than this.
    pub async fn tell_the_rest(&self, at_most: Duration) {
        self.sinks.finish(&self.engine(), at_most).await;
    }

    /// The engine of the moment.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether requests are served, and the word for it.
    #[must_use]
    pub fn state(&self) -> (bool, &'static str) {
        if *self.stop.borrow() {
            (false, "stopping")
        } else if self.engine().is_failed() {
            (false, "failed")
        } else {
            (true, "running")
        }
    }

    /// Tells everybody that the server stops: long polls end, connections close after their request.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Becomes true when the server stops.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Waits for the server to stop.
    pub async fn stopped(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Opens the store and the engine anew whenever the store fails. Runs until the server stops.
    pub async fn keep_open(self: Arc<Self>) {
        const EVERY: Duration = Duration::from_millis(500);
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stopped() => return,
            }
            if self.settings.in_memory || !self.engine().is_failed() {
                continue;
            }
            tracing::error!(data_directory = %self.settings.data_directory.display(), "the store failed; opening it again");
            // The failed engine lets go of the data directory here; requests meanwhile get its 503.
            let _already_failed = self.engine().drain(Duration::ZERO).await;
            let service = Arc::clone(&self);
            let opened = tokio::task::spawn_blocking(move || {
                let Service { settings, own_calls, sinks, functions, mocks, .. } = &*service;
                open_engine(settings, own_calls, sinks, functions, mocks.as_ref())
            })
            .await;
            match opened {
                Ok(Ok(engine)) => {
                    *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
                    self.start_skipping();
                    tracing::info!("the store is open again");
                }
                Ok(Err(error)) => tracing::error!(%error, "the store could not be opened again; trying on"),
                Err(error) => tracing::error!(%error, "opening the store again panicked; trying on"),
            }
        }
    }
}

/// The file of mocked answers, if there is one.
fn read_mocks(settings: &Settings) -> Result<Option<Arc<MockConfig>>, OpenError> {
    let Some(path) = &settings.mock_config else { return Ok(None) };
    let wrong = |error: String| OpenError::Mocks(format!("the file of mocks {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    MockConfig::parse(&text).map(|config| Some(Arc::new(config))).map_err(|error| wrong(error.to_string()))
}

fn open_engine(
    settings: &Settings,
    own_calls: &Attached,
    sinks: &Sinks,
    functions: &Hosted,
    mocks: Option<&Arc<MockConfig>>,
) -> Result<Engine, OpenError> {
    let store: Arc<dyn Store> = if settings.in_memory {
        Arc::new(MemoryStore::new())
    } else {
        let durability = match settings.durability {
            Durability::Full => embedded::Durability::Durable,
            Durability::Relaxed => embedded::Durability::Relaxed,
        };
        let options = embedded::Options { durability, ..embedded::Options::default() };
        Arc::new(EmbeddedStore::open(&settings.data_directory, options).map_err(OpenError::Store)?)
    };
    let own: Arc<dyn Connector> = Arc::new(SelfCalls::new(own_calls.clone()));
    let nested: Arc<dyn Connector> = Arc::new(Nested::new(own_calls.clone()));
    let (limits, local) = (calls::limits(settings), Some(functions.local_lambda()));
    let connectors =
        stepwright_integrations::connectors(&settings.region, limits, local, &|name| std::env::var(name).ok())
            .map_err(OpenError::Connectors)?
            .into_iter()
            .chain([own, nested])
            .collect::<Vec<_>>();
    calls::check(settings, &connectors).map_err(OpenError::Limits)?;
    let mut options = engine_options(settings);
    let clock = Arc::new(VirtualClock::new(match settings.clock {
        ClockMode::Skip => ClockMode::Real,
        mode => mode,
    }));
    options.clock = clock.clone();
    options.mocks = mocks.map(|config| Arc::new(MockConnector::new(config.clone(), clock)) as Arc<dyn Mocks>);
    let datasets = settings.datasets.clone();
    let datasets = stepwright_integrations::datasets(&settings.region, datasets, &|name| std::env::var(name).ok());
    options.datasets = Some(datasets.map_err(OpenError::Connectors)?);
    sinks.configure(&mut options);
    Engine::open(store, connectors, options).map_err(OpenError::Engine)
}

fn engine_options(settings: &Settings) -> EngineOptions {
    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    /// "For ever" as a number that can still be added to a time.
    const FOR_EVER_MS: i64 = 36_500 * 10 * DAY_MS;
    let mut options = EngineOptions::new(definitions::compile);
    options.retention_ms = match settings.retention_days {
        0 => FOR_EVER_MS,
        days => i64::from(days) * DAY_MS,
    };
    if settings.retention_seconds > 0 {
        options.retention_ms = i64::from(settings.retention_seconds) * 1_000;
        options.name_retention_ms = options.retention_ms;
    }
    options.limits = limits(settings);
    if settings.aws_quotas {
        options.quotas = Quotas::AWS;
    }
    if settings.open_executions > 0 {
        options.quotas.open_executions = Some(settings.open_executions);
    }
    options.open_ms = match settings.open_days {
        0 => FOR_EVER_MS,
        days => i64::from(days) * DAY_MS,
    };
    options.express = ExpressOptions {
        executions: settings.express_executions,
        memory_bytes: settings.express_memory_bytes,
        lasts_seconds: settings.express_seconds,
        // The runtime's threads have the stack that it takes.
        at_once: true,
    };
    options.tasks_on_lost = match settings.tasks.on_lost {
        OnLost::Fail => stepwright_engine::OnLost::Fail,
        OnLost::Resend => stepwright_engine::OnLost::Resend,
    };
    options.tasks = calls::task_limits(settings);
    options
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        history_events: settings.history_events,
        payload_bytes: settings.payload_bytes,
        inline_concurrency: settings.inline_map_concurrency,
        evaluation: EvaluationLimits { steps: settings.evaluation_steps, bytes: settings.evaluation_bytes },
    }
}
