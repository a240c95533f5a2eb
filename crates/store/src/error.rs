//! What can go wrong in a store, with a kind to branch on. A message names the thing, the value,
//! the rule and the way out; it never guesses that data is fine.

use std::path::{Path, PathBuf};

/// What kind of failure an [`Error`] is: decides what the caller may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No room for the commit. Nothing was written and nothing changed; retry later.
    Full,
    /// A write or sync failed, so the outcome of the commit is unknown. Fatal for this opening
    /// of the store: it takes no more commits and must be opened again.
    Failed,
    /// Stored data is not what was written.
    Corrupt,
    /// Another process has the data directory open.
    Locked,
    /// The data was written by a newer version.
    NewerFormat,
    /// A key or value over the limits; nothing was written.
    Invalid,
    /// The store was closed.
    Closed,
    /// Any other failure of the operating system or the index, outside of a commit.
    Io,
}

/// A failure of a store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// See [`ErrorKind::Full`].
    #[error(
        "the disk under {} is full: {needed} bytes of log could not be reserved ({reason}); \
         nothing was changed; free some space and the store takes commits again", dir.display()
    )]
    Full {
        /// The data directory.
        dir: PathBuf,
        /// How many bytes were to be reserved.
        needed: u64,
        /// What the operating system said.
        reason: String,
    },
    /// See [`ErrorKind::Failed`].
    #[error(
        "{action} {} failed ({reason}); whether the last commits are durable is unknown, so the \
         store takes no more of them: open it again", file.display()
    )]
    Failed {
        /// What was being done, such as `writing`.
        action: &'static str,
        /// The file it was done to.
        file: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// See [`ErrorKind::Corrupt`].
    #[error(
        "{} is damaged at byte {offset}: {reason}; the data directory is refused and was not \
         changed: restore it from a backup, or look at it with `stepwright check`", file.display()
    )]
    Corrupt {
        /// The damaged (or missing) file.
        file: PathBuf,
        /// Where in the file the damage begins, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// See [`ErrorKind::Locked`].
    #[error(
        "the data directory {} is in use by another process; stop that process or choose another \
         directory", dir.display()
    )]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// See [`ErrorKind::NewerFormat`].
    #[error(
        "the data in {} has format {found}, and this version reads up to format {supported}; run \
         the version that wrote it, or a newer one", dir.display()
    )]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// The format of the data.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// See [`ErrorKind::Invalid`].
    #[error("{reason}")]
    Invalid {
        /// What was wrong with the commit.
        reason: String,
    },
    /// See [`ErrorKind::Closed`].
    #[error("the store is closed; open it again")]
    Closed,
    /// See [`ErrorKind::Io`].
    #[error("{action} {} failed: {reason}", file.display())]
    Io {
        /// What was being done, such as `reading`.
        action: &'static str,
        /// The file or directory it was done to.
        file: PathBuf,
        /// What the operating system or the index said.
        reason: String,
    },
}

impl Error {
    /// The kind to branch on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Full { .. } => ErrorKind::Full,
            Error::Failed { .. } => ErrorKind::Failed,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Locked { .. } => ErrorKind::Locked,
            Error::NewerFormat { .. } => ErrorKind::NewerFormat,
            Error::Invalid { .. } => ErrorKind::Invalid,
            Error::Closed => ErrorKind::Closed,
            Error::Io { .. } => ErrorKind::Io,
        }
    }

    /// Damage in `file` at `offset`. Also for the readers of rows: `file` then names the table.
    pub fn corrupt(file: impl AsRef<Path>, offset: u64, reason: impl Into<String>) -> Error {
        Error::Corrupt { file: file.as_ref().to_path_buf(), offset, reason: reason.into() }
    }

    pub(crate) fn invalid(reason: String) -> Error {
        Error::Invalid { reason }
    }
}
