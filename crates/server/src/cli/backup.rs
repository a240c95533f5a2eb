//! `stepwright backup`: everything a server holds, in one file.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use http_body_util::BodyExt as _;
use serde_json::json;
use stepwright_store::{
    Error,
    backup::{Head, NewFile, Totals, write_quiet},
    inspect,
};

use super::{
    Failure,
    client::{Client, EndpointArgs},
    eprint, print, runtime,
};

pub(super) const HELP: &str = "\
The backup of a running server holds everything that was acknowledged before the command began; the server goes on \
meanwhile. The file gets its name only when it is whole, on disk, and was read back.

A backup holds all inputs and outputs of all executions, readable, and the key that task tokens are signed with: keep \
it as you keep the data directory. Only its owner may read it.

Examples:
  stepwright backup --to /backups
      Of the server at http://127.0.0.1:8083, into a file named after the time

  stepwright backup --data-directory /var/lib/stepwright --to stepwright.backup
      Of a server that is stopped; the directory is not changed

  stepwright restore --from stepwright.backup --data-directory /var/lib/stepwright-2";

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// The data directory of a server that is stopped, instead
    #[arg(long, value_name = "DIR")]
    data_directory: Option<PathBuf>,
    /// The file to write, or a directory to put one in; a file that exists is not overwritten
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    let target = if args.to.is_dir() { args.to.join(file_name()) } else { args.to.clone() };
    let mut file = NewFile::create(&target).map_err(failed)?;
    match &args.data_directory {
        Some(directory) => offline(directory, &mut file)?,
        None => runtime()?.block_on(online(args.endpoint.client()?, &mut file))?,
    }
    eprint("reading it back\n");
    let (head, totals) = file.place().map_err(failed)?;
    print(&shown(&target, head, totals, args.json));
    Ok(())
}

fn file_name() -> String {
    format!("stepwright-{}.backup", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"))
}

pub(super) fn failed(error: Error) -> Failure {
    match error {
        Error::Invalid { reason } => Failure::Failed(reason),
        error => Failure::Failed(error.to_string()),
    }
}

/// What is known of a backup, for stdout.
pub(super) fn shown(file: &Path, head: Head, totals: Totals, as_json: bool) -> String {
    let at = i64::try_from(head.at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string());
    if as_json {
        let shown = json!({
            "file": file.display().to_string(),
            "position": head.position,
            "at": at,
            "rows": totals.rows,
            "bytes": totals.bytes,
        });
        return format!("{shown:#}\n");
    }
    let Totals { rows, bytes } = totals;
    let (file, position) = (file.display(), head.position);
    format!("{file}: every commit up to {position}, taken at {at}, {rows} rows, {bytes} bytes\n")
}

fn offline(directory: &Path, file: &mut NewFile) -> Result<(), Failure> {
    let store = inspect::open(directory).map_err(failed)?;
    let at_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let head = Head { position: store.last_commit(), at_ms };
    let mut out = std::io::BufWriter::with_capacity(1 << 20, Counted { file, progress: Progress::new() });
    write_quiet(&store, head, &mut out).map_err(failed)?;
    out.flush().map_err(|error| Failure::Failed(format!("the backup cannot be written: {error}")))
}

struct Counted<'a> {
    file: &'a mut NewFile,
    progress: Progress,
}

impl std::io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.progress.add(written);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

async fn online(client: Client, file: &mut NewFile) -> Result<(), Failure> {
    let mut body = client.stream("/_stepwright/backup").await??;
    let mut progress = Progress::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::Failed(format!(
                "the backup broke off: {error}; nothing was kept of it. The server's log may say why"
            ))
        })?;
        let Ok(bytes) = frame.into_data() else { continue };
        // A slow disk here slows the server's reading, nothing else: there is no other work in this process.
        file.write_all(&bytes).map_err(|error| Failure::Failed(format!("the backup cannot be written: {error}")))?;
        progress.add(bytes.len());
    }
    Ok(())
}

/// How far it is, on stderr, every now and then.
struct Progress {
    bytes: usize,
    said: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { bytes: 0, said: Instant::now() }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.said.elapsed() >= Duration::from_secs(1) {
            self.said = Instant::now();
            eprint(&format!("{} MiB\n", self.bytes >> 20));
        }
    }
}
