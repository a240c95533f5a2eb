//! `cargo xtask prove kill`: the real binary under kill -9 at random moments, with work under way the whole time.
//!
//! Everything that the server acknowledged is noted outside of it, in a [`Ledger`]; after the last kill every
//! execution must close as prescribed, and its history must agree with the notes. This module only starts, kills and
//! counts: what runs is in `workload.rs`, the stand-in for Lambda in `lambda.rs`, what must hold in `check.rs`. It must
//! never forgive a complaint.

mod check;
mod lambda;
mod workload;

use crate::process::{Server, free_port};
use crate::workspace::{server_binary, target};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long after the last kill the last execution may close. Tasks lost by a kill wait for their time-out, again and
/// again if more than one kill hit them.
const TAIL: Duration = Duration::from_secs(120);
/// Complaints that are printed; there may be one for every execution.
const SHOWN: usize = 20;

/// How much is killed.
#[derive(Clone, clap::Args)]
pub(crate) struct Options {
    /// How often the server is killed
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Executions, started as long as it is killed
    #[arg(long, default_value_t = 2_000)]
    executions: usize,
    /// Decides the moments of the kills and what takes how long; one is chosen and printed if none is given
    #[arg(long)]
    seed: Option<u64>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

impl Options {
    /// As `cargo xtask test` runs it.
    pub(crate) fn bounded() -> Self {
        Self { kills: 5, executions: 200, seed: None, json: false }
    }
}

/// Seconds since 1970, as timestamps of the API have them.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Enough randomness to spread moments: xorshift.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// A start that was acknowledged.
struct Start {
    number: usize,
    arn: String,
    /// `startDate` as it was acknowledged; none if it was acknowledged by `ExecutionAlreadyExists`.
    date: Option<f64>,
}

/// An activity task as a worker saw it.
struct Handed {
    token: String,
    key: String,
    attempt: u64,
    /// Only this answer holds it.
    nonce: String,
    failure: Option<&'static str>,
    /// Whether a request with the answer got no reply.
    unknown: bool,
    /// The reply to the answer, in the end; none while there is none.
    reply: Option<Reply>,
}

#[derive(PartialEq)]
enum Reply {
    Acknowledged,
    /// The task is gone: it had timed out, or the answer had arrived before.
    Gone,
}

/// A request at the Lambda stand-in.
struct Call {
    key: String,
    attempt: u64,
    nonce: String,
    failure: Option<&'static str>,
    /// When the answer was written to a connection that was open.
    answered: Option<f64>,
}

/// What happened outside of the server, noted by those to whom it happened.
#[derive(Default)]
struct Ledger {
    starts: Mutex<Vec<Start>>,
    handed: Mutex<Vec<Handed>>,
    calls: Mutex<Vec<Call>>,
    complaints: Mutex<Vec<String>>,
    nonces: AtomicU64,
    /// Starts that got no reply and were sent again.
    starts_unknown: AtomicUsize,
    /// Starts that were sent again although they had been acknowledged.
    starts_repeated: AtomicUsize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    fn nonce(&self) -> String {
        format!("answer-{:07}", self.nonces.fetch_add(1, Ordering::Relaxed))
    }

    fn complain(&self, complaint: String) {
        locked(&self.complaints).push(complaint);
    }
}

/// The server, its generations, and when each was killed.
struct Victim {
    server: Server,
    binary: PathBuf,
    home: PathBuf,
    port: u16,
    lambda: String,
    kills: Vec<f64>,
    restarts: Vec<Duration>,
}

impl Victim {
    fn log(home: &Path, generation: usize) -> PathBuf {
        home.join(format!("server-{generation:03}.log"))
    }

    fn launch(binary: &Path, home: &Path, port: u16, generation: usize, lambda: &str) -> Result<Server> {
        let mut command = Command::new(binary);
        command.env("AWS_ENDPOINT_URL_LAMBDA", lambda);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        Server::launch(&mut command, &home.join("data"), port, &Self::log(home, generation), &[])
    }

    fn start(lambda: String) -> Result<Self> {
        let (binary, home, port) = (server_binary()?, target().join("prove-kill"), free_port(0)?);
        if home.exists() {
            std::fs::remove_dir_all(&home)?;
        }
        std::fs::create_dir_all(&home)?;
        let server = Self::launch(&binary, &home, port, 0, &lambda)?;
        Ok(Self { server, binary, home, port, lambda, kills: Vec::new(), restarts: Vec::new() })
    }

    fn kill(&mut self) -> Result<()> {
        if let Some(status) = self.server.ended() {
            bail!("the server ended by itself with {status}; its log is in {}", self.home.display());
        }
        self.kills.push(now());
        self.server.kill();
        let begun = Instant::now();
        let generation = self.kills.len();
        self.server = Self::launch(&self.binary, &self.home, self.port, generation, &self.lambda)?;
        self.restarts.push(begun.elapsed());
        Ok(())
    }

