//! Redrive: a closed execution goes on where it failed. Frames of executions that did not succeed are kept, so what is
//! here only wakes them: states that were entered and not left begin again, results of branches and iterations that
//! ended well stay (AWS: documented).

use crate::{
    effects::TimerKind,
    frame::{Container, Position, Work},
    history::EventKind,
    id::{EventId, FrameId},
    step::{Run, Turn, seconds_to_millis},
};

use stepwright_asl::StateKind;

/// What is thrown away with all its branches or iterations: their results together were too large.
const TOO_LARGE: &str = "States.DataLimitExceeded";

impl Turn<'_> {
    /// Goes on with an execution that closed without success.
    pub(crate) fn redrive(&mut self) -> Run {
        let now = self.now();
        let head = &mut self.execution.head;
        let closing = head.closing.take().expect("only closed executions are redriven");
        let count = head.redriven.map_or(0, |(count, _)| count).saturating_add(1);
        head.redriven = Some((count, now));
        let last = head.next_event - 1;
        if let Some(seconds) = self.timeout_seconds() {
            let due = now + seconds_to_millis(seconds);
            self.execution.head.timeout = Some(self.set_timer(FrameId::ROOT, due, TimerKind::ExecutionTimeout));
        }
        let redriven = self.emit(last, EventKind::ExecutionRedriven { count })?;
        if !self.execution.frames.contains_key(&FrameId::ROOT) {
            // It broke before its first state.
            let input = self.execution.head.input.clone();
            self.open_frame(FrameId::ROOT, None, 0, self.own_flow(), redriven, input);
            return Ok(());
        }
        self.wake(FrameId::ROOT, redriven, closing.error.as_deref() == Some(TOO_LARGE))
    }

    /// A frame goes on, and what is open inside it. Its next event follows the redrive's.
    fn wake(&mut self, id: FrameId, redriven: EventId, too_large: bool) -> Run {
        match &self.frame(id).position {
            Position::Ended { .. } => return Ok(()),
            Position::Entering { .. } => {
                self.frame_mut(id).tip = redriven;
                self.resume(id);
                return Ok(());
            }
            Position::In(_) => {}
        }
        self.frame_mut(id).tip = redriven;
        let visit = self.visit_mut(id);
        visit.retries.clear();
        let container = match &visit.work {
            Work::MapRun(_) => return self.redrive_map_run(id, redriven, too_large),
            Work::Parallel(container) => *container,
            Work::Map(map) => map.frames,
            _ => {
                // Only an end that the interpreter did not bring about left something open.
                self.release(id);
                self.visit_mut(id).work = Work::Beginning;
                self.resume(id);
                return Ok(());
            }
        };
        if container.ended < container.length {
            return self.wake_container(id, container, redriven, too_large);
        }
        if too_large {
            self.remove_children(id);
            self.resume(id);
            return Ok(());
        }
        // All of them ended well, and what was to be made of their results failed.
        let state = self.state_of(id);
        match &state.kind {
            StateKind::Parallel(parallel) => self.parallel_succeeded(id, state, parallel, container, redriven),
            StateKind::Map(map) => self.map_succeeded(id, state, map, container, redriven),
            _ => unreachable!("only Parallel and Map states open frames"),
        }
    }

    fn wake_container(&mut self, id: FrameId, container: Container, redriven: EventId, too_large: bool) -> Run {
        let mut open = 0;
        for frame in container.first..container.first + container.length {
            let child = FrameId(frame);
            let Some(found) = self.execution.frames.get(&child) else { continue };
            if !matches!(found.position, Position::Ended { .. }) {
                open += 1;
                self.wake(child, redriven, too_large)?;
            }
        }
        match &self.state_of(id).kind {
            StateKind::Map(map) => self.start_missing(id, map, redriven, open),
            _ => Ok(()),
        }
    }
}
