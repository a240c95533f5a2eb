//! States: the fields that all types share, and the types that need few of their own.
//! Task, Choice, Map and the fields of data flow have files of their own.

use std::sync::Arc;

use stepwright_querylang::jsonata::Members;

use super::data::Roots;
use super::fields::{self, Fields};
use super::{Checker, Context, Step, number_limits};
use crate::definition::{
    DataFlow, Fail, FlowId, JsonataFields, NumberField, Parallel, Pass, QueryLanguage, State, StateId, StateKind,
    TextField, Wait, WaitUntil,
};
use crate::diagnostic::Code;
use crate::json::{Member, Node, NodeValue};
use crate::timestamp::parse_timestamp;

pub(crate) const TYPES: [&str; 8] = ["Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map"];

impl<'t> Checker<'t> {
    /// One state.
    pub(super) fn state(&mut self, name: &str, node: &'t Node, id: StateId, flow: FlowId) -> Option<State> {
        self.walk.from = id;
        let Some(fields) = self.object(node) else {
            self.unclear();
            return None;
        };
        let Some(kind) = self.state_type(&fields) else {
            self.unclear();
            return None;
        };
        let language = self.state_language(&fields);
        let context = Context { id, language };
        // States lie in states: what comes after those of a branch is this one's again.
        let outer = std::mem::replace(&mut self.state_location, self.location.len() + 1);
        let state = self.state_fields(name, &fields, kind, context, flow);
        self.state_location = outer;
        state
    }

    fn state_fields(
        &mut self,
        name: &str,
        fields: &Fields<'t>,
        kind: &str,
        context: Context,
        flow: FlowId,
    ) -> Option<State> {
        let Context { id, language } = context;
        let allowed = match kind {
            "Task" => fields::TASK,
            "Parallel" => fields::PARALLEL,
            "Map" => fields::MAP,
            "Pass" => fields::PASS,
            "Wait" => fields::WAIT,
            "Choice" => fields::CHOICE,
            "Succeed" => fields::SUCCEED,
            _ => fields::FAIL,
        };
        self.only(fields, allowed, language);
        self.string(fields, "Comment");
        let (data, jsonata) = match language {
            QueryLanguage::JsonPath => (self.data_flow(fields, kind == "Map"), JsonataFields::default()),
            QueryLanguage::Jsonata => {
                let has_result = matches!(kind, "Task" | "Parallel" | "Map");
                let members = if has_result { Members::RESULT } else { Members::INPUT };
                (DataFlow::default(), self.jsonata_fields(fields, members))
            }
        };
        let kind = match kind {
            "Task" => self.task(fields, context).map(|task| StateKind::Task(Box::new(task))),
            "Parallel" => self.parallel(fields, context).map(StateKind::Parallel),
            "Map" => self.map(fields, context).map(|map| StateKind::Map(Box::new(map))),
            "Pass" => self.pass(fields).map(StateKind::Pass),
            "Wait" => self.wait(fields, context).map(StateKind::Wait),
            "Choice" => self.choice(fields, context).map(StateKind::Choice),
            "Succeed" => {
                self.terminal();
                Some(StateKind::Succeed)
            }
            _ => {
                self.terminal();
                Some(StateKind::Fail(self.fail(fields, context)))
            }
        };
        let kind = kind?;
        Some(State { id, name: Arc::from(name), flow, query_language: language, data, jsonata, kind })
    }

