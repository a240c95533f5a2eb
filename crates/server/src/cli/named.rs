//! Which state machine and which execution is meant: an ARN, a name, or the newest one.

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, client::Client};
use crate::excerpt::nearest;

/// An execution.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ExecutionArgs {
    /// The execution: its ARN, its name (with --state-machine-arn), or `last`
    #[arg(value_name = "EXECUTION", required_unless_present = "execution_arn", conflicts_with = "execution_arn")]
    execution: Option<String>,
    /// The same, as the AWS CLI has it
    #[arg(long, value_name = "ARN")]
    execution_arn: Option<String>,
    /// The state machine that a name or `last` is of: its ARN or its name
    #[arg(long, value_name = "MACHINE")]
    state_machine_arn: Option<String>,
}

impl ExecutionArgs {
    /// The ARN.
    pub(super) async fn arn(&self, client: &Client) -> Result<String, Failure> {
        let given =
            self.execution.as_ref().or(self.execution_arn.as_ref()).map(|given| given.trim()).unwrap_or_default();
        execution(client, given, self.state_machine_arn.as_deref()).await
    }
}

/// The ARN of an execution.
pub(super) async fn execution(client: &Client, given: &str, machine: Option<&str>) -> Result<String, Failure> {
    if given.starts_with("arn:") {
        return Ok(given.to_owned());
    }
    let machine = match machine {
        Some(machine) => Some(self::machine(client, machine).await?),
        None => None,
    };
    match (given, machine) {
        ("", _) => Err(Failure::Usage("which execution? Give its ARN, its name or `last`".to_owned())),
        ("last", machine) => last(client, machine).await,
        (name, Some(machine)) => Ok(format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))),
        (name, None) => Err(Failure::Usage(format!(
            "the execution {name:?} is named by its ARN, or by its name together with --state-machine-arn (an ARN or a \
             name); `last` is the newest one"
        ))),
    }
}

/// The newest execution, of a machine or of all.
async fn last(client: &Client, machine: Option<String>) -> Result<String, Failure> {
    let machines = match machine {
        Some(machine) => vec![machine],
        None => standard_machines(client).await?,
    };
    let mut newest: Option<(f64, String)> = None;
    for machine in &machines {
        let input = json!({ "stateMachineArn": machine });
        for found in client.pages("ListExecutions", &input, "executions", Some(1)).await? {
            let started = found["startDate"].as_f64().unwrap_or_default();
            if newest.as_ref().is_none_or(|(at, _)| started > *at) {
                newest = found["executionArn"].as_str().map(|arn| (started, arn.to_owned()));
            }
        }
    }
    newest
        .map(|(_, arn)| arn)
        .ok_or_else(|| Failure::Failed("there is no execution yet: `stepwright start` starts one".to_owned()))
}

/// The ARNs of all STANDARD state machines; EXPRESS ones keep no list of executions.
pub(super) async fn standard_machines(client: &Client) -> Result<Vec<String>, Failure> {
    let machines = client.pages("ListStateMachines", &json!({}), "stateMachines", None).await?;
    let arn = |machine: &Value| machine["stateMachineArn"].as_str().map(str::to_owned);
    Ok(machines.iter().filter(|machine| machine["type"] != "EXPRESS").filter_map(arn).collect())
}

/// The ARN of a state machine.
pub(super) async fn machine(client: &Client, given: &str) -> Result<String, Failure> {
    if given.starts_with("arn:") {
        return Ok(given.to_owned());
    }
    let machines = client.pages("ListStateMachines", &json!({}), "stateMachines", None).await?;
    let name = |machine: &Value| machine["name"].as_str().unwrap_or_default().to_owned();
    if let Some(found) = machines.iter().find(|machine| name(machine) == given) {
        return Ok(found["stateMachineArn"].as_str().unwrap_or_default().to_owned());
    }
    let names: Vec<String> = machines.iter().map(name).collect();
    let near = nearest(given, names.iter().map(String::as_str))
        .map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_else(|| "; `stepwright list state-machines` lists them".to_owned());
    Err(Failure::Failed(format!("there is no state machine {given:?}{near}")))
}

/// A time of the API, in seconds since 1970, as text.
pub(super) fn time(value: &Value) -> String {
    let at =
        value.as_f64().and_then(|seconds| jiff::Timestamp::from_millisecond((seconds * 1_000.0).round() as i64).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// A number of seconds for people.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.0 => "0 ms".to_owned(),
        s if s < 1.0 => format!("{:.0} ms", s * 1_000.0),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_for_people() {
        assert_eq!(time(&json!(1_700_000_000.25)), "2023-11-14T22:13:20.250Z");
        assert_eq!(time(&Value::Null), "-");
        assert_eq!([0.0123, 1.5, 600.0, 9_000.0, 1e6].map(seconds), ["12 ms", "1.5 s", "10 min", "2.5 h", "11.6 d"]);
    }
}