    /// What no log of any generation may hold.
    fn look_into_logs(&self, ledger: &Ledger) -> Result<()> {
        for generation in 0..=self.kills.len() {
            let path = Self::log(&self.home, generation);
            let said = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            for line in said.lines().filter(|line| line.contains("panicked") || line.contains(" ERROR ")) {
                ledger.complain(format!("{}: {line}", path.display()));
            }
        }
        Ok(())
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.kills > 0 && options.executions >= options.kills, "at least one execution for each kill");
    let seed = options.seed.unwrap_or_else(|| (now() * 1_000.0) as u64);
    eprintln!("{} kills, {} executions, seed {seed}", options.kills, options.executions);
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let stand_in = lambda::StandIn::bind()?;
    let mut victim = Victim::start(stand_in.endpoint())?;
    let workload = workload::Workload::create(&mut victim.server.client(), options.executions)?;
    let (begun, address) = (Instant::now(), victim.server.address);
    let found = std::thread::scope(|scope| -> Result<check::Found> {
        scope.spawn(|| stand_in.serve(scope, &ledger, &stop));
        workload.spawn(scope, address, &ledger, &stop, seed);
        let result = kill_and_settle(options, &mut victim, &workload, &ledger, seed)
            .and_then(|()| check::everything(&mut victim.server.client(), &workload, &ledger, &victim.kills));
        stop.store(true, Ordering::Relaxed);
        workload.release();
        // Ends the long polls of the workers.
        victim.server.stop();
        stand_in.wake();
        result
    })?;
    victim.look_into_logs(&ledger)?;
    report(options, seed, begun.elapsed(), &victim, &ledger, &found);
    let complaints = locked(&ledger.complaints);
    for complaint in complaints.iter().take(SHOWN) {
        println!("COMPLAINT: {complaint}");
    }
    ensure!(
        complaints.is_empty(),
        "{} complaints (seed {seed}); data and logs are kept in {}",
        complaints.len(),
        victim.home.display()
    );
    std::fs::remove_dir_all(&victim.home)?;
    Ok(())
}

/// Kills as often as asked, each time with executions under way, and waits until the last one has closed.
fn kill_and_settle(
    options: &Options,
    victim: &mut Victim,
    workload: &workload::Workload,
    ledger: &Ledger,
    seed: u64,
) -> Result<()> {
    let mut dice = Dice::new(seed);
    for kill in 0..options.kills {
        let before = locked(&ledger.starts).len();
        workload.allow(options.executions * (kill + 1) / options.kills);
        std::thread::sleep(dice.millis(200, 1_600));
        let patience = Instant::now() + Duration::from_secs(60);
        while locked(&ledger.starts).len() == before {
            ensure!(Instant::now() < patience, "no start was acknowledged within 60 s of a restart");
            std::thread::sleep(Duration::from_millis(2));
        }
        victim.kill()?;
        if (kill + 1) % 10 == 0 {
            eprintln!("{} kills, {} starts acknowledged", kill + 1, locked(&ledger.starts).len());
        }
    }
    let patience = Instant::now() + TAIL;
    let mut client = victim.server.client();
    loop {
        let acknowledged = locked(&ledger.starts).len();
        let running = workload.list(&mut client, Some("RUNNING"))?.len();
        if acknowledged == options.executions && running == 0 {
            return Ok(());
        }
        ensure!(
            Instant::now() < patience,
            "{} s after the last kill {acknowledged} of {} starts are acknowledged and {running} executions run; \
             the server at {} is stopped, its data is kept in {}",
            TAIL.as_secs(),
            options.executions,
            victim.server.endpoint(),
            victim.home.display()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn report(options: &Options, seed: u64, took: Duration, victim: &Victim, ledger: &Ledger, found: &check::Found) {
    let mut restarts: Vec<f64> = victim.restarts.iter().map(|time| time.as_secs_f64() * 1_000.0).collect();
    restarts.sort_by(f64::total_cmp);
    let mut running: Vec<usize> = victim.kills.iter().map(|kill| found.running_at(*kill)).collect();
    running.sort_unstable();
    let middle = restarts.len() / 2;
    let (handed, calls) = (locked(&ledger.handed), locked(&ledger.calls));
    let acknowledged = handed.iter().filter(|task| task.reply == Some(Reply::Acknowledged)).count();
    let unknown = handed.iter().filter(|task| task.unknown).count();
    let figures = [
        ("kills", json!(victim.kills.len())),
        ("executions running at a kill, least", json!(running.first())),
        ("executions running at a kill, median", json!(running.get(middle))),
        ("restart, median ms", json!(restarts.get(middle).map(|ms| ms.round()))),
        ("restart, slowest ms", json!(restarts.last().map(|ms| ms.round()))),
        ("starts acknowledged", json!(locked(&ledger.starts).len())),
        ("starts without a reply, sent again", json!(ledger.starts_unknown.load(Ordering::Relaxed))),
        ("starts sent again though acknowledged", json!(ledger.starts_repeated.load(Ordering::Relaxed))),
        ("executions succeeded as prescribed", json!(found.succeeded)),
        ("executions failed as prescribed", json!(found.failed)),
        ("activity tasks handed out", json!(handed.len())),
        ("activity answers acknowledged", json!(acknowledged)),
        ("activity answers without a reply, sent again", json!(unknown)),
        ("activity tasks lost in hand-over, timed out and retried", json!(found.timed_out)),
        ("Lambda requests", json!(calls.len())),
        ("Lambda requests lost by a kill, failed and retried", json!(found.lost_calls)),
        ("of these, answered but cut off, latest ms before the kill", json!(found.latest_cut_ms)),
        ("of the tasks, lost in hand-over at most ms before the kill", json!(found.latest_lost_ms)),
        ("histories checked", json!(found.histories)),
        ("events checked", json!(found.events)),
        ("complaints", json!(locked(&ledger.complaints).len())),
        ("seconds", json!(took.as_secs_f64().round())),
    ];
    if options.json {
        let mut object: serde_json::Map<String, Value> =
            figures.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        object.insert("seed".to_string(), json!(seed));
        println!("{}", Value::Object(object));
        return;
    }
    for (name, value) in figures {
        println!("{name:60} {value:>10}");
    }
}
