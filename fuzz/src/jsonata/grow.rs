//! Expressions and documents grown from bytes: mostly well-typed, so that evaluation goes deep, and using everything that
//! the language has.

use serde_json::{Map, Value, json};

use super::choices::Choices;
use super::words::{
    DATE_PICTURES, FUNCTIONS, INTEGER_PICTURES, NAMES, NUMBER_PICTURES, NUMBERS, PATTERNS, PROGRAMS, SIGNATURES, Sort,
    TEXTS,
};

/// The most nodes of an expression, about.
const NODES: usize = 48;
/// How deep operands are nested, at most.
const MAX_DEPTH: usize = 9;

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On a document: fields are its members.
    Document,
    /// In a state: there are `$states` and variables, and no item at the top.
    State,
}

pub(super) struct Grower<'c, 'b> {
    choices: &'c mut Choices<'b>,
    out: String,
    place: Place,
    /// Variables that are bound around.
    variables: Vec<String>,
    bound: usize,
    /// Something around has set the item.
    has_item: bool,
    left: usize,
    depth: usize,
}

/// An expression.
pub(super) fn expression(choices: &mut Choices<'_>, place: Place) -> String {
    let left = 1 + choices.below(NODES);
    let has_item = place == Place::Document;
    let mut grower =
        Grower { choices, out: String::new(), place, variables: Vec::new(), bound: 0, has_item, left, depth: 0 };
    grower.any();
    grower.out
}

/// A document whose members have the names that expressions ask for.
pub(super) fn document(choices: &mut Choices<'_>) -> Value {
    json!({
        "a": part(choices, 3),
        "b": part(choices, 3),
        "b c": part(choices, 1),
        "n": part(choices, 0),
        "list": [part(choices, 2), part(choices, 2), part(choices, 1)],
        "s": "a,b c",
    })
}

fn part(choices: &mut Choices<'_>, depth: usize) -> Value {
    match choices.below(if depth > 0 { 10 } else { 7 }) {
        0 => Value::Null,
        1 => choices.one_in(2).into(),
        2 => choices.pick(&[0.5, -1.0, 1e21, 12345.678]).into(),
        3 | 4 => choices.below(5).into(),
        5 => choices.pick(&["", "a", "b", "abcab", "12", "é💩", "2024-02-29"]).into(),
        6 | 7 => (0..choices.below(4)).map(|_| part(choices, depth.saturating_sub(1))).collect(),
        _ => {
            let mut members = Map::new();
            for name in ["id", "a", "c", "s", "quote'd"] {
                if choices.one_in(2) {
                    members.insert(name.to_owned(), part(choices, depth - 1));
                }
            }
            members.into()
        }
    }
}

