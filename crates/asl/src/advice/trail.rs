//! The way from the root of a definition to a place in its text, and what kind of object stands there.

use crate::Span;
use crate::check::fields::{self, Allowed};
use crate::json::{Member, Node, NodeValue};

/// What an object is, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Machine,
    Branch,
    Processor,
    ProcessorConfig,
    /// The members are states, by name.
    States,
    State,
    Retrier,
    Catcher,
    Rule,
    /// A condition within a rule.
    Nested,
    ItemReader,
    ReaderConfig,
    ItemBatcher,
    ResultWriter,
    WriterConfig,
    /// Whatever a state's author wants.
    Data,
}

/// The nodes from the root to one, with the key of each in the object that it is in.
pub(super) struct Trail<'t> {
    steps: Vec<(&'t Node, Option<&'t Member>, Role)>,
}

impl<'t> Trail<'t> {
    /// The way to the node that stands at a place, or the last one that holds it.
    pub(super) fn to(root: &'t Node, span: Option<&Span>) -> Self {
        let mut steps = vec![(root, None, Role::Machine)];
        let Some(span) = span else { return Self { steps } };
        let holds = |node: &Node| node.start <= span.start && span.end <= node.end;
        let mut at = (root, Role::Machine);
        while at.0.start != span.start || at.0.end != span.end {
            let (node, role) = at;
            let next = match &node.value {
                NodeValue::Object(members) => members
                    .iter()
                    .find(|member| holds(&member.value))
                    .map(|member| (&member.value, Some(member), below(role, &member.key))),
                NodeValue::Array(items) => items.iter().find(|item| holds(item)).map(|item| (item, None, role)),
                _ => None,
            };
            let Some(step) = next else { break };
            at = (step.0, step.2);
            steps.push(step);
        }
        Self { steps }
    }

    pub(super) fn is_root(&self) -> bool {
        self.steps.len() == 1
    }

    /// The node itself.
    pub(super) fn node(&self) -> Option<&'t Node> {
        self.steps.last().map(|step| step.0)
    }

    /// The member that it is the value of.
    pub(super) fn member(&self) -> Option<&'t Member> {
        self.steps.last().and_then(|step| step.1)
    }

    /// The object that it is a member of, arrays left out, and what that is.
    pub(super) fn parent(&self) -> Option<(&'t Node, Role)> {
        let above = &self.steps[..self.steps.len().saturating_sub(1)];
        above.iter().rev().find(|step| step.0.as_object().is_some()).map(|step| (step.0, step.2))
    }

    /// The state that it is in, or is.
    pub(super) fn state(&self) -> Option<&'t Node> {
        self.steps.iter().rev().find(|step| step.2 == Role::State && step.0.as_object().is_some()).map(|step| step.0)
    }

    /// The states of the flow that it is in.
    pub(super) fn states(&self) -> Option<&'t [Member]> {
        self.steps
            .iter()
            .rev()
            .find(|step| {
                matches!(step.2, Role::Machine | Role::Branch | Role::Processor) && step.0.get("States").is_some()
            })
            .and_then(|step| step.0.get("States"))
            .and_then(Node::as_object)
    }
}

/// What the value of a member is. Items of arrays are what their array is.
fn below(role: Role, key: &str) -> Role {
    match (role, key) {
        (Role::Machine | Role::Branch | Role::Processor, "States") => Role::States,
        (Role::States, _) => Role::State,
        (Role::State, "Branches") => Role::Branch,
        (Role::State, "ItemProcessor" | "Iterator") => Role::Processor,
        (Role::Processor, "ProcessorConfig") => Role::ProcessorConfig,
        (Role::State, "Retry") => Role::Retrier,
        (Role::State, "Catch") => Role::Catcher,
        (Role::State, "Choices") => Role::Rule,
        (Role::Rule | Role::Nested, "And" | "Or" | "Not") => Role::Nested,
        (Role::State, "ItemReader") => Role::ItemReader,
        (Role::ItemReader, "ReaderConfig") => Role::ReaderConfig,
        (Role::State, "ItemBatcher") => Role::ItemBatcher,
        (Role::State, "ResultWriter") => Role::ResultWriter,
        (Role::ResultWriter, "WriterConfig") => Role::WriterConfig,
        _ => Role::Data,
    }
}

/// The fields that an object may have; none: any.
pub(super) fn allowed(role: Role, node: &Node) -> Option<&'static [Allowed]> {
    Some(match role {
        Role::Machine => fields::MACHINE,
        Role::Branch => fields::BRANCH,
        Role::Processor => fields::PROCESSOR,
        Role::ProcessorConfig => fields::PROCESSOR_CONFIG,
        Role::State => of_type(node.get("Type")?.as_str()?)?,
        Role::Retrier => fields::RETRIER,
        Role::Catcher => fields::CATCHER,
        Role::ItemReader => fields::ITEM_READER,
        Role::ReaderConfig => fields::READER_CONFIG,
        Role::ItemBatcher => fields::ITEM_BATCHER,
        Role::ResultWriter => fields::RESULT_WRITER,
        Role::WriterConfig => fields::WRITER_CONFIG,
        Role::States | Role::Rule | Role::Nested | Role::Data => return None,
    })
}

/// The fields of a type of states.
pub(super) fn of_type(name: &str) -> Option<&'static [Allowed]> {
    Some(match name {
        "Task" => fields::TASK,
        "Parallel" => fields::PARALLEL,
        "Map" => fields::MAP,
        "Pass" => fields::PASS,
        "Wait" => fields::WAIT,
        "Choice" => fields::CHOICE,
        "Succeed" => fields::SUCCEED,
        "Fail" => fields::FAIL,
        _ => return None,
    })
}

/// Whether a state of this name is anywhere in the definition.
pub(super) fn has_state(root: &Node, name: &str) -> bool {
    fn flow(node: &Node, name: &str) -> bool {
        node.get("States").and_then(Node::as_object).unwrap_or_default().iter().any(|member| {
            let state = &member.value;
            let branches = state.get("Branches").and_then(Node::as_array).unwrap_or_default().iter();
            let processors = ["ItemProcessor", "Iterator"].into_iter().filter_map(|key| state.get(key));
            member.key == name || branches.chain(processors).any(|inside| flow(inside, name))
        })
    }
    flow(root, name)
}
