//! Addresses of hosts, asked for once however many calls want them at the same moment. The system is asked on threads
//! that others need, too, and a question can't be taken back: without this, the calls of one service whose name server
//! hangs would take all of these threads.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
    vec,
};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::{Semaphore, watch};
use tower_service::Service;

/// Questions under way at once, each about another host.
const QUESTIONS: usize = 64;

/// What the system said: addresses, or kind and text of an error.
type Answer = Result<Vec<IpAddr>, (io::ErrorKind, String)>;
type Question = watch::Receiver<Option<Answer>>;
type Asked = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds addresses.
#[derive(Clone)]
pub(crate) struct Resolver {
    ask: fn(String) -> Asked,
    at_most: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    questions: Mutex<HashMap<String, Question>>,
    room: Semaphore,
}

impl Resolver {
    /// One that asks the system, and waits for an answer for so long at most.
    pub(crate) fn new(at_most: Duration) -> Self {
        Self::asking(ask_the_system, at_most)
    }

    fn asking(ask: fn(String) -> Asked, at_most: Duration) -> Self {
        let shared = Shared { questions: Mutex::default(), room: Semaphore::new(QUESTIONS) };
        Self { ask, at_most, shared: Arc::new(shared) }
    }

    /// The question about a host that is under way; a new one, if there is none.
    fn question(&self, host: &str) -> Question {
        let mut questions = self.shared.questions();
        // One that nobody is to answer any more is asked again.
        if let Some(question) = questions.get(host).filter(|question| question.has_changed().is_ok()) {
            return question.clone();
        }
        let (sender, question) = watch::channel(None);
        questions.insert(host.to_owned(), question.clone());
        let (ask, shared, host) = (self.ask, Arc::clone(&self.shared), host.to_owned());
        // In a task of its own: who asked may go away, and the next must not ask again.
        tokio::spawn(async move {
            let _room = shared.room.acquire().await;
            let answer = ask(host.clone()).await.map_err(|error| (error.kind(), error.to_string()));
            shared.questions().remove(&host);
            sender.send_replace(Some(answer));
        });
        question
    }

    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut question = self.question(host);
        let answer = tokio::time::timeout(self.at_most, question.wait_for(Option::is_some)).await;
        match answer {
            Ok(Ok(answer)) => match answer.as_ref() {
                Some(Ok(addresses)) => Ok(addresses.clone()),
                Some(Err((kind, text))) => Err(io::Error::new(*kind, text.clone())),
                None => Err(io::Error::other("nobody answered")),
            },
            Ok(Err(_)) => Err(io::Error::other("nobody answered")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the name server did not answer")),
        }
    }
}

impl Shared {
    // Each change under this lock is a single step, so a poisoned lock guards good data.
    fn questions(&self) -> MutexGuard<'_, HashMap<String, Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask_the_system(host: String) -> Asked {
    Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await?;
            // The connector knows the port.
            Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_host_is_asked_about_once_at_a_time() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        static ANSWERS: Semaphore = Semaphore::const_new(0);
        let ask = |host: String| -> Asked {
            Box::pin(async move {
                ASKED.fetch_add(1, Ordering::SeqCst);
                ANSWERS.acquire().await.expect("never closed").forget();
                match &*host {
                    "good" => Ok(vec!["127.0.0.7".parse().expect("an address")]),
                    _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such host")),
                }
            })
        };
        let resolver = Resolver::asking(ask, LONG);
        let wait = |host: &'static str| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.resolve(host).await })
        };
        let waiting: Vec<_> = (0..100).map(|_| wait("good")).collect();
        let failing = wait("bad");
        while ASKED.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // Those that go away leave the question to the others.
        waiting[0].abort();
        tokio::task::yield_now().await;
        ANSWERS.add_permits(2);
        for (at, waiting) in waiting.into_iter().enumerate() {
            match waiting.await {
                Ok(answer) => assert_eq!(answer.expect("an address"), ["127.0.0.7".parse::<IpAddr>().expect("one")]),
                Err(error) => assert!(at == 0 && error.is_cancelled()),
            }
        }
        let error = failing.await.expect("no panic").expect_err("no such host");
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::NotFound, "no such host".to_owned()));
        assert_eq!(ASKED.load(Ordering::SeqCst), 2);
        // What was said is not kept.
        ANSWERS.add_permits(1);
        wait("good").await.expect("no panic").expect("an address");
        assert_eq!(ASKED.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_name_server_that_hangs_is_asked_once_and_waited_for_no_longer_than_that() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let ask = |_: String| -> Asked {
            Box::pin(async {
                ASKED.fetch_add(1, Ordering::SeqCst);
                std::future::pending().await
            })
        };
        let resolver = Resolver::asking(ask, Duration::from_millis(20));
        for _ in 0..3 {
            let error = resolver.resolve("hangs").await.expect_err("nobody answers");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let addresses = Resolver::new(LONG).resolve("localhost").await.expect("addresses");
        assert!(addresses.iter().all(IpAddr::is_loopback) && !addresses.is_empty(), "{addresses:?}");
    }
}
