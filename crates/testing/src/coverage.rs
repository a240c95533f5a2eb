//! What tests cover of a definition: states, the rules of Choice states, retriers and catchers.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use serde_json::{Value, json};
use stepwright_asl::{Choice, Definition, StateId, StateKind};
use stepwright_graph::{Class, Graph, Overlay, svg};
use stepwright_machine::inspect::{Standing, Verdict};

use crate::{
    judge::inspect,
    visits::{Told, Visit},
};

/// Something that can be covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// A state is entered.
    State(StateId),
    /// A rule of a Choice state matches.
    Rule(StateId, usize),
    /// No rule of a Choice state matches, and its Default is taken.
    Default(StateId),
    /// A retrier has its state tried again.
    Retrier(StateId, usize),
    /// A catcher takes an error.
    Catcher(StateId, usize),
}

impl Branch {
    fn state(self) -> StateId {
        match self {
            Self::State(id) | Self::Rule(id, _) | Self::Default(id) | Self::Retrier(id, _) | Self::Catcher(id, _) => id,
        }
    }

    /// Its place in the state, as the definition spells it; none: the state itself.
    fn place(self) -> Option<String> {
        match self {
            Self::State(_) => None,
            Self::Rule(_, at) => Some(format!("Choices[{at}]")),
            Self::Default(_) => Some("Default".to_owned()),
            Self::Retrier(_, at) => Some(format!("Retry[{at}]")),
            Self::Catcher(_, at) => Some(format!("Catch[{at}]")),
        }
    }

    fn kind(self) -> usize {
        match self {
            Self::State(_) => 0,
            Self::Rule(..) | Self::Default(_) => 1,
            Self::Retrier(..) => 2,
            Self::Catcher(..) => 3,
        }
    }
}

/// The kinds, as reports name them.
const KINDS: [&str; 4] = ["states", "choiceRules", "retriers", "catchers"];

/// How often each part of a definition was covered.
#[derive(Clone, Debug)]
pub struct Coverage {
    definition: Arc<Definition>,
    hits: BTreeMap<Branch, u64>,
}

impl Coverage {
    /// Nothing is covered yet.
    #[must_use]
    pub fn new(definition: Arc<Definition>) -> Self {
        let mut hits = BTreeMap::new();
        for state in &definition.states {
            let id = state.id;
            hits.insert(Branch::State(id), 0);
            if let StateKind::Choice(choice) = &state.kind {
                hits.extend((0..choice.rules.len()).map(|at| (Branch::Rule(id, at), 0)));
                hits.extend(choice.default.map(|_| (Branch::Default(id), 0)));
            }
            let (retriers, catchers) = handlers(&state.kind);
            hits.extend((0..retriers).map(|at| (Branch::Retrier(id, at), 0)));
            hits.extend((0..catchers.len()).map(|at| (Branch::Catcher(id, at), 0)));
        }
        Self { definition, hits }
    }

    /// Adds what an execution visited.
    pub fn add(&mut self, told: &Told) {
        for visit in &told.visits {
            self.hit(Branch::State(visit.state));
            let definition = self.definition.clone();
            let state = definition.state(visit.state);
            if let StateKind::Choice(choice) = &state.kind {
                if let Some(branch) = self.choice(visit, choice) {
                    self.hit(branch);
                }
                continue;
            }
            let (retriers, catchers) = handlers(&state.kind);
            for (failure, _) in visit.failures.iter().filter(|(_, retried)| *retried) {
                let mut again = inspect(&self.definition, visit, 0);
                again.fail(failure.clone(), visit.at);
                if let Some(at) = again.noted().retrier.filter(|at| *at < retriers) {
                    self.hit(Branch::Retrier(visit.state, at));
                }
            }
            if let Some(at) = self.caught(visit, &catchers) {
                self.hit(Branch::Catcher(visit.state, at));
            }
        }
    }

    fn hit(&mut self, branch: Branch) {
        *self.hits.entry(branch).or_insert(0) += 1;
    }

    /// The catcher through which a visit was left.
    fn caught(&self, visit: &Visit, catchers: &[StateId]) -> Option<usize> {
        visit.output.as_ref()?;
        match visit.failures.last() {
            Some((failure, false)) => {
                // As after the last retry.
                let mut again = inspect(&self.definition, visit, u32::MAX);
                again.fail(failure.clone(), visit.at);
                again.noted().catcher
            }
            Some((_, true)) => None,
            // What a branch or an item failed with is not in the state's own events; where it led is.
            None => {
                let led = visit.next?;
                let state = self.definition.state(visit.state);
                let own = matches!(state.kind, StateKind::Parallel(_) | StateKind::Map(_));
                (own && ordinary(&state.kind) != Some(led))
                    .then(|| catchers.iter().position(|next| *next == led))
                    .flatten()
            }
        }
    }

    /// Which way a Choice state was left. Of several rules that lead to the same state, the first that matches by
    /// itself.
    fn choice(&self, visit: &Visit, choice: &Choice) -> Option<Branch> {
        let next = visit.next?;
        let leads: Vec<usize> =
            choice.rules.iter().enumerate().filter(|(_, rule)| rule.next == next).map(|(at, _)| at).collect();
        let default = (choice.default == Some(next)).then_some(Branch::Default(visit.state));
        match (leads.as_slice(), default) {
            ([], default) => default,
            ([only], None) => Some(Branch::Rule(visit.state, *only)),
            (several, default) => {
                let matching = several.iter().find(|at| self.matches_alone(visit, choice, **at));
                matching.map(|at| Branch::Rule(visit.state, *at)).or(default)
            }
        }
    }

