//! Google Cloud Storage and Azure Blob Storage, through a library that speaks both. Credentials are found as those
//! clouds' own tools find them, in the environment.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::{
    ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _, RetryConfig,
    azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, path::Path,
};

use super::{ListQuery, Listed, Object, ObjectError, Page, Piece};

/// Keys of a page.
const PAGE_KEYS: usize = 1_000;
/// Attempts after the first.
const RETRIES: usize = 4;

/// A bucket of Google Cloud Storage, or a container of Azure Blob Storage.
#[derive(Clone)]
pub struct CloudStore {
    store: Arc<dyn ObjectStore>,
}

impl fmt::Debug for CloudStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloudStore({})", self.store)
    }
}

/// Stores by whether they are of Azure, and by name.
type Stores = HashMap<(bool, String), Arc<dyn ObjectStore>>;

/// A store keeps its connections and tokens, so there is one for each bucket.
static OPEN: Mutex<Option<Stores>> = Mutex::new(None);

impl CloudStore {
    /// A bucket of Google Cloud Storage.
    ///
    /// # Errors
    /// The environment has no credentials that can be used.
    pub fn google(bucket: &str, timeout: Duration) -> Result<Self, ObjectError> {
        Self::open((false, bucket.to_owned()), || {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            Ok(Arc::new(builder.with_retry(retry(timeout)).with_client_options(client(timeout)).build()?))
        })
    }

    /// A container of Azure Blob Storage.
    ///
    /// # Errors
    /// The environment has no account or no credentials that can be used.
    pub fn azure(container: &str, timeout: Duration) -> Result<Self, ObjectError> {
        Self::open((true, container.to_owned()), || {
            let builder = MicrosoftAzureBuilder::from_env().with_container_name(container);
            Ok(Arc::new(builder.with_retry(retry(timeout)).with_client_options(client(timeout)).build()?))
        })
    }

    fn open(
        name: (bool, String),
        build: impl FnOnce() -> object_store::Result<Arc<dyn ObjectStore>>,
    ) -> Result<Self, ObjectError> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        if let Some(store) = open.get(&name) {
            return Ok(Self { store: Arc::clone(store) });
        }
        let store = build().map_err(|error| ObjectError(error.to_string()))?;
        open.insert(name, Arc::clone(&store));
        Ok(Self { store })
    }

    /// Any store of that library.
    #[must_use]
    pub fn of(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    pub(super) async fn read(
        &self,
        object: &Object,
        start: u64,
        length: usize,
        if_match: Option<&str>,
    ) -> Result<Piece, ObjectError> {
        let path = path(object)?;
        let get = |range: Option<GetRange>| {
            let (if_match, version) = (if_match.map(str::to_owned), object.version.as_deref().map(str::to_owned));
            self.store.get_opts(&path, GetOptions { range, if_match, version, ..GetOptions::default() })
        };
        let result = match get(Some(GetRange::Bounded(start..start + length.max(1) as u64))).await {
            Ok(result) => result,
            Err(object_store::Error::Precondition { .. }) => return Err(ObjectError::changed(object)),
            Err(object_store::Error::NotFound { .. }) => return Err(ObjectError::missing()),
            // Nothing is a range of an object without bytes.
            Err(error) if start == 0 => match get(None).await {
                Ok(result) if result.meta.size == 0 => result,
                _ => return Err(ObjectError(error.to_string())),
            },
            Err(error) => return Err(ObjectError(error.to_string())),
        };
        let (total, etag) = (result.meta.size, result.meta.e_tag.as_deref().map(Arc::from));
        let bytes = result.bytes().await.map_err(|error| ObjectError(error.to_string()))?;
        Ok(Piece { bytes, total, etag })
    }

    pub(super) async fn list(&self, query: &ListQuery, after: Option<&str>) -> Result<Page, ObjectError> {
        // Those stores list whole folders; what a key begins with may end in the middle of a name.
        // Keys as they are: `Path::from` would write some of their characters otherwise.
        let parse = |text: &str| Path::parse(text).map_err(|error| ObjectError(error.to_string()));
        let folder = query.prefix.rsplit_once('/').map(|(folder, _)| parse(folder)).transpose()?;
        let mut list = match after {
            Some(after) => self.store.list_with_offset(folder.as_ref(), &parse(after)?),
            None => self.store.list(folder.as_ref()),
        };
        let mut page = Page::default();
        while let Some(found) = list.next().await {
            let found = found.map_err(|error| ObjectError(error.to_string()))?;
            let key = found.location.to_string();
            if !key.starts_with(&*query.prefix) || after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            if page.objects.len() == PAGE_KEYS {
                return Ok(page);
            }
            page.objects.push(Listed {
                key,
                etag: found.e_tag.unwrap_or_default(),
                modified: found.last_modified.timestamp(),
                size: found.size,
                storage_class: "STANDARD".to_owned(),
            });
        }
        page.is_end = true;
        Ok(page)
    }

    pub(super) async fn put(&self, object: &Object, bytes: Bytes) -> Result<(), ObjectError> {
        let done = self.store.put(&path(object)?, bytes.into()).await;
        done.map(drop).map_err(|error| ObjectError(error.to_string()))
    }

    pub(super) async fn begin(&self, object: &Object) -> Result<Upload, ObjectError> {
        let upload = self.store.put_multipart(&path(object)?).await;
        upload.map(Upload).map_err(|error| ObjectError(error.to_string()))
    }
}

