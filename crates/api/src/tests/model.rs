//! The service model, read anew for the tests: samples of its shapes, and the texts of its constraints.
//!
//! Nothing here may use the generated tables: they are what is tested.

use serde_json::{Map, Value, json};

/// Part of every sensitive sample text, so that a leak is seen.
pub(super) const SECRET: &str = "s3cr3t";
/// Part of every other sample text.
pub(super) const PLAIN: &str = "plain";

pub(super) struct Model {
    pub(super) shapes: Map<String, Value>,
    pub(super) operations: Map<String, Value>,
}

/// A change of one value of a sample, and what must be answered.
pub(super) struct Case {
    /// Keys and list indexes from the root.
    pub(super) path: Vec<Step>,
    /// The new value; `None` removes the member.
    pub(super) value: Option<Value>,
    /// The violations, without the head of the message.
    pub(super) violations: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Member(String),
    Item(usize),
    Entry(String),
}

impl Model {
    pub(super) fn load() -> Self {
        let model: Value = serde_json::from_str(include_str!("../../model/service-2.json")).expect("the model is JSON");
        let part = |key: &str| model[key].as_object().expect(key).clone();
        let mut model = Self { shapes: part("shapes"), operations: part("operations") };
        // Left out like every input and output when a history is asked for without execution data.
        let required = model.shapes["TaskScheduledEventDetails"]["required"].as_array_mut().expect("a list");
        required.retain(|member| member != "parameters");
        model
    }

    /// All structures but errors.
    pub(super) fn structures(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.shapes.iter().filter(|(_, shape)| shape["type"] == "structure" && shape["exception"] != true)
    }

