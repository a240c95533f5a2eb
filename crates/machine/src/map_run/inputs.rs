//! The inputs of a run's items: what `ItemSelector` makes of each, or the item itself.

use std::{
    cell::{Cell, OnceCell},
    sync::Arc,
};

use serde_json::{Value, json};
use stepwright_asl::{Definition, StateId, StateKind};
use stepwright_querylang::{
    Environment, Scope, Template,
    jsonata::{StatesScope, StatesTemplate},
};

use super::{MapRunPlan, SelectorScope};
use crate::{
    error_handling::{evaluation_failure, query_failure, text_too_deep, too_deep, too_large},
    execution::Limits,
    history::Failure,
    step::next_random,
};

/// Makes the inputs of the items of one run. What all items share is parsed once. The same item gives the same text,
/// however often and in whichever order.
#[derive(Debug)]
pub struct ItemInputs<'a> {
    selector: Option<(Selector<'a>, &'a SelectorScope)>,
    limits: Limits,
    seed: u64,
    state_name: &'a Arc<str>,
    /// The steps that the selector took so far.
    spent: Cell<u64>,
}

#[derive(Debug)]
enum Selector<'a> {
    JsonPath(&'a Template),
    Jsonata(&'a StatesTemplate),
}

impl<'a> ItemInputs<'a> {
    /// For the items of a run. The plan's payloads have their texts.
    #[must_use]
    pub fn new(definition: &'a Definition, plan: &'a MapRunPlan, limits: &Limits) -> Self {
        let StateKind::Map(map) = &definition.state(StateId(plan.state)).kind else {
            unreachable!("only Map states have map runs")
        };
        let selector = match (&map.item_selector, &map.item_selector_jsonata) {
            (Some(template), _) => Some(Selector::JsonPath(template)),
            (None, Some(template)) => Some(Selector::Jsonata(template)),
            (None, None) => None,
        };
        Self {
            selector: selector.zip(plan.selector.as_ref()),
            limits: *limits,
            seed: plan.seed,
            state_name: &plan.state_name,
            spent: Cell::new(0),
        }
    }

    /// The steps that evaluating the selector took so far, as the limits of evaluations count them.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// The input that an item gives, JSON text. `key` is its name, if it is a member of an object: without a selector, its
    /// input is the pair of the two then, `{"Key":…,"Value":…}`.
    ///
    /// # Errors
    /// The selector fails, or its value is too large or too deep.
    pub fn input(&self, index: u64, item: &Arc<str>, key: Option<&str>) -> Result<Arc<str>, Failure> {
        let input = match (&self.selector, key) {
            (Some((selector, scope)), _) => self.select(selector, scope, index, item, key)?,
            (None, Some(key)) => {
                let pair = format!("{{\"Key\":{},\"Value\":{item}}}", Value::from(key));
                text_too_deep(&pair)?;
                pair.into()
            }
            (None, None) => Arc::clone(item),
        };
        let limit = self.limits.payload_bytes;
        if limit != 0 && input.len() as u64 > limit {
            return Err(too_large(self.state_name).failure);
        }
        Ok(input)
    }

    fn select(
        &self,
        selector: &Selector<'_>,
        scope: &SelectorScope,
        index: u64,
        item: &str,
        key: Option<&str>,
    ) -> Result<Arc<str>, Failure> {
        let environment = ItemEnvironment {
            scope,
            index: index.into(),
            item,
            value: OnceCell::new(),
            unreadable: OnceCell::new(),
            key: key.map(Value::from),
            source: Value::from(&*scope.source),
            random: Cell::new(seed_of(self.seed, index)),
            whole: OnceCell::new(),
        };
        let input = scope.input.value();
        let prefix = || scope.cause_prefix.to_string();
        let evaluated = match selector {
            Selector::JsonPath(template) => template
                .evaluate(&Scope { input, environment: &environment })
                .map_err(|error| evaluation_failure(prefix(), &error).failure),
            Selector::Jsonata(template) => template
                .evaluate(&StatesScope {
                    input,
                    result: None,
                    error_output: None,
                    environment: &environment,
                    now_millis: scope.at,
                    limits: self.limits.evaluation.of_evaluation(u64::MAX),
                    spent: Some(&self.spent),
                })
                .map_err(|failure| query_failure(prefix() + &failure.message)),
        };
        if let Some(reason) = environment.unreadable.into_inner() {
            let cause = format!("The item with the index {index} can't be read as JSON: {reason}");
            return Err(Failure { error: Some("States.ItemReaderFailed".into()), cause: Some(cause.into()) });
        }
        let value = evaluated?;
        if let Some(raised) = too_deep(prefix, &value) {
            return Err(raised.failure);
        }
        Ok(value.to_string().into())
    }
}

/// Where the draws of an item start: items that are next to each other share none.
fn seed_of(seed: u64, index: u64) -> u64 {
    let state = Cell::new(seed ^ index.wrapping_mul(0xD1B5_4A32_D192_ED03));
    next_random(&state)
}

/// What the selector may read for one item.
struct ItemEnvironment<'a> {
    scope: &'a SelectorScope,
    index: Value,
    item: &'a str,
    value: OnceCell<Value>,
    /// Why the item is no JSON that can be read, if it is not.
    unreadable: OnceCell<String>,
    key: Option<Value>,
    source: Value,
    random: Cell<u64>,
    whole: OnceCell<Value>,
}

impl ItemEnvironment<'_> {
    fn value(&self) -> &Value {
        self.value.get_or_init(|| {
            serde_json::from_str(self.item).unwrap_or_else(|error| {
                // What is made of it is not used.
                let _first = self.unreadable.set(error.to_string());
                Value::Null
            })
        })
    }

    /// The whole context object. Few selectors need it.
    fn build(&self) -> Value {
        let mut context = self.scope.context.value().clone();
        // As recorded: Id, Input, …
        if let Some(Value::Object(execution)) = context.get_mut("Execution") {
            execution.shift_insert(execution.len().min(1), "Input".into(), self.scope.execution_input.value().clone());
        }
        let mut item = json!({ "Index": self.index, "Value": self.value() });
        if let Some(key) = &self.key {
            item["Key"] = key.clone();
        }
        item["Source"] = self.source.clone();
        context["Map"] = json!({ "Item": item });
        context
    }
}

impl Environment for ItemEnvironment<'_> {
    fn context(&self) -> &Value {
        self.whole.get_or_init(|| self.build())
    }

    fn context_part(&self, names: &[&str]) -> Option<(usize, &Value)> {
        match names {
            ["Execution", "Input", ..] => Some((2, self.scope.execution_input.value())),
            ["Map", "Item", "Value", ..] => Some((3, self.value())),
            ["Map", "Item", "Index", ..] => Some((3, &self.index)),
            ["Map", "Item", "Source", ..] => Some((3, &self.source)),
            ["Map", "Item", "Key", ..] => self.key.as_ref().map(|key| (3, key)),
            ["Execution"] | ["Map", ..] | [] => None,
            [first, ..] => Some((1, self.scope.context.value().get(*first)?)),
        }
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.scope.variables.get(name).map(crate::payload::Payload::value)
    }

    fn random(&self) -> u64 {
        next_random(&self.random)
    }
}
