//! The judge of a system call trace: was every acknowledgement written to its client only after a sync that was begun
//! when its record had been written, and that had returned?
//!
//! Requests carry a [`Marker`] each, which is found again in what is read from a client and in what is written to the
//! log. The order of the lines is the order of events: the tracer writes down the end of a call before it lets the
//! thread go on, so whatever a thread does because of that end comes later. Must never need to know the log's format,
//! and must complain of what it cannot find.

use std::collections::{BTreeMap, HashMap, HashSet};

/// `swq-`, a letter for the operation, `-` and ten digits.
pub(super) type Marker = String;

const MARK: &str = "swq-";
const MARKER_LENGTH: usize = 16;

/// The marker of a request.
pub(super) fn marker(operation: char, number: u64) -> Marker {
    format!("{MARK}{operation}-{number:010}")
}

/// The operation whose reply is an acknowledgement only if it hands out a task.
pub(super) const POLL: char = 'p';

/// What a trace shows.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Acknowledgements by the letter of their operation.
    pub(super) acknowledged: BTreeMap<char, usize>,
    pub(super) log_writes: usize,
    pub(super) syncs: usize,
    pub(super) complaints: Vec<String>,
}

/// How far a marker has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Written,
    Synced,
}

/// What was written to a file, in order, and how much of that is synced.
#[derive(Default)]
struct File {
    written: Vec<Marker>,
    synced: usize,
}

/// A call that has begun and not ended.
struct Call {
    name: String,
    arguments: String,
    /// For a sync: how much of its file was written when it began.
    covers: usize,
}

#[derive(Default)]
struct Judge<'a> {
    port: u16,
    log: &'a str,
    open: HashMap<u64, Call>,
    /// The request under way on each connection, by the connection's two addresses.
    requests: HashMap<String, Marker>,
    files: HashMap<String, File>,
    fates: HashMap<Marker, Fate>,
    /// Descriptors whose writes are syncs.
    synchronous: HashSet<String>,
    judged: Judged,
}

/// Judges a trace of `strace -f -yy`: of the server that listens on `port` and whose log lies below `log`.
pub(super) fn judge<'t>(lines: impl IntoIterator<Item = &'t str>, port: u16, log: &str) -> Judged {
    let mut judge = Judge { port, log, ..Judge::default() };
    for line in lines {
        judge.line(line);
    }
    judge.judged
}

