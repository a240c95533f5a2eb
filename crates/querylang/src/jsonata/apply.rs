//! Calling functions.

use super::context::Context;
use super::error::Error;
use super::function::{Function, FunctionKind};
use super::value::{Array, Value};
use std::rc::Rc;

impl Context<'_> {
    /// Calls a function with these arguments.
    ///
    /// # Errors
    /// Whatever the function answers, and T0410 to T0412 if its signature
    /// refuses the arguments.
    pub fn apply(&mut self, function: &Rc<Function>, arguments: Vec<Value>) -> Result<Value, Error> {
        match &function.kind {
            FunctionKind::Builtin(builtin) => builtin.run(self, arguments),
            FunctionKind::Regex(_) => Err(Error::new("T1006")),
        }
    }

    /// Calls a function with as many of item, index and whole array as it takes.
    ///
    /// # Errors
    /// As [`Context::apply`].
    pub fn call_with_item(
        &mut self,
        function: &Rc<Function>,
        item: &Value,
        index: usize,
        whole: &Rc<Array>,
    ) -> Result<Value, Error> {
        let arity = function.arity();
        let mut arguments = Vec::with_capacity(3);
        arguments.push(item.clone());
        if arity >= 2 {
            #[expect(clippy::cast_precision_loss, reason = "no array is that long")]
            arguments.push(Value::Number(index as f64));
        }
        if arity >= 3 {
            arguments.push(Value::Array(Rc::clone(whole)));
        }
        self.apply(function, arguments)
    }
}
