//! `stepwright dev`: finds what a folder holds, serves it, looks for changes, and shows what happens.

mod functions;
mod problems;
mod register;
mod report;
mod view;
mod watch;
mod workers;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use stepwright_functions::{Definitions, guard::Guard};
use stepwright_project::{Options, Project};
use stepwright_store::embedded::{self, EmbeddedStore};
use tokio::sync::mpsc;

use self::{problems::Problems, register::Registered, report::Note, view::Shown, watch::Watch, workers::Workers};
use super::{
    Failure, runtime,
    serve::{Running, Signals, Ways},
};
use crate::{
    config::{self, DEFAULT_FILE, Settings},
    logging,
    sinks::{Seen, Viewer},
};

pub(super) const HELP: &str = "\
Finds NAME.asl.json and NAME.asl.yaml, templates of SAM and CloudFormation, cdk.out and serverless.yml; registers their \
state machines and activities, runs their functions (Python, Node) and the workers of [dev.workers], and registers anew what is saved. A definition with \
mistakes is shown and its last good revision stays. Executions under way stay on the revision that they began with. \
State is kept in DIR/.stepwright. docs/dev.md has the rules.

Examples:
  stepwright dev
  stepwright dev examples/orders --fresh
  stepwright dev --parameter Stage=test --port 0
  stepwright dev --json | jq 'select(.type == \"event\")'";

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// The folder of the project
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Start empty: forget the executions and state machines of earlier runs
    #[arg(long)]
    fresh: bool,
    /// The port of the API (0: any free one) [default: that of the setting `listen`, 8083]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// A parameter of the templates, or an option of Serverless; more than once for several
    #[arg(long, value_name = "NAME=VALUE")]
    parameter: Vec<String>,
    /// Print JSON lines instead of text
    #[arg(long)]
    json: bool,
}

const WAYS: Ways = Ways {
    listen: "--port",
    data_directory: ": one stepwright dev runs in a folder, and a copy of it can have another",
};

/// How long the end waits for what is under way.
const GRACE: Duration = Duration::from_secs(5);
/// How long a file that does not parse may be half-written.
const HALF_WRITTEN: Duration = Duration::from_millis(120);
/// What waits to be printed.
const MOST_SHOWN: usize = 1_024;

pub(super) fn dev(args: &DevArgs) -> Result<(), Failure> {
    if !args.folder.is_dir() {
        let folder = args.folder.display();
        return Err(Failure::Usage(format!("{folder} is not a folder: stepwright dev takes the folder of a project")));
    }
    let parameters = parameters(&args.parameter)?;
    let settings = settings(args, &parameters)?;
    // What matters here is shown; the server's own words only if something is wrong, or if they are asked for.
    let asked = settings.log_level != Settings::default().log_level;
    logging::start(settings.log_format, if asked { &settings.log_level } else { "warn" });
    prepare(args, &settings)?;
    runtime()?.block_on(run(args, &parameters, settings))
}

fn parameters(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    given
        .iter()
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Failure::Usage(format!("--parameter {parameter:?} must be NAME=VALUE, such as Stage=test"))),
        })
        .collect()
}

/// The settings of the folder's configuration file and the environment, as they are now.
fn settings(args: &DevArgs, parameters: &[(String, String)]) -> Result<Settings, Failure> {
    let resolved = config::resolve(&[], std::env::vars_os(), Some(&configuration(&args.folder)));
    let mut settings = resolved.map_err(|error| Failure::Usage(error.to_string()))?.settings;
    settings.functions.folder.clone_from(&args.folder);
    settings.data_directory = state(&args.folder).join("data");
    settings.in_memory = false;
    if let Some(port) = args.port {
        settings.listen.set_port(port);
    }
    settings.dev.parameters.extend(parameters.iter().cloned());
    Ok(settings)
}

/// The configuration file of a folder. Without one of its own it has an empty one: not that of the folder in which the
/// command was given.
pub(super) fn configuration(folder: &Path) -> PathBuf {
    let own = folder.join(DEFAULT_FILE);
    if own.exists() { own } else { PathBuf::from("/dev/null") }
}

