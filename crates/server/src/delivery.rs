//! Replies that must not count as sent before they are: the task that GetActivityTask hands to a worker.
//!
//! A receipt travels with the reply's body. When hyper takes the body's bytes, the receipt moves to the connection's
//! [`Outbox`]; when the connection has written and flushed them, it is confirmed. Whatever happens instead (the poll's
//! connection closes, the write fails, the process stops) drops the receipt, which takes the hand-over back. A worker
//! that closed its end before the write began gets nothing either: the connection looks for that first.
//!
//! A client may shut down its writing side and still read: such a one gets the answers to what it sent, but no task,
//! for a worker that went away looks just the same. So a poll asks [`Outbox::peer_closed`] whether to go on.
//!
//! "Written" means taken by the operating system's socket; what the network loses after that is the task's own
//! time-out's business, as on AWS. This module must never confirm a receipt in any other place.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    body::{Body, Frame, SizeHint},
    rt::{Read, ReadBufCursor, Write},
};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::sync::mpsc;

/// Confirms a hand-over when called; dropped uncalled, it takes the hand-over back.
pub type Receipt = Box<dyn FnOnce() + Send>;

/// The receipts of the reply that a connection is writing, and what its poll knows of the other side.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Shared>);

#[derive(Default)]
struct Shared {
    receipts: Mutex<VecDeque<Receipt>>,
    watch: AtomicU8,
}

/// Nobody asks whether the other side closed its end.
const UNWATCHED: u8 = 0;
/// A request that waits asks for it.
const WATCHED: u8 = 1;
/// It has.
const CLOSED: u8 = 2;

impl Outbox {
    fn receipts(&self) -> std::sync::MutexGuard<'_, VecDeque<Receipt>> {
        // A receipt that panics leaves the queue as it is: there is nothing half done in it.
        self.0.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when the other side has closed its end of the connection. Only for the request that the connection is
    /// answering, whose future runs in the connection's task and is woken with it. A side that sent more requests
    /// before it closed is noticed when the answer is written, and not before.
    pub async fn peer_closed(&self) {
        struct Watching<'a>(&'a AtomicU8);
        impl Drop for Watching<'_> {
            fn drop(&mut self) {
                self.0.store(UNWATCHED, Ordering::Relaxed);
            }
        }
        self.0.watch.store(WATCHED, Ordering::Relaxed);
        let _until_dropped = Watching(&self.0.watch);
        std::future::poll_fn(|_| match self.0.watch.load(Ordering::Relaxed) {
            CLOSED => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }

    fn is_empty(&self) -> bool {
        self.receipts().is_empty()
    }

    fn take(&self) -> VecDeque<Receipt> {
        std::mem::take(&mut *self.receipts())
    }

    fn confirm(&self) {
        for receipt in self.take() {
            receipt();
        }
    }
}

/// The body of a reply: one piece, with a receipt if somebody must know that it was written; or as many as come.
pub struct ReplyBody {
    bytes: Option<Bytes>,
    receipt: Option<(Receipt, Outbox)>,
    rest: Option<mpsc::Receiver<Bytes>>,
    /// Kept until the body has ended.
    kept: Option<Box<dyn std::any::Any + Send>>,
}

impl ReplyBody {
    /// A body that nobody waits for.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()),
            receipt: None,
            rest: None,
            kept: None,
        }
    }

    /// A body of pieces that are still to come. It ends when nobody can send any more; whether that is its proper end,
    /// its pieces must tell.
    #[must_use]
    pub fn streamed(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self { bytes: None, receipt: None, rest: Some(pieces), kept: None }
    }

    /// Keeps something until the last piece of a body that comes in pieces; of others nothing is asked.
    pub fn while_it_comes(&mut self, kept: impl FnOnce() -> Box<dyn std::any::Any + Send>) {
        self.kept = self.rest.is_some().then(kept);
    }

    /// A body whose receipt is confirmed when it was written to the connection that `outbox` belongs to.
    #[must_use]
    pub fn with_receipt(bytes: impl Into<Bytes>, receipt: Receipt, outbox: Outbox) -> Self {
        Self { receipt: Some((receipt, outbox)), ..Self::new(bytes) }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(rest) = &mut self.rest {
            return rest.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))));
        }
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        if let Some((receipt, outbox)) = self.receipt.take() {
            outbox.receipts().push_back(receipt);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// What is known of the other side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It may still read and write.
    Open,
    /// It has closed its end; whether it reads on is unknown.
    Closed,
    /// It refused what it was sent, or closed without reading it.
    Reset,
}

