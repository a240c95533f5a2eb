//! The ARNs of Step Functions: reading, writing, and the exact texts of `InvalidArn`.
//!
//! Reading never looks whether the resource exists, and writing gives back the text that was read, byte for byte.

use std::fmt;

use crate::error::ApiError;
use crate::name::is_name_char;
use crate::pattern;

/// The partition of a region.
#[must_use]
pub fn partition_of(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// Whose a resource is: what stands in its ARN before the resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:{}:states:{}:{}", self.partition, self.region, self.account)
    }
}

/// A label behind its machine's name, if there is one.
struct Slash<'a>(Option<&'a str>);

impl fmt::Display for Slash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |label| write!(f, "/{label}"))
    }
}

/// What follows the name of a state machine in its ARN.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Qualifier {
    /// A version: digits only.
    Version(u64),
    /// An alias.
    Alias(String),
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Qualifier::Version(number) => write!(f, "{number}"),
            Qualifier::Alias(name) => f.write_str(name),
        }
    }
}

/// `…:stateMachine:<name>[/<label>][:<version or alias>]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateMachineArn {
    /// Whose it is.
    pub scope: Scope,
    /// The name of the state machine.
    pub name: String,
    /// The label of a distributed Map in it.
    pub label: Option<String>,
    /// The version or alias.
    pub qualifier: Option<Qualifier>,
}

impl StateMachineArn {
    /// The ARN of a state machine itself.
    #[must_use]
    pub fn new(scope: Scope, name: impl Into<String>) -> Self {
        Self { scope, name: name.into(), label: None, qualifier: None }
    }

    /// The ARN of the machine, without label and qualifier.
    #[must_use]
    pub fn unqualified(&self) -> Self {
        Self::new(self.scope.clone(), self.name.clone())
    }

    /// The ARN of one version of this machine.
    #[must_use]
    pub fn version(&self, number: u64) -> Self {
        Self { qualifier: Some(Qualifier::Version(number)), ..self.unqualified() }
    }

    /// Whether it names a machine, not a version, an alias or a distributed Map of it.
    #[must_use]
    pub fn is_unqualified(&self) -> bool {
        self.label.is_none() && self.qualifier.is_none()
    }
}

impl fmt::Display for StateMachineArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:stateMachine:{}{}", self.scope, self.name, Slash(self.label.as_deref()))?;
        match &self.qualifier {
            Some(qualifier) => write!(f, ":{qualifier}"),
            None => Ok(()),
        }
    }
}

/// `…:execution:<machine>[/<label>]:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionArn {
    /// Whose it is.
    pub scope: Scope,
    /// The name of the state machine.
    pub machine: String,
    /// The label of the distributed Map that this is a child of.
    pub label: Option<String>,
    /// The name of the execution.
    pub name: String,
}

impl fmt::Display for ExecutionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, machine, label, name } = self;
        write!(f, "{scope}:execution:{machine}{}:{name}", Slash(label.as_deref()))
    }
}

/// `…:express:<machine>[/<label>]:<name>:<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExpressArn {
    /// Whose it is.
    pub scope: Scope,
    /// The name of the state machine.
    pub machine: String,
    /// The label of the distributed Map that this is a child of.
    pub label: Option<String>,
    /// The name of the execution; names of Express executions may repeat.
    pub name: String,
    /// The UUID that tells executions of one name apart.
    pub id: String,
}

impl fmt::Display for ExpressArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, machine, label, name, id } = self;
        write!(f, "{scope}:express:{machine}{}:{name}:{id}", Slash(label.as_deref()))
    }
}

/// `…:mapRun:<machine>/<label>:<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapRunArn {
    /// Whose it is.
    pub scope: Scope,
    /// The name of the state machine.
    pub machine: String,
    /// The label of the distributed Map.
    pub label: String,
    /// The UUID of the run.
    pub id: String,
}

impl fmt::Display for MapRunArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, machine, label, id } = self;
        write!(f, "{scope}:mapRun:{machine}/{label}:{id}")
    }
}

