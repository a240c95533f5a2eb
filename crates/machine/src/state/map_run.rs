//! Distributed Map states: what their run is to do is decided here, at once; the run itself is elsewhere, and says how it
//! ended.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use stepwright_asl::{Map, MapMode, QueryLanguage, ResultPath, State, StateKind};

use crate::{
    context::STATE_DATA,
    data_flow::Data,
    effects::Command,
    error_handling::{Class, Raised, too_large},
    frame::{OpenMapRun, Position, Work},
    history::{EventKind, Failure},
    id::{EventId, FrameId, TaskId},
    map_run::{ItemSource, MapRunPlan, ReadAction, SelectorScope},
    payload::Payload,
    step::{Run, Turn},
};

/// What runs again from the beginning when it is redriven: its results together were too large.
const TOO_LARGE: &str = "States.DataLimitExceeded";

impl<'a> Turn<'a> {
    /// Decides what the run is to do, and begins it. Without items, its reader finds them.
    pub(super) fn begin_map_run(
        &mut self,
        id: FrameId,
        state: &State,
        map: &Map,
        input: Data,
        items: Option<Payload>,
        max_concurrency: u64,
    ) -> Result<Run, Raised> {
        let length = items.as_ref().map_or(0, |items| match items.value() {
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
            _ => unreachable!("an array or an object"),
        });
        // As recorded: it starts before it is known whether its fields are right.
        if let Err(halt) = self.chain(id, EventKind::MapStateStarted { length: length as u64 }) {
            return Ok(Err(halt));
        }
        let plan = self.plan_map_run(id, state, map, input, items, max_concurrency)?;
        Ok(self.start_map_run(id, plan))
    }

    fn plan_map_run(
        &mut self,
        id: FrameId,
        state: &State,
        map: &Map,
        input: Data,
        items: Option<Payload>,
        max_concurrency: u64,
    ) -> Result<MapRunPlan, Raised> {
        let tolerance = self.tolerance(id, map, input.value())?;
        let batching = match &map.run.batcher {
            Some(batcher) => Some(self.batching(id, batcher, input.value())?),
            None => None,
        };
        let (export, shape) = self.result_plan(id, map.run.writer.as_ref(), input.value())?;
        let (source, refusal) = match (items, &map.run.reader) {
            (Some(items), _) => (ItemSource::Payload(items), None),
            (None, Some(reader)) => {
                let (plan, refusal) = self.read_plan(id, reader, input.value())?;
                (ItemSource::Reader(Box::new(plan)), refusal)
            }
            (None, None) => unreachable!("a Map state has items or a reader"),
        };
        let selector = self.selector_scope(id, map, input, &source);
        let uuid = as_uuid(u128::from(self.draw()) << 64 | u128::from(self.draw()));
        let machine = &self.execution.info.state_machine_arn;
        // A child execution's machine has a label itself. Labels are unique in a definition, so one is enough.
        let machine = machine.split_once('/').map_or(&**machine, |(machine, _)| machine);
        let label = map.run.label.clone().unwrap_or_else(|| made_label(machine, state));
        let arn = format!("{}/{label}:{}", machine.replacen(":stateMachine:", ":mapRun:", 1), uuid_text(uuid));
        Ok(MapRunPlan {
            uuid,
            arn: arn.into(),
            label,
            state: state.id.0,
            state_name: Arc::clone(&state.name),
            flow: map.processor.0,
            is_express: map.mode == MapMode::DistributedExpress,
            source,
            selector,
            batching,
            max_concurrency,
            tolerated_failure_count: tolerance.count,
            tolerated_failure_percentage: tolerance.percentage,
            export,
            shape,
            discards: is_discarded(state),
            refusal,
            seed: self.draw(),
        })
    }

