//! Task tokens: opaque to clients, unforgeable (keyed per execution), and routed by what they hold.
//!
//! Layout before base64url: version (1), scope (4), execution (16), frame (4), number (4), code (16), where the code
//! is the first half of HMAC-SHA-256 over what stands before it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    execution::ExecutionInfo,
    id::{ExecutionId, FrameId, TaskId},
};

const VERSION: u8 = 1;
const CODE: usize = 16;
const LENGTH: usize = 1 + 4 + 16 + 4 + 4 + CODE;

/// The token of a task.
#[must_use]
pub fn issue(info: &ExecutionInfo, task: TaskId) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(VERSION);
    bytes.extend(info.scope.to_be_bytes());
    bytes.extend(info.id.to_bytes());
    bytes.extend(task.frame.0.to_be_bytes());
    bytes.extend(task.number.to_be_bytes());
    let code = code(&info.token_key, &bytes);
    bytes.extend(code);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token taken apart. Not to be trusted before [`verify`](Token::verify).
#[derive(Clone, Debug)]
pub struct Token {
    /// Account-and-region number.
    pub scope: u32,
    /// The execution.
    pub execution: ExecutionId,
    /// The task.
    pub task: TaskId,
    bytes: Vec<u8>,
}

impl Token {
    /// Takes a token apart. None if it has not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Token> {
        if text.len() > LENGTH * 2 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        if bytes.len() != LENGTH || bytes[0] != VERSION {
            return None;
        }
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let scope = word(1);
        let execution = ExecutionId::from_bytes(bytes[5..21].try_into().expect("sixteen bytes"));
        let task = TaskId { frame: FrameId(word(21)), number: word(25) };
        Some(Token { scope, execution, task, bytes })
    }

    /// Whether it was issued with this key.
    #[must_use]
    pub fn verify(&self, key: &[u8; 32]) -> bool {
        let (body, given) = self.bytes.split_at(LENGTH - CODE);
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(body);
        mac.verify_truncated_left(given).is_ok()
    }
}

fn code(key: &[u8; 32], body: &[u8]) -> [u8; CODE] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.finalize().into_bytes()[..CODE].try_into().expect("a digest of 32 bytes")
}
