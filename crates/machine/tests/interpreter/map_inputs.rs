//! The inputs that the items of a map run give.

use std::{collections::BTreeSet, sync::Arc};

use stepwright_machine::{Failure, Limits, map_run::ItemInputs};

use crate::world::World;

/// A run whose Map comes after a state that assigns `v`.
fn run(selector: &str, input: &str) -> World {
    let definition = format!(
        r#"{{"StartAt":"A","States":{{"A":{{"Type":"Pass","Assign":{{"v":[5],"unread":6}},"Next":"M"}},
            "M":{{"Type":"Map","End":true,{selector}"ItemProcessor":{{
                "ProcessorConfig":{{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"}},
                "StartAt":"I","States":{{"I":{{"Type":"Pass","End":true}}}}}}}}}}}}"#
    );
    let mut world = World::start(&definition, input);
    world.run();
    assert!(world.plan().is_express);
    world
}

fn inputs(world: &World, items: &[(&str, Option<&str>)]) -> Vec<Result<Arc<str>, Failure>> {
    let inputs = ItemInputs::new(&world.definition, world.plan(), &Limits::AWS);
    let made = |(index, (item, key)): (u64, &(&str, Option<&str>))| inputs.input(index, &Arc::from(*item), *key);
    (0..).zip(items).map(made).collect()
}

