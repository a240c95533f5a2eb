//! Payload templates of JSONata states. What they come to is the same every time, and the same whether their expressions
//! are given only what they name or everything.

use std::cell::Cell;

use serde_json::{Map, Value as Json, json};
use stepwright_querylang::Environment as _;
use stepwright_querylang::jsonata::{
    Compiler, Dialect, Environment, EvaluationFailure, Limits, Members, StatesExpression, StatesScope, StatesTemplate,
    Value, step_functions,
};

use super::choices::Choices;
use super::grow::{self, Place};
use super::{LIMITS, MAX_TEXT, WIDER};
use crate::world::{World, document};

pub(crate) const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"k\":",
    "null",
    "1",
    "\"{% ",
    " %}\"",
    "\"{% $states.input %}\"",
    "{% 1 %}",
    "$states.input",
    "$states.input.a.b",
    "$states.result",
    "$states.errorOutput",
    "$states.context.Execution.Name",
    "$answer",
    "$list[0]",
    ".a",
    ".b[1]",
    "[a = 1]",
    "@$i",
    "#$p",
    ".%",
    "**",
    " + ",
    " & ",
    "(",
    ")",
    "$x := ",
    "$partition(",
    "$range(1, 9, 2)",
    "$hash('a', 'MD5')",
    "$random()",
    "$uuid()",
    "$parse('[1]')",
    "$map(",
    "$eval('1')",
    "function($x) {",
    "$exists(",
    "? 1 : 2",
    "|a|{}|",
    "'s'",
    "/a/",
];

/// A template on a line, then a document.
pub(crate) fn run(bytes: &[u8]) {
    let (line, rest) = crate::line_and_rest(bytes);
    let Ok(template) = serde_json::from_slice::<Json>(&line[..line.len().min(2 * MAX_TEXT)]) else { return };
    check(&template, &document(rest));
}

/// A template and a document grown from the bytes.
pub(super) fn check_grown(choices: &mut Choices<'_>) {
    let mut members = Map::new();
    for at in 0..=choices.below(2) {
        let text = format!("{{% {} %}}", grow::expression(choices, Place::State));
        let value = if choices.one_in(4) { json!(["as it is", {"in": text}]) } else { json!(text) };
        members.insert(format!("k{at}"), value);
    }
    check(&members.into(), &grow::document(choices));
}

fn check(template: &Json, input: &Json) {
    let compiled = match StatesTemplate::compile(template, "Output", Members::INPUT) {
        Ok(compiled) => compiled,
        Err(refused) => {
            assert!(!refused.is_empty(), "{template} is refused without a reason");
            for refused in &refused {
                assert!(refused.location.starts_with("Output") && !refused.refusal.to_string().is_empty());
            }
            // What may be read makes no other difference.
            let members = Members { result: true, error_output: true };
            let _more = StatesTemplate::compile(template, "Assign", members).is_ok();
            return;
        }
    };
    let first = evaluated(&compiled, input);
    assert_eq!(evaluated(&compiled, input), first, "{template}\ncomes to different things at different times");
    let (value, steps) = first;
    assert!(steps <= LIMITS.steps, "{template}\ntakes {steps} steps");
    match value {
        Err(failure) => assert!(failure.location.starts_with("Output") && !failure.message.is_empty()),
        Ok(value) if compiled.expressions().is_empty() => {
            assert_eq!(&value, template, "nothing in it is an expression");
        }
        Ok(_) => {}
    }
    for expression in compiled.expressions() {
        reads_what_it_names(expression, input);
    }
}

fn scope<'s>(world: &'s World, input: &'s Json, limits: Limits, spent: &'s Cell<u64>) -> StatesScope<'s> {
    StatesScope {
        input,
        result: None,
        error_output: None,
        environment: world,
        now_millis: 1_700_000_000_123,
        limits,
        spent: Some(spent),
    }
}

fn evaluated(compiled: &StatesTemplate, input: &Json) -> (Result<Json, EvaluationFailure>, u64) {
    let (world, spent) = (World::new(), Cell::new(0));
    (compiled.evaluate(&scope(&world, input, LIMITS, &spent)), spent.get())
}

/// An expression sees of its variables only what its text names, and misses nothing.
fn reads_what_it_names(expression: &StatesExpression, input: &Json) {
    let (world, spent) = (World::new(), Cell::new(0));
    let Ok(some) = expression.evaluate(&scope(&world, input, LIMITS, &spent)) else { return };
    let compiler = Compiler::new(Dialect::V2_0_6).without_function("eval");
    let compiler = step_functions().iter().fold(compiler, Compiler::with_function);
    let whole = compiler.compile(expression.text()).expect("it was compiled before");
    let world = World::new();
    let states = json!({"input": input, "context": world.context()});
    let variable = |name: &'static str| (name, world.variable(name).map(Value::from_json).unwrap_or_default());
    let bindings = [("states", Value::from_json(&states)), variable("answer"), variable("list")];
    let environment = Environment {
        now_millis: 1_700_000_000_123.0,
        seed: if is_random(expression.text()) { world.random() } else { 0 },
        limits: WIDER,
        bindings: Some(&bindings),
        ..Environment::default()
    };
    let all = whole.evaluate(&Value::Undefined, environment);
    let all = all.unwrap_or_else(|error| panic!("{}\nfails when it is given everything: {error}", expression.text()));
    assert_eq!(all.to_json(usize::MAX).ok().flatten(), Some(some), "{}\nmisses something", expression.text());
}

fn is_random(text: &str) -> bool {
    ["random", "uuid", "shuffle"].iter().any(|name| text.contains(name))
}
