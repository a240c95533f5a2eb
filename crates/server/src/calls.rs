//! What the settings say of calls, as the engine and the connectors want to know it, and the figures of calls for whoever
//! watches. Nothing here calls anything.

use std::sync::Arc;

use stepwright_engine::{Connector, Limit, MACHINE, TaskLimits};
use stepwright_integrations::{CallLimits, client::HttpLimits, model::pack::Pack};

use crate::{config::Settings, excerpt::nearest};

/// How many calls there may be, and how fast they may begin.
pub(crate) fn task_limits(settings: &Settings) -> TaskLimits {
    let tasks = &settings.tasks;
    let limit = |concurrency: usize, rate: u32| Limit {
        concurrency: (concurrency > 0).then_some(concurrency),
        rate: (rate > 0).then_some(rate),
    };
    let named = |(name, (concurrency, rate)): (&String, &(Option<usize>, Option<u32>))| {
        (name.clone(), Limit { concurrency: *concurrency, rate: *rate })
    };
    TaskLimits {
        connector: limit(tasks.concurrency, 0),
        service: limit(tasks.service_concurrency, tasks.service_rate),
        machine: limit(tasks.machine_concurrency, tasks.machine_rate),
        named: tasks.limits.iter().map(named).collect(),
    }
}

/// What a call may take.
pub(crate) fn limits(settings: &Settings) -> CallLimits {
    let tasks = &settings.tasks;
    let http = HttpLimits {
        connect_timeout: tasks.connect_time,
        answer_timeout: tasks.answer_time,
        max_response_bytes: tasks.answer_bytes,
        host_response_bytes: tasks.host_answer_bytes,
        ..HttpLimits::default()
    };
    CallLimits { http, call_timeout: tasks.call_time }
}

/// Whether everything is there that limits are named after: one that is misspelled would limit nothing.
///
/// # Errors
/// What is not there, and what is.
pub(crate) fn check(settings: &Settings, connectors: &[Arc<dyn Connector>]) -> Result<(), String> {
    let names = || connectors.iter().map(|connector| connector.name());
    for name in settings.tasks.limits.keys() {
        let (connector, service) = name.split_once(':').map_or((name.as_str(), None), |(one, two)| (one, Some(two)));
        let known = match service {
            Some("") => false,
            Some(_) if name.starts_with(MACHINE) => true,
            // What is called of this server has a connector of its own.
            Some("sfn") if connector == "aws-sdk" => false,
            Some(service) if connector == "aws-sdk" => Pack::embedded().has_service(service),
            // Others have one service, which is called as they are.
            Some(service) if !matches!(connector, "lambda" | "sfn") && service != connector => false,
            _ => names().any(|known| known == connector),
        };
        if known {
            continue;
        }
        let wanted = if name == "aws-sdk:sfn" {
            "; calls of this server are called sfn".to_owned()
        } else if connector == "aws-sdk" {
            let services = || Pack::embedded().ids().map(|(service, _)| service);
            let near = service.and_then(|service| nearest(service, services()));
            near.map_or_else(String::new, |near| format!("; the nearest is aws-sdk:{near}"))
        } else {
            let all: Vec<&str> = names().collect();
            format!("; the connectors are {}, and machine:NAME is a state machine", all.join(", "))
        };
        return Err(format!("`tasks.limits`: there is no {name}{wanted}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SETTINGS, Setting};

    fn checked(limits: &str) -> Result<(), String> {
        let mut settings = Settings::default();
        let setting =
            SETTINGS.iter().find(|setting| setting.key == "tasks.limits").map(|setting: &Setting| setting.set);
        setting.expect("a setting")(&mut settings, limits)?;
        let connectors = stepwright_integrations::connectors("eu-west-1", super::limits(&settings), None, &|_| None);
        check(&settings, &connectors.expect("connectors"))
    }

    #[test]
    fn a_limit_must_be_named_after_something() {
        for good in ["lambda rate=1", "lambda:any concurrency=1", "aws-sdk:dynamodb rate=1", "machine:any rate=1", ""] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
        let check = |limits: &str, part: &str| {
            let error = checked(limits).expect_err(limits);
            assert!(error.contains(part), "{limits}: {error}");
        };
        check("lamda rate=1", "there is no lamda; the connectors are lambda, sqs, ");
        check("aws-sdk:dynamo rate=1", "there is no aws-sdk:dynamo; the nearest is aws-sdk:dynamodb");
        check("dynamodb:getItem rate=1", "there is no dynamodb:getItem");
        check("sqs:orders concurrency=1", "there is no sqs:orders");
        check("aws-sdk:sfn rate=1", "called sfn");
        check("machine: rate=1", "machine:NAME is a state machine");
    }

    #[test]
    fn settings_become_limits() {
        let mut settings = Settings::default();
        let defaults = task_limits(&settings);
        assert_eq!(
            defaults,
            TaskLimits { connector: Limit { concurrency: Some(1_000), rate: None }, ..TaskLimits::default() }
        );
        settings.tasks.service_concurrency = 5;
        settings.tasks.machine_rate = 7;
        settings.tasks.limits.insert("lambda:a".to_owned(), (Some(2), Some(3)));
        let limits = task_limits(&settings);
        assert_eq!(limits.service, Limit { concurrency: Some(5), rate: None });
        assert_eq!(limits.machine, Limit { concurrency: None, rate: Some(7) });
        assert_eq!(limits.named["lambda:a"], Limit { concurrency: Some(2), rate: Some(3) });
    }
}
