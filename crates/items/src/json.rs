//! One JSON document: the elements of the array, or the members of the object, that a JSON pointer points to. The
//! document is never whole in memory, only the item that is being read.

use crate::{
    Problem, Spot,
    compact::{compact, is_blank},
    scan::Scan,
    text::{Beginning, Inside, Item, Limits, Mark, NOT_UTF8},
};

#[derive(Debug)]
pub(crate) struct JsonDecoder {
    limits: Limits,
    beginning: Beginning,
    /// The pointer's parts.
    path: Vec<String>,
    state: State,
    /// The part of a name or value that came with earlier bytes.
    held: Vec<u8>,
    /// The name of the member that is being read.
    key: Option<String>,
    offset: u64,
    mark: Mark,
    usual: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// On the way, before a value whose `depth` first parts of the path were followed.
    Seek { depth: usize },
    /// Before a member's name, or the object's end.
    SeekName { depth: usize, is_first: bool },
    /// In a member's name.
    SeekInName { depth: usize, scan: Scan },
    /// Before the colon.
    SeekColon { depth: usize, is_wanted: bool },
    /// In, or before, a value that is not wanted; `element`: its place in an array.
    SeekPast { depth: usize, scan: Scan, begun: bool, element: Option<u64> },
    /// Behind it.
    SeekComma { depth: usize, element: Option<u64> },
    /// Before an element of an array on the way.
    SeekElement { depth: usize, element: u64 },
    /// Before an item or the end.
    Before { is_object: bool, is_root: bool, is_first: bool },
    /// In a member's name.
    Name { is_root: bool, scan: Scan },
    /// Before the colon.
    Colon { is_root: bool },
    /// Before a value.
    Value { is_object: bool, is_root: bool },
    /// In a value.
    InValue { is_object: bool, is_root: bool, scan: Scan },
    /// Behind an item.
    After { is_object: bool, is_root: bool },
    /// Behind everything.
    End { is_root: bool },
}

