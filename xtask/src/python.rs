//! The Python and Node environments of the example and the tests, made under the target directory from pinned
//! requirements and reused while those stay the same. Never touches the machine's own packages, except that root on
//! Debian may install the interpreters themselves by apt.

use crate::workspace::{check, command, find_program, in_ci, root, target};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What an attempt to prepare something came to: ready, or missing for a reason a reader can act on.
pub(crate) enum Ready<T> {
    Yes(T),
    Missing(String),
}

/// A virtual environment with what `tests/requirements.txt` names.
pub(crate) struct Python {
    home: PathBuf,
}

impl Python {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.home.join("bin").join(name)
    }

    pub(crate) fn command(&self) -> Command {
        command(self.program("python"))
    }
}

/// Makes the virtual environment of most tests, or says what is missing.
pub(crate) fn prepare_python() -> Result<Ready<Python>> {
    prepare("tests/requirements.txt", "venv", "boto3, AWS CLI, pytest")
}

/// Makes the virtual environment of the tests against stand-ins for other services.
pub(crate) fn prepare_services() -> Result<Ready<Python>> {
    prepare("tests/services/requirements.txt", "services-venv", "moto, boto3, pytest")
}

fn prepare(requirements: &str, name: &str, what: &str) -> Result<Ready<Python>> {
    let wanted =
        std::fs::read_to_string(root().join(requirements)).with_context(|| format!("cannot read {requirements}"))?;
    let requirements = root().join(requirements);
    let home = target().join(name);
    let stamp = home.join(".requirements");
    let python = Python { home: home.clone() };
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(Ready::Yes(python));
    }
    let usable = || works("python3", &["-c", "import venv, ensurepip"]);
    if !(usable() || apt_install(&["python3", "python3-venv"]) && usable()) {
        return missing("Python 3 with its venv module (Debian: apt-get install python3 python3-venv)");
    }
    eprintln!("preparing {} ({what})", home.display());
    if home.exists() {
        std::fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    check(command("python3").args(["-m", "venv"]).arg(&home))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"];
    check(python.command().args(pip).arg(&requirements))
        .context("pip could not install the pinned packages; is a package index reachable?")?;
    std::fs::write(&stamp, wanted)?;
    Ok(Ready::Yes(python))
}

/// Installs the JavaScript SDKs by their lock file, or says what is missing. Returns the folder of the tests.
pub(crate) fn prepare_node() -> Result<Ready<PathBuf>> {
    let folder = root().join("tests/sdk-js");
    let usable = || works("node", &["--version"]) && works("npm", &["--version"]);
    if !(usable() || apt_install(&["nodejs", "npm"]) && usable()) {
        return missing("Node 18 or later with npm (Debian: apt-get install nodejs npm)");
    }
    // node_modules must lie beside the tests for `import` to find it, so a copy of the folder lies under target.
    let home = target().join("sdk-js");
    std::fs::create_dir_all(&home)?;
    let mut changed = false;
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let (new, copy) = (std::fs::read(entry.path())?, home.join(entry.file_name()));
        if std::fs::read(&copy).is_ok_and(|old| old == new) {
            continue;
        }
        changed |= entry.file_name() == "package-lock.json";
        std::fs::write(copy, new)?;
    }
    if changed || !home.join("node_modules/.package-lock.json").exists() {
        let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        check(command("npm").args(install).current_dir(&home))
            .context("npm could not install the locked packages; is a registry reachable?")?;
    }
    Ok(Ready::Yes(home))
}

fn missing<T>(what: &str) -> Result<Ready<T>> {
    if in_ci() {
        bail!("missing: {what}. In CI nothing is skipped");
    }
    Ok(Ready::Missing(what.to_string()))
}

fn works(program: &str, args: &[&str]) -> bool {
    let quiet = command(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// As root on a machine with apt, installs packages; true if that worked.
pub(crate) fn apt_install(packages: &[&str]) -> bool {
    let root_user = crate::workspace::output(command("id").arg("-u")).is_ok_and(|id| id == "0");
    if !root_user || find_program("apt-get").is_none() {
        return false;
    }
    eprintln!("installing {} by apt-get", packages.join(", "));
    let apt = |args: &[&str]| check(command("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(args)).is_ok();
    let mut install = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    install.extend(packages);
    apt(&["update", "--quiet"]) && apt(&install)
}
