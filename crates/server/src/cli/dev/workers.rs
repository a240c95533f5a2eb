//! Activity workers of a project: programs that run beside the server, start again when they end, and end with it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use stepwright_functions::guard::Guard;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, timeout},
};

use super::{report::Note, view::Shown};
use crate::config::Settings;

/// What `[dev.workers]` says: the program of each, and its arguments.
pub(super) type Commands = BTreeMap<String, Vec<String>>;

/// The first pause before one that ended starts again; doubles, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who lasted so long begins with the first pause again.
const LASTED: Duration = Duration::from_secs(30);
/// How long one may answer what it has in its hands, when all ends.
const LAST_ANSWERS: Duration = Duration::from_secs(4);
/// Bytes of a line that are shown at once.
const LINE: u64 = 16 << 10;

/// What all workers are told.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) endpoint: String,
    pub(super) region: String,
    pub(super) account: String,
}

impl Place {
    pub(super) fn new(folder: &Path, address: std::net::SocketAddr, settings: &Settings) -> Self {
        Self {
            folder: folder.to_owned(),
            endpoint: format!("http://{address}"),
            region: settings.region.clone(),
            account: settings.account.clone(),
        }
    }
}

/// The workers that run.
pub(super) struct Workers {
    place: Place,
    guard: Arc<Guard>,
    shown: mpsc::Sender<Shown>,
    running: BTreeMap<String, Running>,
}

struct Running {
    command: Vec<String>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Workers {
    pub(super) fn new(place: Place, guard: Guard, shown: mpsc::Sender<Shown>) -> Self {
        Self { place, guard: Arc::new(guard), shown, running: BTreeMap::new() }
    }

    /// Runs these and no others. One whose command is another now, or has a file of it that changed, starts anew.
    pub(super) async fn update(&mut self, commands: &Commands, changed: &[PathBuf]) {
        let is_changed = |command: &[String]| {
            command
                .iter()
                .any(|word| changed.iter().any(|file| self.place.folder.join(word) == self.place.folder.join(file)))
        };
        let stays = |name: &String, running: &Running| {
            commands.get(name).is_some_and(|command| *command == running.command && !is_changed(command))
        };
        let gone: Vec<String> =
            self.running.iter().filter(|(name, running)| !stays(name, running)).map(|(name, _)| name.clone()).collect();
        self.end(&gone).await;
        for (name, command) in commands {
            if !self.running.contains_key(name) {
                let (stop, stopped) = watch::channel(false);
                let worker = Worker {
                    name: name.clone(),
                    command: command.clone(),
                    place: self.place.clone(),
                    guard: Arc::clone(&self.guard),
                    shown: self.shown.clone(),
                };
                let task = tokio::spawn(worker.run(stopped));
                self.running.insert(name.clone(), Running { command: command.clone(), stop, task });
            }
        }
    }

    /// Lets all of them answer what they have, and ends them.
    pub(super) async fn stop(mut self) {
        let all: Vec<String> = self.running.keys().cloned().collect();
        self.end(&all).await;
    }

    async fn end(&mut self, names: &[String]) {
        let ending: Vec<Running> = names.iter().filter_map(|name| self.running.remove(name)).collect();
        for running in &ending {
            running.stop.send_replace(true);
        }
        for running in ending {
            let _ended = running.task.await;
        }
    }
}

struct Worker {
    name: String,
    command: Vec<String>,
    place: Place,
    guard: Arc<Guard>,
    shown: mpsc::Sender<Shown>,
}

impl Worker {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let how = match self.start() {
                Ok(child) => self.follow(child, &mut stop).await,
                Err(error) => format!("{} cannot be started: {error}", self.command.join(" ")),
            };
            if *stop.borrow() {
                return;
            }
            if begun.elapsed() >= LASTED {
                pause = FIRST_PAUSE;
            }
            self.tell(Note::Worker {
                name: self.name.clone(),
                what: format!("{how}; starts again in {} s", pause.as_secs()),
            })
            .await;
            if timeout(pause, stopped(&mut stop)).await.is_ok() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn start(&self) -> io::Result<Child> {
        let Place { folder, endpoint, region, account } = &self.place;
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(io::Error::other("the command is empty"));
        };
        // With a folder in it, it is below the project's; else it is found as shells find it.
        let program = if program.contains('/') { std::path::absolute(folder.join(program))? } else { program.into() };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in [
            ("AWS_ENDPOINT_URL_SFN", endpoint),
            ("AWS_REGION", region),
            ("AWS_DEFAULT_REGION", region),
            // The server here takes it for the account, and nobody checks the key.
            ("AWS_ACCESS_KEY_ID", account),
            ("AWS_SECRET_ACCESS_KEY", account),
        ] {
            command.env(name, value);
        }
        command.env_remove("AWS_SESSION_TOKEN").env_remove("AWS_PROFILE").env("PYTHONUNBUFFERED", "1");
        command.spawn()
    }

    /// Shows what it says until it ends, or is to; and says how it ended.
    async fn follow(&self, mut child: Child, stop: &mut watch::Receiver<bool>) -> String {
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            self.guard.began(group);
        }
        let mut listening = JoinSet::new();
        if let Some(out) = child.stdout.take() {
            listening.spawn(listen(out, self.name.clone(), self.shown.clone()));
        }
        if let Some(error) = child.stderr.take() {
            listening.spawn(listen(error, self.name.clone(), self.shown.clone()));
        }
        let ended = tokio::select! {
            status = child.wait() => Some(status),
            () = stopped(stop) => None,
        };
        let status = match ended {
            Some(status) => status,
            None => {
                if let Some(group) = group {
                    let _gone = kill_process_group(group, Signal::TERM);
                }
                timeout(LAST_ANSWERS, child.wait()).await.unwrap_or_else(|_| Err(io::Error::other("it did not end")))
            }
        };
        // What it started itself goes with it.
        if let Some(group) = group {
            let _gone = kill_process_group(group, Signal::KILL);
            self.guard.ended(group);
        }
        let _last_words = timeout(FIRST_PAUSE, async { while listening.join_next().await.is_some() {} }).await;
        how(status)
    }

    async fn tell(&self, note: Note) {
        // Nobody reads any more: there is nobody to tell.
        let _gone = self.shown.send(Shown::Note(note)).await;
    }
}

/// Waits until it is to end.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

fn how(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended ({status})"),
        Err(error) => format!("ended: {error}"),
    }
}

/// Shows the lines that it writes. Long ones come in pieces.
async fn listen(from: impl AsyncRead + Unpin, name: String, shown: mpsc::Sender<Shown>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut from).take(LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if shown.send(Shown::Note(Note::Said { name: name.clone(), text })).await.is_err() {
                    return;
                }
            }
        }
    }
}
