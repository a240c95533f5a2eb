//! One process of a function: how it is started, what it is told, when it is gone.
//!
//! Each leads a process group of its own, and whatever ends it ends the group: on a time-out, at the end of the server,
//! and, through the guard, when the server is killed. No process is left unwaited for.

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    process::Command,
    sync::{oneshot, watch},
};

use crate::{
    capture::Capture,
    definition::{Definition, Program},
    exchange::Exchange,
    guard::{self, Guard},
    log::Log,
    runtime_api::RuntimeApi,
};

/// How long a process that ended may still be heard: what it sent before is on its way.
const LAST_WORDS: Duration = Duration::from_millis(500);

const PYTHON_SHIM: &str = include_str!("shim/python.py");
const NODE_SHIM: &str = include_str!("shim/node.js");
/// The variable that brings a shim: a program so long as an argument would fill the lists of processes.
const SHIM: &str = "STEPWRIGHT_SHIM";
const RUN_PYTHON_SHIM: &str = "import os; exec(os.environ.pop('STEPWRIGHT_SHIM'))";
const RUN_NODE_SHIM: &str = "const shim = process.env.STEPWRIGHT_SHIM; delete process.env.STEPWRIGHT_SHIM; eval(shim)";

/// Where SDKs find Step Functions.
const OWN_ENDPOINT: &str = "AWS_ENDPOINT_URL_SFN";

/// Where functions are.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder that paths and modules are below, and that processes start in.
    pub(crate) folder: PathBuf,
    pub(crate) region: String,
    pub(crate) account: String,
    /// What `python3` is, once a process has said so: found faster than by scripts that look for it each time.
    pub(crate) python: OnceLock<PathBuf>,
    /// The URL of the server, once it is known.
    pub(crate) endpoint: OnceLock<String>,
}

/// How a process ended: `exit status 1`, `signal: killed`; nothing if it ended of itself and without a word.
pub(crate) type Ended = Option<String>;

/// A process that runs, or ran.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) capture: Arc<Capture>,
    group: Pid,
    ended: watch::Receiver<Option<Ended>>,
}

impl Process {
    /// Starts one.
    pub(crate) async fn start(
        name: &str,
        definition: &Definition,
        program: &Program,
        place: &Place,
        log: &Arc<Log>,
        guard: &Arc<Guard>,
    ) -> std::io::Result<Arc<Self>> {
        let api = RuntimeApi::bind().await?;
        let (capture, [out, error]) = Capture::new(Arc::clone(log))?;
        let mut command = command(program, place);
        command
            .current_dir(&place.folder)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(error);
        for name in std::env::vars_os().map(|(name, _)| name) {
            // The server's own, which may hold its secrets.
            if name.to_string_lossy().starts_with("STEPWRIGHT_") && name != SHIM {
                command.env_remove(name);
            }
        }
        environment(&mut command, name, definition, program, place);
        command.env("AWS_LAMBDA_RUNTIME_API", api.address().to_string());
        let mut child = command.spawn()?;
        // Closes our copies of the writing ends: the process's end is the end of its output.
        drop(command);
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = group.ok_or_else(|| std::io::Error::other("it has no id"))?;
        guard.began(group);
        let exchange = Arc::new(Exchange::new());
        let (ends, ended) = watch::channel(None);
        let (last, served) = oneshot::channel();
        let serving = tokio::spawn(api.serve(Arc::clone(&exchange), served));
        let readers = capture.follow();
        let (guard, heard) = (Arc::clone(guard), Arc::clone(&capture));
        tokio::spawn(async move {
            let status = child.wait().await;
            // What it started itself goes with it.
            guard::kill(group);
            guard.ended(group);
            let _gone = last.send(());
            let mut serving = serving;
            if tokio::time::timeout(LAST_WORDS, &mut serving).await.is_err() {
                serving.abort();
            }
            for reader in readers {
                reader.abort();
            }
            heard.finish();
            ends.send_replace(Some(how(status)));
        });
        Ok(Arc::new(Self { exchange, capture, group, ended }))
    }

    /// Waits for its end, and says how it was. All that it wrote is in the log then.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(how) => how.clone().flatten(),
            // The runtime ends.
            Err(_) => Some("the server ended".to_owned()),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Whether it can still take an event, as the system knows: an end is heard of a moment later.
    pub(crate) fn is_usable(&self) -> bool {
        // Leaves it to be waited for.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.is_alive() && matches!(waitid(WaitId::Pid(self.group), look), Ok(None))
    }

    /// Ends it and all that it started, at once.
    pub(crate) fn kill(&self) {
        if self.is_alive() {
            guard::kill(self.group);
        }
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        if self.is_alive() {
            let _gone = kill_process_group(self.group, Signal::TERM);
        }
    }
}

/// Whoever lets go of a process ends it.
impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// In the words of Lambda.
fn how(status: std::io::Result<std::process::ExitStatus>) -> Ended {
    use std::os::unix::process::ExitStatusExt as _;
    let status = match status {
        Ok(status) => status,
        Err(error) => return Some(format!("it can't be waited for: {error}")),
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exit status {code}")),
        (None, Some(9)) => Some("signal: killed".to_owned()),
        (None, Some(11)) => Some("signal: segmentation fault".to_owned()),
        (None, Some(6)) => Some("signal: aborted".to_owned()),
        (None, Some(15)) => Some("signal: terminated".to_owned()),
        (None, signal) => Some(format!("signal: {}", signal.unwrap_or_default())),
    }
}

fn command(program: &Program, place: &Place) -> Command {
    let folder = &place.folder;
    match program {
        Program::Command { arguments, .. } => {
            // With a folder in it, it is below the functions' own; else it is found as shells find it.
            let first = &arguments[0];
            let mut command = if first.contains('/') { Command::new(folder.join(first)) } else { Command::new(first) };
            command.args(&arguments[1..]);
            command
        }
        Program::Python(_) => {
            let own = folder.join(".venv/bin/python3");
            let known = place.python.get().filter(|known| known.exists());
            let mut command = match (own.exists(), known) {
                (true, _) => Command::new(own),
                (false, Some(known)) => Command::new(known),
                (false, None) => Command::new("python3"),
            };
            command.args(["-c", RUN_PYTHON_SHIM]).env(SHIM, PYTHON_SHIM);
            command
        }
        Program::Node(_) => {
            let mut command = Command::new("node");
            command.args(["-e", RUN_NODE_SHIM]).env(SHIM, NODE_SHIM);
            command
        }
    }
}

/// What Lambda tells a process, where it has a meaning here. The function's own variables win.
fn environment(command: &mut Command, name: &str, definition: &Definition, program: &Program, place: &Place) {
    let (Program::Command { handler, .. } | Program::Python(handler) | Program::Node(handler)) = program;
    let stream = format!("local/[$LATEST]{}", uuid::Uuid::new_v4().simple());
    command
        .env("_HANDLER", handler)
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", definition.memory.to_string())
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", stream)
        .env("LAMBDA_TASK_ROOT", &place.folder)
        .env("AWS_REGION", &place.region)
        .env("AWS_DEFAULT_REGION", &place.region)
        .env("AWS_ACCOUNT_ID", &place.account)
        .env("TZ", ":UTC");
    // So that a function that answers a task by its token finds the server that waits for it.
    if let Some(endpoint) = place.endpoint.get()
        && std::env::var_os(OWN_ENDPOINT).is_none()
    {
        command.env(OWN_ENDPOINT, endpoint);
    }
    command.envs(&definition.env);
}
