//! A Map state under test: everything up to its iterations, which are not run.

use std::sync::{Arc, atomic::Ordering};

use serde_json::Value;
use stepwright_asl::{ItemBatcher, ItemReader, Map, NumberField, PayloadField, json::Node};
use stepwright_querylang::{ReferencePath, ReferenceStep, Root, Scope, jsonata::JsonType};

use super::reader;
use crate::{
    data_flow::Data,
    error_handling::{Class, Raised},
    frame::{Container, OpenMap, Work},
    history::Failure,
    id::FrameId,
    jsonata,
    payload::Payload,
    state::refer,
    step::{Run, Turn},
};

impl Turn<'_> {
    /// What the reader would have found, as the items; none if nobody tells.
    pub(crate) fn read_items(
        &mut self,
        id: FrameId,
        reader: &ItemReader,
        input: &Value,
    ) -> Result<Option<Data>, Raised> {
        let most = match &reader.max_items {
            None => 0,
            Some(field) => self.number(id, field, input, "MaxItems")?,
        };
        let Some(data) = self.inspector.and_then(|inspector| inspector.reader_data()) else { return Ok(None) };
        let failed = |cause: String| Raised::new(Class::Other, "States.ItemReaderFailed", cause);
        let Some(read) = reader::read(reader, data).map_err(failed)? else { return Ok(None) };
        self.note(|noted| noted.map.after_items_pointer = read.pointed);
        let mut items = read.items;
        if most > 0 {
            items.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        Ok(Some(Data::New(Value::Array(items))))
    }

    /// The text of what `ItemsPath` selected: as it stands in the text that it was selected from (recorded).
    pub(crate) fn note_items(&self, path: Option<&ReferencePath>, input: &Data, items: &Data) {
        let Some(inspector) = self.inspector else { return };
        let within = |text: &str| {
            let root = stepwright_asl::json::parse(text, MAX_DEPTH).ok()?;
            let found = follow(path?, &root)?;
            Some(Arc::from(&text[found.start..found.end]))
        };
        let text = match (path.map(ReferencePath::root), input, inspector.context()) {
            (None | Some(Root::Input), Data::Same(payload), _) => within(payload.text()),
            (Some(Root::Context), _, Some(context)) => within(context.text()),
            _ => None,
        };
        inspector.note(|noted| noted.map.after_items_path = Some(text.unwrap_or_else(|| items.text())));
    }

    /// What comes between the items and the iterations. Then the state stands at them.
    pub(crate) fn inspect_map(
        &mut self,
        id: FrameId,
        map: &Map,
        input: &Payload,
        items: Option<Payload>,
    ) -> Result<Run, Raised> {
        self.note_tolerance(id, map, input.value())?;
        let Some(items) = items else { return Ok(self.hand_over_container(id)) };
        let length = items.value().as_array().map_or(0, Vec::len);
        let selects = map.item_selector.is_some() || map.item_selector_jsonata.is_some();
        let mut iterations = length;
        if selects || map.run.batcher.is_some() {
            let frames = Container { first: 0, length: 0, ended: 0, last_event: self.frame(id).tip };
            let open = OpenMap { frames, input: input.clone(), items, max_concurrency: 0, next: 0 };
            self.visit_mut(id).work = Work::Map(Box::new(open));
            let mut batches = match &map.run.batcher {
                Some(batcher) => Some(self.batches(id, batcher, input.value())?),
                None => None,
            };
            let mut selected = List::new(self.execution.info.limits.payload_bytes);
            for index in 0..length {
                if self.inspector.is_some_and(|inspector| inspector.is_given_up().load(Ordering::Relaxed)) {
                    let failure = Failure { error: Some("States.Timeout".into()), cause: None };
                    return Err(Raised::reported(Class::Fatal, failure));
                }
                let item = self.iteration_input(id, map, u32::try_from(index).expect("a payload holds fewer items"))?;
                // It is shown and dropped: nothing runs on it.
                self.effects.payloads.clear();
                selected.push(item.text());
                if let Some(batches) = &mut batches {
                    batches.push(item.text());
                }
            }
            if selects {
                self.note(|noted| noted.map.after_item_selector = selected.end());
            }
            if let Some(batches) = batches {
                let (count, text) = batches.end();
                iterations = count;
                self.note(|noted| noted.map.after_item_batcher = text);
            }
        }
        self.note(|noted| noted.map.iterations = Some(iterations));
        Ok(self.hand_over_container(id))
    }

    fn note_tolerance(&self, id: FrameId, map: &Map, input: &Value) -> Result<(), Raised> {
        if let Some(field) = &map.run.tolerated_failure_count {
            let count = self.number(id, field, input, "ToleratedFailureCount")?;
            self.note(|noted| noted.map.tolerated_failure_count = Some(count));
        }
        if let Some(field) = &map.run.tolerated_failure_percentage {
            let name = "ToleratedFailurePercentage";
            let share = match field {
                NumberField::Literal(share) => *share,
                NumberField::Jsonata(expression) => {
                    let environment = self.environment(id);
                    let value = self.query(id, expression, JsonType::Number, &environment)?;
                    value.as_f64().expect("a number was asked for")
                }
                NumberField::Path(path) => {
                    let environment = self.environment(id);
                    let value = refer(path, input, &environment).map_err(|error| self.evaluation_failed(id, &error))?;
                    let share = value.as_f64().or_else(|| value.as_str()?.parse().ok());
                    share.ok_or_else(|| self.no_number(id, &value, path, name, "float"))?
                }
            };
            if !(0.0..=100.0).contains(&share) {
                return Err(self.runtime_error(id, &format!("{name} must be between 0 and 100.")));
            }
            self.note(|noted| noted.map.tolerated_failure_percentage = Some(share));
        }
        Ok(())
    }

    /// The whole number of a field, not below zero.
    fn number(&self, id: FrameId, field: &NumberField<u64>, input: &Value, name: &str) -> Result<u64, Raised> {
        match field {
            NumberField::Literal(number) => Ok(*number),
            NumberField::Jsonata(expression) => {
                self.query_integer(id, expression, (0, u64::MAX), &self.environment(id))
            }
            NumberField::Path(path) => {
                let environment = self.environment(id);
                let value = refer(path, input, &environment).map_err(|error| self.evaluation_failed(id, &error))?;
                let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
                let number = number.ok_or_else(|| self.no_number(id, &value, path, name, "integer"))?;
                u64::try_from(number).map_err(|_| self.runtime_error(id, &format!("{name} cannot be negative.")))
            }
        }
    }

    fn no_number(&self, id: FrameId, value: &Value, path: &ReferencePath, name: &str, kind: &str) -> Raised {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let message =
            format!("The {name}Path field refers to value \"{shown}\" which is not a valid {kind}: {}", path.text());
        self.runtime_error(id, &message)
    }

    fn batches(&self, id: FrameId, batcher: &ItemBatcher, input: &Value) -> Result<Batches, Raised> {
        let environment = self.environment(id);
        let fixed = match &batcher.batch_input {
            None => None,
            Some(PayloadField::JsonPath(template)) => {
                let made = template.evaluate(&Scope { input, environment: &environment });
                Some(made.map_err(|error| self.evaluation_failed(id, &error))?.to_string())
            }
            Some(PayloadField::Jsonata(template)) => {
                let made = template.evaluate(&jsonata::scope(&environment, input));
                Some(made.map_err(|failure| self.query_failed(id, failure))?.to_string())
            }
        };
        let bound = |field: Option<&NumberField<u64>>, name: &str| match field {
            // 0 is no bound.
            Some(field) => Ok(Some(self.number(id, field, input, name)?).filter(|most| *most > 0)),
            None => Ok(None),
        };
        let most_items = bound(batcher.max_items.as_ref(), "MaxItemsPerBatch")?;
        let most_bytes = bound(batcher.max_bytes.as_ref(), "MaxInputBytesPerBatch")?;
        let head = match fixed {
            Some(fixed) => format!("{{\"BatchInput\":{fixed},\"Items\":["),
            None => "{\"Items\":[".to_owned(),
        };
        Ok(Batches {
            most_items: most_items.unwrap_or(u64::MAX),
            most_bytes: most_bytes.unwrap_or(u64::MAX),
            bytes: head.len() as u64 + BATCH_TAIL.len() as u64,
            head,
            open: None,
            items: 0,
            count: 0,
            list: List::new(self.execution.info.limits.payload_bytes),
        })
    }
}