#[track_caller]
fn check(selector: &str, input: &str, items: &[(&str, Option<&str>)], expected: &[&str]) {
    let world = run(selector, input);
    let found = inputs(&world, items);
    let found: Vec<&str> = found.iter().map(|input| &**input.as_ref().expect("an input")).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn fails(selector: &str, input: &str, item: &str, error: &str, cause: &str) {
    let failure = inputs(&run(selector, input), &[(item, None)]).remove(0).expect_err("fails");
    assert_eq!((failure.error.as_deref(), failure.cause.as_deref()), (Some(error), Some(cause)));
}

#[test]
fn items_as_they_are() {
    check("", "[]", &[("1", None), (r#"{"a":[2]}"#, None)], &["1", r#"{"a":[2]}"#]);
    check("", "{}", &[("1", Some("a\"b"))], &[r#"{"Key":"a\"b","Value":1}"#]);
    let large = format!("\"{}\"", "x".repeat(262_144));
    fails(
        "",
        "[]",
        &large,
        "States.DataLimitExceeded",
        "The state/task 'M' returned a result with a size exceeding the maximum number of bytes service limit.",
    );
}

#[test]
fn selected_with_paths() {
    let selector = r#""ItemsPath":"$.l","ItemSelector":{"k.$":"$.k","i.$":"$$.Map.Item.Index","v.$":"$$.Map.Item.Value.n",
        "s.$":"$$.Map.Item.Source","var.$":"$v[0]","e.$":"$$.Execution.Input.k","m.$":"$$.State.Name","c":"$.k"},"#;
    let input = r#"{"k":1,"l":[]}"#;
    let rest = r#""s":"STATE_DATA","var":5,"e":1,"m":"M","c":"$.k"}"#;
    check(
        selector,
        input,
        &[(r#"{"n":"a"}"#, None), (r#"{"n":2}"#, None)],
        &[&format!(r#"{{"k":1,"i":0,"v":"a",{rest}"#), &format!(r#"{{"k":1,"i":1,"v":2,{rest}"#)],
    );
    check(
        r#""ItemSelector":{"k.$":"$$.Map.Item.Key","v.$":"$$.Map.Item.Value"},"#,
        "{}",
        &[("1", Some("a")), ("[2]", Some("b"))],
        &[r#"{"k":"a","v":1}"#, r#"{"k":"b","v":[2]}"#],
    );
    check(
        r#""ItemSelector":{"m.$":"$$.Map"},"#,
        "[]",
        &[("7", None)],
        &[r#"{"m":{"Item":{"Index":0,"Value":7,"Source":"STATE_DATA"}}}"#],
    );
}

#[test]
fn selected_with_the_whole_context_object() {
    let found =
        inputs(&run(r#""ItemSelector":{"c.$":"$$"},"#, "[3]"), &[("7", Some("k"))]).remove(0).expect("an input");
    let context = crate::world::json(&found)["c"].clone();
    let names = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&context), ["Execution", "StateMachine", "State", "Map"]);
    assert_eq!(names(&context["Execution"])[..2], ["Id", "Input"]);
    assert_eq!(context["Execution"]["Input"], serde_json::json!([3]));
    assert_eq!(context["Map"]["Item"], serde_json::json!({"Index": 0, "Value": 7, "Key": "k", "Source": "STATE_DATA"}));
}

#[test]
fn selected_with_expressions() {
    let selector = r#""QueryLanguage":"JSONata","Items":"{% $states.input.l %}","ItemSelector":{"k":"{% $states.input.k %}",
        "i":"{% $states.context.Map.Item.Index + 1 %}","v":"{% $states.context.Map.Item.Value.n %}","var":"{% $v %}",
        "e":"{% $states.context.Execution.Input.k %}","m":"{% $states.context.State.Name %}"},"#;
    check(
        selector,
        r#"{"k":1,"l":[]}"#,
        &[(r#"{"n":"a"}"#, None), (r#"{"n":2}"#, None)],
        &[r#"{"k":1,"i":1,"v":"a","var":[5],"e":1,"m":"M"}"#, r#"{"k":1,"i":2,"v":2,"var":[5],"e":1,"m":"M"}"#],
    );
    let whole = r#""QueryLanguage":"JSONata","ItemSelector":"{% $states.context.Map.Item %}","#;
    check(whole, "[]", &[("7", Some("k"))], &[r#"{"Index":0,"Value":7,"Key":"k","Source":"STATE_DATA"}"#]);
}

#[test]
fn selections_that_fail() {
    let of = "An error occurred while executing the state 'M' (entered at the event id #4).";
    fails(r#""ItemSelector":{"x.$":"$$.Map.Item.Value.no"},"#, "[]", "{}", "States.Runtime",
        &format!("{of} The JSONPath '$$.Map.Item.Value.no' specified for the field 'x.$' could not be found in the input '{{}}'")
            .replace("the input '{}'", "the input '[]'"));
    let expression = "$states.context.Map.Item.Value.no";
    fails(
        &format!(r#""QueryLanguage":"JSONata","ItemSelector":{{"x":"{{% {expression} %}}"}},"#),
        "[]",
        "{}",
        "States.QueryEvaluationError",
        &format!(
            "{of} The JSONata expression '{expression}' specified for the field 'ItemSelector/x' returned nothing (undefined)."
        ),
    );
    let large = r#""QueryLanguage":"JSONata","ItemSelector":{"x":"{% $pad('', 300000) %}"},"#;
    fails(
        large,
        "[]",
        "1",
        "States.DataLimitExceeded",
        "The state/task 'M' returned a result with a size exceeding the maximum number of bytes service limit.",
    );
}

#[test]
fn chance_follows_from_the_run_and_the_place_of_the_item() {
    for selector in [
        r#""ItemSelector":{"u.$":"States.UUID()"},"#,
        r#""QueryLanguage":"JSONata","ItemSelector":{"u":"{% $uuid() %}"},"#,
    ] {
        let world = run(selector, "[]");
        let inputs = ItemInputs::new(&world.definition, world.plan(), &Limits::AWS);
        let item: Arc<str> = "1".into();
        let made = |index| inputs.input(index, &item, None).expect("an input");
        let forth: Vec<Arc<str>> = (0..50).map(made).collect();
        let mut back: Vec<Arc<str>> = (0..50).rev().map(made).collect();
        back.reverse();
        assert_eq!(forth, back, "in whichever order");
        assert_eq!(forth.iter().collect::<BTreeSet<_>>().len(), 50, "each its own");
    }
}

#[test]
fn only_variables_that_are_read_are_kept() {
    let world = run(r#""ItemSelector":{"x.$":"$v"},"#, "[]");
    let names: Vec<String> =
        world.plan().selector.as_ref().expect("it selects").variables.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["v"]);
}
