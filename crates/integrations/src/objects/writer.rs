//! Writes an object of any length, holding a part of it. What fails, or is dropped, leaves nothing that can be seen.

use bytes::Bytes;

use super::{Object, ObjectError, Place, folder, s3, store};

/// Bytes of a part: what S3 demands at least, and so much that ten thousand parts hold the largest file of results.
const PART_BYTES: usize = 8 << 20;

/// An object that is being written.
#[derive(Debug)]
pub struct ObjectWriter {
    place: Place,
    object: Object,
    held: Vec<u8>,
    upload: Option<Upload>,
    written: u64,
}

#[derive(Debug)]
enum Upload {
    S3(s3::Upload),
    Folder(folder::Upload),
    Cloud(store::Upload),
}

impl ObjectWriter {
    /// Begins to write. Nothing is sent before there is a part.
    #[must_use]
    pub fn new(place: Place, object: Object) -> Self {
        Self { place, object, held: Vec::new(), upload: None, written: 0 }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Writes on.
    ///
    /// # Errors
    /// The store refuses. What was sent is given up.
    pub async fn write(&mut self, text: &str) -> Result<(), ObjectError> {
        self.held.extend_from_slice(text.as_bytes());
        self.written += text.len() as u64;
        if self.held.len() >= PART_BYTES {
            let part = std::mem::take(&mut self.held).into();
            let sent = self.send(part).await;
            if sent.is_err() {
                self.abort().await;
            }
            return sent;
        }
        Ok(())
    }

    async fn send(&mut self, part: Bytes) -> Result<(), ObjectError> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(match &self.place {
                Place::S3(place) => Upload::S3(place.begin(&self.object).await?),
                Place::Folder(place) => Upload::Folder(place.begin(&self.object).await?),
                Place::Cloud(place) => Upload::Cloud(place.begin(&self.object).await?),
            }),
        };
        match upload {
            Upload::S3(upload) => upload.part(&self.object, part).await,
            Upload::Folder(upload) => upload.part(part).await,
            Upload::Cloud(upload) => upload.part(part).await,
        }
    }

    /// Writes the rest. The object is there once this succeeded.
    ///
    /// # Errors
    /// The store refuses. What was sent is given up.
    pub async fn finish(mut self) -> Result<u64, ObjectError> {
        let rest: Bytes = std::mem::take(&mut self.held).into();
        // A folder has no other way to make a whole file appear at once.
        if self.upload.is_none() && !matches!(self.place, Place::Folder(_)) {
            match &self.place {
                Place::S3(place) => place.put(&self.object, rest).await?,
                Place::Cloud(place) => place.put(&self.object, rest).await?,
                Place::Folder(_) => {}
            }
            return Ok(self.written);
        }
        let mut done = Ok(());
        if !rest.is_empty() || self.upload.is_none() {
            done = self.send(rest).await;
        }
        if done.is_ok() {
            done = match &mut self.upload {
                Some(Upload::S3(upload)) => upload.complete(&self.object, self.written).await,
                Some(Upload::Folder(upload)) => upload.complete().await,
                Some(Upload::Cloud(upload)) => upload.complete().await,
                None => Ok(()),
            };
        }
        if done.is_err() {
            self.abort().await;
        }
        done.map(|()| self.written)
    }

    /// Gives up what was sent, as far as the store lets it.
    pub async fn abort(&mut self) {
        match self.upload.take() {
            Some(Upload::S3(upload)) => upload.abort(&self.object).await,
            Some(Upload::Cloud(upload)) => upload.abort().await,
            // A file that has not got its name yet goes with its handle.
            Some(Upload::Folder(_)) | None => {}
        }
    }
}
