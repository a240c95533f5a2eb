//! `stepwright serve`: from settings to a running server, and from a signal to a clean end.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, ServeArgs, print, runtime};
use crate::{
    config::{self, Configuration, Durability, LogFormat, Setting, Settings},
    host_prefix,
    http::Server,
    logging,
    service::{OpenError, Service},
};

/// How long the end of a server waits for sinks: what they don't take by then waits in the store.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(super) fn serve(args: &ServeArgs, flags: &[(&'static Setting, String)]) -> Result<(), Failure> {
    let configuration = config::resolve(flags, std::env::vars_os(), args.config.as_deref())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    logging::start(configuration.settings.log_format, &configuration.settings.log_level);
    runtime()?.block_on(serve_until_told(configuration))
}

async fn serve_until_told(configuration: Configuration) -> Result<(), Failure> {
    let Configuration { settings, file, warnings } = configuration;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if let Some(file) = file {
        tracing::info!(file = %file.display(), "configuration read");
    }
    let prefixed = host_prefix::ask(settings.listen.ip());
    // Before anything that a signal could interrupt half-way.
    let mut signals = Signals::new()?;
    let mut opening = settings.clone();
    // Whatever is said about a file later names it in full.
    opening.data_directory = absolute(&settings);
    opening.functions.guard = super::functions::guard_program();
    let started = Instant::now();
    let service = tokio::task::spawn_blocking(move || Service::open(opening))
        .await
        .map_err(|error| Failure::Failed(format!("the engine could not be opened: {error}")))?
        .map_err(|error| Failure::Failed(refusal(&error, &settings)))?;
    let server = match Server::bind(settings.listen, Arc::clone(&service)).await {
        Ok(server) => server,
        Err(error) => {
            let _closing_anyway = service.engine().drain(Duration::ZERO).await;
            return Err(Failure::Failed(format!(
                "{} cannot be listened on: {error}; another address can be chosen with --listen",
                settings.listen
            )));
        }
    };
    let address = server.address();
    service.serve_functions_at(format!("http://{address}"));
    let opened_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if settings.log_format == LogFormat::Text {
        print(&banner(&settings, address, prefixed.answer()));
    }
    tracing::info!(
        endpoint = %format_args!("http://{address}"),
        data_directory = %data(&settings),
        version = env!("CARGO_PKG_VERSION"),
        opened_ms,
        "serving"
    );
    tokio::spawn(Arc::clone(&service).keep_open());
    let mut serving = tokio::spawn(server.serve(service.stopping(), settings.shutdown_grace));

    let name = tokio::select! {
        name = signals.next() => name,
        ended = &mut serving => {
            // It only ends when told to; anything else is a panic.
            return Err(Failure::Failed(format!("the server ended: {ended:?}")));
        }
    };
    tracing::info!(signal = name, grace_seconds = settings.shutdown_grace.as_secs(), "stopping");
    service.stop();
    let stopping = Instant::now();
    let stop = async {
        let _panicked = serving.await;
        let left = settings.shutdown_grace.saturating_sub(stopping.elapsed());
        service.tell_the_rest(left.min(LAST_WORDS)).await;
        let left = settings.shutdown_grace.saturating_sub(stopping.elapsed());
        let drained = service.engine().drain(left).await;
        service.end_functions().await;
        drained
    };
    tokio::select! {
        drained = stop => {
            drained.map_err(|error| Failure::Failed(format!("the store was not closed cleanly: {error}; nothing that was answered is lost")))?;
            tracing::info!("stopped");
            Ok(())
        }
        name = signals.next() => {
            // What was answered is durable; what was not is the caller's to repeat. As after a crash.
            tracing::warn!(signal = name, "stopped at once by a second signal");
            std::process::exit(1);
        }
    }
}

/// The two signals that stop a server.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(|error| Failure::Failed(format!("signals cannot be received: {error}")));
        Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

fn absolute(settings: &Settings) -> PathBuf {
    std::path::absolute(&settings.data_directory).unwrap_or_else(|_| settings.data_directory.clone())
}

/// Why the data cannot be served, with what the parts below do not know: the directory, and how to name another.
fn refusal(error: &OpenError, settings: &Settings) -> String {
    match error {
        OpenError::Store(stepwright_store::Error::Locked { .. }) => format!("{error} with --data-directory"),
        OpenError::Engine(_) if !settings.in_memory => {
            format!("the data directory {} cannot be served: {error}", absolute(settings).display())
        }
        _ => error.to_string(),
    }
}

fn data(settings: &Settings) -> String {
    if settings.in_memory {
        return "in memory: nothing survives the end of this process".to_owned();
    }
    let directory = absolute(settings);
    match settings.durability {
        Durability::Full => directory.display().to_string(),
        Durability::Relaxed => format!("{} (durability relaxed)", directory.display()),
    }
}

fn banner(settings: &Settings, address: SocketAddr, prefixed: Option<&str>) -> String {
    let Settings { account, region, .. } = settings;
    let data = data(settings);
    let sync = prefixed.map_or_else(String::new, |host| {
        let port = address.port();
        format!("  sync       http://{host}:{port}, where SDKs can put \"sync-\" before the host for two operations\n")
    });
    format!(
        "Stepwright {version}: the AWS Step Functions API

  endpoint   http://{address}
{sync}  data       {data}
  account    {account} in {region}, for requests that name no other

A first state machine, and an execution of it:

  export AWS_ENDPOINT_URL_SFN=http://{address} AWS_REGION={region} AWS_DEFAULT_REGION={region} \\
         AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=any AWS_DISABLE_HOST_PREFIX_INJECTION=true
  aws stepfunctions create-state-machine --name hello --role-arn arn:aws:iam::{account}:role/any \\
      --definition '{{\"StartAt\": \"Hello\", \"States\": {{\"Hello\": {{\"Type\": \"Pass\", \"Result\": \"world\", \"End\": true}}}}}}'
  aws stepfunctions start-execution --state-machine-arn {machine}

",
        version = env!("CARGO_PKG_VERSION"),
        machine = format_args!("arn:{}:states:{region}:{account}:stateMachine:hello", stepwright_api::arn::partition_of(region)),
    )
}
