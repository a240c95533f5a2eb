//! CBOR bodies (RFC 8949), as far as Smithy RPC v2 uses them.

use serde_json::{Map, Value};

use super::{Data, MAX_DEPTH, Problem, Reader, json, sorted, time};
use crate::model::{Kind, ServiceModel, ShapeId};

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// A body.
pub(super) fn body(model: &ServiceModel, input: &Data<'_>) -> Vec<u8> {
    let mut writer = Writer { model, out: Vec::new() };
    writer.value(input, None);
    writer.out
}

struct Writer<'m> {
    model: &'m ServiceModel,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        match value {
            0..24 => self.out.push(major | bytes[7]),
            24..0x100 => self.out.extend([major | 24, bytes[7]]),
            0x100..0x1_0000 => {
                self.out.push(major | 25);
                self.out.extend(&bytes[6..]);
            }
            0x1_0000..0x1_0000_0000 => {
                self.out.push(major | 26);
                self.out.extend(&bytes[4..]);
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend(bytes);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.out.extend(text.as_bytes());
    }

    fn value(&mut self, data: &Data<'_>, shape: Option<ShapeId>) {
        match data {
            Data::Structure(members) => {
                self.head(MAP, members.len() as u64);
                for (member, data) in members {
                    self.text(member.wire_name());
                    self.value(data, Some(member.shape));
                }
            }
            Data::List(shape, items) => {
                let element = match &self.model.shape(*shape).kind {
                    Kind::List { member, .. } => Some(member.shape),
                    _ => None,
                };
                self.head(LIST, items.len() as u64);
                items.iter().for_each(|item| self.value(item, element));
            }
            Data::Map(shape, entries) => {
                let element = match &self.model.shape(*shape).kind {
                    Kind::Map { value, .. } => Some(value.shape),
                    _ => None,
                };
                self.head(MAP, entries.len() as u64);
                for (key, data) in entries {
                    self.text(key);
                    self.value(data, element);
                }
            }
            Data::Text(text) => self.text(text),
            Data::Blob(bytes) => {
                self.head(BYTES, bytes.len() as u64);
                self.out.extend(bytes);
            }
            Data::Boolean(value) => self.out.push((SIMPLE << 5) | if *value { 21 } else { 20 }),
            Data::Number(number) => {
                let kind = shape.map(|shape| &self.model.shape(shape).kind);
                self.number(number, matches!(kind, Some(Kind::Float(_))), matches!(kind, Some(Kind::Double(_))));
            }
            Data::Special(word) => {
                // Half a float holds them.
                let bits: u16 = match *word {
                    "Infinity" => 0x7C00,
                    "-Infinity" => 0xFC00,
                    _ => 0x7E00,
                };
                self.out.push((SIMPLE << 5) | 25);
                self.out.extend(bits.to_be_bytes());
            }
            Data::Time(at) => {
                self.out.push((TAG << 5) | 1);
                let seconds = time::seconds(*at);
                self.number(&seconds, false, seconds.is_f64());
            }
            Data::Document(value) => self.document(value),
        }
    }

    fn number(&mut self, number: &serde_json::Number, single: bool, double: bool) {
        match number.as_i64() {
            Some(whole) if !single && !double => {
                if let Ok(positive) = u64::try_from(whole) {
                    self.head(UNSIGNED, positive);
                } else {
                    self.head(NEGATIVE, whole.unsigned_abs() - 1);
                }
            }
            _ => {
                let value = number.as_f64().unwrap_or(f64::NAN);
                if single {
                    self.out.push((SIMPLE << 5) | 26);
                    #[expect(clippy::cast_possible_truncation, reason = "the model says that it is a single")]
                    self.out.extend((value as f32).to_be_bytes());
                } else {
                    self.out.push((SIMPLE << 5) | 27);
                    self.out.extend(value.to_be_bytes());
                }
            }
        }
    }

    fn document(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push((SIMPLE << 5) | 22),
            Value::Bool(value) => self.out.push((SIMPLE << 5) | if *value { 21 } else { 20 }),
            Value::Number(number) => self.number(number, false, number.is_f64()),
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.head(LIST, items.len() as u64);
                items.iter().for_each(|item| self.document(item));
            }
            Value::Object(members) => {
                self.head(MAP, members.len() as u64);
                for (key, member) in members {
                    self.text(key);
                    self.document(member);
                }
            }
        }
    }
}

/// What an answer holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Integer(i128),
    Float(f64),
    Bytes(Vec<u8>),
    Text(String),
    List(Vec<Item>),
    Map(Vec<(String, Item)>),
    Boolean(bool),
    Null,
    /// Seconds since 1970.
    Time(f64),
}

