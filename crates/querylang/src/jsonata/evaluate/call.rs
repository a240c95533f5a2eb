//! Calls: of what is written in the expression, and of any function value.
//!
//! A call that ends a lambda is handed back to whoever called the lambda, so
//! that recursion there needs no stack.

use super::normal;
use crate::jsonata::compile::{Call, Kind as NodeKind, Node, Reference};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::frame::Frame;
use crate::jsonata::function::{Builtin, Closure, Function, FunctionKind};
use crate::jsonata::value::{Array, Value};
use std::rc::Rc;

/// What the body of a lambda comes to.
enum Outcome {
    Value(Value),
    /// A function to call in its place: with the place for errors, and the name.
    Tail(Rc<Function>, Vec<Value>, Option<u32>),
}

impl Context<'_> {
    /// A call as it is written; `first` is an argument that comes before the others.
    pub(super) fn call(
        &mut self,
        node: &Node,
        call: &Call,
        input: &Value,
        frame: &Rc<Frame>,
        first: Option<Value>,
    ) -> Result<Value, Error> {
        if let (NodeKind::Variable(reference), true) = (&call.procedure.kind, call.procedure.plain)
            && let Some(builtin) = self.unbound_builtin(reference, frame)
        {
            let arguments = self.arguments(call, input, frame, first)?;
            if let (Some(scopes), true) = (&call.scopes, builtin.name == "eval") {
                self.caller = Some((scopes.clone(), Rc::clone(frame), input.clone()));
            }
            return self.run_builtin(builtin, arguments, input).map_err(|error| placed(error, node, call));
        }
        let procedure = self.evaluate(&call.procedure, input, frame)?;
        if procedure.is_undefined()
            && let Some(error) = self.forgot_dollar("T1005", node, call, frame)
        {
            return Err(error);
        }
        let arguments = self.arguments(call, input, frame, first)?;
        let Value::Function(function) = procedure else {
            return Err(placed(Error::new("T1006"), node, call));
        };
        self.invoke(function, arguments, input).map_err(|error| placed(error, node, call))
    }

    /// The language's function that a variable names, if nothing binds it.
    fn unbound_builtin(&mut self, reference: &Reference, frame: &Rc<Frame>) -> Option<&'static Builtin> {
        let builtin = reference.builtin?;
        self.bound(reference, frame).is_none().then_some(builtin)
    }

    fn arguments(
        &mut self,
        call: &Call,
        input: &Value,
        frame: &Rc<Frame>,
        first: Option<Value>,
    ) -> Result<Vec<Value>, Error> {
        self.steps(call.arguments.len() as u64 / 4)?;
        let mut arguments = Vec::with_capacity(call.arguments.len() + usize::from(first.is_some()));
        arguments.extend(first);
        for argument in &call.arguments {
            arguments.push(self.evaluate(argument, input, frame)?);
        }
        Ok(arguments)
    }

    /// The error for a field that is called, where a variable of that name exists.
    fn forgot_dollar(&mut self, code: &'static str, node: &Node, call: &Call, frame: &Rc<Frame>) -> Option<Error> {
        let reference = call.forgot_dollar.as_ref()?;
        let meant = self.variable(reference, frame);
        let meant = self.truth(&meant).unwrap_or(false) || meant.as_function().is_some();
        meant.then(|| Error::new(code).at(node.position).with_token(call.name.as_deref().unwrap_or_default()))
    }

    /// `f(?, 1)`
    pub(super) fn partial(
        &mut self,
        node: &Node,
        call: &Call,
        input: &Value,
        frame: &Rc<Frame>,
    ) -> Result<Value, Error> {
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            arguments.push(match argument.kind {
                NodeKind::Placeholder => None,
                _ => Some(self.evaluate(argument, input, frame)?),
            });
        }
        let procedure = self.evaluate(&call.procedure, input, frame)?;
        if procedure.is_undefined()
            && let Some(error) = self.forgot_dollar("T1007", node, call, frame)
        {
            return Err(error);
        }
        let Value::Function(function) = procedure else {
            let token = call.name.as_deref().unwrap_or_default();
            return Err(Error::new("T1008").at(node.position).with_token(token));
        };
        if matches!(function.kind, FunctionKind::Lambda(_) | FunctionKind::Partial(..)) {
            arguments.truncate(function.arity());
        }
        self.charge(arguments.len() * size_of::<Option<Value>>())?;
        self.function(Function::new(FunctionKind::Partial(function, arguments)))
    }

    pub(super) fn compose(&mut self, first: Rc<Function>, second: Rc<Function>) -> Result<Value, Error> {
        self.function(Function::new(FunctionKind::Composition(first, second)))
    }

    /// Calls a function with these arguments.
    ///
    /// # Errors
    /// Whatever the function answers, and T0410 to T0412 if its signature
    /// refuses the arguments.
    pub fn apply(&mut self, function: &Rc<Function>, arguments: Vec<Value>) -> Result<Value, Error> {
        self.invoke(Rc::clone(function), arguments, &Value::Null)
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
        let mut arguments = Vec::with_capacity(arity.clamp(1, 3));
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

    /// Calls a function, and then what it ends with calling, and so on. `item`
    /// stands in for arguments that signatures take from the context.
    fn invoke(&mut self, function: Rc<Function>, arguments: Vec<Value>, item: &Value) -> Result<Value, Error> {
        self.guard()?;
        let mut outcome = self.invoke_once(&function, arguments, item)?;
        // What was called must live until its body has come to its end.
        drop(function);
        loop {
            match outcome {
                Outcome::Value(value) => return Ok(value),
                Outcome::Tail(function, arguments, position) => {
                    self.steps(1)?;
                    outcome = self.invoke_once(&function, arguments, item).map_err(|error| match position {
                        Some(position) => error.at(position),
                        None => error,
                    })?;
                }
            }
        }
    }

    fn run_builtin(
        &mut self,
        builtin: &'static Builtin,
        mut arguments: Vec<Value>,
        item: &Value,
    ) -> Result<Value, Error> {
        self.guard()?;
        if let Some(signature) = builtin.parsed_signature() {
            self.steps(signature.work(&arguments))?;
            arguments = signature.validate(arguments, item)?;
        }
        builtin.run(self, arguments)
    }

    fn invoke_once(&mut self, function: &Function, arguments: Vec<Value>, item: &Value) -> Result<Outcome, Error> {
        let value = match &function.kind {
            FunctionKind::Lambda(closure) => {
                let arguments = match &closure.lambda.signature {
                    Some(signature) => {
                        self.steps(signature.work(&arguments))?;
                        signature.validate(arguments, item)?
                    }
                    None => arguments,
                };
                return self.run_lambda(closure, arguments);
            }
            FunctionKind::Builtin(builtin) => self.run_builtin(builtin, arguments, item)?,
            FunctionKind::Partial(inner, given) => {
                let mut rest = arguments.into_iter();
                let mut arguments: Vec<Value> = given
                    .iter()
                    .map(|argument| argument.clone().unwrap_or_else(|| rest.next().unwrap_or_default()))
                    .collect();
                if let FunctionKind::Lambda(closure) = &inner.kind {
                    return self.run_lambda(closure, arguments);
                }
                while arguments.last().is_some_and(Value::is_undefined) {
                    arguments.pop();
                }
                self.apply(inner, arguments)?
            }
            FunctionKind::Composition(first, second) => {
                let argument = arguments.into_iter().next().unwrap_or_default();
                let value = self.apply(first, vec![argument])?;
                return Ok(Outcome::Tail(Rc::clone(second), vec![normal(value)], None));
            }
            FunctionKind::Regex(regex) => self.call_regex(regex, &arguments)?,
            FunctionKind::Next(regex, text, from) => self.next_match(regex, text, *from, false)?,
            FunctionKind::Transform(transform, frame) => {
                let input = arguments.into_iter().next().unwrap_or_default();
                self.transform(transform, input, frame)?
            }
        };
        Ok(Outcome::Value(value))
    }

    fn run_lambda(&mut self, closure: &Closure, arguments: Vec<Value>) -> Result<Outcome, Error> {
        let lambda = &closure.lambda;
        self.steps(2)?;
        let frame = self.frame(&lambda.scope, &closure.frame)?;
        let mut arguments = arguments.into_iter();
        for slot in &lambda.slots {
            frame.set(*slot, arguments.next().unwrap_or_default());
        }
        let depth = self.depth;
        let outcome = self.body(&lambda.body, &closure.item, &frame)?;
        self.depth = depth;
        self.release(frame);
        Ok(outcome)
    }

    /// The body of a lambda, down to the call that it ends with.
    fn body(&mut self, node: &Node, input: &Value, frame: &Rc<Frame>) -> Result<Outcome, Error> {
        if !node.plain {
            return self.evaluate(node, input, frame).map(Outcome::Value);
        }
        match &node.kind {
            NodeKind::Condition(both, otherwise) => {
                self.enter()?;
                let condition = self.evaluate(&both[0], input, frame)?;
                if self.truth(&condition)? {
                    return self.body(&both[1], input, frame);
                }
                match otherwise {
                    Some(otherwise) => self.body(otherwise, input, frame),
                    None => Ok(Outcome::Value(Value::Undefined)),
                }
            }
            NodeKind::Block(items, scope) => {
                self.enter()?;
                self.steps(items.len() as u64)?;
                let Some((last, others)) = items.split_last() else { return Ok(Outcome::Value(Value::Undefined)) };
                let own = scope.as_ref().map(|scope| self.frame(scope, frame)).transpose()?;
                let frame = own.as_ref().unwrap_or(frame);
                for item in others {
                    self.evaluate(item, input, frame)?;
                }
                let outcome = self.body(last, input, frame);
                if let Some(own) = own {
                    self.release(own);
                }
                outcome
            }
            NodeKind::Call(call) if call.tail => self.tail(node, call, input, frame),
            _ => self.evaluate(node, input, frame).map(Outcome::Value),
        }
    }

    /// The call that a lambda ends with, not made yet.
    fn tail(&mut self, node: &Node, call: &Call, input: &Value, frame: &Rc<Frame>) -> Result<Outcome, Error> {
        let is_builtin = match (&call.procedure.kind, call.procedure.plain) {
            (NodeKind::Variable(reference), true) => self.unbound_builtin(reference, frame).is_some(),
            _ => false,
        };
        if is_builtin {
            // It cannot grow the stack, so it may as well be made here.
            return self.evaluate(node, input, frame).map(Outcome::Value);
        }
        let procedure = self.evaluate(&call.procedure, input, frame)?;
        if procedure.is_undefined()
            && let Some(error) = self.forgot_dollar("T1005", node, call, frame)
        {
            return Err(error);
        }
        let arguments = self.arguments(call, input, frame, None)?;
        match procedure {
            Value::Function(function) => Ok(Outcome::Tail(function, arguments, Some(call.procedure.position))),
            _ => Err(placed(Error::new("T1006"), node, call)),
        }
    }
}

/// Adds where the call is, and what it calls. The outermost call counts, as the
/// reference has it.
fn placed(error: Error, node: &Node, call: &Call) -> Error {
    let mut error = error.at(node.position);
    if let Some(name) = &call.name {
        error.set_token_if_none(name);
    }
    error
}
