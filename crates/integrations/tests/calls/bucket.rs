//! As much of S3 as reading and writing datasets needs, on the loopback interface, with faults on order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::net::{TcpListener, TcpStream};

use crate::stub::{Act, perform, read_bytes};

/// A store with any number of buckets.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// `bucket/key`
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    parts: Mutex<BTreeMap<String, Vec<u8>>>,
    faults: Mutex<VecDeque<Act>>,
    requests: Mutex<Vec<String>>,
    whole: AtomicBool,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let bucket = Self { url, inner: Arc::default() };
        let inner = Arc::clone(&bucket.inner);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&inner), stream));
            }
        });
        bucket
    }

    pub(crate) fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.inner.objects.lock().expect("not poisoned").insert(name.to_owned(), bytes.into());
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let objects = self.inner.objects.lock().expect("not poisoned");
        objects.get(name).map(|bytes| String::from_utf8(bytes.clone()).expect("text"))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.inner.objects.lock().expect("not poisoned").keys().cloned().collect()
    }

    /// Parts of uploads that were neither completed nor given up.
    pub(crate) fn parts(&self) -> usize {
        self.inner.parts.lock().expect("not poisoned").len()
    }

    /// The next requests end so.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Act>) {
        self.inner.faults.lock().expect("not poisoned").extend(faults);
    }

    /// Gives whole objects, whatever range is asked for.
    pub(crate) fn know_no_ranges(&self) {
        self.inner.whole.store(true, Ordering::SeqCst);
    }

    /// The first lines of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.inner.requests.lock().expect("not poisoned").clone()
    }
}

pub(crate) fn error(status: u16, code: &str, message: &str) -> Act {
    let body = format!(
        "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>r</RequestId><HostId>h</HostId></Error>"
    );
    Act::reply(status, &[("Content-Type", "application/xml")], body.as_bytes())
}

async fn serve(inner: Arc<Inner>, mut stream: TcpStream) {
    while let Some((line, headers, body)) = read_bytes(&mut stream).await {
        inner.requests.lock().expect("not poisoned").push(line.clone());
        let fault = inner.faults.lock().expect("not poisoned").pop_front();
        let act = fault.unwrap_or_else(|| answer(&inner, &line, &headers, body));
        if !perform(act, &mut stream).await {
            return;
        }
    }
}

fn etag(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("\"{sum:x}\"")
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [_, _, more @ ..]) => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).expect("digits"), 16).expect("a byte"));
                rest = more;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).expect("text")
}

fn answer(inner: &Inner, line: &str, headers: &[(String, String)], body: Vec<u8>) -> Act {
    let mut words = line.split(' ');
    let (method, target) = (words.next().expect("a method"), words.next().expect("a target"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let name = decode(path.trim_start_matches('/'));
    let parameter = |wanted: &str| {
        query
            .split('&')
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| decode(value))
    };
    let header = |wanted: &str| {
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    };
    let mut objects = inner.objects.lock().expect("not poisoned");
    let mut parts = inner.parts.lock().expect("not poisoned");
    match (method, parameter("uploadId"), parameter("partNumber")) {
        ("GET", ..) if parameter("list-type").is_some() => {
            let bucket = name.trim_end_matches('/');
            let prefix = format!("{bucket}/{}", parameter("prefix").unwrap_or_default());
            let after = format!("{bucket}/{}", parameter("start-after").unwrap_or_default());
            let found: Vec<_> =
                objects.iter().filter(|(name, _)| name.starts_with(&prefix) && **name > after).collect();
            // Pages are small here.
            let listed: String = found.iter().take(2).map(|(name, bytes)| format!(
                "<Contents><Key>{}</Key><LastModified>2022-11-17T14:44:41.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                &name[bucket.len() + 1..], bytes.len()
            )).collect();
            let text =
                format!("<ListBucketResult><IsTruncated>{}</IsTruncated>{listed}</ListBucketResult>", found.len() > 2);
            Act::reply(200, &[], text.as_bytes())
        }
        ("GET", ..) => {
            let Some(bytes) = objects.get(&name) else {
                return error(404, "NoSuchKey", "The specified key does not exist.");
            };
            let etag = etag(bytes);
            if header("if-match").is_some_and(|wanted| wanted != etag) {
                return error(412, "PreconditionFailed", "no");
            }
            let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
            let Some((from, to)) = range.filter(|_| !inner.whole.load(Ordering::SeqCst)) else {
                return Act::reply(200, &[("ETag", &etag)], bytes);
            };
            let (from, to): (usize, usize) = (from.parse().expect("a number"), to.parse().expect("a number"));
            if from >= bytes.len() {
                return error(416, "InvalidRange", "The requested range is not satisfiable");
            }
            let to = to.min(bytes.len() - 1);
            let range = format!("bytes {from}-{to}/{}", bytes.len());
            Act::reply(206, &[("ETag", &etag), ("Content-Range", &range)], &bytes[from..=to])
        }
        ("PUT", Some(upload), Some(number)) => {
            let etag = etag(&body);
            parts.insert(format!("{upload} {number:0>5}"), body);
            Act::reply(200, &[("ETag", &etag)], b"")
        }
        ("PUT", ..) => {
            objects.insert(name, body);
            Act::reply(200, &[], b"")
        }
        ("POST", Some(upload), _) => {
            let whole = parts
                .iter()
                .filter(|(part, _)| part.starts_with(&upload))
                .flat_map(|(_, bytes)| bytes.clone())
                .collect();
            objects.insert(name, whole);
            parts.clear();
            Act::reply(200, &[], b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
        }
        ("POST", None, _) => Act::reply(
            200,
            &[],
            b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        ("DELETE", ..) => {
            parts.clear();
            Act::reply(204, &[], b"")
        }
        _ => error(400, "BadRequest", line),
    }
}
