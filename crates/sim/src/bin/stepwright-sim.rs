//! The runner of simulated worlds: seeds on several threads, and what they came to as JSON lines, for `cargo xtask sim`
//! and `cargo xtask prove sim`. The one place of this crate that looks at the machine's clock, to say how fast it is;
//! no world ever hears of it.

use std::{
    cell::RefCell,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use stepwright_sim::{Counts, Failure, Options, Report, Tally, run_seed};

/// As in the server: a third of a world's time was the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After so many complaints nothing new is learned.
const COMPLAINTS: usize = 20;
/// The longest text of a complaint, in characters.
const DETAIL: usize = 400;
/// Between two lines about progress.
const PROGRESS: Duration = Duration::from_secs(2);

const USAGE: &str = "usage: stepwright-sim [--seed FIRST] [--seeds COUNT | --executions COUNT] [--threads N] [--until-complaint] [--trace]";

/// What to run.
struct Plan {
    first: u64,
    seeds: u64,
    executions: u64,
    threads: usize,
    until_complaint: bool,
    trace: bool,
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut plan = Plan { first: 0, seeds: 1, executions: u64::MAX, threads: 1, until_complaint: false, trace: false };
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
            value.parse::<u64>().map_err(|_| format!("{argument} {value}: not a number"))
        };
        match argument.as_str() {
            "--seed" => plan.first = number()?,
            "--seeds" => plan.seeds = number()?,
            "--executions" => (plan.executions, plan.seeds) = (number()?, u64::MAX),
            "--threads" => plan.threads = usize::try_from(number()?).unwrap_or(1).max(1),
            "--until-complaint" => plan.until_complaint = true,
            "--trace" => plan.trace = true,
            _ => return Err(format!("{argument} is not known; {USAGE}")),
        }
    }
    Ok(plan)
}

/// What all threads came to so far.
struct Total {
    next: AtomicU64,
    stop: AtomicBool,
    done: Mutex<Done>,
}

struct Done {
    report: Report,
    complaints: Vec<Value>,
    /// Worlds that were run, those with complaints too.
    seeds: u64,
}

impl Total {
    fn lock(&self) -> std::sync::MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// What the last panic on this thread said.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    std::panic::set_hook(Box::new(|panic| PANIC.set(panic.to_string())));
    let report = Report { tally: Tally::of_nothing(), ..Report::default() };
    let done = Mutex::new(Done { report, complaints: Vec::new(), seeds: 0 });
    let total = Total { next: AtomicU64::new(0), stop: AtomicBool::new(false), done };
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads).map(|_| scope.spawn(|| work(&plan, &total))).collect();
        let mut said = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(20));
            if said.elapsed() >= PROGRESS {
                said = Instant::now();
                say(&json!({"progress": progress(&plan, &total.lock(), begun.elapsed())}));
            }
        }
    });
    let done = total.lock();
    say(&summary(&done, begun.elapsed()));
    if done.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    // Whoever reads may be gone; there is nobody else to tell.
    drop(writeln!(out, "{line}"));
    drop(out.flush());
}

/// Runs worlds until there are none left to run.
fn work(plan: &Plan, total: &Total) {
    let options = Options { trace: plan.trace, ..Options::default() };
    while !total.stop.load(Ordering::Relaxed) {
        let number = total.next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.seeds {
            return;
        }
        let seed = plan.first.wrapping_add(number);
        let ran = catch_unwind(AssertUnwindSafe(|| run_seed(seed, &options)));
        let mut done = total.lock();
        done.seeds += 1;
        match ran {
            Ok(Ok(report)) => done.report.merge(&report),
            Ok(Err(failure)) => done.complaints.push(complaint(&failure, plan.trace)),
            Err(_) => {
                let detail = PANIC.take();
                done.complaints.push(json!({
                    "seed": seed, "checker": "panic", "rule": "no assertion of the production code fails", "detail": detail
                }));
            }
        }
        let enough = done.report.executions >= plan.executions;
        let hopeless = done.complaints.len() >= if plan.until_complaint { 1 } else { COMPLAINTS };
        if enough || hopeless {
            total.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn complaint(failure: &Failure, trace: bool) -> Value {
    if trace {
        for line in &failure.trace {
            eprintln!("  {line}");
        }
    }
    json!({
        "seed": failure.seed,
        "checker": failure.complaint.checker,
        "rule": short(&failure.complaint.expected, trace),
        "detail": short(&failure.complaint.seen, trace),
    })
}

/// A text that fits a few lines, unless everything is asked for.
fn short(text: &str, all: bool) -> String {
    match text.char_indices().nth(DETAIL) {
        Some((end, _)) if !all => format!("{} …", &text[..end]),
        _ => text.to_owned(),
    }
}

fn progress(plan: &Plan, done: &Done, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let (executions, faults) = (done.report.executions, sum(&done.report.tally.faults));
    let share = if plan.executions == u64::MAX {
        done.seeds as f64 / plan.seeds as f64
    } else {
        executions as f64 / plan.executions as f64
    };
    let left = if share > 0.0 { seconds / share - seconds } else { 0.0 };
    format!(
        "{:5.1} %  {executions} executions, {} seeds ({:.1} a second), {faults} faults, {} complaints, {left:.0} s left",
        share * 100.0,
        done.seeds,
        done.seeds as f64 / seconds,
        done.complaints.len(),
    )
}

fn summary(done: &Done, elapsed: Duration) -> Value {
    let report = &done.report;
    let executions: u64 = report.turns_of_executions.values().sum();
    let turns: u64 = report.turns_of_executions.iter().map(|(turns, count)| u64::from(*turns) * count).sum();
    let least_faults = report.faults_of_seeds.keys().next();
    json!({
        "seeds": done.seeds,
        "executions": report.executions,
        "seconds": (elapsed.as_secs_f64() * 10.0).round() / 10.0,
        "turns": {
            "median": report.median_turns(),
            "mean": turns.checked_div(executions).unwrap_or(0),
            "p99": percentile(report, 99),
        },
        "steps": report.tally.steps,
        "leastFaultsOfASeed": least_faults,
        "stateTypes": counts(&report.tally.states),
        "evaluations": counts(&report.tally.evaluations),
        "commands": counts(&report.tally.commands),
        "inputs": counts(&report.tally.inputs),
        "faults": counts(&report.tally.faults),
        "replies": counts(&report.tally.replies),
        "express": counts(&report.tally.express),
        "jobs": counts(&report.tally.jobs),
        "mapRuns": counts(&report.tally.map_runs),
        "ends": counts(&report.endings),
        "complaints": done.complaints,
    })
}

fn percentile(report: &Report, percent: u64) -> u32 {
    let total: u64 = report.turns_of_executions.values().sum();
    let mut so_far = 0;
    for (turns, count) in &report.turns_of_executions {
        so_far += count;
        if so_far * 100 >= total * percent {
            return *turns;
        }
    }
    0
}

fn counts(counts: &Counts) -> Value {
    Value::Object(counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect::<Map<_, _>>())
}

fn sum(counts: &Counts) -> u64 {
    counts.values().sum()
}