/// A connection that can tell how its other side is.
pub trait Peer {
    /// How the other side is at this moment.
    fn state(&self) -> PeerState;

    /// Ready when the other side has closed its end and nothing is left to read of what it sent before.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()>;
}

/// What the operating system knows of a socket now. What tokio knows may be older than the close.
fn look(socket: &tokio::net::TcpStream) -> PollFlags {
    let mut polled = [PollFd::new(socket, PollFlags::IN | PollFlags::RDHUP)];
    match rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => polled[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

fn state_of(flags: PollFlags) -> PeerState {
    if flags.intersects(PollFlags::ERR | PollFlags::HUP) {
        PeerState::Reset
    } else if flags.contains(PollFlags::RDHUP) {
        PeerState::Closed
    } else {
        PeerState::Open
    }
}

impl Peer for tokio::net::TcpStream {
    fn state(&self) -> PeerState {
        state_of(look(self))
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.poll_read_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let flags = look(self);
            if state_of(flags) != PeerState::Open {
                return Poll::Ready(());
            }
            if flags.contains(PollFlags::IN) {
                // The next request, sent ahead. It is read when this one was answered, and no earlier.
                return Poll::Pending;
            }
            // tokio still believes what the last read left behind; told so, it waits for what comes next.
            let _corrected =
                self.try_io(tokio::io::Interest::READABLE, || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock)));
        }
    }
}

/// A connection that confirms the receipts in its outbox once they are flushed.
pub struct Connection<T> {
    io: hyper_util::rt::TokioIo<T>,
    outbox: Outbox,
}

impl<T> Connection<T> {
    /// The connection on `io`; replies find their way through `outbox`.
    #[must_use]
    pub fn new(io: T, outbox: Outbox) -> Self {
        Self { io: hyper_util::rt::TokioIo::new(io), outbox }
    }

    /// What it runs on, for what is said beside hyper.
    pub fn inner_mut(&mut self) -> &mut T {
        self.io.inner_mut()
    }

    /// Looks for a peer in one of these states while a reply with a receipt is written; if it is, drops the receipts.
    fn refuse(&self, states: &[PeerState]) -> io::Result<()>
    where
        T: Peer,
    {
        if !self.outbox.is_empty() && states.contains(&self.io.inner().state()) {
            drop(self.outbox.take());
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the other side closed the connection"));
        }
        Ok(())
    }

    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Err(_) | Ok(0)) = result {
            drop(self.outbox.take());
        }
        result
    }
}

impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        drop(self.outbox.take());
    }
}

