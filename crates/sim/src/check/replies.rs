//! Nothing is answered before the commit that covers it is durable, and reads show what is durable and nothing else:
//! whatever a reply says must stand in the ledger of acknowledged commits when the reply is there.

use std::sync::Arc;

use stepwright_engine::{Error, ExecutionDescription, ExecutionItem, HistoryPage, NotRedrivable};
use stepwright_machine::{EventKind, ExecutionId, InputKind, Status, TaskId, token::Token};
use stepwright_store::{
    Table, keys,
    records::{self, ExecutionRow, HeldInput, MachineRow, NameRow, QuarantineRow, ScopeRow},
};

use super::{Checked, Complaint, ensure, tasks};
use crate::{
    client::{Answer, Call, Reply},
    ledger::Ledger,
    model,
};

const DURABLE: &str = "a reply says what is durable";

fn wrong(call: &Call, seen: impl Into<String>) -> Complaint {
    Complaint::new("replies", DURABLE, format!("{} {call:?}: {}", call.name(), seen.into()))
}

/// An execution in the ledger.
struct Found {
    id: ExecutionId,
    scope: u32,
    row: ExecutionRow,
}

impl Ledger {
    pub(crate) fn scope(&self) -> Option<u32> {
        let (_, row) = self.rows.all(Table::Scope).next()?;
        Some(records::decode::<ScopeRow>(Table::Scope, row).ok()?.number)
    }

    fn find(&self, arn: &str) -> Option<Found> {
        let mut parts = arn.rsplit(':');
        let (name, machine) = (parts.next()?, parts.next()?);
        let scope = self.scope()?;
        if machine.contains('/') {
            let id = self.runs.child(arn)?;
            let row = self.rows.get(Table::Execution, &keys::execution(scope, id))?;
            return Some(Found { id, scope, row: records::decode(Table::Execution, row).ok()? });
        }
        let row: NameRow =
            records::decode(Table::Name, self.rows.get(Table::Name, &keys::name(scope, machine, name))?).ok()?;
        let id = row.id();
        let row = self.rows.get(Table::Execution, &keys::execution(scope, id))?;
        Some(Found { id, scope, row: records::decode(Table::Execution, row).ok()? })
    }

    /// Whether an execution with this ARN exists, and if so, whether it is closed.
    pub(crate) fn is_closed(&self, arn: &str) -> Option<bool> {
        self.find(arn).map(|found| found.row.end.is_some())
    }

    /// Whether a task is over or has its answer, as far as it is durable.
    pub(crate) fn is_task_answered(&self, id: ExecutionId, task: TaskId) -> bool {
        self.models
            .get(&id)
            .is_some_and(|model| tasks::find(model, task).is_none_or(|open| open.early_answer.is_some()))
    }

    /// Whether an execution was in quarantine, where answers are taken unseen.
    pub(crate) fn was_quarantined(&self, id: ExecutionId) -> bool {
        self.models.get(&id).is_none_or(|model| model.was_quarantined)
    }

    /// The identity of an execution.
    pub(crate) fn id_of(&self, arn: &str) -> Option<ExecutionId> {
        self.find(arn).map(|found| found.id)
    }

    fn held(&self, scope: u32, id: ExecutionId) -> Vec<HeldInput> {
        let row = self.rows.get(Table::Quarantine, &keys::execution(scope, id));
        let row = row.and_then(|row| records::decode::<QuarantineRow>(Table::Quarantine, row).ok());
        row.map(|row| row.inputs).unwrap_or_default()
    }

    fn is_quarantined(&self, scope: u32, id: ExecutionId) -> bool {
        self.rows.get(Table::Quarantine, &keys::execution(scope, id)).is_some()
    }

    fn input_of(&self, found: &Found) -> Option<Arc<str>> {
        if let Some(model) = self.models.get(&found.id)
            && model.turn > 0
        {
            return model.execution.head.input.text_if_hydrated().cloned();
        }
        let held = self.held(found.scope, found.id);
        held.into_iter().find(|held| matches!(held.input.kind, InputKind::Start { .. })).and_then(|held| held.text)
    }
}

