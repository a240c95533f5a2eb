//! Expressions of people who mean harm, in executions: each ends, as `States.QueryEvaluationError` or well, and the
//! execution goes on from there.

use crate::world::World;
use stepwright_asl::{Options, parse};

const TIMEOUT: &str = "Expression evaluation timeout";
const MEMORY: &str = "Expression evaluation memory limit exceeded";
const DEPTH: &str = "Stack overflow error";

/// Runs a Parallel state whose branch evaluates an expression, and catches what it fails with. Gives what was said of it,
/// or the result.
fn caught(expression: &str) -> String {
    let expression = serde_json::Value::from(format!("{{% {expression} %}}"));
    let definition = format!(
        r#"{{"QueryLanguage":"JSONata","StartAt":"P","States":{{
            "P":{{"Type":"Parallel","Branches":[{{"StartAt":"E","States":{{"E":{{"Type":"Pass","Output":{expression},"End":true}}}}}}],
                "Catch":[{{"ErrorEquals":["States.QueryEvaluationError"],"Output":"{{% $states.errorOutput.Cause %}}","Next":"S"}}],
                "Next":"S"}},
            "S":{{"Type":"Succeed"}}}}}}"#
    );
    let mut world = World::start(&definition, r#"{"text":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}"#);
    world.run();
    world.check_fold();
    world.output()
}

#[track_caller]
fn check(expression: &str, ending: &str) {
    let said = caught(expression);
    assert!(said.contains(ending), "{expression}\ncame to {}", said.chars().take(300).collect::<String>());
}

#[test]
fn what_grows_ends_at_the_memory() {
    check("$map([1..10000], function($x) { [1..10000] })", MEMORY);
    check("[1..1000000].[1..1000000]", MEMORY);
    check("($a := [1..100000]; [1..100000].$a)", MEMORY);
    check("($o := {'l': [1..100000]}; ([1..100000].$o).l)", MEMORY);
    check("($f := function($s) { $f($s & $s) }; $f('abcdefgh'))", MEMORY);
    check("$reduce([1..60], function($a, $b) { $append($a, $a) }, [1])", MEMORY);
    check("$reduce([1..60], function($a, $b) { {'l': $a, 'r': $a} }, {})", MEMORY);
    check("$reduce([1..60], function($a, $b) { [[$a], [$a]] }, 1)", MEMORY);
    check("$string($reduce([1..22], function($a, $b) { [$a, $a] }, 'abcdefghijklmnopqrstuvwxyz'))", MEMORY);
    check("[1..3000000]{$string($ % 3): $}", MEMORY);
    check("$pad('x', 1000000000)", MEMORY);
    check("$replace($pad('', 100000, 'a'), 'a', $pad('', 100000, 'b'))", MEMORY);
    check("$join([1..100000].$string(), $pad('', 100000, 'b'))", MEMORY);
    check("$spread($reduce([1..21], function($a, $b) { [$a, $a] }, {'a': 1}))", MEMORY);
    check("$reduce([1..18], function($a, $b) { {'a': $a, 'b': $a} }, {}) ~> |**|{'c': [1..1000]}|", MEMORY);
}

#[test]
fn what_goes_on_ends_at_the_time() {
    check("($f := function($n) { $f($n + 1) }; $f(1))", TIMEOUT);
    check("$sort([1..1000000], function($l, $r) { $random() < 0.5 })", TIMEOUT);
    check("[1..10000][$contains($pad('', 100000, 'a'), 'aab')]", TIMEOUT);
    check("$replace($pad('', 100000, 'a'), /a(?:.*b)?/, 'c')", TIMEOUT);
    check("[1..100000].$formatInteger(1e300, 'w')", TIMEOUT);
    check("[1..1000000].$toMillis('twenty-ninth February two thousand and twenty', '[Dwo] [MNn] [Yw]')", TIMEOUT);
}

#[test]
fn what_nests_ends_at_the_depth() {
    check("($f := function($n) { 1 + $f($n) }; $f(1))", DEPTH);
    check("($f := function($a) { $f([[$a]]) }; $f(1))", DEPTH);
    check("$reduce([1..10000], function($a, $b) { {'a': $a} }, {})", DEPTH);
    check("($f := function($g, $n) { $n = 0 ? $g : $f($g ~> $g, $n - 1) }; $f($string, 100000)(1))", DEPTH);
    check("$reduce([1..1000], function($f, $n) { function() { $f } }, 1)()", "1");
}

#[test]
fn regular_expressions_take_linear_time() {
    check("$contains($states.input.text, /^(a+)+$/)", "false");
    check("$exists($match($states.input.text, /(a|aa)+b/))", "false");
    check("$replace($states.input.text, /(a*)*b/, 'c') = $states.input.text", "true");
    check("$count($split($states.input.text, /(x+x+)+y/))", "1");
    check("$contains($pad('', 100000, 'a') & '!', /^(a+)+$/)", "false");
    check("$match($pad('', 200000, 'a'), /(((a{1,10}){1,10}){1,10})b/)", "too complex for a text of 200000 bytes");
}

#[test]
fn pictures_are_bounded() {
    check("$length($formatNumber(1, $pad('', 100000, '0')))", "100000");
    check("$formatNumber(1e308, '#,##0.00') ~> $length() > 400", "true");
    check("$length($fromMillis(0, $pad('', 30000, '[Yw]'))) > 10000", "true");
    check("$exists($toMillis($pad('', 10000, '1'), $pad('', 30000, '[Y]')))", "threw an error during evaluation");
    check("$exists($parseInteger($pad('', 10000, 'one '), 'w'))", "false");
}

/// The same as a whole: what a state machine may be created with.
#[test]
fn brackets_without_end_are_refused_when_a_state_machine_is_created() {
    let thread = std::thread::Builder::new().stack_size(stepwright_machine::STACK_BYTES).spawn(|| {
        for (open, close) in [("(", ")"), ("[", "]"), ("{\\\"a\\\":", "}"), ("-", ""), ("$f(", ")"), ("function(){", "}")] {
            let expression = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let text = format!(
                r#"{{"QueryLanguage":"JSONata","StartAt":"A","States":{{"A":{{"Type":"Pass","Output":"{{% {expression} %}}","End":true}}}}}}"#
            );
            let parsed = parse(&text, &Options::default());
            assert!(parsed.definition.is_none(), "{open} is accepted");
            let told = &parsed.diagnostics[0].message;
            assert!(told.contains("nested too deep"), "{open}: {told}");
        }
    });
    thread.expect("a thread").join().expect("no panic");
}