    fn matches_alone(&self, visit: &Visit, choice: &Choice, at: usize) -> bool {
        let mut definition = (*self.definition).clone();
        let only = Choice { rules: vec![choice.rules[at].clone()], default: None };
        definition.states[visit.state.0 as usize].kind = StateKind::Choice(only);
        let inspection = inspect(&Arc::new(definition), visit, 0);
        matches!(inspection.standing(), Standing::Ended(Verdict::Succeeded { .. }))
    }

    /// How many of each kind there are and how many are covered: states, Choice rules, retriers, catchers.
    fn totals(&self) -> [(usize, usize); 4] {
        let mut totals = [(0, 0); 4];
        for (branch, hits) in &self.hits {
            let (covered, all) = &mut totals[branch.kind()];
            *all += 1;
            *covered += usize::from(*hits > 0);
        }
        totals
    }

    /// What is not covered, by its place: `Charge.Retry[1]`.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let missed = self.hits.iter().filter(|(_, hits)| **hits == 0);
        missed
            .map(|(branch, _)| {
                let name = &self.definition.state(branch.state()).name;
                branch.place().map_or_else(|| name.to_string(), |place| format!("{name}.{place}"))
            })
            .collect()
    }

    /// A line of the table.
    #[must_use]
    pub fn row(&self, name: &str) -> [String; 6] {
        let [states, rules, retriers, catchers] = self.totals().map(|(covered, all)| match all {
            0 => "-".to_owned(),
            all => format!("{covered}/{all}"),
        });
        let missed = self.missed();
        let mut shown = missed.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        if missed.len() > 5 {
            let _ = write!(shown, " and {} more", missed.len() - 5);
        }
        [name.to_owned(), states, rules, retriers, catchers, shown]
    }

    /// As JSON, in the manner of LCOV: what there is (`found`), what is covered (`hit`), and each with its count.
    #[must_use]
    pub fn json(&self, name: &str) -> Value {
        let mut file = json!({"definition": name});
        for (kind, (hit, found)) in KINDS.iter().zip(self.totals()) {
            let of_kind = self.hits.iter().filter(|(branch, _)| KINDS[branch.kind()] == *kind);
            let entries: Vec<Value> = of_kind
                .map(|(branch, hits)| {
                    let mut entry = json!({"state": &*self.definition.state(branch.state()).name, "hits": hits});
                    if let Some(place) = branch.place() {
                        entry["place"] = place.into();
                    }
                    entry
                })
                .collect();
            file[*kind] = json!({"found": found, "hit": hit, "entries": entries});
        }
        file
    }

    /// The definition as a picture: what is covered, and how often.
    #[must_use]
    pub fn picture(&self, name: &str) -> String {
        let graph = Graph::of(&self.definition);
        let mut overlay = Overlay::default();
        for state in &self.definition.states {
            let of_state = || self.hits.iter().filter(|(branch, _)| branch.state() == state.id);
            let hits = self.hits.get(&Branch::State(state.id)).copied().unwrap_or(0);
            let missed = of_state().filter(|(_, hits)| **hits == 0).count();
            let class = match (hits, missed) {
                (0, _) => Class::NotVisited,
                (_, 0) => Class::Succeeded,
                _ => Class::Caught,
            };
            let text = match (hits, missed) {
                (0, _) | (_, 0) => hits.to_string(),
                (hits, missed) => format!("{hits}, {missed} missed"),
            };
            overlay.mark(state.id, class, &text);
        }
        svg(&graph, name, Some(&overlay))
    }
}

/// How many retriers a state has, and where its catchers lead.
fn handlers(kind: &StateKind) -> (usize, Vec<StateId>) {
    let (retry, catch) = match kind {
        StateKind::Task(task) => (&task.retry, &task.catch),
        StateKind::Parallel(parallel) => (&parallel.retry, &parallel.catch),
        StateKind::Map(map) => (&map.retry, &map.catch),
        _ => return (0, Vec::new()),
    };
    (retry.len(), catch.iter().map(|catcher| catcher.next).collect())
}

/// Where a state leads that ends well.
fn ordinary(kind: &StateKind) -> Option<StateId> {
    let transition = match kind {
        StateKind::Parallel(parallel) => parallel.transition,
        StateKind::Map(map) => map.transition,
        _ => return None,
    };
    match transition {
        stepwright_asl::Transition::Next(next) => Some(next),
        stepwright_asl::Transition::End => None,
    }
}

/// The table of all definitions.
#[must_use]
pub fn table(rows: &[[String; 6]]) -> String {
    let titles = ["DEFINITION", "STATES", "CHOICE RULES", "RETRIERS", "CATCHERS", "NOT COVERED"].map(str::to_owned);
    let all: Vec<&[String; 6]> = std::iter::once(&titles).chain(rows).collect();
    let mut out = String::new();
    for row in &all {
        let mut line = String::new();
        for (column, text) in row.iter().enumerate() {
            let width = all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let _ = write!(line, "{text:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