/// The reply to a call, the moment it is there.
pub(crate) fn check(ledger: &mut Ledger, call: &Call, reply: &Reply) -> Checked {
    match (call, reply) {
        (_, Err(Error::Unavailable { .. } | Error::Full { .. })) => Ok(()),
        (_, Err(error @ (Error::Corrupt { .. } | Error::InvalidToken | Error::InvalidPageToken))) => {
            Err(wrong(call, format!("it was refused: {error}")))
        }
        (Call::Start { .. }, _) => start(ledger, call, reply),
        (Call::Express { .. }, Ok(Answer::Started(started))) => ledger.express.acknowledged(&started.arn),
        (Call::Express { .. }, Ok(Answer::Ended(end))) => ledger.express.ended(end),
        (Call::Stop { arn }, Ok(Answer::Stopped(at))) => {
            let found = ledger.find(arn);
            // One that was redriven may go on by the time that its end is heard of.
            let redriven = found.as_ref().is_some_and(|found| found.row.redriven.is_some());
            let end = found.and_then(|found| found.row.end).map(|end| end.closing.at);
            ensure(redriven || end == Some(*at), "replies", DURABLE, || {
                format!("{arn} was stopped at {at}, and stored is {end:?}")
            })
        }
        (Call::Redrive { arn, token }, Ok(Answer::Redriven(at))) => {
            let row = ledger.find(arn).map(|found| found.row);
            let known = row
                .as_ref()
                .and_then(|row| row.redrive_tokens.as_ref())
                .is_some_and(|known| known.iter().any(|(of, date)| Some(of) == token.as_ref() && date == at));
            let redriven = row.and_then(|row| row.redriven);
            ensure(known || redriven.is_some_and(|(_, date)| date >= *at), "replies", DURABLE, || {
                format!("{arn} was redriven at {at}, and stored is {redriven:?}")
            })
        }
        (Call::Redrive { arn, .. }, Err(Error::ExecutionNotRedrivable { reason: NotRedrivable::Succeeded })) => {
            let status = ledger.find(arn).map(|found| found.row.status());
            ensure(status == Some(Status::Succeeded), "replies", DURABLE, || {
                format!("{arn} cannot be redriven because it succeeded, and stored is {status:?}")
            })
        }
        (
            Call::Stop { arn } | Call::Redrive { arn, .. } | Call::Describe { arn } | Call::History { arn, .. },
            Err(Error::ExecutionDoesNotExist { .. }),
        ) => ensure(ledger.find(arn).is_none(), "replies", "what was started is there", || {
            format!("{} does not find {arn}", call.name())
        }),
        (Call::Describe { arn }, Ok(Answer::Described(described))) => describe(ledger, call, arn, described),
        (Call::History { arn, .. }, Ok(Answer::History(page))) => history(ledger, call, arn, page),
        (Call::List { machine, status, size }, Ok(Answer::Listed(page))) => {
            list(ledger, call, machine, *status, *size, &page.items, page.next_token.is_some())
        }
        (Call::Succeed { token, .. } | Call::Fail { token, .. } | Call::Heartbeat { token }, reply) => {
            answer(ledger, call, token, reply)
        }
        (Call::Poll { .. }, Ok(Answer::Polled(Some(delivery)))) => {
            let (id, task) = named(call, delivery.token())?;
            let model = ledger.models.get(&id);
            let open = model.and_then(|model| tasks::find(model, task));
            let input = open.and_then(|open| open.input.text_if_hydrated());
            let started = open.is_some_and(|open| open.stage == stepwright_machine::frame::TaskStage::Started);
            // A task that ended after it was given out may still reach its worker.
            let over = model.is_some_and(|model| tasks::find(model, task).is_none() && model.started.contains(&task));
            ensure(over || started && input == Some(delivery.input()), "replies", DURABLE, || {
                format!("a worker is given {task:?} of {id:?}, stored is {open:?}")
            })
        }
        (Call::CreateMachine(machine), Ok(_)) => {
            let key = ledger.scope().map(|scope| keys::named(scope, &machine.name));
            let there = key.is_some_and(|key| ledger.rows.get(Table::Machine, &key).is_some());
            ensure(there, "replies", DURABLE, || format!("{} was created and is not stored", machine.name))
        }
        (Call::CreateActivity(name), Ok(_)) => {
            let key = ledger.scope().map(|scope| keys::named(scope, name));
            let there = key.is_some_and(|key| ledger.rows.get(Table::Activity, &key).is_some());
            ensure(there, "replies", DURABLE, || format!("{name} was created and is not stored"))
        }
        (Call::RetryQuarantined { arn } | Call::FailQuarantined { arn }, Ok(_)) => left_quarantine(ledger, call, arn),
        (Call::DescribeRun { arn }, Ok(Answer::Run(run))) => {
            let state = ledger.runs.state(arn);
            let same = state.is_some_and(|state| {
                let counts = (&run.execution_counts, &state.executions);
                (run.status, run.stopped_at) == (state.status, state.stopped_at)
                    && (counts.0.running, counts.0.succeeded, counts.0.failed, counts.0.aborted)
                        == (counts.1.running, counts.1.succeeded, counts.1.failed, counts.1.aborted)
                    && run.redrive_count == state.redriven.map_or(0, |(count, _)| count)
            });
            ensure(same, "replies", DURABLE, || format!("{run:?}, and stored is {state:?}"))
        }
        (
            Call::DescribeRun { arn } | Call::UpdateRun { arn, .. } | Call::ListChildren { arn, .. },
            Err(Error::MapRunDoesNotExist { .. }),
        ) => ensure(ledger.runs.state(arn).is_none(), "replies", "what was started is there", || {
            format!("{} does not find {arn}", call.name())
        }),
        (Call::UpdateRun { arn, .. }, Err(Error::MapRunNotRunning)) => {
            let state = ledger.runs.state(arn);
            let over = state.is_some_and(|state| state.status != Status::Running);
            ensure(over || ledger.may_redrive, "replies", "a run that runs can be updated", || format!("{state:?}"))
        }
        _ => Ok(()),
    }
}

