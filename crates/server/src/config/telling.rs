//! Settings of what is told outside: execution logs, status events, and how much of them may wait.

use std::{fmt, path::PathBuf, time::Duration};

use super::settings::{Kind, Setting, not_empty, number, one_of};

/// Where execution logs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// To CloudWatch Logs if the environment names its endpoint, else nowhere.
    Auto,
    /// To CloudWatch Logs, AWS's own if the environment names no other.
    CloudWatch,
    /// To a file.
    File,
    /// To standard output.
    Stdout,
    /// Nowhere.
    None,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// If the environment names an endpoint for it.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "no secret" } else { "a secret" })
    }
}

/// What is told outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Where execution logs go.
    pub logs: LogDestination,
    /// The file, if they go to one.
    pub log_file: PathBuf,
    /// Bytes after which the file is put aside and a new one begun.
    pub log_file_bytes: u64,
    /// Files put aside that are kept.
    pub log_files: usize,
    /// Whether status events go to EventBridge.
    pub eventbridge: When,
    /// The bus there.
    pub bus: String,
    /// Who their source is.
    pub source: String,
    /// The URLs that status events are posted to.
    pub webhooks: Vec<String>,
    /// What the posts are signed with.
    pub webhook_secret: Secret,
    /// How long a post may take.
    pub webhook_time: Duration,
    /// Turns that one sink may be behind.
    pub backlog: usize,
    /// How far behind it may be in time.
    pub backlog_time: Duration,
}

impl Default for Telling {
    fn default() -> Self {
        Self {
            logs: LogDestination::Auto,
            log_file: PathBuf::from("./stepwright-executions.log"),
            log_file_bytes: 100 << 20,
            log_files: 5,
            eventbridge: When::Auto,
            bus: "default".to_owned(),
            source: "aws.states".to_owned(),
            webhooks: Vec::new(),
            webhook_secret: Secret::default(),
            webhook_time: Duration::from_secs(10),
            backlog: 100_000,
            backlog_time: Duration::from_secs(24 * 3_600),
        }
    }
}

/// URLs that status events can be posted to.
const MOST_WEBHOOKS: usize = 8;

pub(super) const LOGS: Setting = Setting {
    key: "execution_logs.destination",
    kind: Kind::Text,
    value_name: "WHERE",
    help: "Where logs of executions go: auto (CloudWatch Logs if AWS_ENDPOINT_URL_LOGS or AWS_ENDPOINT_URL is set), \
           cloudwatch, file, stdout or none",
    default: "auto",
    set: |settings, text| {
        settings.telling.logs = one_of(
            text,
            &[
                ("auto", LogDestination::Auto),
                ("cloudwatch", LogDestination::CloudWatch),
                ("file", LogDestination::File),
                ("stdout", LogDestination::Stdout),
                ("none", LogDestination::None),
            ],
        )?;
        Ok(())
    },
};

pub(super) const LOG_FILE: Setting = Setting {
    key: "execution_logs.file",
    kind: Kind::Text,
    value_name: "FILE",
    help: "The file that logs of executions go to, one JSON object a line",
    default: "./stepwright-executions.log",
    set: |settings, text| {
        settings.telling.log_file = PathBuf::from(not_empty(text)?);
        Ok(())
    },
};

pub(super) const LOG_FILE_BYTES: Setting = Setting {
    key: "execution_logs.file_bytes",
    kind: Kind::Number,
    value_name: "BYTES",
    help: "Bytes after which that file is renamed to FILE.1 and a new one begun",
    default: "104857600",
    set: |settings, text| {
        settings.telling.log_file_bytes = number(text, 1 << 10, 1 << 40)?;
        Ok(())
    },
};

pub(super) const LOG_FILES: Setting = Setting {
    key: "execution_logs.files",
    kind: Kind::Number,
    value_name: "COUNT",
    help: "Renamed files that are kept, FILE.1 being the newest",
    default: "5",
    set: |settings, text| {
        settings.telling.log_files = number(text, 1, 1_000)?;
        Ok(())
    },
};

pub(super) const EVENTBRIDGE: Setting = Setting {
    key: "status_events.eventbridge",
    kind: Kind::Text,
    value_name: "WHEN",
    help: "Whether status events go to EventBridge: auto (if AWS_ENDPOINT_URL_EVENTBRIDGE or AWS_ENDPOINT_URL is set), \
           on or off",
    default: "auto",
    set: |settings, text| {
        settings.telling.eventbridge = one_of(text, &[("auto", When::Auto), ("on", When::On), ("off", When::Off)])?;
        Ok(())
    },
};

