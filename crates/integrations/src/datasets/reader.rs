//! A dataset that is open: its files one after the other, and the items of each.

use std::{collections::VecDeque, sync::Arc};

use stepwright_engine::datasets::{self, Chunk, ReadCall};
use stepwright_items::{Format, Limits, Mark, ParquetRows, Part, Problem, athena_files, inventory, quote};

use super::{
    ReadFailure, behalf,
    blocks::Blocks,
    fetch::Fetch,
    plan::{FileFormat, Source},
    position::{InFile, Position},
    text::TextReader,
};
use crate::objects::{Behalf, ListQuery, Listed, Object, ObjectError, Place, Places};

/// Bytes of a manifest.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// A dataset, at some place in it.
#[derive(Debug)]
pub(super) struct Reader {
    way: Arc<Way>,
    files: Files,
    file: Option<OpenFile>,
    position: Position,
    told: datasets::Position,
}

/// How files are opened.
#[derive(Debug)]
struct Way {
    places: Places,
    behalf: Behalf,
    limits: Limits,
    format: FileFormat,
}

/// What comes after the file that is open.
#[derive(Debug)]
enum Files {
    One(Option<Object>),
    Listed(Vec<Part>),
    Bucket(Listing),
    Entries(Listing),
}

/// A list of objects, by pages.
#[derive(Debug)]
struct Listing {
    place: Place,
    /// The bucket as the state names it; the query has its name there.
    bucket: Arc<str>,
    query: ListQuery,
    page: VecDeque<Listed>,
    /// The last key of the page.
    after: Option<String>,
    is_end: bool,
}

#[derive(Debug)]
enum OpenFile {
    Text(Box<TextReader>),
    Parquet(Box<ParquetFile>),
}

#[derive(Debug)]
struct ParquetFile {
    object: Object,
    etag: Option<Arc<str>>,
    length: u64,
    /// None while they are being read.
    rows: Option<ParquetRows>,
    mark: Mark,
}

impl Listing {
    async fn next(&mut self) -> Result<Option<Listed>, ObjectError> {
        loop {
            if let Some(listed) = self.page.pop_front() {
                return Ok(Some(listed));
            }
            if self.is_end {
                return Ok(None);
            }
            let page = self.place.list(&self.query, self.after.as_deref()).await?;
            self.is_end = page.is_end;
            if let Some(last) = page.objects.last() {
                self.after = Some(last.key.clone());
            }
            self.page = page.objects.into();
        }
    }
}

impl Reader {
    /// Opens a dataset where a call wants to read on.
    pub(super) async fn open(places: &Places, limits: Limits, call: &ReadCall) -> Result<Self, ReadFailure> {
        let behalf = behalf(&call.on_behalf);
        let mut position = Position::read(&call.position)?;
        let mut format = FileFormat::Text(Format::JsonLines);
        let files = match Source::of(&call.plan)? {
            Source::File(object, of_file) => {
                format = of_file;
                Files::One((position.files == 0).then_some(object))
            }
            Source::Inventory(object) => {
                let text = manifest(places, &behalf, &object, &mut position).await?;
                let found = inventory(&text).map_err(|problem| ReadFailure::Content(Some(object), problem))?;
                format = FileFormat::Text(Format::Csv { headers: Some(found.columns), delimiter: b',' });
                Files::Listed(found.files)
            }
            Source::Athena(object, of_file) => {
                let text = manifest(places, &behalf, &object, &mut position).await?;
                let found = athena_files(&text).map_err(|problem| ReadFailure::Content(Some(object), problem))?;
                format = of_file;
                Files::Listed(found)
            }
            Source::Entries(query, after) => Files::Entries(listing(places, &behalf, query, after, &position)?),
            Source::Files(query, after, of_file) => {
                format = of_file;
                Files::Bucket(listing(places, &behalf, query, after, &position)?)
            }
        };
        let told = call.position.clone();
        let way = Arc::new(Way { places: places.clone(), behalf, limits, format });
        let mut reader = Self { way, files, file: None, position, told };
        if let Some(within) = reader.position.file.take() {
            reader.reopen(&within).await?;
            reader.position.file = Some(within);
        }
        Ok(reader)
    }

    pub(super) fn is_at(&self, position: &datasets::Position) -> bool {
        self.told == *position
    }

