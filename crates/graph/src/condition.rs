//! The condition of a choice rule as a short text: `$.total > 100 and not $.paid is present`.

use stepwright_asl::{Condition, Operand, Relation, Test};

/// The text. A condition nests no deeper than the brackets of a definition.
pub(crate) fn text(condition: &Condition) -> String {
    match condition {
        Condition::And(parts) => joined(parts, " and "),
        Condition::Or(parts) => joined(parts, " or "),
        Condition::Not(inner) => format!("not {}", nested(inner)),
        Condition::Literal(value) => value.to_string(),
        Condition::Jsonata(expression) => expression.text().trim().to_owned(),
        Condition::Test { variable, test } => self::test(variable.text(), test),
    }
}

fn joined(parts: &[Condition], word: &str) -> String {
    parts.iter().map(nested).collect::<Vec<_>>().join(word)
}

fn nested(condition: &Condition) -> String {
    match condition {
        Condition::And(_) | Condition::Or(_) => format!("({})", text(condition)),
        _ => text(condition),
    }
}

fn test(variable: &str, test: &Test) -> String {
    let is = |wanted: bool, what: &str| format!("{variable} is {}{what}", if wanted { "" } else { "not " });
    match test {
        Test::Compare { relation, operand, .. } => {
            let sign = match relation {
                Relation::Equals => "=",
                Relation::LessThan => "<",
                Relation::GreaterThan => ">",
                Relation::LessThanEquals => "≤",
                Relation::GreaterThanEquals => "≥",
            };
            match operand {
                Operand::Literal(value) => format!("{variable} {sign} {value}"),
                Operand::Path(path) => format!("{variable} {sign} {}", path.text()),
            }
        }
        Test::StringMatches(pattern) => format!("{variable} matches {pattern}"),
        Test::IsNull(wanted) => is(*wanted, "null"),
        Test::IsPresent(wanted) => is(*wanted, "present"),
        Test::IsString(wanted) => is(*wanted, "a string"),
        Test::IsNumeric(wanted) => is(*wanted, "a number"),
        Test::IsBoolean(wanted) => is(*wanted, "a boolean"),
        Test::IsTimestamp(wanted) => is(*wanted, "a timestamp"),
    }
}
