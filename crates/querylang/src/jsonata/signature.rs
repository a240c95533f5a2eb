//! Signatures of functions: `<s-nn?:s>`, parsed and applied to arguments.

use super::error::Error;

/// A parsed signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) text: String,
}

impl Signature {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self { text: text.to_owned() })
    }
}
