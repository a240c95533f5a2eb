//! What a function is: what runs it, and what it may take. Read from the configuration; nothing here runs anything.

use std::{collections::BTreeMap, time::Duration};

use hyper::Uri;
use serde_json::{Map, Value};

/// The functions of a configuration, by name.
pub type Definitions = BTreeMap<String, Definition>;

/// One function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// What is called.
    pub target: Target,
    /// Variables that its processes get besides those of the server.
    pub env: BTreeMap<String, String>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// Invocations at once at most, each in a process of its own.
    pub concurrency: usize,
    /// How long an invocation waits for one of the others to end before it is refused.
    pub wait: Duration,
    /// Processes that stay however long they have nothing to do.
    pub warm: usize,
    /// How long the others stay.
    pub idle: Duration,
    /// What the function is told it has, in MB. Nothing holds it to that.
    pub memory: u64,
    /// Whether the function's log is repeated in the server's.
    pub echo_log: bool,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A process that asks for its events.
    Process(Program),
    /// A server that takes events by POST, such as the runtime interface emulator of an image.
    Url(Uri),
}

/// What runs in the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A program that has the Runtime API's client in it.
    Command {
        /// The program and its arguments.
        arguments: Vec<String>,
        /// `_HANDLER`; the last argument, if nothing else is said.
        handler: String,
    },
    /// A function of a Python module, `module.function`.
    Python(String),
    /// A function that a Node module exports, `file.function`.
    Node(String),
}

/// Letters that a function's name may have.
const MAX_NAME: usize = 64;
/// AWS's limit, in seconds.
const MAX_TIMEOUT: f64 = 900.0;
const KEYS: [&str; 13] = [
    "command",
    "python",
    "node",
    "url",
    "handler",
    "env",
    "timeout",
    "concurrency",
    "wait",
    "warm",
    "idle",
    "memory",
    "echo_log",
];
const TARGETS: &str = "one of command, python, node and url";

/// A mistake in the definition of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where: `charge` or `charge.timeout`.
    pub key: String,
    /// What is there, and the rule.
    pub problem: String,
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`functions.{}` {}", self.key, self.problem)
    }
}

impl std::error::Error for Invalid {}

/// Reads functions from an object of objects, as the configuration has them.
///
/// ```
/// let functions = stepwright_functions::read(&serde_json::json!({"charge": {"python": "handlers.charge"}}));
/// assert_eq!(functions.expect("a function")["charge"].concurrency, 10);
/// ```
///
/// # Errors
/// The first mistake.
pub fn read(functions: &Value) -> Result<Definitions, Invalid> {
    let Value::Object(functions) = functions else {
        let problem = "must be tables, such as [functions.charge] with python = \"handlers.charge\" in it".to_owned();
        return Err(Invalid { key: "NAME".to_owned(), problem });
    };
    functions
        .iter()
        .map(|(name, value)| {
            let fields = Fields { name, members: check_name(name, value)? };
            Ok((name.clone(), fields.definition()?))
        })
        .collect()
}

fn check_name<'a>(name: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Invalid> {
    let invalid = |problem: &str| Invalid { key: name.to_owned(), problem: problem.to_owned() };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
        return Err(invalid("is no function name: it must be 1 to 64 letters, digits, hyphens and underscores"));
    }
    value.as_object().ok_or_else(|| invalid("must be a table, such as [functions.charge] on a line of its own"))
}

