//! Filters.
//!
//! In a filter of a path a comparison of things that cannot be compared is false;
//! JSONata fails. Comparisons are therefore guarded by the type they ask for.

use super::{Text, Writer, literal};
use crate::path::{Filter, Operand, Operator};
use serde_json::Value;

const PATTERN: &str = "'=~' is taken to be asked of one value: of an array it holds if it holds for an element";
const EQUAL: &str = "a number and a text that spells it are equal in a filter of a path, and different in JSONata";

impl Writer<'_> {
    /// A condition on `item`.
    pub(super) fn condition(&mut self, filter: &Filter, item: &str, document: &str) -> Result<String, String> {
        Ok(match filter {
            Filter::Or(terms) => self.terms(terms, " or ", item, document)?,
            Filter::And(terms) => self.terms(terms, " and ", item, document)?,
            Filter::Not(inner) => format!("$not({})", self.condition(inner, item, document)?),
            Filter::Constant(constant) => constant.to_string(),
            Filter::Exists(operand) => {
                let path = self.operand(operand, item, document)?;
                format!("$exists({path}) and {path} != null")
            }
            Filter::Compare(left, operator, right) => self.comparison(left, *operator, right, item, document)?,
        })
    }

    fn terms(&mut self, terms: &[Filter], join: &str, item: &str, document: &str) -> Result<String, String> {
        let terms: Result<Vec<String>, String> = terms
            .iter()
            .map(|term| {
                let text = self.condition(term, item, document)?;
                let alone = matches!(term, Filter::Not(_) | Filter::Constant(_));
                Ok(if alone { text } else { format!("({text})") })
            })
            .collect();
        Ok(terms?.join(join))
    }

    fn operand(&mut self, operand: &Operand, item: &str, document: &str) -> Result<String, String> {
        match operand {
            Operand::Current(steps) => self.steps(steps, item, document).map(Text::operand),
            Operand::Document(steps, _) => self.steps(steps, document, document).map(Text::operand),
            Operand::Literal(value) => Ok(literal(value)),
            Operand::Pattern(_) => Err("a pattern stands where a value is expected".to_owned()),
        }
    }

    fn comparison(
        &mut self,
        left: &Operand,
        operator: Operator,
        right: &Operand,
        item: &str,
        document: &str,
    ) -> Result<String, String> {
        if let (Operand::Pattern(pattern), text) | (text, Operand::Pattern(pattern)) = (left, right) {
            let text = self.operand(text, item, document)?;
            let regex = javascript(&pattern.source, &pattern.flags)?;
            self.note(PATTERN);
            // What has no text is matched as the empty text.
            let scalar = format!("$type({text}) in [\"string\", \"number\", \"boolean\"]");
            return Ok(format!("$contains({scalar} ? $string({text}) : \"\", {regex})"));
        }
        let (l, r) = (self.operand(left, item, document)?, self.operand(right, item, document)?);
        let number_or_text = |operand: &Operand| {
            matches!(operand, Operand::Literal(Value::Number(_)))
                || matches!(operand, Operand::Literal(Value::String(text)) if text.parse::<f64>().is_ok())
        };
        if number_or_text(left) || number_or_text(right) {
            self.note(EQUAL);
        }
        let ordered = |symbol: &str| {
            // The type that the literal asks of the path.
            let (path, kind) = match (left, right) {
                (_, Operand::Literal(Value::Number(_))) => (&l, "number"),
                (_, Operand::Literal(Value::String(_))) => (&l, "string"),
                (Operand::Literal(Value::Number(_)), _) => (&r, "number"),
                (Operand::Literal(Value::String(_)), _) => (&r, "string"),
                _ => {
                    let ordered = format!("$type({l}) in [\"number\", \"string\"] and $type({l}) = $type({r})");
                    return format!("{ordered} and {l} {symbol} {r}");
                }
            };
            format!("$type({path}) = \"{kind}\" and {l} {symbol} {r}")
        };
        Ok(match operator {
            Operator::Equal | Operator::Same => format!("{l} = {r}"),
            Operator::NotEqual | Operator::NotSame => format!("$not({l} = {r})"),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                ordered(match operator {
                    Operator::Less => "<",
                    Operator::LessOrEqual => "<=",
                    Operator::Greater => ">",
                    _ => ">=",
                })
            }
            // What is no list has neither the value in it nor not in it.
            Operator::In | Operator::NotIn => {
                let found = if operator == Operator::In { format!("{l} in {r}") } else { format!("$not({l} in {r})") };
                match right {
                    Operand::Literal(_) => found,
                    _ => format!("$type({r}) = \"array\" and {found}"),
                }
            }
            Operator::Contains => match right {
                Operand::Literal(Value::String(_)) => {
                    format!("($type({l}) = \"string\" ? $contains({l}, {r}) : {r} in {l})")
                }
                Operand::Literal(_) => format!("{r} in {l}"),
                _ => return Err("'contains' with a path on its right has no equal".to_owned()),
            },
            Operator::Size => {
                format!("($type({l}) = \"string\" ? $length({l}) : $type({l}) = \"array\" ? $count({l})) = {r}")
            }
            Operator::Empty => {
                let empty = format!("{l} = \"\" or {l} = [] or {l} = {{}}");
                match right {
                    Operand::Literal(Value::Bool(true)) => empty,
                    Operand::Literal(Value::Bool(false)) => {
                        format!("$type({l}) in [\"string\", \"array\", \"object\"] and $not({empty})")
                    }
                    _ => return Err("'empty' takes true or false on its right".to_owned()),
                }
            }
            Operator::Exists | Operator::SubsetOf | Operator::AnyOf | Operator::NoneOf | Operator::All => {
                return Err("this operator has no equal; write it with $filter and 'in'".to_owned());
            }
            Operator::Matches => return Err("'=~' takes a pattern in slashes".to_owned()),
        })
    }
}

/// A regular expression of Java as one of JavaScript, if both read it alike. The whole text must match.
fn javascript(source: &str, flags: &str) -> Result<String, String> {
    if flags.chars().any(|flag| !matches!(flag, 'i' | 'm')) || flags.contains('m') && source.contains(['^', '$']) {
        return Err(format!("the flags '{flags}' of the pattern have no equal"));
    }
    if source.contains("&&") || source.replace("(?:", "(").contains("(?") {
        return Err("the pattern is not read alike by JSONata".to_owned());
    }
    let mut pattern = String::with_capacity(source.len());
    let mut characters = source.chars();
    while let Some(character) = characters.next() {
        pattern.push(character);
        if character == '\\' {
            let escaped = characters.next();
            match escaped {
                // See `push_plain`.
                Some('\\') => pattern.push_str("x5c"),
                Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'b' | 'B' | 't' | 'n' | 'r' | 'f') => pattern.extend(escaped),
                Some(other) if !other.is_ascii_alphanumeric() => pattern.push(other),
                _ => return Err("the pattern is not read alike by JSONata".to_owned()),
            }
        }
    }
    Ok(format!("/^(?:{pattern})$/{flags}"))
}
