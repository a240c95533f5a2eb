//! Objects outside, of whatever store: read by ranges, listed by pages, written in parts. A reader holds a piece at a
//! time, a writer a part; every request ends in bounded time. Nothing here knows what an object holds.

mod folder;
mod places;
mod s3;
mod store;
mod writer;

use std::{fmt, sync::Arc};

use bytes::Bytes;

pub use self::{
    folder::Folder,
    places::{Behalf, Location, Places},
    s3::{S3, S3Client},
    store::CloudStore,
    writer::ObjectWriter,
};

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bucket, as the state names it.
    pub bucket: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// The version, where one is asked for.
    pub version: Option<Arc<str>>,
    /// The account that must own the bucket.
    pub owner: Option<Arc<str>>,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.bucket.contains("://") { "" } else { "s3://" };
        write!(f, "{scheme}{}/{}", self.bucket, self.key)
    }
}

/// A piece of an object.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The bytes; fewer than were asked for only at the object's end.
    pub bytes: Bytes,
    /// How long the object is.
    pub total: u64,
    /// By what it is told from what it was or will be.
    pub etag: Option<Arc<str>>,
}

/// What is listed.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The bucket.
    pub bucket: Arc<str>,
    /// What keys begin with.
    pub prefix: Arc<str>,
    /// The account that must own the bucket.
    pub owner: Option<Arc<str>>,
}

/// An object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Its entity tag, with quotation marks.
    pub etag: String,
    /// When it was last changed, in seconds since 1970.
    pub modified: i64,
    /// Bytes.
    pub size: u64,
    /// `STANDARD`
    pub storage_class: String,
}

/// A page of a list, in the order of keys.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Listed>,
    /// Nothing comes after.
    pub is_end: bool,
}

/// Why an object can't be read or written: what a person should know, in the words of AWS's client where it is its
/// store that refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ObjectError(pub String);

impl ObjectError {
    pub(crate) fn changed(object: &Object) -> Self {
        Self(format!("The object {object} was changed while it was being read."))
    }

    pub(crate) fn missing() -> Self {
        Self("The specified key does not exist.".to_owned())
    }
}

/// Where the objects of a bucket are.
#[derive(Clone, Debug)]
pub enum Place {
    /// S3, or what speaks like it.
    S3(S3),
    /// A folder of this machine.
    Folder(Folder),
    /// Google Cloud Storage or Azure Blob Storage.
    Cloud(CloudStore),
}

impl Place {
    /// Reads a range. With `if_match`, an object that has another entity tag is an error.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn read(
        &self,
        object: &Object,
        start: u64,
        length: usize,
        if_match: Option<&str>,
    ) -> Result<Piece, ObjectError> {
        let piece = match self {
            Self::S3(place) => place.read(object, start, length, if_match).await,
            Self::Folder(place) => place.read(object, start, length).await,
            Self::Cloud(place) => place.read(object, start, length, if_match).await,
        }?;
        // Not every store heeds a condition.
        if if_match.is_some_and(|wanted| piece.etag.as_deref().is_some_and(|etag| etag != wanted)) {
            return Err(ObjectError::changed(object));
        }
        let expected = piece.total.saturating_sub(start).min(length as u64);
        if piece.bytes.len() as u64 != expected {
            let held = piece.bytes.len();
            return Err(ObjectError(format!(
                "{object}: {held} bytes came where {expected} were due, at byte {start}."
            )));
        }
        Ok(piece)
    }

    /// Lists objects whose keys come after `after`.
    ///
    /// # Errors
    /// They can't be listed.
    pub async fn list(&self, query: &ListQuery, after: Option<&str>) -> Result<Page, ObjectError> {
        match self {
            Self::S3(place) => place.list(query, after).await,
            Self::Folder(place) => place.list(query, after).await,
            Self::Cloud(place) => place.list(query, after).await,
        }
    }
}