struct Fields<'a> {
    name: &'a str,
    members: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn definition(&self) -> Result<Definition, Invalid> {
        if let Some(unknown) = self.members.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(self.invalid(unknown, &format!("is unknown: the keys are {}", KEYS.join(", "))));
        }
        let target = self.target()?;
        Ok(Definition {
            env: self.env(&target)?,
            timeout: self.seconds("timeout", 3.0, 0.1, MAX_TIMEOUT)?,
            concurrency: self.count("concurrency", 10, 1, 1_000)?,
            wait: self.seconds("wait", 60.0, 0.0, 3_600.0)?,
            warm: self.count("warm", 1, 0, 1_000)?,
            idle: self.seconds("idle", 60.0, 1.0, 86_400.0)?,
            memory: self.count("memory", 128, 1, 1 << 20)?,
            echo_log: match self.members.get("echo_log") {
                None => false,
                Some(value) => value.as_bool().ok_or_else(|| self.wrong("echo_log", value, "true or false"))?,
            },
            target,
        })
    }

    fn target(&self) -> Result<Target, Invalid> {
        let named: Vec<&str> =
            ["command", "python", "node", "url"].into_iter().filter(|key| self.members.contains_key(*key)).collect();
        let [key] = named[..] else {
            let problem = match named.len() {
                0 => format!("says not what runs it: it must have {TARGETS}"),
                _ => format!("must have {TARGETS}, and has {}", named.join(" and ")),
            };
            return Err(Invalid { key: self.name.to_owned(), problem });
        };
        let handler = self.text("handler")?;
        if handler.is_some() && key != "command" {
            return Err(self.invalid("handler", &format!("belongs to a command; {key} names the handler itself")));
        }
        let value = &self.members[key];
        let text = || value.as_str().ok_or_else(|| self.wrong(key, value, "a string"));
        Ok(match key {
            "command" => {
                let arguments = self.arguments(value)?;
                // As the emulator has it, whose images are given the handler so.
                let handler = handler.or_else(|| arguments.last().cloned()).unwrap_or_default();
                Target::Process(Program::Command { arguments, handler })
            }
            "python" => Target::Process(Program::Python(self.handler(key, text()?, "module.function")?)),
            "node" => Target::Process(Program::Node(self.handler(key, text()?, "file.function")?)),
            _ => Target::Url(self.url(text()?)?),
        })
    }

    fn arguments(&self, value: &Value) -> Result<Vec<String>, Invalid> {
        let wrong = || self.wrong("command", value, "a list of strings, such as [\"python3\", \"handler.py\"]");
        let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
        let arguments: Option<Vec<String>> = list.iter().map(|part| part.as_str().map(str::to_owned)).collect();
        arguments
            .filter(|parts| !parts[0].is_empty() && parts.iter().all(|part| !part.contains('\0')))
            .ok_or_else(wrong)
    }

    fn handler(&self, key: &str, text: &str, form: &str) -> Result<String, Invalid> {
        let whole = text.rsplit_once('.').is_some_and(|(module, function)| !module.is_empty() && !function.is_empty());
        if !whole || text.contains("..") || text.contains('\0') || text.starts_with(['/', '.']) {
            let rule = format!("{form} below the folder of the configuration, such as \"handlers.charge\"");
            return Err(self.wrong(key, &Value::from(text), &rule));
        }
        Ok(text.to_owned())
    }

    fn url(&self, text: &str) -> Result<Uri, Invalid> {
        let uri = text.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        uri.filter(|uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))).ok_or_else(|| {
            let rule = "an http:// URL, such as http://127.0.0.1:9000/2015-03-31/functions/function/invocations";
            self.wrong("url", &Value::from(text), rule)
        })
    }

    fn env(&self, target: &Target) -> Result<BTreeMap<String, String>, Invalid> {
        let Some(value) = self.members.get("env") else { return Ok(BTreeMap::new()) };
        if matches!(target, Target::Url(_)) {
            return Err(self.invalid("env", "belongs to a process; the server at the url has its own"));
        }
        let variables = value.as_object().ok_or_else(|| self.wrong("env", value, "a table of strings"))?;
        let mut env = BTreeMap::new();
        for (name, value) in variables {
            let key = format!("env.{name}");
            let text = value.as_str().ok_or_else(|| self.wrong(&key, value, "a string"))?;
            if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
                return Err(self.invalid(&key, "is no environment variable"));
            }
            if name == "AWS_LAMBDA_RUNTIME_API" {
                return Err(self.invalid(&key, "is what Stepwright tells the process, and can't be another"));
            }
            env.insert(name.clone(), text.to_owned());
        }
        Ok(env)
    }

    fn text(&self, key: &str) -> Result<Option<String>, Invalid> {
        let Some(value) = self.members.get(key) else { return Ok(None) };
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| self.wrong(key, value, "a string"))
    }

    fn seconds(&self, key: &str, default: f64, min: f64, max: f64) -> Result<Duration, Invalid> {
        let Some(value) = self.members.get(key) else { return Ok(Duration::from_secs_f64(default)) };
        let seconds = value.as_f64().filter(|seconds| (min..=max).contains(seconds));
        seconds
            .map(|seconds| Duration::from_millis((seconds * 1_000.0).round() as u64))
            .ok_or_else(|| self.wrong(key, value, &format!("a number of seconds from {min} to {max}")))
    }

    fn count<T: TryFrom<u64>>(&self, key: &str, default: T, min: u64, max: u64) -> Result<T, Invalid> {
        let Some(value) = self.members.get(key) else { return Ok(default) };
        let count = value.as_u64().filter(|count| (min..=max).contains(count)).and_then(|count| count.try_into().ok());
        count.ok_or_else(|| self.wrong(key, value, &format!("a whole number from {min} to {max}")))
    }

    fn wrong(&self, key: &str, value: &Value, rule: &str) -> Invalid {
        self.invalid(key, &format!("is {value}, and must be {rule}"))
    }

    fn invalid(&self, key: &str, problem: &str) -> Invalid {
        Invalid { key: format!("{}.{key}", self.name), problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_least_that_a_function_needs() {
        let functions =
            read(&json!({"a": {"python": "src/handlers.charge"}, "b": {"command": ["./b", "x"], "handler": "h"}}));
        let functions = functions.expect("functions");
        let a = &functions["a"];
        assert_eq!(a.target, Target::Process(Program::Python("src/handlers.charge".to_owned())));
        assert_eq!((a.timeout, a.concurrency, a.warm), (Duration::from_secs(3), 10, 1));
        let command = |handler: &str| {
            let arguments = vec!["./b".to_owned(), "x".to_owned()];
            Target::Process(Program::Command { arguments, handler: handler.to_owned() })
        };
        assert_eq!(functions["b"].target, command("h"));
        let last = read(&json!({"b": {"command": ["./b", "x"]}})).expect("a function");
        assert_eq!(last["b"].target, command("x"));
    }

    #[test]
    fn mistakes_name_their_key_value_and_rule() {
        let check = |function: Value, expect: &str| {
            let invalid = read(&json!({"f": function.clone()})).expect_err(&function.to_string());
            assert!(invalid.to_string().contains(expect), "{function}: {invalid}");
        };
        check(json!(7), "`functions.f` must be a table");
        check(json!({}), "`functions.f` says not what runs it: it must have one of command");
        check(json!({"node": "a.b", "url": "x"}), "and has node and url");
        check(json!({"python": "a.b", "timeoute": 1}), "`functions.f.timeoute` is unknown: the keys are command, ");
        check(json!({"python": "a"}), "`functions.f.python` is \"a\", and must be module.function");
        check(json!({"python": "/etc/a.b"}), "below the folder of the configuration");
        check(json!({"node": "../a.b"}), "`functions.f.node`");
        check(json!({"command": "ls"}), "`functions.f.command` is \"ls\", and must be a list of strings");
        check(json!({"command": []}), "must be a list of strings");
        check(json!({"url": "https://a"}), "must be an http:// URL");
        check(json!({"url": "http://me:pass@a/"}), "must be an http:// URL");
        check(json!({"python": "a.b", "timeout": 0}), "is 0, and must be a number of seconds from 0.1 to 900");
        check(json!({"python": "a.b", "concurrency": 0}), "is 0, and must be a whole number from 1 to 1000");
        check(json!({"python": "a.b", "env": {"A": 1}}), "`functions.f.env.A` is 1, and must be a string");
        check(json!({"python": "a.b", "env": {"AWS_LAMBDA_RUNTIME_API": "x"}}), "can't be another");
        check(json!({"url": "http://a/", "env": {}}), "belongs to a process");
        check(json!({"python": "a.b", "handler": "x"}), "`functions.f.handler` belongs to a command");
        check(json!({"python": "a.b", "echo_log": 1}), "must be true or false");
        assert!(read(&json!({"a.b": {"python": "a.b"}})).is_err());
    }
}
