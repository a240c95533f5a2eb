//! Control flow of a turn: inputs come in, frames run until each waits for something or ends.
//!
//! Frames that can go on stand in a queue and take turns, one event-writing stride each, so branches and iterations
//! advance side by side. What a state does is in `state/`; what happens when it fails, in `error_handling`.

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use serde_json::Value;
use stepwright_asl::{Definition, FlowId, State, StateId, StateKind, Transition};

use crate::{
    context::{Budget, Environment},
    effects::{Command, Effects, Outcome, TimerKind},
    error_handling::Raised,
    execution::{Closing, Execution, Status, Workflow},
    frame::{Frame, Position, SetTimer, Visit, Work},
    history::{EventKind, Failure, HistoryEvent},
    id::{EventId, FrameId, Millis, TaskId, TimerId},
    input::{Input, InputKind},
    inspect::{Inspector, Noted},
    payload::{Payload, PayloadId},
};

/// States that one turn enters at most before it continues itself, so that no execution starves the others.
const STATES_PER_TURN: u32 = 1_000;
/// Bytes of new payloads and events after which a turn continues itself.
const BYTES_PER_TURN: usize = 1024 * 1024;
/// Steps of expressions after which a turn continues itself: a millisecond or so.
const STEPS_PER_TURN: u64 = 50_000;
/// What an event without payload costs, roughly.
const EVENT_BYTES: usize = 8;

/// One turn: begins a new turn and takes `inputs` in order. If none is accepted, nothing changes.
///
/// Panics on a broken invariant; the caller discards the execution's memory and quarantines it.
#[must_use]
pub fn step(definition: &Definition, execution: &mut Execution, inputs: &[Input]) -> Effects {
    step_within(definition, execution, inputs, u64::MAX).expect("no turn takes so many steps")
}

/// [`step`], given up once the expressions of the turn took so many steps. None: what is left of the execution is
/// worth nothing, and nothing happened.
#[must_use]
pub fn step_within(
    definition: &Definition,
    execution: &mut Execution,
    inputs: &[Input],
    steps: u64,
) -> Option<Effects> {
    let head = &execution.head;
    let before = (head.turn, head.turn_payloads, head.last_at);
    execution.begin_turn(inputs.iter().map(|input| input.at).fold(head.last_at, Millis::max));
    let effects = step_on_within(definition, execution, inputs, steps)?;
    if effects.inputs.is_empty() {
        // Nothing was accepted: there is no turn, and the next one takes its number.
        let head = &mut execution.head;
        (head.turn, head.turn_payloads, head.last_at) = before;
    }
    Some(effects)
}

/// More inputs for the turn that [`step`] began and that is not committed yet: [`Effects::absorb`] joins the two.
/// They happen at the time of the turn.
#[must_use]
pub fn step_on(definition: &Definition, execution: &mut Execution, inputs: &[Input]) -> Effects {
    step_on_within(definition, execution, inputs, u64::MAX).expect("no turn takes so many steps")
}

/// [`step_on`], given up as by [`step_within`]; `steps` are those of the whole turn.
#[must_use]
pub fn step_on_within(
    definition: &Definition,
    execution: &mut Execution,
    inputs: &[Input],
    steps: u64,
) -> Option<Effects> {
    let mut turn = Turn::new(definition, execution, steps);
    for input in inputs {
        let outcome = turn.take(input);
        turn.effects.outcomes.push(outcome);
    }
    let _ = turn.raise_failures();
    let (effects, _) = turn.end();
    (effects.steps < steps).then_some(effects)
}

/// The execution closed: nothing more happens in this turn.
pub(crate) struct Halt;

/// Goes on, or the execution closed.
pub(crate) type Run<T = ()> = Result<T, Halt>;

