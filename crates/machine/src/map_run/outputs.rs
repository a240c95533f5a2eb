//! The results of a map run as the state's own: an array that grows child by child and is refused as soon as it is larger
//! than a payload may be.

use std::sync::Arc;

use serde_json::Value;

use super::{MapRunPlan, ResultTransformation};
use crate::{
    error_handling::{text_too_deep, too_large},
    execution::Limits,
    history::Failure,
};

/// The results so far.
#[derive(Clone, Debug)]
pub struct Outputs {
    text: String,
    flattens: bool,
    discards: bool,
    limit: usize,
    state_name: Arc<str>,
}

impl Outputs {
    /// Of a run that has no results yet.
    #[must_use]
    pub fn new(plan: &MapRunPlan, limits: &Limits) -> Self {
        let limit = match limits.payload_bytes {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        let flattens = plan.shape.transformation == ResultTransformation::Flatten;
        let (discards, state_name) = (plan.discards, Arc::clone(&plan.state_name));
        Self { text: "[".to_owned(), flattens, discards, limit, state_name }
    }

    /// Takes the next result: the output of a child, JSON text, or all that is known of it where the plan wants that
    /// ([`ResultTransformation::None`]). Of an array that is flattened, the elements.
    ///
    /// # Errors
    /// They are too large together, or this one can't be read. What comes after is of no use then.
    pub fn push(&mut self, output: &str) -> Result<(), Failure> {
        if self.discards {
            return Ok(());
        }
        let value = serde_json::from_str(output).map_err(|error| Failure {
            error: Some("States.Runtime".into()),
            cause: Some(
                format!("The output of a child of the Map state '{}' can't be read: {error}", self.state_name).into(),
            ),
        })?;
        match value {
            Value::Array(elements) if self.flattens => {
                for element in &elements {
                    self.add(&element.to_string())?;
                }
                Ok(())
            }
            value => self.add(&value.to_string()),
        }
    }

    fn add(&mut self, element: &str) -> Result<(), Failure> {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(element);
        if self.text.len() >= self.limit { Err(self.too_large()) } else { Ok(()) }
    }

    fn too_large(&self) -> Failure {
        too_large(&self.state_name).failure
    }

    /// The state's result, JSON text.
    ///
    /// # Errors
    /// It is too large or nested too deep.
    pub fn end(mut self) -> Result<Arc<str>, Failure> {
        self.text.push(']');
        if self.text.len() > self.limit {
            return Err(self.too_large());
        }
        text_too_deep(&self.text)?;
        Ok(self.text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::Outputs;
    use crate::{
        execution::Limits,
        map_run::{MapRunPlan, ResultFormat, ResultShape, ResultTransformation, tests::plan},
    };

    fn outputs(transformation: ResultTransformation, limit: u64) -> Outputs {
        let mut plan = plan();
        plan.shape = ResultShape { transformation, format: ResultFormat::Json };
        Outputs::new(&plan, &Limits { payload_bytes: limit, ..Limits::AWS })
    }

    #[track_caller]
    fn check(transformation: ResultTransformation, results: &[&str], expected: &str) {
        let mut outputs = outputs(transformation, 0);
        for result in results {
            outputs.push(result).expect("fits");
        }
        assert_eq!(outputs.end().as_deref(), Ok(expected));
    }

    #[test]
    fn an_array_in_their_order() {
        check(ResultTransformation::Compact, &[], "[]");
        check(ResultTransformation::Compact, &["1", "[2, 3]", "{\"a\": null}"], "[1,[2,3],{\"a\":null}]");
        check(ResultTransformation::None, &["{\"Status\":\"SUCCEEDED\"}"], "[{\"Status\":\"SUCCEEDED\"}]");
        check(ResultTransformation::Flatten, &["1", "[2, [3]]", "[]", "\"[\""], "[1,2,[3],\"[\"]");
    }

    #[test]
    fn refused_as_soon_as_it_is_too_large() {
        let mut fits = outputs(ResultTransformation::Compact, 7);
        fits.push("[ 1 ]").and_then(|()| fits.push("2")).expect("fits without blanks");
        assert_eq!(fits.end().as_deref(), Ok("[[1],2]"));
        let mut exceeds = outputs(ResultTransformation::Compact, 6);
        exceeds.push("[1]").expect("fits");
        let failure = exceeds.push("2").expect_err("does not fit");
        assert_eq!(failure.error.as_deref(), Some("States.DataLimitExceeded"));
        assert!(failure.cause.expect("a cause").contains("'M'"));
        assert!(outputs(ResultTransformation::Compact, 1).end().is_err());
    }

    #[test]
    fn what_nobody_reads_is_not_put_together() {
        let mut discarded = Outputs::new(&MapRunPlan { discards: true, ..plan() }, &Limits::AWS);
        for _ in 0..3 {
            discarded.push(&format!("\"{}\"", "x".repeat(200_000))).expect("is never too large");
        }
        assert_eq!(discarded.end().as_deref(), Ok("[]"));
    }
}
