//! Paths, reference paths and intrinsic functions. What is accepted says the same twice, and mistakes have a place.

use std::borrow::Cow;

use stepwright_querylang::{Expression, Path, ReferencePath, SyntaxError};

use crate::world::{document, within};

pub(crate) const PIECES: &[&str] = &[
    "$",
    "$$",
    "$answer",
    "$list",
    "@",
    ".",
    "..",
    "a",
    "b",
    "*",
    "[",
    "]",
    "[*]",
    "[0]",
    "[-1]",
    "[0,1]",
    "[1:]",
    "[::2]",
    "['a']",
    "[\"b\"]",
    "['a','b']",
    "[?(",
    ")]",
    "@.a",
    " == ",
    "!=",
    "<",
    "=~",
    "/a.*/i",
    " in ",
    " && ",
    "||",
    "!",
    "(",
    ")",
    ".length()",
    ".sum()",
    ".keys()",
    ".index(0)",
    ".append($.a)",
    ".concat('x')",
    "1",
    "-1.5e3",
    "'",
    "'{}'",
    "\"",
    "\\",
    "\\'",
    "\\u00e9",
    "{",
    "}",
    ",",
    " ",
    "true",
    "null",
    "States.",
    "States.Format(",
    "States.Array(",
    "States.UUID()",
    "States.StringToJson(",
    "States.ArrayUnique($)",
    "States.Hash($, 'MD5')",
    "States.MathAdd(1, ",
    "States.StringSplit('a', ",
    "States.ArrayRange(0, 5, 2)",
    "States.ArrayPartition($.a, 2)",
    "States.JsonToString($)",
    "States.JsonMerge(",
    "States.Base64Encode(",
    "States.MathRandom(",
    "States.ArrayContains(",
    "States.ArrayGetItem(",
    "\u{e9}",
    "\u{10348}",
    "\n",
    "\"a.$\":",
    "{\"x\":",
    "99999999999999999999",
    "1e308",
    " size 1",
    " empty true",
    " subsetof ",
    " anyof ",
    " nin ",
];

/// The longest text that is fed.
const MAX_TEXT: usize = 512;

fn place(text: &str, error: &SyntaxError) {
    assert!(error.offset <= text.len() && text.is_char_boundary(error.offset), "{text:?}: {error}");
}

pub(crate) fn run(bytes: &[u8]) {
    let (line, rest) = super::line_and_rest(bytes);
    let Ok(text) = std::str::from_utf8(&line[..line.len().min(MAX_TEXT)]) else { return };
    let input = document(rest);
    match Expression::parse(text) {
        Err(error) => place(text, &error),
        Ok(expression) => {
            assert_eq!(expression.text(), text);
            let first = within(&input, |scope| expression.evaluate(scope));
            let again = Expression::parse(expression.text()).expect("printed and read again");
            assert_eq!(within(&input, |scope| again.evaluate(scope)), first, "{text:?} says different things");
        }
    }
    match Path::parse(text) {
        Err(error) => place(text, &error),
        Ok(path) => {
            let again = Path::parse(path.text()).expect("printed and read again");
            assert_eq!((again.text(), again.is_definite(), again.root()), (text, path.is_definite(), path.root()));
            assert_eq!(format!("{again:?}"), format!("{path:?}"));
            within(&input, |scope| {
                let evaluated = path.evaluate(scope).map(Cow::into_owned).ok();
                assert_eq!(path.select(scope).map(Cow::into_owned), evaluated, "{text:?}");
            });
        }
    }
    match ReferencePath::parse(text) {
        Err(error) => place(text, &error),
        Ok(path) => {
            assert_eq!(path.text(), text);
            let selected = within(&input, |scope| path.select(scope).map(Cow::into_owned));
            let as_path =
                Path::parse(text).unwrap_or_else(|error| panic!("a reference path is a path: {text:?}: {error}"));
            assert_eq!(within(&input, |scope| as_path.select(scope).map(Cow::into_owned)), selected, "{text:?}");
            if let stepwright_querylang::Root::Input = path.root()
                && let Ok(result) = path.insert(input.clone(), "inserted".into())
            {
                let found = within(&result, |scope| path.select(scope).map(Cow::into_owned));
                assert_eq!(found, Some("inserted".into()), "{text:?}");
            }
        }
    }
}
