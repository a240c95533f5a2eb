//! Expressions, payload templates and values. All expressions made here can be evaluated on the input that the
//! workload gives, but for those that are called wrong on purpose.

use serde_json::{Map, Value, json};

use super::EPOCH_SECONDS;
use crate::workload::Dice;

/// What expressions of a state may read besides the input's own members.
#[derive(Clone, Default)]
pub(super) struct Scope {
    /// How many flows enclose the state.
    pub(super) depth: u64,
    /// Inside an iteration of a Map.
    pub(super) in_map: bool,
    /// Inside a loop that counts in the data: what a state makes of its input must keep it.
    pub(super) counts_in_data: bool,
    /// Variables that hold a number whenever the state is reached.
    pub(super) numbers: Vec<String>,
    /// Variables that hold a list of numbers.
    pub(super) lists: Vec<String>,
}

/// The members that every input has and that a flow hands on to its inner flows.
pub(super) const MEMBERS: [&str; 11] =
    ["n", "half", "list", "text", "flag", "none", "secs", "beat", "limit", "when", "deep"];

const ANYWHERE: [&str; 24] = [
    "$.n",
    "$.text",
    "$.list",
    "$.deep",
    "$['text']",
    "$.list[0]",
    "$.list[*]",
    "$.list[0:1]",
    "$.list[?(@ > 1)]",
    "$.deep.items[?(@.id == 2)].tag",
    "$.deep['a b'].c",
    "$..id",
    "$$.Execution.Id",
    "$$.Execution.Name",
    "$$.Execution.StartTime",
    "$$.Execution.RoleArn",
    "$$.Execution.Input.n",
    "$$.Execution.Input",
    "$$.StateMachine.Id",
    "$$.StateMachine.Name",
    "$$.State.Name",
    "$$.State.EnteredTime",
    "$$.Execution",
    "$.none",
];

const CALLS: [&str; 26] = [
    "States.Format('n is {}, not {}', $.n, $.text)",
    "States.Format('\\{braces\\} and \\'quotes\\' of {}', $.deep)",
    "States.StringToJson('[1, \\{\"a\": null\\}]')",
    "States.StringToJson(States.JsonToString($.deep))",
    "States.JsonToString($.list)",
    "States.Array()",
    "States.Array($.n, 'x', 1.5, true, null, $.list)",
    "States.ArrayPartition($.list, 2)",
    "States.ArrayContains($.list, 1)",
    "States.ArrayRange(0, 6, 2)",
    "States.ArrayRange($.n, 12, 5)",
    "States.ArrayGetItem($.list, 0)",
    "States.ArrayLength($.list)",
    "States.ArrayUnique($.list)",
    "States.Base64Encode($.text)",
    "States.Base64Decode(States.Base64Encode($.text))",
    "States.Hash($.text, 'SHA-256')",
    "States.Hash($.deep, 'MD5')",
    "States.JsonMerge($.deep, States.StringToJson('\\{\"flag\": 1\\}'), false)",
    "States.MathRandom(1, 10)",
    "States.MathRandom(1, 10, 7)",
    "States.MathAdd($.n, 1)",
    "States.MathAdd(States.ArrayLength($.list), $.secs)",
    "States.StringSplit($.text, ' ')",
    "States.UUID()",
    "States.Format('{}', States.Array(States.MathAdd($.n, -1), States.UUID()))",
];

/// Calls that fail with `States.IntrinsicFailure`, which Retry and Catch see: some always, one with most texts.
const BROKEN: [&str; 5] = [
    "States.ArrayGetItem($.list, 99)",
    "States.StringToJson($.text)",
    "States.ArrayPartition($.list, 0)",
    "States.Hash($.text, 'CRC')",
    "States.JsonMerge($.deep, $.deep, true)",
];

/// Expressions that fail with `States.Runtime`, which nothing sees.
const FATAL: [&str; 3] = ["$.missing", "$.deep.items[7].id", "States.MathAdd($.text, 1)"];

