//! Base64 and URL coding.

use super::scan;
use super::string::text_or_undefined;
use crate::intrinsic::text::base64_bytes;
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::Builtin;
use crate::jsonata::value::Value;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

pub(super) static FUNCTIONS: [Builtin; 6] = [
    Builtin::new("base64encode", "<s-:s>", 1, base64_encode),
    Builtin::new("base64decode", "<s-:s>", 1, base64_decode),
    Builtin::new("encodeUrlComponent", "<s-:s>", 1, encode_component),
    Builtin::new("encodeUrl", "<s-:s>", 1, encode_url),
    Builtin::new("decodeUrlComponent", "<s-:s>", 1, decode_component),
    Builtin::new("decodeUrl", "<s-:s>", 1, decode_url),
];

/// What `encodeURI` leaves alone besides letters, digits and [`MARKS`], and
/// what `decodeURI` leaves encoded.
const RESERVED: &[u8] = b";/?:@&=+$,#";
const MARKS: &[u8] = b"-_.!~*'()";

/// Which bytes need no encoding.
static KEPT_IN_COMPONENTS: [bool; 256] = kept(&[]);
static KEPT_IN_URLS: [bool; 256] = kept(RESERVED);

const fn kept(reserved: &[u8]) -> [bool; 256] {
    let mut kept = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        kept[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < MARKS.len() {
        kept[MARKS[at] as usize] = true;
        at += 1;
    }
    at = 0;
    while at < reserved.len() {
        kept[reserved[at] as usize] = true;
        at += 1;
    }
    kept
}

/// The reference takes the text as bytes, one for each UTF-16 unit, of which
/// only the low eight bits count.
fn base64_encode(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    scan(context, text.len().saturating_mul(2))?;
    context.charge(text.len() * 2)?;
    if text.is_ascii() {
        return context.string(BASE64_STANDARD.encode(text.as_bytes()));
    }
    let bytes: Vec<u8> = text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect();
    context.string(BASE64_STANDARD.encode(bytes))
}

/// Characters outside both Base64 alphabets are passed over; each byte becomes
/// the character of that number.
fn base64_decode(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    scan(context, text.len().saturating_mul(4))?;
    context.charge(text.len() * 2)?;
    context.string(base64_bytes(text.bytes()).map(char::from).collect::<String>())
}

fn encode_component(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    encode(context, arguments, &KEPT_IN_COMPONENTS)
}

fn encode_url(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    encode(context, arguments, &KEPT_IN_URLS)
}

fn encode(context: &mut Context<'_>, arguments: &mut [Value], kept: &[bool; 256]) -> Result<Value, Error> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let text = text_or_undefined!(arguments);
    scan(context, text.len())?;
    let encoded = text.bytes().filter(|byte| !kept[usize::from(*byte)]).count();
    if encoded == 0 {
        return Ok(Value::String(text));
    }
    let size = text.len() + 2 * encoded;
    scan(context, size.saturating_mul(4))?;
    context.charge(size)?;
    let mut out = Vec::with_capacity(size);
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !kept[usize::from(byte)] {
            out.extend_from_slice(&text.as_bytes()[done..at]);
            done = at + 1;
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    out.extend_from_slice(&text.as_bytes()[done..]);
    context.string(String::from_utf8(out).expect("what is kept is ASCII"))
}

fn decode_component(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    decode(context, arguments, &[], "decodeUrlComponent")
}

fn decode_url(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    decode(context, arguments, RESERVED, "decodeUrl")
}

fn decode(
    context: &mut Context<'_>,
    arguments: &mut [Value],
    kept: &[u8],
    function: &'static str,
) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    scan(context, text.len())?;
    if !text.contains('%') {
        return Ok(Value::String(text));
    }
    scan(context, text.len().saturating_mul(8))?;
    context.charge(text.len())?;
    match decoded(&text, kept) {
        Some(decoded) => context.string(decoded),
        None => Err(Error::new("D3140").with_text_value(&text).with_message(function)),
    }
}

/// The text with its `%XX` decoded as UTF-8, but for the characters in `kept`;
/// `None` if they are not UTF-8.
fn decoded(text: &str, kept: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let source = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        if byte != b'%' {
            bytes.push(byte);
            at += 1;
            continue;
        }
        let code = escaped(source, at)?;
        if kept.contains(&code) {
            bytes.extend_from_slice(&source[at..at + 3]);
            at += 3;
            continue;
        }
        // The rest of a character must be encoded as well.
        let length = match code {
            0..0x80 => 1,
            0xC0..0xE0 => 2,
            0xE0..0xF0 => 3,
            0xF0..0xF8 => 4,
            _ => return None,
        };
        let start = bytes.len();
        for _ in 0..length {
            bytes.push(escaped(source, at)?);
            at += 3;
        }
        std::str::from_utf8(&bytes[start..]).ok()?;
    }
    String::from_utf8(bytes).ok()
}

/// The byte of a `%XX`.
fn escaped(source: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*source.get(at)?).to_digit(16);
    if source.get(at) != Some(&b'%') {
        return None;
    }
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_characters_stay_encoded() {
        assert_eq!(decoded("%3B%2f%41%E2%82%AC+", RESERVED).as_deref(), Some("%3B%2fA€+"));
        assert_eq!(decoded("%3B%2f", &[]).as_deref(), Some(";/"));
    }

    #[test]
    fn what_is_not_utf_8_is_refused() {
        for text in ["%", "%4", "%zz", "%80", "%C3", "%C3x", "%C3%41", "%C0%80", "%ED%A0%80", "%F8%88%80%80", "%+1"] {
            assert_eq!(decoded(text, &[]), None, "{text}");
        }
    }
}
