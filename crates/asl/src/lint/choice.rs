//! Rules of Choice states: those that never match, and those behind which nothing is left.

use super::condition::{self, Cases};
use super::{Linter, Rule, listed};
use crate::definition::{Condition, State, StateKind};

impl Linter<'_> {
    pub(super) fn choice(&mut self, state: &State) {
        let StateKind::Choice(choice) = &state.kind else { return };
        // The cases that all rules so far leave over. None: more than are looked at.
        let mut left: Option<Cases<'_>> = Some(vec![Vec::new()]);
        let mut earlier: Vec<(usize, Cases<'_>)> = Vec::new();
        let mut judged = true;
        for (index, rule) in choice.rules.iter().enumerate() {
            let at = format!("Choices[{index}]");
            let (Some(holds), Some(fails)) =
                (condition::cases(&rule.condition, true), condition::cases(&rule.condition, false))
            else {
                (judged, left) = (false, None);
                continue;
            };
            if holds.is_empty() {
                self.never.rules.insert((state.id, index));
                self.find(
                    Rule::ConditionNeverHolds,
                    state,
                    &at,
                    never_holds(&rule.condition),
                    "Correct the condition, or remove the rule.",
                );
            } else if let Some(by) = self.shadow(&holds, &earlier) {
                self.never.rules.insert((state.id, index));
                let message = format!("The rule never matches: Choices[{by}] matches first whenever it could.");
                self.find(Rule::RuleNeverUsed, state, &at, message, "Move it before that rule, or remove it.");
            } else if let Some(cases) = &left
                && condition::both(&holds, cases).is_some_and(|both| both.is_empty())
            {
                self.never.rules.insert((state.id, index));
                let message = "The rule never matches: the rules before it together match first whenever it could.";
                self.find(Rule::RuleNeverUsed, state, &at, message, "Move it before them, or remove it.");
            }
            left = left.and_then(|cases| condition::both(&cases, &fails));
            earlier.push((index, fails));
        }
        let nothing_left = judged && left.is_some_and(|cases| cases.is_empty());
        match choice.default {
            Some(_) if nothing_left => {
                self.never.defaults.insert(state.id);
                let message = "Default is never used: one of the rules always matches.";
                self.find(Rule::DefaultNeverUsed, state, "Default", message, "Remove it, or correct the rules.");
            }
            None if !nothing_left => self.find(
                Rule::ChoiceWithoutDefault,
                state,
                "",
                "If no rule matches, the execution fails with States.Runtime, which nothing catches.",
                "Add a Default, if only to a Fail state that says what is wrong.",
            ),
            _ => {}
        }
    }

    /// The earlier rule that matches whenever a rule with these cases could.
    fn shadow(&mut self, holds: &Cases<'_>, earlier: &[(usize, Cases<'_>)]) -> Option<usize> {
        for (index, fails) in earlier {
            self.comparisons = self.comparisons.checked_sub(1)?;
            if condition::both(holds, fails).is_some_and(|both| both.is_empty()) {
                return Some(*index);
            }
        }
        None
    }
}

fn never_holds(condition: &Condition) -> String {
    let mut paths = Vec::new();
    collect(condition, &mut paths);
    paths.sort_unstable();
    paths.dedup();
    match paths.as_slice() {
        [] => "The condition never holds.".to_owned(),
        paths => format!("The condition never holds, whatever {} may be.", listed(paths.iter().copied())),
    }
}

fn collect<'c>(condition: &'c Condition, paths: &mut Vec<&'c str>) {
    match condition {
        Condition::And(conditions) | Condition::Or(conditions) => {
            conditions.iter().for_each(|condition| collect(condition, paths));
        }
        Condition::Not(condition) => collect(condition, paths),
        Condition::Test { variable, .. } => paths.push(variable.text()),
        Condition::Literal(_) | Condition::Jsonata(_) => {}
    }
}
