//! What the reader of a Map's items found, as items: JSON, JSON lines and CSV. A manifest and a Parquet table lead to
//! other files, which nobody gives.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value};
use stepwright_asl::{InputType, ItemReader};

/// The items, and the text of what `ItemsPointer` selected.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    /// An array, or an object whose members are the items.
    pub(super) items: Value,
    pub(super) pointed: Option<Arc<str>>,
}

/// Takes the data apart. None: what was found are not yet the items.
///
/// # Errors
/// Why the reader fails.
pub(super) fn read(reader: &ItemReader, data: &str) -> Result<Option<Read>, String> {
    match reader.input_type {
        Some(InputType::Manifest | InputType::Parquet) => Ok(None),
        Some(InputType::Csv) => csv(reader, data).map(|items| Some(Read { items: items.into(), pointed: None })),
        Some(InputType::JsonLines) => {
            let lines = data.lines().filter(|line| !line.trim().is_empty());
            let items: Result<Vec<Value>, _> = lines.map(serde_json::from_str).collect();
            let items = items.map_err(|error| format!("Attempting to read a line that is no JSON: {error}"))?;
            Ok(Some(Read { items: items.into(), pointed: None }))
        }
        Some(InputType::Json) | None => json(reader, data).map(Some),
    }
}

fn json(reader: &ItemReader, data: &str) -> Result<Read, String> {
    let root: Value =
        serde_json::from_str(data).map_err(|error| format!("Attempting to read a file that is no JSON: {error}"))?;
    let (found, pointed) = match &reader.items_pointer {
        None => (root, None),
        Some(pointer) => {
            let found = root.pointer(pointer).cloned();
            let found = found.ok_or_else(|| format!("The ItemsPointer '{pointer}' selects nothing."))?;
            let text = found.to_string().into();
            (found, Some(text))
        }
    };
    match found {
        Value::Array(_) | Value::Object(_) => Ok(Read { items: found, pointed }),
        _ => Err("Attempting to map over non-iterable node.".into()),
    }
}

/// A row becomes an object, all of whose values are texts.
fn csv(reader: &ItemReader, data: &str) -> Result<Vec<Value>, String> {
    let mut rows = rows(data, reader.csv_delimiter.unwrap_or(',')).into_iter();
    let headers: Vec<Arc<str>> = match &reader.csv_headers {
        Some(given) => given.clone(),
        None => rows.next().unwrap_or_default().into_iter().map(Arc::from).collect(),
    };
    if headers.iter().collect::<HashSet<_>>().len() < headers.len() {
        return Err("CSV headers cannot contain duplicates.".into());
    }
    let item = |row: Vec<String>| {
        let mut values = row.into_iter();
        // What a row has too much is dropped; what it lacks is empty.
        let members = headers.iter().map(|header| {
            let value = values.next().unwrap_or_default();
            (header.to_string(), Value::String(value))
        });
        Value::Object(members.collect::<Map<_, _>>())
    };
    Ok(rows.map(item).collect())
}

/// The rows of a table by RFC 4180: a value may stand in quotes, and a quote in them is doubled.
fn rows(data: &str, delimiter: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut value) = (Vec::new(), Vec::new(), String::new());
    let mut characters = data.chars().peekable();
    let (mut quoted, mut begun) = (false, false);
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                value.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if value.is_empty() => (quoted, begun) = (true, true),
            _ if quoted => value.push(character),
            _ if character == delimiter => {
                row.push(std::mem::take(&mut value));
                begun = true;
            }
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => {
                row.push(std::mem::take(&mut value));
                rows.push(std::mem::take(&mut row));
                begun = false;
            }
            _ => value.push(character),
        }
    }
    // A final end of line makes no row.
    if begun || !value.is_empty() || !row.is_empty() {
        row.push(value);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stepwright_asl::{InputType, ItemReader};

    use super::{Read, read};

    #[track_caller]
    fn reads(reader: &ItemReader, data: &str, items: &serde_json::Value) {
        let read = read(reader, data).expect("can be read").expect("are items");
        assert_eq!(read.items, *items);
    }

    #[test]
    fn json_and_its_pointer() {
        let mut reader = ItemReader { input_type: Some(InputType::Json), ..ItemReader::default() };
        reads(&reader, "[1, {\"a\": 2}]", &json!([1, {"a": 2}]));
        reads(&reader, "{\"a\": 1, \"b\": [2]}", &json!({"a": 1, "b": [2]}));
        assert_eq!(read(&reader, "1"), Err("Attempting to map over non-iterable node.".into()));
        assert!(read(&reader, "[").is_err());
        reader.items_pointer = Some("/data/rows".into());
        let found = read(&reader, "{\"data\": {\"rows\": [1, 2]}}");
        let expected = Read { items: json!([1, 2]), pointed: Some("[1,2]".into()) };
        assert_eq!(found, Ok(Some(expected)));
        assert!(read(&reader, "{\"data\": 1}").is_err());
    }

    #[test]
    fn lines_and_what_leads_elsewhere() {
        let reader = ItemReader { input_type: Some(InputType::JsonLines), ..ItemReader::default() };
        reads(&reader, "{\"a\": 1}\n\n2\n", &json!([{"a": 1}, 2]));
        assert!(read(&reader, "{").is_err());
        let reader = ItemReader { input_type: Some(InputType::Manifest), ..ItemReader::default() };
        assert_eq!(read(&reader, "{}"), Ok(None));
    }

    #[test]
    fn rows_of_a_table() {
        let mut reader = ItemReader { input_type: Some(InputType::Csv), ..ItemReader::default() };
        reads(
            &reader,
            "a,b\r\n1,\"x, \"\"y\"\"\"\n   \n1,2,3\n,",
            &json!([{"a": "1", "b": "x, \"y\""}, {"a": "   ", "b": ""}, {"a": "1", "b": "2"}, {"a": "", "b": ""}]),
        );
        assert_eq!(read(&reader, "a,a\n"), Err("CSV headers cannot contain duplicates.".into()));
        reader.csv_headers = Some(vec!["x".into(), "y".into()]);
        reader.csv_delimiter = Some('|');
        reads(&reader, "1|2\n", &json!([{"x": "1", "y": "2"}]));
    }
}
