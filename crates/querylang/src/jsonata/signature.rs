//! Signatures of functions: `<s-nn?:s>`, parsed once, and applied to the
//! arguments of each call.
//!
//! The reference turns a signature into a regular expression over the types of
//! the arguments; what arguments belong to which parameter is decided here as
//! that expression would, in time of parameters times arguments. The type
//! behind `:` is ignored, as there.

use super::error::Error;
use super::value::{Array, Value};

/// The most parameters times arguments that are looked at.
const MAX_TABLE: usize = 1 << 20;

/// A parsed signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) text: String,
    parameters: Vec<Parameter>,
    /// No parameter takes several arguments: each argument has its place.
    positional: bool,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    /// The types it takes, as bits of [`bit`].
    types: u8,
    /// `a`: a single value becomes an array of one.
    array: bool,
    /// What stands between `<` and `>` behind `a`.
    items: Option<String>,
    /// `-` or `?`.
    optional: bool,
    /// `+`.
    many: bool,
    /// `-`: the context item stands in for it.
    context: bool,
}

/// The bit of a type's letter; letters that are no type have none.
fn bit(symbol: u8) -> u8 {
    match symbol {
        b'm' => 1,
        b'l' => 1 << 1,
        b'b' => 1 << 2,
        b'n' => 1 << 3,
        b's' => 1 << 4,
        b'a' => 1 << 5,
        b'o' => 1 << 6,
        b'f' => 1 << 7,
        _ => 0,
    }
}

fn bits(symbols: &str) -> u8 {
    symbols.bytes().fold(0, |bits, symbol| bits | bit(symbol))
}

