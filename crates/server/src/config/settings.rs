//! The table of settings: every one has one key, from which its flag and its environment variable follow.
//!
//! A new setting is one entry here and one field; flags, variables, file keys, `--help` and error texts come from the
//! table. This module must never look at flags, environment or files itself.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::LazyLock,
    time::Duration,
};

use stepwright_engine::ClockMode;
use stepwright_integrations::datasets::DatasetOptions;

use super::{
    datasets,
    dev::{self, DevSettings},
    functions::{self, FunctionSettings},
    quotas,
    tasks::{self, Tasks},
    telling::{self, Telling},
};

/// When a request counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk.
    Full,
    /// When it is written; a power cut may lose the last moments.
    Relaxed,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything `stepwright serve` can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where state machines and executions are kept.
    pub data_directory: PathBuf,
    /// Keep everything in memory and nothing on disk.
    pub in_memory: bool,
    /// Where the API is served. Always a loopback address.
    pub listen: SocketAddr,
    /// The account of requests whose access key is not twelve digits.
    pub account: String,
    /// The region of requests without a credential scope.
    pub region: String,
    /// When a request counts as done.
    pub durability: Durability,
    /// How time goes.
    pub clock: ClockMode,
    /// The file of mocked answers, in the form of Step Functions Local.
    pub mock_config: Option<PathBuf>,
    /// How long closed executions are kept, in days. 0: for ever.
    pub retention_days: u32,
    /// The same in seconds, names included. 0: the days count.
    pub retention_seconds: u32,
    /// How long a shutdown waits for requests under way.
    pub shutdown_grace: Duration,
    /// History events of an execution at most. 0: no limit.
    pub history_events: u64,
    /// Bytes of an input, output or result at most. 0: no limit.
    pub payload_bytes: u64,
    /// Iterations of an inline Map in flight at most. 0: no limit.
    pub inline_map_concurrency: u64,
    /// Steps that the JSONata of one field may take.
    pub evaluation_steps: u64,
    /// Bytes that one JSONata expression may allocate in all.
    pub evaluation_bytes: u64,
    /// Open executions of an account in a region at most. 0: no limit.
    pub open_executions: u64,
    /// How long an execution may be open, in days. 0: no limit.
    pub open_days: u32,
    /// Whether AWS's quotas are rehearsed.
    pub aws_quotas: bool,
    /// Whether every limit is AWS's.
    pub aws_parity: bool,
    /// What calls of services may take.
    pub tasks: Tasks,
    /// Express executions open at once.
    pub express_executions: usize,
    /// Approximate bytes of memory that open Express executions may hold when another is started.
    pub express_memory_bytes: usize,
    /// How long an Express execution may last, in seconds.
    pub express_seconds: u64,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
    /// What the datasets of distributed Maps may be.
    pub datasets: DatasetOptions,
    /// Functions that run here.
    pub functions: FunctionSettings,
    /// What `stepwright dev` is told of projects.
    pub dev: DevSettings,
    /// What is told outside.
    pub telling: Telling,
    /// What clients may take of the server.
    pub http: HttpLimits,
}

/// What clients may take of the server: beyond it they get an answer that names the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections open at once.
    pub connections: usize,
    /// Requests being answered at once, long polls apart.
    pub requests: usize,
    /// Bytes of request bodies and of long answers in memory at once.
    pub buffered_bytes: usize,
    /// Bytes of the head of a request: its first line and its headers.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// How long the head of a request may take.
    pub header_time: Duration,
    /// Bytes of the body of a request.
    pub body_bytes: usize,
    /// How long the body of a request may take.
    pub body_time: Duration,
    /// How long a client may take nothing of an answer.
    pub reply_time: Duration,
    /// How long a connection may be kept open between two requests.
    pub idle_time: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            requests: 4_096,
            buffered_bytes: 256 << 20,
            // SigV4 with a session token needs about 4 KiB.
            header_bytes: 16 << 10,
            headers: 100,
            header_time: Duration::from_secs(30),
            // AWS takes 1 MiB; the largest legal request is a definition of 1,048,576 characters, each of up to four
            // bytes, so this is a little under what could be legal there and far over what is.
            body_bytes: 4 << 20,
            body_time: Duration::from_secs(60),
            reply_time: Duration::from_secs(60),
            // Longer than clients keep idle connections, so that it is they who close.
            idle_time: Duration::from_secs(600),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_directory: PathBuf::from("./stepwright-data"),
            in_memory: false,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8083),
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            durability: Durability::Full,
            clock: ClockMode::Real,
            mock_config: None,
            retention_days: 90,
            retention_seconds: 0,
            shutdown_grace: Duration::from_secs(20),
            history_events: 25_000,
            payload_bytes: 262_144,
            inline_map_concurrency: 40,
            evaluation_steps: 10_000_000,
            evaluation_bytes: 256 * 1024 * 1024,
            open_executions: 0,
            open_days: 365,
            aws_quotas: false,
            aws_parity: false,
            tasks: Tasks::default(),
            express_executions: 10_000,
            express_memory_bytes: 512 << 20,
            express_seconds: 300,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            datasets: DatasetOptions::default(),
            functions: FunctionSettings::default(),
            dev: DevSettings::default(),
            telling: Telling::default(),
            http: HttpLimits::default(),
        }
    }
}

