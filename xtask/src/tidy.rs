//! The rules of the source tree that no compiler checks, written in `docs/ARCHITECTURE.md` as absences. Reads files,
//! changes none. Runs as `cargo xtask tidy` and as an ordinary test.

use crate::workspace::root;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The longest a file written by hand may be, in lines.
const MAX_LINES: usize = 800;

/// Which crates of the workspace each crate may depend on. A crate that is not here is not part of the architecture.
/// The order matters: a crate may only name those above it, so there can be no cycle.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("querylang", &[]),
    ("source", &[]),
    ("asl", &["querylang"]),
    ("graph", &["asl"]),
    ("project", &["asl", "source"]),
    ("machine", &["asl", "querylang"]),
    ("store", &["machine"]),
    ("engine", &["store", "machine", "asl", "querylang"]),
    ("sim", &["engine", "store", "machine", "asl", "querylang"]),
    ("items", &[]),
    ("integrations", &["items", "engine", "machine", "asl", "querylang"]),
    ("functions", &[]),
    ("testing", &["graph", "engine", "store", "machine", "asl", "querylang"]),
    ("api", &[]),
    (
        "server",
        &[
            "api",
            "functions",
            "testing",
            "graph",
            "project",
            "source",
            "integrations",
            "engine",
            "store",
            "machine",
            "asl",
            "querylang",
        ],
    ),
];

/// Crates that compute and do nothing else.
const PURE: &[&str] = &["querylang", "asl", "machine", "items", "graph", "source"];

/// What a pure crate may not name, whether in its code or as a dependency.
const IMPURE: &[&str] = &[
    "tokio",
    "rand",
    "rand_core",
    "getrandom",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "new_v4",
];

/// Marks of unfinished work, put together here so that this file does not hold them.
fn unfinished() -> [String; 3] {
    [["FIX", "ME"], ["TO", "DO"], ["XX", "X"]].map(|halves| halves.concat())
}

/// Checks every rule and prints what breaks them.
pub(crate) fn run() -> Result<()> {
    let problems = problems()?;
    if problems.is_empty() {
        println!("tidy: {} source files keep the rules", sources()?.len());
        return Ok(());
    }
    for problem in &problems {
        println!("tidy: {problem}");
    }
    bail!("{} breaches of the rules of the source tree", problems.len())
}

fn problems() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in sources()? {
        let text = std::fs::read_to_string(root().join(&file)).with_context(|| file.display().to_string())?;
        found.extend(check_text(&file, &text));
    }
    found.extend(check_dependencies()?);
    found.extend(check_links()?);
    Ok(found)
}

/// The rules a single file can break.
fn check_text(file: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = file.display();
    let is_rust = file.extension().is_some_and(|e| e == "rs");
    let generated = text.lines().take(5).any(|line| line.contains("@generated"));
    if generated {
        return found;
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{name}: {lines} lines; more than {MAX_LINES} is a file that does two things: split it"));
    }
    let is_tests = file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
    if is_rust && !is_tests && file.components().any(|c| c.as_os_str() == "src") && !text.starts_with("//!") {
        found.push(format!("{name}: open the module with a `//!` that says what it is for and must never do"));
    }
    let marks = unfinished();
    let pure = PURE.iter().any(|krate| file.starts_with(format!("crates/{krate}/src")));
    for (number, line) in text.lines().enumerate() {
        let at = format!("{name}:{}", number + 1);
        if let Some(mark) = marks.iter().find(|mark| has_word(line, mark)) {
            found.push(format!("{at}: {mark}: finish it or open an issue"));
        }
        let code = line.trim_start();
        if pure && !code.starts_with("//") {
            let code = code.split(" // ").next().unwrap_or(code);
            if let Some(word) = IMPURE.iter().find(|word| has_word(code, word)) {
                found.push(format!("{at}: {word} in a pure crate: pass in what it would give (`at`, `seed`)"));
            }
        }
    }
    found
}

/// True if the text holds the word and not only a longer word that contains it.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let end = start + word.len();
        !text[..start].ends_with(part_of_word) && !text[end..].starts_with(part_of_word)
    })
}

