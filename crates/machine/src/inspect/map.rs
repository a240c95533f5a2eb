//! A Map state under test: everything up to its iterations, which are not run.

use std::sync::{Arc, atomic::Ordering};

use serde_json::Value;
use stepwright_asl::{ItemReader, Map, json::Node};
use stepwright_querylang::{ReferencePath, ReferenceStep, Root};

use super::reader;
use crate::{
    context::Item,
    data_flow::Data,
    error_handling::{Class, Raised},
    history::Failure,
    id::FrameId,
    map_run::Batches,
    payload::Payload,
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
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            match &mut items {
                Value::Array(items) => items.truncate(most),
                Value::Object(members) => *members = std::mem::take(members).into_iter().take(most).collect(),
                _ => unreachable!("an array or an object"),
            }
        }
        Ok(Some(Data::New(items)))
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
        self.tolerance(id, map, input.value())?;
        let Some(items) = items else { return Ok(self.hand_over_container(id)) };
        let items: Vec<(Option<&str>, &Value)> = match items.value() {
            Value::Array(items) => items.iter().map(|value| (None, value)).collect(),
            Value::Object(members) => members.iter().map(|(key, value)| (Some(key.as_str()), value)).collect(),
            _ => unreachable!("an array or an object"),
        };
        let length = items.len();
        let selects = map.item_selector.is_some() || map.item_selector_jsonata.is_some();
        let mut iterations = length;
        if selects || map.run.batcher.is_some() {
            let limits = self.execution.info.limits;
            let mut batches = match &map.run.batcher {
                Some(batcher) => {
                    let batching = self.batching(id, batcher, input.value())?;
                    let batches = Batches::new(&batching, &limits, &self.state_of(id).name);
                    Some((batches, List::new(limits.payload_bytes)))
                }
                None => None,
            };
            let refused = |failure| Raised::reported(Class::Other, failure);
            let mut selected = List::new(limits.payload_bytes);
            let mut count = 0;
            for (index, (key, value)) in (0..).zip(items) {
                if self.inspector.is_some_and(|inspector| inspector.is_given_up().load(Ordering::Relaxed)) {
                    let failure = Failure { error: Some("States.Timeout".into()), cause: None };
                    return Err(Raised::reported(Class::Fatal, failure));
                }
                let item = self.item_input(id, map, input, Item { index, value, key })?;
                // It is shown and dropped: nothing runs on it.
                self.effects.payloads.clear();
                selected.push(item.text());
                if let Some((batches, list)) = &mut batches
                    && let Some(batch) = batches.push(item.text()).map_err(refused)?
                {
                    list.push(&batch.input);
                    count += 1;
                }
            }
            if selects {
                self.note(|noted| noted.map.after_item_selector = selected.end());
            }
            if let Some((mut batches, mut list)) = batches {
                if let Some(batch) = batches.end().map_err(refused)? {
                    list.push(&batch.input);
                    count += 1;
                }
                iterations = count;
                self.note(|noted| noted.map.after_item_batcher = list.end());
            }
        }
        self.note(|noted| noted.map.iterations = Some(iterations));
        Ok(self.hand_over_container(id))
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