/// Reads a whole answer.
pub(super) fn parse(bytes: &[u8]) -> Result<Item, Problem> {
    let mut parser = Parser { bytes, at: 0 };
    let item = parser.item(0)?;
    if parser.at == bytes.len() { Ok(item) } else { Err(wrong("it goes on after its end")) }
}

fn wrong(why: &str) -> Problem {
    Problem::new(format!("the answer is not CBOR: {why}"))
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn take(&mut self, count: u64) -> Result<&[u8], Problem> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| wrong("it ends early"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn number(&mut self, bytes: u64) -> Result<u64, Problem> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The argument of a head; none where the length is left open.
    fn argument(&mut self, info: u8) -> Result<Option<u64>, Problem> {
        Ok(Some(match info {
            0..24 => u64::from(info),
            24 => self.number(1)?,
            25 => self.number(2)?,
            26 => self.number(4)?,
            27 => self.number(8)?,
            31 => return Ok(None),
            _ => return Err(wrong("a length is of no kind")),
        }))
    }

    fn at_break(&mut self) -> bool {
        let found = self.bytes.get(self.at) == Some(&0xFF);
        self.at += usize::from(found);
        found
    }

    fn item(&mut self, depth: usize) -> Result<Item, Problem> {
        if depth > MAX_DEPTH {
            return Err(wrong("it is nested too deeply"));
        }
        let head = self.take(1)?[0];
        let (major, info) = (head >> 5, head & 31);
        if major == SIMPLE {
            return self.simple(info);
        }
        let argument = self.argument(info)?;
        let required = || argument.ok_or_else(|| wrong("a length is open"));
        Ok(match major {
            UNSIGNED => Item::Integer(required()?.into()),
            NEGATIVE => Item::Integer(-1 - i128::from(required()?)),
            BYTES => Item::Bytes(self.chunks(BYTES, argument)?),
            TEXT => {
                let bytes = self.chunks(TEXT, argument)?;
                Item::Text(String::from_utf8(bytes).map_err(|_| wrong("a text is not UTF-8"))?)
            }
            LIST => {
                let mut items = Vec::new();
                while self.goes_on(argument, items.len()) {
                    items.push(self.item(depth + 1)?);
                }
                Item::List(items)
            }
            MAP => {
                let mut entries = Vec::new();
                while self.goes_on(argument, entries.len()) {
                    let Item::Text(key) = self.item(depth + 1)? else { return Err(wrong("a key is no text")) };
                    entries.push((key, self.item(depth + 1)?));
                }
                Item::Map(entries)
            }
            _ => match (required()?, self.item(depth + 1)?) {
                #[expect(clippy::cast_precision_loss, reason = "a time")]
                (1, Item::Integer(seconds)) => Item::Time(seconds as f64),
                (1, Item::Float(seconds)) => Item::Time(seconds),
                (_, item) => item,
            },
        })
    }

    fn goes_on(&mut self, length: Option<u64>, done: usize) -> bool {
        match length {
            Some(length) => (done as u64) < length,
            None => !self.at_break(),
        }
    }

    fn chunks(&mut self, major: u8, length: Option<u64>) -> Result<Vec<u8>, Problem> {
        if let Some(length) = length {
            return Ok(self.take(length)?.to_vec());
        }
        let mut bytes = Vec::new();
        while !self.at_break() {
            let head = self.take(1)?[0];
            let length = self.argument(head & 31)?;
            match length {
                Some(length) if head >> 5 == major => bytes.extend(self.take(length)?),
                _ => return Err(wrong("a part of a text is none")),
            }
        }
        Ok(bytes)
    }

    fn simple(&mut self, info: u8) -> Result<Item, Problem> {
        Ok(match info {
            20 => Item::Boolean(false),
            21 => Item::Boolean(true),
            22 | 23 => Item::Null,
            25 => Item::Float(half(self.number(2)?)),
            26 => Item::Float(f32::from_bits(u32::try_from(self.number(4)?).unwrap_or(0)).into()),
            27 => Item::Float(f64::from_bits(self.number(8)?)),
            _ => return Err(wrong("a value is of no kind")),
        })
    }
}

fn half(bits: u64) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::try_from(bits >> 10 & 31).unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "ten bits")]
    let fraction = (bits & 0x3FF) as f64;
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2_f64.powi(exponent - 25),
    }
}

