//! The bytes of a log segment: a header, then records, then zeros.
//!
//! Header, 32 bytes: `SWLOG` and three zeros, format version u32, salt u32, segment number u64,
//! zeros u32, CRC-32 of the 28 bytes before it. Numbers are little-endian.
//!
//! Record, 20 bytes and the payload: payload length u32, CRC-32 u32, sequence number u64,
//! `back` u32, payload. The checksum covers the length, the sequence number, `back` and the
//! payload, and is salted by the segment. Sequence numbers rise by one from record to record,
//! across segments. `back` says what was durable when the record was written: every record up to
//! `sequence - back`. That tells a torn tail from damage: an unreadable record may be cut only
//! if no readable record anywhere behind it was written after the unreadable one was synced.
//!
//! Payload: the bytes of one [`Commit`].
//!
//! This module must never touch a file.

use crate::{Commit, MAX_VALUE_BYTES};

pub(crate) const MAGIC: [u8; 8] = *b"SWLOG\0\0\0";
pub(crate) const SEGMENT_VERSION: u32 = 1;
pub(crate) const SEGMENT_HEADER: usize = 32;
pub(crate) const RECORD_HEADER: usize = 20;

/// The largest payload a record may claim; beyond it, a length is not believed.
pub(crate) const MAX_PAYLOAD: usize = 16 * MAX_VALUE_BYTES;

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) salt: u32,
    pub(crate) number: u64,
}

pub(crate) enum HeaderError {
    Newer(u32),
    Damaged(&'static str),
}

impl SegmentHeader {
    pub(crate) fn encode(self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.salt.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32fast::hash(&out[..28]);
        out[28..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let Some(header) = bytes.get(..SEGMENT_HEADER) else {
            return Err(HeaderError::Damaged("the segment header is cut short"));
        };
        if header[..8] != MAGIC {
            return Err(HeaderError::Damaged("this is not the header of a log segment"));
        }
        if crc32fast::hash(&header[..28]) != u32_at(header, 28) {
            return Err(HeaderError::Damaged("the checksum of the segment header does not match"));
        }
        let version = u32_at(header, 8);
        if version > SEGMENT_VERSION {
            return Err(HeaderError::Newer(version));
        }
        Ok(SegmentHeader { salt: u32_at(header, 12), number: u64_at(header, 16) })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

/// A record whose checksum holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    pub(crate) sequence: u64,
    /// Every record up to this one was durable when this one was written.
    pub(crate) durable: u64,
    pub(crate) payload: &'a [u8],
}

impl RawRecord<'_> {
    /// The bytes the record takes in the log.
    pub(crate) fn len(&self) -> usize {
        RECORD_HEADER + self.payload.len()
    }
}

/// Appends the record of one commit. `durable` is the last sequence number known to be synced.
pub(crate) fn encode_record(out: &mut Vec<u8>, salt: u32, sequence: u64, durable: u64, commit: &Commit) {
    assert!(durable < sequence, "a record is never durable before it is written");
    let back = u32::try_from(sequence - durable).unwrap_or(u32::MAX);
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEADER]);
    out.extend_from_slice(commit.bytes());
    let len = out.len() - start - RECORD_HEADER;
    assert!(len <= MAX_PAYLOAD, "the limits were checked before");
    let record = &mut out[start..];
    record[..4].copy_from_slice(&(len as u32).to_le_bytes());
    record[8..16].copy_from_slice(&sequence.to_le_bytes());
    record[16..20].copy_from_slice(&back.to_le_bytes());
    let crc = checksum(salt, record);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(salt: u32, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

/// The record at the start of `bytes`, if there is one whose checksum holds and whose sequence
/// number lies in `expected`. The number is looked at first: it makes a search through damaged
/// bytes cheap.
pub(crate) fn decode_record(bytes: &[u8], salt: u32, expected: std::ops::RangeInclusive<u64>) -> Option<RawRecord<'_>> {
    let header = bytes.get(..RECORD_HEADER)?;
    let sequence = u64_at(header, 8);
    let back = u64::from(u32_at(header, 16));
    if !expected.contains(&sequence) || back == 0 || back > sequence {
        return None;
    }
    let len = u32_at(header, 0) as usize;
    if len > MAX_PAYLOAD {
        return None;
    }
    let record = bytes.get(..RECORD_HEADER + len)?;
    (checksum(salt, record) == u32_at(header, 4)).then(|| RawRecord {
        sequence,
        durable: sequence - back,
        payload: &record[RECORD_HEADER..],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;

    fn sample() -> Commit {
        let mut commit = Commit::default();
        commit.put(Table::Frame, "key", vec![7; 300]);
        commit.put(Table::Turn, "", "");
        commit.delete(Table::Timer, "gone");
        commit.delete_range(Table::Payload, "a", "b");
        commit
    }

    #[test]
    fn a_record_round_trips() {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, 99, 12, 10, &sample());
        let record = decode_record(&bytes, 99, 12..=12).expect("it was just written");
        assert_eq!((record.sequence, record.durable), (12, 10));
        assert_eq!(record.len(), bytes.len());
        assert_eq!(Commit::from_bytes(record.payload), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, 99, 12, 10, &sample());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(decode_record(&damaged, 99, 0..=u64::MAX).is_none(), "{at}.{bit}");
            }
            assert!(decode_record(&bytes[..at], 99, 0..=u64::MAX).is_none());
        }
        assert!(decode_record(&bytes, 98, 0..=u64::MAX).is_none(), "another salt");
        assert!(decode_record(&[0; 64], 99, 0..=u64::MAX).is_none(), "zeros");
    }

    #[test]
    fn a_header_round_trips_and_notices_damage() {
        let header = SegmentHeader { salt: 5, number: 77 };
        let bytes = header.encode();
        assert!(matches!(SegmentHeader::decode(&bytes), Ok(found) if found == header));
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert!(matches!(SegmentHeader::decode(&damaged), Err(HeaderError::Damaged(_))));
        }
    }
}
