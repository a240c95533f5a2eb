//! The command line: its verbs and their exit codes.
//!
//! stdout is for what a command is asked for, stderr for everything else. Exit codes: 0 done, 1 it failed, 2 it was
//! asked wrongly.

mod backup;
mod check;
mod client;
mod clock;
mod definition_file;
mod dev;
mod eval;
mod execution;
mod functions;
mod graph;
mod history;
mod list;
mod map_run;
mod migrate;
mod mocks;
mod named;
mod progress;
mod quarantine;
mod restore;
mod run;
mod serve;
mod shell;
mod start;
mod terminal;
mod test;
mod validate;
mod visits;

use std::{fmt, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use stepwright_querylang::jsonata::STACK_BYTES;

use crate::config::{Kind, SETTINGS, Setting};

/// The way out of a command that did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// Asked wrongly: exit code 2.
    Usage(String),
    /// It failed: exit code 1.
    Failed(String),
    /// The execution ended otherwise than well, or not in time: the exit code says how.
    Ended(u8, String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) | Self::Ended(_, message) => f.write_str(message),
        }
    }
}

/// AWS Step Functions that you run yourself: the same API, the same language, the same histories, durable.
#[derive(Debug, Parser)]
#[command(name = "stepwright", version, max_term_width = 110, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the AWS Step Functions API on this machine
    #[command(after_long_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Find what a folder holds, serve it, show what happens, and take up what is saved
    #[command(after_help = dev::HELP)]
    Dev(dev::DevArgs),
    /// Run a definition once, show each state as it happens, and print the output
    #[command(after_help = RUN_HELP)]
    Run(run::RunArgs),
    /// Check definitions, and show what is wrong with them and what to do about it
    #[command(after_help = validate::HELP)]
    Validate(validate::ValidateArgs),
    /// Draw a definition or an execution: Mermaid, DOT, SVG
    #[command(after_help = graph::HELP)]
    Graph(graph::GraphArgs),
    /// Start an execution of a state machine
    #[command(after_help = start::HELP)]
    Start(start::StartArgs),
    /// Wait until an execution ends; the exit code says how
    #[command(after_help = execution::WAIT_HELP)]
    Wait(execution::WaitArgs),
    /// Stop an execution
    Stop(execution::StopArgs),
    /// Run an execution on from where it failed
    Redrive(execution::RedriveArgs),
    /// Show an execution, a state machine, an activity or a map run
    Describe(execution::DescribeArgs),
    /// Show what happened in an execution
    #[command(after_help = history::HELP)]
    History(history::HistoryArgs),
    /// List executions, state machines or activities
    #[command(after_help = list::HELP)]
    List(list::ListArgs),
    /// List the activities
    Activities(list::ActivitiesArgs),
    /// Evaluate an expression or a template on an input
    #[command(after_help = eval::HELP)]
    Eval(Box<eval::EvalArgs>),
    /// Rewrite a definition in another query language
    Migrate(migrate::MigrateArgs),
    /// Show how far a map run is: live, until it ends
    #[command(after_help = map_run::HELP)]
    MapRun(map_run::MapRunArgs),
    /// Run the functions of a running server and see what they say
    #[command(after_help = functions::HELP)]
    Functions(functions::FunctionsArgs),
    /// Ends the functions of a server that is killed
    #[command(hide = true)]
    FunctionGuard,
    /// Look after executions that a broken invariant stopped
    #[command(after_help = QUARANTINE_HELP)]
    Quarantine(quarantine::QuarantineArgs),
    /// Test state machines: mocked tasks, no waiting, what is covered
    #[command(after_help = test::HELP)]
    Test(Box<test::TestArgs>),
    /// Make mocked answers of real executions
    Mocks(mocks::MocksArgs),
    /// Show or set what time it is for the executions of a running server
    #[command(after_help = clock::HELP)]
    Clock(clock::ClockArgs),
    /// Take a backup of a running server, or of a data directory whose server is stopped
    #[command(after_help = backup::HELP)]
    Backup(backup::BackupArgs),
    /// Make a data directory of a backup
    #[command(after_help = restore::HELP)]
    Restore(restore::RestoreArgs),
    /// Prove that a data directory is what it must be
    #[command(after_help = check::HELP)]
    Check(check::CheckArgs),
    /// Print the OpenAPI description of the API, the one that a server has at /openapi.json
    Openapi,
    /// Print a script that completes commands in a shell
    #[command(after_help = shell::COMPLETIONS_HELP)]
    Completions(shell::CompletionsArgs),
    /// Print the manual page
    Man(shell::ManArgs),
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Configuration file [default: stepwright.toml in this directory, if there is one]
    #[arg(long, value_name = "FILE", env = "STEPWRIGHT_CONFIG")]
    config: Option<PathBuf>,
}

const SERVE_HELP: &str = "\
Every setting can be given as a flag, as an environment variable or in the file; a flag wins over a variable, a \
variable over the file, the file over the default.

Examples:
  stepwright serve
      The API on http://127.0.0.1:8083, data in ./stepwright-data

  stepwright serve --in-memory --listen 127.0.0.1:0
      A throw-away server on any free port, for tests; the first lines of its output name the port

  STEPWRIGHT_DURABILITY=relaxed stepwright serve --data-directory /var/lib/stepwright
      Variables are the flags in capitals, with STEPWRIGHT_ before them

  stepwright serve --config production.toml
      with a file such as:

          data_directory = \"/var/lib/stepwright\"
          retention_days = 30

          [limits]
          history_events = 100000

          [log]
          format = \"json\"

Use it:
  export AWS_ENDPOINT_URL_SFN=http://127.0.0.1:8083 AWS_DISABLE_HOST_PREFIX_INJECTION=true
  aws stepfunctions list-state-machines

