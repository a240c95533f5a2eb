//! Executions whose outcome is known beforehand come to it: the results of tasks, and those of branches and iterations
//! in the order of the branches and items, whatever happened on the way.

use stepwright_machine::Status;

use super::{Checked, ensure};
use crate::{model::Model, workload::Expectation};

/// A closed execution whose outcome was known beforehand. `stopped`: someone may have ended it, by stopping it or by
/// giving it up when it was in quarantine.
pub(crate) fn expected(model: &Model, expectation: &Expectation, stopped: bool) -> Checked {
    let Some(closing) = &model.execution.head.closing else { return Ok(()) };
    if stopped && matches!(closing.status, Status::Aborted | Status::Failed) {
        return Ok(());
    }
    let seen = closing.output.as_ref().and_then(|output| output.text_if_hydrated());
    let same = seen.is_some_and(|seen| {
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        value(seen) == value(&expectation.output)
    });
    ensure(same && closing.status == Status::Succeeded, "results", &expectation.output, || {
        let (error, cause) = (&closing.error, &closing.cause);
        format!("{} ended with {:?} {seen:?} {error:?} {cause:?}", model.label, closing.status)
    })
}
