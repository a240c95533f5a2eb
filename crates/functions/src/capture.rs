//! What a process writes to its standard output and standard error, as lines of its function's log.
//!
//! A process writes before it answers, so once its answer is here, [`Capture::drain`] finds all that belongs to it.

use std::{
    io::{self, PipeReader, PipeWriter, Read as _},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::unix::pipe, task::JoinHandle};

use crate::log::{Log, Stream};

/// Bytes after which a line is cut in two.
const MAX_LINE: usize = 64 << 10;
/// Bytes that are read in one go, so that whoever writes without end is read by turns with others.
const AT_ONCE: usize = 1 << 20;

/// One of the two streams of a process.
#[derive(Debug)]
struct Pipe {
    stream: Stream,
    /// The same end twice: one to read what is there, whether or not the runtime has heard of it, the other to wait.
    reader: PipeReader,
    waiter: pipe::Receiver,
    /// What was read of a line that has no end yet.
    begun: Mutex<Vec<u8>>,
}

/// Both.
#[derive(Debug)]
pub(crate) struct Capture {
    log: Arc<Log>,
    pipes: [Pipe; 2],
    /// The invocation that is under way.
    current: Mutex<Option<Arc<str>>>,
}

impl Capture {
    /// The capture, and what the process gets to write to: standard output, standard error.
    pub(crate) fn new(log: Arc<Log>) -> io::Result<(Arc<Self>, [PipeWriter; 2])> {
        let pipe = |stream| {
            let (reader, writer) = io::pipe()?;
            // Makes both wait for nothing.
            let waiter = pipe::Receiver::from_owned_fd(reader.try_clone()?.into())?;
            Ok::<_, io::Error>((Pipe { stream, reader, waiter, begun: Mutex::default() }, writer))
        };
        let (out, out_writer) = pipe(Stream::Stdout)?;
        let (error, error_writer) = pipe(Stream::Stderr)?;
        let capture = Self { log, pipes: [out, error], current: Mutex::default() };
        Ok((Arc::new(capture), [out_writer, error_writer]))
    }

    /// Reads whenever there is something, until both ends are closed.
    pub(crate) fn follow(self: &Arc<Self>) -> [JoinHandle<()>; 2] {
        [0, 1].map(|which| {
            let capture = Arc::clone(self);
            tokio::spawn(async move {
                let pipe = &capture.pipes[which];
                while pipe.waiter.readable().await.is_ok() && capture.take(pipe, true) != Taken::End {
                    tokio::task::yield_now().await;
                }
            })
        })
    }

    /// Whose lines follow.
    pub(crate) fn belongs_to(&self, request_id: Option<&Arc<str>>) {
        self.drain();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = request_id.cloned();
    }

    /// Takes what has been written by now.
    pub(crate) fn drain(&self) {
        for pipe in &self.pipes {
            self.take(pipe, false);
        }
    }

    /// Takes what has been written by now, and the line that was begun: no more will come.
    pub(crate) fn finish(&self) {
        self.drain();
        for pipe in &self.pipes {
            let begun = std::mem::take(&mut *pipe.begun.lock().unwrap_or_else(PoisonError::into_inner));
            if !begun.is_empty() {
                self.line(pipe.stream, &begun);
            }
        }
    }

    /// `and_wait`: also tells the runtime that there is nothing, so that it waits for more.
    fn take(&self, pipe: &Pipe, and_wait: bool) -> Taken {
        // Held while reading, so that lines keep their order whoever reads.
        let mut begun = pipe.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 8 << 10];
        let mut taken = 0;
        while taken < AT_ONCE {
            let nothing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            let read = match (&pipe.reader).read(&mut buffer) {
                Err(error) if nothing(&error) && and_wait => pipe.waiter.try_read(&mut buffer),
                read => read,
            };
            let read = match read {
                Ok(0) => return Taken::End,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if nothing(&error) => return Taken::Everything,
                Err(_) => return Taken::End,
            };
            taken += read;
            let mut rest = &buffer[..read];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                begun.extend_from_slice(&rest[..end]);
                self.line(pipe.stream, &begun);
                begun.clear();
                rest = &rest[end + 1..];
            }
            begun.extend_from_slice(rest);
            if begun.len() > MAX_LINE {
                self.line(pipe.stream, &begun);
                begun.clear();
            }
        }
        Taken::Some
    }

    fn line(&self, stream: Stream, bytes: &[u8]) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(bytes);
        // Python's runtime ends the lines of a traceback with a carriage return, so that they stay one message.
        for line in text.trim_end_matches('\r').split('\r') {
            self.log.push(stream, current.as_ref(), line.to_owned());
        }
    }
}

#[derive(PartialEq, Eq)]
enum Taken {
    Everything,
    Some,
    End,
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn lines_are_those_of_their_invocation() {
        let log = Arc::new(Log::new("f".into(), false, Arc::default()));
        let (capture, [mut out, mut error]) = Capture::new(Arc::clone(&log)).expect("pipes");
        out.write_all(b"before\nbeg").expect("writes");
        capture.belongs_to(Some(&"one".into()));
        out.write_all(b"un\n\xff\n").expect("writes");
        error.write_all(b"a\rb\n").expect("writes");
        capture.belongs_to(None);
        out.write_all(&vec![b'x'; MAX_LINE - 10]).expect("writes");
        capture.drain();
        out.write_all(&[b'x'; 20]).expect("writes");
        out.write_all(b"\nrest").expect("writes");
        capture.finish();
        let lines = log.after(0, 99);
        let shown: Vec<(&str, Option<&str>)> =
            lines.iter().map(|line| (&line.text[..line.text.len().min(9)], line.request_id.as_deref())).collect();
        let one = Some("one");
        let expected =
            [("before", None), ("begun", one), ("\u{fffd}", one), ("a", one), ("b", one), ("xxxxxxxxx", None)];
        assert_eq!(shown[..6], expected);
        assert_eq!(shown.last(), Some(&("rest", None)));
    }
}
