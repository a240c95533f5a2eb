//! Functions on any value: `$boolean`, `$not`, `$exists`, `$type`, `$error`,
//! `$assert`.

use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::Builtin;
use crate::jsonata::value::Value;

pub(super) static FUNCTIONS: [Builtin; 6] = [
    Builtin::new("boolean", "<x-:b>", 1, boolean),
    Builtin::new("not", "<x-:b>", 1, not),
    Builtin::new("exists", "<x:b>", 1, exists),
    Builtin::new("type", "<x:s>", 1, r#type),
    Builtin::new("error", "<s?:x>", 1, error),
    Builtin::new("assert", "<bs?:x>", 2, assert),
];

fn boolean(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    if arguments[0].is_undefined() {
        return Ok(Value::Undefined);
    }
    Ok(Value::Boolean(super::is_truthy(context, &arguments[0])?))
}

fn not(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    if arguments[0].is_undefined() {
        return Ok(Value::Undefined);
    }
    Ok(Value::Boolean(!super::is_truthy(context, &arguments[0])?))
}

fn exists(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    Ok(Value::Boolean(!arguments[0].is_undefined()))
}

fn r#type(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    context.string(match &arguments[0] {
        Value::Undefined => return Ok(Value::Undefined),
        Value::Null => "null",
        Value::Boolean(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Function(_) => "function",
    })
}

fn error(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    Err(Error::new("D3137").with_message(message(arguments.first(), "$error() function evaluated")))
}

fn assert(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    if matches!(arguments[0], Value::Boolean(true)) {
        return Ok(Value::Undefined);
    }
    Err(Error::new("D3141").with_message(message(arguments.get(1), "$assert() statement failed")))
}

fn message<'a>(argument: Option<&'a Value>, otherwise: &'a str) -> &'a str {
    argument.and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(otherwise)
}
