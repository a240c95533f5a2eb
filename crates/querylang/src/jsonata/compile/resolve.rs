//! Variables get slots.
//!
//! A frame is made for the whole expression, for a call of a lambda, for a
//! block that binds variables, and for each tuple of a path that carries tuples
//! (`@`, `#`, `%`). A variable may be bound in several frames around its use,
//! and none of them may have come to it yet: a reference names all of them,
//! from the inside out, and the first that is set counts.

use super::process::Labels;
use super::{Kind, Library, Node, Program, Reference, Scope, Stage};
use crate::jsonata::value::Text;
use std::sync::Arc;

/// In which frame a node below another is evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the frame of the node above.
    Here,
    /// In a tuple's frame.
    Tuple,
    /// In a frame that the node above makes.
    Inside,
}

struct Resolver<'a> {
    library: &'a Library,
    externals: &'a mut Vec<Text>,
    /// The frames around, the innermost last.
    scopes: Vec<Arc<Scope>>,
    /// All names that any tuple may hold.
    marks: Vec<Text>,
}

pub(super) fn resolve(
    mut root: Node,
    labels: &Labels,
    library: &Library,
    externals: &mut Vec<Text>,
    enclosing: &[Arc<Scope>],
) -> Program {
    let mut marks = Vec::new();
    name_parents(&mut root, labels, &mut marks);
    let mut resolver = Resolver { library, externals, scopes: enclosing.to_vec(), marks };
    let mut names = Vec::new();
    binds_of_body(&mut root, &mut names);
    let scope = Arc::new(Scope { names });
    resolver.scopes.push(Arc::clone(&scope));
    resolver.body(&mut root);
    Program { root, scope }
}

