//! What happens when a state fails: its retriers, its catchers, and the way up through the Parallel and Map
//! states that enclose it.

use std::sync::Arc;

use serde_json::{Value, json};
use stepwright_asl::{Catcher, QueryLanguage, Retrier, State, StateKind, Transition};
use stepwright_querylang::{ErrorKind, EvaluationError};

use crate::{
    data_flow::{self, Data, DataError},
    effects::TimerKind,
    execution::Status,
    frame::{Container, Position, Work},
    history::{EventKind, Failure},
    id::{EventId, FrameId, Millis},
    jsonata::Come,
    payload::Payload,
    step::{Run, Turn},
};

/// Longest error name, in characters.
const ERROR_CHARACTERS: usize = 256;
/// Longest cause, in characters.
const CAUSE_CHARACTERS: usize = 32_768;

/// Longest place of an expression, in characters.
const LOCATION_CHARACTERS: usize = 256;

/// Bytes of all variables, as a multiple of the payload limit. AWS: 10 MiB and 256 KiB.
const VARIABLES_PER_PAYLOAD: u64 = 40;

/// Deepest value that is passed on: what the JSON parser reads back.
const MAX_DEPTH: usize = 127;

/// What kind of failure it is: decides which wildcards match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `States.Runtime`: nothing sees it.
    Fatal,
    /// A task reported it.
    Task,
    /// A task's time-out.
    Timeout,
    /// A task's heartbeat was lost.
    Heartbeat,
    /// Anything else.
    Other,
}

/// A failure of a state.
#[derive(Clone, Debug)]
pub(crate) struct Raised {
    pub(crate) class: Class,
    pub(crate) failure: Failure,
    /// A JSONata expression failed, which is recorded first.
    evaluation: Option<Evaluation>,
}

/// What is recorded of a JSONata expression that failed: the field, where there is one.
#[derive(Clone, Debug)]
struct Evaluation {
    location: Option<Arc<str>>,
}

impl Raised {
    /// A failure of the interpreter's own.
    pub(crate) fn new(class: Class, error: &str, cause: String) -> Self {
        Self::reported(class, Failure { error: Some(error.into()), cause: Some(cause.into()) })
    }

    /// A failure as a task, a Fail state or a worker named it, cut to AWS's lengths.
    pub(crate) fn reported(class: Class, failure: Failure) -> Self {
        let failure = Failure {
            error: failure.error.map(|error| cut(&error, ERROR_CHARACTERS)),
            cause: failure.cause.map(|cause| cut(&cause, CAUSE_CHARACTERS)),
        };
        Self { class, failure, evaluation: None }
    }

    /// The failure of a JSONata expression, in this field if there is one.
    pub(crate) fn of_evaluation(self, location: Option<Arc<str>>) -> Self {
        Self { evaluation: Some(Evaluation { location }), ..self }
    }

    /// What the catcher's paths see. A time-out has an empty cause; what a worker left out is null (both recorded).
    fn output(&self) -> Value {
        let error = self.failure.error.as_deref();
        let cause = match self.class {
            Class::Timeout | Class::Heartbeat => Some(self.failure.cause.as_deref().unwrap_or_default()),
            _ => self.failure.cause.as_deref(),
        };
        json!({ "Error": error, "Cause": cause })
    }
}

/// Who takes care of a failure.
#[derive(Clone, Copy)]
enum Handler<'a> {
    Retry { position: usize, delay: Millis },
    Catch(&'a Catcher),
}

impl<'a> Turn<'a> {
    /// Takes a failure of the state that frame `at` is in to whoever handles it.
    pub(crate) fn raise(&mut self, at: FrameId, raised: Raised) -> Run {
        self.record_evaluation(at, &raised)?;
        let own = if raised.class == Class::Fatal { None } else { self.handler_of(at, &raised) };
        if own.is_some() {
            self.note(|noted| noted.handled = Some(raised.failure.clone()));
        }
        self.raise_to(at, own, raised)
    }

