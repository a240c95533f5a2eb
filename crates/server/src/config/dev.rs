//! Settings of `stepwright dev`: values for what templates and definitions leave open.

use std::collections::BTreeMap;

use serde_json::Value;

use super::settings::{Kind, Setting};

/// What is known of a project besides its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DevSettings {
    /// Parameters of templates, and options of Serverless.
    pub parameters: BTreeMap<String, String>,
    /// Values for `${Name}` in plain definitions.
    pub substitutions: BTreeMap<String, String>,
    /// Programs that run beside the server, with their arguments.
    pub workers: BTreeMap<String, Vec<String>>,
}

pub(super) const PARAMETERS: Setting = Setting {
    key: "dev.parameters",
    kind: Kind::Tree,
    value_name: "JSON",
    help: "For stepwright dev: values of templates' parameters, a table in the file: [dev.parameters] with NAME = \"value\"",
    default: "",
    set: |settings, text| {
        settings.dev.parameters = texts(text)?;
        Ok(())
    },
};

pub(super) const SUBSTITUTIONS: Setting = Setting {
    key: "dev.substitutions",
    kind: Kind::Tree,
    value_name: "JSON",
    help: "For stepwright dev: what stands for ${NAME} in plain definitions, a table in the file: [dev.substitutions]",
    default: "",
    set: |settings, text| {
        settings.dev.substitutions = texts(text)?;
        Ok(())
    },
};

pub(super) const WORKERS: Setting = Setting {
    key: "dev.workers",
    kind: Kind::Tree,
    value_name: "JSON",
    help: "For stepwright dev: activity workers that run beside the server, a table in the file: [dev.workers] with NAME = \
           [\"python3\", \"workers.py\"]",
    default: "",
    set: |settings, text| {
        let rule = "must be an object of commands, such as {\"shop\": [\"python3\", \"workers.py\"]}";
        let workers: BTreeMap<String, Vec<String>> = match text {
            "" => BTreeMap::new(),
            text => serde_json::from_str(text).map_err(|_| rule.to_owned())?,
        };
        if let Some((name, _)) = workers.iter().find(|(_, command)| command.first().is_none_or(String::is_empty)) {
            return Err(format!("{rule}; {name:?} has no program"));
        }
        settings.dev.workers = workers;
        Ok(())
    },
};

/// An object of texts; numbers and booleans are texts too.
fn texts(text: &str) -> Result<BTreeMap<String, String>, String> {
    let rule = || "must be an object of texts, such as {\"Stage\": \"dev\"}".to_owned();
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return Err(rule()) };
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
        _ => Err(rule()),
    };
    members.into_iter().map(text).collect()
}
