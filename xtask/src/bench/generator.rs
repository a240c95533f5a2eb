//! The load generator `sfnbench`: where it is, how it is built, how a run of it is read; and its own bare server with a
//! log, the yardstick of the machine as it is at this moment. Knows nothing of what the figures mean.

use crate::process::{Background, free_port};
use crate::workspace::{cargo, check, root, target};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where its sources lie, seen from the root of the repository.
const SOURCES: &str = "../shared/bench";
/// The body of the yardstick's requests: as long as that of a small StartExecution.
const BODY: &str = r#"{"stateMachineArn":"arn:aws:states:us-east-1:000000000000:stateMachine:bench-1","input":"{\"order\":\"o-1001\"}"}"#;

/// The load generator's binary.
#[derive(Clone)]
pub(crate) struct Generator {
    binary: PathBuf,
}

impl Generator {
    /// The binary that was named, or the one built from the sources beside this repository.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self> {
        if let Some(named) = named {
            ensure!(named.is_file(), "--generator is {}, which is not a file", named.display());
            return Ok(Self { binary: named.to_path_buf() });
        }
        let sources = root().join(SOURCES);
        if !sources.join("Cargo.toml").is_file() {
            bail!(
                "the load generator sfnbench is missing: its sources are looked for in {SOURCES}, seen from the root of \
                 the repository; put them there, or name a built one with --generator PATH"
            );
        }
        Ok(Self { binary: build(&sources)? })
    }

    /// Runs it to its end and returns the line of JSON that it prints.
    pub(crate) fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Value> {
        self.start(arguments)?.finish()
    }

    /// Starts it and returns at once.
    pub(crate) fn start<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Run> {
        let mut command = Command::new(&self.binary);
        let mut shown = String::from("sfnbench");
        for argument in arguments {
            command.arg(argument.as_ref());
            shown.push(' ');
            shown.push_str(argument.as_ref());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot run `{shown}`"))?;
        Ok(Run { child: Some(child), shown })
    }

    /// Its bare server with a log. `directory` is where the log goes.
    pub(crate) fn yardstick(&self, directory: &Path) -> Result<Yardstick> {
        std::fs::create_dir_all(directory)?;
        self.serve(Some(directory))
    }

    /// Its bare server without a log: for what touches no disk.
    pub(crate) fn bare(&self) -> Result<Yardstick> {
        self.serve(None)
    }

    fn serve(&self, log: Option<&Path>) -> Result<Yardstick> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port(0)?));
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", &address.to_string(), "--threads", "2"]);
        if let Some(log) = log {
            command.arg("--wal").arg(log);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Background::start("the yardstick", &mut command)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.ended() {
                bail!("the yardstick ended with {status}");
            }
            ensure!(Instant::now() < deadline, "the yardstick does not answer at {address}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Yardstick { generator: self.clone(), address, _process: process })
    }
}

/// A run under way. Ended by its own limits; killed if nobody waits for it.
pub(crate) struct Run {
    child: Option<std::process::Child>,
    shown: String,
}

impl Run {
    /// Waits for its end and reads what it printed.
    pub(crate) fn finish(mut self) -> Result<Value> {
        let child = self.child.take().expect("finished once");
        let output = child.wait_with_output().with_context(|| format!("cannot wait for `{}`", self.shown))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().last().unwrap_or_default();
        let value: Value = serde_json::from_str(line).with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("`{}` ended with {} and without a result; it said: {}", self.shown, output.status, said.trim())
        })?;
        if let Some(failed) = value["failed"].as_str() {
            bail!("`{}` failed: {failed}", self.shown);
        }
        Ok(value)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The bare server: parses nothing, appends 512 bytes and syncs if it has a log, answers.
pub(crate) struct Yardstick {
    generator: Generator,
    address: SocketAddr,
    _process: Background,
}

/// What the yardstick did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Yardstick {
    /// Loads it; with a rate, requests come at that rate, whether or not earlier ones were answered.
    pub(crate) fn measure(&self, connections: usize, seconds: f64, rate: Option<f64>) -> Result<Measure> {
        let mut arguments = vec!["http".to_string(), "--endpoint".into(), format!("http://{}", self.address)];
        arguments.extend(["--op".into(), "StartExecution".into(), "--body".into(), BODY.into()]);
        arguments.extend(["--concurrency".into(), connections.to_string(), "--duration".into(), seconds.to_string()]);
        if let Some(rate) = rate {
            arguments.extend(["--rate".into(), format!("{rate:.0}")]);
        }
        let value = self.generator.run(&arguments)?;
        Ok(Measure {
            per_second: number(&value, "requests_per_s")?,
            p50_ms: number(&value["latency_ms"], "p50")?,
            p99_ms: number(&value["latency_ms"], "p99")?,
        })
    }
}

/// A number of a result; it must be there.
pub(crate) fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| format!("the load generator's result has no {key}: {value}"))
}

/// Builds it under the target directory: its sources may be read-only, and it shares our versions of what both use.
fn build(sources: &Path) -> Result<PathBuf> {
    let home = target().join("sfnbench");
    let copy = home.join("source");
    std::fs::create_dir_all(copy.join("src"))?;
    copy_if_changed(&sources.join("Cargo.toml"), &copy.join("Cargo.toml"))?;
    for entry in std::fs::read_dir(sources.join("src"))? {
        let entry = entry?;
        copy_if_changed(&entry.path(), &copy.join("src").join(entry.file_name()))?;
    }
    if !copy.join("Cargo.lock").is_file() {
        std::fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock"))?;
    }
    eprintln!("building the load generator in {}", home.display());
    let mut command = cargo();
    command.args(["build", "--quiet", "--release"]).current_dir(&copy).env("CARGO_TARGET_DIR", &home);
    check(&mut command).context("the load generator could not be built; name a built one with --generator PATH")?;
    Ok(home.join("release").join("sfnbench"))
}

/// Leaves the times of unchanged files alone, by which cargo knows that nothing is to be done.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let bytes = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if std::fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    std::fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))
}