/// Each acknowledgement needs a commit of its own by which the execution left quarantine. After a retry it may have
/// broken again since; one that was given up is over.
fn left_quarantine(ledger: &mut Ledger, call: &Call, arn: &str) -> Checked {
    let found = ledger.find(arn);
    let ended =
        found.as_ref().is_some_and(|found| found.row.end.is_some() && !ledger.is_quarantined(found.scope, found.id));
    let left = found.and_then(|found| ledger.left_quarantine.get_mut(&found.id)).filter(|left| **left > 0);
    let wanted = left.is_some() && (ended || !matches!(call, Call::FailQuarantined { .. }));
    if let Some(left) = left {
        *left -= 1;
    }
    ensure(wanted, "replies", DURABLE, || format!("{} of {arn} is done, and stored it is not", call.name()))
}

fn start(ledger: &Ledger, call: &Call, reply: &Reply) -> Checked {
    let Call::Start { machine, name, input, .. } = call else { return Ok(()) };
    let arn = crate::workload::execution_arn(machine, name);
    let found = ledger.find(&arn);
    match reply {
        Ok(Answer::Started(started)) => {
            let Some(found) = found else { return Err(wrong(call, "it started, and its start is not stored")) };
            let same = found.id.started_at() == started.started_at && *started.arn == *arn;
            ensure(same, "names", "the start that is answered is the start that is stored", || {
                format!("{started:?}, and stored is {:?} of {}", found.id, found.id.started_at())
            })?;
            let stored = ledger.input_of(&found);
            ensure(stored.as_ref() == Some(input), "names", "a name is answered for one input only", || {
                format!("{arn} was started with {input}, and stored is {stored:?}")
            })
        }
        Err(Error::ExecutionAlreadyExists { .. }) => {
            let Some(found) = found else { return Err(wrong(call, "its name is taken, and nothing of it is stored")) };
            let differs = ledger.input_of(&found).as_ref() != Some(input);
            // One that was redriven may have been closed when the name was looked for.
            ensure(
                found.row.end.is_some() || found.row.redriven.is_some() || differs,
                "names",
                "a running execution is given for its own input",
                || format!("{arn} runs with the same input, and its name was refused"),
            )
        }
        _ => Ok(()),
    }
}

