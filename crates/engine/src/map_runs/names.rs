//! The names of a map run's children. A name is a UUID that holds the run and the child's place in it, scrambled, so that
//! a child is found by its name without a row for it. Part of the stored format: names must stay what they are.

use std::{ops::Bound, sync::Arc};

use stepwright_store::{
    Order, Store, Table,
    keys::{self, ScopeNumber},
};

use crate::{catalog::corrupt, error::Result};

/// Bits of the run's identity that a name holds.
const RUN_BITS: u32 = 58;
/// Bits of either half of what is scrambled.
const HALF: u32 = 61;
const MASK: u64 = (1 << HALF) - 1;
const ROUNDS: u64 = 4;

/// The name of a child.
pub(crate) fn name(run: u128, child: u32) -> Arc<str> {
    let bits = u128::from(prefix(run)) << 64 | u128::from(child) << 32 | u128::from(check(run, child));
    let (mut left, mut right) = (((bits >> HALF) as u64) & MASK, (bits as u64) & MASK);
    for round in 0..ROUNDS {
        (left, right) = (right, left ^ (mix(right ^ (round << 56)) & MASK));
    }
    uuid::Uuid::from_u128(to_uuid(u128::from(left) << HALF | u128::from(right))).to_string().into()
}

/// What a name says: the first bits of the run's identity, the place, and a check. None if it is no name of a child.
fn parse(name: &str) -> Option<(u64, u32, u32)> {
    let uuid = uuid::Uuid::try_parse(name).ok()?;
    if uuid.get_version_num() != 4 || name.len() != 36 || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let bits = from_uuid(uuid.as_u128());
    let (mut left, mut right) = (((bits >> HALF) as u64) & MASK, (bits as u64) & MASK);
    for round in (0..ROUNDS).rev() {
        (left, right) = (right ^ (mix(left ^ (round << 56)) & MASK), left);
    }
    let bits = u128::from(left) << HALF | u128::from(right);
    Some(((bits >> 64) as u64, (bits >> 32) as u32, bits as u32))
}

/// The run and the place of the child with a name, as far as the name tells; whether there is such a child, its row says.
pub(crate) fn find(store: &dyn Store, scope: ScopeNumber, name: &str) -> Result<Option<(u128, u32)>> {
    let Some((prefix, child, found)) = parse(name) else { return Ok(None) };
    let from = keys::map_run(scope, first_with(prefix));
    let to = keys::map_run(scope, first_with(prefix + 1));
    // More than one is as likely as two equal numbers of 58 bits.
    let rows = store.scan(Table::MapRunState, Bound::Included(&from), Bound::Excluded(&to), Order::Ascending, 16)?;
    for (key, _) in rows {
        let run = keys::parse_map_run(&key).ok_or_else(|| corrupt("the key of a map run"))?;
        if check(run, child) == found {
            return Ok(Some((run, child)));
        }
    }
    Ok(None)
}

/// The last part of the ARN of an EXPRESS child, at its so-many-th attempt.
pub(crate) fn attempt_uuid(run: u128, child: u32, attempt: u32) -> [u8; 16] {
    let place = u64::from(child) << 32 | u64::from(attempt);
    let high = mix((run >> 64) as u64 ^ mix(place));
    let low = mix(run as u64 ^ mix(high));
    to_uuid(u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// A version 4 UUID of 122 bits.
fn to_uuid(bits: u128) -> u128 {
    let (high, middle, low) = ((bits >> 74) & 0xFFFF_FFFF_FFFF, (bits >> 62) & 0xFFF, bits & 0x3FFF_FFFF_FFFF_FFFF);
    high << 80 | 4 << 76 | middle << 64 | 2 << 62 | low
}

fn from_uuid(uuid: u128) -> u128 {
    let (high, middle, low) = (uuid >> 80, (uuid >> 64) & 0xFFF, uuid & 0x3FFF_FFFF_FFFF_FFFF);
    high << 74 | middle << 62 | low
}

/// The first bits of a run's identity, without what makes it a UUID.
fn prefix(run: u128) -> u64 {
    (from_uuid(run) >> (122 - RUN_BITS)) as u64
}

/// The lowest identity that begins with these bits.
fn first_with(prefix: u64) -> u128 {
    // Beyond the last one: after every UUID of this version.
    if prefix >> RUN_BITS != 0 {
        return u128::MAX;
    }
    let bits = u128::from(prefix) << (122 - RUN_BITS);
    // What sorts first has no bits of a variant either.
    to_uuid(bits) & !(3 << 62)
}

fn check(run: u128, child: u32) -> u32 {
    mix((run as u64) ^ mix(u64::from(child) ^ (run >> 64) as u64)) as u32
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_run_and_the_place() {
        for seed in 0..200_u64 {
            let run = to_uuid(u128::from(mix(seed)) << 64 | u128::from(mix(seed + 1_000)));
            for child in [0, 1, seed as u32, u32::MAX] {
                let name = name(run, child);
                assert_eq!(parse(&name), Some((prefix(run), child, check(run, child))), "{name}");
            }
            let first = first_with(prefix(run));
            assert!(first <= run && run < first_with(prefix(run) + 1), "{run:x} lies in the range of its first bits");
        }
        assert_ne!(name(to_uuid(1), 0), name(to_uuid(1), 1));
    }

    #[test]
    fn what_is_no_name_of_a_child_is_told() {
        for text in ["", "name", "0f8fad5b-d9cb-169f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_stay_what_they_are() {
        let run = 0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e;
        let again = name(run, 7);
        assert_eq!(parse(&again), Some((prefix(run), 7, check(run, 7))));
        let uuid = uuid::Uuid::from_bytes(attempt_uuid(run, 7, 1));
        assert_eq!(uuid.get_version_num(), 4);
        assert_ne!(attempt_uuid(run, 7, 1), attempt_uuid(run, 7, 0));
    }
}
