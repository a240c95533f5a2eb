//! Evaluating steps on a document, with a bound on the nodes visited, and the
//! words for a path that selects nothing.

use super::filter::Memo;
use super::{FunctionName, Origin, Segment, Steps};
use crate::value::{MAX_NODES, MAX_VISITS, MAX_WEIGHT, weight};
use crate::{Environment, Scope};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Write;

/// Why a path selects nothing.
#[derive(Debug, Clone)]
pub(crate) struct Miss {
    /// The segment that failed.
    at: usize,
    kind: MissKind,
}

#[derive(Debug, Clone)]
enum MissKind {
    /// The variable at the root was never assigned.
    Variable,
    /// An object lacks the property, or the value is no object.
    Property,
    /// An array is too short.
    PastEnd,
    /// An index on something that is no array.
    NotAnArray,
    /// A tail function that cannot be applied.
    Function(String),
    /// More nodes than one evaluation may visit or return.
    TooMuch,
}

impl Miss {
    pub(super) fn variable() -> Self {
        Self { at: 0, kind: MissKind::Variable }
    }

    pub(super) fn function(message: String) -> Self {
        Self { at: 0, kind: MissKind::Function(message) }
    }

    pub(super) fn too_much() -> Self {
        Self { at: 0, kind: MissKind::TooMuch }
    }

    /// Whether this is no plain absence but the end of the whole evaluation.
    pub(super) fn stops_everything(&self) -> bool {
        matches!(self.kind, MissKind::TooMuch)
    }

    /// Whether all parents are there and only the array is too short: payload
    /// templates then yield `null`.
    pub(super) fn is_past_end(&self, steps: &Steps) -> bool {
        matches!(self.kind, MissKind::PastEnd) && steps.is_leaf(self.at)
    }

    /// The words of the path library itself, where the service lets them through
    /// instead of its own sentence.
    pub(super) fn foreign_words(&self, origin: &Origin, steps: &Steps, scope: &Scope<'_>) -> Option<String> {
        match &self.kind {
            MissKind::NotAnArray => Some(self.not_an_array(origin, steps, scope)),
            MissKind::Function(message) => Some(message.clone()),
            MissKind::TooMuch => Some(too_much()),
            MissKind::Variable | MissKind::Property | MissKind::PastEnd => None,
        }
    }

    /// What follows `Invalid path '…' : `.
    pub(crate) fn describe(&self, origin: &Origin, steps: &Steps, scope: &Scope<'_>) -> String {
        match &self.kind {
            MissKind::Variable if steps.segments.is_empty() && steps.functions.is_empty() => {
                format!("No results for path: {}", steps.normalized(origin, 0))
            }
            MissKind::Variable => {
                format!("Missing property in path {}", steps.normalized(origin, 0))
            }
            MissKind::Property if !steps.is_leaf(self.at) => {
                format!("Missing property in path {}", steps.normalized(origin, self.at + 1))
            }
            MissKind::Property | MissKind::PastEnd => {
                format!("No results for path: {}", steps.normalized(origin, steps.segments.len()))
            }
            MissKind::NotAnArray => self.not_an_array(origin, steps, scope),
            MissKind::Function(message) => message.clone(),
            MissKind::TooMuch => too_much(),
        }
    }

    /// The path is walked again for the value it met: most misses are never
    /// described, and the value may be large.
    fn not_an_array(&self, origin: &Origin, steps: &Steps, scope: &Scope<'_>) -> String {
        let met = origin.value(scope).and_then(|start| {
            steps.segments.iter().take(self.at).try_fold(start, |value, segment| match segment {
                Segment::Name(name) => value.get(&**name),
                Segment::Index(index) => element(value.as_array()?, *index),
                _ => None,
            })
        });
        if met.is_some_and(Value::is_null) {
            return format!("The path {} is null", steps.normalized(origin, self.at));
        }
        let mut text = String::from("Filter: ");
        for segment in steps.segments.iter().skip(self.at) {
            segment.write(&mut text);
        }
        text.push_str(" can only be applied to arrays. Current context is: ");
        if let Some(met) = met {
            text.push_str(&met.to_string());
        }
        text
    }
}