    pub(super) fn members<'a>(&'a self, structure: &str) -> impl Iterator<Item = (&'a String, &'a str)> {
        let members = self.shapes[structure]["members"].as_object().expect("a structure has members");
        members.iter().map(|(name, member)| (name, member["shape"].as_str().expect("a member has a shape")))
    }

    pub(super) fn required(&self, structure: &str) -> Vec<&str> {
        self.shapes[structure]["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub(super) fn sensitive(&self, shape: &str) -> bool {
        let info = &self.shapes[shape];
        let inner = ["member", "value"].iter().any(|key| match info[key]["shape"].as_str() {
            Some(inner) if info["type"] != "structure" => self.sensitive(inner),
            _ => false,
        });
        inner || info["sensitive"] == true
    }

    /// A valid value with every member filled.
    pub(super) fn sample(&self, shape: &str) -> Value {
        self.sample_with(shape, true, false)
    }

    /// A valid value with the required members only, at every level.
    pub(super) fn minimal(&self, shape: &str) -> Value {
        self.sample_with(shape, false, false)
    }

    fn sample_with(&self, shape: &str, full: bool, hidden: bool) -> Value {
        let info = &self.shapes[shape];
        let hidden = hidden || info["sensitive"] == true;
        if let Some(values) = info["enum"].as_array() {
            return values[0].clone();
        }
        match info["type"].as_str().expect("a shape has a type") {
            "structure" => {
                let required = self.required(shape);
                let members = self.members(shape).filter(|(name, _)| full || required.contains(&name.as_str()));
                Value::Object(
                    members.map(|(name, shape)| (name.clone(), self.sample_with(shape, full, hidden))).collect(),
                )
            }
            "list" => json!([self.sample_with(info["member"]["shape"].as_str().expect("shape"), full, hidden)]),
            "map" => {
                let key = self.sample(info["key"]["shape"].as_str().expect("shape"));
                let value = self.sample_with(info["value"]["shape"].as_str().expect("shape"), full, hidden);
                json!({ key.as_str().expect("keys are strings"): value })
            }
            "string" => json!(if hidden { SECRET } else { PLAIN }),
            "integer" | "long" => json!(info["min"].as_i64().unwrap_or(0) + 7),
            "float" => json!(12.5),
            "boolean" => json!(true),
            "timestamp" => json!(1718000000.123),
            other => panic!("{shape}: unknown type {other}"),
        }
    }

    /// Every way to break one constraint somewhere below a sample of `shape`; also, with no violations, every value
    /// at the edge of what is allowed.
    pub(super) fn cases(&self, shape: &str) -> Vec<Case> {
        let mut cases = Vec::new();
        self.collect(shape, &mut Vec::new(), &mut cases);
        cases
    }

    fn collect(&self, shape: &str, path: &mut Vec<Step>, cases: &mut Vec<Case>) {
        let info = &self.shapes[shape];
        self.own_cases(shape, path, cases);
        match info["type"].as_str().expect("a shape has a type") {
            "structure" => {
                let required = self.required(shape);
                for (name, member) in self.members(shape) {
                    path.push(Step::Member(name.clone()));
                    let violations = if required.contains(&name.as_str()) {
                        vec![format!(
                            "Value null at '{}' failed to satisfy constraint: Member must not be null",
                            at(path)
                        )]
                    } else {
                        Vec::new()
                    };
                    cases.push(Case { path: path.clone(), value: None, violations: violations.clone() });
                    cases.push(Case { path: path.clone(), value: Some(Value::Null), violations });
                    if shape == "ValidateStateMachineDefinitionInput" && name == "definition" {
                        // Recorded: the empty text is answered with a diagnostic.
                        cases.push(Case { path: path.clone(), value: Some(json!("")), violations: Vec::new() });
                    } else {
                        self.collect(member, path, cases);
                    }
                    path.pop();
                }
            }
            "list" => {
                path.push(Step::Item(0));
                let violation =
                    format!("Value null at '{}' failed to satisfy constraint: Member must not be null", at(path));
                cases.push(Case { path: path.clone(), value: Some(Value::Null), violations: vec![violation] });
                self.collect(info["member"]["shape"].as_str().expect("shape"), path, cases);
                path.pop();
            }
            "map" => {
                let key = self.sample(info["key"]["shape"].as_str().expect("shape"));
                path.push(Step::Entry(key.as_str().expect("keys are strings").to_owned()));
                self.collect(info["value"]["shape"].as_str().expect("shape"), path, cases);
                path.pop();
            }
            _ => {}
        }
    }

    /// The cases of the constraints on the shape itself.
    fn own_cases(&self, shape: &str, path: &[Step], cases: &mut Vec<Case>) {
        let info = &self.shapes[shape];
        let hidden = info["sensitive"] == true;
        let mut push = |value: Value, shown: &str, constraints: &[String]| {
            let shown = if hidden { String::new() } else { format!(" '{shown}'") };
            let at = at(path);
            let violation = |text: &String| format!("Value{shown} at '{at}' failed to satisfy constraint: {text}");
            let violations = constraints.iter().map(violation).collect();
            cases.push(Case { path: path.to_vec(), value: Some(value), violations });
        };
        let (min, max) = (info["min"].as_i64(), info["max"].as_i64());
        let length = |n: i64| usize::try_from(n).expect("lengths are not negative");
        let at_most = |what: &str, n: i64| format!("Member must have {what} less than or equal to {n}");
        let at_least = |what: &str, n: i64| format!("Member must have {what} greater than or equal to {n}");
        if let Some(values) = info["enum"].as_array() {
            for value in values {
                push(value.clone(), "", &[]);
            }
            let recorded = ["SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING"].join(", ");
            let listed: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            let listed = if shape == "ExecutionStatus" { recorded } else { listed.join(", ") };
            for wrong in ["", "running", "NONE_SUCH"] {
                push(json!(wrong), wrong, &[format!("Member must satisfy enum value set: [{listed}]")]);
            }
            return;
        }
        match info["type"].as_str().expect("a shape has a type") {
            "string" => {
                let pattern = info["pattern"].as_str();
                let not_matching = |pattern: &str| format!("Member must satisfy regular expression pattern: {pattern}");
                // A letter of two bytes shows that characters are counted; where a pattern forbids it, one of one.
                let letter = if pattern.is_some() { "a" } else { "é" };
                if let Some(max) = max {
                    push(json!(letter.repeat(length(max))), "", &[]);
                    let long = letter.repeat(length(max) + 1);
                    push(json!(long), &long, &[at_most("length", max)]);
                }
                if let Some(min) = min {
                    push(json!(letter.repeat(length(min))), "", &[]);
                    if min > 0 {
                        let short = letter.repeat(length(min) - 1);
                        let mut constraints = Vec::new();
                        // Both patterns of shapes with a minimum ask for at least one character, too.
                        constraints.extend(pattern.map(not_matching));
                        constraints.push(at_least("length", min));
                        push(json!(short), &short, &constraints);
                    }
                }
                if let Some(pattern) = pattern {
                    let (good, bad): (&[&str], &[&str]) = match pattern {
                        r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$" => {
                            (&["PROD", "1.0", "1a", "-", "_9"], &["1", "007", "a b", "é", "a:b", "a/1", "a\n"])
                        }
                        "[!-~]+" => (&["a", "!", "~", "a-b{}"], &["a b", "é", "\u{7f}", "a\n"]),
                        r"\p{ASCII}*" => (&["", "Root=1-2;x y\n\u{0}\u{7f}"], &["é", "a😀"]),
                        other => panic!("{shape}: no samples for the pattern {other}"),
                    };
                    good.iter().for_each(|good| push(json!(good), "", &[]));
                    bad.iter().for_each(|bad| push(json!(bad), bad, &[not_matching(pattern)]));
                }
            }
            "integer" | "long" => {
                if let Some(max) = max {
                    push(json!(max), "", &[]);
                    push(json!(max + 1), &(max + 1).to_string(), &[at_most("value", max)]);
                }
                if let Some(min) = min {
                    push(json!(min), "", &[]);
                    push(json!(min - 1), &(min - 1).to_string(), &[at_least("value", min)]);
                }
            }
            "float" => {
                if let Some(max) = max {
                    push(json!(max), "", &[]);
                    push(json!(max + 1), &format!("{}.0", max + 1), &[at_most("value", max)]);
                }
                if let Some(min) = min {
                    push(json!(min), "", &[]);
                    push(json!(-0.5), "-0.5", &[at_least("value", min)]);
                }
            }
            "list" => {
                let member = info["member"]["shape"].as_str().expect("shape");
                let shown = |n: usize| format!("[{}]", vec![self.java(member, &self.sample(member)); n].join(", "));
                if let Some(max) = max {
                    push(json!(vec![self.sample(member); length(max)]), "", &[]);
                    let many = length(max) + 1;
                    push(json!(vec![self.sample(member); many]), &shown(many), &[at_most("length", max)]);
                }
                if let Some(min) = min {
                    let few = length(min) - 1;
                    push(json!(vec![self.sample(member); few]), &shown(few), &[at_least("length", min)]);
                }
            }
            _ => assert!(min.is_none() && max.is_none(), "{shape}: no cases for these bounds"),
        }
    }

    /// A sample as Java prints it.
    fn java(&self, shape: &str, value: &Value) -> String {
        match value {
            Value::Object(map) => {
                let members: Vec<String> = self
                    .members(shape)
                    .map(|(name, shape)| format!("{name}={}", self.java(shape, &map[name])))
                    .collect();
                format!("{shape}({})", members.join(", "))
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// The path as messages show it.
pub(super) fn at(path: &[Step]) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Member(name) => name.clone(),
        Step::Item(index) => format!("{}.member", index + 1),
        Step::Entry(key) => format!("{key}.member"),
    });
    steps.collect::<Vec<_>>().join(".")
}

/// The sample with one value changed.
pub(super) fn changed(mut sample: Value, path: &[Step], value: Option<&Value>) -> Value {
    let mut place = &mut sample;
    let (last, parents) = path.split_last().expect("a case is below the root");
    for step in parents {
        place = match step {
            Step::Member(name) | Step::Entry(name) => &mut place[name],
            Step::Item(index) => &mut place[index],
        };
    }
    match (last, value) {
        (Step::Member(name) | Step::Entry(name), Some(value)) => place[name] = value.clone(),
        (Step::Member(name) | Step::Entry(name), None) => {
            place.as_object_mut().expect("an object").remove(name);
        }
        (Step::Item(index), value) => place[index] = value.expect("items are not removed").clone(),
    }
    sample
}
