//! The processes of one function: started on demand, at most as many as may run at once, some kept warm.
//!
//! An invocation holds a permit from before it has a process until it has let go of it, so there are never more
//! processes than permits. One that nobody waits for any more runs on to its end, as on AWS; only one that still waits
//! for its permit is forgotten.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::de::IgnoredAny;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    definition::{Definition, Program, Target},
    exchange::{Event, Phase, Reported},
    guard::Guard,
    invocation::{Answer, Fault, Invocation, Outcome, Refusal},
    log::{Log, Stream, now_ms},
    process::{Place, Process},
    url,
};

/// How long a process may take before it asks for its first event; longer if its invocations may.
const INIT: Duration = Duration::from_secs(10);
/// Invocations that may wait for a permit.
const MAX_WAITING: usize = 1_000;
/// Crashes in a row after which starts begin to wait.
const FREE_CRASHES: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a process that was asked to end, or said that it will, may take.
const GRACE: Duration = Duration::from_secs(1);
/// Processes that may be lost before they take one and the same event.
const MAX_LOST: usize = 3;

/// What all functions share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) guard: Arc<Guard>,
    pub(crate) http: url::HttpClient,
}

/// One function.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: Arc<str>,
    pub(crate) definition: Definition,
    pub(crate) log: Arc<Log>,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last one was used last.
    idle: Vec<Idle>,
    live: Vec<Weak<Process>>,
    crashes: u32,
    last_crash: Option<Instant>,
    stopped: bool,
}

#[derive(Debug)]
struct Idle {
    process: Arc<Process>,
    since: Instant,
}

/// How busy a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// Processes that run.
    pub processes: usize,
    /// Those of them that have nothing to do.
    pub idle: usize,
    /// Invocations that wait for others to end.
    pub waiting: usize,
}

/// Waits in a counter.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An invocation under way.
struct Run {
    request_id: Arc<str>,
    invocation: Invocation,
    /// How long its process took to start, if it was started for it.
    init: Option<Duration>,
}

/// How the use of one process ended.
enum Used {
    /// With an outcome.
    Ended(Outcome),
    /// From outside the function's code.
    Failed(Fault),
    /// The process said that it can't start.
    NeverReady(Outcome),
    /// The process is gone, and the function has not seen the event.
    NotTaken,
}

