//! Definitions that stand alone: `NAME.asl.json`, `NAME.asl.yaml`, `NAME.asl.yml`. What no template uses is a state
//! machine called as its file is.
//!
//! `${Name}` in them is a value of `[dev.substitutions]` in `stepwright.toml`. One that is not there names a function,
//! an activity or a state machine of the project: `Arn` at its end asks for the ARN, `Name` for the name, and what kind
//! of thing it is may stand before it: `${ChargeFunctionArn}`, `${ChargeArn}` and `${charge}` are all the ARN of the
//! function `charge`. Capitals, hyphens and underscores don't matter.

use std::path::{Path, PathBuf};

use crate::{
    Machine, MachineType, Problem, Severity,
    cloudformation::machine::{Unreadable, from_file},
    context::Context,
    files::stem,
};

pub(crate) fn find(context: &Context<'_>, files: &[PathBuf]) {
    let alone: Vec<&PathBuf> = files.iter().filter(|file| !context.is_used(file)).collect();
    let mut known = context.known();
    // They may start each other.
    let names = alone.iter().filter_map(|file| name(file));
    let (region, account) = (&context.options.region, &context.options.account);
    let partition = crate::context::partition(region);
    known.extend(
        names.map(|name| (name.to_owned(), format!("arn:{partition}:states:{region}:{account}:stateMachine:{name}"))),
    );
    for file in alone {
        let Some(name) = name(file) else { continue };
        let value = |asked: &str| context.options.substitutions.get(asked).cloned().or_else(|| named(asked, &known));
        match from_file(context, file, &value) {
            Ok((definition, unfilled)) => {
                let is_whole = unfilled.is_empty();
                for (asked, place) in unfilled {
                    context.problem(unfilled_problem(file, &asked, place));
                }
                if is_whole {
                    let machine = Machine { name: name.to_owned(), machine_type: MachineType::Standard, definition };
                    context.machine(machine, file, 0..0);
                }
            }
            Err(Unreadable::Yaml(problem)) => context.problem(*problem),
            Err(Unreadable::File(error)) => context.problem(Problem {
                severity: Severity::Error,
                file: file.clone(),
                place: 0..0,
                message: format!("the definition cannot be read: {error}"),
                help: "look at its permissions and its encoding".to_owned(),
            }),
        }
    }
}

fn name(file: &Path) -> Option<&str> {
    stem(file.file_name()?.to_str()?)
}

fn unfilled_problem(file: &Path, asked: &str, place: std::ops::Range<usize>) -> Problem {
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        place,
        message: format!("there is no value for ${{{asked}}}, and no function, activity or state machine of that name"),
        help: format!("write {asked} = \"…\" under [dev.substitutions] in stepwright.toml, or add what it names"),
    }
}

/// What a name in a definition stands for, of the things that are known with their ARNs.
fn named(asked: &str, known: &[(String, String)]) -> Option<String> {
    let asked = bare(asked);
    let (thing, wants_name) = match (asked.strip_suffix("arn"), asked.strip_suffix("name")) {
        (Some(thing), _) => (thing, false),
        (None, Some(thing)) => (thing, true),
        (None, None) => (asked.as_str(), false),
    };
    let thing = kindless(thing);
    let fits = |exact: bool| {
        let mut fitting = known.iter().filter(move |(name, _)| {
            let name = bare(name);
            if exact { name == thing } else { kindless(&name) == thing }
        });
        // Two that fit are none that is meant.
        fitting.next().filter(|_| fitting.next().is_none())
    };
    let (name, arn) = fits(true).or_else(|| fits(false))?;
    Some(if wants_name { name.clone() } else { arn.clone() })
}

/// Without capitals, hyphens and underscores.
fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | '.')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Without the word at its end that says what kind of thing it is.
fn kindless(name: &str) -> &str {
    let kinds = ["lambdafunction", "function", "lambda", "activity", "statemachine"];
    let without = kinds.iter().find_map(|kind| name.strip_suffix(kind));
    without.filter(|name| !name.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_things_are_understood_in_the_ways_that_people_write_them() {
        let known = [("charge", "arn:charge"), ("ShipFunction", "arn:ship"), ("a-b", "arn:1"), ("a_b", "arn:2")]
            .map(|(name, arn)| (name.to_owned(), arn.to_owned()));
        let check = |asked: &str, expect: Option<&str>| {
            assert_eq!(named(asked, &known).as_deref(), expect, "{asked}");
        };
        check("ChargeFunctionArn", Some("arn:charge"));
        check("ChargeLambdaArn", Some("arn:charge"));
        check("charge", Some("arn:charge"));
        check("CHARGE_FUNCTION_NAME", Some("charge"));
        check("ShipArn", Some("arn:ship"));
        check("ShipFunctionName", Some("ShipFunction"));
        check("ABArn", None);
        check("TableName", None);
    }
}
