//! Mocked answers: the configuration file of Step Functions Local, read unchanged, and what Stepwright adds to it. What
//! a file says is here; what answers by it is in `connector`.

mod connector;
mod pattern;
mod responses;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

pub use self::{
    connector::MockConnector,
    responses::{Answer, Outcome, Responses},
};

/// What is wrong with a file, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {rule}")]
pub struct MockError {
    /// The place, as a path from the file's root.
    pub path: String,
    /// What must be there instead.
    pub rule: String,
}

impl MockError {
    pub(crate) fn new(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { path: path.into(), rule: rule.into() }
    }
}

/// The states that a test case answers.
pub type Case = BTreeMap<Arc<str>, Arc<Responses>>;

/// All test cases of all state machines.
#[derive(Clone, Debug, Default)]
pub struct MockConfig {
    machines: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Case>>,
}

impl MockConfig {
    /// Reads a file: `StateMachines.NAME.TestCases.CASE.STATE` names one of `MockedResponses`, or holds one.
    ///
    /// # Errors
    /// The first place that breaks a rule.
    pub fn parse(text: &str) -> Result<Self, MockError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| MockError::new("the file", format!("is not JSON: {error}")))?;
        Self::of(&value)
    }

    /// The same of a value.
    ///
    /// # Errors
    /// The first place that breaks a rule.
    pub fn of(value: &Value) -> Result<Self, MockError> {
        let root = object(value, "the file")?;
        let named = named_responses(root.get("MockedResponses"))?;
        let machines = root
            .get("StateMachines")
            .ok_or_else(|| MockError::new("StateMachines", "is missing: it must name the state machines to test"))?;
        let mut config = Self::default();
        for (machine, value) in object(machines, "StateMachines")? {
            let path = format!("StateMachines.{machine}");
            let cases = object(value, &path)?.get("TestCases");
            let mut all = BTreeMap::new();
            for (case, states) in
                cases.map(|cases| object(cases, &format!("{path}.TestCases"))).transpose()?.into_iter().flatten()
            {
                let path = format!("{path}.TestCases.{case}");
                all.insert(case.as_str().into(), read_case(object(states, &path)?, &named, &path)?);
            }
            config.machines.insert(machine.as_str().into(), all);
        }
        Ok(config)
    }

    /// One test case of one machine.
    #[must_use]
    pub fn single(machine: &str, name: &str, case: Case) -> Self {
        let cases = BTreeMap::from([(name.into(), case)]);
        Self { machines: BTreeMap::from([(machine.into(), cases)]) }
    }

    /// A test case of a machine.
    #[must_use]
    pub fn case(&self, machine: &str, case: &str) -> Option<&Case> {
        self.machines.get(machine)?.get(case)
    }

    /// The test cases of a machine; none: it has nothing to do with this file.
    #[must_use]
    pub fn cases(&self, machine: &str) -> Option<Vec<&Arc<str>>> {
        Some(self.machines.get(machine)?.keys().collect())
    }
}

type Named = BTreeMap<Arc<str>, Arc<Responses>>;

fn named_responses(value: Option<&Value>) -> Result<Named, MockError> {
    let mut named = Named::new();
    let Some(value) = value else { return Ok(named) };
    for (name, value) in object(value, "MockedResponses")? {
        // One may use another for the items of a Map: those that come before it.
        let responses = Responses::read(value, &format!("MockedResponses.{name}"), &named)?;
        named.insert(name.as_str().into(), Arc::new(responses));
    }
    Ok(named)
}

/// The answers of a test case, each named or as it is.
///
/// # Errors
/// The first place that breaks a rule.
pub fn read_case(states: &Map<String, Value>, named: &Named, path: &str) -> Result<Case, MockError> {
    let mut case = Case::new();
    for (state, value) in states {
        let responses = Responses::named_or_read(value, &format!("{path}.{state}"), named)?;
        case.insert(state.as_str().into(), responses);
    }
    Ok(case)
}

pub(crate) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, MockError> {
    value.as_object().ok_or_else(|| MockError::new(path, format!("must be an object, not {}", kind(value))))
}