impl<T: tokio::io::AsyncRead + Unpin> Read for Connection<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: tokio::io::AsyncWrite + Peer + Unpin> Write for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.refuse(&[PeerState::Closed, PeerState::Reset])?;
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.refuse(&[PeerState::Closed, PeerState::Reset])?;
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes its connection only after it has written everything it had buffered, and it buffers a body's
        // bytes in the same breath in which it takes them.
        let result = Pin::new(&mut self.io).poll_flush(cx);
        match &result {
            Poll::Ready(Ok(())) => {
                // A peer that closed in the instant between the look and the write has answered with a reset by now,
                // at least on the same machine. One that closed properly may have read everything first.
                self.refuse(&[PeerState::Reset])?;
                self.outbox.confirm();
            }
            Poll::Ready(Err(_)) => drop(self.outbox.take()),
            Poll::Pending => {}
        }
        // hyper does not read while a request is answered, but it flushes whenever the connection's task runs.
        if self.outbox.0.watch.load(Ordering::Relaxed) == WATCHED && self.io.inner().poll_closed(cx).is_ready() {
            self.outbox.0.watch.store(CLOSED, Ordering::Relaxed);
            cx.waker().wake_by_ref();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::{mpsc, oneshot},
    };

    use super::*;

    #[derive(Debug, PartialEq)]
    enum Fate {
        Confirmed,
        TakenBack,
    }

    /// A receipt that tells what became of it.
    fn receipt(fates: &mpsc::UnboundedSender<Fate>) -> Receipt {
        struct Guard(Option<mpsc::UnboundedSender<Fate>>);
        impl Drop for Guard {
            fn drop(&mut self) {
                if let Some(fates) = self.0.take() {
                    let _ = fates.send(Fate::TakenBack);
                }
            }
        }
        let mut guard = Guard(Some(fates.clone()));
        Box::new(move || {
            let fates = guard.0.take().expect("confirmed once");
            let _ = fates.send(Fate::Confirmed);
        })
    }

    struct Poll1 {
        client: TcpStream,
        /// Tells that the request arrived.
        arrived: oneshot::Receiver<()>,
        /// Lets the poll answer.
        answer: oneshot::Sender<()>,
        fates: mpsc::UnboundedReceiver<Fate>,
    }

    /// One long poll on one connection, which answers when told to, with `size` bytes.
    async fn poll(size: usize) -> Poll1 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
        let (socket, _) = listener.accept().await.expect("accepts");
        let (arrived_tx, arrived) = oneshot::channel();
        let (answer, answer_rx) = oneshot::channel::<()>();
        let (fate_tx, fates) = mpsc::unbounded_channel();
        let once = Mutex::new(Some((arrived_tx, answer_rx, fate_tx)));
        tokio::spawn(async move {
            let outbox = Outbox::default();
            let service = service_fn(|_: Request<Incoming>| {
                let (arrived, answer, fates) = once.lock().expect("not poisoned").take().expect("one request");
                let outbox = outbox.clone();
                async move {
                    let receipt = receipt(&fates);
                    let _ = arrived.send(());
                    let _ = answer.await;
                    Ok::<_, Infallible>(Response::new(ReplyBody::with_receipt(vec![b'x'; size], receipt, outbox)))
                }
            });
            let _ = http1::Builder::new().serve_connection(Connection::new(socket, outbox.clone()), service).await;
        });
        client.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.expect("writes");
        Poll1 { client, arrived, answer, fates }
    }

    async fn fate(fates: &mut mpsc::UnboundedReceiver<Fate>) -> Fate {
        tokio::time::timeout(Duration::from_secs(20), fates.recv()).await.expect("in time").expect("a fate")
    }

    #[tokio::test]
    async fn a_reply_that_was_written_is_confirmed() {
        let mut poll = poll(100).await;
        poll.arrived.await.expect("arrived");
        poll.answer.send(()).expect("waits");
        let mut reply = [0; 12];
        poll.client.read_exact(&mut reply).await.expect("a reply");
        assert_eq!(&reply, b"HTTP/1.1 200");
        assert_eq!(fate(&mut poll.fates).await, Fate::Confirmed);
    }

    #[tokio::test]
    async fn a_connection_that_closes_while_the_poll_hangs_takes_it_back() {
        let mut poll = poll(100).await;
        poll.arrived.await.expect("arrived");
        drop(poll.client);
        assert_eq!(fate(&mut poll.fates).await, Fate::TakenBack);
        drop(poll.answer);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_that_closed_just_before_the_write_takes_it_back() {
        let mut poll = poll(100).await;
        (&mut poll.arrived).await.expect("arrived");
        // Both before the server's task runs again: it learns of the answer first, and may only see the close by
        // looking for it.
        poll.answer.send(()).expect("waits");
        drop(poll.client);
        assert_eq!(fate(&mut poll.fates).await, Fate::TakenBack);
    }

    #[tokio::test]
    async fn a_reply_that_cannot_be_written_whole_takes_it_back() {
        // More than socket buffers hold, and a reader that goes away in the middle.
        let mut poll = poll(64 << 20).await;
        poll.arrived.await.expect("arrived");
        poll.answer.send(()).expect("waits");
        let mut some = vec![0; 1 << 16];
        poll.client.read_exact(&mut some).await.expect("a beginning");
        assert!(poll.fates.try_recv().is_err(), "nothing is decided while it is being written");
        drop(poll.client);
        assert_eq!(fate(&mut poll.fates).await, Fate::TakenBack);
    }
}