/// `…:activity:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActivityArn {
    /// Whose it is.
    pub scope: Scope,
    /// The name of the activity.
    pub name: String,
}

impl fmt::Display for ActivityArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:activity:{}", self.scope, self.name)
    }
}

/// Any ARN of Step Functions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arn {
    /// A state machine, a version, an alias, or a distributed Map in it.
    StateMachine(StateMachineArn),
    /// A Standard execution.
    Execution(ExecutionArn),
    /// An Express execution.
    Express(ExpressArn),
    /// A map run.
    MapRun(MapRunArn),
    /// An activity.
    Activity(ActivityArn),
}

impl Arn {
    /// Reads an ARN of any kind.
    ///
    /// # Errors
    /// `InvalidArn`, saying what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let (scope, kind, rest) = split(text)?;
        let malformed = || ApiError::invalid_arn(format_args!("Invalid {kind} ARN: {text}"));
        let pieces: Vec<&str> = rest.split(':').collect();
        let machine_of = |piece: &str| -> Option<(String, Option<String>)> {
            match piece.split_once('/') {
                None => Some((name(piece)?, None)),
                Some((machine, label)) => Some((name(machine)?, Some(name(label)?))),
            }
        };
        let arn = match (kind, pieces.as_slice()) {
            ("stateMachine", [machine, qualifiers @ ..]) if qualifiers.len() <= 1 => (|| {
                let (name, label) = machine_of(machine)?;
                let qualifier = match qualifiers {
                    [] => None,
                    [text, ..] => Some(qualifier(text)?),
                };
                Some(Self::StateMachine(StateMachineArn { scope, name, label, qualifier }))
            })(),
            ("execution", [machine, execution]) => (|| {
                let (machine, label) = machine_of(machine)?;
                Some(Self::Execution(ExecutionArn { scope, machine, label, name: name(execution)? }))
            })(),
            ("express", [machine, execution, id]) => (|| {
                let (machine, label) = machine_of(machine)?;
                Some(Self::Express(ExpressArn { scope, machine, label, name: name(execution)?, id: name(id)? }))
            })(),
            ("mapRun", [machine, id]) => (|| {
                let (machine, label) = machine_of(machine)?;
                Some(Self::MapRun(MapRunArn { scope, machine, label: label?, id: name(id)? }))
            })(),
            ("activity", [activity]) => (|| Some(Self::Activity(ActivityArn { scope, name: name(activity)? })))(),
            ("stateMachine" | "execution" | "express" | "mapRun" | "activity", _) => None,
            _ => return Err(not_here(kind)),
        };
        arn.ok_or_else(malformed)
    }

    /// The type of the resource as it is spelled in the ARN.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Arn::StateMachine(_) => "stateMachine",
            Arn::Execution(_) => "execution",
            Arn::Express(_) => "express",
            Arn::MapRun(_) => "mapRun",
            Arn::Activity(_) => "activity",
        }
    }

    /// Whose the resource is.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        match self {
            Arn::StateMachine(arn) => &arn.scope,
            Arn::Execution(arn) => &arn.scope,
            Arn::Express(arn) => &arn.scope,
            Arn::MapRun(arn) => &arn.scope,
            Arn::Activity(arn) => &arn.scope,
        }
    }

    /// The error of an operation that does not take ARNs of this kind (recorded for `express`).
    #[must_use]
    pub fn not_valid_here(&self) -> ApiError {
        not_here(self.kind())
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arn::StateMachine(arn) => arn.fmt(f),
            Arn::Execution(arn) => arn.fmt(f),
            Arn::Express(arn) => arn.fmt(f),
            Arn::MapRun(arn) => arn.fmt(f),
            Arn::Activity(arn) => arn.fmt(f),
        }
    }
}

macro_rules! parse_one_kind {
    ($($kind:ident($arn:ident)),+ $(,)?) => {$(
        impl $arn {
            /// Reads an ARN of this kind.
            ///
            /// # Errors
            /// `InvalidArn`; for a well-formed ARN of another kind `Resource type not valid in this context: <kind>`.
            pub fn parse(text: &str) -> Result<Self, ApiError> {
                match Arn::parse(text)? {
                    Arn::$kind(arn) => Ok(arn),
                    other => Err(other.not_valid_here()),
                }
            }
        }
    )+};
}

