//! Ranges of keys, shared by the back ends.

use std::ops::Bound;

/// Whether no key can lie between the two bounds. `BTreeMap::range` panics on crossed bounds,
/// so every range is asked first.
pub(crate) fn is_empty_range(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b)) | (Bound::Excluded(a), Bound::Included(b)) => {
            a >= b
        }
    }
}