fn too_much() -> String {
    format!(
        "The path visits more than {MAX_VISITS} values, or selects more than {MAX_NODES} values or {MAX_WEIGHT} bytes"
    )
}

impl Segment {
    /// In the normalized bracket form.
    fn write(&self, out: &mut String) {
        let written = match self {
            Self::Name(name) => write!(out, "['{name}']"),
            Self::Names(names) => write!(out, "['{}']", names.join("','")),
            Self::Index(index) => write!(out, "[{index}]"),
            Self::Indexes(indexes) => {
                let indexes: Vec<String> = indexes.iter().map(i64::to_string).collect();
                write!(out, "[{}]", indexes.join(","))
            }
            Self::Slice { from, to, step } => {
                let bound = |bound: &Option<i64>| bound.map(|b| b.to_string()).unwrap_or_default();
                let step = if *step == 1 { String::new() } else { format!(":{step}") };
                write!(out, "[{}:{}{step}]", bound(from), bound(to))
            }
            Self::Wildcard => write!(out, "[*]"),
            Self::Descend => write!(out, ".."),
            Self::Filter(_) => write!(out, "[?]"),
        };
        written.expect("writing to a string cannot fail");
    }
}

/// What one evaluation may still do.
#[derive(Debug)]
pub(super) struct Budget {
    visits: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { visits: MAX_VISITS }
    }

    pub(super) fn spend(&mut self, visits: usize) -> Result<(), Miss> {
        self.visits = self.visits.checked_sub(visits).ok_or_else(Miss::too_much)?;
        Ok(())
    }

    /// For copying or comparing a value; its weight.
    pub(super) fn spend_on(&mut self, value: &Value) -> Result<usize, Miss> {
        let weight = weight(value, MAX_WEIGHT);
        self.spend(weight / 4)?;
        Ok(weight)
    }
}

impl Steps {
    /// Names and single indexes only; several names count if they come last,
    /// where they make one object.
    pub(super) fn is_definite(&self) -> bool {
        let last = self.segments.len();
        self.segments.iter().enumerate().all(|(at, segment)| match segment {
            Segment::Name(_) | Segment::Index(_) => true,
            Segment::Names(_) => at + 1 == last,
            _ => false,
        })
    }

    fn is_leaf(&self, at: usize) -> bool {
        at + 1 == self.segments.len() && self.functions.is_empty()
    }

    fn normalized(&self, origin: &Origin, count: usize) -> String {
        let mut text = String::from("$");
        if let Origin::Variable(name) = origin {
            write!(text, "['{name}']").expect("writing to a string cannot fail");
        }
        for segment in self.segments.iter().take(count) {
            segment.write(&mut text);
        }
        text
    }