/// Where a project's state is.
fn state(folder: &Path) -> PathBuf {
    folder.join(".stepwright")
}

/// Makes the folder of the state, empty if that is wanted.
fn prepare(args: &DevArgs, settings: &Settings) -> Result<(), Failure> {
    let state = state(&args.folder);
    let failed = |error: std::io::Error| {
        Failure::Failed(format!("the state in {} cannot be written: {error}; look at its permissions", state.display()))
    };
    std::fs::create_dir_all(&state).map_err(failed)?;
    // No version control is to see it.
    std::fs::write(state.join(".gitignore"), "*\n").map_err(failed)?;
    if args.fresh && settings.data_directory.exists() {
        if let Err(error @ stepwright_store::Error::Locked { .. }) =
            EmbeddedStore::open(&settings.data_directory, embedded::Options::default())
        {
            return Err(Failure::Failed(format!("{error}; end it before --fresh takes its data away")));
        }
        std::fs::remove_dir_all(&settings.data_directory).map_err(failed)?;
    }
    Ok(())
}

async fn run(args: &DevArgs, parameters: &[(String, String)], settings: Settings) -> Result<(), Failure> {
    // Before anything that a signal could interrupt half-way.
    let mut signals = Signals::new()?;
    let mut watch = Watch::begin(&args.folder).await;
    let mut found = look(args, settings.clone()).await?;

    let (viewer, seen) = Viewer::new();
    // Functions first: executions of an earlier run go on as soon as the engine is open.
    let mut opening = settings.clone();
    opening.functions.definitions.clone_from(&found.functions);
    let mut running = Running::open(&opening, Some(viewer.clone()), &WAYS).await?;
    let (shown, printer) = printer(args)?;
    let looking = tokio::spawn(look_on(seen, shown.clone(), Arc::clone(&running.service)));

    let mut registered = Registered::default();
    let mut problems = Problems::default();
    let mut notes = registered.update(&running.service, &found.project).await;
    notes.extend(problems.notes(&found.project));
    notes.push(Note::ready(&args.folder, running.address, &settings, &found));
    tell(&shown, notes).await;
    let place = workers::Place::new(&args.folder, running.address, &settings);
    let mut workers =
        Workers::new(place, Guard::new(crate::functions::guard(super::functions::guard_program())), shown.clone());
    workers.update(&settings.dev.workers, &[]).await;

    let result = loop {
        tokio::select! {
            _ = signals.next() => break Ok(()),
            ended = running.ended() => break Err(Failure::Failed(format!("the server ended: {ended}"))),
            mut changed = watch.changed() => {
                match reload(args, parameters, &mut watch, &mut changed).await {
                    Ok(mut next) => {
                        if problems::any_error(&next.project) {
                            // A file that cannot be read may still hold those that are missing.
                            for (name, definition) in &found.functions {
                                next.functions.entry(name.clone()).or_insert_with(|| definition.clone());
                            }
                        }
                        let code = functions::with_new_code(&next.functions, &args.folder, &changed);
                        if !code.is_empty() || next.functions != found.functions {
                            running.service.replace_functions(&next.functions, &|name| code.contains(name));
                        }
                        let mut notes = functions::notes(&found.functions, &next.functions, &code);
                        notes.extend(registered.update(&running.service, &next.project).await);
                        notes.extend(problems.notes(&next.project));
                        tell(&shown, notes).await;
                        workers.update(&next.workers, &changed).await;
                        found = next;
                    }
                    Err(failure) => {
                        tell(&shown, problems.of_configuration(failure.to_string())).await;
                    }
                }
            }
        }
    };
    workers.stop().await;
    let left_out = viewer.left_out();
    tell(&shown, vec![Note::Stopping { left_out }]).await;
    let stopped = running.stop(settings.shutdown_grace.min(GRACE)).await;
    drop((shown, viewer));
    // It ends with the last of what there is to look at; a reader of ours that hangs is not waited for.
    let _looked = tokio::time::timeout(GRACE, looking).await;
    let _printed = tokio::time::timeout(GRACE, tokio::task::spawn_blocking(move || printer.join())).await;
    result.and(stopped)
}

