//! The faults of a simulated world, by name. Nothing here makes one happen.

use crate::disk::Operation;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A write fails, done in part.
    Write,
    /// A sync fails.
    Sync,
    /// Space cannot be reserved, for a reason other than want of room.
    Reserve,
    /// A file cannot be created, renamed or removed.
    Name,
    /// A directory cannot be synced.
    SyncDir,
    /// A file cannot be read.
    Read,
    /// A checkpoint cannot be written, or is written in part.
    Index,
    /// There is no room from now on.
    Full,
    /// The process ends in the middle of an operation.
    Cut,
    /// The process ends between two steps.
    Kill,
    /// The machine loses its power between two steps.
    Power,
    /// The interpreter breaks.
    Panic,
    /// A connector breaks.
    ConnectorPanic,
    /// The clock is set back.
    ClockBack,
    /// The clock is set forward.
    ClockForward,
    /// A worker's reply is lost: its task was not delivered.
    LostDelivery,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Fault; 16] = [
        Fault::Write,
        Fault::Sync,
        Fault::Reserve,
        Fault::Name,
        Fault::SyncDir,
        Fault::Read,
        Fault::Index,
        Fault::Full,
        Fault::Cut,
        Fault::Kill,
        Fault::Power,
        Fault::Panic,
        Fault::ConnectorPanic,
        Fault::ClockBack,
        Fault::ClockForward,
        Fault::LostDelivery,
    ];

    /// Those of a disk, which strike at its operations.
    pub(crate) const OF_DISK: [Fault; 9] = [
        Fault::Write,
        Fault::Sync,
        Fault::Reserve,
        Fault::Name,
        Fault::SyncDir,
        Fault::Read,
        Fault::Index,
        Fault::Full,
        Fault::Cut,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Write => "write fails",
            Fault::Sync => "sync fails",
            Fault::Reserve => "reserve fails",
            Fault::Name => "create, rename or remove fails",
            Fault::SyncDir => "directory sync fails",
            Fault::Read => "read fails",
            Fault::Index => "index write fails",
            Fault::Full => "disk full",
            Fault::Cut => "cut in an operation",
            Fault::Kill => "process killed",
            Fault::Power => "power cut",
            Fault::Panic => "interpreter panics",
            Fault::ConnectorPanic => "connector panics",
            Fault::ClockBack => "clock set back",
            Fault::ClockForward => "clock set forward",
            Fault::LostDelivery => "delivery lost",
        }
    }

    /// Whether it happens at such an operation.
    pub(crate) fn strikes(self, operation: Operation) -> bool {
        match self {
            Fault::Write => operation == Operation::Write,
            Fault::Sync => operation == Operation::Sync,
            Fault::Reserve => operation == Operation::Reserve,
            Fault::Name => operation == Operation::Name,
            Fault::SyncDir => operation == Operation::SyncDir,
            Fault::Read => operation == Operation::Read,
            Fault::Index => operation == Operation::Index,
            Fault::Full | Fault::Cut => true,
            _ => false,
        }
    }
}
