//! Results of tests as people and programs read them: text, TAP 14, JUnit's XML and JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::judge::Complaint;

/// What became of a test.
#[derive(Clone, Debug)]
pub struct Tested {
    /// Its file.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Seconds of real time that it took.
    pub seconds: f64,
    /// Seconds that its execution took on its own clock.
    pub lasted: f64,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a test.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// All is as expected.
    Passed,
    /// Something is not.
    Failed(Box<Complaint>),
    /// It could not be run, or not to its end.
    Broken(String),
}

impl Tested {
    /// Whether all is as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed)
    }

    /// What is wrong, a line each.
    #[must_use]
    pub fn complaint(&self) -> Vec<String> {
        match &self.verdict {
            Verdict::Passed => Vec::new(),
            Verdict::Broken(reason) => vec![reason.clone()],
            Verdict::Failed(complaint) => {
                let Complaint { what, difference, state, data_flow } = &**complaint;
                let mut lines = vec![
                    format!("{what} differs at {}", difference.path),
                    format!("  expected: {}", difference.expected),
                    format!("  got:      {}", difference.got),
                ];
                if let Some(state) = state {
                    lines.push(format!("data flow of the state {state}:"));
                    lines.extend(data_flow.iter().map(|line| format!("  {line}")));
                }
                lines
            }
        }
    }
}

/// For people. `all`: tests that passed, too.
#[must_use]
pub fn text(results: &[Tested], seconds: f64, all: bool) -> String {
    let mut out = String::new();
    for result in results.iter().filter(|result| all || !result.passed()) {
        let word = if result.passed() { "ok    " } else { "FAILED" };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{word}  {}: {} ({} on its clock)", result.file, result.name, length(result.lasted));
        for line in result.complaint() {
            let _ = writeln!(out, "        {line}");
        }
    }
    let failed = results.iter().filter(|result| !result.passed()).count();
    let _ = writeln!(out, "{} passed, {failed} failed, in {seconds:.2} s", results.len() - failed);
    out
}

fn length(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds} s"),
        ..7_200.0 => format!("{:.1} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// TAP, version 14.
#[must_use]
pub fn tap(results: &[Tested]) -> String {
    let mut out = format!("TAP version 14\n1..{}\n", results.len());
    for (at, result) in results.iter().enumerate() {
        let not = if result.passed() { "" } else { "not " };
        let name = format!("{}: {}", result.file, result.name).replace('#', "\\#").replace(['\n', '\r'], " ");
        let _ = writeln!(out, "{not}ok {} - {name}", at + 1);
        if !result.passed() {
            let _ = writeln!(out, "  ---\n  message: |");
            for line in result.complaint().iter().flat_map(|line| line.lines()) {
                let _ = writeln!(out, "    {line}");
            }
            let _ = writeln!(out, "  ...");
        }
    }
    out
}

/// JUnit's XML: a suite per file.
#[must_use]
pub fn junit(results: &[Tested]) -> String {
    let counted = |results: &[&Tested]| {
        let failed = results.iter().filter(|result| matches!(result.verdict, Verdict::Failed(_))).count();
        let broken = results.iter().filter(|result| matches!(result.verdict, Verdict::Broken(_))).count();
        let seconds: f64 = results.iter().map(|result| result.seconds).sum();
        format!("tests=\"{}\" failures=\"{failed}\" errors=\"{broken}\" time=\"{seconds:.3}\"", results.len())
    };
    let all: Vec<&Tested> = results.iter().collect();
    let mut out =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"stepwright\" {}>\n", counted(&all));
    let mut files: Vec<&str> = Vec::new();
    for result in results {
        if !files.contains(&result.file.as_str()) {
            files.push(&result.file);
        }
    }
    for file in files {
        let of_file: Vec<&Tested> = results.iter().filter(|result| result.file == file).collect();
        let _ = writeln!(out, "  <testsuite name=\"{}\" {}>", escaped(file), counted(&of_file));
        for result in of_file {
            let _ = write!(
                out,
                "    <testcase name=\"{}\" classname=\"{}\" time=\"{:.3}\"",
                escaped(&result.name),
                escaped(file),
                result.seconds
            );
            let lines = result.complaint();
            let element = match result.verdict {
                Verdict::Passed => {
                    out.push_str("/>\n");
                    continue;
                }
                Verdict::Failed(_) => "failure",
                Verdict::Broken(_) => "error",
            };
            let first = lines.first().map(String::as_str).unwrap_or_default();
            let _ = writeln!(
                out,
                ">\n      <{element} message=\"{}\">{}</{element}>\n    </testcase>",
                escaped(first),
                escaped(&lines.join("\n"))
            );
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// For XML: what it cannot hold at all is replaced.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\n' => "&#10;".to_owned(),
            '\t' | '\r' => " ".to_owned(),
            character if (character as u32) < 0x20 || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                "\u{fffd}".to_owned()
            }
            character => character.to_string(),
        })
        .collect()
}