pub(super) const BUS: Setting = Setting {
    key: "status_events.bus",
    kind: Kind::Text,
    value_name: "BUS",
    help: "Name or ARN of the event bus",
    default: "default",
    set: |settings, text| {
        not_empty(text)?.clone_into(&mut settings.telling.bus);
        Ok(())
    },
};

pub(super) const SOURCE: Setting = Setting {
    key: "status_events.source",
    kind: Kind::Text,
    value_name: "SOURCE",
    help: "The source of status events; AWS's own EventBridge takes none that begins with aws.",
    default: "aws.states",
    set: |settings, text| {
        not_empty(text)?.clone_into(&mut settings.telling.source);
        Ok(())
    },
};

pub(super) const WEBHOOKS: Setting = Setting {
    key: "status_events.webhooks",
    kind: Kind::Text,
    value_name: "URLS",
    help: "URLs that status events are posted to, signed; several with commas between them",
    default: "",
    set: |settings, text| {
        let urls: Vec<String> = text.split(',').map(str::trim).filter(|url| !url.is_empty()).map(Into::into).collect();
        if urls.len() > MOST_WEBHOOKS {
            return Err(format!("must be {MOST_WEBHOOKS} URLs at most"));
        }
        for url in &urls {
            check_url(url)?;
        }
        settings.telling.webhooks = urls;
        Ok(())
    },
};

pub(super) const WEBHOOK_SECRET: Setting = Setting {
    key: "status_events.webhook_secret",
    kind: Kind::Text,
    value_name: "SECRET",
    help: "What posts to webhooks are signed with; better in the environment or in a file than in a flag",
    default: "",
    set: |settings, text| {
        settings.telling.webhook_secret = Secret(text.to_owned());
        Ok(())
    },
};

pub(super) const WEBHOOK_SECONDS: Setting = Setting {
    key: "status_events.webhook_seconds",
    kind: Kind::Number,
    value_name: "SECONDS",
    help: "How long a post to a webhook may take before it is tried again",
    default: "10",
    set: |settings, text| {
        settings.telling.webhook_time = Duration::from_secs(number(text, 1, 300)?);
        Ok(())
    },
};

pub(super) const BACKLOG: Setting = Setting {
    key: "sinks.backlog",
    kind: Kind::Number,
    value_name: "COUNT",
    help: "Turns of executions that each sink of logs and events may be behind; beyond it the oldest are dropped",
    default: "100000",
    set: |settings, text| {
        settings.telling.backlog = number(text, 1, 10_000_000)?;
        Ok(())
    },
};

pub(super) const BACKLOG_HOURS: Setting = Setting {
    key: "sinks.backlog_hours",
    kind: Kind::Number,
    value_name: "HOURS",
    help: "How long a sink may be behind; older turns are dropped",
    default: "24",
    set: |settings, text| {
        settings.telling.backlog_time = Duration::from_secs(number::<u64>(text, 1, 24 * 365)? * 3_600);
        Ok(())
    },
};

fn check_url(url: &str) -> Result<(), String> {
    let rule = || "must be URLs such as https://example.com/hook".to_owned();
    let uri: hyper::Uri = url.parse().map_err(|_| rule())?;
    let scheme = uri.scheme_str().ok_or_else(rule)?;
    let authority = uri.authority().ok_or_else(rule)?;
    if scheme != "http" && scheme != "https" {
        return Err("must begin with http:// or https://".to_owned());
    }
    if authority.as_str().contains('@') {
        return Err("must not hold a user name or password".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn webhooks_are_a_list_of_urls() {
        #[track_caller]
        fn check(text: &str, expect: Result<&[&str], &str>) {
            let mut settings = Settings::default();
            let found = (WEBHOOKS.set)(&mut settings, text).map(|()| settings.telling.webhooks);
            let expect = expect.map(|urls| urls.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(found, expect.map_err(str::to_owned), "{text}");
        }
        check("", Ok(&[]));
        check("https://a.example/x?y=1, http://127.0.0.1:9/", Ok(&["https://a.example/x?y=1", "http://127.0.0.1:9/"]));
        check("ftp://a.example/", Err("must begin with http:// or https://"));
        check("https://me:pass@a.example/", Err("must not hold a user name or password"));
        check("a.example", Err("must be URLs such as https://example.com/hook"));
        check(&["http://a/"; 9].join(","), Err("must be 8 URLs at most"));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let mut settings = Settings::default();
        (WEBHOOK_SECRET.set)(&mut settings, "swordfish").expect("any text");
        assert!(!format!("{settings:?}").contains("swordfish"));
    }
}
