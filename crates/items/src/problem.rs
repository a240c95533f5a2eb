//! What is wrong with a dataset, and where. Names no object: whoever opened it does.

use std::fmt;

/// Why items can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Two columns have the same name (AWS: recorded).
    #[error("CSV headers cannot contain duplicates.")]
    DuplicateHeaders,
    /// What should hold the items is neither an array nor an object (AWS: recorded).
    #[error("Attempting to map over non-iterable node.")]
    NotIterable,
    /// The text breaks a rule of its format.
    #[error("{spot}: {reason}")]
    Broken {
        /// Where.
        spot: Spot,
        /// What is wrong there.
        reason: String,
    },
    /// The object as a whole is not what it should be.
    #[error("{reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
}

impl Problem {
    /// Whether its text is AWS's own, to which nothing may be added.
    #[must_use]
    pub fn is_verbatim(&self) -> bool {
        matches!(self, Self::DuplicateHeaders | Self::NotIterable)
    }

    pub(crate) fn at(spot: Spot, reason: impl Into<String>) -> Self {
        Self::Broken { spot, reason: reason.into() }
    }

    pub(crate) fn unreadable(reason: impl Into<String>) -> Self {
        Self::Unreadable { reason: reason.into() }
    }
}

/// A place in a dataset, as people count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A line, from 1.
    Line(u64),
    /// An item, from 1, and the byte of the text, from 0, at which it begins.
    Item {
        /// Which.
        number: u64,
        /// Where.
        byte: u64,
    },
    /// A byte of the text, from 0.
    Byte(u64),
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Item { number, byte } => write!(f, "item {number}, at byte {byte}"),
            Self::Byte(byte) => write!(f, "byte {byte}"),
        }
    }
}
