//! Operators between two operands.

use crate::jsonata::ast::Operator;
use crate::jsonata::compile::{Kind as NodeKind, Node};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::frame::Frame;
use crate::jsonata::functions;
use crate::jsonata::value::{Array, Value, compare_text};
use std::cmp::Ordering;
use std::rc::Rc;

/// The longest range, as the reference has it.
const MAX_RANGE: f64 = 1e7;

impl Context<'_> {
    pub(super) fn binary(
        &mut self,
        operator: Operator,
        both: &[Node; 2],
        position: u32,
        input: &Value,
        frame: &Rc<Frame>,
    ) -> Result<Value, Error> {
        let failed = |error: Error| error.at(position).with_token(operator.text());
        match operator {
            Operator::And => {
                let left = self.evaluate(&both[0], input, frame)?;
                if !self.truth(&left)? {
                    return Ok(Value::Boolean(false));
                }
                let right = self.evaluate(&both[1], input, frame).map_err(failed)?;
                return self.truth(&right).map(Value::Boolean);
            }
            Operator::Or => {
                let left = self.evaluate(&both[0], input, frame)?;
                if self.truth(&left)? {
                    return Ok(Value::Boolean(true));
                }
                let right = self.evaluate(&both[1], input, frame).map_err(failed)?;
                return self.truth(&right).map(Value::Boolean);
            }
            Operator::Coalesce => {
                let left = self.evaluate(&both[0], input, frame)?;
                return if left.is_undefined() { self.evaluate(&both[1], input, frame) } else { Ok(left) };
            }
            Operator::Default => {
                let left = self.evaluate(&both[0], input, frame)?;
                return if self.truth(&left)? { Ok(left) } else { self.evaluate(&both[1], input, frame) };
            }
            Operator::Apply => return self.apply_operator(both, position, input, frame),
            Operator::Concatenate => return self.concatenate(both, input, frame).map_err(failed),
            _ => {}
        }
        let left = self.evaluate(&both[0], input, frame)?;
        let right = self.evaluate(&both[1], input, frame)?;
        match operator {
            Operator::Equal => self.equal(&left, &right).map(|equal| Value::Boolean(equal == Some(true))),
            Operator::NotEqual => self.equal(&left, &right).map(|equal| Value::Boolean(equal == Some(false))),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                if let (Value::String(left), Value::String(right)) = (&left, &right) {
                    self.compares(left.len().min(right.len()))?;
                }
                compare(operator, &left, &right)
            }
            Operator::In => self.contains(&left, &right),
            Operator::Range => self.range(&left, &right),
            _ => self.arithmetic(operator, &left, &right),
        }
        .map_err(failed)
    }

    fn arithmetic(&mut self, operator: Operator, left: &Value, right: &Value) -> Result<Value, Error> {
        let left_number = self.numeric(left)?;
        if left_number.is_none() && !left.is_undefined() {
            return Err(Error::new("T2001").with_value(left));
        }
        let right_number = self.numeric(right)?;
        if right_number.is_none() && !right.is_undefined() {
            return Err(Error::new("T2002").with_value(right));
        }
        let (Some(left), Some(right)) = (left_number, right_number) else { return Ok(Value::Undefined) };
        Ok(Value::Number(match operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            _ => left % right,
        }))
    }

    /// Whether two values are equal; `None` if one is undefined.
    fn equal(&mut self, left: &Value, right: &Value) -> Result<Option<bool>, Error> {
        if left.is_undefined() || right.is_undefined() {
            return Ok(None);
        }
        match (left, right) {
            (Value::Array(_) | Value::Object(_), Value::Array(_) | Value::Object(_)) => {
                self.steps(u64::from(left.weight().min(right.weight())))?;
            }
            (Value::String(left), Value::String(right)) if left.len() == right.len() => self.compares(left.len())?,
            _ => {}
        }
        Ok(Some(left.equals(right)))
    }

    fn contains(&mut self, left: &Value, right: &Value) -> Result<Value, Error> {
        if left.is_undefined() || right.is_undefined() {
            return Ok(Value::Boolean(false));
        }
        Ok(Value::Boolean(match right {
            Value::Array(array) => {
                self.steps(array.len() as u64)?;
                if let Value::String(text) = left {
                    let alike = |item: &&Value| item.as_str().is_some_and(|item| item.len() == text.len());
                    let candidates = array.iter().filter(alike).count();
                    self.compares(text.len().saturating_mul(candidates))?;
                }
                array.iter().any(|item| item.is_identical(left))
            }
            right => {
                if let (Value::String(left), Value::String(right)) = (left, right)
                    && left.len() == right.len()
                {
                    self.compares(left.len())?;
                }
                right.is_identical(left)
            }
        }))
    }

    fn range(&mut self, left: &Value, right: &Value) -> Result<Value, Error> {
        let integer = |value: &Value, code| match value {
            Value::Undefined => Ok(None),
            Value::Number(number) if number.fract() == 0.0 => Ok(Some(*number)),
            value => Err(Error::new(code).with_value(value)),
        };
        let start = integer(left, "T2003")?;
        let end = integer(right, "T2004")?;
        let (Some(start), Some(end)) = (start, end) else { return Ok(Value::Undefined) };
        if start > end {
            return Ok(Value::Undefined);
        }
        let length = end - start + 1.0;
        if length > MAX_RANGE {
            return Err(Error::new("D2014").with_value(&Value::Number(length)));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 1e7")]
        let count = length as u32;
        self.steps(u64::from(count))?;
        self.charge(count as usize * size_of::<Value>())?;
        let items = (0..count).map(|step| Value::Number(start + f64::from(step))).collect();
        Ok(Value::from(Array::sequence(items)))
    }

    /// `a & b & c` is put together at once.
    fn concatenate(&mut self, both: &[Node; 2], input: &Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        let mut operands = vec![&both[1]];
        let mut left = &both[0];
        while let (true, NodeKind::Binary(Operator::Concatenate, inner)) = (left.plain, &left.kind) {
            operands.push(&inner[1]);
            left = &inner[0];
        }
        operands.push(left);
        let mut text = String::new();
        while let Some(operand) = operands.pop() {
            match self.evaluate(operand, input, frame)? {
                Value::Undefined => {}
                Value::String(part) => {
                    self.charge(part.len())?;
                    text.push_str(&part);
                }
                value => functions::append_text(self, &mut text, &value)?,
            }
        }
        self.string(text)
    }

    fn apply_operator(
        &mut self,
        both: &[Node; 2],
        position: u32,
        input: &Value,
        frame: &Rc<Frame>,
    ) -> Result<Value, Error> {
        let left = self.evaluate(&both[0], input, frame)?;
        if let NodeKind::Call(call) = &both[1].kind {
            return self.call(&both[1], call, input, frame, Some(left));
        }
        let right = self.evaluate(&both[1], input, frame)?;
        let Value::Function(right) = right else {
            return Err(Error::new("T2006").at(position).with_value(&right));
        };
        match left {
            Value::Function(left) => self.compose(left, right),
            left => self.apply(&right, vec![left]),
        }
    }
}

fn compare(operator: Operator, left: &Value, right: &Value) -> Result<Value, Error> {
    let ordering = match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::String(left), Value::String(right)) => Some(compare_text(left, right)),
        _ => {
            let comparable = |value: &Value| matches!(value, Value::Number(_) | Value::String(_));
            let allowed = |value: &Value| comparable(value) || value.is_undefined();
            if !allowed(left) || !allowed(right) {
                let wrong = if comparable(left) { right } else { left };
                return Err(Error::new("T2010").with_value(wrong));
            }
            if left.is_undefined() || right.is_undefined() {
                return Ok(Value::Undefined);
            }
            return Err(Error::new("T2009").with_value(left).with_value2(right));
        }
    };
    Ok(Value::Boolean(match operator {
        Operator::Less => ordering == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => ordering == Some(Ordering::Greater),
        _ => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    }))
}
