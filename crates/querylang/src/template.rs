//! Payload templates: a JSON value in which every key that ends in `.$` is
//! replaced by what its expression yields. Strings elsewhere, array elements
//! included, are text and never evaluated.

use crate::expression::not_found;
use crate::value::{MAX_WEIGHT, weight};
use crate::{EvaluationError, Expression, Scope, SyntaxError};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A `.$` key that does not hold a path or an intrinsic call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The object that holds the key: `""` for the template itself, `/a`,
    /// `/list[0]/b`.
    pub location: String,
    /// The key, with its `.$`.
    pub key: String,
    /// What is wrong with it.
    pub reason: SyntaxError,
}

/// A compiled payload template.
///
/// ```
/// use serde_json::{Value, json};
/// use stepwright_querylang::{Environment, Scope, Template};
///
/// # struct World(Value);
/// # impl Environment for World {
/// #     fn context(&self) -> &Value { &self.0 }
/// #     fn variable(&self, _name: &str) -> Option<&Value> { None }
/// #     fn random(&self) -> u64 { 4 }
/// # }
/// # let world = World(json!({}));
/// let template = Template::compile(&json!({"id.$": "$.order", "kind": "$.not.a.path"})).unwrap();
/// let input = json!({"id": 7});
/// let scope = Scope { input: &input, environment: &world };
/// assert_eq!(
///     template.evaluate(&scope).unwrap_err().message,
///     "The JSONPath '$.order' specified for the field 'id.$' could not be found in the input \
///      '{\"id\":7}'",
/// );
///
/// let errors = Template::compile(&json!({"list": [{"a.$": "no path"}]})).unwrap_err();
/// assert_eq!((errors[0].location.as_str(), errors[0].key.as_str()), ("/list[0]", "a.$"));
/// ```
#[derive(Debug, Clone)]
pub struct Template {
    node: Node,
}

#[derive(Debug, Clone)]
enum Node {
    Literal(Value),
    Object(Vec<(String, Member)>),
    Array(Vec<Node>),
}

#[derive(Debug, Clone)]
enum Member {
    Node(Node),
    /// The key as written, with `.$`, for error texts.
    Expression(String, Expression),
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// Every `.$` key whose value is not a string with a path or a call.
    pub fn compile(value: &Value) -> Result<Self, Vec<TemplateError>> {
        let mut errors = Vec::new();
        let node = compile(value, &mut String::new(), &mut errors);
        if errors.is_empty() { Ok(Self { node }) } else { Err(errors) }
    }

    /// The payload.
    ///
    /// # Errors
    /// The first failing expression.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        evaluate(&self.node, scope, &mut 0)
    }

    /// The variables it reads: distinct, sorted.
    #[must_use]
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        collect(&self.node, &mut names);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether nothing in it is evaluated.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(self.node, Node::Literal(_))
    }
}

fn compile(value: &Value, location: &mut String, errors: &mut Vec<TemplateError>) -> Node {
    let length = location.len();
    match value {
        Value::Object(fields) => {
            let mut members = Vec::with_capacity(fields.len());
            for (key, value) in fields {
                if let Some(name) = key.strip_suffix(".$") {
                    match expression(fields, name, value) {
                        Ok(expression) => {
                            let member = Member::Expression(key.clone(), expression);
                            members.push((name.to_owned(), member));
                        }
                        Err(reason) => {
                            errors.push(TemplateError { location: location.clone(), key: key.clone(), reason });
                        }
                    }
                } else {
                    location.push('/');
                    location.push_str(key);
                    members.push((key.clone(), Member::Node(compile(value, location, errors))));
                    location.truncate(length);
                }
            }
            if members.iter().all(|(_, member)| matches!(member, Member::Node(Node::Literal(_)))) {
                return Node::Literal(value.clone());
            }
            Node::Object(members)
        }
        Value::Array(elements) => {
            let mut nodes = Vec::with_capacity(elements.len());
            for (index, element) in elements.iter().enumerate() {
                location.push_str(&format!("[{index}]"));
                nodes.push(compile(element, location, errors));
                location.truncate(length);
            }
            if nodes.iter().all(|node| matches!(node, Node::Literal(_))) {
                return Node::Literal(value.clone());
            }
            Node::Array(nodes)
        }
        _ => Node::Literal(value.clone()),
    }
}

fn expression(fields: &Map<String, Value>, name: &str, value: &Value) -> Result<Expression, SyntaxError> {
    if fields.contains_key(name) {
        return Err(SyntaxError::new(0, format!("The field '{name}' is there as well")));
    }
    let text = value.as_str().ok_or_else(|| SyntaxError::new(0, "The value must be a string"))?;
    Expression::parse(text)
}

/// `total` is the weight of what has been built so far.
fn evaluate(node: &Node, scope: &Scope<'_>, total: &mut usize) -> Result<Value, EvaluationError> {
    Ok(match node {
        Node::Literal(value) => value.clone(),
        Node::Array(nodes) => nodes.iter().map(|node| evaluate(node, scope, total)).collect::<Result<Value, _>>()?,
        Node::Object(members) => {
            let mut object = Map::with_capacity(members.len());
            for (name, member) in members {
                let value = match member {
                    Member::Node(node) => evaluate(node, scope, total)?,
                    Member::Expression(key, expression) => field(key, expression, scope, total)?,
                };
                object.insert(name.clone(), value);
            }
            Value::Object(object)
        }
    })
}

/// The value of one `.$` key.
fn field(key: &str, expression: &Expression, scope: &Scope<'_>, total: &mut usize) -> Result<Value, EvaluationError> {
    let value = match expression {
        Expression::Path(path) => match path.resolve(scope) {
            Ok(value) => value,
            // AWS: measured. A missing property fails, a short array does not.
            Err(miss) if path.is_past_end(&miss) => Cow::Owned(Value::Null),
            Err(_) => return Err(not_found(path, key, scope)),
        },
        Expression::Call(call) => Cow::Owned(call.evaluate(scope)?),
    };
    *total += weight(&value, MAX_WEIGHT);
    if *total > MAX_WEIGHT {
        return Err(EvaluationError::runtime(format!(
            "The payload grows above {MAX_WEIGHT} bytes with the field '{key}'"
        )));
    }
    Ok(value.into_owned())
}

fn collect<'t>(node: &'t Node, names: &mut Vec<&'t str>) {
    match node {
        Node::Literal(_) => {}
        Node::Array(nodes) => nodes.iter().for_each(|node| collect(node, names)),
        Node::Object(members) => {
            for (_, member) in members {
                match member {
                    Member::Node(node) => collect(node, names),
                    Member::Expression(_, expression) => names.extend(expression.variables()),
                }
            }
        }
    }
}
