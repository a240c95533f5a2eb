//! Identifiers that the server makes up.

use stepwright_engine::clock::{SeedSource as _, SystemSeeds};

/// A random UUID, as AWS makes for requests and for executions without a name.
pub(crate) fn random_uuid() -> String {
    let bits = (u128::from(SystemSeeds.next()) << 64) | u128::from(SystemSeeds.next());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
}
