//! Where in a dataset to read on, as bytes that the engine keeps. What an older build wrote can still be read: members
//! are only ever added.

use serde::{Deserialize, Serialize};
use stepwright_engine::datasets;
use stepwright_items::{Compression, Mark};

use crate::objects::ObjectError;

/// A place between two items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Position {
    /// Files of a manifest that were read to their ends.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) files: u64,
    /// The key of a list up to which everything was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    /// The entity tag of the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifest: Option<String>,
    /// The file that is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<InFile>,
    /// Bytes of the files that were read.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) bytes: u64,
}

/// A place between two items of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct InFile {
    /// Its key, where it is one of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// Its entity tag: the place is one in this file and in no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// `gzip`, `zstd`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compression: Option<Compressed>,
    /// The place in the text; of rows that are no text, only how many lie before.
    pub(super) mark: Mark,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compressed {
    Gzip,
    Zstd,
}

impl From<Compression> for Compressed {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

impl From<Compressed> for Compression {
    fn from(compressed: Compressed) -> Self {
        match compressed {
            Compressed::Gzip => Self::Gzip,
            Compressed::Zstd => Self::Zstd,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Position {
    pub(super) fn read(position: &datasets::Position) -> Result<Self, ObjectError> {
        if position.0.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&position.0)
            .map_err(|error| ObjectError(format!("The place in the dataset can't be read back: {error}")))
    }

    pub(super) fn write(&self) -> datasets::Position {
        // Writing texts and numbers into memory can't fail; and no position means the beginning, which is never right
        // here, so that it would be noticed.
        datasets::Position(serde_json::to_vec(self).unwrap_or_else(|_| b"?".to_vec()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back() {
        let check = |position: &Position| assert_eq!(Position::read(&position.write()).as_ref(), Ok(position));
        check(&Position::default());
        let file = InFile {
            key: Some("k".to_owned()),
            etag: Some("\"e\"".to_owned()),
            compression: Some(Compressed::Zstd),
            mark: Mark::default(),
        };
        check(&Position {
            files: 3,
            after: Some("a".to_owned()),
            manifest: Some("m".to_owned()),
            file: Some(file),
            bytes: 9,
        });
        assert!(Position::read(&datasets::Position(b"?".as_slice().into())).is_err());
    }
}
