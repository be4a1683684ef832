/// A short key that is not less than `last` and less than `next`: it parts what ends with `last` from what begins with
/// `next`, at less space in an index than `last` itself.
pub(crate) fn between<'a>(last: &'a [u8], next: &'a [u8]) -> &'a [u8] {
    debug_assert!(last < next, "keys ascend");
    let shared = shared_length(last, next);
    match next.get(..=shared) {
        // A proper beginning of `next` is less than it, and greater than `last` because it differs where they part.
        Some(short) if short.len() < next.len() && short.len() < last.len() => short,
        _ => last,
    }
}

/// How many bytes the two have in common at their beginning.
pub(crate) fn shared_length(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_as_short_as_it_can_be() {
        assert_eq!(between(b"apple pie", b"banana"), b"b");
        assert_eq!(between(b"user-0001-xyz", b"user-0002-abc"), b"user-0002");
        assert_eq!(between(b"a", b"b"), b"a");
        assert_eq!(between(b"", b"b"), b"");
    }

    proptest! {
        #[test]
        fn it_lies_between(mut keys in prop::collection::btree_set(prop::collection::vec(0u8..3, 0..6), 2..3)) {
            let (last, next) = (keys.pop_first().unwrap(), keys.pop_first().unwrap());
            let separator = between(&last, &next);
            prop_assert!(*separator >= *last && *separator < *next);
        }
    }
}