    /// Every expression that fails has an event of its own, whether the failure is handled or not.
    ///
    /// As recorded, the event that comes right after a state's Entered event follows the one before that, but in a Wait
    /// state.
    fn record_evaluation(&mut self, at: FrameId, raised: &Raised) -> Run {
        let Some(Evaluation { location }) = &raised.evaluation else { return Ok(()) };
        let location = location.as_ref().map(|text| cut(text, LOCATION_CHARACTERS));
        let (visit, tip) = (self.visit(at), self.frame(at).tip);
        let previous = match (&visit.work, &self.state_of(at).kind) {
            (_, StateKind::Wait(_)) => tip,
            (Work::Entered { after }, _) if tip == visit.entered_event => *after,
            _ => tip,
        };
        let (state, failure) = (visit.state, raised.failure.clone());
        let event = self.emit(previous, EventKind::EvaluationFailed { state, location, failure })?;
        self.frame_mut(at).tip = event;
        Ok(())
    }

    fn raise_to(&mut self, at: FrameId, own: Option<Handler<'a>>, raised: Raised) -> Run {
        if raised.class == Class::Fatal {
            return self.fail_execution(self.frame(at).tip, raised.failure);
        }
        let (level, handler) = match own {
            Some(handler) => (at, Some(handler)),
            None => self.find_outer_handler(at, &raised),
        };
        self.abort_up_to(at, level, handler)?;
        match handler {
            None => self.fail_execution(self.frame(level).tip, raised.failure),
            Some(Handler::Retry { position, delay }) => {
                self.remove_children(level);
                self.retry(level, position, delay);
                Ok(())
            }
            Some(Handler::Catch(catcher)) => {
                self.remove_children(level);
                self.release(level);
                self.caught(level, catcher, &raised)
            }
        }
    }

    fn fail_execution(&mut self, previous: EventId, failure: Failure) -> Run {
        self.write(previous, EventKind::ExecutionFailed(failure.clone()));
        Err(self.close(Status::Failed, None, failure))
    }

    /// The nearest enclosing state that retries or catches; else the outermost frame.
    fn find_outer_handler(&self, at: FrameId, raised: &Raised) -> (FrameId, Option<Handler<'a>>) {
        let mut level = at;
        while let Some(parent) = self.frame(level).parent {
            level = parent;
            if let Some(handler) = self.handler_of(level, raised) {
                return (level, Some(handler));
            }
        }
        (level, None)
    }

