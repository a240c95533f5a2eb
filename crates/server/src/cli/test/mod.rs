//! `stepwright test`: runs test files, each test on an engine of its own in memory, whose clock skips.

mod machines;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::Value;
use stepwright_testing::{
    coverage::{self, Coverage},
    judge::judge,
    mocks::{Case, MockConfig},
    report::{self, Tested, Verdict},
    run::{self, Machine, Ran},
    suite::{Test, TestFile},
};

use self::machines::Machines;
use super::{Failure, eprint, print, runtime};
use crate::definitions;

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Test files, or folders in which all *.test.json, *.test.yaml and *.test.yml are run
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Run only tests whose names hold this text
    #[arg(long, short, value_name = "TEXT")]
    filter: Option<String>,
    /// Tests at once [default: as many as there are cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    jobs: Option<u16>,
    /// Seconds of real time after which a test is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Show tests that passed, too
    #[arg(long, short)]
    verbose: bool,
    /// Print the results as TAP
    #[arg(long, conflicts_with = "json")]
    tap: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Write the results as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print what the tests cover: states, Choice rules, retriers, catchers
    #[arg(long)]
    coverage: bool,
    /// Write what the tests cover as JSON
    #[arg(long, value_name = "FILE")]
    coverage_json: Option<PathBuf>,
    /// Write what the tests cover as a picture; with several definitions, FILE-NAME.svg for each
    #[arg(long, value_name = "FILE")]
    coverage_svg: Option<PathBuf>,
}

pub(super) const HELP: &str = "\
Exit code: 0 all tests passed, 1 some did not, 2 there are none, or a file is wrong.

A test file, order.test.yaml beside order.asl.json:
  tests:
    - name: a declined card is told to the customer
      input: {orderId: 7}
      mocks:
        Charge: {Throw: {Error: CardDeclined}}
        Notify: {Return: {sent: true}}
      expect:
        status: SUCCEEDED
        path: [Charge, Notify]
        output: {$subset: {sent: true}}

With `machine: NAME` it tests a state machine of the project in its folder, as stepwright dev finds it.

Examples:
  stepwright test
  stepwright test workflows --junit results.xml --coverage
  stepwright test order.test.yaml --filter declined --verbose";

/// A file, ready to run.
struct Ready {
    name: String,
    machine: Arc<Machine>,
    /// Its definition's file; a machine of a project has the folder and its name.
    definition: PathBuf,
    config: Option<Arc<MockConfig>>,
    tests: Vec<Test>,
}

/// A test that is to run.
struct Job {
    file: usize,
    test: usize,
    mocks: Case,
}

pub(super) fn test(args: &TestArgs) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut files = Vec::new();
    for path in &args.paths {
        if !path.exists() {
            return Err(Failure::Usage(format!("{} is not there", path.display())));
        }
        find(path, true, &mut files)?;
    }
    files.sort();
    files.dedup();
    let mut machines = Machines::default();
    let ready = files.iter().map(|file| read(file, &mut machines)).collect::<Result<Vec<_>, _>>()?;
    let jobs = jobs(&ready, args.filter.as_deref())?;
    if jobs.is_empty() {
        let places: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
        let rule = "a test file is called NAME.test.json, NAME.test.yaml or NAME.test.yml";
        return Err(Failure::Usage(format!("there are no tests to run in {}; {rule}", places.join(", "))));
    }
    let (results, coverages) = run_all(args, &ready, &jobs)?;
    let seconds = begun.elapsed().as_secs_f64();
    if args.json {
        print(&format!("{:#}\n", report::json(&results, seconds)));
    } else if args.tap {
        print(&report::tap(&results));
    } else {
        print(&report::text(&results, seconds, args.verbose));
    }
    if let Some(file) = &args.junit {
        write(file, &report::junit(&results))?;
    }
    show_coverage(args, &coverages)?;
    match results.iter().filter(|result| !result.passed()).count() {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!("{failed} of {} tests did not pass", results.len()))),
    }
}

/// Test files in a folder, at any depth; hidden folders and those of tools are left out.
fn find(path: &Path, named: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::Usage(format!("{} cannot be read: {error}", path.display()));
    if !path.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if named || [".test.json", ".test.yaml", ".test.yml"].iter().any(|end| name.ends_with(end)) {
            found.push(path.to_path_buf());
        }
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(unreadable)?;
        // A link to a folder may lead back here.
        if name.starts_with('.')
            || name == "node_modules"
            || name == "target"
            || (kind.is_symlink() && entry.path().is_dir())
        {
            continue;
        }
        find(&entry.path(), false, found)?;
    }
    Ok(())
}

/// A file's text as JSON, which YAML becomes.
fn json_of(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::Usage(format!("{name} cannot be read: {error}")))?;
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if !is_yaml {
        return Ok(text);
    }
    let source = stepwright_source::yaml(&text).map_err(|error| {
        let line = text[..error.place.start.min(text.len())].matches('\n').count() + 1;
        Failure::Usage(format!("{name}:{line}: {error}"))
    })?;
    Ok(source.json().to_owned())
}

