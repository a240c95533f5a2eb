//! Random numbers from a seed: `java.util.Random`, which the service is written
//! with, so that a seed means the same numbers here as there. Never used for
//! anything that must be hard to guess.

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const MASK: u64 = (1 << 48) - 1;

/// The linear congruential generator.
struct Random {
    state: u64,
}

impl Random {
    fn new(seed: i64) -> Self {
        Self { state: (seed.cast_unsigned() ^ MULTIPLIER) & MASK }
    }

    /// The next 31 or 32 bits.
    fn next(&mut self, bits: u32) -> u64 {
        self.state = (self.state.wrapping_mul(MULTIPLIER) + 0xB) & MASK;
        self.state >> (48 - bits)
    }
}

/// The first number below `width` that this seed gives: that of `nextInt(width)` where `width` is an `int`.
pub(super) fn below(seed: i64, width: u64) -> u64 {
    let mut random = Random::new(seed);
    if width > 1 << 31 {
        let bits = (random.next(32) << 32) | random.next(32);
        return ((u128::from(bits) * u128::from(width)) >> 64) as u64;
    }
    if width.is_power_of_two() {
        return (width * random.next(31)) >> 31;
    }
    loop {
        let bits = random.next(31);
        let value = bits % width;
        // The last, incomplete run of remainders would favour small numbers.
        if bits - value + (width - 1) < 1 << 31 {
            return value;
        }
    }
}

/// The first number from 0 up to but not including 1 that this seed gives: that of `nextDouble()`.
pub(crate) fn fraction(seed: i64) -> f64 {
    let mut random = Random::new(seed);
    let bits = (random.next(26) << 27) + random.next(27);
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let bits = bits as f64;
    bits / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::{Random, below, fraction};

    #[test]
    fn the_numbers_are_those_of_java() {
        // new Random(42).nextInt() is -1170105035, that of 0 is -1155484576.
        assert_eq!(Random::new(42).next(32), u64::from((-1_170_105_035i32).cast_unsigned()));
        assert_eq!(Random::new(0).next(32), u64::from((-1_155_484_576i32).cast_unsigned()));
        // new Random(42).nextInt(10) is 0; nextInt(16) takes the high bits.
        assert_eq!(below(42, 10), 0);
        assert_eq!(below(42, 16), 11);
        assert_eq!(below(42, 1), 0);
        // new Random(42).nextDouble() is 0.7275636800328681, that of 0 is 0.730967787376657.
        assert_eq!(fraction(42), 0.727_563_680_032_868_1);
        assert_eq!(fraction(0), 0.730_967_787_376_657);
    }

    #[test]
    fn every_width_is_kept() {
        for seed in -50..50 {
            for width in [1, 2, 3, 1000, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, u64::MAX] {
                assert!(below(seed, width) < width);
            }
        }
    }
}
