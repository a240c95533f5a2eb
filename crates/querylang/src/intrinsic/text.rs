//! Functions on text: Base64, digests, UUIDs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::fmt::Write;

pub(super) fn base64_encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// Padding may lack and ends the text, bytes that are no UTF-8 become
/// replacement characters.
pub(super) fn base64_decode(text: &str) -> String {
    let bytes: Vec<u8> = base64_bytes(text.bytes().take_while(|byte| *byte != b'=')).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As lenient as the service and as Node: characters outside both Base64
/// alphabets are passed over, and so are bits that make no whole byte.
pub(crate) fn base64_bytes(text: impl Iterator<Item = u8>) -> impl Iterator<Item = u8> {
    let (mut bits, mut count) = (0u32, 0u32);
    text.filter_map(move |byte| {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        // None as long as there is no whole byte.
        count = count.checked_sub(8)?;
        Some(((bits >> count) & 0xFF) as u8)
    })
}

/// The digest in lower-case hexadecimal, or `None` for an unknown algorithm.
pub(crate) fn hash(data: &str, algorithm: &str) -> Option<String> {
    Some(match algorithm {
        "MD5" => hexadecimal(&Md5::digest(data)),
        "SHA-1" => hexadecimal(&Sha1::digest(data)),
        "SHA-256" => hexadecimal(&Sha256::digest(data)),
        "SHA-384" => hexadecimal(&Sha384::digest(data)),
        "SHA-512" => hexadecimal(&Sha512::digest(data)),
        _ => return None,
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}

/// A version 4 UUID of 128 random bits.
pub(crate) fn uuid(high: u64, low: u64) -> String {
    let high = (high & !0xF000) | 0x4000;
    let low = (low & (u64::MAX >> 2)) | (1 << 63);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}
