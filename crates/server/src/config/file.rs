//! The configuration file: TOML whose keys are those of the table of settings.
//!
//! Every mistake names file, key and line, and unknown keys the nearest known one. This module must never give a key a
//! meaning; it hands on texts.

use std::ops::Range;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::{
    ConfigError,
    settings::{Kind, SETTINGS, Setting},
};
use crate::excerpt::{excerpt, nearest};

/// A value of the file, as text, with where it stands.
#[derive(Debug)]
pub(super) struct FileValue {
    pub(super) setting: &'static Setting,
    pub(super) text: String,
    pub(super) span: Range<usize>,
    /// Where the keys below it stand, if it is a tree.
    places: Vec<(String, Range<usize>)>,
}

impl FileValue {
    /// The error of a value that breaks a rule. That of a tree names the key in backticks.
    pub(super) fn refused(&self, file: &str, text: &str, rule: &str) -> ConfigError {
        if self.setting.kind != Kind::Tree {
            return ConfigError {
                message: format!("`{}` in {file}: {:?} {rule}", self.setting.key, self.text),
                excerpt: Some(excerpt(file, text, &self.span, None)),
            };
        }
        let named = self.places.iter().find(|(key, _)| rule.contains(&format!("`{key}`")));
        let span = named.map_or(&self.span, |(_, span)| span);
        ConfigError { message: format!("{file}: {rule}"), excerpt: Some(excerpt(file, text, span, None)) }
    }
}

/// Reads the text of a configuration file.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<FileValue>, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        ConfigError {
            message: format!("{file} is not TOML: {}", error.message()),
            excerpt: Some(excerpt(file, text, &span, None)),
        }
    })?;
    let mut values = Vec::new();
    collect(file, text, "", table.get_ref(), &mut values)?;
    Ok(values)
}

fn collect(
    file: &str,
    text: &str,
    prefix: &str,
    table: &DeTable<'_>,
    values: &mut Vec<FileValue>,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        let section = format!("{key}.");
        if let Some(setting) = Setting::of_key(&key) {
            let found = scalar(value.get_ref(), setting.kind).map_err(|wanted| ConfigError {
                message: format!("the key `{key}` in {file} must be {wanted}, but is {}", named(value.get_ref())),
                excerpt: Some(excerpt(file, text, &value.span(), None)),
            })?;
            let mut places = Vec::new();
            if setting.kind == Kind::Tree {
                places_of(&key, value.get_ref(), &mut places);
            }
            values.push(FileValue { setting, text: found, span: value.span(), places });
        } else if SETTINGS.iter().any(|setting| setting.key.starts_with(&section)) {
            let Some(table) = value.get_ref().as_table() else {
                return Err(ConfigError {
                    message: format!("`{key}` in {file} must be a table, but is {}", named(value.get_ref())),
                    excerpt: Some(excerpt(
                        file,
                        text,
                        &value.span(),
                        Some(&format!("write [{key}] on a line of its own")),
                    )),
                });
            };
            collect(file, text, &section, table, values)?;
        } else {
            return Err(unknown_key(file, text, &key, &name.span()));
        }
    }
    Ok(())
}

fn unknown_key(file: &str, text: &str, key: &str, span: &Range<usize>) -> ConfigError {
    let last = key.rsplit('.').next().unwrap_or(key);
    // The whole key may be misspelled, or right but in the wrong table.
    let misplaced = || SETTINGS.iter().map(|setting| setting.key).find(|known| known.rsplit('.').next() == Some(last));
    let sections = || SETTINGS.iter().filter_map(|setting| setting.key.split_once('.')).map(|(section, _)| section);
    let near = nearest(key, SETTINGS.iter().map(|setting| setting.key))
        .or_else(misplaced)
        .or_else(|| nearest(key, sections()));
    let help = match near {
        Some(near) => format!("the nearest key is `{near}`"),
        None => "`stepwright serve --help` lists the keys".to_owned(),
    };
    ConfigError {
        message: format!("unknown key `{key}` in {file}"),
        excerpt: Some(excerpt(file, text, span, Some(&help))),
    }
}

fn scalar(value: &DeValue<'_>, kind: Kind) -> Result<String, &'static str> {
    match kind {
        Kind::Text => value.as_str().map(ToOwned::to_owned).ok_or("a string"),
        Kind::Switch => value.as_bool().map(|switch| switch.to_string()).ok_or("true or false"),
        Kind::Number => value
            .as_integer()
            .and_then(|integer| i128::from_str_radix(integer.as_str(), integer.radix()).ok())
            .map(|number| number.to_string())
            .ok_or("a whole number"),
        Kind::Table => match value.as_table() {
            Some(tables) => named_tables(tables).ok_or("a table of tables of whole numbers"),
            None => value.as_str().map(ToOwned::to_owned).ok_or("a string or a table"),
        },
        Kind::Tree => match value {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Table(_) => json(value).map(|json| json.to_string()).ok_or("a table without dates"),
            _ => Err("a string or a table"),
        },
    }
}

/// Where each key stands.
fn places_of(prefix: &str, value: &DeValue<'_>, places: &mut Vec<(String, Range<usize>)>) {
    for (name, value) in value.as_table().into_iter().flatten() {
        let key = format!("{prefix}.{}", name.get_ref());
        places_of(&key, value.get_ref(), places);
        // A table's own place is its name: what is wrong with all of it is shown there.
        let span = if value.get_ref().as_table().is_some() { name.span() } else { value.span() };
        places.push((key, span));
    }
}

/// A value as JSON; none: it has no such form.
fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok()?.into(),
        DeValue::Boolean(switch) => (*switch).into(),
        DeValue::Datetime(_) => return None,
        DeValue::Array(values) => values.iter().map(|value| json(value.get_ref())).collect::<Option<Value>>()?,
        DeValue::Table(members) => {
            let members =
                members.iter().map(|(name, value)| Some((name.get_ref().to_string(), json(value.get_ref())?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

/// Tables by name as the text that a flag has for them.
fn named_tables(tables: &DeTable<'_>) -> Option<String> {
    let mut text = String::new();
    for (name, table) in tables {
        text.push_str(name.get_ref());
        for (key, value) in table.get_ref().as_table()? {
            let value = scalar(value.get_ref(), Kind::Number).ok()?;
            text.push_str(&format!(" {}={value}", key.get_ref()));
        }
        text.push_str("; ");
    }
    Some(text)
}

fn named(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
