//! Instants on the wire. This module must never read a clock.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::wire::{At, Decode, DecodeError, Decoded, Report};

/// An instant in milliseconds since the epoch; on the wire a JSON number of seconds, `1718000000.123`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Instants beyond this many milliseconds would lose their last digit as a JSON number.
const EXACT_MS: i64 = 1 << 53;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "exact up to the year 287396; decode refuses more")]
        let seconds = self.0 as f64 / 1000.0;
        serializer.serialize_f64(seconds)
    }
}

impl Decode for Timestamp {
    fn decode(value: Value, at: &At<'_>, _: &mut Report) -> Decoded<Self> {
        let Some(seconds) = value.as_f64() else {
            return Err(DecodeError::wrong_type(at, "a number of seconds since the epoch", &value));
        };
        let ms = (seconds * 1000.0).round();
        #[expect(clippy::cast_precision_loss, reason = "a power of two")]
        let limit = EXACT_MS as f64;
        if ms.abs() > limit {
            return Err(DecodeError::wrong(at, format_args!("is no instant that can be kept: {seconds}")));
        }
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within ±2^53")]
        let ms = ms as i64;
        Ok(Some(Self(ms)))
    }
}
