//! Task states of every kind that is served, and what handles failures: Retry and Catch.

use serde_json::{Value, json};

use super::data::{self, Scope};
use super::flow::{Flow, Writer, to};
use super::{ACTIVITY, ECHO, FUNCTION, WORK};

/// Error names of retriers and catchers, besides `States.ALL`.
const ERRORS: [&[&str]; 8] = [
    &["States.Timeout"],
    &["States.HeartbeatTimeout"],
    &["States.TaskFailed"],
    &["Lambda.SdkClientException", "Lambda.TooManyRequestsException"],
    &["States.IntrinsicFailure", "States.ParameterPathFailure", "States.DataLimitExceeded"],
    &["States.QueryEvaluationError"],
    &["Refused", "Broken"],
    &["Never"],
];

impl Writer<'_> {
    /// One Task state. Its result goes beside the input's members or is dropped.
    pub(super) fn task(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope) -> u64 {
        let name = if self.dice.one_in(5) { ECHO } else { *self.dice.pick(&WORK) };
        let function = format!("{FUNCTION}{name}");
        let mut state = json!({"Type": "Task"});
        let (mut cost, mut heartbeat) = (1, false);
        match self.dice.roll(10) {
            0..=3 => {
                state["Resource"] = format!("{ACTIVITY}{name}").into();
                self.sent(&mut state, scope);
                heartbeat = self.dice.one_in(2);
            }
            4 | 5 => {
                let qualifier = *self.dice.pick(&["", "", ":live"]);
                state["Resource"] = format!("{function}{qualifier}").into();
                self.sent(&mut state, scope);
            }
            6 | 7 => {
                state["Resource"] = "arn:aws:states:::lambda:invoke".into();
                state["Parameters"] = self.invocation(&function, scope);
            }
            8 if self.dice.one_in(8) => {
                // No connector of the simulation serves it.
                state["Resource"] = "arn:aws:states:::aws-sdk:sfn:listActivities".into();
                state["Parameters"] = json!({"MaxResults": 3});
            }
            _ => {
                state["Resource"] = "arn:aws:states:::lambda:invoke.waitForTaskToken".into();
                let payload = json!({"token.$": "$$.Task.Token", "of": data::template(self.dice, scope)});
                state["Parameters"] = json!({"FunctionName": function, "Payload": payload});
                heartbeat = self.dice.one_in(3);
                cost = 2;
            }
        }
        self.limits(&mut state, heartbeat);
        if self.dice.one_in(12) && state["Resource"].as_str().is_some_and(|arn| !arn.starts_with(ACTIVITY)) {
            state["Credentials"] = json!({"RoleArn": "arn:aws:iam::000000000000:role/tasks"});
        }
        let whole = state.get("Parameters").is_none();
        self.result(&mut state, whole);
        let broken = self.dice.one_in(20);
        if broken {
            // Fails before anything is scheduled, in a way that Retry and Catch see.
            let expression = data::broken(self.dice);
            state["Parameters"] = json!({"FunctionName.$": expression, "x.$": expression});
            state.as_object_mut().expect("an object").remove("InputPath");
        }
        self.handlers(flow, &mut state, next, scope, broken);
        flow.add(here, to(state, next));
        cost
    }

    /// What an activity or a function is sent: the whole input, a part of it, or something made of it.
    fn sent(&mut self, state: &mut Value, scope: &Scope) {
        match self.dice.roll(6) {
            0 => {}
            1 => {
                let paths = ["$.deep", "$.list", "$.deep.items[0]", "$$.Execution.Input", "$.n"];
                state["InputPath"] = (*self.dice.pick(&paths)).into();
            }
            2 => state["InputPath"] = Value::Null,
            _ => state["Parameters"] = data::template(self.dice, scope),
        }
    }

    fn invocation(&mut self, function: &str, scope: &Scope) -> Value {
        match self.dice.roll(4) {
            0 => json!({"FunctionName": function}),
            1 => json!({"FunctionName": function, "Payload.$": "$$.Execution.Input", "Qualifier": "live"}),
            _ => json!({"FunctionName": function, "Payload": data::template(self.dice, scope)}),
        }
    }

    /// Time-out and heartbeat, as numbers or as paths. Every task has a time-out: no worker can hold up its execution
    /// for ever.
    fn limits(&mut self, state: &mut Value, heartbeat: bool) {
        let shaped = state.get("InputPath").is_some();
        let path = |member: &str| {
            if shaped { format!("$$.Execution.Input.{member}") } else { format!("$.{member}") }
        };
        if self.dice.one_in(4) {
            state["TimeoutSecondsPath"] = path("limit").into();
        } else {
            state["TimeoutSeconds"] = self.dice.between(9, 40).into();
        }
        if heartbeat {
            if self.dice.one_in(3) {
                state["HeartbeatSecondsPath"] = path("beat").into();
            } else {
                state["HeartbeatSeconds"] = self.dice.between(2, 8).into();
            }
        }
    }

    /// Where a task's result goes. `whole`: it may be as large as the input, and must not be put inside it.
    fn result(&mut self, state: &mut Value, whole: bool) {
        let place = *self.dice.pick(&["$.r", "$.deep.r", "$.s"]);
        match self.dice.roll(5) {
            _ if whole => state["ResultPath"] = Value::Null,
            0 => state["ResultPath"] = Value::Null,
            1 | 2 => state["ResultPath"] = place.into(),
            3 => {
                state["ResultSelector"] = data::selector(self.dice);
                state["ResultPath"] = place.into();
            }
            _ => {
                state["ResultSelector"] = data::selector(self.dice);
                state["ResultPath"] = "$.r".into();
                state["OutputPath"] = "$".into();
            }
        }
    }

    /// Retriers and catchers of a Task, Parallel or Map state that leads to `next`. `must`: the state will fail, and
    /// something has to catch it.
    pub(super) fn handlers(&mut self, flow: &mut Flow, state: &mut Value, next: &str, scope: &Scope, must: bool) {
        self.handlers_by(flow, state, next, scope, must, Self::catcher);
    }

    /// The same with catchers in one language or the other.
    pub(super) fn handlers_by(
        &mut self,
        flow: &mut Flow,
        state: &mut Value,
        next: &str,
        scope: &Scope,
        must: bool,
        catcher: fn(&mut Self, &mut Flow, &[&str], &str, &Scope) -> Value,
    ) {
        self.retriers(state);
        let mut catch = Vec::new();
        while self.dice.one_in(4) && catch.len() < 2 {
            let names = self.error_names();
            catch.push(catcher(self, flow, names, next, scope));
        }
        if must || !self.dice.one_in(8) {
            catch.push(catcher(self, flow, &["States.ALL"], next, scope));
        }
        if !catch.is_empty() {
            state["Catch"] = catch.into();
        }
    }

    /// Error names that a retrier or a catcher is for.
    pub(super) fn error_names(&mut self) -> &'static [&'static str] {
        ERRORS[self.dice.index(ERRORS.len())]
    }

    /// Retriers, if any.
    pub(super) fn retriers(&mut self, state: &mut Value) {
        let mut retry = Vec::new();
        while self.dice.one_in(4) && retry.len() < 3 {
            let names = self.error_names();
            retry.push(self.retrier(names));
        }
        if self.dice.one_in(2) {
            retry.push(self.retrier(&["States.ALL"]));
        }
        if !retry.is_empty() {
            state["Retry"] = retry.into();
        }
    }

    fn retrier(&mut self, names: &[&str]) -> Value {
        let mut retrier = json!({"ErrorEquals": names});
        let interval = self.dice.roll(3);
        if !self.dice.one_in(4) {
            retrier["IntervalSeconds"] = interval.into();
        }
        if !self.dice.one_in(4) {
            retrier["MaxAttempts"] = self.dice.roll(4).into();
        }
        if !self.dice.one_in(3) {
            retrier["BackoffRate"] = (*self.dice.pick(&[1.0, 1.25, 1.5, 3.0])).into();
        }
        if self.dice.one_in(2) {
            retrier["MaxDelaySeconds"] = (interval.max(1) + self.dice.roll(4)).into();
        }
        if self.dice.one_in(2) {
            retrier["JitterStrategy"] = (*self.dice.pick(&["FULL", "FULL", "NONE"])).into();
        }
        retrier
    }

    fn catcher(&mut self, flow: &mut Flow, names: &[&str], next: &str, scope: &Scope) -> Value {
        let mut catcher = json!({"ErrorEquals": names});
        match self.dice.roll(12) {
            0 => catcher["Next"] = flow.last.clone().into(),
            1 => {
                catcher["Next"] = self.fail_of(flow).into();
                catcher["ResultPath"] = "$.error".into();
            }
            2 | 3 if !scope.counts_in_data => {
                // The error takes the place of everything; the execution's input is there to begin again from.
                let restore = self.name();
                self.restore(flow, &restore, next);
                catcher["Next"] = restore.into();
            }
            4 => {
                catcher["Next"] = next.into();
                catcher["ResultPath"] = Value::Null;
            }
            _ => {
                catcher["Next"] = next.into();
                catcher["ResultPath"] = "$.error".into();
            }
        }
        if self.dice.one_in(6) {
            let variable = self.variable();
            catcher["Assign"] = json!({format!("{variable}.$"): self.dice.pick(&["$.Error", "$.Cause", "$"])});
        }
        catcher
    }
}