/// What a file may hold for a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// An integer.
    Number,
    /// `true` or `false`.
    Switch,
    /// A table of tables of integers, or a string: `NAME key=value key=value; NAME …`.
    Table,
    /// A table of anything, or a string that is JSON.
    Tree,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The key in the file, `limits.history_events`.
    pub key: &'static str,
    /// What a file holds for it.
    pub kind: Kind,
    /// What stands for the value in `--help`.
    pub value_name: &'static str,
    /// One line of help, without a full stop.
    pub help: &'static str,
    /// The default as shown in `--help`.
    pub default: &'static str,
    /// Sets it from text. The error is the rule the value breaks.
    pub set: fn(&mut Settings, &str) -> Result<(), String>,
}

impl Setting {
    /// The flag without its dashes, `limits-history-events`.
    #[must_use]
    pub fn flag(&'static self) -> &'static str {
        static FLAGS: LazyLock<Vec<String>> =
            LazyLock::new(|| SETTINGS.iter().map(|setting| setting.key.replace(['.', '_'], "-")).collect());
        let position = SETTINGS.iter().position(|setting| setting.key == self.key);
        position.map_or(self.key, |position| &FLAGS[position])
    }

    /// The environment variable, `STEPWRIGHT_LIMITS_HISTORY_EVENTS`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("STEPWRIGHT_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The setting with this key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

/// All settings, in the order of `--help`.
pub static SETTINGS: &[Setting] = &[
    Setting {
        key: "data_directory",
        kind: Kind::Text,
        value_name: "DIR",
        help: "Where state machines, executions and histories are kept; created if missing",
        default: "./stepwright-data",
        set: |settings, text| {
            settings.data_directory = PathBuf::from(not_empty(text)?);
            Ok(())
        },
    },
    Setting {
        key: "in_memory",
        kind: Kind::Switch,
        value_name: "BOOL",
        help: "Keep everything in memory: nothing is written to disk, nothing survives a restart",
        default: "false",
        set: |settings, text| {
            settings.in_memory = one_of(text, &[("true", true), ("false", false)])?;
            Ok(())
        },
    },
    Setting {
        key: "listen",
        kind: Kind::Text,
        value_name: "ADDRESS",
        help: "Where the API is served, a loopback address with a port (0: any free one)",
        default: "127.0.0.1:8083",
        set: |settings, text| {
            settings.listen = loopback(text)?;
            Ok(())
        },
    },
    Setting {
        key: "account",
        kind: Kind::Text,
        value_name: "ID",
        help: "Account of requests whose access key id is not an account of twelve digits",
        default: "000000000000",
        set: |settings, text| {
            if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("must be an AWS account id: twelve digits".to_owned());
            }
            text.clone_into(&mut settings.account);
            Ok(())
        },
    },
    Setting {
        key: "region",
        kind: Kind::Text,
        value_name: "REGION",
        help: "Region of requests that are not signed for one [also env: AWS_REGION, AWS_DEFAULT_REGION]",
        default: "us-east-1",
        set: |settings, text| {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if text.is_empty() || text.len() > 40 || !text.bytes().all(fits) {
                return Err("must be a region such as us-east-1: lower-case letters, digits and dashes".to_owned());
            }
            text.clone_into(&mut settings.region);
            Ok(())
        },
    },
    Setting {
        key: "durability",
        kind: Kind::Text,
        value_name: "MODE",
        help: "full: a request is answered when it is on the disk; relaxed: a power cut may lose the last moments",
        default: "full",
        set: |settings, text| {
            settings.durability = one_of(text, &[("full", Durability::Full), ("relaxed", Durability::Relaxed)])?;
            Ok(())
        },
    },
    Setting {
        key: "clock",
        kind: Kind::Text,
        value_name: "MODE",
        help: "real: time runs; skip: it jumps to the next timer when nothing else can happen; frozen: it stands still",
        default: "real",
        set: |settings, text| {
            let modes = [ClockMode::Real, ClockMode::Skip, ClockMode::Frozen].map(|mode| (mode.as_str(), mode));
            settings.clock = one_of(text, &modes)?;
            Ok(())
        },
    },
    Setting {
        key: "mock_config",
        kind: Kind::Text,
        value_name: "FILE",
        help: "Mocked answers for executions started with #TestCase, as in Step Functions Local \
               [also env: SFN_MOCK_CONFIG]",
        default: "none",
        set: |settings, text| {
            settings.mock_config = (text != "none").then(|| not_empty(text).map(PathBuf::from)).transpose()?;
            Ok(())
        },
    },
    Setting {
        key: "retention_days",
        kind: Kind::Number,
        value_name: "DAYS",
        help: "How long closed executions are kept (0: for ever)",
        default: "90",
        set: |settings, text| {
            settings.retention_days = number(text, 0, 36_500)?;
            Ok(())
        },
    },
    Setting {
        key: "retention_seconds",
        kind: Kind::Number,
        value_name: "SECONDS",
        help: "For tests: closed executions are kept so long, and so are their names (0: retention_days counts)",
        default: "0",
        set: |settings, text| {
            settings.retention_seconds = number(text, 0, 86_400)?;
            Ok(())
        },
    },
    Setting {
        key: "limits.history_events",
        kind: Kind::Number,
        value_name: "COUNT",
        help: "History events of an execution at most; the last is ExecutionFailed (0: no limit, which AWS has not)",
        default: "25000",
        set: |settings, text| {
            settings.history_events = number(text, 0, u64::MAX)?;
            if (1..10).contains(&settings.history_events) {
                return Err("must be 0 (no limit) or at least 10".to_owned());
            }
            Ok(())
        },
    },
    Setting {
        key: "limits.payload_bytes",
        kind: Kind::Number,
        value_name: "BYTES",
        help: "Bytes of an input, output or result inside an execution at most (0: no limit, which AWS has not)",
        default: "262144",
        set: |settings, text| {
            settings.payload_bytes = number(text, 0, 16 * 1024 * 1024)?;
            Ok(())
        },
    },
    Setting {
        key: "limits.inline_map_concurrency",
        kind: Kind::Number,
        value_name: "COUNT",
        help: "Iterations of an inline Map in flight at most (0: no limit, which AWS has not)",
        default: "40",
        set: |settings, text| {
            settings.inline_map_concurrency = number(text, 0, u64::MAX)?;
            Ok(())
        },
    },
    Setting {
        key: "limits.evaluation_steps",
        kind: Kind::Number,
        value_name: "COUNT",
        help: "Steps that the JSONata of one field may take; ten million are a second at worst",
        default: "10000000",
        set: |settings, text| {
            settings.evaluation_steps = number(text, 1_000, 10_000_000_000)?;
            Ok(())
        },
    },
    Setting {
        key: "limits.evaluation_bytes",
        kind: Kind::Number,
        value_name: "BYTES",
        help: "Bytes that one JSONata expression may allocate in all",
        default: "268435456",
        set: |settings, text| {
            settings.evaluation_bytes = number(text, 1024 * 1024, 16 * 1024 * 1024 * 1024)?;
            Ok(())
        },
    },
    quotas::OPEN_EXECUTIONS,
    quotas::OPEN_DAYS,
    quotas::AWS_QUOTAS,
    quotas::AWS_PARITY,
    tasks::ON_LOST,
    tasks::CONCURRENCY,
    tasks::SERVICE_CONCURRENCY,
    tasks::SERVICE_RATE,
    tasks::MACHINE_CONCURRENCY,
    tasks::MACHINE_RATE,
    tasks::LIMITS,
    tasks::CONNECT_SECONDS,
    tasks::CALL_SECONDS,
    tasks::ANSWER_SECONDS,
    tasks::ANSWER_BYTES,
    tasks::HOST_ANSWER_BYTES,
    functions::FUNCTIONS,
    dev::PARAMETERS,
    dev::SUBSTITUTIONS,
    dev::WORKERS,
    datasets::FOLDERS,
    datasets::BUCKETS,
    datasets::CALL_SECONDS,
    datasets::ITEM_BYTES,
    telling::LOGS,
    telling::LOG_FILE,
    telling::LOG_FILE_BYTES,
    telling::LOG_FILES,
    telling::EVENTBRIDGE,
    telling::BUS,
    telling::SOURCE,
    telling::WEBHOOKS,
    telling::WEBHOOK_SECRET,
    telling::WEBHOOK_SECONDS,
    telling::BACKLOG,
    telling::BACKLOG_HOURS,
    Setting {
        key: "express.executions",
        kind: Kind::Number,
        value_name: "COUNT",
        help: "Express executions open at once; a start beyond them is answered with 503",
        default: "10000",
        set: |settings, text| {
            settings.express_executions = number(text, 1, 10_000_000)?;
            Ok(())
        },
    },
    Setting {
        key: "express.memory_bytes",
        kind: Kind::Number,
        value_name: "BYTES",
        help: "Memory that open Express executions may hold, about, before starts are answered with 503",
        default: "536870912",
        set: |settings, text| {
            settings.express_memory_bytes = number(text, 1024 * 1024, 1024 * 1024 * 1024 * 1024)?;
            Ok(())
        },
    },
    Setting {
        key: "express.seconds",
        kind: Kind::Number,
        value_name: "SECONDS",
        help: "How long an Express execution may last; more than 300 would fail on AWS",
        default: "300",
        set: |settings, text| {
            settings.express_seconds = number(text, 1, 86_400)?;
            Ok(())
        },
    },
    Setting {
        key: "http.connections",
        kind: Kind::Number,
        value_name: "COUNT",
        help: "Connections open at once; fewer if the system allows the process fewer open files",
        default: "16384",
        set: |settings, text| {
            settings.http.connections = number(text, 1, 1_000_000)?;
            Ok(())
        },
    },
    Setting {
        key: "http.requests",
        kind: Kind::Number,
        value_name: "COUNT",
        help: "Requests being answered at once, GetActivityTask apart; beyond it 503, which SDKs try again",
        default: "4096",
        set: |settings, text| {
            settings.http.requests = number(text, 1, 1_000_000)?;
            Ok(())
        },
    },
    Setting {
        key: "http.buffered_bytes",
        kind: Kind::Number,
        value_name: "BYTES",
        help: "Bytes of request bodies and long answers in memory at once; beyond it 503",
        default: "268435456",
        set: |settings, text| {
            settings.http.buffered_bytes = number(text, 8 << 20, 1 << 40)?;
            Ok(())
        },
    },
    Setting {
        key: "http.header_bytes",
        kind: Kind::Number,
        value_name: "BYTES",
        help: "Bytes of the first line and the headers of a request",
        default: "16384",
        set: |settings, text| {
            settings.http.header_bytes = number(text, 8_192, 1 << 20)?;
            Ok(())
        },
    },
    Setting {
        key: "http.headers",
        kind: Kind::Number,
        value_name: "COUNT",
        help: "Headers of a request",
        default: "100",
        set: |settings, text| {
            settings.http.headers = number(text, 20, 10_000)?;
            Ok(())
        },
    },
    Setting {
        key: "http.header_seconds",
        kind: Kind::Number,
        value_name: "SECONDS",
        help: "How long the head of a request may take, for the first from the opening of the connection",
        default: "30",
        set: |settings, text| {
            settings.http.header_time = seconds(text)?;
            Ok(())
        },
    },
    Setting {
        key: "http.body_bytes",
        kind: Kind::Number,
        value_name: "BYTES",
        help: "Bytes of the body of a request; AWS takes 1 MiB",
        default: "4194304",
        set: |settings, text| {
            settings.http.body_bytes = number(text, 1 << 10, 64 << 20)?;
            Ok(())
        },
    },
    Setting {
        key: "http.body_seconds",
        kind: Kind::Number,
        value_name: "SECONDS",
        help: "How long the body of a request may take",
        default: "60",
        set: |settings, text| {
            settings.http.body_time = seconds(text)?;
            Ok(())
        },
    },
    Setting {
        key: "http.reply_seconds",
        kind: Kind::Number,
        value_name: "SECONDS",
        help: "How long a client may take nothing of an answer that is being sent",
        default: "60",
        set: |settings, text| {
            settings.http.reply_time = seconds(text)?;
            Ok(())
        },
    },
    Setting {
        key: "http.idle_seconds",
        kind: Kind::Number,
        value_name: "SECONDS",
        help: "How long a connection stays open between two requests",
        default: "600",
        set: |settings, text| {
            settings.http.idle_time = seconds(text)?;
            Ok(())
        },
    },
    Setting {
        key: "log.format",
        kind: Kind::Text,
        value_name: "FORMAT",
        help: "How log lines on stderr look: text or json",
        default: "text",
        set: |settings, text| {
            settings.log_format = one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])?;
            Ok(())
        },
    },
    Setting {
        key: "log.level",
        kind: Kind::Text,
        value_name: "LEVEL",
        help: "What is logged: error, warn, info, debug, trace, or directives such as info,stepwright_engine=debug",
        default: "info",
        set: |settings, text| {
            tracing_subscriber::EnvFilter::try_new(not_empty(text)?)
                .map_err(|error| format!("is no filter: {error}"))?;
            text.clone_into(&mut settings.log_level);
            Ok(())
        },
    },
    Setting {
        key: "shutdown_grace_seconds",
        kind: Kind::Number,
        value_name: "SECONDS",
        help: "How long SIGTERM and Ctrl-C wait for requests under way; a second signal does not wait",
        default: "20",
        set: |settings, text| {
            settings.shutdown_grace = Duration::from_secs(number(text, 0, 3_600)?);
            Ok(())
        },
    },
];

