//! What functions said lately: a bounded number of bytes for each, in the order in which it was heard.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

/// Bytes that the lines of one function may take, each with [`LINE_COST`] besides its text.
const MAX_BYTES: usize = 1 << 20;
const LINE_COST: usize = 96;

/// Bytes of the end of an invocation's log that Lambda gives with its answer.
const MAX_TAIL: usize = 4 << 10;

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// Whoever runs it: that an invocation began, how it ended.
    Platform,
}

impl Stream {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Platform => "platform",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its number: those of all functions count together.
    pub sequence: u64,
    /// When it was heard, in milliseconds since 1970.
    pub at: u64,
    /// The function.
    pub function: Arc<str>,
    /// The invocation during which it was heard.
    pub request_id: Option<Arc<str>>,
    /// Where it comes from.
    pub stream: Stream,
    /// The line, without its end.
    pub text: String,
}

/// Numbers lines, and tells who waits for new ones.
#[derive(Debug)]
pub(crate) struct Sequence {
    last: AtomicU64,
    told: watch::Sender<u64>,
}

impl Default for Sequence {
    fn default() -> Self {
        Self { last: AtomicU64::new(0), told: watch::Sender::new(0) }
    }
}

impl Sequence {
    /// Ends when there is a line after this one.
    pub(crate) async fn beyond(&self, after: u64) {
        let mut told = self.told.subscribe();
        // The sender lives in self, so waiting cannot fail.
        let _ = told.wait_for(|last| *last > after).await;
    }
}

/// The log of one function.
#[derive(Debug)]
pub(crate) struct Log {
    function: Arc<str>,
    echo: bool,
    sequence: Arc<Sequence>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Log {
    pub(crate) fn new(function: Arc<str>, echo: bool, sequence: Arc<Sequence>) -> Self {
        Self { function, echo, sequence, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a line.
    pub(crate) fn push(&self, stream: Stream, request_id: Option<&Arc<str>>, text: String) {
        if self.echo {
            let request_id = request_id.map(|id| &**id);
            tracing::info!(function = &*self.function, request_id, stream = stream.as_str(), "{text}");
        }
        let mut kept = self.kept();
        // Numbered while the lock is held, so that the lines of a function stand in the order of their numbers.
        let sequence = self.sequence.last.fetch_add(1, Ordering::Relaxed) + 1;
        kept.bytes += text.len() + LINE_COST;
        let (at, function) = (now_ms(), Arc::clone(&self.function));
        kept.lines.push_back(LogLine { sequence, at, function, request_id: request_id.cloned(), stream, text });
        while kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.text.len() + LINE_COST;
        }
        drop(kept);
        self.sequence.told.send_if_modified(|last| {
            let newer = *last < sequence;
            *last = sequence.max(*last);
            newer
        });
    }

    /// The lines after the one with this number, the newest `at_most`.
    pub(crate) fn after(&self, sequence: u64, at_most: usize) -> Vec<LogLine> {
        let kept = self.kept();
        let newer = kept.lines.iter().rev().take_while(|line| line.sequence > sequence).take(at_most);
        let mut lines: Vec<LogLine> = newer.cloned().collect();
        lines.reverse();
        lines
    }

    /// The last line that the function itself said in this invocation, or before its first.
    pub(crate) fn last_words(&self, request_id: &str) -> Option<String> {
        let kept = self.kept();
        let mut own = kept.lines.iter().rev().filter(|line| {
            line.stream != Stream::Platform && line.request_id.as_deref().is_none_or(|id| id == request_id)
        });
        own.find(|line| !line.text.trim().is_empty()).map(|line| line.text.trim().to_owned())
    }

    /// The end of an invocation's log, as text.
    pub(crate) fn tail(&self, request_id: &str) -> String {
        let kept = self.kept();
        let mut lines = Vec::new();
        let mut bytes = 0;
        for line in kept.lines.iter().rev().filter(|line| line.request_id.as_deref() == Some(request_id)) {
            bytes += line.text.len() + 1;
            lines.push(line.text.as_str());
            if bytes > MAX_TAIL || line.stream == Stream::Platform && line.text.starts_with("START ") {
                break;
            }
        }
        let mut text: String = lines.iter().rev().flat_map(|line| [line, "\n"]).collect();
        let from = text.len().saturating_sub(MAX_TAIL);
        let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        text.split_off(from)
    }
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        Log::new("f".into(), false, Arc::default())
    }

    #[test]
    fn old_lines_go_when_there_is_no_room() {
        let log = log();
        for number in 0..3_000 {
            log.push(Stream::Stdout, None, format!("{number:01000}"));
        }
        let lines = log.after(0, usize::MAX);
        assert!(lines.len() < 1_100 && lines.len() > 900, "{}", lines.len());
        assert_eq!(lines.last().expect("a line").sequence, 3_000);
        assert_eq!(log.after(2_998, usize::MAX).len(), 2);
        assert_eq!(log.after(0, 1).first().expect("a line").sequence, 3_000);
        assert_eq!(log.after(3_000, 9), []);
    }

    #[test]
    fn a_tail_is_of_one_invocation_and_cut_between_characters() {
        let log = log();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        log.push(Stream::Platform, Some(&one), "START RequestId: one".to_owned());
        log.push(Stream::Stderr, Some(&two), "other".to_owned());
        log.push(Stream::Stdout, Some(&one), "said".to_owned());
        assert_eq!(log.tail("one"), "START RequestId: one\nsaid\n");
        assert_eq!(log.last_words("one").as_deref(), Some("said"));
        assert_eq!(log.last_words("two").as_deref(), Some("other"));
        log.push(Stream::Stdout, Some(&one), "é".repeat(3_000));
        let tail = log.tail("one");
        assert!(tail.len() <= MAX_TAIL && tail.ends_with("é\n"), "{}", tail.len());
    }
}