    fn handler_of(&self, level: FrameId, raised: &Raised) -> Option<Handler<'a>> {
        let state = self.state_of(level);
        let (retry, catch) = retriers_and_catchers(state)?;
        let is_task = matches!(state.kind, StateKind::Task(_));
        let matching = |names: &[Arc<str>]| matches_error(names, raised, is_task);
        if let Some(position) = retry.iter().position(|retrier| matching(&retrier.error_equals)) {
            let used = match self.inspector {
                Some(inspector) => inspector.retries(),
                None => self.visit(level).retries.get(position).copied().unwrap_or(0),
            };
            self.note(|noted| noted.retrier = Some(position));
            if u64::from(used) < retry[position].max_attempts {
                self.note(|noted| noted.backoff_seconds = Some(backoff_seconds(&retry[position], used)));
                let delay = delay(&retry[position], used, || self.draw());
                return Some(Handler::Retry { position, delay });
            }
        }
        let position = catch.iter().position(|catcher| matching(&catcher.error_equals))?;
        self.note(|noted| noted.catcher = Some(position));
        Some(Handler::Catch(&catch[position]))
    }

    fn retry(&mut self, level: FrameId, position: usize, delay: Millis) {
        self.release(level);
        let due = self.now().saturating_add(delay);
        let visit = self.visit_mut(level);
        if visit.retries.len() <= position {
            visit.retries.resize(position + 1, 0);
        }
        visit.retries[position] += 1;
        if delay == 0 {
            visit.work = Work::Beginning;
            self.resume(level);
            // An attempt may fail before its first event: it counts for the length of the turn all the same.
            self.count_state();
        } else {
            let timer = self.set_timer(level, due, TimerKind::Retry);
            self.visit_mut(level).work = Work::Retrying { timer };
        }
    }

    fn caught(&mut self, level: FrameId, catcher: &'a Catcher, raised: &Raised) -> Run {
        match self.catch_output(level, catcher, raised) {
            Ok(run) => run,
            // The state's own retriers and catchers had their turn.
            Err(raised) => {
                if raised.evaluation.is_some() {
                    self.forget_failed_event(level);
                }
                self.record_evaluation(level, &raised)?;
                self.raise_to(level, None, raised)
            }
        }
    }

    /// An expression of a catcher failed whose Parallel or Map state has its Failed event already: what comes now follows the event
    /// that this one followed (measured).
    fn forget_failed_event(&mut self, level: FrameId) {
        let tip = self.frame(level).tip;
        // The Failed event was written in this very step.
        let Some(place) = tip.checked_sub(self.effects.first_event) else { return };
        let event = &self.effects.events[usize::try_from(place).expect("a turn has fewer events")];
        if matches!(event.kind, EventKind::ParallelStateFailed | EventKind::MapStateFailed) {
            self.frame_mut(level).tip = event.previous(tip);
        }
    }

    fn catch_output(&mut self, level: FrameId, catcher: &'a Catcher, raised: &Raised) -> Result<Run, Raised> {
        let error = raised.output();
        if self.state_of(level).query_language == QueryLanguage::Jsonata {
            return self.finish_jsonata(level, &catcher.jsonata, Come::Error(error), Transition::Next(catcher.next));
        }
        let raw = self.visit(level).input.clone();
        let environment = self.environment(level);
        let assigned = data_flow::assign(catcher.assign.as_ref(), &error, &environment);
        let placed = data_flow::place(&catcher.result_path, &raw, Data::New(error));
        drop(environment);
        let assigned = assigned.map_err(|error| self.evaluation_failed(level, &error))?;
        let output = placed.map_err(|error| self.data_failed(level, error))?;
        self.exit(level, output, assigned, Transition::Next(catcher.next))
    }

    /// The events of a failure on its way up: iterations that failed, what was aborted beside them, and the Failed
    /// events of the states it passes. A state that retries writes none.
    fn abort_up_to(&mut self, at: FrameId, level: FrameId, handler: Option<Handler<'a>>) -> Run {
        let retries = |parent: FrameId| parent == level && matches!(handler, Some(Handler::Retry { .. }));
        self.fail_itself(at, retries(at))?;
        let mut failing = at;
        while failing != level {
            let cause = self.frame(failing).tip;
            let parent = self.frame(failing).parent.expect("the level is an ancestor");
            let state = self.state_of(parent);
            let is_map = matches!(state.kind, StateKind::Map(_));
            if is_map {
                let index = u64::from(self.frame(failing).slot);
                self.emit(cause, EventKind::MapIterationFailed { state: state.id.0, index })?;
            }
            if failing == at && matches!(self.state_of(at).kind, StateKind::Task(_)) {
                self.emit(cause, EventKind::StateAborted { state: self.visit(at).state })?;
            }
            self.release(failing);
            let container = self.container(parent);
            for frame in container.first..container.first + container.length {
                let sibling = FrameId(frame);
                if sibling != failing && self.execution.frames.contains_key(&sibling) {
                    if is_map && !matches!(self.frame(sibling).position, Position::Ended { .. }) {
                        let index = u64::from(self.frame(sibling).slot);
                        self.emit(cause, EventKind::MapIterationAborted { state: state.id.0, index })?;
                    }
                    self.abort_frame(sibling, cause)?;
                }
            }
            self.frame_mut(parent).tip = cause;
            if !retries(parent) {
                let kind = if is_map { EventKind::MapStateFailed } else { EventKind::ParallelStateFailed };
                self.chain(parent, kind)?;
            }
            failing = parent;
        }
        Ok(())
    }

    /// A Parallel or Map state that fails by itself, not by a branch or an iteration, has its Failed event too
    /// (measured: a Map whose items cannot be made, a catcher whose output cannot).
    fn fail_itself(&mut self, at: FrameId, retries: bool) -> Run {
        let state = self.state_of(at);
        let kind = match state.kind {
            StateKind::Parallel(_) => EventKind::ParallelStateFailed,
            StateKind::Map(_) => EventKind::MapStateFailed,
            _ => return Ok(()),
        };
        // An ItemSelector fails while other iterations are under way.
        if let Work::Map(map) = &self.visit(at).work {
            let (frames, tip) = (map.frames, self.frame(at).tip);
            self.abort_container(frames, Some(state.id.0), tip)?;
        }
        if retries { Ok(()) } else { self.chain(at, kind).map(drop) }
    }

    /// Aborts what an open frame does, and what is open inside it.
    fn abort_frame(&mut self, id: FrameId, cause: EventId) -> Run {
        let Position::In(visit) = &self.frame(id).position else { return Ok(()) };
        let state = visit.state;
        match &visit.work {
            // Entered a moment ago. Only states that wait can be aborted: of the others AWS has no such event.
            Work::Entered { .. } | Work::Beginning => match self.state_of(id).kind {
                StateKind::Task(_) | StateKind::Wait(_) | StateKind::Parallel(_) | StateKind::Map(_) => {}
                StateKind::Pass(_) | StateKind::Choice(_) | StateKind::Succeed | StateKind::Fail(_) => return Ok(()),
            },
            Work::Waiting { .. } | Work::Retrying { .. } | Work::Task(_) => {}
            Work::Parallel(container) => self.abort_container(*container, None, cause)?,
            Work::Map(map) => self.abort_container(map.frames, Some(state), cause)?,
            Work::MapRun(open) => {
                if !open.ended {
                    self.emit(cause, EventKind::MapRunAborted)?;
                }
            }
        }
        self.emit(cause, EventKind::StateAborted { state })?;
        self.release(id);
        Ok(())
    }

    fn abort_container(&mut self, container: Container, map: Option<u32>, cause: EventId) -> Run {
        for frame in container.first..container.first + container.length {
            let id = FrameId(frame);
            let Some(child) = self.execution.frames.get(&id) else { continue };
            if let (Some(state), false) = (map, matches!(child.position, Position::Ended { .. })) {
                let index = u64::from(child.slot);
                self.emit(cause, EventKind::MapIterationAborted { state, index })?;
            }
            self.abort_frame(id, cause)?;
        }
        Ok(())
    }

    /// The frames that a Parallel or Map state opened.
    pub(crate) fn container(&self, id: FrameId) -> Container {
        match &self.visit(id).work {
            Work::Parallel(container) => *container,
            Work::Map(map) => map.frames,
            other => panic!("frame {id:?} opened no frames: {other:?}"),
        }
    }

    /// Removes the frames that a state opened, and theirs; the state stands at its beginning.
    pub(crate) fn remove_children(&mut self, id: FrameId) {
        let container = match &self.visit(id).work {
            Work::Parallel(container) => *container,
            Work::Map(map) => map.frames,
            _ => return,
        };
        self.remove_frames(container);
        self.visit_mut(id).work = Work::Beginning;
    }

    /// Removes the frames of a container, and theirs.
    pub(crate) fn remove_frames(&mut self, container: Container) {
        let range = container.first..container.first + container.length;
        for frame in range.clone() {
            let child = FrameId(frame);
            if let Some(Position::In(_)) = self.execution.frames.get(&child).map(|child| &child.position) {
                self.remove_children(child);
                self.release(child);
            }
            self.execution.frames.remove(&child);
            self.effects.changed.remove(&frame);
        }
        self.effects.removed.push(range);
    }

    /// "An error occurred while executing the state …", which stands before most causes of the interpreter's own.
    pub(crate) fn cause_prefix(&self, id: FrameId) -> String {
        if self.inspector.is_some() {
            // A state under test has no history to refer to (recorded).
            return String::new();
        }
        let visit = self.visit(id);
        let name = &self.state_of(id).name;
        format!(
            "An error occurred while executing the state '{name}' (entered at the event id #{}). ",
            visit.entered_event
        )
    }

    /// A `States.Runtime` failure of the state that a frame is in.
    pub(crate) fn runtime_error(&self, id: FrameId, rest: &str) -> Raised {
        Raised::new(Class::Fatal, "States.Runtime", self.cause_prefix(id) + rest)
    }

    pub(crate) fn evaluation_failed(&self, id: FrameId, error: &EvaluationError) -> Raised {
        evaluation_failure(self.cause_prefix(id), error)
    }

    pub(crate) fn data_failed(&self, id: FrameId, error: DataError) -> Raised {
        match error {
            DataError::Evaluation(error) => self.evaluation_failed(id, &error),
            DataError::ResultPath(message) => {
                Raised::new(Class::Other, "States.ResultPathMatchFailure", self.cause_prefix(id) + &message)
            }
        }
    }

    /// Numbers what a state passes on, if it is not too large.
    pub(crate) fn exit(
        &mut self,
        id: FrameId,
        output: Data,
        assigned: Vec<(Arc<str>, Payload)>,
        transition: Transition,
    ) -> Result<Run, Raised> {
        let output = self.limited(id, output)?;
        self.check_variables(id, &assigned)?;
        let assigned = assigned.into_iter().map(|(name, value)| (name, self.intern(value))).collect();
        Ok(self.leave(id, output, assigned, transition))
    }

    /// Takes data in as a payload, if it is neither too large nor too deep to be read back.
    pub(crate) fn limited(&mut self, id: FrameId, data: Data) -> Result<Payload, Raised> {
        if let Data::New(value) = &data {
            self.check_depth(id, value)?;
        }
        let payload = data.into_payload();
        if self.is_too_large(&payload) {
            return Err(too_large(&self.state_of(id).name));
        }
        Ok(self.intern(payload))
    }

    /// The limits of variables: one, one Assign together, and all that the state's scope sees.
    fn check_variables(&self, id: FrameId, assigned: &[(Arc<str>, Payload)]) -> Result<(), Raised> {
        if assigned.is_empty() {
            return Ok(());
        }
        for (_, value) in assigned {
            self.check_depth(id, value.value())?;
        }
        let bytes = |value: &Payload| value.text().len() as u64;
        let new: u64 = assigned.iter().map(|(_, value)| bytes(value)).sum();
        let mut all = new;
        let mut scope = Some(id);
        while let Some(frame) = scope.map(|scope| self.frame(scope)) {
            let is_replaced = |name: &Arc<str>| scope == Some(id) && assigned.iter().any(|(new, _)| new == name);
            let kept = frame.variables.iter().filter(|(name, _)| !is_replaced(name));
            all += kept.map(|(_, value)| bytes(value)).sum::<u64>();
            scope = frame.parent;
        }
        let limit = self.execution.info.limits.payload_bytes;
        if limit != 0 && (new > limit || all > limit * VARIABLES_PER_PAYLOAD) {
            return Err(too_large(&self.state_of(id).name));
        }
        Ok(())
    }

    /// A state that wraps its own input in a loop would build what no JSON parser takes.
    fn check_depth(&self, id: FrameId, value: &Value) -> Result<(), Raised> {
        too_deep(|| self.cause_prefix(id), value).map_or(Ok(()), Err)
    }

    pub(crate) fn is_too_large(&self, payload: &Payload) -> bool {
        let limit = self.execution.info.limits.payload_bytes;
        limit != 0 && payload.text().len() as u64 > limit
    }
}

