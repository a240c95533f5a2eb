//! Settings of the calls that tasks make: how many, how fast, how long, how large.

use std::{collections::BTreeMap, time::Duration};

use super::settings::{Kind, Setting, number, one_of};

/// What becomes of a request-response call whose answer a crash lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    /// The state fails with the integration's connection error.
    Fail,
    /// The call is sent again.
    Resend,
}

/// Concurrency and rate by name.
pub type NamedLimits = BTreeMap<String, (Option<usize>, Option<u32>)>;

/// What calls of services may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tasks {
    /// What becomes of a call whose answer a crash lost.
    pub on_lost: OnLost,
    /// Calls of one connector's services under way at once.
    pub concurrency: usize,
    /// Of one service. 0: no limit of its own.
    pub service_concurrency: usize,
    /// Calls of one service that begin in a second. 0: no limit.
    pub service_rate: u32,
    /// Calls of one state machine under way at once. 0: no limit.
    pub machine_concurrency: usize,
    /// Calls of one state machine that begin in a second. 0: no limit.
    pub machine_rate: u32,
    /// Limits of connectors, services and state machines that are named: concurrency and rate.
    pub limits: NamedLimits,
    /// How long it may take to connect to a service.
    pub connect_time: Duration,
    /// How long a call may take whose service is not known to take long.
    pub call_time: Duration,
    /// How long the body of an answer may take.
    pub answer_time: Duration,
    /// Bytes of an answer.
    pub answer_bytes: usize,
    /// Bytes of one host's long answers in memory at once.
    pub host_answer_bytes: usize,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            on_lost: OnLost::Fail,
            concurrency: 1_000,
            service_concurrency: 0,
            service_rate: 0,
            machine_concurrency: 0,
            machine_rate: 0,
            limits: NamedLimits::new(),
            connect_time: Duration::from_secs(10),
            call_time: Duration::from_secs(60),
            answer_time: Duration::from_secs(60),
            answer_bytes: 1 << 20,
            host_answer_bytes: 64 << 20,
        }
    }
}

const MOST: u64 = 100_000;

pub(super) const ON_LOST: Setting = Setting {
    key: "tasks.on_lost",
    kind: Kind::Text,
    value_name: "CHOICE",
    help: "A call whose answer a crash lost: fail (as a connection error, which Retry and Catch see) or resend",
    default: "fail",
    set: |settings, text| {
        settings.tasks.on_lost = one_of(text, &[("fail", OnLost::Fail), ("resend", OnLost::Resend)])?;
        Ok(())
    },
};

pub(super) const CONCURRENCY: Setting = Setting {
    key: "tasks.concurrency",
    kind: Kind::Number,
    value_name: "COUNT",
    help: "Calls under way at once of one connector (lambda, aws-sdk, sqs, …); what is more waits",
    default: "1000",
    set: |settings, text| {
        settings.tasks.concurrency = number(text, 1, MOST)?;
        Ok(())
    },
};

pub(super) const SERVICE_CONCURRENCY: Setting = Setting {
    key: "tasks.service_concurrency",
    kind: Kind::Number,
    value_name: "COUNT",
    help: "Of one service or Lambda function (0: as many as its connector has left, so that others find some)",
    default: "0",
    set: |settings, text| {
        settings.tasks.service_concurrency = number(text, 0, MOST)?;
        Ok(())
    },
};

pub(super) const SERVICE_RATE: Setting = Setting {
    key: "tasks.service_rate",
    kind: Kind::Number,
    value_name: "PER_SECOND",
    help: "Calls of one service or Lambda function that begin in a second (0: no limit)",
    default: "0",
    set: |settings, text| {
        settings.tasks.service_rate = number(text, 0, MOST)?;
        Ok(())
    },
};

pub(super) const MACHINE_CONCURRENCY: Setting = Setting {
    key: "tasks.machine_concurrency",
    kind: Kind::Number,
    value_name: "COUNT",
    help: "Calls of one state machine under way at once (0: no limit; machines take turns in any case)",
    default: "0",
    set: |settings, text| {
        settings.tasks.machine_concurrency = number(text, 0, MOST)?;
        Ok(())
    },
};

pub(super) const MACHINE_RATE: Setting = Setting {
    key: "tasks.machine_rate",
    kind: Kind::Number,
    value_name: "PER_SECOND",
    help: "Calls of one state machine that begin in a second (0: no limit)",
    default: "0",
    set: |settings, text| {
        settings.tasks.machine_rate = number(text, 0, MOST)?;
        Ok(())
    },
};

