//! Checksums of bodies, as services with the `httpChecksum` trait want them. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

/// The checksum of an algorithm by its name in the API (`CRC32`), in base64; none for one that is unknown.
#[must_use]
pub fn checksum(algorithm: &str, body: &[u8]) -> Option<String> {
    Some(match algorithm {
        "CRC32" => STANDARD.encode(crc32fast::hash(body).to_be_bytes()),
        "CRC32C" => STANDARD.encode(crc32c(body).to_be_bytes()),
        "CRC64NVME" => STANDARD.encode(crc64_nvme(body).to_be_bytes()),
        "SHA1" => STANDARD.encode(Sha1::digest(body)),
        "SHA256" => STANDARD.encode(Sha256::digest(body)),
        "MD5" => md5(body),
        _ => return None,
    })
}

/// The value of `Content-MD5`.
#[must_use]
pub fn md5(body: &[u8]) -> String {
    STANDARD.encode(Md5::digest(body))
}

fn crc32c(body: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82F6_3B78 };
    !body.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

fn crc64_nvme(body: &[u8]) -> u64 {
    let step = |crc: u64| if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x9A6C_9329_AC4B_C9B5 };
    !body.iter().fold(u64::MAX, |crc, byte| (0..8).fold(crc ^ u64::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the CRC catalogue, and those of the empty message.
    #[test]
    fn published_values() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc64_nvme(b"123456789"), 0xAE8B_1486_0A79_9888);
        for (algorithm, expected) in [
            ("CRC32", "AAAAAA=="),
            ("MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("SHA1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
            ("SHA256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        ] {
            assert_eq!(checksum(algorithm, b"").as_deref(), Some(expected));
        }
        assert_eq!(checksum("CRC32", b"\"text data\"").as_deref(), Some("KUmHvQ=="));
        assert_eq!(checksum("XXHASH3", b""), None);
    }
}
