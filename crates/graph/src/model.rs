//! The graph of a definition: its states, and every way from one to another.

use std::sync::Arc;

use stepwright_asl::{
    Catcher, Definition, FlowId, MapMode, Resource, State, StateId, StateKind, Transition, WaitUntil,
};

use crate::condition;

/// A definition as a graph.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Every state at any depth, at the index that is its number.
    pub nodes: Vec<Node>,
    /// Every flow, at the index that is its number: the machine first, then branches and item processors.
    pub flows: Vec<Flow>,
    /// Every way, by the state that it leaves.
    pub edges: Vec<Edge>,
}

/// A state.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number in the definition.
    pub id: StateId,
    /// Its name, unique in the definition.
    pub name: Arc<str>,
    /// Its type.
    pub kind: Kind,
    /// What it does, short: `lambda:invoke`, `5 s`. May be empty.
    pub detail: String,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// The flows in it: a Parallel's branches, a Map's item processor.
    pub inside: Vec<FlowId>,
}

/// The type of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Calls a resource.
    Task,
    /// Shapes data.
    Pass,
    /// Chooses the next state.
    Choice,
    /// Waits.
    Wait,
    /// Ends its flow well.
    Succeed,
    /// Ends its flow with an error.
    Fail,
    /// Runs branches side by side.
    Parallel,
    /// Runs a flow for each item.
    Map,
}

impl Kind {
    /// The value of `Type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "Task",
            Self::Pass => "Pass",
            Self::Choice => "Choice",
            Self::Wait => "Wait",
            Self::Succeed => "Succeed",
            Self::Fail => "Fail",
            Self::Parallel => "Parallel",
            Self::Map => "Map",
        }
    }
}

/// States with a first one.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Where it begins.
    pub start: StateId,
    /// The state that it is in; none for the machine.
    pub owner: Option<StateId>,
    /// Its states, in document order.
    pub states: Vec<StateId>,
}

/// Which way out of a state is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// `Next`, or the end of the flow: `End`, and a Succeed state.
    Next,
    /// The choice rule with this index.
    Rule(usize),
    /// `Default` of a Choice.
    Default,
    /// The catcher with this index.
    Catch(usize),
}

/// A way out of a state.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The state it leaves.
    pub from: StateId,
    /// The state of the same flow that it leads to; none: the flow ends.
    pub to: Option<StateId>,
    /// Which way it is.
    pub way: Way,
    /// The rule, `Default`, or the errors caught; empty for `Next`.
    pub label: String,
}

impl Graph {
    /// The graph of a definition.
    #[must_use]
    pub fn of(definition: &Definition) -> Self {
        let mut flows: Vec<Flow> = definition
            .flows
            .iter()
            .map(|flow| Flow { start: flow.start_at, owner: flow.owner, states: Vec::new() })
            .collect();
        for state in &definition.states {
            flows[state.flow.0 as usize].states.push(state.id);
        }
        let mut edges = Vec::new();
        for state in &definition.states {
            ways(state, &mut edges);
        }
        Self { nodes: definition.states.iter().map(node).collect(), flows, edges }
    }

    /// The state with this number. Panics if the number is from another definition.
    #[must_use]
    pub fn node(&self, id: StateId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The flow with this number. Panics if the number is from another definition.
    #[must_use]
    pub fn flow(&self, id: FlowId) -> &Flow {
        &self.flows[id.0 as usize]
    }

    /// The state with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<StateId> {
        self.nodes.iter().find(|node| &*node.name == name).map(|node| node.id)
    }
}

fn node(state: &State) -> Node {
    let (kind, detail, inside) = match &state.kind {
        StateKind::Task(task) => (Kind::Task, resource(&task.resource), Vec::new()),
        StateKind::Pass(_) => (Kind::Pass, String::new(), Vec::new()),
        StateKind::Choice(_) => (Kind::Choice, String::new(), Vec::new()),
        StateKind::Wait(wait) => (Kind::Wait, waiting(&wait.until), Vec::new()),
        StateKind::Succeed => (Kind::Succeed, String::new(), Vec::new()),
        StateKind::Fail(_) => (Kind::Fail, String::new(), Vec::new()),
        StateKind::Parallel(parallel) => (Kind::Parallel, String::new(), parallel.branches.clone()),
        StateKind::Map(map) => {
            let detail = match map.mode {
                MapMode::Inline => "each item",
                MapMode::DistributedStandard | MapMode::DistributedExpress => "each item, distributed",
            };
            (Kind::Map, detail.to_owned(), vec![map.processor])
        }
    };
    Node { id: state.id, name: Arc::clone(&state.name), kind, detail, flow: state.flow, inside }
}

fn resource(resource: &Resource) -> String {
    let last = |arn: &str| arn.split(':').skip(6).collect::<Vec<_>>().join(":");
    match resource {
        Resource::LambdaFunction { arn } => format!("lambda {}", last(arn)),
        Resource::Activity { arn } => format!("activity {}", last(arn)),
        Resource::Integration(integration) => format!("{}:{}", integration.resource_type, integration.resource),
    }
}

fn waiting(until: &WaitUntil) -> String {
    match until {
        WaitUntil::Seconds(seconds) => format!("{seconds} s"),
        WaitUntil::SecondsPath(path) => format!("{} s", path.text()),
        WaitUntil::TimestampPath(path) => format!("until {}", path.text()),
        WaitUntil::Timestamp(_) => "until a time".to_owned(),
        WaitUntil::SecondsJsonata(expression) => format!("{} s", expression.text()),
        WaitUntil::TimestampJsonata(expression) => format!("until {}", expression.text()),
    }
}

fn ways(state: &State, edges: &mut Vec<Edge>) {
    let mut add = |to: Option<StateId>, way: Way, label: String| edges.push(Edge { from: state.id, to, way, label });
    let next = |transition: Transition| match transition {
        Transition::Next(next) => Some(next),
        Transition::End => None,
    };
    let none: &[Catcher] = &[];
    let (transition, catch) = match &state.kind {
        StateKind::Task(task) => (Some(task.transition), task.catch.as_slice()),
        StateKind::Pass(pass) => (Some(pass.transition), none),
        StateKind::Wait(wait) => (Some(wait.transition), none),
        StateKind::Parallel(parallel) => (Some(parallel.transition), parallel.catch.as_slice()),
        StateKind::Map(map) => (Some(map.transition), map.catch.as_slice()),
        StateKind::Succeed => (Some(Transition::End), none),
        StateKind::Fail(_) => (None, none),
        StateKind::Choice(choice) => {
            for (index, rule) in choice.rules.iter().enumerate() {
                add(Some(rule.next), Way::Rule(index), condition::text(&rule.condition));
            }
            if let Some(default) = choice.default {
                add(Some(default), Way::Default, "Default".to_owned());
            }
            (None, none)
        }
    };
    if let Some(transition) = transition {
        add(next(transition), Way::Next, String::new());
    }
    for (index, catcher) in catch.iter().enumerate() {
        let errors: Vec<&str> = catcher.error_equals.iter().map(|name| &**name).collect();
        add(Some(catcher.next), Way::Catch(index), format!("Catch {}", errors.join(", ")));
    }
}