    fn state_type(&mut self, fields: &Fields<'t>) -> Option<&'t str> {
        if !self.required(fields, &["Type"]) {
            return None;
        }
        let node = fields.get("Type")?;
        let kind = node.as_str().filter(|kind| TYPES.contains(kind));
        if kind.is_none() {
            let message = format!("The field 'Type' should have one of these values: [{}]", TYPES.join(", "));
            self.invalid_member("Type", message, node);
        }
        kind
    }

    /// The state's own language, else the machine's; never that of an enclosing state.
    fn state_language(&mut self, fields: &Fields<'t>) -> QueryLanguage {
        let own = self.query_language(fields);
        if own == Some(QueryLanguage::JsonPath) && self.machine_language == QueryLanguage::Jsonata {
            self.invalid(
                "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
                fields.node,
            );
        }
        own.unwrap_or(self.machine_language)
    }

    fn pass(&mut self, fields: &Fields<'t>) -> Option<Pass> {
        let result = fields.get("Result");
        if let Some(member) = result.and_then(dynamic) {
            let message = format!("The field '{member}' contains a path, but 'Result' is static and not evaluated");
            self.below(&Step::Member("Result"), |checker| {
                checker.say(Code::PassResultIsStatic, message, result.unwrap_or(fields.node));
            });
        }
        let transition = self.transition(fields)?;
        Some(Pass { result: result.map(Node::to_value), transition })
    }

    fn wait(&mut self, fields: &Fields<'t>, context: Context) -> Option<Wait> {
        let alone = self.exactly_one(fields, &["SecondsPath", "Seconds", "TimestampPath", "Timestamp"]);
        let until = if alone { self.wait_until(fields, context) } else { None };
        let transition = self.transition(fields)?;
        Some(Wait { until: until?, transition })
    }

    fn wait_until(&mut self, fields: &Fields<'t>, context: Context) -> Option<WaitUntil> {
        if fields.has("SecondsPath") {
            return self.reference_path(fields, "SecondsPath", Roots::All).map(WaitUntil::SecondsPath);
        }
        if fields.has("TimestampPath") {
            return self.reference_path(fields, "TimestampPath", Roots::All).map(WaitUntil::TimestampPath);
        }
        if fields.has("Seconds") {
            let max = number_limits::MAX_SECONDS;
            return Some(match self.number_field(fields, "Seconds", None, 0..=max, context.language)? {
                NumberField::Literal(seconds) => WaitUntil::Seconds(seconds),
                NumberField::Path(path) => WaitUntil::SecondsPath(path),
                NumberField::Jsonata(text) => WaitUntil::SecondsJsonata(text),
            });
        }
        let text = self.string(fields, "Timestamp")?;
        if context.language == QueryLanguage::Jsonata
            && let Some(expression) = self.marked(fields, "Timestamp")
        {
            return expression.map(WaitUntil::TimestampJsonata);
        }
        let timestamp = parse_timestamp(text);
        if timestamp.is_none() {
            let node = fields.get("Timestamp").unwrap_or(fields.node);
            self.invalid_member("Timestamp", "String does not match RFC3339 timestamp", node);
        }
        timestamp.map(WaitUntil::Timestamp)
    }

    fn fail(&mut self, fields: &Fields<'t>, context: Context) -> Fail {
        Fail {
            error: self.text_field(fields, "Error", "ErrorPath", context.language),
            cause: self.text_field(fields, "Cause", "CausePath", context.language),
        }
    }

    fn text_field(
        &mut self,
        fields: &Fields<'t>,
        name: &str,
        path_name: &str,
        language: QueryLanguage,
    ) -> Option<TextField> {
        self.at_most_one(fields, &[name, path_name]);
        if fields.has(path_name) {
            return self.expression(fields, path_name).map(TextField::Expression);
        }
        let text = self.string(fields, name)?;
        match language {
            QueryLanguage::Jsonata => {
                if let Some(expression) = self.marked(fields, name) {
                    return expression.map(TextField::Jsonata);
                }
            }
            QueryLanguage::JsonPath => self.warn_no_path(fields, name, text),
        }
        Some(TextField::Literal(Arc::from(text)))
    }

    fn parallel(&mut self, fields: &Fields<'t>, context: Context) -> Option<Parallel> {
        self.required(fields, &["Branches"]);
        let mut branches = Vec::new();
        for (index, branch) in self.filled_array(fields, "Branches").unwrap_or_default().iter().enumerate() {
            let flow = self.below(&Step::Item("Branches", index), |checker| {
                let fields = checker.object(branch)?;
                checker.only(&fields, fields::BRANCH, QueryLanguage::JsonPath);
                checker.required(&fields, &["States", "StartAt"]);
                checker.string(&fields, "Comment");
                let id = checker.numbering.flow_of(branch)?;
                checker.flow(&fields, id, Some(context.id));
                Some(id)
            });
            branches.extend(flow);
        }
        let (retry, catch) = self.error_handling(fields, context.language);
        let transition = self.transition(fields)?;
        Some(Parallel { branches, retry, catch, transition })
    }
}

/// The first key or string inside a static value that looks as if it should be evaluated.
fn dynamic(node: &Node) -> Option<&str> {
    match &node.value {
        NodeValue::Object(members) => members.iter().find_map(|Member { key, value, .. }| {
            if key.ends_with(".$") || value.as_str().is_some_and(super::data::looks_like_path) {
                return Some(key.as_str());
            }
            dynamic(value)
        }),
        NodeValue::Array(items) => items.iter().find_map(dynamic),
        _ => None,
    }
}
