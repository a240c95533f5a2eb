//! Sets of characters, with JavaScript's idea of upper and lower case.
//!
//! A set speaks of code points and of surrogates, because patterns do; texts
//! never hold a surrogate, so none is ever rendered.

use std::fmt::Write;
use std::sync::OnceLock;

const LAST: u32 = 0x10_FFFF;
const LAST_BASIC: u32 = 0xFFFF;

/// A set of characters: sorted ranges that neither touch nor overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Set {
    ranges: Vec<(u32, u32)>,
}

impl Set {
    pub(super) fn of(ranges: &[(u32, u32)]) -> Self {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable();
        let mut set = Self { ranges: Vec::with_capacity(ranges.len()) };
        for (first, last) in ranges {
            match set.ranges.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => set.ranges.push((first, last)),
            }
        }
        set
    }

    pub(super) fn character(character: u32) -> Self {
        Self { ranges: vec![(character, character)] }
    }

    pub(super) fn digits() -> Self {
        Self::of(&[(0x30, 0x39)])
    }

    pub(super) fn word() -> Self {
        Self::of(&[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
    }

    /// White space and line ends as JavaScript has them.
    pub(super) fn space() -> Self {
        Self::of(&[
            (0x09, 0x0D),
            (0x20, 0x20),
            (0xA0, 0xA0),
            (0x1680, 0x1680),
            (0x2000, 0x200A),
            (0x2028, 0x2029),
            (0x202F, 0x202F),
            (0x205F, 0x205F),
            (0x3000, 0x3000),
            (0xFEFF, 0xFEFF),
        ])
    }

    /// What `.` matches: all but the line ends.
    pub(super) fn dot() -> Self {
        Self::of(&[(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]).inverted()
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    pub(super) fn contains(&self, character: u32) -> bool {
        let after = self.ranges.partition_point(|range| range.0 <= character);
        after > 0 && self.ranges[after - 1].1 >= character
    }

    fn contains_all(&self, first: u32, last: u32) -> bool {
        self.ranges.iter().any(|range| range.0 <= first && last <= range.1)
    }

    pub(super) fn inverted(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = 0;
        for (first, last) in &self.ranges {
            if *first > next {
                ranges.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= LAST {
            ranges.push((next, LAST));
        }
        Self { ranges }
    }

    /// A set with every surrogate takes the characters beyond the basic plane
    /// too: JavaScript would match each of them as two surrogates.
    pub(super) fn with_pairs(self) -> Self {
        if !self.contains_all(0xD800, 0xDFFF) {
            return self;
        }
        let mut ranges = self.ranges;
        ranges.push((LAST_BASIC + 1, LAST));
        Self::of(&ranges)
    }

    /// With every character that differs from one of these by case alone, as
    /// the flag `i` of a JavaScript pattern without `u` has it: by the simple
    /// upper case, and never from outside ASCII into it.
    pub(super) fn without_case(self) -> Self {
        let mut ranges = self.ranges.clone();
        for group in case_groups().chunk_by(|left, right| left.0 == right.0) {
            let canonical = group[0].0;
            if self.contains(canonical) || group.iter().any(|(_, character)| self.contains(*character)) {
                ranges.push((canonical, canonical));
                ranges.extend(group.iter().map(|(_, character)| (*character, *character)));
            }
        }
        Self::of(&ranges)
    }

    /// The characters whose surrogate pairs start in `self` and end in `low`,
    /// or `None` if these are not sets of leading and of trailing surrogates.
    pub(super) fn pairs_with(&self, low: &Self) -> Option<Self> {
        let within = |set: &Self, first, last| {
            !set.ranges.is_empty() && set.ranges.iter().all(|range| first <= range.0 && range.1 <= last)
        };
        if !within(self, 0xD800, 0xDBFF) || !within(low, 0xDC00, 0xDFFF) {
            return None;
        }
        let mut ranges = Vec::new();
        for high in self.ranges.iter().flat_map(|range| range.0..=range.1) {
            let base = LAST_BASIC + 1 + ((high - 0xD800) << 10);
            ranges.extend(low.ranges.iter().map(|range| (base + (range.0 - 0xDC00), base + (range.1 - 0xDC00))));
        }
        Some(Self::of(&ranges))
    }

    /// About how many states an automaton needs for one character of the set.
    pub(super) fn weight(&self) -> u64 {
        1 + 3 * self.ranges.iter().filter(|range| range.1 > 0x7F).count() as u64
    }

    /// Writes the set as a class; surrogates are left out.
    pub(super) fn render(&self, out: &mut String) {
        let start = out.len();
        out.push('[');
        let opened = out.len();
        for (first, last) in &self.ranges {
            for (first, last) in [(*first, (*last).min(0xD7FF)), ((*first).max(0xE000), *last)] {
                if first <= last {
                    write!(out, "\\x{{{first:x}}}-\\x{{{last:x}}}").expect("writing to a string cannot fail");
                }
            }
        }
        if out.len() == opened {
            // A class that no character is in.
            out.truncate(start);
            out.push_str("[^\\x{0}-\\x{10ffff}]");
        } else {
            out.push(']');
        }
    }
}

/// Every character of the basic plane that has another case, as pairs of the
/// upper case and the character, sorted.
fn case_groups() -> &'static [(u32, u32)] {
    static GROUPS: OnceLock<Vec<(u32, u32)>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let mut groups: Vec<(u32, u32)> = (0..=LAST_BASIC)
            .filter_map(char::from_u32)
            .filter_map(|character| {
                let canonical = canonical(character);
                (canonical != character).then_some((u32::from(canonical), u32::from(character)))
            })
            .collect();
        groups.sort_unstable();
        groups
    })
}

fn canonical(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) if upper.is_ascii() == character.is_ascii() => upper,
        _ => character,
    }
}
