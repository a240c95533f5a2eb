//! `fuzz [TARGET] [--seconds N] [--seed N]`: feeds the corpus to the targets, then changes of it, blindly.
//!
//! What breaks a promise is kept as a file beside the corpus, with the words to feed it again. A target that takes too
//! long for an input counts as broken as well. This program must never change the corpus.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use stepwright_fuzz::{TARGETS, Target, with_stack};

/// The longest that an input may take. A thousand times what the slowest take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest input that is made up.
const MAX_BYTES: usize = 8 * 1024;

struct Arguments {
    targets: Vec<&'static Target>,
    seconds: u64,
    seed: u64,
    files: Vec<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments { targets: Vec::new(), seconds: 0, seed: 1, files: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).ok_or(format!("{word} wants a number"));
        match word.as_str() {
            "--seconds" => found.seconds = number()?,
            "--seed" => found.seed = number()?,
            name => match TARGETS.iter().find(|target| target.name == name) {
                Some(target) => found.targets.push(target),
                None if Path::new(name).is_file() => found.files.push(name.into()),
                None => {
                    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                    return Err(format!("{name} is no target and no file; the targets are {}", names.join(", ")));
                }
            },
        }
    }
    if found.targets.is_empty() {
        found.targets = TARGETS.iter().collect();
    }
    Ok(found)
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a target's corpus, by name.
fn corpus(target: &Target) -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
    let folder = here().join("corpus").join(target.name);
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let read =
        |path: PathBuf| Ok((path.clone(), std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?));
    paths.into_iter().map(read).collect()
}

/// xorshift64*: the same changes for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + 1 + self.below(16)).min(length).max(start)
    }
}

/// One of the corpus, changed in a few places.
fn changed(random: &mut Random, target: &Target, corpus: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].1.clone();
    for _ in 0..=random.below(4) {
        let range = random.range(bytes.len());
        match random.below(if target.pieces.is_empty() { 5 } else { 8 }) {
            0 if !range.is_empty() => bytes[range.start] ^= 1 << random.below(8),
            1 => drop(bytes.drain(range)),
            2 => {
                let copy = bytes[range].to_vec();
                let at = random.below(bytes.len() + 1);
                bytes.splice(at..at, copy);
            }
            3 => {
                let other = &corpus[random.below(corpus.len())].1;
                let part = other[random.range(other.len())].to_vec();
                bytes.splice(range, part);
            }
            4 => {
                let byte = random.below(256) as u8;
                bytes.insert(range.start, byte);
            }
            5 => {
                let piece = target.pieces[random.below(target.pieces.len())];
                bytes.splice(range, piece.bytes());
            }
            _ if !target.pieces.is_empty() => {
                let piece = target.pieces[random.below(target.pieces.len())];
                bytes.splice(range.start..range.start, piece.bytes());
            }
            _ => {}
        }
        bytes.truncate(MAX_BYTES);
    }
    bytes
}

/// What is being fed, for whoever must tell of it when it does not end.
#[derive(Default)]
struct Current {
    number: AtomicU64,
    input: Mutex<(&'static str, Vec<u8>)>,
}

impl Current {
    fn set(&self, target: &Target, bytes: &[u8]) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.0 = target.name;
        input.1.clear();
        input.1.extend_from_slice(bytes);
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    fn keep(&self) -> String {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        keep(input.0, &input.1)
    }
}

/// Keeps an input that broke something, and says how to feed it again.
fn keep(name: &str, bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let folder = here().join("findings");
    let path = folder.join(format!("{name}-{:016x}", hasher.finish()));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, bytes));
    match kept {
        Ok(()) => format!("kept as {}; again: cargo xtask fuzz {name} {}", path.display(), path.display()),
        Err(error) => format!("it could not be kept: {error}: {:?}", String::from_utf8_lossy(bytes)),
    }
}

/// Ends the process when an input takes too long: there is no other way to stop it.
fn watch(current: &Current) {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let number = current.number.load(Ordering::Relaxed);
        if number != last {
            (last, since) = (number, Instant::now());
        } else if number > 0 && since.elapsed() > PATIENCE {
            let _closed = writeln!(std::io::stderr(), "an input took more than {PATIENCE:?}: {}", current.keep());
            std::process::exit(1);
        }
    }
}

fn feed(current: &Current, target: &Target, bytes: &[u8]) -> Result<(), String> {
    current.set(target, bytes);
    std::panic::catch_unwind(|| (target.run)(bytes)).map_err(|_| format!("{}: {}", target.name, current.keep()))
}

fn run() -> Result<(), String> {
    let Arguments { targets, seconds, seed, files } = arguments()?;
    let current = Arc::new(Current::default());
    let watched = Arc::clone(&current);
    std::thread::spawn(move || watch(&watched));
    if !files.is_empty() {
        for file in &files {
            let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            for target in &targets {
                feed(&current, target, &bytes)?;
                println!("{}: {} breaks nothing", target.name, file.display());
            }
        }
        return Ok(());
    }
    for target in targets {
        let corpus = corpus(target)?;
        if corpus.is_empty() {
            return Err(format!("the corpus of {} is empty", target.name));
        }
        for (path, bytes) in &corpus {
            feed(&current, target, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let begun = Instant::now();
        let mut count = 0_u64;
        let mut shown = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds) {
            let bytes = changed(&mut random, target, &corpus);
            feed(&current, target, &bytes)?;
            count += 1;
            if shown.elapsed() > Duration::from_secs(10) {
                shown = Instant::now();
                println!("{:16} {count} inputs in {} s", target.name, begun.elapsed().as_secs());
            }
        }
        let rate = count as f64 / begun.elapsed().as_secs_f64().max(0.001);
        println!("{:16} {} of the corpus, {count} changes of them, {rate:.0} a second", target.name, corpus.len());
    }
    // Nothing is fed any more: nobody waits for the watch.
    current.number.store(0, Ordering::Relaxed);
    Ok(())
}

fn main() -> ExitCode {
    match with_stack(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
