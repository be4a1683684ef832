use crate::Seq;
use crate::codec::{self, Malformed, Reader};

/// Positions of the log, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first one.
    pub first: Seq,
    /// The last one.
    pub last: Seq,
}

/// Whether a position is in one of the stretches.
pub(crate) fn contain(stretches: &[Stretch], seq: Seq) -> bool {
    stretches.iter().any(|stretch| stretch.first <= seq && seq <= stretch.last)
}

/// What is in some stretches, in ascending order, in as few as can be.
pub(crate) fn union(stretches: impl IntoIterator<Item = Stretch>) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = stretches.into_iter().collect();
    all.sort_by_key(|stretch| stretch.first);
    let mut united: Vec<Stretch> = Vec::new();
    for stretch in all {
        match united.last_mut() {
            Some(last) if stretch.first <= last.last.next() => last.last = last.last.max(stretch.last),
            _ => united.push(stretch),
        }
    }
    united
}

/// The positions from `from` on and below `below` that are in none of the stretches.
pub(crate) fn outside(from: Seq, below: Seq, stretches: &[Stretch]) -> impl Iterator<Item = Seq> {
    (from.0..below.0).map(Seq).filter(|seq| !contain(stretches, *seq))
}

/// What of the first stretches lies below a position and in none of the second ones.
pub(crate) fn without(first: &[Stretch], second: &[Stretch], below: Seq) -> Vec<Stretch> {
    let second = union(second.iter().copied());
    let mut left = Vec::new();
    for Stretch { mut first, last } in union(first.iter().copied()) {
        let last = Seq(last.0.min(below.0.saturating_sub(1)));
        for taken in &second {
            if taken.last < first || taken.first > last {
                continue;
            }
            if taken.first > first {
                left.push(Stretch { first, last: Seq(taken.first.0 - 1) });
            }
            first = taken.last.next();
        }
        if first <= last {
            left.push(Stretch { first, last });
        }
    }
    left
}

/// Appends how many there are, then the first and the last position of each.
pub(crate) fn encode(buffer: &mut Vec<u8>, stretches: &[Stretch]) {
    codec::put_varint(buffer, stretches.len() as u64);
    for Stretch { first, last } in stretches {
        codec::put_varint(buffer, first.0);
        codec::put_varint(buffer, last.0);
    }
}

/// Reads what [`encode`] wrote: in ascending order, with something between each two.
pub(crate) fn decode(reader: &mut Reader) -> Result<Vec<Stretch>, Malformed> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for _ in 0..reader.varint()? {
        let stretch = Stretch { first: Seq(reader.varint()?), last: Seq(reader.varint()?) };
        let follows = stretches.last().is_none_or(|before| before.last.0.saturating_add(1) < stretch.first.0);
        if !follows || stretch.first > stretch.last || stretch.first < Seq::FIRST || stretch.last.0 == u64::MAX {
            return Err(Malformed("stretches of the log are not in order"));
        }
        stretches.push(stretch);
    }
    Ok(stretches)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
        let stretch =
            (1_u64..40, 0_u64..9).prop_map(|(first, more)| Stretch { first: Seq(first), last: Seq(first + more) });
        prop::collection::vec(stretch, 0..6)
    }

    fn positions(stretches: &[Stretch]) -> BTreeSet<u64> {
        stretches.iter().flat_map(|stretch| stretch.first.0..=stretch.last.0).collect()
    }

    proptest! {
        #[test]
        fn they_are_the_sets_that_they_stand_for(first in stretches(), second in stretches(), below in 1_u64..50) {
            let united = union(first.iter().copied());
            prop_assert_eq!(positions(&united), positions(&first));
            let mut buffer = Vec::new();
            encode(&mut buffer, &united);
            prop_assert_eq!(decode(&mut Reader::new(buffer.into())), Ok(united.clone()), "in order, and apart");
            let expected: BTreeSet<u64> =
                positions(&first).difference(&positions(&second)).copied().filter(|seq| *seq < below).collect();
            prop_assert_eq!(positions(&without(&first, &second, Seq(below))), expected);
            let expected: BTreeSet<u64> = (1..below).filter(|seq| !positions(&first).contains(seq)).collect();
            prop_assert_eq!(outside(Seq(1), Seq(below), &first).map(|seq| seq.0).collect::<BTreeSet<u64>>(), expected);
        }
    }

    #[test]
    fn what_no_writer_writes_does_not_decode() {
        for bad in [&[(3, 2)][..], &[(0, 2)], &[(1, 2), (3, 4)], &[(5, 6), (1, 2)], &[(1, u64::MAX)]] {
            let bad: Vec<Stretch> =
                bad.iter().map(|(first, last)| Stretch { first: Seq(*first), last: Seq(*last) }).collect();
            let mut buffer = Vec::new();
            encode(&mut buffer, &bad);
            assert!(decode(&mut Reader::new(buffer.into())).is_err(), "{bad:?}");
        }
    }
}