fn check_dependencies() -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders: Vec<String> = std::fs::read_dir(root().join("crates"))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    folders.sort();
    for folder in folders {
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(name, _)| *name == folder) else {
            found.push(format!("crates/{folder}: not a crate of the architecture; add it there and here first"));
            continue;
        };
        let path = format!("crates/{folder}/Cargo.toml");
        let manifest: toml::Table = std::fs::read_to_string(root().join(&path))?.parse().context(path.clone())?;
        let named = |table: &str| -> Vec<String> {
            manifest.get(table).and_then(|t| t.as_table()).map_or_else(Vec::new, |t| t.keys().cloned().collect())
        };
        // What tests use may go further up (a test of the pure core may roll dice), but never within the workspace.
        for dependency in named("dependencies").iter().chain(&named("dev-dependencies")) {
            if let Some(ours) = dependency.strip_prefix("stepwright-")
                && ours != folder
                && !allowed.contains(&ours)
            {
                found.push(format!("{path}: {folder} may not depend on {ours}"));
            }
        }
        for dependency in named("dependencies") {
            if PURE.contains(&folder.as_str()) && IMPURE.contains(&dependency.as_str()) {
                found.push(format!("{path}: {folder} is pure and may not depend on {dependency}"));
            }
        }
    }
    Ok(found)
}

/// Every relative link of the documents leads somewhere.
fn check_links() -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut documents = Vec::new();
    walk(&root(), &mut documents, &|path| path.extension().is_some_and(|e| e == "md"))?;
    for file in documents {
        let text = std::fs::read_to_string(root().join(&file))?;
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#') && !link.contains(' ')) {
            let target = link.split('#').next().unwrap_or(link);
            let folder = root().join(&file).parent().map(Path::to_path_buf).unwrap_or_default();
            if !folder.join(target).exists() {
                found.push(format!("{}: the link to {target} leads nowhere", file.display()));
            }
        }
    }
    Ok(found)
}

/// Every source file of the repository, by its path from the root.
fn sources() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(&root(), &mut files, &|path| {
        path.extension().is_some_and(|e| ["rs", "py", "mjs", "js", "sh"].iter().any(|known| e == *known))
    })?;
    files.sort();
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if entry.file_type()?.is_dir() {
            let skipped = ["target", "node_modules", "__pycache__", "stepwright-data"];
            if !name.to_string_lossy().starts_with('.') && !skipped.iter().any(|s| name == *s) {
                walk(&path, files, wanted)?;
            }
        } else if wanted(&path) {
            files.push(path.strip_prefix(root())?.to_path_buf());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_tree_keeps_the_rules() {
        let problems = problems().expect("the source tree can be read");
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    #[test]
    fn each_rule_is_seen_to_be_broken() {
        let check = |file: &str, text: &str, expected: &str| {
            let found = check_text(Path::new(file), text);
            assert!(found.iter().any(|problem| problem.contains(expected)), "{file}: {found:?}");
        };
        check("crates/store/src/x.rs", &format!("//! x\n{}", "\n".repeat(MAX_LINES)), "split it");
        check("crates/store/src/x.rs", "fn x() {}\n", "open the module");
        check("crates/machine/src/x.rs", "//! x\nuse std::time::Instant;\n", "x.rs:2: Instant in a pure crate");
        check("crates/asl/src/x.rs", "//! x\nlet t = tokio::spawn(x);\n", "tokio in a pure crate");
        check("crates/server/src/x.rs", &format!("//! x\n// {}: later\n", unfinished()[1]), "finish it");
    }

    #[test]
    fn what_only_looks_like_a_breach_is_none() {
        let check = |file: &str, text: &str| assert_eq!(check_text(Path::new(file), text), Vec::<String>::new());
        check("crates/machine/src/x.rs", "//! No tokio, no Instant.\n/// Needs no std::fs.\nfn operand() {}\n");
        check("crates/engine/src/x.rs", "//! x\nuse std::time::Instant;\n");
        check("crates/api/src/x.rs", &format!("// @generated by x\n{}", "\n".repeat(MAX_LINES * 2)));
    }

    #[test]
    fn the_table_of_crates_has_no_cycle() {
        for (i, (name, allowed)) in MAY_DEPEND_ON.iter().enumerate() {
            for other in *allowed {
                let above = MAY_DEPEND_ON[..i].iter().any(|(earlier, _)| earlier == other);
                assert!(above, "{name} may depend on {other}, which does not stand above it");
            }
        }
    }
}
