//! Holds what became of a test against what was expected: the first difference, and how the data of the state concerned
//! flowed.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use serde_json::Value;
use stepwright_asl::{Definition, StateId, StateKind};
use stepwright_machine::{
    ExecutionInfo, Millis, Payload, Status,
    inspect::{Inspection, Noted, Setup},
};

use crate::{
    compare::{Difference, first_difference, short},
    run::Ran,
    suite::{Expect, ExpectedCall},
    visits::{MadeCall, Visit},
};

/// Why a test failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What differs: the status, the output, the path, …
    pub what: String,
    /// Where and how.
    pub difference: Difference,
    /// The state concerned.
    pub state: Option<String>,
    /// How its data flowed, a line each.
    pub data_flow: Vec<String>,
}

/// What is wrong first, in the order of cause and effect: calls, path, status, error, output.
#[must_use]
pub fn judge(definition: &Arc<Definition>, expect: &Expect, ran: &Ran) -> Option<Complaint> {
    let visits = &ran.told.visits;
    let complaint = |what: &str, difference: Difference, visit: Option<&Visit>| Complaint {
        what: what.to_owned(),
        difference,
        state: visit.map(|visit| definition.state(visit.state).name.to_string()),
        data_flow: visit.map(|visit| data_flow(definition, visit)).unwrap_or_default(),
    };
    if let Some(expected) = &expect.calls
        && let Some((difference, state)) = calls(definition, expected, &ran.told.calls, expect.calls_in_any_order)
    {
        let visit = state.and_then(|state| visits.iter().find(|visit| visit.state == state));
        return Some(complaint("calls", difference, visit));
    }
    if let Some(expected) = &expect.path
        && let Some((difference, at)) = path(definition, expected, visits, expect.path_in_any_order)
    {
        // Where it went another way was decided before.
        let visit = at.checked_sub(1).and_then(|before| visits.get(before)).or(visits.first());
        return Some(complaint("path", difference, visit));
    }
    let failed = visits.iter().rev().find(|visit| visit.output.is_none()).or(visits.last());
    if expect.status != ran.status {
        let mut got = status(ran.status).to_owned();
        if ran.status == Status::Running {
            got.push_str(", and nothing can happen any more: a task waits for an answer that no mock gives");
        }
        for (word, text) in [("error", &ran.error), ("cause", &ran.cause)] {
            if let Some(text) = text {
                let _ = write!(got, ", {word} {}", short(&Value::from(&**text)));
            }
        }
        return Some(complaint("status", Difference::new("status", status(expect.status), got), failed));
    }
    for (what, expected, got) in [("error", &expect.error, &ran.error), ("cause", &expect.cause, &ran.cause)] {
        if let Some(expected) = expected
            && got.as_deref() != Some(expected)
        {
            let got = got.as_deref().map_or_else(|| "nothing".to_owned(), |got| short(&got.into()));
            let difference = Difference::new(what, short(&expected.as_str().into()), got);
            return Some(complaint(what, difference, failed));
        }
    }
    let expected = expect.output.as_ref()?;
    let got = ran.output.as_deref().map_or(Value::Null, |output| serde_json::from_str(output).unwrap_or_default());
    let difference = first_difference(expected, &got)?;
    // The last one of the machine's own flow made the output.
    let root = |visit: &&Visit| definition.state(visit.state).flow == Definition::ROOT;
    Some(complaint("output", difference, visits.iter().rev().find(root)))
}

/// AWS's word.
#[must_use]
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Running => "RUNNING",
        Status::Succeeded => "SUCCEEDED",
        Status::Failed => "FAILED",
        Status::TimedOut => "TIMED_OUT",
        Status::Aborted => "ABORTED",
    }
}

fn path(
    definition: &Definition,
    expected: &[String],
    visits: &[Visit],
    in_any_order: bool,
) -> Option<(Difference, usize)> {
    let got: Vec<&str> = visits.iter().map(|visit| &*definition.state(visit.state).name).collect();
    if in_any_order {
        let mut left: Vec<&str> = got.clone();
        for expected in expected {
            match left.iter().position(|name| name == expected) {
                Some(at) => drop(left.remove(at)),
                None => return Some((Difference::new("path", expected, "not entered so often"), visits.len())),
            }
        }
        let more = left.first()?;
        let at = got.iter().rposition(|name| name == more).unwrap_or(0);
        return Some((Difference::new("path", "not entered so often", *more), at));
    }
    let at =
        (0..expected.len().max(got.len())).find(|at| expected.get(*at).map(String::as_str) != got.get(*at).copied())?;
    let word = |name: Option<&str>| name.unwrap_or("the end").to_owned();
    let difference = Difference::new(
        format!("path[{at}]"),
        word(expected.get(at).map(String::as_str)),
        format!("{} (the path was {})", word(got.get(at).copied()), got.join(", ")),
    );
    Some((difference, at))
}

