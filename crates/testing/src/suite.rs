//! Test files: what is run with which mocks, and what must come of it.

use std::sync::Arc;

use serde_json::{Map, Value};
use stepwright_machine::Status;

use crate::{
    compare,
    mocks::{Case, MockConfig, MockError, kind, read_case},
};

/// A test file.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// What is tested.
    pub subject: Subject,
    /// Where the file of mocks is, seen from the file.
    pub mock_config: Option<String>,
    /// Its tests.
    pub tests: Vec<Test>,
}

/// The state machine that a test file tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The definition beside it, under the same name.
    Beside,
    /// The definition in this file, seen from the test file.
    File(String),
    /// A state machine of a project, as its templates make it.
    Machine {
        /// Its name.
        name: String,
        /// The folder of the project, seen from the test file; none: the file's own.
        project: Option<String>,
    },
}

/// One test.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name, unique in its file.
    pub name: String,
    /// The input, JSON text.
    pub input: Arc<str>,
    /// The test case of the file of mocks.
    pub case: Option<String>,
    /// Its own mocks, which win.
    mocks: Map<String, Value>,
    path: String,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a test. What is absent may be anything, but for the status, which is SUCCEEDED unless said.
#[derive(Clone, Debug)]
pub struct Expect {
    /// How it ends.
    pub status: Status,
    /// Its output.
    pub output: Option<Value>,
    /// Its error.
    pub error: Option<String>,
    /// Its cause.
    pub cause: Option<String>,
    /// The states that it enters.
    pub path: Option<Vec<String>>,
    /// Whether they may be entered in any order.
    pub path_in_any_order: bool,
    /// The calls that it makes.
    pub calls: Option<Vec<ExpectedCall>>,
    /// Whether they may be made in any order.
    pub calls_in_any_order: bool,
}

/// A call that must be made.
#[derive(Clone, Debug)]
pub struct ExpectedCall {
    /// The state that makes it.
    pub state: Option<String>,
    /// The resource: the whole ARN, or its end.
    pub resource: Option<String>,
    /// What is sent.
    pub parameters: Option<Value>,
}

const FILE: &[&str] = &["definition", "machine", "project", "mockConfig", "tests"];
const TEST: &[&str] = &["name", "input", "case", "mocks", "expect"];
const EXPECT: &[&str] = &["status", "output", "error", "cause", "path", "pathInAnyOrder", "calls", "callsInAnyOrder"];
const CALL: &[&str] = &["state", "resource", "parameters"];

impl TestFile {
    /// Reads a file that was parsed.
    ///
    /// # Errors
    /// The first place that breaks a rule.
    pub fn read(value: &Value) -> Result<Self, MockError> {
        let root = known(value, "the file", FILE)?;
        let list = root.get("tests").and_then(Value::as_array);
        let list = list.ok_or_else(|| MockError::new("tests", "must be a list of tests"))?;
        let mut tests: Vec<Test> = Vec::new();
        for (at, value) in list.iter().enumerate() {
            let test = Test::read(value, &format!("tests[{at}]"))?;
            if tests.iter().any(|other| other.name == test.name) {
                return Err(MockError::new(
                    format!("tests[{at}].name"),
                    format!("{:?} is the name of another test", test.name),
                ));
            }
            tests.push(test);
        }
        Ok(Self { subject: Subject::read(root)?, mock_config: text(root, "mockConfig", "")?, tests })
    }
}

impl Subject {
    fn read(root: &Map<String, Value>) -> Result<Self, MockError> {
        let member = |name| text(root, name, "");
        match (member("definition")?, member("machine")?, member("project")?) {
            (None, None, None) => Ok(Self::Beside),
            (Some(file), None, None) => Ok(Self::File(file)),
            (None, Some(name), project) => Ok(Self::Machine { name, project }),
            (Some(_), Some(_), _) => {
                Err(MockError::new("machine", "is one of a project, and definition is a file: write one of the two"))
            }
            (_, None, Some(_)) => Err(MockError::new("project", "is the folder of a machine: name that with machine")),
        }
    }
}

