//! The checker: walks the tree of a definition once, says what is wrong where, and builds the typed form.
//!
//! It never stops at the first error and never fails. Whatever it could not build stays absent, and something
//! absent always has an error diagnostic that says why.

pub(crate) mod choice;
mod data;
mod distributed;
pub(crate) mod fields;
mod flow;
mod graph;
mod jsonata;
mod map;
mod number;
mod retry;
pub(crate) mod state;
mod task;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::definition::{Flow, FlowId, QueryLanguage, State, StateId};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::json::{Member, Node, NodeValue};
use crate::{LONE_STATE, Options, Parsed, SdkService, Unsupported};

use fields::Fields;
use graph::Walk;
use number::Numbering;
pub(crate) use number::{processor, variable_name};

/// A definition has at most this many diagnostics; further ones are not collected. A definition of a megabyte can
/// hold more errors than anyone wants to read or send.
const MAX_DIAGNOSTICS: usize = 1_000;

/// The same for the bytes of their messages and locations: a long name would be repeated in each.
const MAX_DIAGNOSTIC_BYTES: usize = 1 << 20;

pub(crate) struct Checker<'t> {
    options: &'t Options,
    /// What kind of workflow the current flow is part of.
    workflow: crate::MachineType,
    machine_language: QueryLanguage,
    numbering: Numbering<'t>,
    diagnostics: Vec<Diagnostic>,
    /// What the graph has to say comes after everything else, by flow.
    graph_diagnostics: Vec<(FlowId, Diagnostic)>,
    unsupported: Vec<Unsupported>,
    /// Bytes of all messages and locations so far.
    bytes: usize,
    failed: bool,
    /// The slash path of what is being checked; empty at the root.
    location: String,
    /// How much of it leads to the state being checked, the slash behind it included.
    state_location: usize,
    state_names: HashSet<&'t str>,
    labels: HashSet<&'t str>,
    /// The services of SDK integrations that were looked up.
    sdk_services: HashMap<String, Option<Arc<dyn SdkService>>>,
    states: Vec<Option<State>>,
    flows: Vec<Option<Flow>>,
    /// The flow being walked.
    walk: Walk,
    /// Flows whose variables the current flow can read, the current one last.
    scope: Vec<FlowId>,
    /// Of a state that stands alone: the states that it leads to, with their numbers.
    elsewhere: Option<HashMap<&'t str, usize>>,
}

/// Checks a whole definition.
pub(crate) fn definition(root: &Node, options: &Options) -> Parsed {
    let mut checker = Checker::new(root, options);
    let timeout_seconds = checker.machine(root);
    checker.finish(timeout_seconds)
}

/// Checks a state that stands alone, as the only one of a machine, and gives the names of the states that it leads to.
pub(crate) fn lone_state(state: Node, options: &Options) -> (Parsed, Vec<Arc<str>>) {
    let (start, end) = (state.start, state.end);
    let place = |value: NodeValue| Node { value, start, end };
    let member = |key: &str, value: Node| Member { key: key.to_owned(), start, end, value };
    let states = place(NodeValue::Object(vec![member(LONE_STATE, state)]));
    let start_at = place(NodeValue::String(LONE_STATE.to_owned()));
    let root = place(NodeValue::Object(vec![member("StartAt", start_at), member("States", states)]));
    let mut checker = Checker::new(&root, options);
    checker.elsewhere = Some(HashMap::new());
    let timeout_seconds = checker.machine(&root);
    let mut elsewhere: Vec<_> = checker.elsewhere.take().unwrap_or_default().into_iter().collect();
    elsewhere.sort_unstable_by_key(|(_, number)| *number);
    let elsewhere = elsewhere.into_iter().map(|(name, _)| name.into()).collect();
    (checker.finish(timeout_seconds), elsewhere)
}

impl<'t> Checker<'t> {
    fn new(root: &'t Node, options: &'t Options) -> Self {
        let numbering = Numbering::new(root);
        Checker {
            options,
            workflow: options.machine_type,
            machine_language: QueryLanguage::JsonPath,
            states: (0..numbering.states).map(|_| None).collect(),
            flows: (0..numbering.flows.len()).map(|_| None).collect(),
            numbering,
            diagnostics: Vec::new(),
            graph_diagnostics: Vec::new(),
            unsupported: Vec::new(),
            bytes: 0,
            failed: false,
            location: String::new(),
            state_location: 0,
            state_names: HashSet::new(),
            labels: HashSet::new(),
            sdk_services: HashMap::new(),
            walk: Walk::new(FlowId(0)),
            scope: Vec::new(),
            elsewhere: None,
        }
    }

