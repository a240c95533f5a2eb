//! Intrinsic functions.

use super::{Text, Writer, braced, literal};
use crate::intrinsic::{Argument, Call, Function, Invocation};
use serde_json::{Number, Value};

const FORMAT: &str = "States.Format fails where a value is missing and writes objects and arrays as {a=1, b=[]}; \
                      JSONata makes an empty text of what is missing, writes JSON, and numbers with at most 15 digits";
const TO_STRING: &str = "States.JsonToString puts a text into quotes, $string leaves it as it is, and writes numbers \
                         with at most 15 digits";
const ASCII: &str = "$base64encode and $base64decode take a character for a byte: the texts are taken to be ASCII";
const EMPTY_JSON: &str = "States.StringToJson makes null of an empty text, $parse fails";
const HASH: &str = "States.Hash takes the JSON text of what is no text, $hash only texts";
const ROUNDING: &str = "States.MathAdd rounds its arguments and fails beyond 32 bits, '+' does neither";
const WHOLE: &str = "the arguments of States.MathRandom and States.ArrayRange are taken to be whole numbers";

impl Writer<'_> {
    pub(super) fn call(&mut self, call: &Call) -> Result<Text, String> {
        self.invocation(&call.invocation)
    }

    /// `States.Array(…)` where a JSON array may stand: one expression for each element. `Err`: it is something else,
    /// or has an element that only [`Writer::call`] can say why it is refused.
    pub(super) fn elements(&mut self, call: &Call) -> Result<Value, ()> {
        if call.invocation.function != Function::Array {
            return Err(());
        }
        call.invocation
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Text { value, .. } if !value.as_str().is_some_and(|text| text.contains('%')) => {
                    Ok(value.clone())
                }
                Argument::Literal(value) => Ok(value.clone()),
                other => self.argument(other).map(|text| Value::from(braced(&text.text))).map_err(drop),
            })
            .collect()
    }

    fn argument(&mut self, argument: &Argument) -> Result<Text, String> {
        match argument {
            Argument::Text { value, .. } => Ok(Text::scalar(literal(value))),
            Argument::Literal(value @ Value::Number(number)) if is_negative(number) => {
                Ok(Text::operation(literal(value)))
            }
            Argument::Literal(value) => Ok(Text::scalar(literal(value))),
            Argument::Path(path) => self.path(path),
            Argument::Call(invocation) => self.invocation(invocation),
        }
    }

    fn invocation(&mut self, invocation: &Invocation) -> Result<Text, String> {
        let arguments = &invocation.arguments;
        if invocation.function == Function::Format {
            return self.format(arguments);
        }
        if invocation.function == Function::Array {
            return self.array(arguments);
        }
        let mut texts = Vec::with_capacity(arguments.len());
        for argument in arguments {
            texts.push(self.argument(argument)?);
        }
        let name = invocation.function.name();
        Ok(match (invocation.function, texts.as_slice(), &**arguments) {
            (Function::StringToJson, [text], _) => {
                self.note(EMPTY_JSON);
                Text::atom(format!("$parse({})", text.text))
            }
            (Function::JsonToString, [value], _) => {
                self.note(TO_STRING);
                Text::scalar(format!("$string({})", value.text))
            }
            (Function::ArrayPartition, [array, size], _) => {
                Text::atom(format!("[$partition({}, {})[]]", array.text, size.text))
            }
            (Function::ArrayContains, [array, wanted], [_, Argument::Text { .. } | Argument::Literal(_)]) => {
                Text::operation(format!("{} in {}", wanted.clone().operand(), array.clone().operand()))
            }
            (Function::ArrayContains, [array, wanted], _) => {
                let (array, wanted) = (&array.text, wanted.clone().operand());
                let element = super::path::unused("$element", &wanted);
                Text::scalar(format!("$exists($filter({array}, function({element}) {{ {element} = {wanted} }}))"))
            }
            (Function::ArrayRange, [first, last, step], _) => {
                if !arguments.iter().all(is_whole) {
                    self.note(WHOLE);
                }
                Text::atom(format!("[$range({}, {}, {})]", first.text, last.text, step.text))
            }
            (Function::ArrayGetItem, [array, index], _) => {
                Text::atom(format!("{}[{}]", array.clone().operand(), index.text))
            }
            (Function::ArrayLength, [array], _) => Text::scalar(format!("$count({})", array.text)),
            (Function::ArrayUnique, [array], _) => Text::atom(format!("[$distinct({})[]]", array.text)),
            (Function::Base64Encode, [text], _) => {
                self.note(ASCII);
                Text::scalar(format!("$base64encode({})", text.text))
            }
            (Function::Base64Decode, [text], _) => {
                self.note(ASCII);
                Text::scalar(format!("$base64decode({})", text.text))
            }
            (Function::Hash, [data, algorithm], _) => {
                self.note(HASH);
                Text::scalar(format!("$hash({}, {})", data.text, algorithm.text))
            }
            (Function::JsonMerge, [first, second, _], [_, _, Argument::Literal(Value::Bool(false))]) => {
                Text::atom(format!("$merge([{}, {}])", first.text, second.text))
            }
            (Function::MathRandom, [start, end], _) => {
                if !arguments.iter().all(is_whole) {
                    self.note(WHOLE);
                }
                let (start, end) = (start.clone().operand(), end.clone().operand());
                Text::operation(format!("{start} + $floor($random() * ({end} - {start}))"))
            }
            (Function::MathRandom, [_, _, _], _) => {
                return Err("a seed gives other numbers in JSONata; without one $random() is alike".to_owned());
            }
            (Function::MathAdd, [first, second], _) => {
                if !arguments.iter().all(is_whole) {
                    self.note(ROUNDING);
                }
                Text::operation(format!("{} + {}", first.clone().operand(), second.clone().operand()))
            }
            (Function::StringSplit, [text, _], [_, Argument::Text { value, .. }]) => {
                let separators = separators(value.as_str().unwrap_or_default())?;
                Text::atom(format!(
                    "[$filter($split({}, {separators}), function($piece) {{ $piece != \"\" }})[]]",
                    text.text
                ))
            }
            (Function::StringSplit, [_, _], _) => {
                return Err("the delimiters of States.StringSplit must be written out".to_owned());
            }
            (Function::Uuid, [], _) => Text::scalar("$uuid()"),
            _ => return Err(format!("{name} is called with arguments that it does not take")),
        })
    }

    /// `"Hello " & $states.input.name`
    fn format(&mut self, arguments: &[Argument]) -> Result<Text, String> {
        let Some((Argument::Text { raw, .. }, rest)) = arguments.split_first() else {
            return Err("the template of States.Format must be written out".to_owned());
        };
        let mut rest = rest.iter();
        let mut pieces = Vec::new();
        let mut piece = String::new();
        let mut characters = raw.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' => piece.push(characters.next_if(|c| matches!(c, '\'' | '{' | '}' | '\\')).unwrap_or('\\')),
                '{' => {
                    if characters.next() != Some('}') {
                        return Err("the template of States.Format has a '{' without its '}'".to_owned());
                    }
                    let argument = rest.next().ok_or("States.Format has fewer arguments than '{}'")?;
                    if !piece.is_empty() {
                        pieces.push(literal(&std::mem::take(&mut piece).into()));
                    }
                    let text = self.argument(argument)?;
                    if !text.scalar {
                        self.note(FORMAT);
                    }
                    pieces.push(text.operand());
                }
                '}' => return Err("the template of States.Format has a '}' without its '{'".to_owned()),
                _ => piece.push(character),
            }
        }
        if rest.next().is_some() {
            return Err("States.Format has more arguments than '{}'".to_owned());
        }
        if !piece.is_empty() {
            pieces.push(literal(&piece.into()));
        }
        Ok(match pieces.as_slice() {
            [] => Text::scalar("\"\""),
            [only] if only.starts_with('"') => Text::scalar(only.clone()),
            [only] => Text::scalar(format!("$string({only})")),
            _ => Text::operation(pieces.join(" & ")),
        })
    }

    /// JSONata's `[a, b]` takes an array among its members apart.
    fn array(&mut self, arguments: &[Argument]) -> Result<Text, String> {
        let mut elements = Vec::with_capacity(arguments.len());
        for argument in arguments {
            elements.push(self.argument(argument)?);
        }
        if elements.iter().all(|element| element.scalar) {
            let elements: Vec<String> = elements.into_iter().map(|element| element.text).collect();
            return Ok(Text::atom(format!("[{}]", elements.join(", "))));
        }
        let members: Vec<String> =
            elements.into_iter().enumerate().map(|(at, element)| format!("\"{at}\": {}", element.text)).collect();
        Ok(Text::atom(format!("[$each({{{}}}, function($member) {{ $member }})[]]", members.join(", "))))
    }
}

fn is_whole(argument: &Argument) -> bool {
    matches!(argument, Argument::Literal(Value::Number(number)) if number.is_i64())
}

fn is_negative(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number < 0.0)
}

/// What `$split` splits at: any of the characters.
fn separators(characters: &str) -> Result<String, String> {
    let mut all = characters.chars();
    match (all.next(), all.next()) {
        (None, _) => {
            Err("States.StringSplit without delimiters splits nothing; $split would split everything".to_owned())
        }
        (Some(_), None) => Ok(literal(&characters.into())),
        _ => {
            let mut class = String::from("/[");
            characters.chars().for_each(|character| super::choice::push_plain(&mut class, character));
            class.push_str("]/");
            Ok(class)
        }
    }
}
