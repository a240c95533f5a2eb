//! Control flow of a turn.

use crate::{effects::Effects, execution::Execution, input::Input};
use stepwright_asl::Definition;

/// One turn: begins a new turn and takes `inputs` in order.
///
/// Panics on a broken invariant; the caller discards the execution's memory and quarantines it.
#[must_use]
pub fn step(definition: &Definition, execution: &mut Execution, inputs: &[Input]) -> Effects {
    execution.head.turn += 1;
    execution.head.turn_payloads = 0;
    step_on(definition, execution, inputs)
}

/// More inputs for the turn that [`step`] began and that is not committed yet: [`Effects::absorb`] joins the two.
#[must_use]
pub fn step_on(_definition: &Definition, _execution: &mut Execution, _inputs: &[Input]) -> Effects {
    Effects::default()
}