impl Test {
    fn read(value: &Value, path: &str) -> Result<Self, MockError> {
        let members = known(value, path, TEST)?;
        let name = text(members, "name", path)?;
        let name = name.ok_or_else(|| MockError::new(format!("{path}.name"), "is missing: each test has a name"))?;
        let mocks = match members.get("mocks") {
            None => Map::new(),
            Some(mocks) => {
                let mocks = crate::mocks::object(mocks, &format!("{path}.mocks"))?;
                // Names are looked up when the file of mocks is known; the rest is checked at once.
                let own: Map<String, Value> =
                    mocks.iter().filter(|(_, value)| !value.is_string()).map(|(n, v)| (n.clone(), v.clone())).collect();
                read_case(&own, &Default::default(), &format!("{path}.mocks"))?;
                mocks.clone()
            }
        };
        let expect = members.get("expect").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        Ok(Self {
            name,
            input: members.get("input").map_or_else(|| "{}".into(), |input| input.to_string().into()),
            case: text(members, "case", path)?,
            mocks,
            path: path.to_owned(),
            expect: Expect::read(&expect, &format!("{path}.expect"))?,
        })
    }

    /// The mocks of the test: those of its case in the file of mocks, and its own. `machine`: the name under which the
    /// file knows the state machine.
    ///
    /// # Errors
    /// The case is not there, or a name is not.
    pub fn mocks(&self, config: Option<&MockConfig>, machine: &str) -> Result<Case, MockError> {
        let mut all = match &self.case {
            None => Case::new(),
            Some(case) => {
                let found = config.and_then(|config| config.case(machine, case));
                found.cloned().ok_or_else(|| {
                    let rule = match config.and_then(|config| config.cases(machine)) {
                        Some(cases) => {
                            let cases: Vec<&str> = cases.iter().map(|case| &***case).collect();
                            format!("{case:?} is no test case of {machine}; there are {}", cases.join(", "))
                        }
                        None => format!("{case:?} is looked for in mockConfig, which has no state machine {machine:?}"),
                    };
                    MockError::new(format!("{}.case", self.path), rule)
                })?
            }
        };
        all.extend(read_case(&self.mocks, &Default::default(), &format!("{}.mocks", self.path))?);
        Ok(all)
    }
}

impl Expect {
    fn read(value: &Value, path: &str) -> Result<Self, MockError> {
        let members = known(value, path, EXPECT)?;
        let status = match text(members, "status", path)?.as_deref() {
            None | Some("SUCCEEDED") => Status::Succeeded,
            Some("FAILED") => Status::Failed,
            Some("TIMED_OUT") => Status::TimedOut,
            Some("ABORTED") => Status::Aborted,
            Some(other) => {
                let rule = format!("{other:?} is no status: it must be SUCCEEDED, FAILED, TIMED_OUT or ABORTED");
                return Err(MockError::new(format!("{path}.status"), rule));
            }
        };
        let calls = members.get("calls").map(|calls| read_calls(calls, &format!("{path}.calls"))).transpose()?;
        let entered = members.get("path").map(|states| names(states, &format!("{path}.path"))).transpose()?;
        let output = members.get("output").cloned();
        if let Some((at, rule)) = output.as_ref().and_then(|output| compare::misuse(output, &format!("{path}.output")))
        {
            return Err(MockError::new(at, rule));
        }
        Ok(Self {
            status,
            output,
            error: text(members, "error", path)?,
            cause: text(members, "cause", path)?,
            path: entered,
            path_in_any_order: flag(members, "pathInAnyOrder", path)?,
            calls,
            calls_in_any_order: flag(members, "callsInAnyOrder", path)?,
        })
    }
}

fn read_calls(value: &Value, path: &str) -> Result<Vec<ExpectedCall>, MockError> {
    let list = value.as_array().ok_or_else(|| MockError::new(path, "must be a list of calls"))?;
    let read = |(at, value): (usize, &Value)| {
        let path = format!("{path}[{at}]");
        let members = known(value, &path, CALL)?;
        let parameters = members.get("parameters").cloned();
        if let Some((at, rule)) =
            parameters.as_ref().and_then(|given| compare::misuse(given, &format!("{path}.parameters")))
        {
            return Err(MockError::new(at, rule));
        }
        Ok(ExpectedCall {
            state: text(members, "state", &path)?,
            resource: text(members, "resource", &path)?,
            parameters,
        })
    };
    list.iter().enumerate().map(read).collect()
}