/// As JSON.
#[must_use]
pub fn json(results: &[Tested], seconds: f64) -> Value {
    let shown = |result: &Tested| {
        let mut shown = json!({"file": result.file, "name": result.name, "seconds": result.seconds,
        "lastedSeconds": result.lasted,
        "result": match result.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "failed",
            Verdict::Broken(_) => "broken",
        }});
        match &result.verdict {
            Verdict::Passed => {}
            Verdict::Broken(reason) => shown["reason"] = reason.as_str().into(),
            Verdict::Failed(complaint) => {
                let Complaint { what, difference, state, data_flow } = &**complaint;
                shown["difference"] = json!({"of": what, "path": difference.path, "expected": difference.expected,
                    "got": difference.got});
                shown["state"] = json!(state);
                shown["dataFlow"] = json!(data_flow);
            }
        }
        shown
    };
    let failed = results.iter().filter(|result| !result.passed()).count();
    json!({"passed": results.len() - failed, "failed": failed, "seconds": seconds,
        "tests": results.iter().map(shown).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Difference;

    fn results() -> Vec<Tested> {
        let tested = |name: &str, verdict| Tested {
            file: "a.test.json".to_owned(),
            name: name.to_owned(),
            seconds: 0.25,
            lasted: 600.0,
            verdict,
        };
        let complaint = Complaint {
            what: "output".to_owned(),
            difference: Difference::new("$.a", "<1>", "\"2\""),
            state: Some("S".to_owned()),
            data_flow: vec!["input: {}".to_owned()],
        };
        vec![
            tested("good", Verdict::Passed),
            tested("bad & #1", Verdict::Failed(Box::new(complaint))),
            tested("broken", Verdict::Broken("no".to_owned())),
        ]
    }

    #[test]
    fn text_shows_what_failed_and_the_sum() {
        let text = text(&results(), 1.0, false);
        let wanted = "FAILED  a.test.json: bad & #1 (10.0 min on its clock)\n        output differs at $.a\n          \
                      expected: <1>\n          got:      \"2\"\n        data flow of the state S:\n          input: {}\n\
                      FAILED  a.test.json: broken (10.0 min on its clock)\n        no\n1 passed, 2 failed, in 1.00 s\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn tap_numbers_and_escapes() {
        let tap = tap(&results());
        assert!(tap.starts_with(
            "TAP version 14\n1..3\nok 1 - a.test.json: good\nnot ok 2 - a.test.json: bad & \\#1\n  ---\n"
        ));
    }

    #[test]
    fn junit_escapes_and_counts() {
        let xml = junit(&results());
        assert!(
            xml.contains("<testsuite name=\"a.test.json\" tests=\"3\" failures=\"1\" errors=\"1\" time=\"0.750\">"),
            "{xml}"
        );
        assert!(xml.contains("name=\"bad &amp; #1\"") && xml.contains("expected: &lt;1&gt;&#10;"), "{xml}");
    }
}
