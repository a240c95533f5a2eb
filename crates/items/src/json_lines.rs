//! JSON Lines: a JSON value in each line. Lines of blanks hold none.

use memchr::memchr;

use crate::{
    Problem, Spot,
    compact::{compact, is_blank},
    text::{Beginning, Item, Limits, Mark, NOT_UTF8},
};

#[derive(Debug)]
pub(crate) struct JsonLinesDecoder {
    limits: Limits,
    beginning: Beginning,
    /// The part of a line that came with earlier bytes.
    held: Vec<u8>,
    /// Bytes taken.
    offset: u64,
    mark: Mark,
    /// Compact items are about as long as the one before.
    usual: usize,
}

impl JsonLinesDecoder {
    pub(crate) fn new(limits: Limits, mark: Mark) -> Self {
        let beginning = Beginning::at(mark.offset);
        Self { limits, beginning, held: Vec::new(), offset: mark.offset, mark, usual: 0 }
    }

    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    pub(crate) fn next(&mut self, input: &mut &[u8], at_end: bool) -> Result<Option<Item>, Problem> {
        let before = input.len();
        let passed = self.beginning.pass(input, at_end)?;
        self.offset += (before - input.len()) as u64;
        match passed {
            Some(bytes) => self.held.extend_from_slice(bytes),
            None => return Ok(None),
        }
        loop {
            let (line, taken, is_whole) = match memchr(b'\n', input) {
                Some(end) => (&input[..end], end + 1, true),
                None => (*input, input.len(), at_end),
            };
            if self.held.len() + line.len() > self.limits.item_bytes {
                let reason = format!("the line is longer than {} bytes", self.limits.item_bytes);
                return Err(Problem::at(Spot::Line(self.mark.lines + 1), reason));
            }
            *input = &input[taken..];
            self.offset += taken as u64;
            if !is_whole {
                self.held.extend_from_slice(line);
                return Ok(None);
            }
            let is_last = at_end && input.is_empty();
            let whole = if self.held.is_empty() {
                line
            } else {
                self.held.extend_from_slice(line);
                &self.held
            };
            let item = if whole.iter().all(|byte| is_blank(*byte)) {
                None
            } else {
                let spot = Spot::Line(self.mark.lines + 1);
                let text = std::str::from_utf8(whole).map_err(|_| Problem::at(spot, NOT_UTF8))?;
                let mut out = String::with_capacity(self.usual);
                compact(text, &mut out)
                    .map_err(|(at, reason)| Problem::at(spot, format!("no JSON value: {reason}, at byte {at}")))?;
                self.usual = out.len();
                Some(Item { text: out, key: None })
            };
            self.held.clear();
            self.mark.offset = self.offset;
            self.mark.lines += 1;
            if item.is_some() {
                self.mark.items += 1;
                return Ok(item);
            }
            if is_last {
                return Ok(None);
            }
        }
    }
}