    /// Reads on: so many items, or so many bytes of them, or to the end.
    pub(super) async fn read(&mut self, at_most: usize, bytes: usize) -> Result<Chunk, ReadFailure> {
        let mut chunk = Chunk::default();
        let mut taken = 0;
        while chunk.items.len() < at_most && (taken < bytes || chunk.items.is_empty()) {
            if let Files::Entries(listing) = &mut self.files {
                let Some(listed) = listing.next().await? else {
                    chunk.is_end = true;
                    break;
                };
                let text = entry(&listed);
                self.position.after = Some(listed.key);
                taken += text.len();
                chunk.items.push(datasets::Item { text: text.into(), key: None });
                continue;
            }
            if self.file.is_none() && !self.open_next().await? {
                chunk.is_end = true;
                break;
            }
            let room = (at_most - chunk.items.len(), bytes.saturating_sub(taken).max(1));
            let is_end = match &mut self.file {
                Some(OpenFile::Text(text)) => match text.next().await? {
                    Some(item) => {
                        taken += item.text.len();
                        let key = item.key.map(Arc::from);
                        chunk.items.push(datasets::Item { text: item.text.into(), key });
                        false
                    }
                    None => true,
                },
                Some(OpenFile::Parquet(file)) => {
                    let (found, is_end) = some_rows(&file.object, &mut file.rows, room).await?;
                    file.mark.items += found.len() as u64;
                    for text in found {
                        taken += text.len();
                        chunk.items.push(datasets::Item { text, key: None });
                    }
                    is_end
                }
                None => true,
            };
            if is_end {
                self.leave();
            }
        }
        chunk.progress = self.progress();
        self.position.file = self.file.as_ref().map(|file| {
            let key = self.position.file.as_ref().and_then(|within| within.key.clone());
            InFile { key, ..file.position() }
        });
        self.told = self.position.write();
        chunk.next = self.told.clone();
        Ok(chunk)
    }

    fn progress(&self) -> (u64, Option<u64>) {
        let (used, length) = self.file.as_ref().map_or((0, None), OpenFile::progress);
        let is_whole = matches!(self.files, Files::One(_));
        (self.position.bytes + used, length.filter(|_| is_whole))
    }

    /// The file that was open has been read to its end.
    fn leave(&mut self) {
        if let Some(file) = self.file.take() {
            self.position.bytes += file.progress().1.unwrap_or(0);
        }
        let within = self.position.file.take();
        self.position.files += 1;
        if let Some(key) = within.and_then(|within| within.key) {
            self.position.after = Some(key);
        }
    }

    /// Opens the next file, if there is one.
    async fn open_next(&mut self) -> Result<bool, ReadFailure> {
        let (object, key) = match &mut self.files {
            Files::Entries(_) => return Ok(false),
            Files::One(object) => match object.take() {
                Some(object) => (object, None),
                None => return Ok(false),
            },
            Files::Listed(files) => {
                let next = usize::try_from(self.position.files).ok().and_then(|next| files.get(next));
                match next {
                    Some(part) => (plain(&part.bucket, &part.key), None),
                    None => return Ok(false),
                }
            }
            Files::Bucket(listing) => {
                let listed = loop {
                    match listing.next().await? {
                        // What stands for a folder holds nothing.
                        Some(listed) if listed.size == 0 && listed.key.ends_with('/') => {}
                        listed => break listed,
                    }
                };
                match listed {
                    Some(listed) => {
                        let object =
                            Object { owner: listing.query.owner.clone(), ..plain(&listing.bucket, &listed.key) };
                        (object, Some(listed.key))
                    }
                    None => return Ok(false),
                }
            }
        };
        self.file = Some(Arc::clone(&self.way).open(object, None).await?);
        self.position.file = Some(InFile { key, ..InFile::default() });
        Ok(true)
    }

    /// Opens the file in which an earlier reader was.
    async fn reopen(&mut self, within: &InFile) -> Result<(), ReadFailure> {
        let object = match &mut self.files {
            Files::Entries(_) => None,
            Files::One(object) => object.take(),
            Files::Listed(files) => {
                let next = usize::try_from(self.position.files).ok().and_then(|next| files.get(next));
                next.map(|part| plain(&part.bucket, &part.key))
            }
            Files::Bucket(listing) => within.key.as_deref().map(|key| {
                // The list goes on behind it.
                listing.after = Some(key.to_owned());
                Object { owner: listing.query.owner.clone(), ..plain(&listing.bucket, key) }
            }),
        };
        let object = object.ok_or_else(|| ObjectError("The dataset has no such file any more.".to_owned()))?;
        self.file = Some(Arc::clone(&self.way).open(object, Some(within)).await?);
        Ok(())
    }
}

