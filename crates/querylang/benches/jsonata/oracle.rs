//! The npm `jsonata`, in a Node process of its own that is asked line by line.

use crate::Failure;
use crate::cases::Case;
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The release that Step Functions runs, and the current one.
pub(crate) const VERSIONS: [&str; 2] = ["2.0.6", "2.2.2"];

pub(crate) struct Oracle {
    node: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

pub(crate) struct Measured {
    pub(crate) nanos: f64,
    pub(crate) result: Json,
}

impl Oracle {
    pub(crate) fn start() -> Result<Self, Failure> {
        let folder = install()?;
        let mut node = Command::new("node")
            .arg("measure.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("node: {error}; Node 18 or later with npm is what this is measured against"))?;
        let (Some(requests), Some(answers)) = (node.stdin.take(), node.stdout.take()) else {
            return Err("node has no pipes".into());
        };
        Ok(Self { node, requests, answers: BufReader::new(answers) })
    }

    pub(crate) fn measure(&mut self, case: &Case, version: &str, time: Duration) -> Result<Measured, Failure> {
        let mut request = json!({
            "version": version, "expression": case.expression, "bindings": case.bindings,
            "millis": u64::try_from(time.as_millis())?,
        });
        if !case.input.is_null() {
            request["input"] = case.input.clone();
        }
        writeln!(self.requests, "{request}")?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(format!("{}: jsonata {version} failed, see above", case.name).into());
        }
        let mut answer: Json = serde_json::from_str(&answer)?;
        let nanos = answer["nanos"].as_f64().ok_or("node gave no time")?;
        Ok(Measured { nanos, result: answer["result"].take() })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It would end by itself with its input; nobody waits for what it may be at.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// Installs the locked packages under `target`, once, beside a copy of the script.
fn install() -> Result<PathBuf, Failure> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/jsonata/npm");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("jsonata-npm");
    std::fs::create_dir_all(&home)?;
    let mut fresh = home.join("node_modules/.package-lock.json").exists();
    for file in ["package.json", "package-lock.json", "measure.mjs"] {
        let wanted = std::fs::read(source.join(file))?;
        if std::fs::read(home.join(file)).ok().as_ref() != Some(&wanted) {
            std::fs::write(home.join(file), wanted)?;
            fresh &= file == "measure.mjs";
        }
    }
    if !fresh {
        let installed = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
            .current_dir(&home)
            .status()
            .map_err(|error| format!("npm: {error}; Node 18 or later with npm is what this is measured against"))?;
        if !installed.success() {
            return Err("npm could not install the locked packages; is a registry reachable?".into());
        }
    }
    Ok(home)
}