fn named(call: &Call, token: &str) -> Result<(ExecutionId, TaskId), Complaint> {
    let token = Token::parse(token).ok_or_else(|| wrong(call, "the token is none"))?;
    Ok((token.execution, token.task))
}

fn answer(ledger: &Ledger, call: &Call, token: &str, reply: &Reply) -> Checked {
    let (id, task) = named(call, token)?;
    let Some(model) = ledger.models.get(&id) else {
        return Err(wrong(call, format!("nothing is stored of {id:?}")));
    };
    let held = ledger.held(model.scope, id);
    match reply {
        Ok(_) => {
            let is_held = |kind: &InputKind| match (call, kind) {
                (Call::Succeed { .. }, InputKind::TaskSucceeded { task: of, .. })
                | (Call::Fail { .. }, InputKind::TaskFailed { task: of, .. })
                | (Call::Heartbeat { .. }, InputKind::Heartbeat { task: of }) => *of == task,
                _ => false,
            };
            let taken = match call {
                Call::Succeed { output, .. } => {
                    let answer = model::Answer::Succeeded(output.clone());
                    model.answers.get(&task).is_some_and(|answers| answers.contains(&answer))
                }
                Call::Fail { .. } => {
                    model.answers.get(&task).is_some_and(|answers| answers.contains(&model::Answer::Failed))
                }
                _ => model.heartbeats.contains_key(&task),
            };
            ensure(
                taken || model.was_quarantined || held.iter().any(|held| is_held(&held.input.kind)),
                "replies",
                DURABLE,
                || {
                    format!(
                        "{} of {task:?} of {} was acknowledged; stored: {:?}",
                        call.name(),
                        model.label,
                        model.answers.get(&task)
                    )
                },
            )
        }
        Err(Error::TaskTimedOut) => {
            let open = tasks::find(model, task);
            let early = open.is_some_and(|open| open.early_answer.is_some());
            ensure(open.is_none() || early, "replies", "an answer of an open task is taken", || {
                format!("{} of {task:?} of {} was refused as too late: {open:?}", call.name(), model.label)
            })
        }
        Err(Error::Quarantined { .. }) => Ok(()),
        Err(error) => Err(wrong(call, format!("it was refused: {error}"))),
    }
}

fn describe(ledger: &Ledger, call: &Call, arn: &str, described: &ExecutionDescription) -> Checked {
    let Some(found) = ledger.find(arn) else { return Err(wrong(call, "nothing of it is stored")) };
    let closing = found.row.end.as_ref().map(|end| &end.closing);
    let model = ledger.models.get(&found.id).filter(|model| model.turn > 0);
    let output = model.and_then(|model| model.execution.head.closing.as_ref()?.output.as_ref()?.text_if_hydrated());
    let last_event = model.map_or(0, |model| model.next_event - 1);
    let same = described.status == found.row.status()
        && described.stopped_at == closing.map(|closing| closing.at)
        && described.error == closing.and_then(|closing| closing.error.clone())
        && described.cause == closing.and_then(|closing| closing.cause.clone())
        && described.output.as_ref() == output
        && described.last_event == last_event
        && described.redrive_count == found.row.redriven.map_or(0, |(count, _)| count)
        && described.redriven_at == found.row.redriven.map(|(_, at)| at)
        && described.started_at == found.id.started_at()
        && ledger.input_of(&found).is_none_or(|input| input == described.input)
        && described.quarantined == (closing.is_none() && ledger.is_quarantined(found.scope, found.id));
    ensure(same, "replies", DURABLE, || format!("{described:?}, and stored is {:?}, event {last_event}", found.row))
}

