//! What `stepwright dev` says of the project itself: as text, and as a JSON line.

use std::{net::SocketAddr, path::Path};

use serde_json::{Value, json};

use super::Found;
use crate::config::Settings;

/// Something to be said.
#[derive(Clone, Debug)]
pub(super) enum Note {
    /// The server is there.
    Ready { text: String, json: Value },
    /// A state machine or an activity.
    Registered { kind: &'static str, name: String, what: &'static str },
    /// A function of the project.
    Function { name: String, what: &'static str },
    /// Something about a worker.
    Worker { name: String, what: String },
    /// A line that a worker wrote.
    Said { name: String, text: String },
    /// A mistake, with its excerpt.
    Problem { error: bool, file: Option<String>, line: usize, column: usize, message: String, text: String },
    /// There are no mistakes any more.
    AllRight,
    /// Nothing was found.
    Nothing,
    /// It ends.
    Stopping { left_out: u64 },
}

impl Note {
    /// Where everything is, and what to try next.
    pub(super) fn ready(folder: &Path, address: SocketAddr, settings: &Settings, found: &Found) -> Self {
        let machine = found.project.machines.first().map(|machine| machine.name.as_str());
        let name = machine.unwrap_or("NAME");
        let partition = stepwright_api::arn::partition_of(&settings.region);
        let Settings { region, account, .. } = settings;
        let arn = format!("arn:{partition}:states:{region}:{account}:stateMachine:{name}");
        let endpoint = format!("http://{address}");
        let functions: Vec<&String> = found.functions.keys().collect();
        let mut text = format!("\nserving {} on {endpoint}\n", folder.display());
        if !functions.is_empty() {
            let names: Vec<&str> = functions.iter().map(|name| name.as_str()).collect();
            text.push_str(&format!("functions: {}\n", names.join(", ")));
        }
        if !settings.dev.workers.is_empty() {
            let names: Vec<&str> = settings.dev.workers.keys().map(String::as_str).collect();
            text.push_str(&format!("workers: {}\n", names.join(", ")));
        }
        text.push_str(&format!(
            "try:\n  stepwright start {name} --endpoint {endpoint}\n  aws stepfunctions start-execution \
             --endpoint-url {endpoint} --region {region} --state-machine-arn {arn}\nsave a file to change it, Ctrl-C \
             to end\n\n"
        ));
        let json = json!({
            "type": "ready",
            "endpoint": endpoint,
            "stateMachines": found.project.machines.iter().map(|machine| &machine.name).collect::<Vec<_>>(),
            "activities": found.project.activities,
            "functions": functions,
            "workers": settings.dev.workers.keys().collect::<Vec<_>>(),
        });
        Self::Ready { text, json }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Ready { text, .. } | Self::Problem { text, .. } => text.clone(),
            Self::Registered { kind, name, what } => format!("{kind} {name}: {what}\n"),
            Self::Function { name, what } => format!("function {name}: {what}\n"),
            Self::Worker { name, what } => format!("worker {name}: {what}\n"),
            Self::Said { name, text } => format!("{name}  | {text}\n"),
            Self::AllRight => "no mistakes any more\n".to_owned(),
            Self::Nothing => "nothing found: add a definition NAME.asl.json or NAME.asl.yaml, a template of SAM or \
                                     CloudFormation, cdk.out or serverless.yml\n"
                .to_owned(),
            Self::Stopping { left_out: 0 } => "stopping\n".to_owned(),
            Self::Stopping { left_out } => {
                format!("stopping; {left_out} turns of Express executions came too fast to be shown\n")
            }
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Ready { json, .. } => json.clone(),
            Self::Registered { kind, name, what } => {
                json!({"type": "registered", "kind": kind, "name": name, "what": what})
            }
            Self::Function { name, what } => json!({"type": "function", "name": name, "what": what}),
            Self::Worker { name, what } => json!({"type": "worker", "name": name, "what": what}),
            Self::Said { name, text } => json!({"type": "log", "worker": name, "text": text}),
            Self::Problem { error, file, line, column, message, .. } => json!({
                "type": "problem",
                "severity": if *error { "error" } else { "warning" },
                "file": file,
                "line": line,
                "column": column,
                "message": message,
            }),
            Self::AllRight => json!({"type": "right"}),
            Self::Nothing => json!({"type": "nothing"}),
            Self::Stopping { left_out } => json!({"type": "stopping", "leftOut": left_out}),
        }
    }

    /// Whether it is bad news; none: it is no news.
    pub(super) fn is_bad(&self) -> Option<bool> {
        match self {
            Self::Problem { error: true, .. } => Some(true),
            Self::AllRight => Some(false),
            _ => None,
        }
    }
}
