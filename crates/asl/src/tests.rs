use super::*;

#[test]
fn smallest() {
    let parsed = parse(r#"{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}"#, &Options::default());
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    assert_eq!(parsed.definition.unwrap().states.len(), 1);
}
