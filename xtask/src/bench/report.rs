//! Lines of a run: a figure, its bound and whether it was kept; as a table for a person, as Markdown for the documents,
//! and as JSON for programs.

use serde_json::{Value, json};

/// What a figure may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Told, not judged.
    Told,
}

/// A figure.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) scenario: &'static str,
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) bound: Bound,
    /// What the figure was made of, round by round.
    pub(crate) rounds: Vec<f64>,
    /// The yardstick beside it, round by round.
    pub(crate) yardstick: Vec<f64>,
}

impl Line {
    /// Whether it is within its bound; none if it has none.
    pub(crate) fn kept(&self) -> Option<bool> {
        match self.bound {
            Bound::AtLeast(bound) => Some(self.value >= bound),
            Bound::AtMost(bound) => Some(self.value <= bound),
            Bound::Told => None,
        }
    }

    fn bound_text(&self) -> String {
        match self.bound {
            Bound::AtLeast(bound) => format!("≥ {}", figure(bound)),
            Bound::AtMost(bound) => format!("≤ {}", figure(bound)),
            Bound::Told => String::new(),
        }
    }

    fn word(&self) -> &'static str {
        match self.kept() {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "",
        }
    }

    fn value_text(&self) -> String {
        if self.unit.is_empty() { figure(self.value) } else { format!("{} {}", figure(self.value), self.unit) }
    }

    fn json(&self) -> Value {
        let bound = match self.bound {
            Bound::AtLeast(bound) => json!({"atLeast": bound}),
            Bound::AtMost(bound) => json!({"atMost": bound}),
            Bound::Told => Value::Null,
        };
        json!({
            "scenario": self.scenario, "what": self.what, "value": self.value, "unit": self.unit, "bound": bound,
            "pass": self.kept(), "rounds": self.rounds, "yardstick": self.yardstick,
        })
    }
}

/// The middle one; of an even number, the mean of the two in the middle. 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// A number with about four digits, thousands apart.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |rest| ("-", rest));
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A table for a terminal.
pub(crate) fn table(lines: &[Line]) -> String {
    let rows: Vec<[String; 5]> = lines
        .iter()
        .map(|line| [line.scenario.into(), line.what.into(), line.value_text(), line.bound_text(), line.word().into()])
        .collect();
    let head = ["scenario", "figure", "value", "bound", ""].map(String::from);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row: &[String; 5]| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for row in [&head].into_iter().chain(&rows) {
        let [a, b, c, d] = widths;
        let line = format!("{:a$}  {:b$}  {:>c$}  {:>d$}  {}", row[0], row[1], row[2], row[3], row[4]);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A table for the documents.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let mut text = String::from("| Scenario | Figure | Value | Bound | |\n|---|---|---|---|---|\n");
    for line in lines {
        let (value, bound) = (line.value_text(), line.bound_text());
        text.push_str(&format!("| {} | {} | {value} | {bound} | {} |\n", line.scenario, line.what, line.word()));
    }
    text
}

/// Everything, for programs.
pub(crate) fn json(lines: &[Line], conditions: &Value) -> Value {
    let failed = lines.iter().filter(|line| line.kept() == Some(false)).count();
    json!({"conditions": conditions, "failed": failed, "lines": lines.iter().map(Line::json).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: f64, bound: Bound) -> Line {
        Line { scenario: "s", what: "w", value, unit: "ms", bound, rounds: vec![], yardstick: vec![] }
    }

    #[test]
    fn a_bound_is_kept_up_to_itself() {
        assert_eq!(line(0.45, Bound::AtLeast(0.45)).kept(), Some(true));
        assert_eq!(line(0.449, Bound::AtLeast(0.45)).kept(), Some(false));
        assert_eq!(line(60.0, Bound::AtMost(60.0)).kept(), Some(true));
        assert_eq!(line(60.1, Bound::AtMost(60.0)).kept(), Some(false));
        // A figure that is no number keeps no bound.
        assert_eq!(line(f64::NAN, Bound::AtMost(60.0)).kept(), Some(false));
        assert_eq!(line(1.0, Bound::Told).kept(), None);
    }

    #[test]
    fn figures_are_readable() {
        let shown = [1_234_567.0, 1_000.0, 45.67, 4.5, 0.451_2, 0.0, -1234.0].map(figure);
        assert_eq!(shown, ["1,234,567", "1,000", "45.7", "4.5", "0.451", "0", "-1,234"]);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn tables_name_what_failed() {
        let lines = [line(61.0, Bound::AtMost(60.0)), line(2.0, Bound::Told)];
        assert_eq!(
            table(&lines),
            "scenario  figure  value  bound\ns         w       61 ms   ≤ 60  FAIL\ns         w        2 ms\n"
        );
        assert!(markdown(&lines).ends_with("| s | w | 61 ms | ≤ 60 | FAIL |\n| s | w | 2 ms |  |  |\n"));
        assert_eq!(json(&lines, &Value::Null)["failed"], 1);
    }
}
