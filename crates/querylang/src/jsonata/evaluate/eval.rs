//! `$eval`: expressions out of texts.

use crate::jsonata::compile::compile;
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::frame::Frame;
use crate::jsonata::function::Builtin;
use crate::jsonata::parse::parse;
use crate::jsonata::value::{Array, Kind, Value};
use std::rc::Rc;

/// `$eval(text, item?)`
pub(crate) static EVAL: Builtin = Builtin::new("eval", "<sx?:x>", 2, eval);

fn eval(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let (scopes, frame, item) = match context.caller.take() {
        Some(caller) => caller,
        None => (Vec::new(), Rc::new(Frame::new(0, None)), Value::Undefined),
    };
    let Value::String(text) = &arguments[0] else { return Ok(Value::Undefined) };
    let input = match arguments.get(1) {
        Some(Value::Undefined) | None => item,
        Some(Value::Array(array)) if !array.kind.sequence => {
            let kind = Kind { sequence: true, outer_wrapper: true, ..Kind::default() };
            Value::from(Array::new(vec![Value::Array(Rc::clone(array))]).with_kind(kind))
        }
        Some(input) => input.clone(),
    };
    context.steps(text.len() as u64 * 8)?;
    // A tree takes some hundred times the memory of its text.
    context.charge(text.len() * 256)?;
    let mut names = context.external_names();
    let compiled = parse(text, context.library.dialect)
        .and_then(|ast| compile(&ast, context.library, &mut names, &scopes))
        .map_err(|error| within("D3120", error))?;
    context.set_external_names(names);
    let inner = Rc::new(Frame::new(compiled.scope.names.len(), Some(frame)));
    context.evaluate(&compiled.root, &input, &inner).map_err(|error| within("D3121", error))
}

/// The error of what was evaluated as the error of `$eval`; a bound stays a bound.
fn within(code: &'static str, error: Error) -> Error {
    if error.reached_limit().is_some() {
        return error;
    }
    Error::new(code).with_text_value(&error.message())
}