impl Signature {
    /// Parses a signature with its angle brackets. Letters that mean nothing are
    /// passed over.
    ///
    /// # Errors
    /// S0401 and S0402; the position is the offset into `text`, in UTF-16 units.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let characters: Vec<char> = text.chars().collect();
        let mut parameters: Vec<Parameter> = Vec::new();
        // Behind `a<…>` and the like stands what `<` may follow.
        let mut last = None;
        let mut position = 1;
        while let Some(&symbol) = characters.get(position) {
            let types = match symbol {
                ':' => break,
                's' | 'n' | 'b' | 'l' | 'o' => bit(symbol as u8) | bit(b'm'),
                'a' | 'x' => u8::MAX,
                'f' => bit(b'f'),
                'j' => !bit(b'f'),
                '(' => {
                    let end = closing(&characters, position, '(', ')');
                    let choice: String = characters[position + 1..end].iter().collect();
                    if choice.contains('<') {
                        return Err(Error::new("S0402").with_text_value(&choice).at(offset(&characters, position)));
                    }
                    position = end;
                    bits(&choice) | bit(b'm')
                }
                '<' => {
                    let end = closing(&characters, position, '<', '>');
                    match (last, parameters.last_mut()) {
                        (Some('a' | 'f'), Some(parameter)) => {
                            parameter.items = Some(characters[position + 1..end].iter().collect());
                        }
                        _ => {
                            let kind = last.map(String::from).unwrap_or_default();
                            return Err(Error::new("S0401").with_text_value(&kind).at(offset(&characters, position)));
                        }
                    }
                    position = end + 1;
                    continue;
                }
                modifier => {
                    if let Some(parameter) = parameters.last_mut() {
                        match modifier {
                            '-' => (parameter.optional, parameter.context) = (true, true),
                            '?' => parameter.optional = true,
                            '+' => parameter.many = true,
                            _ => {}
                        }
                    }
                    position += 1;
                    continue;
                }
            };
            last = Some(symbol);
            let array = symbol == 'a';
            parameters.push(Parameter { types, array, items: None, optional: false, many: false, context: false });
            position += 1;
        }
        let positional = parameters.iter().all(|parameter| !parameter.many);
        Ok(Self { text: text.to_owned(), parameters, positional })
    }

    /// How many steps it takes to check arguments.
    pub(crate) fn work(&self, arguments: &[Value]) -> u64 {
        let table = if self.positional && arguments.len() <= self.parameters.len() {
            self.parameters.len()
        } else {
            self.parameters.len().saturating_mul(arguments.len())
        };
        let items = if self.parameters.iter().any(|parameter| parameter.items.is_some()) {
            arguments.iter().filter_map(Value::as_array).map(|array| array.len()).sum()
        } else {
            0
        };
        (table / 8 + items / 16) as u64
    }

    /// The arguments as the function gets them: checked, single values made
    /// arrays, the context item in its place, undefined for what is left out.
    ///
    /// # Errors
    /// T0410, T0411, T0412.
    pub(crate) fn validate(&self, arguments: Vec<Value>, context: &Value) -> Result<Vec<Value>, Error> {
        let in_order = self.positional
            && arguments.len() <= self.parameters.len()
            && arguments.iter().zip(&self.parameters).all(|(argument, parameter)| parameter.takes(argument))
            && self.parameters[arguments.len()..].iter().all(|parameter| parameter.optional);
        if in_order { self.complete(arguments, context) } else { self.distribute(&arguments, context) }
    }

    /// The usual case: the first arguments belong to the first parameters.
    fn complete(&self, mut arguments: Vec<Value>, context: &Value) -> Result<Vec<Value>, Error> {
        let given = arguments.len();
        for (index, (argument, parameter)) in arguments.iter_mut().zip(&self.parameters).enumerate() {
            if parameter.array {
                let single = [argument.symbol()];
                parameter.make_array(argument, &single, index)?;
            }
        }
        let mut index = given;
        for parameter in &self.parameters[given..] {
            if parameter.context {
                arguments.push(parameter.stand_in(context, index)?);
            } else {
                arguments.push(Value::Undefined);
                index += 1;
            }
        }
        Ok(arguments)
    }

    fn distribute(&self, arguments: &[Value], context: &Value) -> Result<Vec<Value>, Error> {
        let symbols: Vec<u8> = arguments.iter().map(Value::symbol).collect();
        let Some(counts) = self.counts(&symbols, self.parameters.len(), true) else {
            return Err(self.mismatch(arguments, &symbols));
        };
        let mut validated = Vec::with_capacity(arguments.len().max(self.parameters.len()));
        let mut index = 0;
        let mut matched = 0;
        for (parameter, count) in self.parameters.iter().zip(counts) {
            let own = &symbols[matched..matched + count];
            matched += count;
            if count == 0 && parameter.context {
                validated.push(parameter.stand_in(context, index)?);
                continue;
            }
            // A parameter that was left out takes the next argument all the same,
            // and so shifts the ones behind it: the reference does.
            for _ in 0..count.max(1) {
                let mut argument = arguments.get(index).cloned().unwrap_or_default();
                if count > 0 && parameter.array {
                    parameter.make_array(&mut argument, own, index)?;
                }
                validated.push(argument);
                index += 1;
            }
        }
        Ok(validated)
    }

    /// How many of the arguments each of the first parameters takes, as a regular
    /// expression would share them out: each as many as it can, the first ones
    /// first. `whole` if no argument may be left over.
    fn counts(&self, symbols: &[u8], parameters: usize, whole: bool) -> Option<Vec<usize>> {
        let parameters = &self.parameters[..parameters];
        let width = symbols.len() + 1;
        if (parameters.len() + 1).saturating_mul(width) > MAX_TABLE {
            return None;
        }
        // `fits[p][a]`: the parameters from `p` on can take the arguments from `a` on.
        let mut fits = vec![vec![!whole; width]; parameters.len() + 1];
        fits[parameters.len()][symbols.len()] = true;
        for (p, parameter) in parameters.iter().enumerate().rev() {
            // Whether `parameter`, having taken one argument at least, can end before `a`.
            let mut goes_on = false;
            for a in (0..width).rev() {
                let takes = symbols.get(a).is_some_and(|symbol| parameter.types & bit(*symbol) != 0);
                let after_one = takes && (fits[p + 1][a + 1] || (parameter.many && goes_on));
                goes_on = after_one;
                fits[p][a] = after_one || (parameter.optional && fits[p + 1][a]);
            }
        }
        if !fits[0][0] {
            return None;
        }
        let mut a = 0;
        let counts = parameters.iter().enumerate().map(|(p, parameter)| {
            let most = if parameter.many { symbols.len() - a } else { 1.min(symbols.len() - a) };
            let run = symbols[a..a + most].iter().take_while(|symbol| parameter.types & bit(**symbol) != 0).count();
            let least = usize::from(!parameter.optional);
            let count = (least..=run).rev().find(|count| fits[p + 1][a + count]).unwrap_or(0);
            a += count;
            count
        });
        Some(counts.collect())
    }

    /// T0410 for the argument where it goes wrong.
    fn mismatch(&self, arguments: &[Value], symbols: &[u8]) -> Error {
        // The most first parameters that still match: if these do, fewer do.
        let (mut matching, mut failing) = (0, self.parameters.len() + 1);
        let mut good = 0;
        while failing - matching > 1 {
            let middle = matching.midpoint(failing);
            match self.counts(symbols, middle, false) {
                Some(counts) => (matching, good) = (middle, counts.iter().sum()),
                None => failing = middle,
            }
        }
        Error::new("T0410").with_value(arguments.get(good).unwrap_or(&Value::Undefined)).with_index(good + 1)
    }
}

impl Parameter {
    fn takes(&self, argument: &Value) -> bool {
        self.types & bit(argument.symbol()) != 0
    }

    fn stand_in(&self, context: &Value, index: usize) -> Result<Value, Error> {
        if self.takes(context) {
            Ok(context.clone())
        } else {
            Err(Error::new("T0411").with_value(context).with_index(index + 1))
        }
    }