impl Judge<'_> {
    fn line(&mut self, line: &str) {
        let Some((thread, rest)) = line.split_once(' ') else { return };
        let Ok(thread) = thread.parse::<u64>() else { return };
        // A time stamp may follow.
        let rest = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((_, tail)) = resumed.split_once(" resumed>") else { return };
            let Some(mut call) = self.open.remove(&thread) else { return };
            let (arguments, result) = arguments_and_result(tail);
            call.arguments.push_str(arguments);
            self.ended(&call, result);
            return;
        }
        let Some((name, tail)) = rest.split_once('(') else { return };
        if let Some(arguments) = tail.strip_suffix("<unfinished ...>") {
            let call = self.begun(name, arguments);
            self.open.insert(thread, call);
            return;
        }
        let (arguments, result) = arguments_and_result(tail);
        let call = self.begun(name, arguments);
        self.ended(&call, result);
    }

    fn begun(&mut self, name: &str, arguments: &str) -> Call {
        let mut call = Call { name: name.to_string(), arguments: arguments.to_string(), covers: 0 };
        let target = target(arguments);
        match name {
            "write" | "writev" | "sendto" | "sendmsg" if self.is_client(target) => self.replied(target, arguments),
            "fdatasync" | "fsync" => {
                call.covers = self.files.get(target).map_or(0, |file| file.written.len());
            }
            _ => {}
        }
        call
    }

    fn ended(&mut self, call: &Call, result: &str) {
        let target = target(&call.arguments);
        let succeeded = !result.starts_with('-') && !result.starts_with('?');
        match call.name.as_str() {
            "read" | "readv" | "recvfrom" | "recvmsg" if self.is_client(target) => {
                if let Some(marker) = markers(&call.arguments).last() {
                    self.requests.insert(target.to_string(), marker.to_string());
                }
            }
            "pwrite64" | "pwritev" | "pwritev2" | "write" | "writev" if target.contains(self.log) => {
                self.judged.log_writes += 1;
                if succeeded {
                    self.wrote(call, target);
                }
            }
            "fdatasync" | "fsync" if target.contains(self.log) => {
                self.judged.syncs += 1;
                if succeeded {
                    self.synced(target, call.covers);
                }
            }
            "openat" if succeeded => {
                let descriptor = result.split('<').next().unwrap_or_default().trim().to_string();
                if call.arguments.contains("O_DSYNC") || call.arguments.contains("O_SYNC") {
                    self.synchronous.insert(descriptor);
                } else {
                    self.synchronous.remove(&descriptor);
                }
            }
            _ => {}
        }
    }

    fn wrote(&mut self, call: &Call, target: &str) {
        let descriptor = call.arguments.split('<').next().unwrap_or_default();
        let durable = self.synchronous.contains(descriptor)
            || call.name == "pwritev2" && (call.arguments.contains("RWF_DSYNC") || call.arguments.contains("RWF_SYNC"));
        for marker in markers(&call.arguments) {
            // The first record that holds the marker is the one that acknowledges.
            if self.fates.contains_key(marker) {
                continue;
            }
            self.fates.insert(marker.to_string(), if durable { Fate::Synced } else { Fate::Written });
            self.files.entry(target.to_string()).or_default().written.push(marker.to_string());
        }
    }

    fn synced(&mut self, target: &str, covers: usize) {
        let Some(file) = self.files.get_mut(target) else { return };
        for marker in file.written.get(file.synced..covers).unwrap_or_default() {
            self.fates.insert(marker.clone(), Fate::Synced);
        }
        file.synced = file.synced.max(covers);
    }

    fn replied(&mut self, connection: &str, bytes: &str) {
        let Some(marker) = self.requests.get(connection) else { return };
        let operation = marker.chars().nth(MARK.len()).unwrap_or('?');
        let acknowledges =
            if operation == POLL { bytes.contains("taskToken") } else { bytes.contains("HTTP/1.1 200 ") };
        if !acknowledges {
            return;
        }
        *self.judged.acknowledged.entry(operation).or_default() += 1;
        let complaint = match self.fates.get(marker) {
            Some(Fate::Synced) => None,
            Some(Fate::Written) => Some("before a sync that covers its record had returned"),
            None => Some("before its record was written to the log"),
        };
        if let Some(complaint) = complaint {
            self.judged.complaints.push(format!("{marker} was acknowledged {complaint}"));
        }
        self.requests.remove(connection);
    }

    fn is_client(&self, target: &str) -> bool {
        let end = target.strip_prefix("TCP:[").and_then(|addresses| addresses.split("->").next());
        end.and_then(|address| address.rsplit(':').next()).is_some_and(|port| port == self.port.to_string())
    }
}

/// `14<TCP:[a->b]>, "…"` refers to `TCP:[a->b]`.
fn target(arguments: &str) -> &str {
    let Some((descriptor, rest)) = arguments.split_once('<') else { return "" };
    if !descriptor.bytes().all(|byte| byte.is_ascii_digit()) {
        return "";
    }
    let end = rest.find(">,").or_else(|| rest.rfind('>')).unwrap_or(rest.len());
    &rest[..end]
}

fn arguments_and_result(tail: &str) -> (&str, &str) {
    // Strings may hold anything; the result is what comes last.
    tail.rfind(") = ").map_or((tail, "?"), |at| (&tail[..at], tail[at + 4..].trim_start()))
}

fn markers(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(MARK).filter_map(|(at, _)| text.get(at..at + MARKER_LENGTH))
}