fn names(value: &Value, path: &str) -> Result<Vec<String>, MockError> {
    let list = value
        .as_array()
        .and_then(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>());
    list.ok_or_else(|| MockError::new(path, "must be a list of names of states"))
}

/// An object that has no members but these.
fn known<'a>(value: &'a Value, path: &str, names: &[&str]) -> Result<&'a Map<String, Value>, MockError> {
    let members = crate::mocks::object(value, path)?;
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => {
            Err(MockError::new(path, format!("has no member {name:?}; its members are {}", names.join(", "))))
        }
        None => Ok(members),
    }
}

fn text(members: &Map<String, Value>, name: &str, path: &str) -> Result<Option<String>, MockError> {
    let place = || if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(MockError::new(place(), format!("must be a string, not {}", kind(other)))),
    }
}

fn flag(members: &Map<String, Value>, name: &str, path: &str) -> Result<bool, MockError> {
    match members.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => {
            Err(MockError::new(format!("{path}.{name}"), format!("must be true or false, not {}", kind(other))))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (file, wanted) in [
            (json!({"test": []}), "the file: has no member \"test\"; its members are definition, machine"),
            (json!({}), "tests: must be a list"),
            (json!({"tests": [], "machine": 1}), "machine: must be a string"),
            (json!({"tests": [], "machine": "a", "definition": "b"}), "machine: is one of a project, and definition"),
            (json!({"tests": [], "project": "..", "definition": "b"}), "project: is the folder of a machine"),
            (json!({"tests": [{}]}), "tests[0].name: is missing"),
            (json!({"tests": [{"name": "a"}, {"name": "a"}]}), "tests[1].name: \"a\" is the name of another"),
            (json!({"tests": [{"name": "a", "expect": {"status": "DONE"}}]}), "tests[0].expect.status: \"DONE\""),
            (json!({"tests": [{"name": "a", "expect": {"path": "A"}}]}), "tests[0].expect.path: must be a list"),
            (json!({"tests": [{"name": "a", "expect": {"output": {"$type": "x"}}}]}), "tests[0].expect.output: $type"),
            (json!({"tests": [{"name": "a", "expect": {"calls": [{"stat": 1}]}}]}), "tests[0].expect.calls[0]: has no"),
            (
                json!({"tests": [{"name": "a", "mocks": {"S": {"Retrun": 1}}}]}),
                "tests[0].mocks.S.Retrun: is no attempt",
            ),
        ] {
            let said = TestFile::read(&file).expect_err("invalid").to_string();
            assert!(said.starts_with(wanted), "{said}\nnot {wanted}");
        }
    }

    #[test]
    fn a_tests_own_mocks_win_over_those_of_its_case() {
        let config = json!({"StateMachines": {"m": {"TestCases": {"c": {"A": "R", "B": "R"}}}},
            "MockedResponses": {"R": {"0": {"Return": 1}}}});
        let config = MockConfig::of(&config).expect("valid");
        let file = json!({"tests": [{"name": "t", "case": "c", "mocks": {"A": {"Never": true}}},
            {"name": "u", "case": "d"}]});
        let file = TestFile::read(&file).expect("valid");
        let mocks = file.tests[0].mocks(Some(&config), "m").expect("a case");
        let outcome = |state: &str| mocks[state].choose(0, &[], &json!({})).map(|answer| answer.outcome.clone());
        assert_eq!(outcome("A"), Some(crate::mocks::Outcome::Never));
        assert_eq!(outcome("B"), Some(crate::mocks::Outcome::Return("1".into())));
        let said = file.tests[1].mocks(Some(&config), "m").expect_err("no such case").to_string();
        assert_eq!(said, "tests[1].case: \"d\" is no test case of m; there are c");
    }
}