/// Expressions that can be evaluated on anything at all: the results of tasks.
const ON_ANYTHING: [&str; 6] =
    ["$", "States.JsonToString($)", "States.Array($, 1)", "States.UUID()", "$$.State.Name", "$$.State.RetryCount"];

/// An expression that can be evaluated.
pub(super) fn expression(dice: &mut Dice, scope: &Scope) -> String {
    match dice.roll(12) {
        0 if !scope.numbers.is_empty() => {
            let variable = dice.pick(&scope.numbers).clone();
            if dice.one_in(2) { format!("${variable}") } else { format!("States.MathAdd(${variable}, $.n)") }
        }
        1 if !scope.lists.is_empty() => {
            let variable = dice.pick(&scope.lists).clone();
            if dice.one_in(2) { format!("${variable}[0]") } else { format!("States.ArrayLength(${variable})") }
        }
        2 | 3 if scope.in_map => (*dice.pick(&["$$.Map.Item.Index", "$$.Map.Item.Value", "$$.Map.Item"])).to_owned(),
        0..=6 => (*dice.pick(&ANYWHERE)).to_owned(),
        _ => (*dice.pick(&CALLS)).to_owned(),
    }
}

/// An expression that fails in a way that can be caught.
pub(super) fn broken(dice: &mut Dice) -> &'static str {
    BROKEN[dice.index(BROKEN.len())]
}

/// An expression whose failure ends the execution.
pub(super) fn fatal(dice: &mut Dice) -> &'static str {
    FATAL[dice.index(FATAL.len())]
}

/// A payload template of a few members.
pub(super) fn template(dice: &mut Dice, scope: &Scope) -> Value {
    let mut template = Map::new();
    for number in 0..=dice.roll(3) {
        if dice.one_in(4) {
            template.insert(format!("k{number}"), literal(dice));
        } else if dice.one_in(6) {
            let inner = json!({"in.$": expression(dice, scope), "list": [{"at.$": expression(dice, scope)}, "$.text"]});
            template.insert(format!("k{number}"), inner);
        } else {
            template.insert(format!("k{number}.$"), expression(dice, scope).into());
        }
    }
    Value::Object(template)
}

/// A template that hands the input's own members on, and something beside them.
pub(super) fn members(dice: &mut Dice, scope: &Scope) -> Value {
    let mut template = Map::new();
    for member in MEMBERS {
        template.insert(format!("{member}.$"), format!("$.{member}").into());
    }
    if dice.one_in(2) {
        template.insert("more.$".into(), expression(dice, scope).into());
    }
    Value::Object(template)
}

/// A `ResultSelector` that any result fits.
pub(super) fn selector(dice: &mut Dice) -> Value {
    json!({"got.$": dice.pick(&ON_ANYTHING), "fixed": literal(dice)})
}

/// A small literal value.
pub(super) fn literal(dice: &mut Dice) -> Value {
    match dice.roll(7) {
        0 => Value::Null,
        1 => dice.one_in(2).into(),
        2 => 0.25.into(),
        3 => json!([]),
        4 => json!({"deep": [1, {"x": "y"}]}),
        5 => "a text".into(),
        _ => dice.roll(1_000).into(),
    }
}

/// A text too long to lie inline in a turn's row.
pub(super) fn blob(dice: &mut Dice) -> String {
    "0123456789abcdef".repeat(260 + dice.roll(1_400) as usize)
}

/// An instant around the start of simulated time, in one of the spellings.
pub(super) fn timestamp(dice: &mut Dice) -> String {
    let at = EPOCH_SECONDS - 5 + i64::try_from(dice.roll(40)).expect("small");
    let text = civil(at);
    match dice.roll(3) {
        0 => format!("{text}Z"),
        1 => format!("{text}.250Z"),
        // The same instant's clock in another zone is an hour later or earlier: still around the start.
        _ => format!("{text}.000000001+00:00"),
    }
}

/// `yyyy-mm-ddThh:mm:ss` of seconds since the epoch, UTC.
fn civil(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days of a calendar whose years begin in March, counted from 0000-03-01.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year_of_era + era * 400 + carry;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}
