//! The stable sort that `^( )` and `$sort` share.

use super::error::Error;
use super::value::Value;

/// Sorts items by a question that may fail: does the first argument belong
/// behind the second? Stable; asks `n log n` times.
///
/// # Errors
/// The first error of the question.
pub(crate) fn merge_sort<T>(
    mut items: Vec<T>,
    behind: &mut dyn FnMut(&T, &T) -> Result<bool, Error>,
) -> Result<Vec<T>, Error> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let mut left = merge_sort(items, behind)?.into_iter().peekable();
    let mut right = merge_sort(right, behind)?.into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        let next = if behind(first, second)? { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

/// Whether all are numbers, or all are texts: what sorts without a comparator.
pub(crate) fn is_uniform(items: &[Value]) -> bool {
    items.iter().all(|item| matches!(item, Value::Number(_))) || items.iter().all(|item| item.as_str().is_some())
}