impl Grower<'_, '_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn push_one(&mut self, from: &[&str]) {
        let text = self.choices.pick(from);
        self.push(text);
    }

    /// What is in brackets, with the item set.
    fn on_item(&mut self, open: &str, close: &str, sort: Sort) {
        let outer = std::mem::replace(&mut self.has_item, true);
        self.push(open);
        self.grow(sort);
        self.push(close);
        self.has_item = outer;
    }

    /// A name that nothing else has.
    fn fresh(&mut self) -> String {
        self.bound += 1;
        format!("v{}", self.bound)
    }

    fn any(&mut self) {
        self.grow(Sort::Any);
    }

    /// Something that is mostly of this sort.
    fn grow(&mut self, sort: Sort) {
        let sort = if self.choices.one_in(24) { Sort::Any } else { sort };
        if self.left == 0 || self.depth >= MAX_DEPTH {
            return self.leaf(sort);
        }
        self.left -= 1;
        self.depth += 1;
        match sort {
            Sort::Pattern if self.choices.one_in(3) => self.grow(Sort::Text),
            Sort::Pattern if self.choices.one_in(8) => self.grow(Sort::Function),
            Sort::Pattern | Sort::NumberPicture | Sort::IntegerPicture | Sort::DatePicture => self.leaf(sort),
            _ => match self.choices.below(16) {
                0 => self.leaf(sort),
                1..=4 => self.path(),
                5..=8 => self.call(sort),
                9 => self.block(sort),
                10 => {
                    self.grow_in_brackets(Sort::Truth);
                    self.push(" ? ");
                    self.grow(sort);
                    if !self.choices.one_in(4) {
                        self.push(" : ");
                        self.grow(sort);
                    }
                }
                11 => self.applied(sort),
                _ => self.form(sort),
            },
        }
        self.depth -= 1;
    }

    fn grow_in_brackets(&mut self, sort: Sort) {
        // Without them the text is what it is by the strengths of its operators.
        let brackets = !self.choices.one_in(4);
        self.push(if brackets { "(" } else { "" });
        self.grow(sort);
        self.push(if brackets { ")" } else { "" });
    }

    fn leaf(&mut self, sort: Sort) {
        match sort {
            Sort::Pattern => self.push_one(PATTERNS),
            Sort::NumberPicture => self.push_one(NUMBER_PICTURES),
            Sort::IntegerPicture => self.push_one(INTEGER_PICTURES),
            Sort::DatePicture => self.push_one(DATE_PICTURES),
            Sort::Function => {
                self.push("$");
                let (name, ..) = self.choices.pick(FUNCTIONS);
                self.push(name);
            }
            _ if self.choices.one_in(3) => self.name(),
            Sort::Number => self.push_one(NUMBERS),
            Sort::Text => self.push_one(TEXTS),
            Sort::Truth => self.push_one(&["true", "false"]),
            Sort::List => self.push_one(&["[]", "[1, 2, 3]", "['b', 'a', 'b']", "[3..7]", "[[1], [2, 'x'], {}]"]),
            Sort::Object => self.push_one(&["{}", "{'a': 1, 'b': [2]}", "{\"id\": {\"a\": \"x\"}}"]),
            Sort::Any => match self.choices.below(4) {
                0 => self.push_one(NUMBERS),
                1 => self.push_one(TEXTS),
                2 => self.push_one(&["null", "true", "[]"]),
                _ => self.name(),
            },
        }
    }

    /// A variable or a field.
    fn name(&mut self) {
        if !self.variables.is_empty() && self.choices.one_in(2) {
            let at = self.choices.below(self.variables.len());
            self.out.push('$');
            self.out.push_str(&self.variables[at].clone());
        } else if self.has_item {
            match self.choices.below(8) {
                0 => self.push("$"),
                1 => self.push(if self.place == Place::Document { "$$" } else { "$states.input" }),
                _ => self.push_one(NAMES),
            }
        } else {
            self.push_one(&["$states.input", "$states.input.a", "$states.context.Execution.Name", "$answer", "$list"]);
        }
    }

    /// `a.b[c]@$d.{…}`
    fn path(&mut self) {
        let bound = self.variables.len();
        match self.choices.below(6) {
            0 => self.on_anything("(", ")", Sort::List),
            1 if self.has_item => self.push_one(&["*", "**", "$"]),
            2 => self.leaf(Sort::List),
            _ => self.name(),
        }
        self.decorations(true);
        for _ in 0..self.choices.below(4) {
            self.push(".");
            match self.choices.below(10) {
                0 => self.push_one(&["*", "**", "$", "%", "%.%"]),
                1 => self.on_item("(", ")", Sort::Any),
                2 => self.on_item("[", "]", Sort::Any),
                3 => {
                    let outer = std::mem::replace(&mut self.has_item, true);
                    self.pairs();
                    self.has_item = outer;
                }
                4 => self.push_one(&["$string()", "$keys()", "$number()", "$uppercase()", "$length()"]),
                _ => self.push_one(NAMES),
            }
            self.decorations(false);
        }
        if self.choices.one_in(6) {
            let outer = std::mem::replace(&mut self.has_item, true);
            self.pairs();
            self.has_item = outer;
        }
        // What is bound in a path is bound for the rest of the path.
        self.variables.truncate(bound);
    }

    fn on_anything(&mut self, open: &str, close: &str, sort: Sort) {
        self.push(open);
        self.grow(sort);
        self.push(close);
    }

    /// What may stand behind a step.
    fn decorations(&mut self, first: bool) {
        while self.choices.one_in(3) {
            match self.choices.below(9) {
                0 => self.push_one(&["[0]", "[-1]", "[[0, 1]]", "[0.7]"]),
                1 | 2 => self.on_item("[", "]", Sort::Truth),
                3 => self.push("[]"),
                4 => {
                    let name = self.fresh();
                    self.push("@$");
                    self.push(&name);
                    self.variables.push(name);
                }
                5 => {
                    let name = self.fresh();
                    self.push("#$");
                    self.push(&name);
                    self.variables.push(name);
                }
                6 => {
                    self.push("^(");
                    for at in 0..=self.choices.below(2) {
                        self.push(if at > 0 { ", " } else { "" });
                        self.push_one(&["", "<", ">"]);
                        self.on_item("", "", Sort::Number);
                    }
                    self.push(")");
                }
                7 if !first => self.on_item("[", "]", Sort::Number),
                _ => {}
            }
        }
    }

    fn pairs(&mut self) {
        self.push("{");
        for at in 0..self.choices.below(3) {
            self.push(if at > 0 { ", " } else { "" });
            self.grow(Sort::Text);
            self.push(": ");
            self.any();
        }
        self.push("}");
    }

    fn call(&mut self, sort: Sort) {
        let fitting: Vec<_> = FUNCTIONS.iter().filter(|(.., gives)| sort == Sort::Any || *gives == sort).collect();
        let (name, takes, least, _) = match fitting.is_empty() {
            true => self.choices.pick(FUNCTIONS),
            false => *self.choices.pick(&fitting),
        };
        if sort == Sort::Any && self.choices.one_in(16) {
            self.push("$eval(");
            self.push_one(PROGRAMS);
            return self.push(")");
        }
        self.push("$");
        self.push(name);
        self.push("(");
        let count = least + self.choices.below(takes.len() - least + 1);
        for (at, sort) in takes[..count].iter().enumerate() {
            self.push(if at > 0 { ", " } else { "" });
            self.grow(*sort);
        }
        self.push(")");
    }

    /// `($v := …; …)`, sometimes with a function that calls itself.
    fn block(&mut self, sort: Sort) {
        let bound = self.variables.len();
        self.push("(");
        for _ in 0..self.choices.below(3) {
            let name = self.fresh();
            self.push("$");
            self.push(&name);
            self.push(" := ");
            if self.choices.one_in(4) {
                let (from, with) = (self.fresh(), self.fresh());
                self.push(&format!("function(${from}, ${with}) {{ ${from} < 1 ? ${with} : "));
                self.variables.extend([from.clone(), with]);
                let tail = self.choices.one_in(2);
                self.push(&if tail { format!("${name}(${from} - 1, ") } else { format!("[${name}(${from} - 1, ") });
                self.grow(sort);
                self.push(if tail { ") }" } else { ")] }" });
                self.variables.truncate(self.variables.len() - 2);
                self.push("; $");
                self.push(&name);
                self.push_one(&["(2, ", "(30, ", "(-1, "]);
                self.any();
                self.push(")");
            } else {
                self.any();
            }
            self.variables.push(name);
            self.push("; ");
        }
        self.grow(sort);
        self.push(")");
        self.variables.truncate(bound);
    }

    /// A function called with what stands before it, or in its place.
    fn applied(&mut self, sort: Sort) {
        if self.choices.one_in(2) {
            self.grow_in_brackets(Sort::Any);
            self.push(" ~> ");
            if sort == Sort::Object && self.choices.one_in(2) { self.transform() } else { self.grow(Sort::Function) }
        } else {
            self.push("(");
            self.grow(Sort::Function);
            self.push(")(");
            self.any();
            if self.choices.one_in(2) {
                self.push(", ");
                self.any();
            }
            self.push(")");
        }
    }

    fn transform(&mut self) {
        self.on_item("|", "", Sort::Any);
        self.on_item("|", "", Sort::Object);
        if self.choices.one_in(2) {
            self.on_item(", ", "", Sort::List);
        }
        self.push("|");
    }

    fn lambda(&mut self) {
        let bound = self.variables.len();
        self.push_one(&["function(", "λ("]);
        for at in 0..self.choices.below(4) {
            let name = self.fresh();
            self.push(if at > 0 { ", $" } else { "$" });
            self.push(&name);
            self.variables.push(name);
        }
        self.push(")");
        if self.choices.one_in(4) {
            self.push_one(SIGNATURES);
        }
        self.push("{ ");
        self.any();
        self.push(" }");
        self.variables.truncate(bound);
    }

    /// What only this sort of thing is written as.
    fn form(&mut self, sort: Sort) {
        match sort {
            Sort::Number if self.choices.one_in(4) => {
                self.push("-");
                self.grow_in_brackets(Sort::Number);
            }
            Sort::Number => self.both(&["+", "-", "*", "/", "%"], Sort::Number, Sort::Number),
            Sort::Text => self.both(&["&"], Sort::Any, Sort::Any),
            Sort::Truth => match self.choices.below(4) {
                0 => self.both(&["and", "or"], Sort::Truth, Sort::Any),
                1 => self.both(&["in"], Sort::Any, Sort::List),
                2 => self.both(&["=", "!="], Sort::Any, Sort::Any),
                _ => {
                    let sort = self.choices.pick(&[Sort::Number, Sort::Text]);
                    self.both(&["<", "<=", ">", ">="], sort, sort);
                }
            },
            Sort::List => {
                self.push("[");
                for at in 0..self.choices.below(4) {
                    self.push(if at > 0 { ", " } else { "" });
                    if self.choices.one_in(4) {
                        self.grow(Sort::Number);
                        self.push("..");
                        self.grow(Sort::Number);
                    } else {
                        self.any();
                    }
                }
                self.push("]");
            }
            Sort::Object => self.pairs(),
            Sort::Function => match self.choices.below(8) {
                0 => self.push_one(PATTERNS),
                1 => self.transform(),
                2 => {
                    self.grow(Sort::Function);
                    self.push(" ~> ");
                    self.grow(Sort::Function);
                }
                3 | 4 => {
                    self.push("$");
                    let (name, takes, ..) = self.choices.pick(FUNCTIONS);
                    self.push(name);
                    self.push("(?");
                    for sort in takes.iter().skip(1) {
                        self.push(", ");
                        if self.choices.one_in(3) { self.push("?") } else { self.grow(*sort) }
                    }
                    self.push(")");
                }
                _ => self.lambda(),
            },
            _ => match self.choices.below(8) {
                0 => self.both(&["??", "?:"], Sort::Any, Sort::Any),
                1 => self.lambda(),
                _ => {
                    let sorts = [Sort::Number, Sort::Text, Sort::Truth, Sort::List, Sort::Object];
                    let sort = self.choices.pick(&sorts);
                    self.form(sort);
                }
            },
        }
    }

    fn both(&mut self, operators: &[&str], left: Sort, right: Sort) {
        self.grow_in_brackets(left);
        self.push(" ");
        self.push_one(operators);
        self.push(" ");
        self.grow_in_brackets(right);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stepwright_querylang::jsonata::{Environment, Expression, Value};

    use super::*;

    /// Few that are refused or fail at once, or little is tested.
    #[test]
    fn most_expressions_are_accepted_and_many_have_a_value() {
        let (mut accepted, mut valued, mut words) = (0, 0, BTreeSet::new());
        for seed in 0_u16..2_000 {
            let bytes = seed.to_le_bytes();
            let choices = &mut Choices::new(&bytes);
            let text = expression(choices, Place::Document);
            let input = document(choices);
            words.extend(FUNCTIONS.iter().map(|(name, ..)| *name).filter(|name| text.contains(&format!("${name}("))));
            let Ok(expression) = Expression::compile(&text) else { continue };
            accepted += 1;
            let limits = super::super::LIMITS;
            let environment = Environment { limits, ..Environment::default() };
            valued += u32::from(expression.evaluate(&Value::from_json(&input), environment).is_ok());
        }
        println!("{accepted} accepted, {valued} with a value, {} functions", words.len());
        assert!(accepted > 1_400 && valued > 600, "{accepted} accepted, {valued} with a value");
        let missing: Vec<&str> =
            FUNCTIONS.iter().map(|(name, ..)| *name).filter(|name| !words.contains(name)).collect();
        assert!(missing.is_empty(), "never called: {missing:?}");
    }
}