fn calls(
    definition: &Definition,
    expected: &[ExpectedCall],
    made: &[MadeCall],
    in_any_order: bool,
) -> Option<(Difference, Option<StateId>)> {
    let shown = |call: &MadeCall| {
        format!("{} calls {} with {}", definition.state(call.state).name, call.resource, call.parameters)
    };
    if in_any_order {
        let mut left: Vec<&MadeCall> = made.iter().collect();
        for (at, expected) in expected.iter().enumerate() {
            match left.iter().position(|call| call_difference(definition, expected, call, "").is_none()) {
                Some(found) => drop(left.remove(found)),
                None => {
                    let difference = Difference::new(format!("calls[{at}]"), wanted(expected), "no such call");
                    return Some((difference, None));
                }
            }
        }
        let more = left.first()?;
        return Some((Difference::new("calls", "no more calls", shown(more)), Some(more.state)));
    }
    for at in 0..expected.len().max(made.len()) {
        let place = format!("calls[{at}]");
        match (expected.get(at), made.get(at)) {
            (Some(expected), Some(call)) => {
                if let Some(difference) = call_difference(definition, expected, call, &place) {
                    return Some((difference, Some(call.state)));
                }
            }
            (Some(expected), None) => return Some((Difference::new(place, wanted(expected), "no more calls"), None)),
            (None, Some(call)) => {
                return Some((Difference::new(place, "no more calls", shown(call)), Some(call.state)));
            }
            (None, None) => {}
        }
    }
    None
}

fn wanted(call: &ExpectedCall) -> String {
    let state = call.state.as_deref().unwrap_or("a state");
    let resource = call.resource.as_deref().unwrap_or("anything");
    match &call.parameters {
        Some(parameters) => format!("{state} calls {resource} with {}", short(parameters)),
        None => format!("{state} calls {resource}"),
    }
}

fn call_difference(
    definition: &Definition,
    expected: &ExpectedCall,
    call: &MadeCall,
    path: &str,
) -> Option<Difference> {
    let name = &definition.state(call.state).name;
    if let Some(state) = &expected.state
        && **state != **name
    {
        return Some(Difference::new(format!("{path}.state"), state, &**name));
    }
    if let Some(resource) = &expected.resource
        && !call.resource.ends_with(resource.as_str())
    {
        return Some(Difference::new(format!("{path}.resource"), resource, &*call.resource));
    }
    let parameters = expected.parameters.as_ref()?;
    let sent = serde_json::from_str(&call.parameters).unwrap_or_default();
    let mut difference = first_difference(parameters, &sent)?;
    difference.path = difference.path.replacen('$', &format!("{path}.parameters"), 1);
    Some(difference)
}

/// A visit again, of its state alone, with someone who looks on. Variables and the context object are not those of the
/// execution.
pub(crate) fn inspect(definition: &Arc<Definition>, visit: &Visit, retries: u32) -> Inspection {
    let setup = Setup {
        info: ExecutionInfo { started_at: visit.at, ..ExecutionInfo::nowhere() },
        input: visit.input.clone(),
        variables: BTreeMap::new(),
        context: None,
        retries,
        reader_data: None,
        seed: 1,
        steps: stepwright_machine::EvaluationLimits::USUAL.steps,
        given_up: Arc::default(),
    };
    Inspection::begin(definition.clone(), visit.state, setup, visit.at)
}

/// How the data of a visit flowed, from its input to its output.
fn data_flow(definition: &Arc<Definition>, visit: &Visit) -> Vec<String> {
    let at: Millis = visit.at;
    let mut inspection = inspect(definition, visit, 0);
    let is_task = matches!(definition.state(visit.state).kind, StateKind::Task(_));
    if is_task && let Some(result) = &visit.result {
        inspection.succeed(Payload::new(result.text().clone()), at);
    }
    let Noted {
        after_input_path,
        after_parameters,
        after_arguments,
        result,
        after_result_selector,
        after_result_path,
        ..
    } = inspection.noted();
    let steps = [
        ("input", Some(visit.input.text().clone())),
        ("after InputPath", after_input_path),
        ("after Parameters", after_parameters),
        ("after Arguments", after_arguments),
        ("result", result.or_else(|| visit.result.as_ref().map(|result| result.text().clone()))),
        ("after ResultSelector", after_result_selector),
        ("after ResultPath", after_result_path),
    ];
    let mut lines: Vec<String> = Vec::new();
    let mut last: Option<Arc<str>> = None;
    for (step, text) in steps {
        let Some(text) = text.filter(|text| last.as_ref() != Some(text)) else { continue };
        lines.push(format!("{step}: {}", shorten(&text)));
        last = Some(text);
    }
    for (failure, retried) in &visit.failures {
        let error = failure.error.as_deref().unwrap_or("an error without a name");
        let cause = failure.cause.as_deref().map(|cause| format!(": {}", shorten(cause))).unwrap_or_default();
        lines.push(format!("failed{} with {error}{cause}", if *retried { " and tried again" } else { "" }));
    }
    match &visit.output {
        Some(output) => lines.push(format!("output: {}", shorten(output.text()))),
        None => lines.push("no output: it was not left well".to_owned()),
    }
    lines
}

fn shorten(text: &str) -> String {
    const LONG: usize = 400;
    match text.char_indices().nth(LONG) {
        Some((cut, _)) => format!("{}… ({} characters)", &text[..cut], text.chars().count()),
        None => text.to_owned(),
    }
}