impl Pool {
    pub(crate) fn new(name: Arc<str>, definition: Definition, log: Arc<Log>, shared: Arc<Shared>) -> Self {
        let permits = Arc::new(Semaphore::new(definition.concurrency));
        Self { name, definition, log, shared, permits, waiting: AtomicUsize::new(0), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn busy(&self) -> Busy {
        let mut state = self.state();
        state.live.retain(|process| process.upgrade().is_some_and(|process| process.is_alive()));
        let idle = state.idle.iter().filter(|idle| idle.process.is_alive()).count();
        Busy { processes: state.live.len(), idle, waiting: self.waiting.load(Ordering::Relaxed) }
    }

    /// Runs the function.
    pub(crate) async fn invoke(self: &Arc<Self>, invocation: Invocation) -> Answer {
        let request_id: Arc<str> = uuid::Uuid::new_v4().to_string().into();
        let refused = |refusal| Answer {
            request_id: Arc::clone(&request_id),
            outcome: Outcome::Refused(refusal),
            log_tail: None,
        };
        let permit = match self.permit().await {
            Ok(permit) => permit,
            Err(refusal) => return refused(refusal),
        };
        let (pool, id, tail) = (Arc::clone(self), Arc::clone(&request_id), invocation.log_tail);
        let run = tokio::spawn(async move {
            let run = Run { request_id: id, invocation, init: None };
            let outcome = match &pool.definition.target {
                Target::Process(program) => pool.run(program, run).await,
                Target::Url(uri) => {
                    let pool = &pool;
                    url::invoke(&pool.shared.http, uri, &pool.definition, &pool.name, &run.request_id, run.invocation)
                        .await
                }
            };
            drop(permit);
            outcome
        });
        match run.await {
            Ok(outcome) => {
                let log_tail = tail.then(|| self.log.tail(&request_id));
                Answer { request_id, outcome, log_tail }
            }
            Err(error) => refused(Refusal::Unavailable(format!("the function's process was lost: {error}"))),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if self.state().stopped {
            return Err(Refusal::Unavailable("the server stops".to_owned()));
        }
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waiting(&self.waiting);
        let waited = async {
            if before >= MAX_WAITING {
                return None;
            }
            tokio::time::timeout(self.definition.wait, Arc::clone(&self.permits).acquire_owned()).await.ok()?.ok()
        };
        waited.await.ok_or_else(|| {
            tracing::warn!(
                function = &*self.name,
                concurrency = self.definition.concurrency,
                waited_seconds = self.definition.wait.as_secs_f64(),
                waiting = before,
                "a function was refused: as many invocations of it run as functions.{}.concurrency allows, and \
                 functions.{}.wait is over",
                self.name,
                self.name,
            );
            Refusal::TooManyRequests
        })
    }

    async fn run(&self, program: &Program, mut run: Run) -> Outcome {
        for _ in 0..MAX_LOST {
            let (process, fresh) = match self.take_idle() {
                Some(process) => (process, false),
                None => match self.start(program).await {
                    Ok(process) => (process, true),
                    Err(fault) => return self.failed(&run, &fault, true),
                },
            };
            match self.with_process(&process, fresh, &mut run).await {
                Used::Ended(outcome) => {
                    self.put_back(process);
                    return outcome;
                }
                Used::Failed(fault @ Fault::ResponseTooLarge { .. }) => {
                    self.put_back(process);
                    return self.failed(&run, &fault, false);
                }
                Used::Failed(fault) => return self.failed(&run, &fault, true),
                Used::NeverReady(outcome) => return outcome,
                Used::NotTaken => {}
            }
        }
        self.failed(&run, &Fault::Exited(None), true)
    }

    fn take_idle(&self) -> Option<Arc<Process>> {
        let mut state = self.state();
        std::iter::from_fn(|| state.idle.pop()).map(|idle| idle.process).find(|process| process.is_usable())
    }

    fn put_back(&self, process: Arc<Process>) {
        let mut state = self.state();
        state.crashes = 0;
        if process.is_alive() && !state.stopped {
            state.idle.push(Idle { process, since: Instant::now() });
        }
    }

    async fn start(&self, program: &Program) -> Result<Arc<Process>, Fault> {
        tokio::time::sleep(self.pause()).await;
        let Shared { place, guard, .. } = &*self.shared;
        let started = Process::start(&self.name, &self.definition, program, place, &self.log, guard).await;
        let process = started.map_err(|error| {
            let what = match program {
                Program::Command { arguments, .. } => &arguments[0],
                Program::Python(_) => "python3",
                Program::Node(_) => "node",
            };
            Fault::NotStarted(format!("{what} could not be started in {}: {error}", place.folder.display()))
        })?;
        let mut state = self.state();
        if state.stopped {
            // Dropped here, it is killed.
            return Err(Fault::NotStarted("the server stops".to_owned()));
        }
        state.live.retain(|process| process.strong_count() > 0);
        state.live.push(Arc::downgrade(&process));
        Ok(process)
    }

    /// How long a start has to wait because of those before it.
    fn pause(&self) -> Duration {
        let state = self.state();
        let Some(last) = state.last_crash else { return Duration::ZERO };
        let doublings = match state.crashes.checked_sub(FREE_CRASHES) {
            None | Some(0) => return Duration::ZERO,
            Some(over) => (over - 1).min(16),
        };
        (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE).saturating_sub(last.elapsed())
    }

    /// Hands the event to the process and waits for what comes of it.
    async fn with_process(&self, process: &Arc<Process>, fresh: bool, run: &mut Run) -> Used {
        process.capture.belongs_to(Some(&run.request_id));
        if fresh {
            let began = Instant::now();
            if let Err(used) = self.wait_until_ready(process).await {
                return used;
            }
            run.init = Some(began.elapsed());
            if let Some(interpreter) = process.exchange.interpreter.get() {
                let _once = self.shared.place.python.set(interpreter.into());
            }
        }
        let (timeout, id) = (self.definition.timeout, &run.request_id);
        self.platform(id, format!("START RequestId: {id} Version: $LATEST"));
        let began = Instant::now();
        let (reply, mut replied) = oneshot::channel();
        process.exchange.offer(Event {
            request_id: Arc::clone(id),
            payload: run.invocation.payload.clone(),
            deadline_ms: now_ms() + u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            function_arn: run.invocation.function_arn.clone(),
            trace_id: run.invocation.trace_id.clone(),
            client_context: run.invocation.client_context.clone(),
            reply,
        });
        let used = tokio::select! {
            biased;
            Ok(reported) = &mut replied => used(reported),
            how = process.ended() => match replied.try_recv() {
                Ok(reported) => used(reported),
                Err(_) if process.exchange.take_back() => Used::NotTaken,
                Err(_) => Used::Failed(Fault::Exited(how)),
            },
            () = tokio::time::sleep(timeout) => self.timed_out(process, timeout).await,
        };
        process.capture.belongs_to(None);
        if !matches!(used, Used::NotTaken) {
            let took = began.elapsed().as_secs_f64() * 1_000.0;
            self.platform(id, format!("END RequestId: {id}"));
            let init = run.init.map(|init| format!("\tInit Duration: {:.2} ms", init.as_secs_f64() * 1_000.0));
            self.platform(
                id,
                format!(
                    "REPORT RequestId: {id}\tDuration: {took:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {} MB{}",
                    took.ceil(),
                    self.definition.memory,
                    init.unwrap_or_default(),
                ),
            );
        }
        if let Used::Ended(Outcome::Result(result)) = &used
            && let Err(error) = serde_json::from_slice::<IgnoredAny>(result)
        {
            let begins = String::from_utf8_lossy(&result[..result.len().min(80)]);
            tracing::warn!(
                function = &*self.name, request_id = &**id, %error, %begins,
                "a function's result is not JSON: Step Functions can't use it"
            );
        }
        used
    }

    async fn wait_until_ready(&self, process: &Arc<Process>) -> Result<(), Used> {
        let limit = INIT.max(self.definition.timeout);
        let mut phase = process.exchange.phase();
        let started = async { phase.wait_for(|now| *now != Phase::Starting).await.map(|now| now.clone()) };
        tokio::select! {
            biased;
            Ok(now) = started => match now {
                Phase::Failed(error) => {
                    // It ends by itself now; dropped, it would be killed in the middle of its last words.
                    let _or_it_is_killed = tokio::time::timeout(GRACE, process.ended()).await;
                    let in_a_row = self.crashed();
                    let error_object = String::from_utf8_lossy(&error[..error.len().min(500)]);
                    tracing::warn!(function = &*self.name, in_a_row, %error_object, "a function's process can't start");
                    Err(Used::NeverReady(Outcome::FunctionError(error)))
                }
                Phase::Starting | Phase::Ready => Ok(()),
            },
            how = process.ended() => Err(Used::Failed(Fault::Exited(how))),
            () = tokio::time::sleep(limit) => Err(self.timed_out(process, limit).await),
        }
    }

    async fn timed_out(&self, process: &Process, limit: Duration) -> Used {
        process.exchange.take_back();
        process.kill();
        // What it said until then belongs to the log of this invocation.
        let _stuck = tokio::time::timeout(GRACE, process.ended()).await;
        Used::Failed(Fault::TimedOut(limit))
    }

    fn platform(&self, request_id: &Arc<str>, text: String) {
        self.log.push(Stream::Platform, Some(request_id), text);
    }

    fn crashed(&self) -> u32 {
        let mut state = self.state();
        state.crashes = state.crashes.saturating_add(1);
        state.last_crash = Some(Instant::now());
        state.crashes
    }

    /// The outcome of a fault, told in the log in a way that helps.
    fn failed(&self, run: &Run, fault: &Fault, process_is_gone: bool) -> Outcome {
        let id = &run.request_id;
        let message = fault.message(id);
        // An end by time-out says nothing about the next start.
        let crashes = if process_is_gone && !matches!(fault, Fault::TimedOut(_)) { self.crashed() } else { 0 };
        self.platform(id, message.clone());
        let pause = self.pause();
        tracing::warn!(
            function = &*self.name,
            request_id = &**id,
            error = fault.error_type(),
            last_words = self.log.last_words(id),
            in_a_row = (crashes > 1).then_some(crashes),
            next_start_waits_ms = (!pause.is_zero()).then(|| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
            "{message}"
        );
        fault.outcome(id)
    }

    /// Ends processes that have had nothing to do for long.
    pub(crate) fn tidy(&self) {
        let mut gone = Vec::new();
        let mut state = self.state();
        state.idle.retain(|idle| idle.process.is_alive());
        // The first has waited longest.
        while state.idle.len() > self.definition.warm && state.idle[0].since.elapsed() > self.definition.idle {
            gone.push(state.idle.remove(0).process);
        }
        drop(state);
        for process in gone {
            tokio::spawn(end(process));
        }
    }

    /// Takes no more invocations, and ends all processes.
    pub(crate) async fn stop(&self) {
        let live: Vec<Arc<Process>> = {
            let mut state = self.state();
            state.stopped = true;
            state.idle.clear();
            state.live.drain(..).filter_map(|process| process.upgrade()).collect()
        };
        let ends: Vec<_> = live.into_iter().map(|process| tokio::spawn(end(process))).collect();
        for ended in ends {
            let _panicked = ended.await;
        }
    }
}

/// Asks a process to end, and sees to it.
async fn end(process: Arc<Process>) {
    process.terminate();
    if tokio::time::timeout(GRACE, process.ended()).await.is_err() {
        process.kill();
        let _stuck = tokio::time::timeout(GRACE, process.ended()).await;
    }
}

fn used(reported: Reported) -> Used {
    match reported {
        Reported::Result(result) => Used::Ended(Outcome::Result(result)),
        Reported::Error(error) => Used::Ended(Outcome::FunctionError(error)),
        Reported::TooLarge { bytes, limit } => Used::Failed(Fault::ResponseTooLarge { bytes, limit }),
    }
}

/// An event: what is sent without any is an empty object.
pub(crate) fn event(payload: Bytes) -> Result<Bytes, Refusal> {
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<IgnoredAny>(&payload) {
        Ok(_) => Ok(payload),
        Err(error) => Err(Refusal::InvalidContent(format!("Could not parse request body into json: {error}"))),
    }
}
