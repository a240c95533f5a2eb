//! `stepwright list` and `stepwright activities`: what a server has, as tables.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    Failure,
    client::{Client, EndpointArgs},
    named::{self, seconds, time},
    print, runtime,
    terminal::{self, Tone, tame, tone_of},
};

pub(super) const HELP: &str = "\
Executions are listed newest first. --json prints AWS's members: executions, stateMachines or activities.

Examples:
  stepwright list executions
      Of all STANDARD state machines
  stepwright list executions --state-machine-arn orders --status-filter FAILED --max-items 100
  stepwright list state-machines --json";

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(subcommand)]
    what: What,
    /// Entries at most; 0 for all
    #[arg(long, global = true, value_name = "N", default_value_t = 50)]
    max_items: usize,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Executions
    Executions {
        /// Of this state machine: its ARN or its name
        #[arg(long, value_name = "MACHINE")]
        state_machine_arn: Option<String>,
        /// Of this map run
        #[arg(long, value_name = "ARN", conflicts_with = "state_machine_arn")]
        map_run_arn: Option<String>,
        /// With this status
        #[arg(long, value_enum, ignore_case = true, value_name = "STATUS")]
        status_filter: Option<Status>,
    },
    /// State machines
    StateMachines,
    /// Activities
    Activities,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
enum Status {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
    PendingRedrive,
}

#[derive(Debug, Args)]
pub(super) struct ActivitiesArgs {
    /// Entries at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    max_items: usize,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// What is listed: AWS's member, and how a row is made of an entry.
struct Kind {
    member: &'static str,
    headings: &'static [&'static str],
    row: fn(&Value) -> Vec<(String, Tone)>,
}

const EXECUTIONS: Kind = Kind {
    member: "executions",
    headings: &["STATUS", "STARTED", "TOOK", "MACHINE", "NAME"],
    row: |entry| {
        let status = text(entry, "status");
        let took = match (entry["startDate"].as_f64(), entry["stopDate"].as_f64()) {
            (Some(start), Some(stop)) => seconds(stop - start),
            _ => "-".to_owned(),
        };
        let tone = tone_of(&status);
        let machine = text(entry, "stateMachineArn").rsplit(":stateMachine:").next().unwrap_or_default().to_owned();
        vec![
            (status, tone),
            (time(&entry["startDate"]), Tone::Plain),
            (took, Tone::Plain),
            (machine, Tone::Plain),
            (text(entry, "name"), Tone::Plain),
        ]
    },
};

const MACHINES: Kind = Kind {
    member: "stateMachines",
    headings: &["NAME", "TYPE", "CREATED", "ARN"],
    row: |entry| {
        vec![
            (text(entry, "name"), Tone::Plain),
            (text(entry, "type"), Tone::Plain),
            (time(&entry["creationDate"]), Tone::Plain),
            (text(entry, "stateMachineArn"), Tone::Faint),
        ]
    },
};

const ACTIVITIES: Kind = Kind {
    member: "activities",
    headings: &["NAME", "CREATED", "ARN"],
    row: |entry| {
        vec![
            (text(entry, "name"), Tone::Plain),
            (time(&entry["creationDate"]), Tone::Plain),
            (text(entry, "activityArn"), Tone::Faint),
        ]
    },
};

fn text(entry: &Value, member: &str) -> String {
    tame(entry[member].as_str().unwrap_or("-"), usize::MAX)
}

pub(super) fn list(args: &ListArgs) -> Result<(), Failure> {
    let client = args.endpoint.client()?;
    let most = (args.max_items > 0).then_some(args.max_items);
    runtime()?.block_on(async {
        let (kind, entries) = match &args.what {
            What::StateMachines => {
                (MACHINES, client.pages("ListStateMachines", &json!({}), MACHINES.member, most).await?)
            }
            What::Activities => {
                (ACTIVITIES, client.pages("ListActivities", &json!({}), ACTIVITIES.member, most).await?)
            }
            What::Executions { state_machine_arn, map_run_arn, status_filter } => {
                let status = status_filter.as_ref().and_then(ValueEnum::to_possible_value);
                let of = match (state_machine_arn, map_run_arn) {
                    (Some(machine), _) => {
                        vec![json!({ "stateMachineArn": named::machine(&client, machine).await? })]
                    }
                    (None, Some(run)) => vec![json!({ "mapRunArn": run })],
                    (None, None) => {
                        let machines = named::standard_machines(&client).await?;
                        machines.into_iter().map(|machine| json!({ "stateMachineArn": machine })).collect()
                    }
                };
                let status = status.map(|status| status.get_name().to_owned());
                (EXECUTIONS, executions(&client, of, status.as_deref(), most).await?)
            }
        };
        show(&kind, &entries, args.json);
        Ok(())
    })
}

/// The newest executions of several places, newest first.
async fn executions(
    client: &Client,
    of: Vec<Value>,
    status: Option<&str>,
    most: Option<usize>,
) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for mut input in of {
        if let Some(status) = status {
            input["statusFilter"] = json!(status);
        }
        found.extend(client.pages("ListExecutions", &input, EXECUTIONS.member, most).await?);
    }
    let started = |entry: &Value| entry["startDate"].as_f64().unwrap_or_default();
    found.sort_by(|a, b| started(b).total_cmp(&started(a)));
    found.truncate(most.unwrap_or(usize::MAX));
    Ok(found)
}

pub(super) fn activities(args: &ActivitiesArgs) -> Result<(), Failure> {
    let client = args.endpoint.client()?;
    let most = (args.max_items > 0).then_some(args.max_items);
    let entries = runtime()?.block_on(client.pages("ListActivities", &json!({}), ACTIVITIES.member, most))?;
    show(&ACTIVITIES, &entries, args.json);
    Ok(())
}

fn show(kind: &Kind, entries: &[Value], as_json: bool) {
    if as_json {
        print(&format!("{:#}\n", json!({ kind.member: entries })));
        return;
    }
    let rows: Vec<_> = entries.iter().map(kind.row).collect();
    print(&terminal::table(kind.headings, &rows, terminal::colours(&std::io::stdout())));
}