parse_one_kind!(
    StateMachine(StateMachineArn),
    Execution(ExecutionArn),
    Express(ExpressArn),
    MapRun(MapRunArn),
    Activity(ActivityArn),
);

/// Checks that a text is the ARN of an IAM role, of whatever account.
///
/// # Errors
/// `InvalidArn`.
pub fn check_role_arn(text: &str) -> Result<(), ApiError> {
    let rest = text.strip_prefix("arn:").ok_or_else(|| no_prefix(text))?;
    match rest.splitn(5, ':').collect::<Vec<_>>().as_slice() {
        [partition, "iam", _, _, resource]
            if !partition.is_empty() && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty()) =>
        {
            Ok(())
        }
        _ => Err(ApiError::invalid_arn(format_args!("Invalid role ARN: {text}"))),
    }
}

/// `arn:<partition>:states:<region>:<account>:<kind>:<rest>`.
fn split(text: &str) -> Result<(Scope, &str, &str), ApiError> {
    let rest = text.strip_prefix("arn:").ok_or_else(|| no_prefix(text))?;
    let parts: Vec<&str> = rest.splitn(6, ':').collect();
    match parts.as_slice() {
        [_, service, ..] if *service != "states" => {
            Err(ApiError::invalid_arn(format_args!("Service not valid in this context: {service}")))
        }
        [partition, _, region, account, kind, rest] if [partition, region, account].iter().all(|part| plain(part)) => {
            let scope = Scope {
                partition: (*partition).to_owned(),
                region: (*region).to_owned(),
                account: (*account).to_owned(),
            };
            Ok((scope, kind, rest))
        }
        _ => Err(ApiError::invalid_arn(format_args!("Invalid ARN: {text}"))),
    }
}

/// AWS: recorded.
fn no_prefix(text: &str) -> ApiError {
    ApiError::invalid_arn(format_args!("Invalid ARN prefix: {text}"))
}

/// AWS: recorded.
fn not_here(kind: &str) -> ApiError {
    ApiError::invalid_arn(format_args!("Resource type not valid in this context: {kind}"))
}

