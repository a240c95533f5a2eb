//! Settings of functions that run here: what they are, and the folder they are in.

use std::path::PathBuf;

use stepwright_functions::Definitions;

use super::settings::{Kind, Setting};

/// Functions that run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSettings {
    /// Which there are.
    pub definitions: Definitions,
    /// The folder that they are in: that of the configuration file, else the one that the server was started in.
    pub folder: PathBuf,
    /// The program that ends them if the server is killed: our own binary. None: nobody does.
    pub guard: Option<PathBuf>,
}

impl Default for FunctionSettings {
    fn default() -> Self {
        Self { definitions: Definitions::new(), folder: PathBuf::from("."), guard: None }
    }
}

pub(super) const FUNCTIONS: Setting = Setting {
    key: "functions",
    kind: Kind::Tree,
    value_name: "JSON",
    help: "Lambda functions that run here, a table each in the file: [functions.NAME] with command, python, node or url",
    default: "",
    set: |settings, text| {
        let functions = match text {
            "" => serde_json::json!({}),
            text => serde_json::from_str(text).map_err(|error| {
                format!("must be JSON such as {{\"charge\": {{\"python\": \"handlers.charge\"}}}}: {error}")
            })?,
        };
        settings.functions.definitions =
            stepwright_functions::read(&functions).map_err(|invalid| invalid.to_string())?;
        Ok(())
    },
};
