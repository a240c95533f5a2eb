//! Settings of the datasets that distributed Maps read and write: where they may be, and how much a reader takes.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use stepwright_integrations::objects::Location;

use super::settings::{Kind, Setting, number};

/// The parts of a list.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

pub(super) const FOLDERS: Setting = Setting {
    key: "datasets.folders",
    kind: Kind::Text,
    value_name: "DIRS",
    help: "Folders that a Bucket of an ItemReader or a ResultWriter may name as file:///DIR, or what is in them",
    default: "",
    set: |settings, text| {
        let folders: Vec<PathBuf> = parts(text).map(PathBuf::from).collect();
        if let Some(folder) = folders.iter().find(|folder| !folder.is_absolute()) {
            return Err(format!("must be absolute paths with commas between them, and {} is none", folder.display()));
        }
        settings.datasets.folders = folders;
        Ok(())
    },
};

pub(super) const BUCKETS: Setting = Setting {
    key: "datasets.buckets",
    kind: Kind::Text,
    value_name: "NAME=URI,...",
    help: "Buckets that are not in S3: NAME=file:///DIR, NAME=gs://BUCKET, NAME=az://CONTAINER, or under another name: \
           NAME=s3://BUCKET",
    default: "",
    set: |settings, text| {
        let mut buckets = BTreeMap::new();
        for part in parts(text) {
            let (name, uri) = part.split_once('=').ok_or_else(|| format!("must be NAME=URI, not {part}"))?;
            let location =
                Location::parse(uri.trim()).map_err(|rule| format!("has for {name} {uri:?}, which {rule}"))?;
            buckets.insert(name.trim().to_owned(), location);
        }
        settings.datasets.buckets = buckets;
        Ok(())
    },
};

pub(super) const CALL_SECONDS: Setting = Setting {
    key: "datasets.call_seconds",
    kind: Kind::Number,
    value_name: "SECONDS",
    help: "How long one request for a piece of a dataset may take; it is made five times at most",
    default: "30",
    set: |settings, text| {
        settings.datasets.call_timeout = Duration::from_secs(number(text, 1, 600)?);
        Ok(())
    },
};

pub(super) const ITEM_BYTES: Setting = Setting {
    key: "datasets.item_bytes",
    kind: Kind::Number,
    value_name: "BYTES",
    help: "Bytes of an item as the dataset has it; a longer one fails the run",
    default: "8388608",
    set: |settings, text| {
        settings.datasets.item_bytes = number(text, 1 << 10, 256 << 20)?;
        Ok(())
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    #[test]
    fn places_are_lists() {
        let mut settings = Settings::default();
        (FOLDERS.set)(&mut settings, "/data, /srv/in").expect("folders");
        assert_eq!(settings.datasets.folders, [PathBuf::from("/data"), PathBuf::from("/srv/in")]);
        (BUCKETS.set)(&mut settings, "a=file:///data/a, b=gs://x,c=az://y,d=s3://z").expect("buckets");
        assert_eq!(settings.datasets.buckets.len(), 4);
        assert_eq!(settings.datasets.buckets["a"], Location::Folder("/data/a".into()));
        for (setting, text, expect) in [
            (&FOLDERS, "data", "must be absolute paths with commas between them, and data is none"),
            (&BUCKETS, "a", "must be NAME=URI, not a"),
            (&BUCKETS, "a=file://data", "has for a \"file://data\", which must name an absolute path"),
        ] {
            assert_eq!((setting.set)(&mut settings, text), Err(expect.to_owned()));
        }
        assert!((BUCKETS.set)(&mut settings, "a=ftp://x").is_err());
        assert!((BUCKETS.set)(&mut settings, "a=gs://x/y").is_err());
    }
}