impl Resolver<'_> {
    /// What a frame of its own is made for: if it is a block, it needs no other.
    fn body(&mut self, node: &mut Node) {
        if !matches!(node.kind, Kind::Block(..)) {
            return self.node(node);
        }
        self.below(node);
        node.plain = is_plain(node);
    }

    fn node(&mut self, node: &mut Node) {
        if let Kind::Block(items, scope) = &mut node.kind {
            let mut names = Vec::new();
            items.iter_mut().for_each(|item| binds(item, &mut names));
            if !names.is_empty() {
                *scope = Some(Arc::new(Scope { names }));
            }
        }
        self.below(node);
        node.plain = is_plain(node);
        self.shorten(node);
    }

    /// Resolves what is below a node, and the node's own names.
    fn below(&mut self, node: &mut Node) {
        if has_tuple_frames(node) {
            let mut names = self.marks.clone();
            for (child, place) in children(node) {
                if place == Place::Tuple {
                    binds(child, &mut names);
                }
            }
            node.tuple_scope = Some(Arc::new(Scope { names }));
        }
        if let Kind::Lambda(lambda) = &mut node.kind {
            let lambda = Arc::get_mut(lambda).expect("nothing else holds it yet");
            let mut names = Vec::new();
            lambda.parameters.iter().for_each(|name| add(&mut names, name));
            binds_of_body(&mut lambda.body, &mut names);
            let slot = |name: &Text| names.iter().position(|other| other == name).expect("just added");
            lambda.slots = lambda.parameters.iter().map(slot).collect();
            lambda.scope = Arc::new(Scope { names });
            self.scopes.push(Arc::clone(&lambda.scope));
            self.body(&mut lambda.body);
            self.scopes.pop();
        }
        let tuple_scope = node.tuple_scope.clone();
        let own_scope = if let Kind::Block(_, scope) = &node.kind { scope.clone() } else { None };
        for (child, place) in children(node) {
            let scope = match place {
                Place::Here => None,
                Place::Tuple => tuple_scope.clone(),
                Place::Inside => own_scope.clone(),
            };
            let depth = self.scopes.len();
            self.scopes.extend(scope);
            self.node(child);
            self.scopes.truncate(depth);
        }
        self.names(node);
    }

    /// The names that a node itself uses.
    fn names(&mut self, node: &mut Node) {
        match &mut node.kind {
            Kind::VariableName(name) => {
                let name = Text::clone(name);
                node.kind = if name.is_empty() { Kind::Item } else { Kind::Variable(Box::new(self.reference(&name))) };
            }
            Kind::Bind(name, slot, _) => {
                let names = self.scopes.last().map_or(&[][..], |scope| &scope.names);
                *slot = names.iter().position(|other| other == name).unwrap_or(usize::MAX);
            }
            Kind::Call(call) | Kind::Partial(call) => {
                if let Some(name) = &call.name {
                    let name = Text::clone(name);
                    if matches!(call.procedure.kind, Kind::Path(..) | Kind::Fields(_)) {
                        call.forgot_dollar = Some(Box::new(self.reference(&name)));
                    } else if &*name == "eval" {
                        call.scopes = Some(self.scopes.clone());
                    }
                }
            }
            Kind::Transform(transform) => {
                let clone = self.reference(&"clone".into());
                Arc::get_mut(transform).expect("nothing else holds it yet").clone = clone;
            }
            _ => {}
        }
    }

    fn reference(&mut self, name: &Text) -> Reference {
        let mut candidates = Vec::new();
        for (up, scope) in (0..).zip(self.scopes.iter().rev()) {
            candidates.extend(scope.names.iter().position(|other| other == name).map(|slot| (up, slot)));
        }
        let external = self.externals.iter().position(|other| other == name).unwrap_or_else(|| {
            self.externals.push(Text::clone(name));
            self.externals.len() - 1
        });
        Reference { candidates, external, builtin: self.library.find(name), root: &**name == "$" }
    }

    /// Paths of nothing but names take the quick way.
    fn shorten(&mut self, node: &mut Node) {
        if node.tuple || node.tuple_scope.is_some() {
            return;
        }
        let Kind::Path(steps, false) = &mut node.kind else { return };
        let named = |step: &Node| step.plain && matches!(step.kind, Kind::Name(_));
        let (head, names) = match steps.split_first() {
            Some((head, rest)) if head.plain && matches!(head.kind, Kind::Variable(_) | Kind::Item) => (true, rest),
            _ => (false, steps.as_slice()),
        };
        if names.is_empty() || !names.iter().all(named) {
            return;
        }
        let fields: Vec<Text> = names
            .iter()
            .filter_map(|step| if let Kind::Name(name) = &step.kind { Some(Text::clone(name)) } else { None })
            .collect();
        node.kind =
            if head { Kind::VariableFields(Box::new(steps.swap_remove(0)), fields) } else { Kind::Fields(fields) };
    }
}

fn is_plain(node: &Node) -> bool {
    !node.keep_array
        && !node.tuple
        && !node.constructed
        && node.predicates.is_empty()
        && node.stages.is_empty()
        && node.group.is_none()
        && node.focus.is_none()
        && node.index.is_none()
        && node.ancestor.is_none()
}

/// Where a path's items become tuples.
fn first_tuple(node: &Node) -> Option<usize> {
    if let Kind::Path(steps, _) = &node.kind { steps.iter().position(|step| step.tuple) } else { None }
}

fn has_tuple_frames(node: &Node) -> bool {
    match node.kind {
        Kind::Path(..) => first_tuple(node).is_some(),
        _ => node.tuple && (!node.predicates.is_empty() || node.group.is_some()),
    }
}

/// Gives each `%` and each step that one means the name of their variable, and
/// collects the names that tuples hold.
fn name_parents(node: &mut Node, labels: &Labels, marks: &mut Vec<Text>) {
    if let Kind::Parent(slot) = node.kind {
        node.kind = Kind::VariableName(Text::clone(&labels.names[slot]));
    }
    node.ancestor_name = node.ancestor.map(|slot| Text::clone(&labels.names[slot]));
    for name in [&node.ancestor_name, &node.focus, &node.index].into_iter().flatten() {
        add(marks, name);
    }
    for stage in &node.stages {
        if let Stage::Index(name) = stage {
            add(marks, name);
        }
    }
    if let Kind::Lambda(lambda) = &mut node.kind {
        let lambda = Arc::get_mut(lambda).expect("nothing else holds it yet");
        name_parents(&mut lambda.body, labels, marks);
    }
    for (child, _) in children(node) {
        name_parents(child, labels, marks);
    }
}

