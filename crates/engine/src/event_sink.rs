//! Where the events of Express executions go: nothing of them is stored, so whoever is to see them is told at once.
//! The engine tells and forgets; what becomes of the events, and how they are spelled, is the sink's affair.

use std::sync::Arc;

use crate::model::HistoryPage;

/// Is told the events of Express executions whose state machine logs.
///
/// A sink is called on the threads that compute turns, so it must neither wait nor take long: it queues, and drops what
/// it has no room for. The events of one run come in the order of their numbers. An asynchronous execution that a crash
/// interrupted runs again from its beginning, under the same ARN and with events from number 1.
pub trait EventSink: Send + Sync + 'static {
    /// Whether it wants events of state machines with this `loggingConfiguration`, JSON text in its normal form. Asked
    /// once for each revision of a machine.
    fn wants(&self, logging: &str) -> bool;

    /// Takes the events of one turn.
    fn take(&self, events: ExpressEvents);
}

/// Events that one turn of an Express execution wrote, with what is needed to spell and to address them.
#[derive(Clone, Debug)]
pub struct ExpressEvents {
    /// The execution's ARN.
    pub execution_arn: Arc<str>,
    /// The unqualified ARN of its state machine.
    pub state_machine_arn: Arc<str>,
    /// The name of its state machine.
    pub state_machine_name: Arc<str>,
    /// `loggingConfiguration` of the revision that it runs, JSON text.
    pub logging: Arc<str>,
    /// The events, as the page of a history: every payload has its text. `next_token` is none.
    pub page: HistoryPage,
}
