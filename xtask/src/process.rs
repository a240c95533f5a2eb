//! Programs that run beside a verb: started, awaited, and always stopped. Only processes started here are ever stopped.

use crate::client::Client;
use anyhow::{Context, Result, bail};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a program may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// A program in the background, in a process group of its own so that Ctrl-C reaches only us and we stop it in order.
pub(crate) struct Background {
    name: &'static str,
    child: Child,
}

impl Background {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command.process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL: no goodbye, nothing flushed.
    pub(crate) fn kill(&mut self) {
        let _ended_already = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, waits, and kills it if it does not listen.
    pub(crate) fn stop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        // The shell's own `kill`: minimal Debian images have no other.
        let asked = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.id())).status();
        let deadline = Instant::now() + if asked.is_ok() { GRACE } else { Duration::ZERO };
        while self.ended().is_none() {
            if Instant::now() >= deadline {
                eprintln!("{} did not end within {} s and is killed", self.name, GRACE.as_secs());
                self.kill();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A Stepwright server on this machine.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Background,
}

impl Server {
    /// Starts the binary on a data directory and waits until it is ready. Its log goes to `log`.
    pub(crate) fn start(binary: &Path, data: &Path, port: u16, log: &Path, more: &[&str]) -> Result<Self> {
        Self::launch(&mut Command::new(binary), data, port, log, more)
    }

    /// As [`Server::start`], with a command that runs the binary: under another program, or with an environment.
    pub(crate) fn launch(command: &mut Command, data: &Path, port: u16, log: &Path, more: &[&str]) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.args(["serve", "--listen", &address.to_string(), "--data-directory"]).arg(data).args(more);
        command.stdin(std::process::Stdio::null()).stdout(file.try_clone()?).stderr(file).env_remove("STEPWRIGHT_BIN");
        let mut process = Background::start("the server", command)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while Client::new(address).get("/healthz").is_err() {
            if let Some(status) = process.ended() {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                bail!("the server ended with {status}; it said:\n{said}");
            }
            if Instant::now() > deadline {
                bail!("the server does not answer at http://{address}/healthz; its log is {}", log.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { address, process })
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    pub(crate) fn stop(&mut self) {
        self.process.stop();
    }

    /// SIGKILL, and the end of it awaited.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

/// The port if it is free, else one that is.
pub(crate) fn free_port(wanted: u16) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", wanted))
        .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))
        .context("no port of 127.0.0.1 is free")?;
    Ok(listener.local_addr()?.port())
}

/// A channel that hears of Ctrl-C and SIGTERM.
pub(crate) fn interruptions() -> Result<mpsc::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (sender, receiver) = mpsc::channel();
    let guard = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(guard);
    std::thread::spawn(move || {
        loop {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
