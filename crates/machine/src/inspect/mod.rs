//! The test of one state: the very turn of an execution, of this state alone, with someone who looks on.
//!
//! The data flow is that of executions: where data goes from one step to the next, a turn [notes](Turn::note) it. Tasks,
//! branches and iterations are not run here: the test stands there until it is told what became of them. Nothing leads
//! on to another state, and nothing is written.

mod map;
mod noted;
mod reader;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use stepwright_asl::{Definition, State, StateId, StateKind, Transition};

pub(crate) use self::noted::Inspector;
pub use self::noted::{MapNotes, Noted};

use crate::{
    data_flow::Data,
    error_handling::{Class, Raised},
    execution::{Execution, ExecutionInfo, Status},
    frame::{Container, OpenTask, Position, Work},
    history::Failure,
    id::{FrameId, Millis},
    input::{Input, InputKind},
    payload::Payload,
    step::{Run, Turn},
};

/// What a state is tested with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The execution that the context object tells of. An empty role is shown as null.
    pub info: ExecutionInfo,
    /// The state's raw input, also the execution's.
    pub input: Payload,
    /// The variables that the state sees.
    pub variables: BTreeMap<Arc<str>, Payload>,
    /// The context object, in place of the one that is made.
    pub context: Option<Payload>,
    /// How often the retrier that takes an error was used before.
    pub retries: u32,
    /// What the reader of a Map's items found.
    pub reader_data: Option<Arc<str>>,
    /// Where pseudo-random draws start.
    pub seed: u64,
    /// Steps that all expressions together may take; after that each fails as one that took too long.
    pub steps: u64,
    /// Set by whoever no longer waits for the test: a Map evaluates no more of its items then.
    pub given_up: Arc<AtomicBool>,
}

/// Where a test stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// At a Task: this would be sent. It goes on with [`Inspection::succeed`], [`fail`](Inspection::fail) or
    /// [`time_out`](Inspection::time_out).
    Task(Box<OpenTask>),
    /// At the branches of a Parallel state or the iterations of a Map state. It goes on likewise.
    Container,
    /// In a Wait state, until then. It goes on with [`Inspection::wake`].
    Waiting(Millis),
    /// The state is over.
    Ended(Verdict),
}

/// What became of a state.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It ended well.
    Succeeded {
        /// Its output.
        output: Payload,
        /// Where it leads.
        next: Option<StateId>,
    },
    /// It failed, and a catcher took the error.
    Caught {
        /// The error.
        failure: Failure,
        /// What the catcher makes of it.
        output: Payload,
        /// Where the catcher leads.
        next: StateId,
    },
    /// It failed, and a retrier would try again.
    Retriable(Failure),
    /// It failed.
    Failed(Failure),
}

/// A state under test.
#[derive(Debug)]
pub struct Inspection {
    definition: Arc<Definition>,
    state: StateId,
    execution: Execution,
    inspector: Inspector,
    seed: u64,
    steps: u64,
}