/// The payload limit's failure. `what` is the state's, the service's or the function's name.
pub(crate) fn too_large(what: &str) -> Raised {
    let cause = format!(
        "The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."
    );
    Raised::new(Class::Other, "States.DataLimitExceeded", cause)
}

/// The failure of a JSONPath expression; `prefix` stands before its cause.
pub(crate) fn evaluation_failure(prefix: String, error: &EvaluationError) -> Raised {
    let (class, name) = match error.kind {
        ErrorKind::Runtime => (Class::Fatal, "States.Runtime"),
        ErrorKind::IntrinsicFailure => (Class::Other, "States.IntrinsicFailure"),
    };
    Raised::new(class, name, prefix + &error.message)
}

/// The failure of a JSONata expression.
pub(crate) fn query_failure(cause: String) -> Failure {
    Raised::new(Class::Other, "States.QueryEvaluationError", cause).failure
}

/// The failure of a value that is nested too deep, if it is.
pub(crate) fn too_deep(prefix: impl Fn() -> String, value: &Value) -> Option<Raised> {
    let depth = stepwright_querylang::depth(value);
    if depth <= MAX_DEPTH {
        return None;
    }
    let cause = format!("{}The value is nested {depth} levels deep; {MAX_DEPTH} is the limit.", prefix());
    Some(Raised::new(Class::Other, "States.DataLimitExceeded", cause))
}

