//! Items put together for children of a map run that take several at once.

use std::sync::Arc;

use super::Batching;
use crate::{
    error_handling::{text_too_deep, too_large},
    execution::Limits,
    history::Failure,
};

const TAIL: &str = "]}";

/// The input of a child that takes several items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// JSON text: `{"BatchInput":…,"Items":[…]}`, `BatchInput` only where it is given (AWS: recorded).
    pub input: Arc<str>,
    /// How many items it has, at least 1.
    pub items: u32,
}

/// Items on their way into batches. Every batch has an item, however large; more come in as long as both bounds hold.
#[derive(Clone, Debug)]
pub struct Batches {
    head: Arc<str>,
    most_items: u64,
    most_bytes: usize,
    /// Bytes that no input may have more of.
    limit: usize,
    state_name: Arc<str>,
    text: String,
    items: u32,
}

impl Batches {
    /// For the items of one run. `state_name` is told where an input is too large.
    #[must_use]
    pub fn new(batching: &Batching, limits: &Limits, state_name: &Arc<str>) -> Self {
        let head = match &batching.batch_input {
            Some(input) => format!("{{\"BatchInput\":{input},\"Items\":["),
            None => "{\"Items\":[".to_owned(),
        };
        let limit = match limits.payload_bytes {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        let most_bytes = batching.max_bytes.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Self {
            head: head.into(),
            most_items: batching.max_items.unwrap_or(u64::MAX),
            most_bytes: most_bytes.min(limit),
            limit,
            state_name: Arc::clone(state_name),
            text: String::new(),
            items: 0,
        }
    }

    /// Takes the next item, JSON text. The batch that is full now, if one is: with this item, or with those before it.
    ///
    /// # Errors
    /// That batch is larger or nested deeper than an input may be.
    pub fn push(&mut self, item: &str) -> Result<Option<Batch>, Failure> {
        let bytes = self.text.len() + 1 + item.len() + TAIL.len();
        let before = if self.items > 0 && bytes > self.most_bytes { self.end()? } else { None };
        if self.items == 0 {
            self.text.push_str(&self.head);
        } else {
            self.text.push(',');
        }
        self.text.push_str(item);
        self.items += 1;
        if before.is_none() && (u64::from(self.items) >= self.most_items || self.items == u32::MAX) {
            return self.end();
        }
        Ok(before)
    }

    /// The last batch, if any item is left.
    ///
    /// # Errors
    /// It is larger than an input may be.
    pub fn end(&mut self) -> Result<Option<Batch>, Failure> {
        let items = std::mem::take(&mut self.items);
        if items == 0 {
            return Ok(None);
        }
        let mut text = std::mem::take(&mut self.text);
        text.push_str(TAIL);
        if text.len() > self.limit {
            return Err(too_large(&self.state_name).failure);
        }
        text_too_deep(&text)?;
        Ok(Some(Batch { input: text.into(), items }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Batches, Batching};
    use crate::execution::Limits;

    fn batches(batching: &Batching, items: &[&str]) -> Vec<(String, u32)> {
        let mut open = Batches::new(batching, &Limits::AWS, &"M".into());
        let mut found = Vec::new();
        for item in items {
            found.extend(open.push(item).expect("fits"));
        }
        found.extend(open.end().expect("fits"));
        assert_eq!(open.end(), Ok(None), "it ends once");
        found.into_iter().map(|batch| (batch.input.to_string(), batch.items)).collect()
    }

    #[track_caller]
    fn check(batching: &Batching, items: &[&str], expected: &[(&str, u32)]) {
        let expected: Vec<(String, u32)> = expected.iter().map(|(text, items)| ((*text).to_owned(), *items)).collect();
        assert_eq!(batches(batching, items), expected);
    }

    #[test]
    fn by_number() {
        let batching = Batching { max_items: Some(2), ..Batching::default() };
        check(&batching, &["1", "2", "3"], &[("{\"Items\":[1,2]}", 2), ("{\"Items\":[3]}", 1)]);
        check(&batching, &["1", "2"], &[("{\"Items\":[1,2]}", 2)]);
        check(&batching, &[], &[]);
        let batching = Batching { batch_input: Some("{\"a\":1}".into()), max_items: Some(1), max_bytes: None };
        let (first, second) = ("{\"BatchInput\":{\"a\":1},\"Items\":[7]}", "{\"BatchInput\":{\"a\":1},\"Items\":[8]}");
        check(&batching, &["7", "8"], &[(first, 1), (second, 1)]);
    }

    #[test]
    fn by_bytes() {
        // `{"Items":[1,2]}` has 15.
        let batching = Batching { max_bytes: Some(15), ..Batching::default() };
        check(&batching, &["1", "2", "3"], &[("{\"Items\":[1,2]}", 2), ("{\"Items\":[3]}", 1)]);
        check(&batching, &["1", "22"], &[("{\"Items\":[1]}", 1), ("{\"Items\":[22]}", 1)]);
        check(&batching, &["1234567", "1"], &[("{\"Items\":[1234567]}", 1), ("{\"Items\":[1]}", 1)]);
        let batching = Batching { max_bytes: Some(15), max_items: Some(1), ..Batching::default() };
        check(&batching, &["1", "2"], &[("{\"Items\":[1]}", 1), ("{\"Items\":[2]}", 1)]);
    }

    #[test]
    fn no_batch_is_deeper_than_an_input() {
        let nested = |depth: usize| format!("{}\"[\\\"[\"{}", "[".repeat(depth), "]".repeat(depth));
        let mut open = Batches::new(&Batching::default(), &Limits::AWS, &"M".into());
        assert_eq!(open.push(&nested(125)), Ok(None));
        let batch = open.end().expect("127 levels fit").expect("a batch");
        assert!(serde_json::from_str::<serde_json::Value>(&batch.input).is_ok());
        assert_eq!(open.push(&nested(126)), Ok(None));
        let failure = open.end().expect_err("128 levels are too many");
        assert_eq!(failure.error.as_deref(), Some("States.DataLimitExceeded"));
    }

    #[test]
    fn no_batch_is_larger_than_an_input() {
        let item = format!("\"{}\"", "x".repeat(100_000));
        let found = batches(&Batching::default(), &[&item, &item, &item]);
        assert_eq!(found.iter().map(|(_, items)| *items).collect::<Vec<_>>(), [2, 1]);
        let large =
            Batching { batch_input: Some(format!("\"{}\"", "x".repeat(200_000)).into()), ..Batching::default() };
        let mut open = Batches::new(&large, &Limits::AWS, &"M".into());
        assert_eq!(open.push(&item), Ok(None));
        let failure = open.end().expect_err("does not fit");
        assert_eq!(failure.error.as_deref(), Some("States.DataLimitExceeded"));
        assert!(failure.cause.expect("a cause").contains("'M'"));
    }
}