pub(super) const LIMITS: Setting = Setting {
    key: "tasks.limits",
    kind: Kind::Table,
    value_name: "LIST",
    help: "Limits by name: 'lambda:pay concurrency=5 rate=10; aws-sdk:dynamodb rate=100; machine:orders concurrency=20'",
    default: "",
    set: |settings, text| {
        settings.tasks.limits = limits(text)?;
        Ok(())
    },
};

pub(super) const CONNECT_SECONDS: Setting = Setting {
    key: "tasks.connect_seconds",
    kind: Kind::Number,
    value_name: "SECONDS",
    help: "How long it may take to connect to a service",
    default: "10",
    set: |settings, text| {
        settings.tasks.connect_time = Duration::from_secs(number(text, 1, 600)?);
        Ok(())
    },
};

pub(super) const CALL_SECONDS: Setting = Setting {
    key: "tasks.call_seconds",
    kind: Kind::Number,
    value_name: "SECONDS",
    help: "How long a call may take, those known to take long apart: Lambda's have 16 minutes",
    default: "60",
    set: |settings, text| {
        settings.tasks.call_time = Duration::from_secs(number(text, 1, 86_400)?);
        Ok(())
    },
};

pub(super) const ANSWER_SECONDS: Setting = Setting {
    key: "tasks.answer_seconds",
    kind: Kind::Number,
    value_name: "SECONDS",
    help: "How long the body of an answer may take, once its head is there",
    default: "60",
    set: |settings, text| {
        settings.tasks.answer_time = Duration::from_secs(number(text, 1, 3_600)?);
        Ok(())
    },
};

pub(super) const ANSWER_BYTES: Setting = Setting {
    key: "tasks.answer_bytes",
    kind: Kind::Number,
    value_name: "BYTES",
    help: "Bytes of an answer at most; a result has 262144, written without blanks",
    default: "1048576",
    set: |settings, text| {
        settings.tasks.answer_bytes = number(text, 16 << 10, 64 << 20)?;
        Ok(())
    },
};

pub(super) const HOST_ANSWER_BYTES: Setting = Setting {
    key: "tasks.host_answer_bytes",
    kind: Kind::Number,
    value_name: "BYTES",
    help: "Bytes of one host's answers in memory at once, short ones apart; the others are read later",
    default: "67108864",
    set: |settings, text| {
        settings.tasks.host_answer_bytes = number(text, 1 << 20, 1 << 40)?;
        Ok(())
    },
};

/// `NAME concurrency=COUNT rate=PER_SECOND; …`, each of the two or both.
fn limits(text: &str) -> Result<NamedLimits, String> {
    let mut limits = NamedLimits::new();
    for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
        let mut words = entry.split_whitespace();
        let name = words.next().unwrap_or_default();
        let (mut concurrency, mut rate) = (None, None);
        for word in words {
            let rule = |rule: String| format!("is no list of limits: {word:?} of {name} {rule}");
            match word.split_once('=') {
                Some(("concurrency", count)) => concurrency = Some(number(count, 1, MOST).map_err(rule)?),
                Some(("rate", count)) => rate = Some(number(count, 1, MOST).map_err(rule)?),
                _ => return Err(rule("must be concurrency=COUNT or rate=PER_SECOND".to_owned())),
            }
        }
        if name.contains('=') || concurrency.is_none() && rate.is_none() {
            return Err(format!(
                "is no list of limits: {entry:?} must be a name with concurrency=COUNT or rate=PER_SECOND behind it, as in \
                 'lambda:pay concurrency=5 rate=10'"
            ));
        }
        if limits.insert(name.to_owned(), (concurrency, rate)).is_some() {
            return Err(format!("is no list of limits: {name} is there twice"));
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_name() {
        let found = limits(" lambda:pay concurrency=5 rate=10;aws-sdk rate=7 ; ").expect("a good list");
        let expected = [("aws-sdk", (None, Some(7))), ("lambda:pay", (Some(5), Some(10)))];
        assert_eq!(found, expected.map(|(name, limit)| (name.to_owned(), limit)).into());
        let check = |text: &str, part: &str| {
            let rule = limits(text).expect_err(text);
            assert!(rule.contains(part), "{text}: {rule}");
        };
        check("lambda", "\"lambda\" must be a name with");
        check("rate=5", "must be a name with");
        check("lambda rate=0", "\"rate=0\" of lambda must be a whole number from 1 to 100000");
        check("lambda rat=5", "\"rat=5\" of lambda must be concurrency=COUNT or");
        check("a rate=1; a rate=2", "a is there twice");
    }
}
