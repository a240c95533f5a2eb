//! What is fed with bytes that nobody wrote, and what must hold whatever they are.
//!
//! A target takes bytes and panics if a promise is broken. Who makes the bytes up is not its business: `main.rs` changes
//! those of the corpus blindly, `guided/` lets libFuzzer follow the coverage. A target must never depend on anything
//! but its bytes: the same bytes give the same verdict.

mod definition;
mod items;
mod jsonata;
mod log;
mod path;
mod request;
mod template;
mod test_state;
mod world;
mod yaml;

use stepwright_querylang::jsonata::STACK_BYTES;

/// Something to feed.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// What it is, in a line.
    pub what: &'static str,
    /// Feeds it; panics if a promise is broken.
    pub run: fn(&[u8]),
    /// What inputs consist of, so that blind changes hit something.
    pub pieces: &'static [&'static str],
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "request",
        what: "the decoder of requests: the operation's name on a line, then the body",
        run: request::run,
        pieces: request::PIECES,
    },
    Target { name: "definition", what: "the parser of definitions", run: definition::run, pieces: definition::PIECES },
    Target { name: "yaml", what: "definitions in YAML", run: yaml::run, pieces: yaml::PIECES },
    Target { name: "path", what: "paths: one on a line, then a document", run: path::run, pieces: path::PIECES },
    Target {
        name: "template",
        what: "payload templates: one on a line, then a document",
        run: template::run,
        pieces: path::PIECES,
    },
    Target {
        name: "jsonata",
        what: "JSONata: an expression on a line, then a document",
        run: jsonata::run,
        pieces: jsonata::PIECES,
    },
    Target {
        name: "jsonata-grown",
        what: "JSONata: expressions, templates and documents grown from the bytes",
        run: jsonata::run_grown,
        pieces: &[],
    },
    Target {
        name: "jsonata-template",
        what: "payload templates with JSONata: one on a line, then a document",
        run: jsonata::run_template,
        pieces: jsonata::TEMPLATE_PIECES,
    },
    Target {
        name: "test-state",
        what: "states under test: a state on a line, its input on the next, and what is answered",
        run: test_state::run,
        pieces: test_state::PIECES,
    },
    Target {
        name: "items",
        what: "datasets: their format on a line, then the text",
        run: items::run,
        pieces: items::PIECES,
    },
    Target {
        name: "log",
        what: "the reader of the log: what was written, and what became of it",
        run: log::run,
        pieces: &[],
    },
];

/// Runs something with the stack that feeding takes: expressions may be nested deep.
///
/// # Panics
/// If what is run panics, or no thread can be started.
pub fn with_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES + (1 << 20)).spawn_scoped(scope, run);
        thread.expect("a thread can be started").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Text up to the first line break, and what follows. Inputs are readable that way.
fn line_and_rest(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, b""),
    }
}