/// The failure of a JSON text that is nested too deep.
pub(crate) fn text_too_deep(text: &str) -> Result<(), Failure> {
    let depth = nesting(text);
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    let cause = format!("The value is nested {depth} levels deep; {MAX_DEPTH} is the limit.");
    Err(Raised::new(Class::Other, "States.DataLimitExceeded", cause).failure)
}

/// How deep a JSON text is nested.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest): (usize, usize) = (0, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next()
                    && byte != b'"'
                {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

/// The first so many characters of a text.
fn cut(text: &Arc<str>, most: usize) -> Arc<str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Arc::from(&text[..end]),
        None => Arc::clone(text),
    }
}

fn retriers_and_catchers(state: &State) -> Option<(&[Retrier], &[Catcher])> {
    match &state.kind {
        StateKind::Task(task) => Some((&task.retry, &task.catch)),
        StateKind::Parallel(parallel) => Some((&parallel.retry, &parallel.catch)),
        StateKind::Map(map) => Some((&map.retry, &map.catch)),
        _ => None,
    }
}

/// Which errors a list of names matches: wildcards first, then names, exactly.
fn matches_error(names: &[Arc<str>], raised: &Raised, is_task: bool) -> bool {
    names.iter().any(|name| match &**name {
        "States.ALL" => true,
        // Also of a worker that reports a time-out by that name.
        "States.TaskFailed" => is_task && raised.class == Class::Task && !named(raised, "States.Timeout"),
        "States.Timeout" => matches!(raised.class, Class::Timeout | Class::Heartbeat) || named(raised, name),
        "States.HeartbeatTimeout" => raised.class == Class::Heartbeat || named(raised, name),
        _ => named(raised, name),
    })
}

fn named(raised: &Raised, name: &str) -> bool {
    raised.failure.error.as_deref() == Some(name)
}

/// The delay before a retry, jitter apart.
fn backoff_seconds(retrier: &Retrier, used: u32) -> f64 {
    // The rate's power may be infinite, and that times nothing is no number.
    if retrier.interval_seconds == 0 {
        return 0.0;
    }
    let most = retrier.max_delay_seconds.map_or(f64::from(u32::MAX), |seconds| seconds as f64);
    (retrier.interval_seconds as f64 * retrier.backoff_rate.powf(f64::from(used))).min(most)
}

/// The delay before a retry, in milliseconds. `used` is how often the retrier was used before.
fn delay(retrier: &Retrier, used: u32, draw: impl FnOnce() -> u64) -> Millis {
    let millis = (backoff_seconds(retrier, used) * 1_000.0).round();
    if !retrier.full_jitter || retrier.interval_seconds == 0 {
        return millis as Millis;
    }
    // 53 random bits: a uniform fraction in [0, 1).
    let fraction = (draw() >> 11) as f64 / (1_u64 << 53) as f64;
    (millis * fraction).round() as Millis
}