fn add(names: &mut Vec<Text>, name: &Text) {
    if !names.contains(name) {
        names.push(Text::clone(name));
    }
}

/// The variables that a node binds in the frame it is evaluated in.
fn binds(node: &mut Node, names: &mut Vec<Text>) {
    if let Kind::Bind(name, ..) = &node.kind {
        add(names, name);
    }
    for (child, place) in children(node) {
        if place == Place::Here {
            binds(child, names);
        }
    }
}

/// The same for what a frame of its own is made for.
fn binds_of_body(node: &mut Node, names: &mut Vec<Text>) {
    for (child, place) in if matches!(node.kind, Kind::Block(..)) { children(node) } else { Vec::new() } {
        if place != Place::Tuple {
            binds(child, names);
        }
    }
    if !matches!(node.kind, Kind::Block(..)) {
        binds(node, names);
    }
}

/// The nodes below a node, but for the body of a lambda.
fn children(node: &mut Node) -> Vec<(&mut Node, Place)> {
    use Place::{Here, Inside, Tuple};
    let first_tuple = first_tuple(node);
    let is_path = matches!(node.kind, Kind::Path(..));
    let own = if has_tuple_frames(node) { Tuple } else { Here };
    let mut all: Vec<(&mut Node, Place)> = Vec::new();
    match &mut node.kind {
        Kind::Path(steps, _) => {
            for (index, step) in steps.iter_mut().enumerate() {
                all.push((step, if first_tuple.is_some_and(|first| index >= first) { Tuple } else { Here }));
            }
        }
        Kind::Sort(terms) => all.extend(terms.iter_mut().map(|(_, term)| (term, Here))),
        Kind::Negate(operand) | Kind::Bind(_, _, operand) => all.push((operand, Here)),
        Kind::VariableFields(head, _) => all.push((head, Here)),
        Kind::Binary(_, both) => all.extend(both.iter_mut().map(|operand| (operand, Here))),
        Kind::Array(items) => all.extend(items.iter_mut().map(|item| (item, Here))),
        Kind::Block(items, _) => all.extend(items.iter_mut().map(|item| (item, Inside))),
        Kind::Object(group) => {
            for (key, value) in &mut group.pairs {
                all.extend([(key, Here), (value, Here)]);
            }
        }
        Kind::Call(call) | Kind::Partial(call) => {
            all.push((&mut call.procedure, Here));
            all.extend(call.arguments.iter_mut().map(|argument| (argument, Here)));
        }
        Kind::Condition(both, otherwise) => {
            all.extend(both.iter_mut().map(|part| (part, Here)));
            all.extend(otherwise.iter_mut().map(|part| (&mut **part, Here)));
        }
        Kind::Transform(transform) => {
            let transform = Arc::get_mut(transform).expect("nothing else holds it yet");
            all.extend([(&mut transform.pattern, Here), (&mut transform.update, Here)]);
            all.extend(transform.delete.iter_mut().map(|delete| (delete, Here)));
        }
        Kind::Null
        | Kind::Boolean(_)
        | Kind::Number(_)
        | Kind::String(_)
        | Kind::Regex(_)
        | Kind::Name(_)
        | Kind::Fields(_)
        | Kind::Item
        | Kind::Variable(_)
        | Kind::VariableName(_)
        | Kind::Wildcard
        | Kind::Descendant
        | Kind::Parent(_)
        | Kind::Placeholder
        | Kind::Lambda(_) => {}
    }
    // Filters of a step stand in the frame of the step; the path sees to that.
    for stage in &mut node.stages {
        if let Stage::Filter(filter) = stage {
            all.push((filter, Here));
        }
    }
    let own = if is_path && first_tuple.is_none() { Here } else { own };
    for stage in &mut node.predicates {
        if let Stage::Filter(filter) = stage {
            all.push((filter, own));
        }
    }
    if let Some(group) = &mut node.group {
        for (key, value) in &mut group.pairs {
            all.extend([(key, own), (value, own)]);
        }
    }
    all
}