fn read(file: &Path, machines: &mut Machines) -> Result<Ready, Failure> {
    let name = file.display().to_string();
    let value: Value = serde_json::from_str(&json_of(file)?)
        .map_err(|error| Failure::Usage(format!("{name}:{}: is not JSON: {error}", error.line())))?;
    let tests = TestFile::read(&value).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let (definition, machine) = machines.get(file, &tests.subject)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let config = tests.mock_config.as_ref().map(|config| {
        let path = folder.join(config);
        let wrong = |error| Failure::Usage(format!("{}: {error}", path.display()));
        MockConfig::parse(&json_of(&path)?).map(Arc::new).map_err(wrong)
    });
    Ok(Ready { name, machine, definition, config: config.transpose()?, tests: tests.tests })
}

fn jobs(ready: &[Ready], filter: Option<&str>) -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::new();
    for (file, of_file) in ready.iter().enumerate() {
        for (at, test) in of_file.tests.iter().enumerate() {
            if filter.is_some_and(|filter| !test.name.contains(filter)) {
                continue;
            }
            let mocks = test.mocks(of_file.config.as_deref(), &of_file.machine.name);
            let mocks = mocks.map_err(|error| Failure::Usage(format!("{}: {error}", of_file.name)))?;
            jobs.push(Job { file, test: at, mocks });
        }
    }
    Ok(jobs)
}

/// What each definition's tests cover, by its path.
type Coverages = BTreeMap<PathBuf, Coverage>;

fn run_all(args: &TestArgs, ready: &[Ready], jobs: &[Job]) -> Result<(Vec<Tested>, Coverages), Failure> {
    let runtime = runtime()?;
    let at_once =
        args.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from);
    let covers = args.coverage || args.coverage_json.is_some() || args.coverage_svg.is_some();
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Tested)>> = Mutex::default();
    let coverages: Mutex<Coverages> = Mutex::default();
    let work = || {
        while let Some((at, job)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, jobs.get(at)?)))
        {
            let of_file = &ready[job.file];
            let test = &of_file.tests[job.test];
            let begun = Instant::now();
            let ran = runtime.block_on(run::run(
                &of_file.machine,
                &test.input,
                job.mocks.clone(),
                definitions::compile,
                Duration::from_secs(args.timeout),
            ));
            if let (Ok(ran), true) = (&ran, covers) {
                let mut coverages = coverages.lock().unwrap_or_else(PoisonError::into_inner);
                let coverage = coverages
                    .entry(of_file.definition.clone())
                    .or_insert_with(|| Coverage::new(of_file.machine.definition.clone()));
                coverage.add(&ran.told);
            }
            let tested = tested(of_file, test, ran, begun.elapsed().as_secs_f64());
            results.lock().unwrap_or_else(PoisonError::into_inner).push((at, tested));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once.min(jobs.len()))
            .map(|_| std::thread::Builder::new().stack_size(stepwright_machine::STACK_BYTES).spawn_scoped(scope, work))
            .collect();
        if threads.iter().all(Result::is_err) {
            // No thread but this one.
            work();
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    let results = results.into_iter().map(|(_, tested)| tested).collect();
    Ok((results, coverages.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

fn tested(file: &Ready, test: &Test, ran: Result<Ran, String>, seconds: f64) -> Tested {
    #[expect(clippy::cast_precision_loss, reason = "times of this age of the world fit")]
    let lasted = ran.as_ref().map_or(0.0, |ran| ran.lasted as f64 / 1_000.0);
    let verdict = match ran {
        Err(reason) => Verdict::Broken(reason),
        Ok(ran) => match judge(&file.machine.definition, &test.expect, &ran) {
            None => Verdict::Passed,
            Some(complaint) => Verdict::Failed(Box::new(complaint)),
        },
    };
    Tested { file: file.name.clone(), name: test.name.clone(), seconds, lasted, verdict }
}

fn show_coverage(args: &TestArgs, coverages: &Coverages) -> Result<(), Failure> {
    if args.coverage {
        let rows: Vec<_> = coverages.iter().map(|(path, coverage)| coverage.row(&path.display().to_string())).collect();
        let table = coverage::table(&rows);
        // Beside output for programs, it is for people.
        if args.json || args.tap { eprint(&table) } else { print(&format!("\n{table}")) }
    }
    if let Some(file) = &args.coverage_json {
        let all: Vec<Value> =
            coverages.iter().map(|(path, coverage)| coverage.json(&path.display().to_string())).collect();
        write(file, &format!("{:#}\n", serde_json::json!({"definitions": all})))?;
    }
    if let Some(file) = &args.coverage_svg {
        for (path, coverage) in coverages {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let target = if coverages.len() == 1 {
                file.clone()
            } else {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                let short = name.split('.').next().unwrap_or_default();
                file.with_file_name(format!("{stem}-{short}.svg"))
            };
            write(&target, &coverage.picture(&name))?;
        }
    }
    Ok(())
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", path.display())))
}
