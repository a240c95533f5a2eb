//! Which files of a folder may tell of workflows. Folders that hold what tools made are not looked at.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Files of any kind, at most: a folder with more is not a project's.
const MAX_FILES: usize = 50_000;
/// Folders below each other, at most.
const MAX_DEPTH: usize = 24;
/// Longer files are no templates.
pub(crate) const MAX_BYTES: u64 = 4 << 20;

/// Folders of tools. Hidden ones are not looked at either.
const SKIPPED: [&str; 8] =
    ["node_modules", "target", "venv", "__pycache__", "site-packages", "bower_components", "dist", "vendor"];
/// Files that are large, common and never templates.
const NEVER: [&str; 5] = ["package.json", "package-lock.json", "tsconfig.json", "pnpm-lock.yaml", "composer.lock"];

/// Files by what they may be, from the folder, in order.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) templates: Vec<PathBuf>,
    pub(crate) serverless: Vec<PathBuf>,
    pub(crate) definitions: Vec<PathBuf>,
}

/// The state of all files that matter: when they were written, and how long they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

impl Fingerprint {
    /// The files that differ, from the folder.
    #[must_use]
    pub fn changed<'a>(&'a self, earlier: &'a Self) -> Vec<&'a Path> {
        let differs = |(file, state): &(&PathBuf, _)| earlier.0.get(*file) != Some(*state);
        let mut files: Vec<&Path> = self.0.iter().filter(differs).map(|(file, _)| file.as_path()).collect();
        files.extend(earlier.0.keys().filter(|file| !self.0.contains_key(*file)).map(PathBuf::as_path));
        files
    }
}

/// What a file may be.
enum Kind {
    Definition,
    Serverless,
    Template,
}

fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    let lower = name.to_ascii_lowercase();
    let in_cdk = path.components().any(|part| part.as_os_str() == "cdk.out");
    if in_cdk {
        return lower.ends_with(".template.json").then_some(Kind::Template);
    }
    if stem(name).is_some() {
        return Some(Kind::Definition);
    }
    if matches!(lower.as_str(), "serverless.yml" | "serverless.yaml" | "serverless.json") {
        return Some(Kind::Serverless);
    }
    let is_text = [".yaml", ".yml", ".json", ".template"].iter().any(|ending| lower.ends_with(ending));
    (is_text && !NEVER.contains(&lower.as_str())).then_some(Kind::Template)
}

/// What a definition's file is called without its ending; none: it is no definition's.
pub(crate) fn stem(name: &str) -> Option<&str> {
    [".asl.json", ".asl.yaml", ".asl.yml"].iter().find_map(|ending| name.strip_suffix(ending)).filter(|s| !s.is_empty())
}

pub(crate) fn list(root: &Path) -> Listed {
    let mut listed = Listed::default();
    walk(root, &mut |path, _| match kind(&path) {
        Some(Kind::Definition) => listed.definitions.push(path),
        Some(Kind::Serverless) => listed.serverless.push(path),
        Some(Kind::Template) => listed.templates.push(path),
        None => {}
    });
    listed
}

pub(crate) fn fingerprint(root: &Path) -> Fingerprint {
    let mut state = BTreeMap::new();
    walk(root, &mut |path, metadata| {
        let is_code = path.extension().is_some_and(|e| ["py", "js", "mjs", "cjs"].iter().any(|code| e == *code));
        if is_code || path == Path::new("stepwright.toml") || kind(&path).is_some() {
            state.insert(path, (metadata.modified().ok(), metadata.len()));
        }
    });
    Fingerprint(state)
}

/// Every file, from the folder, names in order. What cannot be read is not there.
fn walk(root: &Path, found: &mut dyn FnMut(PathBuf, &std::fs::Metadata)) {
    let mut left = MAX_FILES;
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root.join(&folder)) else { continue };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut below = Vec::new();
        for entry in entries {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                let is_asset = text.starts_with("asset.") && folder.ends_with("cdk.out");
                if depth < MAX_DEPTH && !text.starts_with('.') && !SKIPPED.contains(&&*text) && !is_asset {
                    below.push((folder.join(&name), depth + 1));
                }
                continue;
            }
            if left == 0 {
                return;
            }
            left -= 1;
            // A link to a file counts as the file.
            if let Ok(metadata) = std::fs::metadata(entry.path())
                && metadata.is_file()
                && metadata.len() <= MAX_BYTES
            {
                found(folder.join(&name), &metadata);
            }
        }
        folders.extend(below.into_iter().rev());
    }
}