    /// What a definite path selects in a part of the context object. `None`: the whole of it must be asked.
    pub(super) fn in_context_part<'a>(&self, environment: &'a dyn Environment) -> Option<Cow<'a, Value>> {
        if !self.is_definite() || !self.functions.is_empty() {
            return None;
        }
        let names: Vec<&str> = self
            .segments
            .iter()
            .map_while(|segment| match segment {
                Segment::Name(name) => Some(&**name),
                _ => None,
            })
            .collect();
        let (taken, part) = environment.context_part(&names)?;
        self.walk(part, taken, &mut Budget::new()).ok()
    }

    pub(super) fn evaluate<'a>(&self, document: &'a Value) -> Result<Cow<'a, Value>, Miss> {
        self.evaluate_within(document, document, &mut Budget::new())
    }

    /// `document` is what `$` means inside filters and function arguments.
    pub(super) fn evaluate_within<'a>(
        &self,
        start: &'a Value,
        document: &'a Value,
        budget: &mut Budget,
    ) -> Result<Cow<'a, Value>, Miss> {
        let mut value =
            if self.is_definite() { self.walk(start, 0, budget)? } else { self.fan_out(start, document, budget)? };
        // `$..book.length()` is how many books there are in all, not how many arrays of that name.
        if let (Some(Segment::Descend), Some(function)) = (self.segments.first(), self.functions.first())
            && function.name == FunctionName::Length
        {
            value = Cow::Owned(children(&value));
        }
        for function in &self.functions {
            value = Cow::Owned(function.apply(&value, document, budget)?);
        }
        Ok(value)
    }

    /// Whether what stands before the first step with several matches is there, and is of a kind this step can be
    /// asked of. In a filter a path of which this does not hold selects nothing, and not an empty list.
    pub(super) fn has_parents(&self, start: &Value) -> bool {
        let mut value = start;
        for segment in &self.segments {
            let found = match segment {
                Segment::Name(name) => value.get(&**name),
                Segment::Index(index) => value.as_array().and_then(|elements| element(elements, *index)),
                Segment::Names(_) => return value.is_object(),
                Segment::Indexes(_) | Segment::Slice { .. } => return value.is_array(),
                Segment::Filter(_) => return value.is_object() || value.is_array(),
                Segment::Wildcard | Segment::Descend => return true,
            };
            match found {
                Some(found) => value = found,
                None => return false,
            }
        }
        true
    }

    /// One value at a time, from `start`, which the first `taken` segments lead to.
    fn walk<'a>(&self, start: &'a Value, taken: usize, budget: &mut Budget) -> Result<Cow<'a, Value>, Miss> {
        let mut value = start;
        for (at, segment) in self.segments.iter().enumerate().skip(taken) {
            let miss = |kind| Miss { at, kind };
            value = match segment {
                Segment::Name(name) => value
                    .as_object()
                    .and_then(|members| members.get(&**name))
                    .ok_or_else(|| miss(MissKind::Property))?,
                Segment::Index(index) => {
                    let elements = value.as_array().ok_or_else(|| miss(MissKind::NotAnArray))?;
                    element(elements, *index).ok_or_else(|| miss(MissKind::PastEnd))?
                }
                Segment::Names(names) => {
                    let members = value.as_object().ok_or_else(|| miss(MissKind::Property))?;
                    // Definite, so this is the last segment.
                    let picked = pick(members, names);
                    budget.spend_on(&picked)?;
                    return Ok(Cow::Owned(picked));
                }
                _ => unreachable!("a definite path has only names and indexes"),
            };
        }
        Ok(Cow::Borrowed(value))
    }

    fn fan_out<'a>(&self, start: &'a Value, document: &'a Value, budget: &mut Budget) -> Result<Cow<'a, Value>, Miss> {
        let mut nodes = vec![start];
        let mut descended = false;
        for (at, segment) in self.segments.iter().enumerate() {
            let mut next = Vec::new();
            if let Segment::Names(names) = segment
                && at + 1 == self.segments.len()
            {
                return pick_each(&nodes, names, descended, budget);
            }
            let memo = match segment {
                Segment::Filter(condition) => condition.memo(),
                _ => Memo::default(),
            };
            for node in nodes {
                let before = next.len();
                apply(segment, node, descended, (document, &memo), budget, &mut next)?;
                budget.spend(1 + next.len() - before)?;
                if next.len() > MAX_NODES {
                    return Err(Miss::too_much());
                }
            }
            descended = matches!(segment, Segment::Descend);
            nodes = next;
        }
        let mut total = 0;
        for node in &nodes {
            total += budget.spend_on(node)?;
            if total > MAX_WEIGHT {
                return Err(Miss::too_much());
            }
        }
        Ok(Cow::Owned(nodes.into_iter().cloned().collect()))
    }
}

