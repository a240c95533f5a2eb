//! States under test: a state on a line, its input on the next, and what its task, its branches or its reader answer.
//! Whatever they are, a test stands where it may stand and ends once it is told how.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use serde_json::Value;
use stepwright_asl::{Options, Severity, StateId, parse_state};
use stepwright_machine::{
    EvaluationLimits, ExecutionInfo, Failure, Limits, Payload,
    inspect::{Inspection, Noted, Setup, Standing, Verdict},
};

use crate::line_and_rest;

pub(crate) const PIECES: &[&str] = &[
    "\n",
    "null",
    "1",
    "-1",
    "\"\"",
    "\"$\"",
    "\"$.a\"",
    "\"$$.Execution.Input\"",
    "\"$x\"",
    "\"{% $states.input %}\"",
    "\"{% $states.context %}\"",
    "\"{% $x %}\"",
    "{}",
    "[]",
    "[1,[2],{\"a\":3}]",
    "\"QueryLanguage\":\"JSONata\",",
    "\"InputPath\":null,",
    "\"OutputPath\":\"$.a\",",
    "\"ResultPath\":\"$.r\",",
    "\"Parameters\":{\"b.$\":\"$.a\"},",
    "\"Arguments\":{},",
    "\"Output\":\"{% $states %}\",",
    "\"Assign\":{\"x\":1},",
    "\"Retry\":[{\"ErrorEquals\":[\"States.ALL\"],\"IntervalSeconds\":0}],",
    "\"Catch\":[{\"ErrorEquals\":[\"States.ALL\"],\"Next\":\"C\"}],",
    "\"ItemsPath\":\"$.a\",",
    "\"MaxConcurrency\":2,",
    "\"ItemSelector\":{\"v.$\":\"$$.Map.Item.Value\"},",
    "\"ItemBatcher\":{\"MaxItemsPerBatch\":2},",
    "\"ToleratedFailurePercentage\":1,",
    "\"End\":true",
    "\"Next\":\"N\"",
];

/// Most that is fed: what it costs is not worth more time.
const MAX_BYTES: usize = 16 * 1024;

pub(crate) fn run(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_BYTES)];
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (state, rest) = line_and_rest(text.as_bytes());
    let (input, told) = line_and_rest(rest);
    let [state, input, told] = [state, input, told].map(|part| std::str::from_utf8(part).expect("lines of a text"));
    let lone = parse_state(state, &Options::default());
    let errors = lone.parsed.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(lone.parsed.definition.is_none(), errors, "a state, or errors");
    for span in lone.parsed.diagnostics.iter().filter_map(|found| found.span) {
        assert!(state.get(span.start..span.end).is_some() && span.line > 0 && span.column > 0, "{span:?}");
    }
    let Some(definition) = lone.parsed.definition else { return };
    let known = definition.states.len() + lone.elsewhere.len();
    let definition = Arc::new(definition);
    let json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    let input = if json(input) { input } else { r#"{"a":[1,"2",null,{"b":3}]}"# };
    for told_how in [How::Well, How::Badly, How::Late] {
        let begin = || {
            let mut test = Inspection::begin(definition.clone(), StateId(0), setup(input, told), 0);
            if let Standing::Waiting(due) = test.standing() {
                test.wake(due);
            }
            if let Standing::Task(_) | Standing::Container = test.standing() {
                match told_how {
                    How::Well => test.succeed(Payload::new(if json(told) { told } else { "[]" }), 1),
                    How::Badly => {
                        test.fail(Failure { error: Some(told.into()), cause: None }, 1);
                    }
                    How::Late => test.time_out(1),
                }
            }
            test
        };
        let test = begin();
        let Standing::Ended(verdict) = test.standing() else { panic!("a test that was told how it ends goes on") };
        let next = match &verdict {
            Verdict::Succeeded { output, next } => {
                assert!(json(output.text()), "an output that is no JSON");
                *next
            }
            Verdict::Caught { output, next, .. } => {
                assert!(json(output.text()), "an output that is no JSON");
                Some(*next)
            }
            Verdict::Retriable(_) | Verdict::Failed(_) => None,
        };
        assert!(next.is_none_or(|next| (next.0 as usize) < known), "it leads to no state");
        let noted = test.noted();
        assert!(texts(&noted).all(json), "a note that is no JSON: {noted:?}");
        let again = begin();
        let shown = |test: &Inspection| format!("{:?} {:?}", test.standing(), test.noted());
        assert_eq!(shown(&test), shown(&again), "the same bytes, the same test");
    }
}

/// How a test is told that its task, its branches or its iterations ended.
#[derive(Clone, Copy)]
enum How {
    Well,
    Badly,
    Late,
}

fn setup(input: &str, reader_data: &str) -> Setup {
    let evaluation = EvaluationLimits { steps: 20_000, bytes: 1 << 20 };
    Setup {
        info: ExecutionInfo { limits: Limits { evaluation, ..Limits::AWS }, ..ExecutionInfo::nowhere() },
        input: Payload::new(input),
        variables: BTreeMap::from([("x".into(), Payload::new("[1]"))]),
        context: None,
        retries: 1,
        reader_data: Some(reader_data.into()),
        seed: 7,
        steps: 200_000,
        given_up: Arc::new(AtomicBool::new(false)),
    }
}

fn texts(noted: &Noted) -> impl Iterator<Item = &str> {
    let map = &noted.map;
    [
        &noted.after_input_path,
        &noted.after_parameters,
        &noted.after_arguments,
        &noted.result,
        &noted.after_result_selector,
        &noted.after_result_path,
        &map.after_items_pointer,
        &map.after_items_path,
        &map.after_item_selector,
        &map.after_item_batcher,
    ]
    .into_iter()
    .flatten()
    .map(|text| &**text)
}
