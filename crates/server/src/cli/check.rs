//! `stepwright check`: whether a data directory is what it must be. It changes nothing.

use std::{
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use stepwright_engine::check::{Finding, Progress, Report, Rule};
use stepwright_store::inspect::{self, LogSummary};

use super::{Failure, backup::failed, eprint, print};
use crate::definitions;

pub(super) const HELP: &str = "\
For the directory of a server that is stopped, or one that a backup was restored to. Reads everything, changes nothing.

Every record of the log has its checksum and its place, every row of every table can be read, and the inputs that each \
execution took are given to the interpreter again: they must lead to the same events, payloads and frames. Timers, \
tasks, names and lists must belong to the executions, and the other way round.

Exit code: 0 nothing is wrong, 1 something is, or the directory cannot be read.

Examples:
  stepwright check --data-directory /var/lib/stepwright
  stepwright check --data-directory /var/lib/stepwright --json > check.json";

/// Findings shown as text; all that were kept are in the JSON.
const SHOWN: usize = 50;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data_directory: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let began = Instant::now();
    // First the lock: a log that grows meanwhile cannot be judged.
    let store = inspect::open(&args.data_directory).map_err(failed)?;
    let log = inspect::summarize_log(&args.data_directory).map_err(failed)?;
    if log.records > 0 {
        eprint(&format!("log: {} records, {} bytes\n", log.records, log.bytes));
    }
    let mut said = Instant::now();
    let mut progress = |progress: Progress| {
        if said.elapsed() >= Duration::from_secs(1) {
            said = Instant::now();
            eprint(&format!("{} executions, {} turns\n", progress.executions, progress.turns));
        }
    };
    // Damaged rows may break the interpreter, which is then reported as a finding. The process's own panics are none.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let report = stepwright_engine::check::check(&store, definitions::compile, &mut progress);
    std::panic::set_hook(hook);
    let report = report.map_err(|error| Failure::Failed(error.to_string()))?;
    let seconds = began.elapsed().as_secs_f64();
    print(&if args.json { as_json(&log, &report, seconds) } else { as_text(&log, &report, seconds) });
    match report.total_findings() {
        0 => Ok(()),
        findings => {
            let plural = if findings == 1 { "" } else { "s" };
            Err(Failure::Failed(format!(
                "{}: {findings} finding{plural}; a backup from before the damage can be restored with `stepwright restore`",
                args.data_directory.display()
            )))
        }
    }
}

fn as_text(log: &LogSummary, report: &Report, seconds: f64) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:<12} {:>12} {:>15}", "table", "rows", "bytes");
    for count in report.tables.iter().filter(|count| count.rows > 0) {
        let _ = writeln!(text, "{:<12} {:>12} {:>15}", format!("{:?}", count.table), count.rows, count.bytes);
    }
    let _ = writeln!(text, "\n{:<12} {:>12} {:>10} {:>10}  what must hold", "rule", "checked", "findings", "skipped");
    let _ = writeln!(
        text,
        "{:<12} {:>12} {:>10} {:>10}  every record of the log has its checksum and its number",
        "log", log.records, 0, 0
    );
    for &rule in Rule::ALL {
        let count = report.rule(rule);
        let _ = writeln!(
            text,
            "{:<12} {:>12} {:>10} {:>10}  {}",
            rule.title(),
            count.checked,
            count.findings,
            count.skipped,
            rule.says()
        );
    }
    let _ = writeln!(text, "\n{} executions, {} turns, {seconds:.1} s", report.executions, report.turns);
    if let Some((file, offset)) = &log.torn {
        let _ = writeln!(
            text,
            "{}: the remains of a batch that was never acknowledged begin at byte {offset}; the next start cuts them",
            file.display()
        );
    }
    if !report.findings.is_empty() {
        text.push('\n');
    }
    for finding in report.findings.iter().take(SHOWN) {
        let _ = writeln!(text, "{}", tamed(&finding.to_string()));
    }
    let more = report.total_findings().saturating_sub(SHOWN as u64);
    if more > 0 {
        let _ = writeln!(text, "and {more} more; --json shows up to a thousand");
    }
    text
}

/// On one line, without control characters: what a workflow carries shall not write on the terminal as it likes.
fn tamed(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn as_json(log: &LogSummary, report: &Report, seconds: f64) -> String {
    let tables: Vec<Value> = report
        .tables
        .iter()
        .map(|count| json!({"table": format!("{:?}", count.table), "rows": count.rows, "bytes": count.bytes}))
        .collect();
    let rules: Vec<Value> = Rule::ALL
        .iter()
        .map(|&rule| {
            let count = report.rule(rule);
            json!({"rule": rule.title(), "holds": rule.says(), "checked": count.checked, "findings": count.findings, "skipped": count.skipped})
        })
        .collect();
    let findings: Vec<Value> = report.findings.iter().map(finding).collect();
    let shown = json!({
        "executions": report.executions,
        "turns": report.turns,
        "seconds": (seconds * 1_000.0).round() / 1_000.0,
        "log": {
            "records": log.records,
            "bytes": log.bytes,
            "first": log.range.map(|(first, _)| first),
            "last": log.range.map(|(_, last)| last),
            "tornTail": log.torn.as_ref().map(|(file, offset)| json!({"file": file.display().to_string(), "offset": offset})),
        },
        "tables": tables,
        "rules": rules,
        "totalFindings": report.total_findings(),
        "findings": findings,
    });
    format!("{shown:#}\n")
}

fn finding(finding: &Finding) -> Value {
    let hex: String = finding.key.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "rule": finding.rule.title(),
        "table": format!("{:?}", finding.table),
        "key": finding.shown_key(),
        "keyBytes": hex,
        "executionArn": finding.execution.as_deref(),
        "expected": finding.expected,
        "found": finding.found,
    })
}