impl Inspection {
    /// Enters the state, at this time.
    ///
    /// Panics on a broken invariant, as [`step`](crate::step) does.
    #[must_use]
    pub fn begin(definition: Arc<Definition>, state: StateId, setup: Setup, at: Millis) -> Self {
        let Setup { info, input, variables, context, retries, reader_data, seed, steps, given_up } = setup;
        let mut execution = Execution::new(info);
        execution.head.last_at = at;
        let mut test = Self {
            definition,
            state,
            execution,
            inspector: Inspector::new(context, retries, reader_data, given_up),
            seed,
            steps,
        };
        test.drive(at, |turn| {
            let flow = turn.definition.state(state).flow;
            let input = turn.intern(input);
            turn.execution.head.input = input.clone();
            turn.open_frame(FrameId::ROOT, None, 0, flow, 0, input.clone());
            let variables = variables.into_iter().map(|(name, value)| (name, turn.intern(value))).collect();
            turn.frame_mut(FrameId::ROOT).variables = variables;
            turn.note(|noted| noted.variables.clone_from(&turn.frame(FrameId::ROOT).variables));
            turn.enter(FrameId::ROOT, state, input)?;
            turn.visit_mut(FrameId::ROOT).retries = vec![retries];
            turn.begin(FrameId::ROOT)
        });
        test
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &State {
        self.definition.state(self.state)
    }

    /// The definition that it belongs to.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The execution that it seems to belong to.
    #[must_use]
    pub fn info(&self) -> &ExecutionInfo {
        &self.execution.info
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if let Some(closing) = &self.execution.head.closing {
            let failure = || Failure { error: closing.error.clone(), cause: closing.cause.clone() };
            return Standing::Ended(match (closing.status, &closing.output) {
                (Status::Succeeded, Some(output)) => Verdict::Succeeded { output: output.clone(), next: None },
                _ => Verdict::Failed(failure()),
            });
        }
        let noted = self.inspector.noted();
        let visit = match &self.execution.frames[&FrameId::ROOT].position {
            Position::Entering { state, input } => {
                let (output, next) = (input.clone(), StateId(*state));
                return Standing::Ended(match noted.handled {
                    Some(failure) => Verdict::Caught { failure, output, next },
                    None => Verdict::Succeeded { output, next: Some(next) },
                });
            }
            Position::In(visit) => visit,
            Position::Ended { .. } => unreachable!("the outermost frame closes the execution"),
        };
        if let Some(failure) = noted.handled {
            return Standing::Ended(Verdict::Retriable(failure));
        }
        match &visit.work {
            Work::Task(open) => Standing::Task(Box::new(open.clone())),
            Work::Waiting { timer: (_, due) } => Standing::Waiting(*due),
            Work::Parallel(_) => Standing::Container,
            other => unreachable!("a state under test stands nowhere else: {other:?}"),
        }
    }

    /// What was noted so far.
    #[must_use]
    pub fn noted(&self) -> Noted {
        self.inspector.noted()
    }

    /// The task, the branches or the iterations ended well.
    pub fn succeed(&mut self, result: Payload, at: Millis) {
        self.drive(at, |turn| {
            let state = turn.state_of(FrameId::ROOT);
            let result = turn.intern(result);
            let transition = match &state.kind {
                StateKind::Task(_) => return turn.answer_task(FrameId::ROOT, result),
                StateKind::Parallel(parallel) => parallel.transition,
                StateKind::Map(map) => map.transition,
                other => unreachable!("nothing is told to a state of this kind: {other:?}"),
            };
            turn.finish_inspected(state, result, transition)
        });
    }

    /// The task, a branch or an iteration failed. `States.Runtime` is what nobody can handle, whoever reports it.
    pub fn fail(&mut self, failure: Failure, at: Millis) {
        let fatal = failure.error.as_deref() == Some("States.Runtime");
        self.raise(Raised::reported(if fatal { Class::Fatal } else { Class::Task }, failure), at);
    }

    /// The task took too long.
    pub fn time_out(&mut self, at: Millis) {
        let failure = Failure { error: Some("States.Timeout".into()), cause: None };
        self.raise(Raised::reported(Class::Timeout, failure), at);
    }

    fn raise(&mut self, raised: Raised, at: Millis) {
        self.drive(at, |turn| turn.raise(FrameId::ROOT, raised));
    }

    /// The time came that a Wait state waits for.
    pub fn wake(&mut self, at: Millis) {
        let Work::Waiting { timer: (timer, _) } = self.work().clone() else { return };
        let seed = self.seed;
        self.drive(at, |turn| {
            // Always accepted: the timer is set.
            turn.take(&Input { at, seed, kind: InputKind::TimerFired { timer } });
            Ok(())
        });
    }

    fn work(&self) -> &Work {
        match &self.execution.frames[&FrameId::ROOT].position {
            Position::In(visit) => &visit.work,
            other => unreachable!("the state is over: {other:?}"),
        }
    }

    /// A part of the test, as one turn.
    fn drive(&mut self, at: Millis, part: impl FnOnce(&mut Turn<'_>) -> Run) {
        self.execution.begin_turn(at);
        let definition = Arc::clone(&self.definition);
        let mut turn = Turn::new(&definition, &mut self.execution, self.steps);
        turn.inspector = Some(&self.inspector);
        turn.set_seed(self.seed);
        // An execution that closed is one that closed.
        let _ = part(&mut turn);
        let _ = turn.raise_failures();
        let (effects, random) = turn.end();
        self.seed = random;
        self.steps = self.steps.saturating_sub(effects.steps);
    }
}

impl<'a> Turn<'a> {
    /// The branches or iterations are not run under test: the state stands as one that opened none.
    pub(crate) fn hand_over_container(&mut self, id: FrameId) -> Run {
        let frames = Container { first: 0, length: 0, ended: 0, last_event: self.frame(id).tip };
        self.visit_mut(id).work = Work::Parallel(frames);
        Ok(())
    }

    fn finish_inspected(&mut self, state: &'a State, result: Payload, transition: Transition) -> Run {
        self.visit_mut(FrameId::ROOT).work = Work::Beginning;
        let finished = if self.is_too_large(&result) {
            Err(crate::error_handling::too_large(&state.name))
        } else {
            self.finish(FrameId::ROOT, state, Data::Same(result), transition)
        };
        self.settle(FrameId::ROOT, finished)
    }
}
