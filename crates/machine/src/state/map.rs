//! Map states: their items, and the iterations of inline ones: a frame for each, opened as slots become free. The state's
//! own frame holds counters only, so that its size does not depend on the number of items.

use serde_json::{Value, json};
use stepwright_asl::{Map, MapMode, NumberField, QueryLanguage, State};
use stepwright_querylang::jsonata::JsonType;

use crate::{
    context::Item,
    data_flow::{self, Data},
    error_handling::Raised,
    frame::{Container, OpenMap, Work},
    history::EventKind,
    id::{EventId, FrameId},
    jsonata,
    payload::Payload,
    step::{Run, Turn},
};

use super::refer;

impl Turn<'_> {
    pub(crate) fn begin_map(&mut self, id: FrameId, state: &State, map: &Map) -> Result<Run, Raised> {
        let raw = self.visit(id).input.clone();
        let environment = self.environment(id);
        let input = data_flow::input(&state.data, &raw, &environment);
        drop(environment);
        let input = input.map_err(|error| self.evaluation_failed(id, &error))?;
        if state.query_language == QueryLanguage::JsonPath {
            self.note(|noted| noted.after_input_path = Some(input.text()));
        }
        let wanted = self.max_concurrency(id, map, input.value())?;
        if let (Some(reader), Some(_)) = (&map.run.reader, self.inspector) {
            let items = self.read_items(id, reader, input.value())?;
            let items = items.map(|items| self.intern(items.into_payload()));
            let input = self.intern(input.into_payload());
            return self.inspect_map(id, map, &input, items);
        }
        if map.run.reader.is_some() {
            return self.begin_map_run(id, state, map, input, None, wanted);
        }
        let items = match state.query_language {
            QueryLanguage::JsonPath => self.items(id, map, &input),
            QueryLanguage::Jsonata => self.items_jsonata(id, map, &raw),
        };
        let items = items.inspect_err(|_| {
            // As recorded: where there is nothing to run, it does not matter how much of it is run at once.
            self.note(|noted| noted.map.max_concurrency = None);
        })?;
        if state.query_language == QueryLanguage::JsonPath {
            self.note_items(map.items_path.as_ref(), &input, &items);
        }
        // Not limited with paths: what was selected from a payload is no larger than it, and shaping is refused at exit.
        let input = self.intern(input.into_payload());
        let items = match state.query_language {
            QueryLanguage::JsonPath => self.intern(items.into_payload()),
            QueryLanguage::Jsonata => self.limited(id, items)?,
        };
        if self.inspector.is_some() {
            return self.inspect_map(id, map, &input, Some(items));
        }
        if map.mode != MapMode::Inline {
            return self.begin_map_run(id, state, map, Data::Same(input), Some(items), wanted);
        }
        let max_concurrency = self.at_once(wanted);
        let length = items.value().as_array().map_or(0, Vec::len);
        let length = u32::try_from(length).expect("a payload holds fewer items");
        Ok((|| {
            let started = self.chain(id, EventKind::MapStateStarted { length: u64::from(length) })?;
            let first = self.reserve_frames(length);
            let frames = Container { first, length, ended: 0, last_event: started };
            let open = OpenMap { frames, input, items, max_concurrency, next: 0 };
            self.visit_mut(id).work = Work::Map(Box::new(open));
            if length == 0 {
                return self.map_succeeded(id, state, map, frames, started);
            }
            let at_once = if max_concurrency == 0 { length } else { length.min(max_concurrency) };
            let mut opened = Vec::new();
            for _ in 0..at_once {
                opened.push(self.start_iteration(id, state, started)?);
            }
            for (index, event) in opened {
                if !self.open_iteration(id, map, index, event)? {
                    break;
                }
            }
            Ok(())
        })())
    }

    /// Writes the event of the next iteration and counts it. Gives its index and event.
    fn start_iteration(&mut self, id: FrameId, state: &State, previous: EventId) -> Run<(u32, EventId)> {
        let Work::Map(open) = &mut self.visit_mut(id).work else { unreachable!("the state runs iterations") };
        let index = open.next;
        open.next += 1;
        let kind = EventKind::MapIterationStarted { state: state.id.0, index: u64::from(index) };
        Ok((index, self.emit(previous, kind)?))
    }

    /// Opens an iteration's frame. False if its input could not be made: the Map state failed, and is elsewhere now.
    fn open_iteration(&mut self, id: FrameId, map: &Map, index: u32, started: EventId) -> Run<bool> {
        match self.iteration_input(id, map, index) {
            Err(raised) => self.raise(id, raised).map(|()| false),
            Ok(input) => {
                let first = self.container(id).first;
                self.open_frame(FrameId(first + index), Some(id), index, map.processor, started, input);
                Ok(true)
            }
        }
    }

    fn iteration_input(&mut self, id: FrameId, map: &Map, index: u32) -> Result<Payload, Raised> {
        let Work::Map(open) = &self.visit(id).work else { unreachable!("the state runs iterations") };
        let (items, input) = (open.items.clone(), open.input.clone());
        self.item_input(id, map, &input, Item { index, value: &items.value()[index as usize], key: None })
    }

    /// What an item gives: by `ItemSelector`, whose `$` is the state's effective input, or the item itself.
    pub(crate) fn item_input(
        &mut self,
        id: FrameId,
        map: &Map,
        input: &Payload,
        item: Item<'_>,
    ) -> Result<Payload, Raised> {
        let environment = self.environment(id).with_item(item);
        let input = input.value();
        let selected = match (&map.item_selector, &map.item_selector_jsonata) {
            (Some(selector), _) => selector
                .evaluate(&stepwright_querylang::Scope { input, environment: &environment })
                .map_err(|error| self.evaluation_failed(id, &error)),
            (None, Some(selector)) => selector
                .evaluate(&jsonata::scope(&environment, input))
                .map_err(|failure| self.query_failed(id, failure)),
            (None, None) => {
                drop(environment);
                let value = match item.key {
                    None => item.value.clone(),
                    Some(key) => json!({ "Key": key, "Value": item.value }),
                };
                return Ok(self.intern(Payload::from_value(value)));
            }
        };
        drop(environment);
        let selected = selected?;
        self.limited(id, Data::New(selected))
    }

    pub(crate) fn iteration_ended(&mut self, id: FrameId, state: &State, map: &Map, child: FrameId) -> Run {
        let tip = self.frame(child).tip;
        let index = self.frame(child).slot;
        let event = self.emit(tip, EventKind::MapIterationSucceeded { state: state.id.0, index: u64::from(index) })?;
        let Work::Map(open) = &mut self.visit_mut(id).work else { unreachable!("the state runs iterations") };
        open.frames.ended += 1;
        open.frames.last_event = event;
        let (frames, next) = (open.frames, open.next);
        if frames.ended == frames.length {
            return self.map_succeeded(id, state, map, frames, event);
        }
        if next < frames.length {
            let (index, started) = self.start_iteration(id, state, tip)?;
            self.open_iteration(id, map, index, started)?;
        }
        Ok(())
    }

    pub(crate) fn map_succeeded(
        &mut self,
        id: FrameId,
        state: &State,
        map: &Map,
        frames: Container,
        previous: EventId,
    ) -> Run {
        let succeeded = self.emit(previous, EventKind::MapStateSucceeded)?;
        self.finish_container(id, state, frames, (previous, succeeded), map.transition)
    }

    /// After a redrive: iterations whose input could not be made, then those that had not started, as far as slots are
    /// free. `open` iterations go on.
    pub(crate) fn start_missing(&mut self, id: FrameId, map: &Map, redriven: EventId, mut open: u32) -> Run {
        let Work::Map(work) = &self.visit(id).work else { return Ok(()) };
        let (frames, next, most) = (work.frames, work.next, work.max_concurrency);
        let missing = |index: &u32| !self.execution.frames.contains_key(&FrameId(frames.first + index));
        let missing: Vec<u32> = (0..next).filter(missing).collect();
        let at_once = if most == 0 { frames.length } else { frames.length.min(most) };
        let state = self.state_of(id);
        let mut opened: Vec<(u32, EventId)> = missing.into_iter().map(|index| (index, redriven)).collect();
        open += u32::try_from(opened.len()).expect("a payload holds fewer items");
        for _ in next..frames.length {
            if open >= at_once {
                break;
            }
            open += 1;
            opened.push(self.start_iteration(id, state, redriven)?);
        }
        for (index, event) in opened {
            if !self.open_iteration(id, map, index, event)? {
                break;
            }
        }
        Ok(())
    }

    /// Iterations in flight at most, as the state wants it; 0 is unlimited.
    fn max_concurrency(&self, id: FrameId, map: &Map, input: &Value) -> Result<u64, Raised> {
        let wanted = match &map.max_concurrency {
            None => 0,
            Some(NumberField::Literal(number)) => *number,
            Some(NumberField::Jsonata(expression)) => {
                self.query_integer(id, expression, (0, u64::MAX), &self.environment(id))?
            }
            Some(NumberField::Path(path)) => {
                let environment = self.environment(id);
                let value = refer(path, input, &environment).map_err(|error| self.evaluation_failed(id, &error))?;
                let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse::<i64>().ok()));
                let Some(number) = number else {
                    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let message = format!(
                        "The MaxConcurrencyPath field refers to value \"{shown}\" which is not a valid integer: {}",
                        path.text()
                    );
                    return Err(self.runtime_error(id, &message));
                };
                u64::try_from(number).map_err(|_| self.runtime_error(id, "MaxConcurrency cannot be negative."))?
            }
        };
        self.note(|noted| noted.map.max_concurrency = Some(wanted));
        Ok(wanted)
    }

    /// Iterations in flight at most, of an inline Map that wants so many.
    fn at_once(&self, wanted: u64) -> u32 {
        let bounded = match (wanted, self.execution.info.limits.inline_concurrency) {
            (0, limit) => limit,
            (wanted, 0) => wanted,
            (wanted, limit) => wanted.min(limit),
        };
        u32::try_from(bounded).unwrap_or(u32::MAX)
    }

    /// The items of a JSONata state: `Items`, or the state's input.
    fn items_jsonata(&self, id: FrameId, map: &Map, raw: &Payload) -> Result<Data, Raised> {
        let Some(items) = &map.items_jsonata else {
            if holds_items(map, raw.value()) {
                return Ok(Data::Same(raw.clone()));
            }
            let message = format!("Map state input must be an array but was: {}", raw.text());
            return Err(self.query_error(id, &message, None));
        };
        let environment = self.environment(id);
        if let Some(expression) = items.as_expression() {
            let value = expression.evaluate(&jsonata::scope(&environment, raw.value()));
            let value = value.map_err(|failure| self.query_failed(id, failure))?;
            if holds_items(map, &value) {
                return Ok(Data::New(value));
            }
            let failure = expression.type_failure(JsonType::Array, &value);
            return Err(self.query_failed(id, failure));
        }
        let value = items.evaluate(&jsonata::scope(&environment, raw.value()));
        let value = value.map_err(|failure| self.query_failed(id, failure))?;
        if holds_items(map, &value) {
            return Ok(Data::New(value));
        }
        let message = format!("Map state items must be an array but was: {value}");
        Err(self.query_error(id, &message, Some("Items".into())))
    }

    fn items(&self, id: FrameId, map: &Map, input: &Data) -> Result<Data, Raised> {
        let not_an_array = |path: &str| {
            // As recorded: under test, a path into the context object is shown without its first `$`.
            let path = if self.inspector.is_some() && path.starts_with("$$") { &path[1..] } else { path };
            self.runtime_error(id, &format!("Reference path \"{path}\" must point to array."))
        };
        let Some(path) = &map.items_path else {
            return if holds_items(map, input.value()) { Ok(input.clone()) } else { Err(not_an_array("$")) };
        };
        let environment = self.environment(id);
        let items = refer(path, input.value(), &environment).map_err(|error| self.evaluation_failed(id, &error))?;
        if holds_items(map, &items) { Ok(Data::New(items)) } else { Err(not_an_array(path.text())) }
    }
}

/// Whether a value has items to run over. Only a distributed Map takes the members of an object (AWS: documented; inline,
/// objects were refused when that was recorded).
fn holds_items(map: &Map, value: &Value) -> bool {
    value.is_array() || (map.mode != MapMode::Inline && value.is_object())
}
