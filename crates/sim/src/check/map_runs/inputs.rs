//! What the children of a run are due to be given, worked out from the text of the definition: the few forms of selectors
//! that workloads have, and batches the slow way. What a member is worth whose expression has another form, nobody knows
//! here.

use serde_json::{Map, Value};
use stepwright_machine::map_run::{Batching, MapRunPlan};
use stepwright_store::map_runs::MapChildRow;

/// What a child is due to be given.
#[derive(Debug)]
pub(super) struct Due {
    items: u32,
    /// Members of the input whose values are not known are not there.
    input: Value,
    /// Names of such members.
    unknown: Vec<String>,
}

impl Due {
    /// Whether a child was given this.
    pub(super) fn is(&self, row: &MapChildRow) -> bool {
        let Ok(mut given) = serde_json::from_str::<Value>(&row.input) else { return false };
        if let Value::Object(members) = &mut given {
            for name in &self.unknown {
                if members.shift_remove(name).is_none() {
                    return false;
                }
            }
        }
        (plain(given), row.items) == (plain(self.input.clone()), self.items)
    }
}

/// With whole numbers as such, however they are written.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 1e15 => (whole as i64).into(),
            _ => Value::Number(number),
        },
        Value::Array(elements) => elements.into_iter().map(plain).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => other,
    }
}

/// What all children of a run are due to be given, in their order; up to the first that cannot be made.
pub(super) fn of(plan: &MapRunPlan, definition: &Value) -> Vec<Due> {
    let selector = state(definition, &plan.state_name).and_then(|state| state.get("ItemSelector"));
    let input = plan.selector.as_ref().map(|scope| scope.input.value().clone()).unwrap_or_default();
    let mut each = Vec::new();
    for (index, (key, item)) in super::all_items(plan).into_iter().enumerate() {
        each.push(match (selector, key) {
            (Some(selector), _) => selected(selector, &input, index, &item),
            (None, None) => (item, Vec::new()),
            (None, Some(key)) => {
                let mut pair = Map::new();
                pair.insert("Key".into(), key.into());
                pair.insert("Value".into(), item);
                (Value::Object(pair), Vec::new())
            }
        });
    }
    match &plan.batching {
        None => each.into_iter().map(|(input, unknown)| Due { items: 1, input, unknown }).collect(),
        Some(batching) => batches(batching, each.into_iter().map(|(input, _)| input)),
    }
}

/// The state with a name, somewhere in a definition.
fn state<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => {
            let own = members.get("States").and_then(|states| states.get(name));
            own.or_else(|| members.values().find_map(|member| state(member, name)))
        }
        Value::Array(elements) => elements.iter().find_map(|element| state(element, name)),
        _ => None,
    }
}

fn selected(selector: &Value, input: &Value, index: usize, item: &Value) -> (Value, Vec<String>) {
    let (mut members, mut unknown) = (Map::new(), Vec::new());
    for (name, value) in selector.as_object().into_iter().flatten() {
        let query = value.as_str().and_then(|text| Some(text.strip_prefix("{%")?.strip_suffix("%}")?.trim()));
        let (name, expression) = match (name.strip_suffix(".$"), query) {
            (Some(name), _) => (name, value.as_str()),
            (None, query) => (&**name, query),
        };
        let known = match expression {
            None => Some(value.clone()),
            Some("$$.Map.Item.Value" | "$states.context.Map.Item.Value") => Some(item.clone()),
            Some("$$.Map.Item.Index" | "$states.context.Map.Item.Index") => Some(index.into()),
            Some(expression) => {
                let path = expression.strip_prefix("$states.input.").or_else(|| expression.strip_prefix("$."));
                let plain = path.filter(|path| path.bytes().all(|byte| byte.is_ascii_lowercase()));
                // What a sequence comes to is another question.
                plain.and_then(|name| input.get(name)).filter(|value| query.is_none() || !value.is_array()).cloned()
            }
        };
        match known {
            Some(value) => drop(members.insert(name.to_owned(), value)),
            None => unknown.push(name.to_owned()),
        }
    }
    (Value::Object(members), unknown)
}

fn batches(batching: &Batching, inputs: impl Iterator<Item = Value>) -> Vec<Due> {
    let fixed = batching.batch_input.as_ref().map(|text| serde_json::from_str::<Value>(text).unwrap_or_default());
    let batch = |items: &[Value]| {
        let mut members = Map::new();
        if let Some(fixed) = &fixed {
            members.insert("BatchInput".into(), fixed.clone());
        }
        members.insert("Items".into(), items.into());
        Value::Object(members)
    };
    let fits = |items: &[Value]| {
        batching.max_items.is_none_or(|most| items.len() as u64 <= most)
            && batching.max_bytes.is_none_or(|most| batch(items).to_string().len() as u64 <= most)
    };
    let mut all: Vec<Vec<Value>> = Vec::new();
    for input in inputs {
        let mut with = all.last().cloned().unwrap_or_default();
        with.push(input.clone());
        match all.last_mut() {
            Some(last) if fits(&with) => *last = with,
            _ => all.push(vec![input]),
        }
    }
    let due = |items: Vec<Value>| Due {
        items: u32::try_from(items.len()).unwrap_or(u32::MAX),
        input: batch(&items),
        unknown: Vec::new(),
    };
    all.into_iter().map(due).collect()
}