pub(crate) struct Turn<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) execution: &'a mut Execution,
    pub(crate) effects: Effects,
    queue: VecDeque<FrameId>,
    /// Tasks that ended badly, their events written, that no retrier or catcher has seen yet.
    failures: Vec<(TaskId, Raised)>,
    /// Frames go on in the next turn.
    paused: bool,
    random: Cell<u64>,
    /// Steps that expressions may take in the whole turn before it is given up.
    steps: u64,
    /// Steps that expressions took and that the length of the turn does not hold yet.
    spent: Cell<u64>,
    /// Who looks on, if the turn is the test of a state.
    pub(crate) inspector: Option<&'a Inspector>,
}

impl<'a> Turn<'a> {
    /// The turn that the execution's head tells of.
    pub(crate) fn new(definition: &'a Definition, execution: &'a mut Execution, steps: u64) -> Self {
        let effects = Effects {
            turn: execution.head.turn,
            at: execution.head.last_at,
            first_event: execution.head.next_event,
            ..Effects::default()
        };
        Turn {
            definition,
            execution,
            effects,
            queue: VecDeque::new(),
            failures: Vec::new(),
            paused: false,
            random: Cell::new(0),
            steps,
            spent: Cell::new(0),
            inspector: None,
        }
    }

    /// What it brought, and where the next pseudo-random draw would start.
    pub(crate) fn end(mut self) -> (Effects, u64) {
        self.count_steps();
        self.effects.steps = self.execution.length.steps;
        (self.effects, self.random.get())
    }
}

