//! A folder of this machine as a bucket: keys are paths below it. Nothing outside is ever reached, whatever a key holds
//! and wherever links lead. Blocking work is done off the runtime's threads.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use bytes::Bytes;

use super::{ListQuery, Listed, Object, ObjectError, Page, Piece};

/// Keys of a page.
/// Each page reads the folders on its way again, so pages are long: a key takes about 200 bytes.
const PAGE_KEYS: usize = 50_000;
/// Folders in each other that a list looks into.
const MAX_DEPTH: usize = 64;

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// What may never be left.
    allowed: PathBuf,
    /// What keys are relative to; in the allowed folder.
    base: PathBuf,
}

impl Folder {
    /// A folder that lies in an allowed one, or is it.
    #[must_use]
    pub fn below(allowed: &Path, base: &Path) -> Self {
        Self { allowed: allowed.to_owned(), base: base.to_owned() }
    }

    /// The path of a key, before links are followed.
    fn path(&self, key: &str) -> Result<PathBuf, ObjectError> {
        let path = Path::new(key);
        let is_plain = !key.is_empty()
            && !key.contains('\0')
            && !key.ends_with('/')
            && path.components().all(|part| matches!(part, Component::Normal(_)));
        if is_plain { Ok(self.base.join(path)) } else { Err(self.outside(key)) }
    }

    fn outside(&self, key: &str) -> ObjectError {
        ObjectError(format!("The key {key:?} does not name a file in the folder {}.", self.base.display()))
    }

    fn failed(&self, key: &str, error: &io::Error) -> ObjectError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ObjectError::missing(),
            _ => ObjectError(format!("{}: {error}", self.base.join(key).display())),
        }
    }

    fn root(&self) -> Result<PathBuf, ObjectError> {
        self.allowed
            .canonicalize()
            .map_err(|error| ObjectError(format!("The folder {} can't be used: {error}", self.allowed.display())))
    }

    /// The file of a key, with every link followed.
    fn resolve(&self, key: &str) -> Result<PathBuf, ObjectError> {
        let path = self.path(key)?.canonicalize().map_err(|error| self.failed(key, &error))?;
        if path.starts_with(self.root()?) { Ok(path) } else { Err(self.outside(key)) }
    }

    pub(super) async fn read(&self, object: &Object, start: u64, length: usize) -> Result<Piece, ObjectError> {
        let (folder, key) = (self.clone(), Arc::clone(&object.key));
        blocking(move || folder.read_now(&key, start, length)).await
    }

    fn read_now(&self, key: &str, start: u64, length: usize) -> Result<Piece, ObjectError> {
        let failed = |error: io::Error| self.failed(key, &error);
        let path = self.resolve(key)?;
        let mut file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(self.outside(key));
        }
        let total = metadata.len();
        let due = total.saturating_sub(start).min(length as u64);
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut bytes = Vec::with_capacity(usize::try_from(due).unwrap_or(length));
        file.take(due).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Piece { bytes: Bytes::from(bytes), total, etag: Some(etag(&metadata).into()) })
    }

    pub(super) async fn list(&self, query: &ListQuery, after: Option<&str>) -> Result<Page, ObjectError> {
        let (folder, prefix) = (self.clone(), Arc::clone(&query.prefix));
        let after = after.unwrap_or_default().to_owned();
        blocking(move || {
            let mut walk = Walk { root: folder.root()?, prefix, after, found: Vec::new() };
            if walk.prefix.split('/').any(|part| part == "..") {
                return Err(folder.outside(&walk.prefix));
            }
            let base = folder.base.canonicalize().map_err(|error| folder.failed("", &error))?;
            if !base.starts_with(&walk.root) {
                return Err(folder.outside(""));
            }
            let is_end = walk.folder(&base, "", 0).map_err(|error| folder.failed("", &error))?;
            Ok(Page { objects: walk.found, is_end })
        })
        .await
    }

    pub(super) async fn begin(&self, object: &Object) -> Result<Upload, ObjectError> {
        let (folder, key) = (self.clone(), Arc::clone(&object.key));
        blocking(move || folder.begin_now(&key)).await
    }

    fn begin_now(&self, key: &str) -> Result<Upload, ObjectError> {
        let failed = |error: io::Error| self.failed(key, &error);
        let path = self.path(key)?;
        let parent = path.parent().ok_or_else(|| self.outside(key))?;
        // What is there already may be a link; what is made is none.
        let mut existing = parent;
        while !existing.exists() {
            existing = existing.parent().ok_or_else(|| self.outside(key))?;
        }
        if !existing.canonicalize().map_err(failed)?.starts_with(self.root()?) {
            return Err(self.outside(key));
        }
        fs::create_dir_all(parent).map_err(failed)?;
        let stays = existing.to_owned();
        let unfinished = parent.join(format!(".{}.part", uuid::Uuid::new_v4()));
        let file = File::create_new(&unfinished).map_err(failed)?;
        Ok(Upload { file: Some(file), unfinished, path, stays })
    }
}