    /// Checks the items of an array, and makes a single value one. `own` are the
    /// types of all the arguments of the parameter.
    fn make_array(&self, argument: &mut Value, own: &[u8], index: usize) -> Result<(), Error> {
        let fits = match (&self.items, &*argument) {
            (_, Value::Undefined) => return Ok(()),
            (None, _) => true,
            (Some(items), Value::Array(array)) => match array.first() {
                Some(first) => {
                    let symbol = first.symbol();
                    items.as_bytes().first() == Some(&symbol) && array.iter().all(|item| item.symbol() == symbol)
                }
                None => true,
            },
            (Some(items), _) => items.as_bytes() == own,
        };
        if !fits {
            let kind = match self.items.as_deref() {
                Some("a") => "arrays",
                Some("b") => "booleans",
                Some("f") => "functions",
                Some("n") => "numbers",
                Some("o") => "objects",
                Some("s") => "strings",
                Some(other) => other,
                None => "",
            };
            return Err(Error::new("T0412").with_value(argument).with_index(index + 1).with_type(kind));
        }
        if !matches!(argument, Value::Array(_)) {
            *argument = Value::from(Array::new(vec![std::mem::take(argument)]));
        }
        Ok(())
    }
}

/// Where the bracket at `start` is closed: the end of the text if it is not.
fn closing(characters: &[char], start: usize, open: char, close: char) -> usize {
    let mut depth = 1usize;
    for (position, character) in characters.iter().enumerate().skip(start + 1) {
        if *character == close {
            depth -= 1;
            if depth == 0 {
                return position;
            }
        } else if *character == open {
            depth += 1;
        }
    }
    characters.len()
}

fn offset(characters: &[char], position: usize) -> u32 {
    u32::try_from(characters[..position].iter().map(|c| c.len_utf16()).sum::<usize>()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64) -> Value {
        Value::Number(number)
    }

    /// The validated arguments as JSON of sorts, or the code and index of the error.
    fn validated(signature: &str, arguments: &[Value], context: &Value) -> String {
        match Signature::parse(signature).expect(signature).validate(arguments.to_vec(), context) {
            Ok(arguments) => arguments.iter().map(plain).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    fn plain(value: &Value) -> String {
        match value {
            Value::Undefined => "-".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.to_string(),
            Value::Array(array) => format!("[{}]", array.iter().map(plain).collect::<Vec<_>>().join(",")),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn arguments_find_their_parameters() {
        let none = Value::Undefined;
        let (one, two) = (number(1.0), number(2.0));
        let text = Value::from("a");
        for (signature, arguments, context, expected) in [
            ("<s-nn?:s>", vec![text.clone(), one.clone()], &none, "a 1 -"),
            ("<s-nn?:s>", vec![one.clone()], &text, "a 1 -"),
            ("<s-nn?:s>", vec![one.clone(), two.clone()], &text, "a 1 2"),
            ("<a<n>:n>", vec![one.clone()], &none, "[1]"),
            ("<a<n>:n>", vec![none.clone()], &none, "-"),
            ("<xx:a>", vec![none.clone(), one.clone()], &none, "- 1"),
            ("<n+s:a>", vec![one.clone(), two.clone(), text.clone()], &none, "1 2 a"),
            ("<n+s-:a>", vec![one.clone(), two.clone()], &text, "1 2 a"),
            ("<s?n+:a>", vec![one.clone(), two.clone()], &none, "1 2 -"),
            ("<a+>", vec![one.clone(), text.clone()], &none, "[1] [a]"),
            ("<(ns)-:n>", vec![], &one, "1"),
            ("<:n>", vec![], &one, ""),
        ] {
            assert_eq!(validated(signature, &arguments, context), expected, "{signature}");
        }
    }

    #[test]
    fn refusals_name_the_argument() {
        let one = number(1.0);
        let text = Value::from("a");
        for (signature, arguments, expected) in [
            ("<nn:a>", vec![one.clone(), text.clone()], "T0410: Argument 2 "),
            ("<nn:a>", vec![one.clone(), one.clone(), text.clone()], "T0410: Argument 3 "),
            ("<n+:a>", vec![one.clone(), one.clone(), text.clone()], "T0410: Argument 3 "),
            ("<s-n:s>", vec![one.clone()], "T0411: Context value is not a compatible type with argument 1 "),
            ("<a<n>>", vec![text.clone()], "T0412: Argument 1 "),
            ("<sa<s>>", vec![text.clone(), one.clone()], "T0412: Argument 2 "),
            ("<a<n>>", vec![Value::from(Array::new(vec![one.clone(), text.clone()]))], "T0412: Argument 1 "),
        ] {
            let message = validated(signature, &arguments, &Value::Boolean(true));
            assert!(message.starts_with(expected), "{signature}: {message}");
        }
        let message = validated("<a<n>>", &[text], &Value::Undefined);
        assert!(message.ends_with("must be an array of \"numbers\""), "{message}");
    }

    #[test]
    fn signatures_that_mean_nothing_are_refused() {
        for (signature, code, position) in [("<n<n>>", "S0401", 2), ("<<n>>", "S0401", 1), ("<(sa<n>)>", "S0402", 1)] {
            let error = Signature::parse(signature).expect_err(signature);
            assert_eq!((error.code(), error.position()), (code, Some(position)), "{signature}");
        }
    }

    #[test]
    fn hostile_signatures_end_soon() {
        let arguments = vec![number(1.0); 300];
        let signature = format!("<{}s>", "n?n+".repeat(300));
        assert!(validated(&signature, &arguments, &Value::Undefined).starts_with("T0410"));
    }
}