impl Turn<'_> {
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.random.set(seed);
    }

    pub(crate) fn take(&mut self, input: &Input) -> Outcome {
        // Nothing happens to a closed execution any more, unless it is redriven.
        let reopens = matches!(input.kind, InputKind::Redrive | InputKind::Pause);
        if self.execution.head.closing.is_some() && !reopens {
            return Outcome::Ignored;
        }
        // Tasks that end badly together are all recorded before the first of them has its consequences (recorded:
        // four task time-outs of one Map). Whatever else happens, happens after.
        let ends_task = match input.kind {
            InputKind::TaskFailed { .. } => true,
            InputKind::SubmitFailed { task, .. } => !self.is_answered(task),
            InputKind::TimerFired { timer } => {
                matches!(self.timer(timer), Some((TimerKind::TaskTimeout | TimerKind::Heartbeat, _)))
            }
            _ => false,
        };
        let settles = !ends_task && !self.failures.is_empty();
        if settles && self.raise_failures().is_err() {
            return Outcome::Ignored;
        }
        if !self.accepts(&input.kind) {
            if settles {
                // It changed nothing itself but was the reason why something happened now and not later.
                self.effects.inputs.push(Input { kind: InputKind::Settle, ..*input });
            }
            return Outcome::Ignored;
        }
        self.random.set(input.seed);
        let mut input = input.clone();
        if let InputKind::Start { input: payload }
        | InputKind::TaskSucceeded { output: payload, .. }
        | InputKind::TaskSubmitted { output: payload, .. }
        | InputKind::MapRunSucceeded { output: payload, .. } = &mut input.kind
        {
            *payload = self.intern(payload.clone());
        }
        self.effects.inputs.push(input.clone());
        let _ = self.apply(input.kind).and_then(|()| self.run());
        Outcome::Accepted
    }

    /// Remembers that a task ended badly.
    pub(crate) fn defer(&mut self, task: TaskId, raised: Raised) {
        self.failures.push((task, raised));
    }

    pub(crate) fn raise_failures(&mut self) -> Run {
        for (task, raised) in std::mem::take(&mut self.failures) {
            // What an earlier failure brought down with it has been dealt with.
            if self.task_is_open(task) {
                self.raise(task.frame, raised)?;
            }
        }
        self.run()
    }

    fn accepts(&self, kind: &InputKind) -> bool {
        match kind {
            InputKind::Start { .. } => self.execution.head.next_event == 1,
            InputKind::Continue => !self.execution.head.ready.is_empty(),
            InputKind::Redrive => {
                let closing = self.execution.head.closing.as_ref();
                closing.is_some_and(|closing| closing.status != Status::Succeeded)
            }
            InputKind::Stop { .. }
            | InputKind::Abandon { .. }
            | InputKind::Settle
            | InputKind::Pause
            | InputKind::Expire => true,
            InputKind::TimerFired { timer } | InputKind::HeartbeatGrace { timer } => self.timer(*timer).is_some(),
            InputKind::ActivityFound { task }
            | InputKind::ActivityMissing { task }
            | InputKind::TaskStarted { task, .. }
            | InputKind::TaskSubmitted { task, .. }
            | InputKind::TaskSucceeded { task, .. }
            | InputKind::TaskFailed { task, .. }
            | InputKind::SubmitFailed { task, .. }
            | InputKind::SubmitLost { task }
            | InputKind::Heartbeat { task } => self.task_accepts(*task, kind),
            InputKind::MapRunSucceeded { run, .. } | InputKind::MapRunFailed { run, .. } => self.map_run_is_open(*run),
        }
    }

    fn apply(&mut self, kind: InputKind) -> Run {
        match kind {
            InputKind::Start { input } => self.start(input),
            InputKind::Continue => {
                self.queue.extend(std::mem::take(&mut self.execution.head.ready));
                Ok(())
            }
            InputKind::ActivityFound { task } => self.activity_found(task),
            InputKind::ActivityMissing { task } => self.activity_missing(task),
            InputKind::TaskStarted { task, worker_name } => self.task_started(task, worker_name),
            InputKind::TaskSubmitted { task, output } => self.task_submitted(task, output),
            InputKind::TaskSucceeded { task, output } => self.task_succeeded(task, output),
            InputKind::TaskFailed { task, error, cause } => self.task_failed(task, Failure { error, cause }),
            InputKind::SubmitFailed { task, error, cause } => self.submit_failed(task, Failure { error, cause }),
            InputKind::SubmitLost { task } => self.submit_is_over(task),
            InputKind::Heartbeat { task } => {
                self.renew_heartbeat(task.frame);
                Ok(())
            }
            InputKind::HeartbeatGrace { timer } => {
                self.renew_heartbeat(timer.frame);
                Ok(())
            }
            InputKind::TimerFired { timer } => self.timer_fired(timer),
            InputKind::Settle => Ok(()),
            InputKind::Pause => {
                self.paused = true;
                Ok(())
            }
            InputKind::Redrive => self.redrive(),
            InputKind::MapRunSucceeded { run, output } => self.map_run_succeeded(run, output),
            InputKind::MapRunFailed { run, error, cause } => self.map_run_failed(run, Failure { error, cause }),
            InputKind::Expire => {
                let failure = Failure { error: Some("States.Timeout".into()), cause: None };
                let tip = self.execution.frames.get(&FrameId::ROOT).map_or(0, |root| root.tip);
                self.write(tip, EventKind::ExecutionTimedOut(failure.clone()));
                Err(self.close(Status::TimedOut, None, failure))
            }
            InputKind::Stop { error, cause } => {
                let failure = Failure { error, cause };
                self.write(0, EventKind::ExecutionAborted(failure.clone()));
                Err(self.close(Status::Aborted, None, failure))
            }
            InputKind::Abandon { cause } => {
                let failure = Failure { error: Some("States.Runtime".into()), cause: Some(cause) };
                let last = self.execution.head.next_event - 1;
                self.write(last, EventKind::ExecutionFailed(failure.clone()));
                Err(self.close(Status::Failed, None, failure))
            }
        }
    }

    fn start(&mut self, input: Payload) -> Run {
        self.execution.head.input = input.clone();
        let (from, lifetime) = match self.execution.info.workflow {
            Workflow::Standard => (self.now(), None),
            Workflow::Express { began_at, lasts_seconds, .. } => (began_at, Some(lasts_seconds)),
        };
        if let Some(seconds) = self.timeout_seconds().into_iter().chain(lifetime).min() {
            let due = from.saturating_add(seconds_to_millis(seconds));
            self.execution.head.timeout = Some(self.set_timer(FrameId::ROOT, due, TimerKind::ExecutionTimeout));
        }
        self.emit(0, EventKind::ExecutionStarted { input: input.clone() })?;
        self.open_frame(FrameId::ROOT, None, 0, self.own_flow(), 0, input);
        Ok(())
    }

    /// The flow that the execution runs.
    pub(crate) fn own_flow(&self) -> FlowId {
        FlowId(self.execution.info.flow)
    }

    /// The machine's `TimeoutSeconds`, which says nothing of the children of its map runs.
    pub(crate) fn timeout_seconds(&self) -> Option<u64> {
        if self.own_flow() == Definition::ROOT { self.definition.timeout_seconds } else { None }
    }

    /// Lets frames go on until all wait, the execution ends, or the turn is long enough.
    fn run(&mut self) -> Run {
        if self.inspector.is_some() {
            // A test ends with its state.
            self.queue.clear();
        }
        while let Some(id) = self.queue.pop_front() {
            self.count_steps();
            let length = self.execution.length;
            let is_long = length.states >= STATES_PER_TURN || length.bytes >= BYTES_PER_TURN;
            if is_long || length.steps >= STEPS_PER_TURN || self.paused {
                self.queue.push_front(id);
                if self.execution.head.ready.is_empty() {
                    self.effects.commands.push(Command::Continue);
                }
                self.execution.head.ready.extend(self.queue.drain(..));
                return Ok(());
            }
            // A frame may have been removed, or sent elsewhere, since it was queued.
            let Some(frame) = self.execution.frames.get(&id) else { continue };
            match &frame.position {
                Position::Entering { state, input } => {
                    let (state, input) = (StateId(*state), input.clone());
                    self.enter(id, state, input)?;
                }
                Position::In(Visit { work: Work::Entered { .. } | Work::Beginning, .. }) => self.begin(id)?,
                Position::In(_) | Position::Ended { .. } => {}
            }
        }
        Ok(())
    }

    pub(crate) fn enter(&mut self, id: FrameId, state: StateId, input: Payload) -> Run {
        self.count_state();
        let after = self.frame(id).tip;
        let event = self.chain(id, EventKind::StateEntered { state: state.0, input: input.clone() })?;
        let visit = Visit {
            state: state.0,
            input,
            entered_event: event,
            entered_at: self.now(),
            retries: Vec::new(),
            work: Work::Entered { after },
        };
        self.frame_mut(id).position = Position::In(visit);
        self.queue.push_back(id);
        Ok(())
    }

    /// The work of a state, from the beginning: after its Entered event, and again at each retry.
    pub(crate) fn begin(&mut self, id: FrameId) -> Run {
        let state = self.state_of(id);
        let begun = match &state.kind {
            StateKind::Pass(pass) => self.begin_pass(id, state, pass),
            StateKind::Task(task) => self.begin_task(id, state, task),
            StateKind::Choice(choice) => self.begin_choice(id, state, choice),
            StateKind::Wait(wait) => self.begin_wait(id, state, wait),
            StateKind::Succeed => self.begin_succeed(id, state),
            StateKind::Fail(fail) => self.begin_fail(id, state, fail),
            StateKind::Parallel(parallel) => self.begin_parallel(id, state, parallel),
            StateKind::Map(map) => self.begin_map(id, state, map),
        };
        self.settle(id, begun)
    }

    /// Takes a state's failure to its retriers and catchers.
    pub(crate) fn settle(&mut self, id: FrameId, result: Result<Run, Raised>) -> Run {
        match result {
            Ok(run) => run,
            Err(raised) => self.raise(id, raised),
        }
    }

    /// Leaves a state by writing its Exited event, and goes where it leads.
    pub(crate) fn leave(
        &mut self,
        id: FrameId,
        output: Payload,
        assigned: Vec<(Arc<str>, Payload)>,
        transition: Transition,
    ) -> Run {
        let state = self.visit(id).state;
        for (name, value) in &assigned {
            self.frame_mut(id).variables.insert(name.clone(), value.clone());
        }
        self.note(|noted| noted.variables.clone_from(&self.frame(id).variables));
        self.chain(id, EventKind::StateExited { state, output: output.clone(), assigned })?;
        match transition {
            Transition::Next(next) => {
                self.frame_mut(id).position = Position::Entering { state: next.0, input: output };
                self.queue.push_back(id);
                Ok(())
            }
            Transition::End => self.end_flow(id, output),
        }
    }

    /// A flow ended well: the execution, a branch, or an iteration.
    pub(crate) fn end_flow(&mut self, id: FrameId, output: Payload) -> Run {
        let tip = self.frame(id).tip;
        let Some(parent) = self.frame(id).parent else {
            self.write(tip, EventKind::ExecutionSucceeded { output: output.clone() });
            return Err(self.close(Status::Succeeded, Some(output), Failure::default()));
        };
        self.frame_mut(id).position = Position::Ended { output };
        let state = self.state_of(parent);
        match &state.kind {
            StateKind::Parallel(parallel) => self.branch_ended(parent, state, parallel, tip),
            StateKind::Map(map) => self.iteration_ended(parent, state, map, id),
            _ => unreachable!("only Parallel and Map states open frames"),
        }
    }

    /// Closes the execution: nothing of it stays open. Its closing event was written.
    pub(crate) fn close(&mut self, status: Status, output: Option<Payload>, failure: Failure) -> Halt {
        self.close_at(status, self.now(), output, failure)
    }

    pub(crate) fn close_at(&mut self, status: Status, at: Millis, output: Option<Payload>, failure: Failure) -> Halt {
        self.queue.clear();
        self.execution.head.ready.clear();
        if let Some((timer, due)) = self.execution.head.timeout.take() {
            self.effects.commands.push(Command::CancelTimer { timer, due });
        }
        let open: Vec<FrameId> = self.execution.frames.keys().copied().collect();
        for id in open {
            self.release(id);
        }
        if status == Status::Succeeded {
            self.execution.frames.clear();
            self.effects.changed.clear();
            self.effects.removed.push(0..self.execution.head.next_frame);
        }
        let closing = Closing { status, at, output, error: failure.error, cause: failure.cause };
        self.execution.head.closing = Some(closing.clone());
        self.effects.commands.push(Command::Finish(closing));
        Halt
    }

    fn timer_fired(&mut self, timer: TimerId) -> Run {
        let (kind, due) = self.timer(timer).expect("only set timers are accepted");
        self.effects.commands.push(Command::CancelTimer { timer, due });
        let id = timer.frame;
        match kind {
            TimerKind::ExecutionTimeout => {
                self.execution.head.timeout = None;
                let failure = Failure { error: Some("States.Timeout".into()), cause: self.outlived() };
                let tip = self.frame(FrameId::ROOT).tip;
                self.write(tip, EventKind::ExecutionTimedOut(failure.clone()));
                Err(self.close_at(Status::TimedOut, due, None, failure))
            }
            TimerKind::Wait => {
                let state = self.state_of(id);
                let result = self.end_wait(id, state);
                self.settle(id, result)
            }
            TimerKind::Retry => {
                self.visit_mut(id).work = Work::Beginning;
                self.queue.push_back(id);
                Ok(())
            }
            TimerKind::TaskTimeout | TimerKind::Heartbeat => self.task_timed_out(id, kind),
        }
    }

    /// What an execution whose time is up is told if it was not its definition that set the time.
    fn outlived(&self) -> Option<Arc<str>> {
        let Workflow::Express { lasts_seconds, .. } = self.execution.info.workflow else { return None };
        if self.timeout_seconds().is_some_and(|own| own <= lasts_seconds) {
            return None;
        }
        let time = match lasts_seconds {
            60 => "1 minute".to_owned(),
            minutes if minutes % 60 == 0 => format!("{} minutes", minutes / 60),
            seconds => format!("{seconds} seconds"),
        };
        Some(format!("Execution has exceeded its maximum lifetime of {time}.").into())
    }

    /// What a timer is for and when it is due, if it is set.
    fn timer(&self, timer: TimerId) -> Option<(TimerKind, Millis)> {
        let due_of = |set: &SetTimer| (set.0 == timer).then_some(set.1);
        if let Some(due) = self.execution.head.timeout.as_ref().and_then(due_of) {
            return Some((TimerKind::ExecutionTimeout, due));
        }
        let Position::In(visit) = &self.execution.frames.get(&timer.frame)?.position else { return None };
        match &visit.work {
            Work::Waiting { timer: set } => due_of(set).map(|due| (TimerKind::Wait, due)),
            Work::Retrying { timer: set } => due_of(set).map(|due| (TimerKind::Retry, due)),
            Work::Task(task) => task
                .timeout
                .as_ref()
                .and_then(due_of)
                .map(|due| (TimerKind::TaskTimeout, due))
                .or_else(|| task.heartbeat.as_ref().and_then(due_of).map(|due| (TimerKind::Heartbeat, due))),
            Work::Entered { .. } | Work::Beginning | Work::Parallel(_) | Work::Map(_) | Work::MapRun(_) => None,
        }
    }

    pub(crate) fn set_timer(&mut self, frame: FrameId, due: Millis, kind: TimerKind) -> SetTimer {
        let timer = TimerId { frame, number: self.next_number() };
        self.effects.commands.push(Command::SetTimer { timer, due, kind });
        (timer, due)
    }

    pub(crate) fn cancel_timer(&mut self, set: Option<SetTimer>) {
        if let Some((timer, due)) = set {
            self.effects.commands.push(Command::CancelTimer { timer, due });
        }
    }

    /// Stops what a frame waits for; it stands at the beginning of its state again, or at a map run that is over.
    pub(crate) fn release(&mut self, id: FrameId) {
        let Position::In(visit) = &self.frame(id).position else { return };
        match visit.work.clone() {
            Work::Waiting { timer } | Work::Retrying { timer } => self.cancel_timer(Some(timer)),
            Work::Task(task) => self.close_task(&task),
            Work::MapRun(open) => return self.stop_map_run(id, &open),
            Work::Entered { .. } | Work::Beginning | Work::Parallel(_) | Work::Map(_) => return,
        }
        self.visit_mut(id).work = Work::Beginning;
    }

    /// Opens a frame that is about to enter its flow's first state.
    pub(crate) fn open_frame(
        &mut self,
        id: FrameId,
        parent: Option<FrameId>,
        slot: u32,
        flow: FlowId,
        tip: EventId,
        input: Payload,
    ) {
        let state = self.definition.flow(flow).start_at.0;
        let position = Position::Entering { state, input };
        let frame = Frame { parent, slot, flow: flow.0, tip, variables: Default::default(), position };
        let before = self.execution.frames.insert(id, frame);
        assert!(before.is_none(), "a frame number is used once");
        self.effects.changed.insert(id.0);
        self.queue.push_back(id);
    }

    /// Reserves consecutive frame numbers.
    pub(crate) fn reserve_frames(&mut self, count: u32) -> u32 {
        let first = self.execution.head.next_frame;
        self.execution.head.next_frame = first.checked_add(count).expect("fewer than 2^32 frames in one execution");
        first
    }

    pub(crate) fn next_number(&mut self) -> u32 {
        let number = self.execution.head.next_number;
        self.execution.head.next_number = number.checked_add(1).expect("fewer than 2^32 tasks and timers");
        number
    }

    /// Counts what expressions took towards the length of the turn.
    fn count_steps(&mut self) {
        self.execution.length.steps += self.spent.take();
    }

    /// Counts towards the length of the turn.
    pub(crate) fn count_state(&mut self) {
        self.execution.length.states += 1;
    }

    pub(crate) fn resume(&mut self, id: FrameId) {
        self.queue.push_back(id);
    }

    /// Writes an event, unless the history is full: then the execution fails.
    pub(crate) fn emit(&mut self, previous: EventId, kind: EventKind) -> Run<EventId> {
        let id = self.execution.head.next_event;
        let limit = self.execution.info.limits.history_events;
        if limit != 0 && id >= limit {
            let cause = format!("The execution reached the maximum number of history events ({limit}).");
            let failure = Failure { error: Some("States.Runtime".into()), cause: Some(cause.into()) };
            self.write(id - 1, EventKind::ExecutionFailed(failure.clone()));
            return Err(self.close(Status::Failed, None, failure));
        }
        Ok(self.write(previous, kind))
    }

    /// Writes an event without looking at the limit: the closing events.
    pub(crate) fn write(&mut self, previous: EventId, kind: EventKind) -> EventId {
        let id = self.execution.head.next_event;
        assert!(previous < id, "an event follows another");
        let back = if previous == 0 { 0 } else { id - previous };
        self.execution.head.next_event = id + 1;
        self.execution.length.bytes += EVENT_BYTES;
        self.effects.events.push(HistoryEvent { back, kind });
        id
    }

    /// Writes an event into a frame's chain.
    pub(crate) fn chain(&mut self, id: FrameId, kind: EventKind) -> Run<EventId> {
        let event = self.emit(self.frame(id).tip, kind)?;
        self.frame_mut(id).tip = event;
        Ok(event)
    }

    /// Takes a payload into the execution. One that has a number keeps it.
    pub(crate) fn intern(&mut self, payload: Payload) -> Payload {
        if payload.id() != PayloadId::NEW {
            return payload;
        }
        let head = &mut self.execution.head;
        let id = PayloadId { turn: head.turn, index: head.turn_payloads };
        head.turn_payloads += 1;
        let payload = payload.with_id(id);
        self.execution.length.bytes += payload.text().len();
        self.effects.payloads.push(payload.clone());
        payload
    }

    pub(crate) fn now(&self) -> Millis {
        self.effects.at
    }

    pub(crate) fn frame(&self, id: FrameId) -> &Frame {
        self.execution.frames.get(&id).expect("an open frame")
    }

    /// A frame to change: it will be part of the commit.
    pub(crate) fn frame_mut(&mut self, id: FrameId) -> &mut Frame {
        self.effects.changed.insert(id.0);
        self.execution.frames.get_mut(&id).expect("an open frame")
    }

    pub(crate) fn visit(&self, id: FrameId) -> &Visit {
        match &self.frame(id).position {
            Position::In(visit) => visit,
            other => panic!("frame {id:?} is in no state: {other:?}"),
        }
    }

    pub(crate) fn visit_mut(&mut self, id: FrameId) -> &mut Visit {
        match &mut self.frame_mut(id).position {
            Position::In(visit) => visit,
            other => panic!("frame {id:?} is in no state: {other:?}"),
        }
    }

    pub(crate) fn environment(&self, id: FrameId) -> Environment<'_> {
        let steps = self.steps.saturating_sub(self.execution.length.steps);
        let budget = Budget { steps, spent: &self.spent };
        let environment = Environment::new(self.execution, self.definition, &self.random, budget, self.now(), id);
        match self.inspector {
            None => environment,
            Some(inspector) => environment.inspected(inspector),
        }
    }

    /// Notes something for whoever looks on.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Noted)) {
        if let Some(inspector) = self.inspector {
            inspector.note(note);
        }
    }

    /// 64 random bits that follow from the input's seed.
    pub(crate) fn draw(&self) -> u64 {
        next_random(&self.random)
    }
}

impl<'a> Turn<'a> {
    /// The state that a frame is in.
    pub(crate) fn state_of(&self, id: FrameId) -> &'a State {
        let definition: &'a Definition = self.definition;
        definition.state(StateId(self.visit(id).state))
    }
}

/// The next number of a splitmix64 sequence: small, and the same on every machine.
pub(crate) fn next_random(state: &Cell<u64>) -> u64 {
    let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    state.set(next);
    let mut z = next;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Seconds as milliseconds, cut at what a clock can hold.
pub(crate) fn seconds_to_millis(seconds: u64) -> Millis {
    Millis::try_from(seconds.saturating_mul(1_000)).unwrap_or(Millis::MAX / 4)
}

/// An empty object.
pub(crate) fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}
