//! The parser of definitions. A definition or errors, never both, never neither, and everything within bounds.

use stepwright_asl::{
    Definition, MachineType, Options, Severity, advice::advise, invalid_definition_message, json, lint::lint, parse,
    variable_references,
};
use stepwright_graph::{
    Graph,
    layout::{Rect, layout},
};

pub(crate) const PIECES: &[&str] = &[
    "null",
    "true",
    "-1",
    "1e400",
    "\"\"",
    "\"$\"",
    "\"$.a[*]\"",
    "\"$$\"",
    "\"{% x\"",
    "{}",
    "[]",
    "[1]",
    "{\"a\":{}}",
    "\"States\"",
    "\"Next\"",
    "\"End\"",
    "\"Type\"",
    "\"Map\"",
    "\"Parallel\"",
    "\"Choice\"",
    "\"Iterator\"",
    "\"StartAt\"",
    "\"Assign\"",
    "\"QueryLanguage\"",
    "\"JSONata\"",
    "\"Not\"",
    "\"\\ud800\"",
    "\u{e9}",
    ",",
    ":",
    "}",
    "]",
    "{",
    "\"A\"",
    "\"Retry\"",
    "\"Catch\"",
    "\"ItemProcessor\"",
    "\"Branches\"",
    "\"Choices\"",
    "\"Parameters\"",
    "\"ResultPath\"",
    "\"Wait\"",
    "\"Seconds\"",
    "\"Timestamp\"",
];

/// Most of a definition that is fed: what a mistake in it costs is not worth more time.
const MAX_BYTES: usize = 64 * 1024;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(&bytes[..bytes.len().min(MAX_BYTES)]) else { return };
    for machine_type in [MachineType::Express, MachineType::Standard] {
        let options = Options { machine_type, ..Options::default() };
        let parsed = parse(text, &options);
        let errors = parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
        assert_eq!(parsed.definition.is_none(), errors > 0, "a definition, or errors");
        for span in parsed.diagnostics.iter().filter_map(|found| found.span) {
            assert!(text.get(span.start..span.end).is_some() && span.line > 0 && span.column > 0, "{span:?}");
        }
        assert!(parsed.diagnostics.len() <= 1_000, "{} diagnostics", parsed.diagnostics.len());
        let told = invalid_definition_message(&parsed.diagnostics);
        assert!(told.len() <= 4 << 20, "{} bytes of diagnostics", told.len());
        let advice = advise(text, &options, &parsed.diagnostics);
        assert_eq!(advice.len(), parsed.diagnostics.len(), "advice on each");
        for advice in &advice {
            let within = advice.span.is_none_or(|span| text.get(span.start..span.end).is_some());
            assert!(within && !advice.help.is_empty(), "{advice:?}");
        }
        if let Some(definition) = &parsed.definition {
            sound(definition);
            drawn(definition);
            // What is accepted is JSON to everybody else as well.
            let value: Result<serde_json::Value, _> = serde_json::from_str(text);
            assert!(value.is_ok_and(|value| value.is_object()), "a definition that is no JSON object");
        }
        let findings = lint(text, &options, Some(0));
        assert!(findings.is_empty() || parsed.definition.is_some(), "advice on what is wrong");
        assert!(findings.len() <= 1_000, "{} findings", findings.len());
        for span in findings.iter().map(|finding| finding.span) {
            assert!(text.get(span.start..span.end).is_some() && span.line > 0 && span.column > 0, "{span:?}");
        }
        let again = parse(text, &options);
        assert_eq!(again.diagnostics, parsed.diagnostics, "the same text, the same diagnostics");
    }
    if let Err(error) = json::parse(text, 100) {
        assert!(text.get(error.offset..).is_some(), "{error:?}");
    }
}

/// Every state has one box in a picture, which is as wide and high as what it holds.
fn drawn(definition: &Definition) {
    let layout = layout(&Graph::of(definition));
    assert_eq!(layout.states.len(), definition.states.len(), "boxes");
    let whole = Rect { x: 0.0, y: 0.0, width: layout.width, height: layout.height };
    assert!(layout.states.iter().all(|state| whole.contains(&state.rect)), "a box outside of the picture");
}

/// Every number in a definition is the number of something.
fn sound(definition: &Definition) {
    assert!(definition.states.iter().enumerate().all(|(index, state)| state.id.0 as usize == index));
    for (index, flow) in definition.flows.iter().enumerate() {
        assert_eq!(definition.state(flow.start_at).flow.0 as usize, index);
        assert_eq!(flow.owner.is_none(), index == 0);
    }
    assert!(definition.states.iter().all(|state| (state.flow.0 as usize) < definition.flows.len()));
    assert!(variable_references(definition).len() <= definition.states.len());
}