impl Way {
    async fn open(self: Arc<Self>, object: Object, from: Option<&InFile>) -> Result<OpenFile, ReadFailure> {
        let (place, there) = self.places.of_object(&object, &self.behalf)?;
        match &self.format {
            FileFormat::Text(format) => {
                let reader = TextReader::open(place, there, format, self.limits, from)?;
                Ok(OpenFile::Text(Box::new(reader)))
            }
            FileFormat::Parquet => {
                let etag = from.and_then(|from| from.etag.as_deref()).map(Arc::from);
                let mark = from.map(|from| from.mark.clone()).unwrap_or_default();
                let blocks = Blocks::open(place, there.clone(), etag).await?;
                let etag = blocks.etag().cloned();
                let (skip, length) = (mark.items, stepwright_items::Ranges::length(&blocks));
                let rows = off_the_runtime(move || ParquetRows::open(blocks, skip)).await;
                let rows = rows.map_err(|problem| ReadFailure::Content(Some(there.clone()), problem))?;
                Ok(OpenFile::Parquet(Box::new(ParquetFile { object: there, etag, length, rows: Some(rows), mark })))
            }
        }
    }
}

impl OpenFile {
    fn position(&self) -> InFile {
        match self {
            Self::Text(text) => text.position(),
            Self::Parquet(file) => {
                InFile { etag: file.etag.as_deref().map(str::to_owned), mark: file.mark.clone(), ..InFile::default() }
            }
        }
    }

    fn progress(&self) -> (u64, Option<u64>) {
        match self {
            Self::Text(text) => text.progress(),
            Self::Parquet(file) => (0, Some(file.length)),
        }
    }
}

/// The next rows, and whether there are no more.
async fn some_rows(
    object: &Object,
    rows: &mut Option<ParquetRows>,
    (at_most, bytes): (usize, usize),
) -> Result<(Vec<Arc<str>>, bool), ReadFailure> {
    let Some(mut taken) = rows.take() else { return Ok((Vec::new(), true)) };
    let read = off_the_runtime(move || {
        let (mut found, mut length) = (Vec::new(), 0);
        while found.len() < at_most && length < bytes {
            match taken.next_row()? {
                Some(item) => {
                    length += item.text.len();
                    found.push(item.text.into());
                }
                None => return Ok((found, taken, true)),
            }
        }
        Ok((found, taken, false))
    });
    let (found, taken, is_end) = read.await.map_err(|problem| ReadFailure::Content(Some(object.clone()), problem))?;
    *rows = Some(taken);
    Ok((found, is_end))
}

/// Does what waits for a network by blocking. The library that reads Parquet panics at some kinds of columns.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Problem::Unreadable { reason: "a column of the Parquet file can't be read".to_owned() }),
    }
}

fn plain(bucket: &Arc<str>, key: &str) -> Object {
    Object { bucket: Arc::clone(bucket), key: key.into(), version: None, owner: None }
}

fn listing(
    places: &Places,
    behalf: &Behalf,
    query: ListQuery,
    after: Option<String>,
    position: &Position,
) -> Result<Listing, ObjectError> {
    let (place, there) = places.of(&query.bucket, behalf)?;
    let (bucket, query) = (Arc::clone(&query.bucket), ListQuery { bucket: there, ..query });
    let after = position.after.clone().or(after);
    Ok(Listing { place, bucket, query, page: VecDeque::new(), after, is_end: false })
}

/// The whole of a manifest, which must be the one that the position was in.
async fn manifest(
    places: &Places,
    behalf: &Behalf,
    object: &Object,
    position: &mut Position,
) -> Result<Vec<u8>, ReadFailure> {
    let (place, there) = places.of_object(object, behalf)?;
    let mut fetch = Fetch::new(place, there, 0, position.manifest.as_deref().map(Arc::from));
    let mut text = Vec::new();
    while let Some(piece) = fetch.next().await? {
        text.extend_from_slice(&piece);
        if fetch.total().is_some_and(|total| total > MAX_MANIFEST_BYTES) {
            let reason = format!("the manifest is longer than {MAX_MANIFEST_BYTES} bytes");
            return Err(ReadFailure::Content(Some(object.clone()), Problem::Unreadable { reason }));
        }
    }
    position.manifest = fetch.etag().map(ToString::to_string);
    Ok(text)
}

/// An object of a list as an item (AWS: recorded).
fn entry(listed: &Listed) -> String {
    let mut text = String::from("{\"Etag\":");
    quote(&listed.etag, &mut text);
    text.push_str(&format!(",\"LastModified\":{},\"Key\":", listed.modified));
    quote(&listed.key, &mut text);
    text.push_str(&format!(",\"Size\":{},\"StorageClass\":", listed.size));
    quote(&listed.storage_class, &mut text);
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_a_list() {
        let listed = Listed {
            key: "a/\"b\"".to_owned(),
            etag: "\"e\"".to_owned(),
            modified: 1_668_699_881,
            size: 34_910,
            storage_class: "STANDARD".to_owned(),
        };
        assert_eq!(
            entry(&listed),
            r#"{"Etag":"\"e\"","LastModified":1668699881,"Key":"a/\"b\"","Size":34910,"StorageClass":"STANDARD"}"#
        );
    }
}
