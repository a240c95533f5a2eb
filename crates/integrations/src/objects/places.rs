//! Where buckets are: S3 unless the configuration says otherwise. A definition can name a bucket and nothing more; a
//! folder is reached only where the configuration allows it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{CloudStore, Folder, Object, ObjectError, Place, S3, S3Client};

/// On whose behalf objects are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behalf {
    /// The execution's region.
    pub region: Arc<str>,
    /// The execution's account.
    pub account: Arc<str>,
}

/// Where a bucket is, by configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `file:///data/in`
    Folder(PathBuf),
    /// `gs://bucket`
    Google {
        /// The bucket there.
        bucket: String,
    },
    /// `az://container`
    Azure {
        /// The container.
        container: String,
    },
    /// `s3://bucket`
    S3 {
        /// The bucket there.
        bucket: String,
    },
}

impl Location {
    /// Reads a URI.
    ///
    /// # Errors
    /// What it should have been.
    pub fn parse(uri: &str) -> Result<Self, &'static str> {
        const RULE: &str = "must be a URI such as file:///data, gs://bucket, az://container or s3://bucket";
        let (scheme, rest) = uri.split_once("://").ok_or(RULE)?;
        let name = rest.trim_end_matches('/').to_owned();
        if scheme == "file" {
            let path = PathBuf::from(rest);
            return if path.is_absolute() { Ok(Self::Folder(path)) } else { Err("must name an absolute path") };
        }
        if name.is_empty() || name.contains('/') {
            return Err(RULE);
        }
        match scheme {
            "gs" => Ok(Self::Google { bucket: name }),
            "az" => Ok(Self::Azure { container: name }),
            "s3" => Ok(Self::S3 { bucket: name }),
            _ => Err(RULE),
        }
    }
}

/// All places.
#[derive(Clone, Debug)]
pub struct Places {
    s3: S3Client,
    folders: Vec<PathBuf>,
    buckets: BTreeMap<String, Location>,
    timeout: std::time::Duration,
}

impl Places {
    /// Places: buckets that are elsewhere than in S3, and folders that may be named by their own URI.
    #[must_use]
    pub fn new(
        s3: S3Client,
        folders: Vec<PathBuf>,
        buckets: BTreeMap<String, Location>,
        timeout: std::time::Duration,
    ) -> Self {
        Self { s3, folders, buckets, timeout }
    }

    /// The place of a bucket, and the bucket's name there.
    ///
    /// # Errors
    /// It is a folder that is not allowed, or a store that can't be reached as configured.
    pub fn of(&self, bucket: &str, behalf: &Behalf) -> Result<(Place, Arc<str>), ObjectError> {
        if let Some(path) = bucket.strip_prefix("file://") {
            let path = Path::new(path);
            let is_plain = path
                .components()
                .all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_)));
            let allowed = self.folders.iter().find(|folder| path.starts_with(folder));
            return match allowed {
                Some(allowed) if is_plain && path.is_absolute() => {
                    Ok((Place::Folder(Folder::below(allowed, path)), bucket.into()))
                }
                _ => Err(ObjectError(format!(
                    "The folder {bucket} is not one that the server's setting datasets.folders allows."
                ))),
            };
        }
        Ok(match self.buckets.get(bucket) {
            None => (Place::S3(S3::new(self.s3.clone(), behalf.clone())), bucket.into()),
            Some(Location::S3 { bucket }) => {
                (Place::S3(S3::new(self.s3.clone(), behalf.clone())), bucket.as_str().into())
            }
            Some(Location::Folder(path)) => (Place::Folder(Folder::below(path, path)), bucket.into()),
            Some(Location::Google { bucket: name }) => {
                (Place::Cloud(CloudStore::google(name, self.timeout)?), bucket.into())
            }
            Some(Location::Azure { container }) => {
                (Place::Cloud(CloudStore::azure(container, self.timeout)?), bucket.into())
            }
        })
    }

    /// The place of an object, and its name there.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_object(&self, object: &Object, behalf: &Behalf) -> Result<(Place, Object), ObjectError> {
        let (place, bucket) = self.of(&object.bucket, behalf)?;
        Ok((place, Object { bucket, ..object.clone() }))
    }
}
