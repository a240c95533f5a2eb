//! The graph of each flow without the transitions that never happen: states that are never reached, and states from
//! which no way leads to an end.

use std::collections::{BTreeMap, BTreeSet};

use super::{Linter, Rule, listed};
use crate::definition::{FlowId, State, StateId, StateKind, Transition};

impl Linter<'_> {
    pub(super) fn flow(&mut self) {
        for number in 0..self.definition.flows.len() {
            let flow = FlowId(u32::try_from(number).expect("numbers of flows are small"));
            let reached = self.reached(self.definition.flow(flow).start_at);
            let states: Vec<&State> = self.definition.states.iter().filter(|state| state.flow == flow).collect();
            let ending = self.ending(&states);
            let mut caught = Vec::new();
            for &state in &states {
                if !reached.contains(&state.id) {
                    let (what, help) = match state.kind {
                        StateKind::Fail(_) => {
                            ("This failure never happens", "See why it is never told apart from others")
                        }
                        _ => ("The state is never reached", "Correct the rules and catchers that lead here"),
                    };
                    let message = format!("{what}: only rules and catchers that never match lead to it.");
                    self.find(Rule::StateNeverReached, state, "", message, format!("{help}, or remove the state."));
                } else if !ending.contains(&state.id) {
                    caught.push(state);
                }
            }
            if let Some(&first) = caught.first() {
                let names = listed(caught.iter().map(|state| &*state.name));
                let message = format!(
                    "Once here, the flow never ends: from {names} no way leads to a state that ends it. A STANDARD \
                     execution fails after 25,000 events."
                );
                self.find(
                    Rule::FlowNeverEnds,
                    first,
                    "",
                    message,
                    "Give the loop a way out, such as a Choice that ends it.",
                );
            }
        }
    }

    fn reached(&self, start: StateId) -> BTreeSet<StateId> {
        let mut seen = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(id) = open.pop() {
            open.extend(self.targets(id).into_iter().filter(|&target| seen.insert(target)));
        }
        seen
    }

    /// The states of a flow from which a way leads to its end: followed backwards, so that each is looked at once.
    fn ending(&self, states: &[&State]) -> BTreeSet<StateId> {
        let ends = |state: &State| match &state.kind {
            StateKind::Succeed | StateKind::Fail(_) => true,
            StateKind::Choice(_) => false,
            kind => transition(kind) == Some(Transition::End),
        };
        let mut before: BTreeMap<StateId, Vec<StateId>> = BTreeMap::new();
        for state in states {
            for target in self.targets(state.id) {
                before.entry(target).or_default().push(state.id);
            }
        }
        let mut open: Vec<StateId> = states.iter().filter(|state| ends(state)).map(|state| state.id).collect();
        let mut ending: BTreeSet<StateId> = open.iter().copied().collect();
        while let Some(id) = open.pop() {
            let earlier = before.get(&id).into_iter().flatten();
            open.extend(earlier.filter(|&&id| ending.insert(id)));
        }
        ending
    }

    /// Where a state can lead.
    pub(super) fn targets(&self, id: StateId) -> Vec<StateId> {
        let state = self.definition.state(id);
        let mut targets = Vec::new();
        if let Some(Transition::Next(next)) = transition(&state.kind) {
            targets.push(next);
        }
        match &state.kind {
            StateKind::Choice(choice) => {
                let used = |index: usize| !self.never.rules.contains(&(id, index));
                targets.extend(
                    choice.rules.iter().enumerate().filter(|(index, _)| used(*index)).map(|(_, rule)| rule.next),
                );
                targets.extend(choice.default.filter(|_| !self.never.defaults.contains(&id)));
            }
            kind => {
                let used = |index: usize| !self.never.catchers.contains(&(id, index));
                let catchers = super::errors::catchers(kind).iter().enumerate();
                targets.extend(catchers.filter(|(index, _)| used(*index)).map(|(_, catcher)| catcher.next));
            }
        }
        targets
    }
}

/// What `Next` or `End` says.
pub(super) fn transition(kind: &StateKind) -> Option<Transition> {
    match kind {
        StateKind::Task(task) => Some(task.transition),
        StateKind::Pass(pass) => Some(pass.transition),
        StateKind::Wait(wait) => Some(wait.transition),
        StateKind::Parallel(parallel) => Some(parallel.transition),
        StateKind::Map(map) => Some(map.transition),
        StateKind::Choice(_) | StateKind::Succeed | StateKind::Fail(_) => None,
    }
}
