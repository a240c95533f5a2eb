//! Parallel and Map states give the results of their branches in the branches' and of their iterations in the items'
//! order, told from the history alone; and executions whose outcome is known come to it.

use stepwright_machine::Status;

use super::{Checked, ensure};
use crate::{model::Model, workload::Expectation};

/// Events that were appended to an execution's history.
pub(crate) fn appended(_: &Model, _: usize) -> Checked {
    Ok(())
}

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