/// What a look at the folder found.
struct Found {
    project: Project,
    /// The functions of the configuration and of the project.
    functions: Definitions,
    workers: workers::Commands,
}

/// What a folder holds under these settings.
pub(super) fn project(folder: &Path, settings: &Settings) -> Project {
    let options = Options {
        region: settings.region.clone(),
        account: settings.account.clone(),
        parameters: settings.dev.parameters.clone(),
        substitutions: settings.dev.substitutions.clone(),
        functions: settings.functions.definitions.keys().cloned().collect(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    };
    stepwright_project::find(folder, &options)
}

async fn look(args: &DevArgs, settings: Settings) -> Result<Found, Failure> {
    let folder = args.folder.clone();
    let look = move || {
        let project = project(&folder, &settings);
        let functions = functions::definitions(&folder, &project, settings.functions.definitions)?;
        Ok(Found { project, functions, workers: settings.dev.workers })
    };
    tokio::task::spawn_blocking(look)
        .await
        .unwrap_or_else(|error| Err(Failure::Failed(format!("the folder could not be looked at: {error}"))))
}

/// Looks again. A file with mistakes may be half-written: it is looked at once more before anybody is told, and so is
/// what changed meanwhile.
async fn reload(
    args: &DevArgs,
    parameters: &[(String, String)],
    watch: &mut Watch,
    changed: &mut Vec<PathBuf>,
) -> Result<Found, Failure> {
    let once = async || look(args, settings(args, parameters)?).await;
    let first = once().await;
    match &first {
        Ok(found) if !problems::any_error(&found.project) => first,
        _ => {
            tokio::time::sleep(HALF_WRITTEN).await;
            changed.extend(watch.catch_up().await);
            once().await
        }
    }
}

/// A thread that prints: what reads our output may be slow.
fn printer(args: &DevArgs) -> Result<(mpsc::Sender<Shown>, std::thread::JoinHandle<()>), Failure> {
    let (shown, mut waiting) = mpsc::channel::<Shown>(MOST_SHOWN);
    let json = args.json;
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let print = move || {
        let mut view = view::View::new(json, colours);
        while let Some(next) = waiting.blocking_recv() {
            let mut text = view.text(next);
            // What came meanwhile goes out together.
            while text.len() < 64 << 10
                && let Ok(next) = waiting.try_recv()
            {
                text.push_str(&view.text(next));
            }
            super::print(&text);
        }
    };
    let thread = std::thread::Builder::new().name("dev-view".to_owned()).spawn(print);
    let thread = thread.map_err(|error| Failure::Failed(format!("the process cannot start its threads: {error}")))?;
    Ok((shown, thread))
}

async fn tell(shown: &mpsc::Sender<Shown>, notes: Vec<Note>) {
    for note in notes {
        // Nobody reads any more: there is nobody to tell.
        let _gone = shown.send(Shown::Note(note)).await;
    }
}

/// Hands on what happens to executions and what functions say, until there is nothing more.
async fn look_on(mut seen: mpsc::Receiver<Seen>, shown: mpsc::Sender<Shown>, service: Arc<crate::service::Service>) {
    /// Lines of functions at once.
    const LINES: usize = 500;
    let mut last = 0;
    let stopping = service.stopping();
    let functions = service.functions();
    let service = {
        let weak = Arc::downgrade(&service);
        drop(service);
        weak
    };
    loop {
        tokio::select! {
            next = seen.recv() => match next {
                Some(next) => drop(shown.send(Shown::Seen(next)).await),
                None => return,
            },
            () = functions.said_more(last), if !*stopping.borrow() => {
                // The functions of now: others may have taken the place of those that we listen through.
                let lines = service.upgrade().map(|service| service.functions().log(None, last, LINES));
                let lines = lines.unwrap_or_default();
                last = lines.last().map_or_else(|| last + 1, |line| line.sequence);
                for line in lines {
                    drop(shown.send(Shown::Log(line)).await);
                }
            }
        }
    }
}
