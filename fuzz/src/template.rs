//! Payload templates. What is built is JSON of bounded depth and size, and the same every time.

use serde_json::Value;
use stepwright_querylang::{Template, depth};

use crate::world::{document, within};

/// The longest template that is fed.
const MAX_TEXT: usize = 4 * 1024;

/// Bytes that an evaluation may make of so little. What a text repeats, it names: the product of both sizes, and what
/// the functions make of nothing (a range of 1,000 numbers).
fn most(text: usize, document: usize) -> usize {
    (text + 16) * (document + 64) * 64
}

pub(crate) fn run(bytes: &[u8]) {
    let (line, rest) = super::line_and_rest(bytes);
    let line = &line[..line.len().min(MAX_TEXT)];
    let Ok(template) = serde_json::from_slice::<Value>(line) else { return };
    let input = document(rest);
    let compiled = match Template::compile(&template) {
        Ok(compiled) => compiled,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            return;
        }
    };
    let built = within(&input, |scope| compiled.evaluate(scope));
    assert_eq!(within(&input, |scope| compiled.evaluate(scope)), built, "different things at different times");
    assert!(compiled.variables().iter().all(|name| !name.is_empty() && !name.starts_with('$')));
    match built {
        Ok(value) => {
            if compiled.is_literal() {
                assert_eq!(value, template, "nothing in it is to be evaluated");
            }
            let text = value.to_string();
            assert!(text.len() <= most(line.len(), rest.len().max(256)), "{} bytes of {}", text.len(), line.len());
            // 128 is what a text of JSON may hold.
            assert!(depth(&value) <= depth(&template) + depth(&input) + 128, "depth {}", depth(&value));
            // Readers of JSON stop at 128 levels.
            if depth(&value) < 100 {
                assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value), "what is built can be read");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