/// `…[*]['a','b']`: one object for each match; behind `..` only of objects that have all of the names.
fn pick_each<'a>(
    nodes: &[&'a Value],
    names: &[Box<str>],
    descended: bool,
    budget: &mut Budget,
) -> Result<Cow<'a, Value>, Miss> {
    let mut total = 0;
    let mut picked = Vec::new();
    for members in nodes.iter().filter_map(|node| node.as_object()) {
        budget.spend(names.len())?;
        if descended && !names.iter().all(|name| members.contains_key(&**name)) {
            continue;
        }
        let object = pick(members, names);
        total += budget.spend_on(&object)?;
        if total > MAX_WEIGHT {
            return Err(Miss::too_much());
        }
        if object.as_object().is_some_and(|members| !members.is_empty()) {
            picked.push(object);
        }
    }
    Ok(Cow::Owned(Value::Array(picked)))
}

/// One value for each child of each match.
fn children(matches: &Value) -> Value {
    let matches = matches.as_array().map_or(&[][..], Vec::as_slice);
    let count = matches.iter().map(|found| match found {
        Value::Array(elements) => elements.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    });
    Value::Array(vec![Value::Null; count.sum()])
}

/// The members of these names that are there.
fn pick(members: &Map<String, Value>, names: &[Box<str>]) -> Value {
    let mut picked = Map::new();
    for name in names {
        if let Some(value) = members.get(&**name)
            && !picked.contains_key(&**name)
        {
            picked.insert(name.to_string(), value.clone());
        }
    }
    Value::Object(picked)
}

/// The position an index means, negative ones counted from the end.
pub(crate) fn position(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    }
}

fn element(elements: &[Value], index: i64) -> Option<&Value> {
    elements.get(position(index, elements.len())?)
}

/// What a segment selects from one node; a node it does not fit selects nothing.
fn apply<'a>(
    segment: &Segment,
    node: &'a Value,
    descended: bool,
    (document, memo): (&'a Value, &Memo<'a>),
    budget: &mut Budget,
    out: &mut Vec<&'a Value>,
) -> Result<(), Miss> {
    match (segment, node) {
        (Segment::Name(name), Value::Object(members)) => out.extend(members.get(&**name)),
        (Segment::Names(names), Value::Object(members)) => {
            out.extend(names.iter().filter_map(|name| members.get(&**name)));
        }
        (Segment::Index(index), Value::Array(elements)) => {
            out.extend(element(elements, *index));
        }
        (Segment::Indexes(indexes), Value::Array(elements)) => {
            out.extend(indexes.iter().filter_map(|index| element(elements, *index)));
        }
        (Segment::Slice { from, to, step }, Value::Array(elements)) => {
            let clamp = |bound: i64| position(bound, elements.len()).unwrap_or(0).min(elements.len());
            let from = from.map_or(0, clamp);
            let to = to.map_or(elements.len(), clamp);
            let step = usize::try_from(*step).unwrap_or(usize::MAX);
            if from < to {
                out.extend(elements[from..to].iter().step_by(step));
            }
        }
        (Segment::Wildcard, Value::Object(members)) => out.extend(members.values()),
        (Segment::Wildcard, Value::Array(elements)) => out.extend(elements),
        (Segment::Descend, _) => {
            let mut waiting = vec![node];
            while let Some(node) = waiting.pop() {
                budget.spend(1)?;
                out.push(node);
                match node {
                    Value::Array(elements) => waiting.extend(elements.iter().rev()),
                    Value::Object(members) => waiting.extend(members.values().rev()),
                    _ => {}
                }
            }
        }
        (Segment::Filter(condition), Value::Object(_)) => {
            let accepted = condition.accepts(node, document, memo, budget)?;
            out.extend(accepted.then_some(node));
        }
        // Behind `..` only objects are asked, each when its own turn comes; asking the elements of arrays too would find
        // them twice.
        (Segment::Filter(condition), Value::Array(elements)) if !descended => {
            for element in elements {
                if condition.accepts(element, document, memo, budget)? {
                    out.push(element);
                }
            }
        }
        _ => {}
    }
    Ok(())
}