Lambda functions are called at AWS_ENDPOINT_URL_LAMBDA or AWS_ENDPOINT_URL if one is set, else at AWS, signed with \
the credentials that the AWS CLI would use.";

const RUN_HELP: &str = "\
Exit code: 0 the execution succeeded, 1 it failed, timed out or was aborted, 2 the definition or the call is wrong.

Examples:
  stepwright run order.asl.json --input '{\"orderId\": 7}'
  stepwright run order.asl.json --input @order.json --json
  echo '[1, 2, 3]' | stepwright run sum.asl.json --input -
  stepwright run order.asl.json --endpoint http://127.0.0.1:8083
      On a running server, where its activities have their workers";

const QUARANTINE_HELP: &str = "\
When an execution breaks an invariant of Stepwright itself, it is set aside as it was: nothing is lost, and it takes \
nothing in until somebody decides.

Examples:
  stepwright quarantine list
  stepwright quarantine show arn:aws:states:us-east-1:000000000000:execution:order:7
  stepwright quarantine retry arn:…    give it its inputs again, for instance with a newer version of Stepwright
  stepwright quarantine fail arn:…     end it as FAILED";

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match cli.command {
        Command::Serve(args) => {
            let flags = matches.subcommand_matches("serve").map(setting_flags).unwrap_or_default();
            serve::serve(&args, &flags)
        }
        Command::Dev(args) => dev::dev(&args),
        Command::Run(args) => run::run(&args),
        Command::Validate(args) => validate::validate(&args),
        Command::Graph(args) => graph::graph(&args),
        Command::Start(args) => start::start(&args),
        Command::Wait(args) => execution::wait(&args),
        Command::Stop(args) => execution::stop(&args),
        Command::Redrive(args) => execution::redrive(&args),
        Command::Describe(args) => execution::describe(&args),
        Command::History(args) => history::history(&args),
        Command::List(args) => list::list(&args),
        Command::Activities(args) => list::activities(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Eval(args) => eval::eval(&args),
        Command::Migrate(args) => migrate::migrate(&args),
        Command::MapRun(args) => map_run::map_run(&args),
        Command::Functions(args) => functions::functions(&args),
        Command::FunctionGuard => functions::watch(),
        Command::Quarantine(args) => quarantine::quarantine(&args),
        Command::Test(args) => test::test(&args),
        Command::Mocks(args) => mocks::mocks(&args),
        Command::Clock(args) => clock::clock(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => restore::restore(&args),
        Command::Check(args) => check::check(&args),
        Command::Openapi => {
            print(&format!("{:#}\n", stepwright_api::openapi::document(env!("CARGO_PKG_VERSION"))));
            Ok(())
        }
        Command::Version => {
            print(concat!("stepwright ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint(&format!("error: {failure}\n"));
            match failure {
                Failure::Usage(_) => ExitCode::from(2),
                Failure::Failed(_) => ExitCode::from(1),
                Failure::Ended(code, _) => ExitCode::from(code),
            }
        }
    }
}

/// The whole command line: the verbs above, and a flag of `serve` for each setting.
fn command() -> clap::Command {
    Cli::command().mut_subcommand("serve", |serve| serve.args(SETTINGS.iter().map(flag)))
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.value_name)
        .help(format!("{} [default: {}]", setting.help, setting.default))
        .long_help(format!(
            "{} [default: {}] [env: {}] [file: {}]",
            setting.help,
            setting.default,
            setting.variable(),
            setting.key
        ));
    match setting.kind {
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        // Negative numbers are wrong, but it is the setting that says so best.
        Kind::Number => arg.allow_negative_numbers(true),
        Kind::Text | Kind::Table | Kind::Tree => arg,
    }
}

/// The settings given as flags.
fn setting_flags(matches: &ArgMatches) -> Vec<(&'static Setting, String)> {
    SETTINGS
        .iter()
        .filter_map(|setting| matches.get_one::<String>(setting.key).map(|text| (setting, text.clone())))
        .collect()
}

/// Writes to stdout. A reader that went away is no error of ours: `stepwright … | head` shall end quietly.
fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to stderr, likewise.
fn eprint(text: &str) {
    use std::io::Write as _;
    let _closed = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A runtime for a command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(connection_threads(cores))
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("the process cannot start its threads: {error}")))
}

/// Threads that serve connections. They take about five eighths of what a start costs; the engine and the store, which
/// have threads of their own, take the rest. More of them than that only wake each other: on two cores, one instead of
/// two serves an eighth more.
fn connection_threads(cores: usize) -> usize {
    (cores * 5 / 8).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_cores_to_the_engine() {
        assert_eq!([1, 2, 3, 4, 8, 64].map(connection_threads), [1, 1, 1, 2, 5, 40]);
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_setting_is_a_flag_of_serve() {
        let matches = command()
            .try_get_matches_from([
                "stepwright",
                "serve",
                "--in-memory",
                "--limits-history-events",
                "10",
                "--account=1",
            ])
            .expect("flags");
        let flags = setting_flags(matches.subcommand_matches("serve").expect("serve"));
        let flags: Vec<(&str, &str)> = flags.iter().map(|(setting, text)| (setting.key, text.as_str())).collect();
        assert_eq!(flags, [("in_memory", "true"), ("account", "1"), ("limits.history_events", "10")]);
    }

    #[test]
    fn the_help_of_serve_names_flags_variables_keys_and_examples() {
        let help = command().find_subcommand_mut("serve").expect("serve").render_long_help().to_string();
        for part in ["--tasks-on-lost", "STEPWRIGHT_TASKS_ON_LOST", "tasks.on_lost", "Examples:", "--in-memory"] {
            assert!(help.contains(part), "{part} is missing in:\n{help}");
        }
    }
}
