//! The parts of an ARN that the engine looks things up by. Whether a text is a proper ARN is the caller's question;
//! here a text that is none simply names nothing.

use std::sync::Arc;

use stepwright_store::keys::VersionNumber;

use crate::model::Scope;

/// `arn:<partition>:states:<region>:<account>:<kind>:<rest>`
pub(crate) struct Parts<'a> {
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) rest: &'a str,
}

pub(crate) fn parts(arn: &str) -> Option<Parts<'_>> {
    let mut parts = arn.splitn(7, ':');
    let (arn, _partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, kind, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (arn == "arn" && service == "states").then_some(Parts { region, account, kind, rest })
}

/// The name of the resource of this kind that an ARN names in a scope. Qualified ARNs name nothing.
pub(crate) fn name_of<'a>(arn: &'a str, scope: &Scope, kind: &str) -> Option<&'a str> {
    let parts = parts(arn)?;
    let fits = parts.kind == kind && parts.region == &*scope.region && parts.account == &*scope.account;
    (fits && !parts.rest.contains([':', '/'])).then_some(parts.rest)
}

/// The version or alias in a machine's ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qualifier<'a> {
    Version(VersionNumber),
    Alias(&'a str),
}

/// The machine that an ARN names in a scope, and its version or alias. The ARN of a distributed Map names none.
pub(crate) fn machine_of<'a>(arn: &'a str, scope: &Scope) -> Option<(&'a str, Option<Qualifier<'a>>)> {
    let parts = parts(arn)?;
    let fits = parts.kind == "stateMachine" && parts.region == &*scope.region && parts.account == &*scope.account;
    if !fits || parts.rest.contains('/') {
        return None;
    }
    match parts.rest.split_once(':') {
        None => Some((parts.rest, None)),
        // An alias's name holds something that is no digit.
        Some((name, version)) if version.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((name, Some(Qualifier::Version(version.parse().ok()?))))
        }
        Some((name, alias)) => Some((name, Some(Qualifier::Alias(alias)))),
    }
}

/// Machine name and execution name of an execution's ARN in a scope.
pub(crate) fn execution_names<'a>(arn: &'a str, scope: &Scope) -> Option<(&'a str, &'a str)> {
    let parts = parts(arn)?;
    let fits = parts.kind == "execution" && parts.region == &*scope.region && parts.account == &*scope.account;
    if !fits {
        return None;
    }
    parts.rest.split_once(':')
}

/// The ARN of a machine's execution.
pub(crate) fn execution(machine_arn: &str, name: &str) -> Arc<str> {
    format!("{}:{name}", machine_arn.replacen(":stateMachine:", ":execution:", 1)).into()
}

/// The ARN of an Express machine's execution.
pub(crate) fn express(machine_arn: &str, name: &str, uuid: [u8; 16]) -> Arc<str> {
    let uuid = uuid::Uuid::from_bytes(uuid);
    format!("{}:{name}:{uuid}", machine_arn.replacen(":stateMachine:", ":express:", 1)).into()
}

/// The ARN of the state machine of a map run's children.
pub(crate) fn labelled(machine_arn: &str, label: &str) -> Arc<str> {
    format!("{machine_arn}/{label}").into()
}

/// The machine, the label and the identity in the ARN of a map run in a scope.
pub(crate) fn map_run<'a>(arn: &'a str, scope: &Scope) -> Option<(&'a str, &'a str, u128)> {
    let parts = parts(arn)?;
    let fits = parts.kind == "mapRun" && parts.region == &*scope.region && parts.account == &*scope.account;
    let (machine, rest) = parts.rest.split_once('/').filter(|_| fits)?;
    let (label, uuid) = rest.rsplit_once(':')?;
    Some((machine, label, uuid::Uuid::try_parse(uuid).ok()?.as_u128()))
}

/// The machine, the label, the name and the last part of the ARN of an EXPRESS child of a map run in a scope.
pub(crate) fn express_child<'a>(arn: &'a str, scope: &Scope) -> Option<(&'a str, &'a str, &'a str, uuid::Uuid)> {
    let parts = parts(arn)?;
    let fits = parts.kind == "express" && parts.region == &*scope.region && parts.account == &*scope.account;
    let (machine, rest) = parts.rest.split_once('/').filter(|_| fits)?;
    let (rest, uuid) = rest.rsplit_once(':')?;
    let (label, name) = rest.rsplit_once(':')?;
    Some((machine, label, name, uuid::Uuid::try_parse(uuid).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_something_in_its_own_scope_only() {
        let scope = Scope::new("123456789012", "eu-west-1");
        let machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:m";
        assert_eq!(name_of(machine, &scope, "stateMachine"), Some("m"));
        assert_eq!(name_of(machine, &scope, "activity"), None);
        assert_eq!(name_of(machine, &Scope::new("123456789012", "eu-west-2"), "stateMachine"), None);
        assert_eq!(name_of(&format!("{machine}:1"), &scope, "stateMachine"), None);
        assert_eq!(name_of("nonsense", &scope, "stateMachine"), None);
        let uuid = 0x0123_4567_89ab_4def_8123_4567_89ab_cdef_u128.to_be_bytes();
        assert_eq!(
            &*express(machine, "e", uuid),
            "arn:aws:states:eu-west-1:123456789012:express:m:e:01234567-89ab-4def-8123-456789abcdef"
        );
        let execution = execution(machine, "e");
        assert_eq!(&*execution, "arn:aws:states:eu-west-1:123456789012:execution:m:e");
        assert_eq!(execution_names(&execution, &scope), Some(("m", "e")));
        assert_eq!(execution_names(machine, &scope), None);
        let qualified = |qualifier: &str| format!("{machine}:{qualifier}");
        assert_eq!(machine_of(machine, &scope), Some(("m", None)));
        assert_eq!(machine_of(&qualified("12"), &scope), Some(("m", Some(Qualifier::Version(12)))));
        assert_eq!(machine_of(&qualified("live"), &scope), Some(("m", Some(Qualifier::Alias("live")))));
        assert_eq!(machine_of(&qualified("99999999999"), &scope), None);
        assert_eq!(machine_of(&format!("{machine}/label"), &scope), None);
    }
}