    /// What `ItemSelector` may read of the state as it is now.
    fn selector_scope(&mut self, id: FrameId, map: &Map, input: Data, source: &ItemSource) -> Option<SelectorScope> {
        let names: Vec<Arc<str>> = match (&map.item_selector, &map.item_selector_jsonata) {
            (Some(template), _) => template.variables().into_iter().map(Arc::from).collect(),
            (None, Some(template)) => template.variables().into_iter().map(Arc::from).collect(),
            (None, None) => return None,
        };
        let variables = names.into_iter().filter_map(|name| {
            let value = self.visible_variable(id, &name)?;
            Some((name, value))
        });
        let variables = variables.collect();
        let context = Payload::from_value(self.environment(id).lasting());
        Some(SelectorScope {
            context: self.intern(context),
            // Not limited: what was selected from a payload is no larger than it.
            input: self.intern(input.into_payload()),
            execution_input: self.execution.head.input.clone(),
            source: source_of(source),
            variables,
            at: self.now(),
            cause_prefix: self.cause_prefix(id).into(),
        })
    }

    fn visible_variable(&self, id: FrameId, name: &str) -> Option<Payload> {
        let mut frame = self.frame(id);
        loop {
            if let Some(value) = frame.variables.get(name) {
                return Some(value.clone());
            }
            frame = self.frame(frame.parent?);
        }
    }

    fn start_map_run(&mut self, id: FrameId, plan: MapRunPlan) -> Run {
        let arn = plan.arn.clone();
        self.chain(id, EventKind::MapRunStarted { arn: arn.clone() })?;
        let run = TaskId { frame: id, number: self.next_number() };
        self.visit_mut(id).work =
            Work::MapRun(OpenMapRun { run, uuid: plan.uuid, arn, ended: false, redrives: 0, result: None });
        self.effects.commands.push(Command::StartMapRun { run, plan: Box::new(plan) });
        Ok(())
    }

    /// Whether a state waits for that very run.
    pub(crate) fn map_run_is_open(&self, run: TaskId) -> bool {
        let Some(frame) = self.execution.frames.get(&run.frame) else { return false };
        matches!(&frame.position, Position::In(visit)
            if matches!(&visit.work, Work::MapRun(open) if open.run == run && !open.ended))
    }

    pub(crate) fn map_run_succeeded(&mut self, run: TaskId, output: Payload) -> Run {
        let id = run.frame;
        let open = self.open_map_run(id);
        open.ended = true;
        open.result = Some(output);
        let started = self.frame(id).tip;
        let succeeded = self.emit(started, EventKind::MapRunSucceeded)?;
        // As recorded: where the machine begins with the Map, its Exited event follows the run's success, and elsewhere
        // the run's start.
        let is_first = self.visit(id).entered_event <= FIRST_ENTERED;
        self.finish_map_run(id, if is_first { succeeded } else { started }, succeeded)
    }

    /// The end of a state whose run ended well. Its Exited event follows `previous`, its Succeeded event the run's.
    fn finish_map_run(&mut self, id: FrameId, previous: EventId, run_succeeded: EventId) -> Run {
        let (state, map) = self.map_of(id);
        let output = self.open_map_run(id).result.clone().expect("the run ended well");
        if self.is_too_large(&output) {
            self.frame_mut(id).tip = run_succeeded;
            return self.raise(id, too_large(&state.name));
        }
        let succeeded = self.emit(run_succeeded, EventKind::MapStateSucceeded)?;
        self.frame_mut(id).tip = previous;
        let finished = self.finish(id, state, Data::Same(output), map.transition);
        if finished.is_err() {
            self.frame_mut(id).tip = succeeded;
        }
        self.settle(id, finished)
    }

    pub(crate) fn map_run_failed(&mut self, run: TaskId, failure: Failure) -> Run {
        let id = run.frame;
        // What nobody can handle, whoever reports it.
        let is_fatal = failure.error.as_deref() == Some("States.Runtime");
        let raised = Raised::reported(if is_fatal { Class::Fatal } else { Class::Other }, failure);
        self.chain(id, EventKind::MapRunFailed(raised.failure.clone()))?;
        if raised.failure.error.as_deref() == Some(TOO_LARGE) {
            self.visit_mut(id).work = Work::Beginning;
        } else {
            self.open_map_run(id).ended = true;
        }
        self.raise(id, raised)
    }

