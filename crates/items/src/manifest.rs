//! Lists of files that hold the items: the manifest of an S3 Inventory report and that of an Athena UNLOAD.

use std::sync::Arc;

use serde::Deserialize;

use crate::Problem;

/// A file of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bucket.
    pub bucket: Arc<str>,
    /// The key.
    pub key: Arc<str>,
}

/// A report of S3 Inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The names of the columns.
    pub columns: Vec<Arc<str>>,
    /// The files, in their order.
    pub files: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    destination_bucket: String,
    file_format: String,
    #[serde(default)]
    file_schema: String,
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    key: String,
}

/// Reads a `manifest.json` of S3 Inventory.
///
/// # Errors
/// It is none, or its files are not CSV.
pub fn inventory(text: &[u8]) -> Result<Inventory, Problem> {
    let text = text.strip_prefix(&crate::text::BYTE_ORDER_MARK).unwrap_or(text);
    let manifest: Manifest = serde_json::from_slice(text)
        .map_err(|error| Problem::unreadable(format!("it is no manifest of S3 Inventory: {error}")))?;
    if !manifest.file_format.eq_ignore_ascii_case("CSV") {
        let format = manifest.file_format;
        return Err(Problem::unreadable(format!("the inventory's files are {format}; only CSV can be read")));
    }
    let bucket = manifest.destination_bucket;
    let bucket: Arc<str> = bucket.rsplit(":::").next().unwrap_or_default().into();
    let columns: Vec<Arc<str>> =
        manifest.file_schema.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Arc::from).collect();
    if columns.is_empty() {
        return Err(Problem::unreadable("the inventory's fileSchema names no columns"));
    }
    let files = manifest.files.into_iter().map(|file| Part { bucket: Arc::clone(&bucket), key: file.key.into() });
    Ok(Inventory { columns, files: files.collect() })
}

/// Reads the manifest of an Athena UNLOAD: the URI of a file in each line.
///
/// # Errors
/// A line holds something else.
pub fn athena_files(text: &[u8]) -> Result<Vec<Part>, Problem> {
    let text = text.strip_prefix(&crate::text::BYTE_ORDER_MARK).unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|_| Problem::unreadable(crate::text::NOT_UTF8))?;
    let mut files = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let uri = line.trim().trim_matches('"');
        if uri.is_empty() {
            continue;
        }
        let place = uri.split_once("://").and_then(|(_, place)| place.split_once('/'));
        let Some((bucket, key)) = place.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) else {
            let reason = format!("line {}: {uri:?} is no URI such as s3://bucket/key", number + 1);
            return Err(Problem::unreadable(reason));
        };
        files.push(Part { bucket: bucket.into(), key: key.into() });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory() {
        let text = br#"{"sourceBucket":"a","destinationBucket":"arn:aws:s3:::inv","version":"2016-11-30",
            "fileFormat":"CSV","fileSchema":"Bucket, Key, Size","files":[{"key":"x/1.csv.gz","size":9,"MD5checksum":"m"}]}"#;
        let found = inventory(text).expect("a manifest");
        assert_eq!(found.columns, ["Bucket".into(), "Key".into(), "Size".into()] as [Arc<str>; 3]);
        assert_eq!(found.files, [Part { bucket: "inv".into(), key: "x/1.csv.gz".into() }]);
    }

    #[test]
    fn what_is_no_inventory() {
        let check = |text: &str, expect: &str| {
            let found = inventory(text.as_bytes()).expect_err(text).to_string();
            assert!(found.contains(expect), "{found}");
        };
        check("[]", "it is no manifest");
        check("{}", "it is no manifest");
        check(
            r#"{"destinationBucket":"b","fileFormat":"ORC","fileSchema":"a","files":[]}"#,
            "the inventory's files are ORC; only CSV can be read",
        );
        check(r#"{"destinationBucket":"b","fileFormat":"CSV","fileSchema":"","files":[]}"#, "names no columns");
    }

    #[test]
    fn an_unload() {
        let found = athena_files(b"s3://b/a/1.gz\r\n\n\"s3://b/2\"\n").expect("files");
        assert_eq!(found.iter().map(|part| &*part.key).collect::<Vec<_>>(), ["a/1.gz", "2"]);
        for text in ["x", "s3://b", "s3:///k", "s3://b/"] {
            assert!(athena_files(text.as_bytes()).is_err(), "{text}");
        }
    }
}
