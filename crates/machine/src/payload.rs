//! Payloads: JSON texts that belong to one execution and are numbered in it. A state's output is the next state's
//! input and is kept once; frames and events hold the number. Serialised, a payload is its number alone: whoever
//! reads a frame back must [hydrate](crate::Execution::hydrate) it before the next step.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::id::TurnId;

/// Where a payload was first named: the turn, and its place among the payloads that the turn made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PayloadId {
    /// The turn.
    pub turn: TurnId,
    /// The place, from 0.
    pub index: u32,
}

impl PayloadId {
    /// The number of a payload that no turn has taken in yet.
    pub const NEW: PayloadId = PayloadId { turn: 0, index: 0 };
}

#[derive(Debug)]
struct Body {
    text: Arc<str>,
    value: OnceLock<Value>,
}

/// A JSON text with its number. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Payload {
    id: PayloadId,
    body: Option<Arc<Body>>,
}

impl Payload {
    /// A payload that comes from outside (an input, a task's output). `text` must be valid JSON.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self::numbered(PayloadId::NEW, text)
    }

    /// A payload with its number, as a store reads it back.
    #[must_use]
    pub fn numbered(id: PayloadId, text: impl Into<Arc<str>>) -> Self {
        Self { id, body: Some(Arc::new(Body { text: text.into(), value: OnceLock::new() })) }
    }

    pub(crate) fn from_value(value: Value) -> Self {
        let text: Arc<str> = value.to_string().into();
        let body = Body { text, value: OnceLock::from(value) };
        Self { id: PayloadId::NEW, body: Some(Arc::new(body)) }
    }

    /// The number.
    #[must_use]
    pub fn id(&self) -> PayloadId {
        self.id
    }

    pub(crate) fn with_id(mut self, id: PayloadId) -> Self {
        self.id = id;
        self
    }

    /// Whether the text is in memory.
    #[must_use]
    pub fn is_hydrated(&self) -> bool {
        self.body.is_some()
    }

    pub(crate) fn hydrate_from(
        &mut self,
        source: &mut impl FnMut(PayloadId) -> Option<Payload>,
    ) -> Result<(), PayloadId> {
        if self.body.is_none() {
            *self = source(self.id).ok_or(self.id)?;
        }
        Ok(())
    }

    /// The JSON text. Panics if the payload was not hydrated.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.body.as_ref().expect("a payload is hydrated before it is read").text
    }

    /// The text if it is in memory.
    #[must_use]
    pub fn text_if_hydrated(&self) -> Option<&Arc<str>> {
        self.body.as_ref().map(|body| &body.text)
    }

    /// The value, parsed at most once. Panics if the payload was not hydrated.
    #[must_use]
    pub fn value(&self) -> &Value {
        let body = self.body.as_ref().expect("a payload is hydrated before it is read");
        body.value.get_or_init(|| serde_json::from_str(&body.text).expect("a payload's text is valid JSON"))
    }
}

/// Payloads are equal when their numbers are; unnumbered ones when their texts are.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && (self.id != PayloadId::NEW
                || self.body.as_ref().map(|b| &b.text) == other.body.as_ref().map(|b| &b.text))
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { id: PayloadId::deserialize(deserializer)?, body: None })
    }
}
