//! Payload templates of JSONata states: any JSON in which each string that is wholly `{% … %}` is an expression.
//! Keys are never expressions, nor are strings with blanks around the marks.

use super::context::Limits;
use super::states::{EvaluationFailure, Members, Refusal, StatesExpression, StatesScope};
use crate::value::{MAX_WEIGHT, weight};
use serde_json::Value as Json;
use std::cell::Cell;

/// An expression of a template that the service refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRefusal {
    /// The field: `Output/list[2]`.
    pub location: String,
    /// The text between the marks.
    pub text: String,
    /// What is wrong with it.
    pub refusal: Refusal,
}

/// A compiled template.
///
/// ```
/// use serde_json::json;
/// use stepwright_querylang::jsonata::{Members, StatesTemplate};
/// let value = json!({"list": [1, "{% $states.result %}"], "text": " {% as it is %} "});
/// assert!(StatesTemplate::compile(&value, "Output", Members::RESULT).is_ok());
/// let refused = StatesTemplate::compile(&value, "Output", Members::INPUT).unwrap_err();
/// assert_eq!(refused[0].location, "Output/list[1]");
/// ```
#[derive(Debug, Clone)]
pub struct StatesTemplate(Node);

#[derive(Debug, Clone)]
enum Node {
    Literal(Json),
    Expression(StatesExpression),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
}

impl StatesTemplate {
    /// Compiles a template. `location` is the field that holds it.
    ///
    /// # Errors
    /// Every expression that the service refuses.
    pub fn compile(value: &Json, location: &str, members: Members) -> Result<Self, Vec<TemplateRefusal>> {
        let mut refused = Vec::new();
        let node = compile(value, &mut location.to_owned(), members, &mut refused);
        if refused.is_empty() { Ok(Self(node)) } else { Err(refused) }
    }

    /// The payload.
    ///
    /// # Errors
    /// The first expression that fails, in the order of the text.
    pub fn evaluate(&self, scope: &StatesScope<'_>) -> Result<Json, EvaluationFailure> {
        let spent = Cell::new(0);
        let value = evaluate(&self.0, &StatesScope { spent: Some(&spent), ..*scope }, &mut 0);
        if let Some(total) = scope.spent {
            total.set(total.get().saturating_add(spent.get()));
        }
        value
    }

    /// The expression that it is as a whole, if it is one.
    #[must_use]
    pub fn as_expression(&self) -> Option<&StatesExpression> {
        if let Node::Expression(expression) = &self.0 { Some(expression) } else { None }
    }

    /// The expressions in it, in the order of the text.
    #[must_use]
    pub fn expressions(&self) -> Vec<&StatesExpression> {
        fn visit<'a>(node: &'a Node, found: &mut Vec<&'a StatesExpression>) {
            match node {
                Node::Literal(_) => {}
                Node::Expression(expression) => found.push(expression),
                Node::Object(members) => members.iter().for_each(|(_, node)| visit(node, found)),
                Node::Array(items) => items.iter().for_each(|node| visit(node, found)),
            }
        }
        let mut found = Vec::new();
        visit(&self.0, &mut found);
        found
    }

    /// The variables it reads: sorted, with repetitions.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.0, &mut names);
        names.sort_unstable();
        names
    }
}

fn compile(value: &Json, location: &mut String, members: Members, refused: &mut Vec<TemplateRefusal>) -> Node {
    let length = location.len();
    match value {
        Json::String(text) => {
            let Some(text) = StatesExpression::marked(text) else { return Node::Literal(value.clone()) };
            match StatesExpression::compile(text, location, members) {
                Ok(expression) => Node::Expression(expression),
                Err(refusals) => {
                    let all = refusals.into_iter();
                    refused.extend(all.map(|refusal| TemplateRefusal {
                        location: location.clone(),
                        text: text.to_owned(),
                        refusal,
                    }));
                    Node::Literal(Json::Null)
                }
            }
        }
        Json::Array(items) => {
            let mut nodes = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                location.push_str(&format!("[{index}]"));
                nodes.push(compile(item, location, members, refused));
                location.truncate(length);
            }
            if nodes.iter().all(is_literal) { Node::Literal(value.clone()) } else { Node::Array(nodes) }
        }
        Json::Object(fields) => {
            let mut nodes = Vec::with_capacity(fields.len());
            for (key, field) in fields {
                location.push('/');
                location.push_str(key);
                nodes.push((key.clone(), compile(field, location, members, refused)));
                location.truncate(length);
            }
            if nodes.iter().all(|(_, node)| is_literal(node)) {
                Node::Literal(value.clone())
            } else {
                Node::Object(nodes)
            }
        }
        _ => Node::Literal(value.clone()),
    }
}

fn is_literal(node: &Node) -> bool {
    matches!(node, Node::Literal(_))
}

/// `total` is the weight of what the expressions have yielded so far.
fn evaluate(node: &Node, scope: &StatesScope<'_>, total: &mut usize) -> Result<Json, EvaluationFailure> {
    Ok(match node {
        Node::Literal(value) => value.clone(),
        Node::Expression(expression) => {
            let spent = scope.spent.map_or(0, Cell::get);
            let limits = Limits { steps: scope.limits.steps.saturating_sub(spent), ..scope.limits };
            let value = expression.evaluate(&StatesScope { limits, ..*scope })?;
            *total += weight(&value, MAX_WEIGHT);
            if *total > MAX_WEIGHT {
                return Err(expression.too_large());
            }
            value
        }
        Node::Array(nodes) => nodes.iter().map(|node| evaluate(node, scope, total)).collect::<Result<Json, _>>()?,
        Node::Object(members) => {
            let mut object = serde_json::Map::with_capacity(members.len());
            for (name, node) in members {
                object.insert(name.clone(), evaluate(node, scope, total)?);
            }
            Json::Object(object)
        }
    })
}

fn collect(node: &Node, names: &mut Vec<String>) {
    match node {
        Node::Literal(_) => {}
        Node::Expression(expression) => names.extend(expression.variables()),
        Node::Array(nodes) => nodes.iter().for_each(|node| collect(node, names)),
        Node::Object(members) => members.iter().for_each(|(_, node)| collect(node, names)),
    }
}
