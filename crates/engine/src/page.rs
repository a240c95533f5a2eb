//! Page tokens: opaque to clients, bound to the listing's arguments, good for 24 hours. They hold a position (a key),
//! never an offset, so a page is right whatever came or went in between.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use stepwright_machine::Millis;

use crate::{
    error::{Error, Result},
    model::PageRequest,
    secrets::Secrets,
};

const VERSION: u8 = 1;
const LIFETIME_MS: Millis = 24 * 3_600 * 1_000;
const HEAD: usize = 1 + 8;
const CODE: usize = 16;
/// Items of a page where none are asked for, and at most.
const DEFAULT_ITEMS: usize = 100;
const MAX_ITEMS: usize = 1_000;

/// How many items a request wants.
pub(crate) fn limit(request: &PageRequest) -> usize {
    if request.max_results == 0 { DEFAULT_ITEMS } else { request.max_results.min(MAX_ITEMS) }
}

/// A token for the page that begins at `position`.
pub(crate) fn issue(secrets: &Secrets, binding: &[&[u8]], position: &[u8], now: Millis) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(now.to_be_bytes());
    bytes.extend(position);
    let code = code(secrets, binding, &bytes);
    bytes.extend(code);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position in a token, if it is one of this listing and not too old.
pub(crate) fn open(secrets: &Secrets, binding: &[&[u8]], token: &str, now: Millis) -> Result<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::InvalidPageToken)?;
    if bytes.len() < HEAD + CODE || bytes[0] != VERSION {
        return Err(Error::InvalidPageToken);
    }
    let (body, given) = bytes.split_at(bytes.len() - CODE);
    if code(secrets, binding, body) != given {
        return Err(Error::InvalidPageToken);
    }
    let issued = Millis::from_be_bytes(body[1..HEAD].try_into().expect("eight bytes"));
    if now.saturating_sub(issued) > LIFETIME_MS {
        return Err(Error::InvalidPageToken);
    }
    Ok(body[HEAD..].to_vec())
}

fn code(secrets: &Secrets, binding: &[&[u8]], body: &[u8]) -> [u8; CODE] {
    let mut parts = binding.to_vec();
    parts.push(body);
    secrets.page_code(&parts)
}
