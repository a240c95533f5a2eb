//! The word that was probably meant.

/// The candidate that `word` was probably meant to be, if one is near.
///
/// ```
/// use stepwright_asl::nearest;
/// assert_eq!(nearest("StratAt", ["StartAt", "States"]), Some("StartAt"));
/// assert_eq!(nearest("Zebra", ["StartAt", "States"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    // Of a word of a letter or two, hardly anything would be left.
    let limit = (length / 3).max(2).min(length.saturating_sub(1));
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters; one that differs in its case alone counts half.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).map(|length| 2 * length).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = 2 * (i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = match x == *y {
                true => 0,
                false if x.to_lowercase().eq(y.to_lowercase()) => 1,
                false => 2,
            };
            let substituted = diagonal + cost;
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 2).min(diagonal + 2);
        }
    }
    row[b.len()].div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest_word_but_not_any_word() {
        let words = ["listen", "region", "account"];
        assert_eq!(nearest("listn", words), Some("listen"));
        assert_eq!(nearest("Region", words), Some("region"));
        assert_eq!(nearest("ACCount", words), Some("account"));
        assert_eq!(nearest("zzzzzz", words), None);
    }
}
