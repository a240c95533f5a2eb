//! Parallel states: a frame for each branch, the result in the branches' order.

use serde_json::Value;
use stepwright_asl::{Parallel, QueryLanguage, State, Transition};

use crate::{
    data_flow::{self, Data},
    error_handling::Raised,
    frame::{Container, Position, Work},
    history::EventKind,
    id::{EventId, FrameId},
    step::{Run, Turn},
};

/// Since these rules, a Parallel or Map state that fails by itself keeps the results of its branches or iterations.
const KEEPS_RESULTS: u16 = 2;

impl Turn<'_> {
    pub(crate) fn begin_parallel(&mut self, id: FrameId, state: &State, parallel: &Parallel) -> Result<Run, Raised> {
        let raw = self.visit(id).input.clone();
        let environment = self.environment(id);
        let effective = match state.query_language {
            QueryLanguage::JsonPath => data_flow::input(&state.data, &raw, &environment)
                .and_then(|selected| data_flow::parameters(&state.data, selected, &environment))
                .map_err(|error| self.evaluation_failed(id, &error)),
            QueryLanguage::Jsonata => self.arguments(id, &state.jsonata, &raw, &environment),
        };
        drop(environment);
        let effective = effective?;
        let input = self.limited(id, effective)?;
        if self.inspector.is_some() {
            return Ok(self.hand_over_container(id));
        }
        Ok((|| {
            let started = self.chain(id, EventKind::ParallelStateStarted)?;
            let length = u32::try_from(parallel.branches.len()).expect("a definition has fewer branches");
            let first = self.reserve_frames(length);
            self.visit_mut(id).work = Work::Parallel(Container { first, length, ended: 0, last_event: started });
            for (slot, flow) in (0..).zip(&parallel.branches) {
                self.open_frame(FrameId(first + slot), Some(id), slot, *flow, started, input.clone());
            }
            Ok(())
        })())
    }

    pub(crate) fn branch_ended(&mut self, id: FrameId, state: &State, parallel: &Parallel, tip: EventId) -> Run {
        let Work::Parallel(container) = &mut self.visit_mut(id).work else { unreachable!("the state runs branches") };
        container.ended += 1;
        container.last_event = container.last_event.max(tip);
        let container = *container;
        if container.ended < container.length {
            return Ok(());
        }
        self.parallel_succeeded(id, state, parallel, container, container.last_event)
    }

    pub(crate) fn parallel_succeeded(
        &mut self,
        id: FrameId,
        state: &State,
        parallel: &Parallel,
        container: Container,
        previous: EventId,
    ) -> Run {
        let succeeded = self.emit(previous, EventKind::ParallelStateSucceeded)?;
        self.finish_container(id, state, container, (previous, succeeded), parallel.transition)
    }

    /// The end of a state whose branches or iterations all ended well. Its Exited event follows the last of them, as
    /// its Succeeded event does; a failure of its own (ResultSelector, …) follows the Succeeded event (measured).
    ///
    /// `last`: the event that both follow, and the Succeeded event.
    pub(super) fn finish_container(
        &mut self,
        id: FrameId,
        state: &State,
        container: Container,
        last: (EventId, EventId),
        transition: Transition,
    ) -> Run {
        let result = self.collect(container);
        // A redrive finds the results again, should it fail now.
        let keeps = self.execution.info.semantics >= KEEPS_RESULTS;
        if !keeps {
            self.remove_children(id);
        }
        let (previous, succeeded) = last;
        self.frame_mut(id).tip = previous;
        let finished = self.finish(id, state, result, transition);
        match &finished {
            Err(_) => self.frame_mut(id).tip = succeeded,
            Ok(_) if keeps => self.remove_frames(container),
            Ok(_) => {}
        }
        self.settle(id, finished)
    }

    /// The outputs of a container's frames, in their order.
    fn collect(&self, container: Container) -> Data {
        let outputs = (container.first..container.first + container.length)
            .map(|frame| match &self.frame(FrameId(frame)).position {
                Position::Ended { output } => output.value().clone(),
                other => panic!("frame {frame} has not ended: {other:?}"),
            })
            .collect();
        Data::New(Value::Array(outputs))
    }
}