/// The same trace with one acknowledgement moved to just behind the write of its record, and the marker of that.
pub(super) fn doctored<'t>(lines: &[&'t str]) -> Option<(Vec<&'t str>, Marker)> {
    let record = |line: &str, marker: &str| line.contains("write") && line.contains("/log/") && line.contains(marker);
    // From the middle of the trace, where it is busy; the reply of a start names the execution.
    let (reply, marker) = lines.iter().enumerate().skip(lines.len() / 2).find_map(|(at, line)| {
        let is_reply = line.contains("HTTP/1.1 200 ") && line.contains("executionArn");
        let marker = markers(line).find(|marker| is_reply && marker[MARK.len()..].starts_with('s'))?;
        Some((at, marker.to_string()))
    })?;
    let written = lines.iter().position(|line| record(line, &marker)).filter(|written| *written < reply)?;
    let mut doctored = lines.to_vec();
    let line = doctored.remove(reply);
    doctored.insert(written + 1, line);
    Some((doctored, marker))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = r#"7 1.0 recvfrom(14<TCP:[127.0.0.1:80->127.0.0.1:9]>, "POST {\"name\":\"swq-s-0000000001\"}", 8192, 0, NULL, NULL) = 32"#;
    const WRITE: &str = r#"8 1.1 pwrite64(11</d/log/1.log>, "\1\0swq-s-0000000001) = 5", 24, 100) = 24"#;
    const SYNC: &str = "8 1.2 fdatasync(11</d/log/1.log>) = 0";
    const REPLY: &str = r#"7 1.3 writev(14<TCP:[127.0.0.1:80->127.0.0.1:9]>, [{iov_base="HTTP/1.1 200 OK\r\n", iov_len=17}, {iov_base="{\"executionArn\":\"swq-s-0000000001\"}", iov_len=40}], 2) = 57"#;

    fn complaints(lines: &[&str]) -> Vec<String> {
        let judged = judge(lines.iter().copied(), 80, "/d/log/");
        assert_eq!(judged.acknowledged.get(&'s'), Some(&1), "{judged:?}");
        judged.complaints
    }

    #[test]
    fn an_acknowledgement_after_the_sync_passes() {
        assert_eq!(complaints(&[READ, WRITE, SYNC, REPLY]), Vec::<String>::new());
        let (begun, ended) =
            ("8 1.2 fdatasync(11</d/log/1.log> <unfinished ...>", "8 1.2 <... fdatasync resumed>) = 0");
        assert_eq!(complaints(&[READ, WRITE, begun, ended, REPLY]), Vec::<String>::new());
        let opened = r#"8 1.0 openat(AT_FDCWD</>, "/d/log/1.log", O_RDWR|O_DSYNC) = 11</d/log/1.log>"#;
        assert_eq!(complaints(&[opened, READ, WRITE, REPLY]), Vec::<String>::new());
    }

    #[test]
    fn an_early_acknowledgement_is_complained_of() {
        let refused = |lines: &[&str], part: &str| {
            let complaints = complaints(lines);
            assert!(matches!(&complaints[..], [one] if one.contains(part)), "{complaints:?}");
        };
        refused(&[READ, WRITE, REPLY, SYNC], "before a sync");
        refused(&[READ, REPLY, WRITE, SYNC], "before its record was written");
        refused(&[READ, SYNC, WRITE, REPLY], "before a sync");
        refused(
            &[READ, WRITE, "8 1.2 fdatasync(11</d/log/1.log>) = -1 EIO (Input/output error)", REPLY],
            "before a sync",
        );
        refused(&[READ, WRITE, "8 1.2 fdatasync(12</d/log/2.log>) = 0", REPLY], "before a sync");
        let (begun, ended) =
            ("8 1.2 fdatasync(11</d/log/1.log> <unfinished ...>", "8 1.4 <... fdatasync resumed>) = 0");
        refused(&[READ, WRITE, begun, REPLY, ended], "before a sync");
        // The sync began before the record was written, whenever it ends.
        let other = "9 1.0 fdatasync(11</d/log/1.log> <unfinished ...>";
        refused(&[READ, other, WRITE, "9 1.3 <... fdatasync resumed>) = 0", REPLY], "before a sync");
        let unfinished = WRITE.replace(", 24, 100) = 24", ", 24, 100 <unfinished ...>");
        refused(&[READ, &unfinished, "9 1.2 fdatasync(11</d/log/1.log>) = 0", REPLY], "before its record");
    }

    #[test]
    fn a_poll_acknowledges_when_it_hands_out_a_task() {
        let read = READ.replace("-s-", "-p-");
        let nothing = REPLY.replace("executionArn", "other");
        let judged = judge([read.as_str(), &nothing], 80, "/d/log/");
        assert!(judged.acknowledged.is_empty() && judged.complaints.is_empty(), "{judged:?}");
        let task = REPLY.replace("executionArn", "taskToken");
        assert_eq!(judge([read.as_str(), &task], 80, "/d/log/").complaints.len(), 1);
    }

    #[test]
    fn a_doctored_trace_is_complained_of() {
        let (lines, marker) = doctored(&[READ, WRITE, SYNC, REPLY]).expect("a start is acknowledged");
        assert_eq!(lines, [READ, WRITE, REPLY, SYNC]);
        assert_eq!(marker, "swq-s-0000000001");
        assert_eq!(complaints(&lines).len(), 1);
    }
}