impl JsonDecoder {
    pub(crate) fn new(pointer: Option<&str>, limits: Limits, mark: Mark) -> Result<Self, Problem> {
        let pointer = pointer.unwrap_or_default();
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(Problem::unreadable(format!("ItemsPointer '{pointer}' is no JSON pointer")));
        }
        let part = |part: &str| part.replace("~1", "/").replace("~0", "~");
        let path = pointer.split('/').skip(1).map(part).collect();
        let state = match mark.inside {
            Inside::Container { is_object, is_root } => State::After { is_object, is_root },
            Inside::AfterContainer { is_root } => State::End { is_root },
            Inside::Plain | Inside::Rows { .. } => State::Seek { depth: 0 },
        };
        let (beginning, offset) = (Beginning::at(mark.offset), mark.offset);
        Ok(Self { limits, beginning, path, state, held: Vec::new(), key: None, offset, mark, usual: 0 })
    }

    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::End { is_root: false })
    }

    pub(crate) fn next(&mut self, input: &mut &[u8], at_end: bool) -> Result<Option<Item>, Problem> {
        let before = input.len();
        let passed = self.beginning.pass(input, at_end)?;
        self.offset += (before - input.len()) as u64;
        if passed.is_some_and(|bytes| !bytes.is_empty()) {
            return Err(self.wrong("a value is missing"));
        }
        while !input.is_empty() {
            if let Some(item) = self.step(input)? {
                return Ok(Some(item));
            }
        }
        if !at_end {
            return Ok(None);
        }
        match self.state {
            State::End { .. } => Ok(None),
            // A number or a word ends where the text does.
            State::Seek { depth: 0 } => Err(Problem::unreadable("the document is empty")),
            _ => Err(self.wrong("the document ends too early")),
        }
    }

    /// Looks at the next bytes, as far as one state goes.
    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Item>, Problem> {
        if self.is_seeking() && self.offset > self.limits.pointer_bytes {
            let limit = self.limits.pointer_bytes;
            let reason = format!("what ItemsPointer points to does not begin within the first {limit} bytes");
            return Err(Problem::unreadable(reason));
        }
        // States that read text themselves; all others wait for something that is not blank.
        match self.state {
            State::SeekInName { depth, mut scan } => {
                let Some(name) = self.name(input, &mut scan)? else {
                    self.state = State::SeekInName { depth, scan };
                    return Ok(None);
                };
                let is_wanted = self.path[depth] == name;
                self.state = State::SeekColon { depth, is_wanted };
                return Ok(None);
            }
            State::SeekPast { depth, mut scan, begun: true, element } => {
                self.state = match scan.feed(input) {
                    Some(end) => {
                        self.take(input, end);
                        State::SeekComma { depth, element }
                    }
                    None => {
                        self.take(input, input.len());
                        State::SeekPast { depth, scan, begun: true, element }
                    }
                };
                return Ok(None);
            }
            State::Name { is_root, mut scan } => {
                let Some(name) = self.name(input, &mut scan)? else {
                    self.state = State::Name { is_root, scan };
                    return Ok(None);
                };
                self.key = Some(name);
                self.state = State::Colon { is_root };
                return Ok(None);
            }
            State::InValue { is_object, is_root, mut scan } => {
                let Some(text) = self.value(input, &mut scan)? else {
                    self.state = State::InValue { is_object, is_root, scan };
                    return Ok(None);
                };
                self.state = State::After { is_object, is_root };
                self.mark.offset = self.offset;
                self.mark.items += 1;
                self.mark.inside = Inside::Container { is_object, is_root };
                return Ok(Some(Item { text, key: self.key.take() }));
            }
            _ => {}
        }
        let blanks = input.iter().take_while(|byte| is_blank(**byte)).count();
        self.take(input, blanks);
        let Some(&byte) = input.first() else { return Ok(None) };
        self.state = self.turn(byte, input)?;
        Ok(None)
    }

    /// What follows a byte that is not blank. Takes it, unless it belongs to a name or value.
    fn turn(&mut self, byte: u8, input: &mut &[u8]) -> Result<State, Problem> {
        let next = match (self.state, byte) {
            (State::Seek { depth }, b'[' | b'{') if depth == self.path.len() => {
                State::Before { is_object: byte == b'{', is_root: depth == 0, is_first: true }
            }
            (State::Seek { depth }, _) if depth == self.path.len() => return Err(self.not_iterable(byte)),
            (State::Seek { depth }, b'{') => State::SeekName { depth, is_first: true },
            (State::Seek { depth }, b'[') => {
                if self.path[depth].parse::<u64>().is_err() {
                    return Err(self.not_there());
                }
                State::SeekElement { depth, element: 0 }
            }
            (State::Seek { .. }, b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => return Err(self.not_there()),
            (State::SeekName { depth, .. }, b'"') => return Ok(State::SeekInName { depth, scan: Scan::default() }),
            (State::SeekName { is_first: true, .. }, b'}') => return Err(self.not_there()),
            (State::SeekColon { depth, is_wanted: true }, b':') => State::Seek { depth: depth + 1 },
            (State::SeekColon { depth, .. }, b':') => {
                State::SeekPast { depth, scan: Scan::default(), begun: false, element: None }
            }
            (State::SeekElement { element: 0, .. }, b']') => return Err(self.not_there()),
            (State::SeekElement { depth, element }, _) => {
                return Ok(if self.path[depth].parse() == Ok(element) {
                    State::Seek { depth: depth + 1 }
                } else {
                    State::SeekPast { depth, scan: Scan::default(), begun: true, element: Some(element) }
                });
            }
            (State::SeekPast { depth, scan, element, .. }, _) => {
                return Ok(State::SeekPast { depth, scan, begun: true, element });
            }
            (State::SeekComma { depth, element: None }, b',') => State::SeekName { depth, is_first: false },
            (State::SeekComma { depth, element: Some(element) }, b',') => {
                State::SeekElement { depth, element: element + 1 }
            }
            (State::SeekComma { element: None, .. }, b'}') | (State::SeekComma { element: Some(_), .. }, b']') => {
                return Err(self.not_there());
            }
            (State::Before { is_object: true, is_root, is_first: true }, b'}')
            | (State::Before { is_object: false, is_root, is_first: true }, b']')
            | (State::After { is_object: true, is_root }, b'}')
            | (State::After { is_object: false, is_root }, b']') => {
                self.take(input, 1);
                self.mark.offset = self.offset;
                self.mark.inside = Inside::AfterContainer { is_root };
                return Ok(State::End { is_root });
            }
            (State::Before { is_object: true, is_root, .. }, b'"') => {
                return Ok(State::Name { is_root, scan: Scan::default() });
            }
            (State::Before { is_object: false, is_root, .. }, _) if !matches!(byte, b',' | b']' | b'}' | b':') => {
                return Ok(State::InValue { is_object: false, is_root, scan: Scan::default() });
            }
            (State::Colon { is_root }, b':') => State::Value { is_object: true, is_root },
            (State::Value { is_object, is_root }, _) if !matches!(byte, b',' | b']' | b'}' | b':') => {
                return Ok(State::InValue { is_object, is_root, scan: Scan::default() });
            }
            (State::After { is_object, is_root }, b',') => State::Before { is_object, is_root, is_first: false },
            (State::End { is_root: false }, _) => {
                // The rest of the document is nobody's business.
                self.take(input, input.len());
                return Ok(self.state);
            }
            (State::End { .. }, _) => return Err(self.wrong("something stands after the document")),
            (State::SeekColon { .. } | State::Colon { .. }, _) => {
                return Err(self.wrong("a colon is missing after a member's name"));
            }
            (State::After { .. } | State::SeekComma { .. }, _) => {
                return Err(self.wrong("a comma or the end of the value is missing"));
            }
            (State::SeekName { .. } | State::Before { is_object: true, .. }, _) => {
                return Err(self.wrong("a member's name is missing"));
            }
            _ => return Err(self.wrong("a value is missing")),
        };
        self.take(input, 1);
        Ok(next)
    }

    fn is_seeking(&self) -> bool {
        matches!(
            self.state,
            State::Seek { .. }
                | State::SeekName { .. }
                | State::SeekInName { .. }
                | State::SeekColon { .. }
                | State::SeekPast { .. }
                | State::SeekComma { .. }
                | State::SeekElement { .. }
        ) && !self.path.is_empty()
    }

    fn take(&mut self, input: &mut &[u8], bytes: usize) {
        *input = &input[bytes..];
        self.offset += bytes as u64;
    }

    /// Reads on in a name or value. Some once it is complete: its bytes, or none if they are those that are held.
    fn whole<'a>(&mut self, input: &mut &'a [u8], scan: &mut Scan) -> Result<Option<Option<&'a [u8]>>, Problem> {
        let found = scan.feed(input);
        let end = found.unwrap_or(input.len());
        if self.held.len() + end > self.limits.item_bytes {
            let reason = format!("it is longer than {} bytes", self.limits.item_bytes);
            return Err(Problem::at(self.spot(self.held.len()), reason));
        }
        let (part, rest) = input.split_at(end);
        *input = rest;
        self.offset += end as u64;
        if found.is_some() && self.held.is_empty() {
            return Ok(Some(Some(part)));
        }
        self.held.extend_from_slice(part);
        Ok(found.map(|_| None))
    }

    fn name(&mut self, input: &mut &[u8], scan: &mut Scan) -> Result<Option<String>, Problem> {
        let Some(text) = self.value(input, scan)? else { return Ok(None) };
        match serde_json::from_str(&text) {
            Ok(name) => Ok(Some(name)),
            Err(_) => Err(self.wrong("a member's name is missing")),
        }
    }

    fn value(&mut self, input: &mut &[u8], scan: &mut Scan) -> Result<Option<String>, Problem> {
        let Some(part) = self.whole(input, scan)? else { return Ok(None) };
        let mut held = std::mem::take(&mut self.held);
        let bytes = part.unwrap_or(&held);
        let mut out = String::with_capacity(self.usual);
        let checked = match std::str::from_utf8(bytes) {
            Ok(text) => compact(text, &mut out),
            Err(error) => Err((error.valid_up_to(), NOT_UTF8)),
        };
        checked.map_err(|(at, reason)| Problem::at(self.spot(bytes.len() - at), reason))?;
        self.usual = out.len();
        held.clear();
        self.held = held;
        Ok(Some(out))
    }

    /// A place so many bytes before what was taken.
    fn spot(&self, back: usize) -> Spot {
        let byte = self.offset.saturating_sub(back as u64);
        if self.is_seeking() { Spot::Byte(byte) } else { Spot::Item { number: self.mark.items + 1, byte } }
    }

    fn wrong(&self, reason: &str) -> Problem {
        Problem::at(Spot::Byte(self.offset), reason)
    }

    fn not_iterable(&self, byte: u8) -> Problem {
        if matches!(byte, b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') {
            Problem::NotIterable
        } else {
            self.wrong("a value is missing")
        }
    }

    fn not_there(&self) -> Problem {
        let pointer: String =
            self.path.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect();
        Problem::unreadable(format!("ItemsPointer '{pointer}' points to nothing"))
    }
}