/// Where a path leads in a parsed text.
fn follow<'t>(path: &ReferencePath, root: &'t Node) -> Option<&'t Node> {
    path.steps().try_fold(root, |node, step| match step {
        ReferenceStep::Name(name) => node.get(name),
        ReferenceStep::Index(index) => node.as_array()?.get(usize::try_from(index).ok()?),
    })
}

/// A JSON array as it is written, as long as it is short enough to be shown.
struct List {
    text: Option<String>,
    most: u64,
}

impl List {
    /// An array of this many bytes at most; 0: of any length.
    fn new(most: u64) -> Self {
        Self { text: Some("[".to_owned()), most }
    }

    fn push(&mut self, item: &str) {
        let Some(text) = &mut self.text else { return };
        if self.most > 0 && (text.len() + item.len() + 2) as u64 > self.most {
            self.text = None;
            return;
        }
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(item);
    }

    fn end(self) -> Option<Arc<str>> {
        self.text.map(|text| (text + "]").into())
    }
}

/// Deepest text that is taken apart: what a payload may be.
const MAX_DEPTH: usize = 128;

const BATCH_TAIL: &str = "]}";

/// Items on their way into batches.
struct Batches {
    most_items: u64,
    most_bytes: u64,
    head: String,
    /// Bytes of a batch without items.
    bytes: u64,
    /// The batch at hand, if it is short enough to be shown, and its bytes.
    open: Option<(String, u64)>,
    items: u64,
    count: usize,
    list: List,
}

impl Batches {
    fn push(&mut self, item: &str) {
        let size = item.len() as u64 + 1;
        // Every batch has an item, however large.
        let is_full = self
            .open
            .as_ref()
            .is_some_and(|(_, bytes)| self.items >= self.most_items || bytes.saturating_add(size) > self.most_bytes);
        if is_full {
            self.close();
        }
        let (text, bytes) = self.open.get_or_insert_with(|| (self.head.clone(), self.bytes));
        *bytes += size;
        if self.list.text.is_some() {
            if self.items > 0 {
                text.push(',');
            }
            text.push_str(item);
            // What is not shown need not be kept.
            if self.list.most > 0 && text.len() as u64 > self.list.most {
                self.list.text = None;
            }
        }
        self.items += 1;
    }

    fn close(&mut self) {
        if let Some((text, _)) = self.open.take() {
            self.list.push(&(text + BATCH_TAIL));
            self.count += 1;
            self.items = 0;
        }
    }

    fn end(mut self) -> (usize, Option<Arc<str>>) {
        self.close();
        (self.count, self.list.end())
    }
}
