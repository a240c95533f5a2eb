//! Settings that rehearse AWS: its quotas, and every limit that it has.

use super::settings::{Kind, Setting, Settings, number, one_of};

/// Settings that `aws_parity` overrides, with AWS's value.
const PARITY: &[(&str, &str)] = &[
    ("aws_quotas", "true"),
    ("limits.history_events", "25000"),
    ("limits.payload_bytes", "262144"),
    ("limits.inline_map_concurrency", "40"),
    ("limits.open_days", "365"),
    ("retention_days", "90"),
    ("retention_seconds", "0"),
];

pub(super) const AWS_QUOTAS: Setting = Setting {
    key: "aws_quotas",
    kind: Kind::Switch,
    value_name: "BOOL",
    help: "Rehearse AWS's quotas: request rates (ThrottlingException), open executions, state machines, activities",
    default: "false",
    set: |settings, text| {
        settings.aws_quotas = one_of(text, &[("true", true), ("false", false)])?;
        Ok(())
    },
};

pub(super) const AWS_PARITY: Setting = Setting {
    key: "aws_parity",
    kind: Kind::Switch,
    value_name: "BOOL",
    help: "Every limit that AWS has, whatever else is set: quotas, history, payloads, Map concurrency, retention",
    default: "false",
    set: |settings, text| {
        settings.aws_parity = one_of(text, &[("true", true), ("false", false)])?;
        Ok(())
    },
};

pub(super) const OPEN_EXECUTIONS: Setting = Setting {
    key: "limits.open_executions",
    kind: Kind::Number,
    value_name: "COUNT",
    help: "Open executions of an account in a region at most (0: no limit; AWS: 1000000)",
    default: "0",
    set: |settings, text| {
        settings.open_executions = number(text, 0, u64::MAX)?;
        Ok(())
    },
};

pub(super) const OPEN_DAYS: Setting = Setting {
    key: "limits.open_days",
    kind: Kind::Number,
    value_name: "DAYS",
    help: "How long an execution may be open before it times out (0: no limit, which AWS has not)",
    default: "365",
    set: |settings, text| {
        settings.open_days = number(text, 0, 36_500)?;
        Ok(())
    },
};

/// Lets `aws_parity` win over whatever else was set; what it changed, as warnings.
pub(super) fn apply_parity(settings: &mut Settings) -> Vec<String> {
    if !settings.aws_parity {
        return Vec::new();
    }
    let before = settings.clone();
    let mut warnings = Vec::new();
    for (key, value) in PARITY {
        let one = settings.clone();
        let setting = Setting::of_key(key).expect("a setting");
        (setting.set)(settings, value).expect("AWS's value is allowed");
        if *settings != one && *key != "aws_quotas" {
            warnings.push(format!("aws_parity: {key} is {value}, as on AWS, whatever else was set"));
        }
    }
    // A limit of one's own below AWS's is no reason to raise it.
    settings.open_executions = before.open_executions;
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_wins_and_says_so() {
        let mut settings = Settings { history_events: 0, aws_parity: true, ..Settings::default() };
        let warnings = apply_parity(&mut settings);
        assert_eq!((settings.history_events, settings.aws_quotas), (25_000, true));
        assert_eq!(warnings, ["aws_parity: limits.history_events is 25000, as on AWS, whatever else was set"]);
        let mut untouched = Settings { history_events: 0, ..Settings::default() };
        assert!(apply_parity(&mut untouched).is_empty());
        assert_eq!(untouched.history_events, 0);
    }
}