pub(super) fn not_empty(text: &str) -> Result<&str, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text) }
}

pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| format!("must be {}", names.join(" or ")))
}

pub(super) fn number<T>(text: &str, min: u64, max: u64) -> Result<T, String>
where
    T: TryFrom<u64>,
{
    text.parse::<u64>()
        .ok()
        .filter(|number| (min..=max).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| match max {
            u64::MAX => format!("must be a whole number, {min} or more"),
            _ => format!("must be a whole number from {min} to {max}"),
        })
}

/// A time that a slow client may take. The clock that it is held against ticks once a second.
fn seconds(text: &str) -> Result<Duration, String> {
    number(text, 1, 86_400).map(Duration::from_secs)
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let given = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let address: SocketAddr =
        given.parse().map_err(|_| "must be an address with a port, such as 127.0.0.1:8083 or [::1]:8083".to_owned())?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "is refused: this version of Stepwright has no authentication yet, and on {} everyone who reaches this \
         machine could start, read and stop executions; use a loopback address such as 127.0.0.1:{}, and for other \
         machines a tunnel or a proxy that authenticates",
        address.ip(),
        address.port()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_table_are_the_defaults() {
        let mut settings = Settings::default();
        for setting in SETTINGS {
            (setting.set)(&mut settings, setting.default).expect(setting.key);
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn only_loopback_addresses_are_taken() {
        #[track_caller]
        fn check(text: &str, expect: Result<&str, &str>) {
            match (loopback(text), expect) {
                (Ok(address), Ok(expect)) => assert_eq!(address.to_string(), expect),
                (Err(rule), Err(part)) => assert!(rule.contains(part), "{rule}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
        check("127.0.0.1:8083", Ok("127.0.0.1:8083"));
        check("127.8.9.1:1", Ok("127.8.9.1:1"));
        check("localhost:0", Ok("127.0.0.1:0"));
        check("[::1]:8083", Ok("[::1]:8083"));
        check("[::ffff:127.0.0.1]:80", Ok("[::ffff:127.0.0.1]:80"));
        check("0.0.0.0:8083", Err("no authentication yet"));
        check("[::]:8083", Err("no authentication yet"));
        check("192.168.1.4:80", Err("no authentication yet"));
        check("8083", Err("an address with a port"));
        check("127.0.0.1", Err("an address with a port"));
        check("localhost:http", Err("an address with a port"));
    }

    #[test]
    fn values_outside_of_a_setting_are_refused_with_the_rule() {
        #[track_caller]
        fn check(key: &str, text: &str, rule: &str) {
            let set = Setting::of_key(key).expect("a setting").set;
            assert_eq!(set(&mut Settings::default(), text), Err(rule.to_owned()));
        }
        check("account", "12", "must be an AWS account id: twelve digits");
        check("durability", "yes", "must be full or relaxed");
        check("in_memory", "1", "must be true or false");
        check("retention_days", "-1", "must be a whole number from 0 to 36500");
        check("tasks.concurrency", "0", "must be a whole number from 1 to 100000");
        check("limits.inline_map_concurrency", "many", "must be a whole number, 0 or more");
        check("limits.evaluation_steps", "0", "must be a whole number from 1000 to 10000000000");
        check("limits.history_events", "3", "must be 0 (no limit) or at least 10");
        check("data_directory", "", "must not be empty");
        check("region", "US east", "must be a region such as us-east-1: lower-case letters, digits and dashes");
    }
}
