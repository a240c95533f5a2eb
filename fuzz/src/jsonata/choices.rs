//! Decisions out of bytes.

use std::hash::{DefaultHasher, Hasher as _};

/// What decides: the bytes one after the other, and what follows from all of them when they are used up. So a long input
/// can be changed in one place, and a short one stands for something large.
pub(super) struct Choices<'b> {
    bytes: std::slice::Iter<'b, u8>,
    random: u64,
}

impl<'b> Choices<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        Self { bytes: bytes.iter(), random: hasher.finish() | 1 }
    }

    /// A number below the bound, of which there are at most 256.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        if let Some(byte) = self.bytes.next() {
            return usize::from(*byte) % bound;
        }
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    pub(super) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
