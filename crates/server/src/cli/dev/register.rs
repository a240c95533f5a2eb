//! The state machines and activities of a project on the server of this process: created, updated, or left as they are.

use std::collections::BTreeMap;

use stepwright_api::{
    ApiError, ErrorCode, Operations as _, RequestContext,
    arn::StateMachineArn,
    types::{
        CreateActivityInput, CreateStateMachineInput, DescribeStateMachineInput, StateMachineType,
        UpdateStateMachineInput,
    },
};
use stepwright_project::{Machine, MachineType, Project};

use super::{problems, report::Note};
use crate::{operations::Call, service::Service};

/// What is registered of a project.
#[derive(Default)]
pub(super) struct Registered {
    /// The machines of the last look, and whether it was said of them that they are gone.
    machines: BTreeMap<String, bool>,
    activities: Vec<String>,
    refused: BTreeMap<String, String>,
}

/// What became of a machine.
enum Became {
    Created,
    Updated,
    Unchanged,
}

impl Registered {
    /// Registers what is not as it should be. What has mistakes stays as it was, and so does what is gone.
    pub(super) async fn update(&mut self, service: &Service, project: &Project) -> Vec<Note> {
        let mut notes = Vec::new();
        for name in &project.activities {
            if self.activities.contains(name) {
                continue;
            }
            match create_activity(service, name).await {
                Ok(()) => {
                    self.activities.push(name.clone());
                    notes.push(Note::Registered { kind: "activity", name: name.clone(), what: "registered" });
                }
                Err(error) => notes.extend(self.refusal(name, "activity", &error)),
            }
        }
        for machine in &project.machines {
            let is_new = self.machines.insert(machine.name.clone(), false).is_none();
            if !problems::is_right(machine) {
                continue;
            }
            match register(service, machine).await {
                Ok(became) => {
                    self.refused.remove(&machine.name);
                    let what = match became {
                        Became::Created => "registered",
                        Became::Updated if is_new => "registered: its definition changed since the last run",
                        Became::Updated => "updated: the next start uses it",
                        Became::Unchanged if is_new => "registered: as in the last run",
                        Became::Unchanged => continue,
                    };
                    notes.push(Note::Registered { kind: "state machine", name: machine.name.clone(), what });
                }
                Err(error) => notes.extend(self.refusal(&machine.name, "state machine", &error)),
            }
        }
        // A file that cannot be read may still hold those that are missing.
        if !problems::any_error(project) {
            for (name, told) in &mut self.machines {
                if !*told && !project.machines.iter().any(|machine| machine.name == *name) {
                    *told = true;
                    let what = "no longer in the folder; it is kept until you delete it or start with --fresh";
                    notes.push(Note::Registered { kind: "state machine", name: name.clone(), what });
                }
            }
        }
        notes
    }

    fn refusal(&mut self, name: &str, kind: &str, error: &ApiError) -> Option<Note> {
        let message = format!("the {kind} {name:?} was refused: {}", error.message);
        let said = self.refused.insert(name.to_owned(), message.clone());
        let text = format!("error: {message}\n");
        (said.as_ref() != Some(&message)).then_some(Note::Problem {
            error: true,
            file: None,
            line: 0,
            column: 0,
            message,
            text,
        })
    }
}

fn context(service: &Service) -> RequestContext {
    let settings = service.settings();
    RequestContext {
        region: settings.region.clone(),
        account: settings.account.clone(),
        request_id: crate::ids::random_uuid(),
        trace_header: None,
    }
}

async fn create_activity(service: &Service, name: &str) -> Result<(), ApiError> {
    let input = CreateActivityInput::new(name.to_owned());
    Call::new(service).create_activity(&context(service), input).await.map(drop)
}

async fn register(service: &Service, machine: &Machine) -> Result<Became, ApiError> {
    let call = Call::new(service);
    let context = context(service);
    let definition = machine.definition.json();
    let arn = StateMachineArn::new(context.scope(), machine.name.as_str()).to_string();
    let wanted = match machine.machine_type {
        MachineType::Standard => StateMachineType::Standard,
        MachineType::Express => StateMachineType::Express,
    };
    match call.describe_state_machine(&context, DescribeStateMachineInput::new(arn.clone())).await {
        Ok(known) if known.r#type != wanted => Err(ApiError::new(
            ErrorCode::ValidationException,
            format!(
                "it is of type {} on the server, and a type cannot change: delete it there, or start with --fresh",
                known.r#type.as_str()
            ),
        )),
        Ok(known) if known.definition == definition => Ok(Became::Unchanged),
        Ok(_) => {
            let mut input = UpdateStateMachineInput::new(arn);
            input.definition = Some(definition.to_owned());
            call.update_state_machine(&context, input).await.map(|_| Became::Updated)
        }
        Err(_) => {
            let role = format!("arn:aws:iam::{}:role/stepwright-dev", context.account);
            let mut input = CreateStateMachineInput::new(machine.name.clone(), definition.to_owned(), role);
            input.r#type = Some(wanted);
            call.create_state_machine(&context, input).await.map(|_| Became::Created)
        }
    }
}