    fn finish(mut self, timeout_seconds: Option<u64>) -> Parsed {
        // Stable: within a flow the order of discovery stays.
        self.graph_diagnostics.sort_by_key(|(flow, _)| *flow);
        let mut diagnostics = self.diagnostics;
        diagnostics.extend(self.graph_diagnostics.into_iter().map(|(_, diagnostic)| diagnostic));
        let states: Option<Vec<State>> = self.states.into_iter().collect();
        let flows: Option<Vec<Flow>> = self.flows.into_iter().collect();
        let definition = if self.failed {
            None
        } else {
            let states = states.expect("a state that was not built has an error diagnostic");
            let flows = flows.expect("a flow that was not built has an error diagnostic");
            Some(crate::Definition { query_language: self.machine_language, timeout_seconds, flows, states })
        };
        Parsed { definition, diagnostics, unsupported: self.unsupported }
    }

    /// Checks something one step further down: a member `/name` or an item `[index]`.
    fn below<R>(&mut self, step: &Step<'_>, check: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.location.len();
        match step {
            Step::Member(name) => {
                self.location.push('/');
                self.location.push_str(name);
            }
            Step::Item(name, index) => {
                self.location.push_str(&format!("/{name}[{index}]"));
            }
        }
        let result = check(self);
        self.location.truncate(length);
        result
    }

    fn here(&self) -> String {
        if self.location.is_empty() { "/".to_owned() } else { self.location.clone() }
    }

    /// Notes that there is something to say, and whether there is room to say it.
    fn room(&mut self, code: Code, message: &str) -> bool {
        self.failed |= code.severity() == Severity::Error;
        self.bytes += message.len() + self.location.len();
        let so_far = self.diagnostics.len() + self.graph_diagnostics.len();
        so_far < MAX_DIAGNOSTICS && (self.bytes < MAX_DIAGNOSTIC_BYTES || so_far == 0)
    }

    /// Something about the object or value being checked.
    fn say(&mut self, code: Code, message: impl Into<String>, node: &Node) {
        let message = message.into();
        if self.room(code, &message) {
            let location = Some(self.here());
            self.diagnostics.push(Diagnostic { location, ..Diagnostic::new(code, message).spanning(node) });
        }
    }

    /// A structural error in the object or value being checked.
    fn invalid(&mut self, message: impl Into<String>, node: &Node) {
        self.say(Code::SchemaValidationFailed, message, node);
    }

    /// A structural error in a member of the object being checked.
    fn invalid_member(&mut self, name: &str, message: impl Into<String>, node: &Node) {
        self.below(&Step::Member(name), |checker| checker.invalid(message, node));
    }

    fn not_supported_yet(&mut self, feature: impl Into<String>) {
        let feature = feature.into();
        if self.unsupported.len() < MAX_DIAGNOSTICS && self.bytes < MAX_DIAGNOSTIC_BYTES {
            self.bytes += feature.len() + self.location.len();
            self.unsupported.push(Unsupported { feature, location: self.here() });
        }
    }

    /// The machine object. Returns its time-out.
    fn machine(&mut self, root: &'t Node) -> Option<u64> {
        let fields = self.object(root)?;
        self.only(&fields, fields::MACHINE, QueryLanguage::JsonPath);
        self.required(&fields, &["States", "StartAt"]);
        self.string(&fields, "Comment");
        self.one_of(&fields, "Version", &["1.0"]);
        self.machine_language = self.query_language(&fields).unwrap_or_default();
        // Measured: 0 is accepted at the top level, where it means no time-out.
        let timeout = self.integer(&fields, "TimeoutSeconds", 0, number_limits::MAX_SECONDS);
        self.flow(&fields, FlowId(0), None);
        timeout.filter(|&seconds| seconds > 0)
    }

    fn query_language(&mut self, fields: &Fields<'t>) -> Option<QueryLanguage> {
        match self.one_of(fields, "QueryLanguage", &["JSONPath", "JSONata"])? {
            "JSONata" => Some(QueryLanguage::Jsonata),
            _ => Some(QueryLanguage::JsonPath),
        }
    }
}

/// A step of a location.
enum Step<'s> {
    /// `/name`
    Member(&'s str),
    /// `/name[index]`
    Item(&'s str, usize),
}

/// Ranges that the service checks in definitions.
mod number_limits {
    /// 99 999 999: of every number of seconds, and of retries.
    pub(super) const MAX_SECONDS: u64 = 99_999_999;
    /// Of `MaxDelaySeconds`: less than 366 days.
    pub(super) const MAX_DELAY_SECONDS: u64 = 31_622_399;
    /// Of `MaxItems`.
    pub(super) const MAX_ITEMS: u64 = 100_000_000;
    /// Of `MaxInputBytesPerBatch`.
    pub(super) const MAX_BATCH_BYTES: u64 = 262_144;
    /// Where the service has no upper bound.
    pub(super) const NONE: u64 = u64::MAX;
}

/// A state being checked.
#[derive(Clone, Copy)]
struct Context {
    id: StateId,
    language: QueryLanguage,
}