fn history(ledger: &Ledger, call: &Call, arn: &str, page: &HistoryPage) -> Checked {
    let Call::History { size, reverse, from, .. } = call else { return Ok(()) };
    let Some(found) = ledger.find(arn) else { return Err(wrong(call, "nothing of it is stored")) };
    let stored = ledger.models.get(&found.id).map_or(&[][..], |model| &model.events[..]);
    let mut expected: Vec<_> = if *reverse {
        stored.iter().rev().skip_while(|event| *from > 0 && event.id as usize > *from).collect()
    } else {
        stored.iter().skip_while(|event| (event.id as usize) < *from).collect()
    };
    let more = expected.len() > page.events.len();
    ensure(page.events.len() <= *size && more == page.next_token.is_some(), "replies", DURABLE, || {
        format!(
            "a page of {} events of {arn}, next {:?}, and {} are left",
            page.events.len(),
            page.next_token,
            expected.len()
        )
    })?;
    expected.truncate(page.events.len());
    for (event, stored) in page.events.iter().zip(expected) {
        let same = (event.id, event.at, event.previous, &event.kind)
            == (stored.id, stored.at, stored.previous, &stored.kind)
            && texts(&event.kind).eq(&texts(&stored.kind));
        ensure(same, "replies", DURABLE, || format!("{arn} shows {event:?}, and stored is {stored:?}"))?;
    }
    Ok(())
}

/// The texts of an event's payloads.
pub(crate) fn texts(kind: &EventKind) -> Vec<Option<&Arc<str>>> {
    match kind {
        EventKind::ExecutionStarted { input }
        | EventKind::StateEntered { input, .. }
        | EventKind::LambdaFunctionScheduled { input, .. }
        | EventKind::ActivityScheduled { input, .. }
        | EventKind::TaskScheduled { parameters: input, .. } => vec![input.text_if_hydrated()],
        EventKind::ExecutionSucceeded { output }
        | EventKind::LambdaFunctionSucceeded { output }
        | EventKind::ActivitySucceeded { output }
        | EventKind::TaskSubmitted { output, .. }
        | EventKind::TaskSucceeded { output, .. } => vec![output.text_if_hydrated()],
        EventKind::StateExited { output, assigned, .. } => {
            let assigned = assigned.iter().map(|(_, payload)| payload.text_if_hydrated());
            std::iter::once(output.text_if_hydrated()).chain(assigned).collect()
        }
        _ => Vec::new(),
    }
}

fn list(
    ledger: &Ledger,
    call: &Call,
    machine: &str,
    status: Option<Status>,
    size: usize,
    items: &[ExecutionItem],
    more: bool,
) -> Checked {
    let Some(scope) = ledger.scope() else { return Err(wrong(call, "nothing is stored")) };
    let number = ledger.rows.get(Table::Machine, &keys::named(scope, machine));
    let number = number.and_then(|row| records::decode::<MachineRow>(Table::Machine, row).ok()).map(|row| row.number);
    let prefix = scope.to_be_bytes();
    let mut expected = Vec::new();
    for (key, value) in ledger.rows.with_prefix(Table::Execution, &prefix) {
        let row: Option<ExecutionRow> = records::decode(Table::Execution, value).ok();
        let (Some((_, id)), Some(row)) = (keys::parse_execution(key), row) else { continue };
        if row.child.is_none() && Some(row.machine) == number && status.is_none_or(|status| status == row.status()) {
            expected.push((row.name.clone(), row.status(), id.started_at(), row.end.map(|end| end.closing.at)));
        }
    }
    expected.reverse();
    let left = expected.len() > size;
    expected.truncate(size);
    let listed: Vec<_> =
        items.iter().map(|item| (item.name.clone(), item.status, item.started_at, item.stopped_at)).collect();
    ensure(listed == expected && more == left, "replies", DURABLE, || {
        format!("the list of {machine} is {listed:?}, and stored is {expected:?}")
    })
}
