//! All functions of a server: found by name, run, listened to, and ended with it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use crate::{
    definition::{Definition, Definitions},
    guard::{Guard, GuardCommand},
    invocation::{Answer, Invocation},
    log::{Log, LogLine, Sequence},
    pool::{Busy, Pool, Shared},
    process::Place,
    url,
};

/// How often processes with nothing to do are looked after.
const TIDY: Duration = Duration::from_secs(1);

/// Where functions run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that processes start in.
    pub folder: PathBuf,
    /// The region that they are told.
    pub region: String,
    /// The account that they are told.
    pub account: String,
    /// Who ends them if the server is killed. None: nobody.
    pub guard: Option<GuardCommand>,
}

/// The functions.
#[derive(Debug)]
pub struct Functions {
    pools: BTreeMap<Arc<str>, Arc<Pool>>,
    shared: Arc<Shared>,
    sequence: Arc<Sequence>,
}

impl Functions {
    /// Functions that are not running yet. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(definitions: &Definitions, options: Options) -> Arc<Self> {
        let Options { folder, region, account, guard } = options;
        let place = Place { folder, region, account, python: OnceLock::new(), endpoint: OnceLock::new() };
        let shared = Arc::new(Shared { place, guard: Arc::new(Guard::new(guard)), http: url::client() });
        let sequence = Arc::<Sequence>::default();
        let pools = definitions.iter().map(|(name, definition)| {
            let name: Arc<str> = name.as_str().into();
            let log = Arc::new(Log::new(Arc::clone(&name), definition.echo_log, Arc::clone(&sequence)));
            let pool = Pool::new(Arc::clone(&name), definition.clone(), log, Arc::clone(&shared));
            (name, Arc::new(pool))
        });
        let functions = Arc::new(Self { pools: pools.collect(), shared, sequence });
        if !functions.pools.is_empty() {
            tokio::spawn(tidy(Arc::downgrade(&functions)));
        }
        functions
    }

    /// Says where the server is, for processes that are started from now on.
    pub fn serve_at(&self, endpoint: String) {
        let _once = self.shared.place.endpoint.set(endpoint);
    }

    /// Whether there is a function of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.pools.contains_key(name)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Definition, Busy)> {
        self.pools.values().map(|pool| (&*pool.name, &pool.definition, pool.busy()))
    }

    /// The definition of a function.
    #[must_use]
    pub fn definition(&self, name: &str) -> Option<&Definition> {
        self.pools.get(name).map(|pool| &pool.definition)
    }

    /// The ARN of a function here.
    #[must_use]
    pub fn arn(&self, name: &str) -> String {
        let Place { region, account, .. } = &self.shared.place;
        let partition = match region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        format!("arn:{partition}:lambda:{region}:{account}:function:{name}")
    }

    /// Runs a function, if there is one of this name. Dropping the future forgets an invocation that still waits; one
    /// that runs goes on.
    pub async fn invoke(&self, name: &str, invocation: Invocation) -> Option<Answer> {
        let pool = self.pools.get(name)?;
        Some(pool.invoke(invocation).await)
    }

    /// What a function said, or all of them, after the line of this number: the newest lines, so many at most, in the
    /// order of their numbers.
    #[must_use]
    pub fn log(&self, name: Option<&str>, after: u64, at_most: usize) -> Vec<LogLine> {
        let asked = self.pools.values().filter(|pool| name.is_none_or(|name| *pool.name == *name));
        let mut lines: Vec<LogLine> = asked.flat_map(|pool| pool.log.after(after, at_most)).collect();
        lines.sort_by_key(|line| line.sequence);
        lines.drain(..lines.len().saturating_sub(at_most));
        lines
    }

    /// Ends when there is a line after this one.
    pub async fn said_more(&self, after: u64) {
        self.sequence.beyond(after).await;
    }

    /// Takes no more invocations and ends all processes. Returns once they are gone.
    pub async fn stop(&self) {
        let stops: Vec<_> =
            self.pools.values().cloned().map(|pool| tokio::spawn(async move { pool.stop().await })).collect();
        for stopped in stops {
            let _panicked = stopped.await;
        }
    }
}

async fn tidy(functions: Weak<Functions>) {
    loop {
        tokio::time::sleep(TIDY).await;
        let Some(functions) = functions.upgrade() else { return };
        functions.pools.values().for_each(|pool| pool.tidy());
    }
}
