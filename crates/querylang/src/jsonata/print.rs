//! A tree as text, in one canonical form. What is printed parses to the same tree.

use super::ast::{Ast, AstKind, Operator, Pair};
use super::lexer::ends_name;
use std::fmt::{Display, Formatter, Result, Write};

impl Display for Ast {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match &self.kind {
            AstKind::Null => out.write_str("null"),
            AstKind::Boolean(boolean) => write!(out, "{boolean}"),
            AstKind::Number(number) => out.write_str(&super::number::to_text(*number)),
            AstKind::String(text) => string(out, text),
            AstKind::Regex(regex) => write!(out, "/{}/{}", regex.pattern(), regex.flags()),
            AstKind::Name(name) => field(out, name),
            AstKind::Variable(name) => write!(out, "${name}"),
            AstKind::Wildcard => out.write_char('*'),
            AstKind::Descendant => out.write_str("**"),
            AstKind::Parent => out.write_char('%'),
            AstKind::Negate(operand) => write!(out, "-{operand}"),
            AstKind::Binary(Operator::Map, left, right) => write!(out, "{left}.{right}"),
            AstKind::Binary(operator, left, right) => write!(out, "{left} {} {right}", operator.text()),
            AstKind::Filter(left, predicate) => write!(out, "{left}[{predicate}]"),
            AstKind::Group(left, members) => {
                write!(out, "{left}")?;
                pairs(out, members)
            }
            AstKind::Sort(left, terms) => {
                write!(out, "{left}^(")?;
                for (index, term) in terms.iter().enumerate() {
                    out.write_str(if index > 0 { ", " } else { "" })?;
                    out.write_str(if term.descending { ">" } else { "" })?;
                    write!(out, "{}", term.expression)?;
                }
                out.write_char(')')
            }
            AstKind::Focus(left, name) => write!(out, "{left}@${name}"),
            AstKind::Index(left, name) => write!(out, "{left}#${name}"),
            AstKind::Bind(name, value) => write!(out, "${name} := {value}"),
            AstKind::Array(items) => list(out, "[", items, ", ", "]"),
            AstKind::Object(members) => pairs(out, members),
            AstKind::Block(items) => list(out, "(", items, "; ", ")"),
            AstKind::Call(procedure, arguments) | AstKind::Partial(procedure, arguments) => {
                write!(out, "{procedure}")?;
                list(out, "(", arguments, ", ", ")")
            }
            AstKind::Placeholder => out.write_char('?'),
            AstKind::Lambda(parameters, signature, body) => {
                out.write_str("function(")?;
                for (index, parameter) in parameters.iter().enumerate() {
                    out.write_str(if index > 0 { ", " } else { "" })?;
                    write!(out, "${parameter}")?;
                }
                write!(out, "){} {{ {body} }}", signature.as_deref().unwrap_or(""))
            }
            AstKind::Condition(condition, then, otherwise) => {
                write!(out, "{condition} ? {then}")?;
                otherwise.as_ref().map_or(Ok(()), |otherwise| write!(out, " : {otherwise}"))
            }
            AstKind::Transform(pattern, update, delete) => {
                write!(out, "|{pattern}|{update}")?;
                delete.as_ref().map_or(Ok(()), |delete| write!(out, ", {delete}"))?;
                out.write_char('|')
            }
            AstKind::End => Ok(()),
        }?;
        // Behind filters the mark belongs to what they filter, and stands there.
        out.write_str(if self.keep_array { "[]" } else { "" })
    }
}

fn list(out: &mut Formatter<'_>, open: &str, items: &[Ast], separator: &str, close: &str) -> Result {
    out.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        out.write_str(if index > 0 { separator } else { "" })?;
        write!(out, "{item}")?;
    }
    out.write_str(close)
}

fn pairs(out: &mut Formatter<'_>, pairs: &[Pair]) -> Result {
    out.write_char('{')?;
    for (index, (key, value)) in pairs.iter().enumerate() {
        out.write_str(if index > 0 { ", " } else { "" })?;
        write!(out, "{key}: {value}")?;
    }
    out.write_char('}')
}

fn string(out: &mut Formatter<'_>, text: &str) -> Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\0'..='\u{1f}' => write!(out, "\\u{:04x}", u32::from(character))?,
            _ => out.write_char(character)?,
        }
    }
    out.write_char('"')
}

/// A field's name, between back-quotes unless it can stand alone.
fn field(out: &mut Formatter<'_>, name: &str) -> Result {
    let alone = match name.bytes().next() {
        None | Some(b'0'..=b'9' | b'"' | b'\'' | b'`' | b'$') => false,
        _ => !name.bytes().any(ends_name) && !matches!(name, "and" | "or" | "in" | "true" | "false" | "null"),
    };
    if alone { out.write_str(name) } else { write!(out, "`{name}`") }
}