/// An upload in parts.
#[derive(Debug)]
pub(super) struct Upload(Box<dyn MultipartUpload>);

impl Upload {
    pub(super) async fn part(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        self.0.put_part(bytes.into()).await.map_err(|error| ObjectError(error.to_string()))
    }

    pub(super) async fn complete(&mut self) -> Result<(), ObjectError> {
        self.0.complete().await.map(drop).map_err(|error| ObjectError(error.to_string()))
    }

    pub(super) async fn abort(mut self) {
        if let Err(error) = self.0.abort().await {
            tracing::warn!(%error, "parts of an upload could not be given up");
        }
    }
}

fn path(object: &Object) -> Result<Path, ObjectError> {
    Path::parse(&*object.key).map_err(|error| ObjectError(error.to_string()))
}

fn retry(timeout: Duration) -> RetryConfig {
    RetryConfig {
        max_retries: RETRIES,
        retry_timeout: timeout.saturating_mul(RETRIES as u32 + 1),
        ..RetryConfig::default()
    }
}

fn client(timeout: Duration) -> ClientOptions {
    ClientOptions::new().with_timeout(timeout).with_connect_timeout(timeout.min(Duration::from_secs(10)))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::objects::{ObjectWriter, Place};

    fn object(key: &str) -> Object {
        Object { bucket: "b".into(), key: key.into(), version: None, owner: None }
    }

    #[tokio::test]
    async fn objects_are_written_read_and_listed() {
        let store = CloudStore::of(Arc::new(InMemory::new()));
        let place = Place::Cloud(store.clone());
        let part = "x".repeat(5 << 20);
        for (key, pieces) in [("a/long", 5), ("a/short", 0), ("a/b/c", 0), ("ab", 0)] {
            let mut writer = ObjectWriter::new(place.clone(), object(key));
            writer.write("begin").await.expect("written");
            for _ in 0..pieces {
                writer.write(&part).await.expect("written");
            }
            assert_eq!(writer.finish().await.expect("finished"), 5 + pieces * part.len() as u64);
        }
        store.put(&object("none"), Bytes::new()).await.expect("written");
        let piece = place.read(&object("a/long"), 3, 4, None).await.expect("a piece");
        assert_eq!((&*piece.bytes, piece.total), (&b"inxx"[..], 5 + (25 << 20)));
        let etag = piece.etag.expect("a tag");
        place.read(&object("a/long"), 0, 4, Some(&etag)).await.expect("the same object");
        let changed = place.read(&object("a/short"), 0, 4, Some("\"other\"")).await.expect_err("another object");
        assert_eq!(changed, ObjectError::changed(&object("a/short")));
        assert_eq!(place.read(&object("gone"), 0, 4, None).await.expect_err("missing"), ObjectError::missing());
        assert_eq!(place.read(&object("none"), 0, 4, None).await.expect("nothing").total, 0);
        let check = async |prefix: &str, after: Option<&str>, expect: &[&str]| {
            let query = ListQuery { bucket: "b".into(), prefix: prefix.into(), owner: None };
            let page = place.list(&query, after).await.expect("a page");
            assert_eq!(
                page.objects.iter().map(|listed| &*listed.key).collect::<Vec<_>>(),
                expect,
                "{prefix} {after:?}"
            );
            assert!(page.is_end);
        };
        check("", None, &["a/b/c", "a/long", "a/short", "ab", "none"]).await;
        check("a/s", None, &["a/short"]).await;
        check("a", Some("a/long"), &["a/short", "ab"]).await;
        check("x", None, &[]).await;
    }
}