/// Partition, region or account.
fn plain(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn name(text: &str) -> Option<String> {
    (!text.is_empty() && text.chars().all(is_name_char)).then(|| text.to_owned())
}

/// Digits only are a version. A leading zero is refused, so that each version has one spelling.
fn qualifier(text: &str) -> Option<Qualifier> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        if text.starts_with('0') && text != "0" {
            return None;
        }
        return text.parse().ok().map(Qualifier::Version);
    }
    pattern::alias_name(text).then(|| Qualifier::Alias(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    const X: &str = "arn:aws:states:us-east-1:000000000000";

    #[track_caller]
    fn check(rest: &str, kind: &str) -> Arn {
        let text = format!("{X}:{rest}");
        let arn = Arn::parse(&text).expect(&text);
        assert_eq!(arn.kind(), kind);
        assert_eq!(arn.to_string(), text, "written as it was read");
        assert_eq!(arn.scope().to_string(), X);
        arn
    }

    #[track_caller]
    fn refuse(text: &str, detail: &str) {
        let error = Arn::parse(text).expect_err(text);
        assert_eq!(error.code, ErrorCode::InvalidArn);
        assert_eq!(error.message, format!("Invalid Arn: '{detail}'"));
    }

    #[test]
    fn every_form_is_read_and_written_back() {
        let machine = |rest: &str| match check(rest, "stateMachine") {
            Arn::StateMachine(arn) => (arn.name, arn.label, arn.qualifier),
            other => panic!("{other}"),
        };
        let alias = |name: &str| Some(Qualifier::Alias(name.to_owned()));
        assert_eq!(machine("stateMachine:m"), ("m".into(), None, None));
        assert_eq!(machine("stateMachine:m:12"), ("m".into(), None, Some(Qualifier::Version(12))));
        assert_eq!(machine("stateMachine:m:PROD"), ("m".into(), None, alias("PROD")));
        assert_eq!(machine("stateMachine:m:1.0"), ("m".into(), None, alias("1.0")));
        assert_eq!(machine("stateMachine:m/Label"), ("m".into(), Some("Label".into()), None));
        assert_eq!(machine("stateMachine:m/L:3"), ("m".into(), Some("L".into()), Some(Qualifier::Version(3))));
        check("stateMachine:state.machine_1", "stateMachine");
        check("execution:m:e", "execution");
        check("execution:m/L:2ee46966-31bb-4e22-ada9-3a58aba20000", "execution");
        check("express:m:e:2ee46966-31bb-4e22-ada9-3a58aba20000", "express");
        check("express:m/L:e:id", "express");
        check("mapRun:m/L:id", "mapRun");
        check("activity:Größe", "activity");
    }

    #[test]
    fn a_text_that_is_no_arn_is_repeated() {
        for text in ["", "not_a_valid_arn", "ARN:aws:states:r:1:stateMachine:m", " arn:aws"] {
            refuse(text, &format!("Invalid ARN prefix: {text}"));
        }
    }

    #[test]
    fn absurd_arns_are_refused_with_their_text() {
        for text in ["arn:", "arn:aws", "arn:aws:states", "arn:aws:states:r:1", "arn:aws:states:r:1:stateMachine"] {
            assert_eq!(Arn::parse(text).expect_err(text).code, ErrorCode::InvalidArn, "{text}");
        }
        refuse("arn:aws:states::1:activity:a", "Invalid ARN: arn:aws:states::1:activity:a");
        refuse("arn:aws:states:r r:1:activity:a", "Invalid ARN: arn:aws:states:r r:1:activity:a");
        refuse("arn:aws:lambda:r:1:function:f", "Service not valid in this context: lambda");
        refuse(&format!("{X}:table:t"), "Resource type not valid in this context: table");
        for (kind, rest) in [
            ("stateMachine", ""),
            ("stateMachine", "m:"),
            ("stateMachine", "m:1:2"),
            ("stateMachine", "m:01"),
            ("stateMachine", "m:99999999999999999999999"),
            ("stateMachine", "m:al ias"),
            ("stateMachine", "m/a/b"),
            ("stateMachine", "/l"),
            ("stateMachine", "m/"),
            ("stateMachine", "a b"),
            ("execution", "m"),
            ("execution", "m:"),
            ("execution", "m:e:f"),
            ("express", "m:e"),
            ("express", "m:e:f:g"),
            ("mapRun", "m:id"),
            ("mapRun", "m/l"),
            ("activity", ""),
            ("activity", "a:b"),
            ("activity", "a/b"),
        ] {
            let text = format!("{X}:{kind}:{rest}");
            refuse(&text, &format!("Invalid {kind} ARN: {text}"));
        }
    }

    #[test]
    fn an_arn_of_another_kind_is_named() {
        let error = ExecutionArn::parse(&format!("{X}:express:m:e:id")).expect_err("express");
        assert_eq!(error.message, "Invalid Arn: 'Resource type not valid in this context: express'");
        let error = StateMachineArn::parse(&format!("{X}:activity:a")).expect_err("activity");
        assert_eq!(error.message, "Invalid Arn: 'Resource type not valid in this context: activity'");
        assert!(ActivityArn::parse(&format!("{X}:activity:a")).is_ok());
    }

    #[test]
    fn the_partition_follows_from_the_region() {
        for (region, partition) in [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")] {
            assert_eq!(partition_of(region), partition);
        }
    }

    #[test]
    fn a_role_is_an_iam_role() {
        for text in ["arn:aws:iam::000000000000:role/r", "arn:aws-cn:iam::1:role/path/to/r"] {
            assert_eq!(check_role_arn(text), Ok(()), "{text}");
        }
        for text in ["role", "arn:aws:iam::1:user/u", "arn:aws:iam::1:role/", "arn:aws:sts::1:role/r", "arn:"] {
            assert_eq!(check_role_arn(text).expect_err(text).code, ErrorCode::InvalidArn, "{text}");
        }
    }
}