/// What a value is, in a word.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As AWS documents it.
    const DOCUMENTED: &str = r#"{
      "StateMachines": {"LambdaSQSIntegration": {"TestCases": {
        "HappyPath": {"LambdaState": "MockedLambdaSuccess", "SQSState": "MockedSQSSuccess"},
        "RetryPath": {"LambdaState": "MockedLambdaRetry", "SQSState": "MockedSQSSuccess"},
        "HybridPath": {"LambdaState": "MockedLambdaSuccess"}}}},
      "MockedResponses": {
        "MockedLambdaSuccess": {"0": {"Return": {"StatusCode": 200, "Payload": {"body": "Hello"}}}},
        "MockedSQSSuccess": {"0": {"Return": {"MessageId": "3bcb6e8e"}}},
        "MockedLambdaRetry": {
          "0": {"Throw": {"Error": "Lambda.ResourceNotReadyException", "Cause": "Lambda resource is not ready."}},
          "1-2": {"Throw": {"Error": "Lambda.TimeoutException", "Cause": "Lambda timed out."}},
          "3": {"Return": {"StatusCode": 200, "Payload": {"StatusCode": 200, "body": "Hello from Lambda!"}}}}}}"#;

    #[test]
    fn the_documented_file_is_read_unchanged() {
        let config = MockConfig::parse(DOCUMENTED).expect("valid");
        let case = config.case("LambdaSQSIntegration", "RetryPath").expect("a case");
        let responses = &case["LambdaState"];
        let thrown = |attempt| match &responses.choose(attempt, &[], &json!({})).expect("an answer").outcome {
            Outcome::Throw(failure) => failure.error.clone().unwrap_or_default().to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(thrown(0), "Lambda.ResourceNotReadyException");
        assert_eq!([thrown(1), thrown(2)], ["Lambda.TimeoutException"; 2]);
        assert!(matches!(responses.choose(3, &[], &json!({})).map(|a| &a.outcome), Some(Outcome::Return(_))));
        assert!(responses.choose(4, &[], &json!({})).is_none());
        assert!(config.case("LambdaSQSIntegration", "HybridPath").is_some_and(|case| !case.contains_key("SQSState")));
    }

    #[test]
    fn errors_name_their_place() {
        let with = |responses: Value| {
            let file = json!({"StateMachines": {"m": {"TestCases": {"c": {"S": "R"}}}}, "MockedResponses": responses});
            MockConfig::of(&file).expect_err("invalid").to_string()
        };
        for (responses, wanted) in [
            (json!({}), "StateMachines.m.TestCases.c.S: names \"R\""),
            (json!({"R": {"0": {}}}), "MockedResponses.R.0: must have"),
            (json!({"R": {"x": {"Return": 1}}}), "MockedResponses.R.x: is no attempt"),
            (json!({"R": {"2-1": {"Return": 1}}}), "MockedResponses.R.2-1: is no attempt"),
            (json!({"R": {"0": {"Return": 1, "Throw": {}}}}), "MockedResponses.R.0: must have"),
            (json!({"R": {"0": {"Throw": {"Error": 1}}}}), "MockedResponses.R.0.Throw.Error: must be a string"),
            (json!({"R": {"0": {"Return": 1}, "0-1": {"Return": 2}}}), "MockedResponses.R.0-1: answers attempt 0"),
            (json!({"R": {"0": {"Return": 1, "Delay": -1}}}), "MockedResponses.R.0.Delay: must be"),
            (
                json!({"R": {"Match": [{"Input": {"$.a[*]": 1}, "Return": 1}]}}),
                "MockedResponses.R.Match[0].Input.$.a[*]",
            ),
            (json!({"R": {"Items": {"0": "X"}}}), "MockedResponses.R.Items.0: names \"X\""),
            (json!({"R": {}}), "MockedResponses.R: answers nothing"),
        ] {
            let said = with(responses);
            assert!(said.starts_with(wanted), "{said}\nnot {wanted}");
        }
        assert!(MockConfig::parse("{").expect_err("invalid").to_string().starts_with("the file: is not JSON"));
    }

    #[test]
    fn matches_come_before_attempts_and_items_before_both() {
        let named = Named::new();
        let responses = json!({
            "0-9": {"Return": "by attempt"},
            "Match": [{"Input": {"$.order.total": 12}, "Return": "by path"}, {"Input": {"kind": "b"}, "Return": "by part"}],
            "Items": {"2": {"Return": "third item"}, "3-4": [{"Throw": {"Error": "E"}}, {"Return": "second attempt"}]},
        });
        let responses = Responses::read(&responses, "R", &named).expect("valid");
        let said = |attempt, items: &[u32], input: Value| {
            responses.choose(attempt, items, &input).map(|answer| match &answer.outcome {
                Outcome::Return(text) => text.to_string(),
                other => format!("{other:?}"),
            })
        };
        assert_eq!(said(0, &[], json!({})).as_deref(), Some("\"by attempt\""));
        assert_eq!(said(0, &[], json!({"order": {"total": 12.0}})).as_deref(), Some("\"by path\""));
        assert_eq!(said(0, &[], json!({"kind": "b", "x": 1})).as_deref(), Some("\"by part\""));
        assert_eq!(said(5, &[1, 2], json!({"kind": "b"})).as_deref(), Some("\"third item\""));
        assert_eq!(said(1, &[4], json!({})).as_deref(), Some("\"second attempt\""));
        assert_eq!(said(10, &[0], json!({})), None);
    }
}
