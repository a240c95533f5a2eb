//! Configuration: flags before environment before file before defaults.
//!
//! The environment is handed in, so that what a setting becomes depends on arguments alone. An error names the
//! setting, its value, where that came from, and the rule.

mod datasets;
mod dev;
mod file;
mod functions;
mod quotas;
mod settings;
mod tasks;
mod telling;

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

pub use dev::DevSettings;
pub use functions::FunctionSettings;
pub use settings::{Durability, HttpLimits, Kind, LogFormat, SETTINGS, Setting, Settings};
pub use tasks::{NamedLimits, OnLost, Tasks};
pub use telling::{LogDestination, Secret, Telling, When};

use crate::excerpt::nearest;

/// The file that is read when it exists and no other is named.
pub const DEFAULT_FILE: &str = "stepwright.toml";

/// Variables beginning with `STEPWRIGHT_` that are no settings.
const OTHER_VARIABLES: &[&str] = &["STEPWRIGHT_CONFIG", "STEPWRIGHT_ENDPOINT"];

/// A mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where in a file, shown.
    pub excerpt: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Where the configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The settings in force.
    pub settings: Settings,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// What should be said once logging works.
    pub warnings: Vec<String>,
}

/// Joins all sources.
///
/// `flags` are pairs of a setting's key and the text given; `environment` is the process's; `named_file` is the
/// value of `--config`.
///
/// # Errors
/// The first mistake found: in the file, in the environment, in the flags.
pub fn resolve(
    flags: &[(&'static Setting, String)],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    named_file: Option<&Path>,
) -> Result<Configuration, ConfigError> {
    let environment: Vec<(String, String)> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let variable = |name: &str| {
        environment.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    };
    let mut settings = Settings::default();

    for name in ["AWS_DEFAULT_REGION", "AWS_REGION"] {
        // Named by the user for AWS's own tools: the least of our sources, above the default alone.
        if let (Some(text), Some(setting)) = (variable(name), Setting::of_key("region")) {
            (setting.set)(&mut settings, text)
                .map_err(|rule| refused(&format!("environment variable {name}"), text, &rule))?;
        }
    }

    if let (Some(text), Some(setting)) = (variable("SFN_MOCK_CONFIG"), Setting::of_key("mock_config")) {
        // What Step Functions Local reads, as little ours as the region.
        (setting.set)(&mut settings, text)
            .map_err(|rule| refused("environment variable SFN_MOCK_CONFIG", text, &rule))?;
    }

    let file = match named_file.map(Path::to_path_buf).or_else(|| variable("STEPWRIGHT_CONFIG").map(PathBuf::from)) {
        Some(named) => Some(named),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|default| default.exists()),
    };
    if let Some(path) = &file {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            message: format!("the configuration file {name} cannot be read: {error}"),
            excerpt: None,
        })?;
        for value in file::read(&name, &text)? {
            (value.setting.set)(&mut settings, &value.text).map_err(|rule| value.refused(&name, &text, &rule))?;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        settings.functions.folder = folder.unwrap_or(Path::new(".")).to_path_buf();
    }

    for setting in SETTINGS {
        let name = setting.variable();
        if let Some(text) = variable(&name) {
            (setting.set)(&mut settings, text)
                .map_err(|rule| refused(&format!("environment variable {name}"), text, &rule))?;
        }
    }
    for (setting, text) in flags {
        (setting.set)(&mut settings, text).map_err(|rule| refused(&format!("--{}", setting.flag()), text, &rule))?;
    }
    let mut warnings: Vec<String> = environment.iter().filter_map(|(name, _)| unknown_variable(name)).collect();
    warnings.extend(quotas::apply_parity(&mut settings));
    Ok(Configuration { settings, file, warnings })
}

fn refused(source: &str, text: &str, rule: &str) -> ConfigError {
    ConfigError { message: format!("{source}: {text:?} {rule}"), excerpt: None }
}

/// A variable that looks like ours and is none: a warning, for other programs may use the prefix.
fn unknown_variable(name: &str) -> Option<String> {
    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let mut names = known.iter().map(String::as_str).chain(OTHER_VARIABLES.iter().copied());
    if !name.starts_with("STEPWRIGHT_") || names.clone().any(|known| known == name) {
        return None;
    }
    let near = nearest(name, &mut names).map(|near| format!("; the nearest is {near}")).unwrap_or_default();
    Some(format!("the environment variable {name} is no setting and is ignored{near}"))
}
