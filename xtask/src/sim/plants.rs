//! `cargo xtask sim --plants`: bugs planted in a copy of the production code, one at a time. Each must be found by a
//! checker of the simulation, or the simulation proves nothing. The working tree itself is never touched.

use super::{Profile, build, figures::shown, simulate};
use crate::workspace::{command, root, target};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the patches lie.
const PLANTS: &str = "crates/sim/plants";
/// What is no source.
const LEFT_OUT: [&str; 6] = [".git", "target", "node_modules", "__pycache__", "stepwright-data", "corpus"];

/// Plants each bug and looks for it in up to `bound` seeds.
pub(super) fn run(names: &[String], bound: u64, threads: usize, json: bool) -> Result<()> {
    let plants = plants(names)?;
    let home = target().join("plants");
    let mut results = Vec::new();
    let mut missed = Vec::new();
    let mut most = 0;
    for (place, (name, patch)) in plants.iter().enumerate() {
        if !json {
            eprintln!("[{}/{}] {name}", place + 1, plants.len());
        }
        let begun = Instant::now();
        let tree = plant(&home.join("tree"), name, patch)?;
        let runner = build(Profile::Dev, &tree, &home.join("target"))
            .with_context(|| format!("{name} does not compile any more: write the patch anew"))?;
        let built = begun.elapsed().as_secs_f64();
        let figures = simulate(&runner, &search(bound, threads), true)?;
        let found = figures.complaints().first();
        let seeds = figures.0["seeds"].as_u64().unwrap_or(0);
        most = most.max(seeds);
        if !json {
            match found {
                Some(complaint) => println!("{name:32} found after {seeds} seeds: {:.160}", shown(complaint)),
                None => println!("{name:32} NOT FOUND in {seeds} seeds"),
            }
            let all = begun.elapsed().as_secs_f64();
            eprintln!("{name:32} {built:.0} s to build, {:.0} s to run", all - built);
        }
        if found.is_none() {
            missed.push(name.as_str());
        }
        results.push(json!({"plant": name, "seeds": seeds, "found": found}));
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&Value::Array(results))?);
    }
    // A simulation that complains of everything finds everything.
    let tree = copy(&home.join("tree"))?;
    let figures = simulate(&build(Profile::Dev, &tree, &home.join("target"))?, &search(most, threads), true)?;
    let complaints: Vec<String> = figures.complaints().iter().map(shown).collect();
    ensure!(complaints.is_empty(), "a checker complains without any plant, too:\n  {}", complaints.join("\n  "));
    if !json {
        println!("{:32} no complaint in {most} seeds", "without a plant");
    }
    ensure!(missed.is_empty(), "no checker found {}: the simulation is too weak", missed.join(", "));
    Ok(())
}

/// Arguments of the runner that looks for a complaint.
fn search(seeds: u64, threads: usize) -> Vec<String> {
    ["--seeds", &seeds.to_string(), "--threads", &threads.to_string(), "--until-complaint"].map(str::to_owned).to_vec()
}

/// The patches, by name, in their order; only those asked for.
fn plants(names: &[String]) -> Result<Vec<(String, PathBuf)>> {
    let folder = root().join(PLANTS);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if let (Some("patch"), Some(stem)) = (path.extension().and_then(|e| e.to_str()), path.file_stem()) {
            all.push((stem.to_string_lossy().into_owned(), path));
        }
    }
    all.sort();
    let named = |plant: &str, name: &str| plant == name || plant.split_once('-').is_some_and(|(_, rest)| rest == name);
    for name in names {
        if !all.iter().any(|(plant, _)| named(plant, name)) {
            let known: Vec<&str> = all.iter().map(|(plant, _)| plant.as_str()).collect();
            bail!("no plant is called {name}; there are {}", known.join(", "));
        }
    }
    all.retain(|(plant, _)| names.is_empty() || names.iter().any(|name| named(plant, name)));
    Ok(all)
}

/// A copy of the source tree. What has not changed since the last copy keeps its time, so that it is not compiled
/// again.
fn copy(tree: &Path) -> Result<PathBuf> {
    mirror(&root(), tree)?;
    Ok(tree.to_path_buf())
}

/// A copy of the source tree with the patch applied.
fn plant(tree: &Path, name: &str, patch: &Path) -> Result<PathBuf> {
    copy(tree)?;
    let mut git = command("git");
    // The copy may lie inside a repository: the patch is meant for the copy and nothing else.
    git.current_dir(tree).env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree)).env_remove("GIT_DIR");
    let applied = git.args(["apply", "--whitespace=nowarn"]).arg(patch).output().context("cannot run git")?;
    if !applied.status.success() {
        let said = String::from_utf8_lossy(&applied.stderr);
        bail!("{name} does not apply any more; write {PLANTS}/{name}.patch anew:\n{}", said.trim());
    }
    Ok(tree.to_path_buf())
}

/// Makes `to` equal to `from`, writing only what differs.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        let bytes = std::fs::read(from).with_context(|| from.display().to_string())?;
        if std::fs::read(to).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        return std::fs::write(to, bytes).with_context(|| to.display().to_string());
    }
    std::fs::create_dir_all(to)?;
    let names = |folder: &Path| -> Result<BTreeSet<_>> {
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let mut wanted = names(from)?;
    wanted.retain(|name| !LEFT_OUT.iter().any(|left_out| name == left_out));
    for name in names(to)?.difference(&wanted) {
        let extra = to.join(name);
        if extra.is_dir() { std::fs::remove_dir_all(extra)? } else { std::fs::remove_file(extra)? }
    }
    for name in wanted {
        mirror(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{PLANTS, plants};
    use crate::workspace::{check, command, root};

    /// Whoever changes the code that a plant changes hears of it at once, and not when someone next plants it.
    #[test]
    fn every_plant_applies() {
        let plants = plants(&[]).expect(PLANTS);
        assert_eq!(plants.len(), 22);
        for (name, patch) in plants {
            check(command("git").current_dir(root()).args(["apply", "--check"]).arg(patch)).expect(&name);
        }
    }
}
