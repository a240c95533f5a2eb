//! How long JSONata takes, beside the npm `jsonata` on the same machine: the
//! same compiled expressions over the same parsed values.
//!
//!     cargo bench -p stepwright-querylang --bench jsonata                  # all, some minutes
//!     cargo bench -p stepwright-querylang --bench jsonata -- --quick sort  # one, roughly
//!     cargo bench -p stepwright-querylang --bench jsonata -- --json FILE
//!
//! Needs Node 18 with npm, and a registry the first time. Each case is measured
//! in Node and then here, so that both had the machine in the same state; the
//! results must be the same. It fails if the geometric mean of the ratios, or
//! one of them, is below the bound.

mod cases;
mod oracle;

use cases::{Case, cases};
use criterion::Criterion;
use oracle::Oracle;
use serde_json::{Value as Json, json};
use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use stepwright_querylang::jsonata::{Environment, Expression, Value};

/// How many times as fast as the faster npm release: all together, and each.
const LEAST_MEAN: f64 = 10.0;
const LEAST_EACH: f64 = 4.0;

type Failure = Box<dyn std::error::Error>;

/// What is asked for on the command line.
#[derive(Default)]
struct Options {
    quick: bool,
    json: Option<PathBuf>,
    only: Vec<String>,
    /// Cargo runs benchmarks, and not tests.
    measure: bool,
}

impl Options {
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => options.measure = true,
                "--quick" => options.quick = true,
                "--json" => options.json = Some(arguments.next().ok_or("--json takes a file to write")?.into()),
                unknown if unknown.starts_with('-') => {
                    return Err(format!("{unknown}: there are --quick, --json FILE, and parts of names").into());
                }
                _ => options.only.push(argument),
            }
        }
        Ok(options)
    }

    fn time(&self) -> Duration {
        Duration::from_millis(if self.quick { 400 } else { 3_000 })
    }
}

/// Nanoseconds for one evaluation.
struct Row {
    name: &'static str,
    ours: f64,
    /// Of the releases in [`oracle::VERSIONS`].
    npm: [f64; 2],
}

impl Row {
    fn ratio(&self) -> f64 {
        self.npm[0].min(self.npm[1]) / self.ours
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Failure> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut cases = cases();
    cases.retain(|case| options.only.is_empty() || options.only.iter().any(|part| case.name.contains(part)));
    if cases.is_empty() {
        return Err(format!("no case is named like {}", options.only.join(" or ")).into());
    }
    if !options.measure {
        for case in &cases {
            evaluate(case)?;
        }
        println!("{} expressions evaluated once; `cargo bench` measures them", cases.len());
        return Ok(true);
    }
    let mut oracle = Oracle::start()?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("jsonata-criterion");
    let mut criterion = Criterion::default()
        .output_directory(&folder)
        .without_plots()
        .sample_size(if options.quick { 10 } else { 50 })
        .warm_up_time(options.time() / 3)
        .measurement_time(options.time());
    let mut rows = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        eprintln!("{} of {}: {}", number + 1, cases.len(), case.name);
        let expected = evaluate(case)?;
        let mut npm = [0.0; 2];
        for (nanos, version) in npm.iter_mut().zip(oracle::VERSIONS) {
            let measured = oracle.measure(case, version, options.time())?;
            if !same(&measured.result, &expected) {
                return Err(format!(
                    "{}: jsonata {version} answers {}, this one {expected}",
                    case.name, measured.result
                )
                .into());
            }
            *nanos = measured.nanos;
        }
        measure(&mut criterion, case)?;
        let estimates = std::fs::read_to_string(folder.join(case.name).join("new/estimates.json"))?;
        let estimates: Json = serde_json::from_str(&estimates)?;
        let ours = estimates["median"]["point_estimate"].as_f64().ok_or("no median in Criterion's estimates")?;
        rows.push(Row { name: case.name, ours, npm });
    }
    report(&rows, &options)
}

/// Compiles and evaluates once.
fn evaluate(case: &Case) -> Result<Json, Failure> {
    let bindings = case.bindings();
    let environment = Environment { bindings: Some(&*bindings), ..Environment::default() };
    let value = Expression::compile(case.expression)?.evaluate(&case.input_value(), environment)?;
    Ok(value.to_json(1 << 24).map_err(|error| format!("{error:?}"))?.unwrap_or(Json::Null))
}

fn measure(criterion: &mut Criterion, case: &Case) -> Result<(), Failure> {
    let expression = Expression::compile(case.expression)?;
    let input: Value = case.input_value();
    let bindings = case.bindings();
    let environment = Environment { bindings: Some(&*bindings), ..Environment::default() };
    criterion.bench_function(case.name, |bencher| {
        bencher.iter(|| black_box(expression.evaluate(black_box(&input), environment)));
    });
    Ok(())
}

/// Equal, whether numbers are written as integers or not.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.as_f64() == right.as_f64(),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

/// Prints the table; true if the bounds hold.
fn report(rows: &[Row], options: &Options) -> Result<bool, Failure> {
    let micros = |nanos: f64| format!("{:.2} µs", nanos / 1_000.0);
    let [old, new] = oracle::VERSIONS.map(|version| format!("npm {version}"));
    println!("\n{:<28} {:>12} {old:>12} {new:>12} {:>8}", "expression", "here", "ratio");
    for row in rows {
        let [old, new] = row.npm.map(micros);
        println!("{:<28} {:>12} {old:>12} {new:>12} {:>7.1}x", row.name, micros(row.ours), row.ratio());
    }
    let mean = (rows.iter().map(|row| row.ratio().ln()).sum::<f64>() / rows.len() as f64).exp();
    let least = rows.iter().map(Row::ratio).fold(f64::INFINITY, f64::min);
    let holds = mean >= LEAST_MEAN && least >= LEAST_EACH;
    println!(
        "\ngeometric mean {mean:.1}x (bound {LEAST_MEAN}x), least {least:.1}x (bound {LEAST_EACH}x): {}",
        if holds { "holds" } else { "does not hold" }
    );
    if let Some(file) = &options.json {
        let rows: Vec<Json> = rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "nanos": row.ours, "ratio": row.ratio(),
                    "npmNanos": {oracle::VERSIONS[0]: row.npm[0], oracle::VERSIONS[1]: row.npm[1]},
                })
            })
            .collect();
        let report =
            json!({"geometricMean": mean, "least": least, "holds": holds, "quick": options.quick, "rows": rows});
        std::fs::write(file, format!("{report:#}\n"))?;
    }
    Ok(holds)
}