    /// Nobody waits for the run any more. The frame keeps it: a redrive of the execution goes on with it.
    pub(crate) fn stop_map_run(&mut self, id: FrameId, open: &OpenMapRun) {
        if !open.ended {
            self.effects.commands.push(Command::StopMapRun { run: open.run, uuid: open.uuid });
            self.open_map_run(id).ended = true;
        }
    }

    /// A redrive of the execution: the run goes on, unless it ended well and only what was made of its result failed.
    pub(crate) fn redrive_map_run(&mut self, id: FrameId, redriven: EventId, is_too_large: bool) -> Run {
        let open = self.open_map_run(id);
        if open.result.is_some() {
            if !is_too_large {
                return self.finish_map_run(id, redriven, redriven);
            }
            self.visit_mut(id).work = Work::Beginning;
            self.resume(id);
            return Ok(());
        }
        open.ended = false;
        open.redrives = open.redrives.saturating_add(1);
        let (run, uuid, arn, count) = (open.run, open.uuid, open.arn.clone(), open.redrives);
        self.chain(id, EventKind::MapRunRedriven { arn, count })?;
        self.effects.commands.push(Command::RedriveMapRun { run, uuid });
        Ok(())
    }

    fn map_of(&self, id: FrameId) -> (&'a State, &'a Map) {
        let state = self.state_of(id);
        match &state.kind {
            StateKind::Map(map) => (state, map),
            _ => unreachable!("only Map states have map runs"),
        }
    }

    fn open_map_run(&mut self, id: FrameId) -> &mut OpenMapRun {
        match &mut self.visit_mut(id).work {
            Work::MapRun(open) => open,
            other => panic!("frame {id:?} has no map run: {other:?}"),
        }
    }
}

/// The number of the Entered event of an execution's first state.
const FIRST_ENTERED: EventId = 2;

/// Whether nothing in the state reads its result.
fn is_discarded(state: &State) -> bool {
    let flow = &state.data;
    let is_read = flow.result_selector.is_some() || flow.assign.is_some();
    state.query_language == QueryLanguage::JsonPath && matches!(flow.result_path, ResultPath::Discard) && !is_read
}

/// `Map.Item.Source` of the context object (AWS: documented).
fn source_of(source: &ItemSource) -> Arc<str> {
    let ItemSource::Reader(plan) = source else { return STATE_DATA.into() };
    let parameters: Value = serde_json::from_str(&plan.parameters).expect("written as JSON");
    let text = |name: &str| parameters.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match plan.action {
        ReadAction::GetObject => format!("S3://{}/{}", text("Bucket"), text("Key")).into(),
        ReadAction::ListObjects => format!("S3://{}", text("Bucket")).into(),
    }
}

/// The label of a state that has none of its own: the same for the same state of the same machine.
fn made_label(machine: &str, state: &State) -> Arc<str> {
    let digest = Sha256::new().chain_update(machine).chain_update([0]).chain_update(state.name.as_bytes()).finalize();
    let half: [u8; 16] = digest[..16].try_into().expect("sixteen bytes");
    uuid_text(as_uuid(u128::from_be_bytes(half))).into()
}

/// These bits as a UUID of version 4.
fn as_uuid(bits: u128) -> u128 {
    (bits & !(0xF << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62)
}

fn uuid_text(uuid: u128) -> String {
    let (head, tail) = ((uuid >> 64) as u64, uuid as u64);
    let (first, second, third) = (head >> 32, head >> 16 & 0xFFFF, head & 0xFFFF);
    format!("{first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}", tail >> 48, tail & 0xFFFF_FFFF_FFFF)
}