/// The output structure of an answer.
pub(super) fn structure(reader: &Reader<'_>, shape: ShapeId, bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    match read(reader, shape, parse(bytes)?)? {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

fn read(reader: &Reader<'_>, shape: ShapeId, item: Item) -> Result<Value, Problem> {
    let described = reader.model.shape(shape);
    let wrong = || Problem::new(format!("a value is no {}", described.name));
    Ok(match (&described.kind, item) {
        (_, Item::Null) => Value::Null,
        (Kind::Structure(structure), Item::Map(mut entries)) => {
            let mut members = Vec::new();
            for member in &structure.members {
                let Some(place) = entries.iter().position(|(key, _)| *key == *member.wire_name()) else { continue };
                let value = read(reader, member.shape, entries.swap_remove(place).1)?;
                if !value.is_null() {
                    members.push((member.pascal.to_string(), value));
                }
            }
            Value::Object(sorted(members))
        }
        (Kind::List { member, .. }, Item::List(items)) => {
            items.into_iter().map(|item| read(reader, member.shape, item)).collect::<Result<_, _>>()?
        }
        (Kind::Map { value, .. }, Item::Map(entries)) => {
            let entries = entries.into_iter().map(|(key, entry)| Ok((key, read(reader, value.shape, entry)?)));
            Value::Object(entries.collect::<Result<_, Problem>>()?)
        }
        (Kind::String { .. }, Item::Text(text)) => text.into(),
        (Kind::Blob { .. }, Item::Bytes(bytes)) => json::blob(reader.blobs, &bytes),
        (Kind::Boolean, Item::Boolean(value)) => value.into(),
        (Kind::Timestamp(_), Item::Time(seconds) | Item::Float(seconds)) => {
            time::shown(time::from_seconds(seconds).ok_or_else(wrong)?).into()
        }
        #[expect(clippy::cast_precision_loss, reason = "a time")]
        (Kind::Timestamp(_), Item::Integer(seconds)) => {
            time::shown(time::from_seconds(seconds as f64).ok_or_else(wrong)?).into()
        }
        (
            Kind::Integer(_) | Kind::Long(_) | Kind::Float(_) | Kind::Double(_),
            item @ (Item::Integer(_) | Item::Float(_)),
        ) => plain(item),
        (Kind::Document, item) => plain(item),
        _ => return Err(wrong()),
    })
}

/// As JSON, without a model.
pub(super) fn plain(item: Item) -> Value {
    match item {
        Item::Integer(value) => {
            i64::try_from(value).map_or_else(|_| u64::try_from(value).unwrap_or(u64::MAX).into(), Value::from)
        }
        Item::Float(value) | Item::Time(value) => serde_json::Number::from_f64(value).map_or_else(
            || {
                Value::from(if value.is_nan() {
                    "NaN"
                } else if value > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                })
            },
            Value::Number,
        ),
        Item::Bytes(bytes) => json::blob(super::Blobs::Base64, &bytes),
        Item::Text(text) => text.into(),
        Item::List(items) => items.into_iter().map(plain).collect(),
        Item::Map(entries) => Value::Object(entries.into_iter().map(|(key, entry)| (key, plain(entry))).collect()),
        Item::Boolean(value) => value.into(),
        Item::Null => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
            .collect()
    }

    /// The examples of RFC 8949, appendix A.
    #[test]
    fn published_examples() {
        let check = |text: &str, expected: Value| {
            assert_eq!(parse(&hex(text)).map(plain).map_err(|e| e.text), Ok(expected), "{text}");
        };
        check("00", 0.into());
        check("1818", 24.into());
        check("1903e8", 1000.into());
        check("1bffffffffffffffff", u64::MAX.into());
        check("20", (-1).into());
        check("3903e7", (-1000).into());
        check("f93c00", 1.0.into());
        check("f90001", 5.960_464_477_539_063e-8.into());
        check("f97c00", "Infinity".into());
        check("fa47c35000", 100_000.0.into());
        check("fb3ff199999999999a", 1.1.into());
        check("f4", false.into());
        check("f6", Value::Null);
        check("62c3bc", "ü".into());
        check("7f657374726561646d696e67ff", "streaming".into());
        check("9f018202039f0405ffff", serde_json::json!([1, [2, 3], [4, 5]]));
        check("bf61610161629f0203ffff", serde_json::json!({"a": 1, "b": [2, 3]}));
        assert_eq!(parse(&hex("c11a514b67b0")), Ok(Item::Time(1_363_896_240.0)));
    }

    #[test]
    fn what_is_no_cbor_is_refused() {
        let deep = "81".repeat(100_000);
        for text in [
            "",
            "18",
            "62c3",
            "5f",
            "9f01",
            "bf01",
            "0000",
            "ff",
            "1c",
            "7b7fffffffffffffff",
            "f818",
            "9bffffffffffffffff",
            &deep,
        ] {
            assert!(parse(&hex(text)).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }
}