/// A file that has not got its name yet.
#[derive(Debug)]
pub(super) struct Upload {
    file: Option<File>,
    unfinished: PathBuf,
    path: PathBuf,
    /// The innermost of its folders that was there before.
    stays: PathBuf,
}

impl Upload {
    pub(super) async fn part(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        let mut file = self.taken()?;
        let path = self.path.clone();
        let file = blocking(move || {
            let written = file.write_all(&bytes);
            written.map(|()| file).map_err(|error| ObjectError(format!("{}: {error}", path.display())))
        })
        .await?;
        self.file = Some(file);
        Ok(())
    }

    pub(super) async fn complete(&mut self) -> Result<(), ObjectError> {
        let file = self.taken()?;
        let (unfinished, path, stays) = (self.unfinished.clone(), self.path.clone(), self.stays.clone());
        blocking(move || {
            let named = file.sync_all().and_then(|()| fs::rename(&unfinished, &path));
            let done = named.and_then(|()| sync_folders(&path, &stays));
            done.map_err(|error| ObjectError(format!("{}: {error}", path.display())))
        })
        .await
    }

    fn taken(&mut self) -> Result<File, ObjectError> {
        self.file.take().ok_or_else(|| ObjectError(format!("{}: an earlier write failed", self.path.display())))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Not there any more if it has got its name.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// Makes the names on the way to a file durable, up to the folder that was there before it.
fn sync_folders(path: &Path, stays: &Path) -> io::Result<()> {
    for folder in path.ancestors().skip(1) {
        File::open(folder)?.sync_all()?;
        if folder == stays {
            break;
        }
    }
    Ok(())
}

/// A walk through a folder in the order of keys, which is that of their bytes.
struct Walk {
    root: PathBuf,
    prefix: Arc<str>,
    after: String,
    found: Vec<Listed>,
}

impl Walk {
    /// Says whether everything was seen.
    fn folder(&mut self, path: &Path, key: &str, depth: usize) -> io::Result<bool> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // A name that is no text can't be a key.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            let is_folder = kind.is_dir();
            let key = format!("{key}{name}{}", if is_folder { "/" } else { "" });
            let may_fit = key.starts_with(&*self.prefix) || is_folder && self.prefix.starts_with(&key);
            let is_past = key.as_str() > self.after.as_str() || is_folder && self.after.starts_with(&key);
            if may_fit && is_past && !is_unfinished(&name) {
                entries.push((key, entry.path(), kind));
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (key, path, kind) in entries {
            if self.found.len() >= PAGE_KEYS {
                return Ok(false);
            }
            if kind.is_dir() {
                if depth < MAX_DEPTH && !self.folder(&path, &key, depth + 1)? {
                    return Ok(false);
                }
                continue;
            }
            // A link to a file counts if it stays inside; one to a folder could lead in a circle.
            let metadata = match path.canonicalize() {
                Ok(target) if target.starts_with(&self.root) => fs::metadata(target),
                _ => continue,
            };
            let Ok(metadata) = metadata else { continue };
            if metadata.is_file() {
                let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                self.found.push(Listed {
                    key,
                    etag: etag(&metadata),
                    modified: modified.and_then(|time| i64::try_from(time.as_secs()).ok()).unwrap_or(0),
                    size: metadata.len(),
                    storage_class: "STANDARD".to_owned(),
                });
            }
        }
        Ok(true)
    }
}

fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.strip_suffix(".part").is_some_and(|stem| uuid::Uuid::try_parse(&stem[1..]).is_ok())
}

/// A tag that changes with the file.
fn etag(metadata: &fs::Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("\"{:x}-{:x}\"", modified.unwrap_or_default().as_nanos(), metadata.len())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ObjectError(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> Object {
        Object { bucket: "b".into(), key: key.into(), version: None, owner: None }
    }

    async fn write(folder: &Folder, key: &str, text: &str) -> Result<(), ObjectError> {
        let mut upload = folder.begin(&object(key)).await?;
        upload.part(Bytes::copy_from_slice(text.as_bytes())).await?;
        upload.complete().await
    }

    async fn keys(folder: &Folder, prefix: &str, after: Option<&str>) -> Vec<String> {
        let query = ListQuery { bucket: "b".into(), prefix: prefix.into(), owner: None };
        let page = folder.list(&query, after).await.expect("a page");
        page.objects.into_iter().map(|listed| listed.key).collect()
    }

    #[tokio::test]
    async fn a_file_is_read_by_ranges_and_appears_as_a_whole() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder::below(place.path(), place.path());
        let mut upload = folder.begin(&object("a/b.json")).await.expect("an upload");
        upload.part(Bytes::from_static(b"01234")).await.expect("written");
        assert_eq!(keys(&folder, "", None).await, [] as [String; 0]);
        upload.part(Bytes::from_static(b"56789")).await.expect("written");
        upload.complete().await.expect("complete");
        assert_eq!(keys(&folder, "", None).await, ["a/b.json"]);
        let piece = folder.read(&object("a/b.json"), 4, 3).await.expect("a piece");
        assert_eq!((&*piece.bytes, piece.total), (&b"456"[..], 10));
        let piece = folder.read(&object("a/b.json"), 8, 100).await.expect("a piece");
        assert_eq!(&*piece.bytes, b"89");
        drop(folder.begin(&object("a/gone")).await.expect("an upload"));
        assert_eq!(fs::read_dir(place.path().join("a")).expect("a folder").count(), 1, "nothing is left behind");
    }

    #[tokio::test]
    async fn nothing_outside_is_reached() {
        let place = tempfile::tempdir().expect("a folder");
        let inside = place.path().join("in");
        fs::create_dir(&inside).expect("a folder");
        fs::write(place.path().join("secret"), "x").expect("a file");
        std::os::unix::fs::symlink("../secret", inside.join("link")).expect("a link");
        std::os::unix::fs::symlink("..", inside.join("up")).expect("a link");
        let folder = Folder::below(&inside, &inside);
        for key in
            ["../secret", "/etc/passwd", "a/../../secret", "", "link", "up/secret", "up/in/../secret", "x\0", "."]
        {
            let error = folder.read(&object(key), 0, 10).await.expect_err(key);
            assert!(error.0.contains("does not name a file"), "{key:?}: {error}");
            if key != "link" {
                assert!(write(&folder, key, "x").await.is_err(), "{key:?}");
            }
        }
        assert_eq!(keys(&folder, "", None).await, [] as [String; 0]);
        // Writing over a link replaces the link.
        write(&folder, "link", "mine").await.expect("written");
        assert_eq!(fs::read_to_string(place.path().join("secret")).expect("a file"), "x");
        assert_eq!(folder.read(&object("nothing"), 0, 1).await.expect_err("missing"), ObjectError::missing());
    }

    #[tokio::test]
    async fn lists_are_in_the_order_of_keys_and_go_on() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder::below(place.path(), place.path());
        let all = ["a-b", "a.txt", "a/1", "a/2/x", "a0", "b"];
        for key in all {
            write(&folder, key, key).await.expect("written");
        }
        assert_eq!(keys(&folder, "", None).await, all);
        for (place, key) in all.iter().enumerate() {
            assert_eq!(keys(&folder, "", Some(key)).await, all[place + 1..], "after {key}");
        }
        assert_eq!(keys(&folder, "a/", None).await, ["a/1", "a/2/x"]);
        assert_eq!(keys(&folder, "a/2", None).await, ["a/2/x"]);
        assert_eq!(keys(&folder, "a", Some("a/1")).await, ["a/2/x", "a0"]);
        assert_eq!(keys(&folder, "c", None).await, [] as [String; 0]);
    }
}
