//! Identities inside one execution, and of executions. Plain numbers with names; nothing here allocates them.

use serde::{Deserialize, Serialize};

/// Milliseconds since the epoch, UTC.
pub type Millis = i64;

/// A history event's number in its execution: 1, 2, 3, … without gaps.
pub type EventId = u64;

/// A turn's number in its execution: 1 for the turn that starts it.
pub type TurnId = u32;

/// An execution's internal identity: time-ordered, unique in the store. The engine allocates it; its bits are:
/// 48 bits milliseconds of the start, 16 bits partition hash of (machine ARN, execution name), 64 bits unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecutionId(pub u128);

impl ExecutionId {
    /// The identity with these parts. `started_at` must not be negative.
    #[must_use]
    pub fn new(started_at: Millis, partition: u16, unique: u64) -> Self {
        let millis = u64::try_from(started_at).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
        Self((u128::from(millis) << 80) | (u128::from(partition) << 64) | u128::from(unique))
    }

    /// When the execution started.
    #[must_use]
    pub fn started_at(self) -> Millis {
        (self.0 >> 80) as Millis
    }

    /// The hash of (machine ARN, execution name) that decides who owns the execution.
    #[must_use]
    pub fn partition(self) -> u16 {
        (self.0 >> 64) as u16
    }

    /// Sixteen bytes that sort as the identity does.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The identity from [`Self::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// A frame's number in its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrameId(pub u32);

impl FrameId {
    /// The frame of the execution itself.
    pub const ROOT: FrameId = FrameId(0);
}

/// One attempt at a Task state: the frame it runs in and a number that is never used twice in the execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId {
    /// The frame that waits for the task.
    pub frame: FrameId,
    /// The number.
    pub number: u32,
}

/// One timer of an execution: the frame it belongs to and a number that is never used twice in the execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimerId {
    /// The frame that waits for the timer.
    pub frame: FrameId,
    /// The number.
    pub number: u32,
}
