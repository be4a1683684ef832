use crate::{Outcome, Transaction};

/// What transactions added to a number, to tell between which limits it stood when it was read.
///
/// Assumes strict serializability: what ended before the read began is in it, and what began after it ended is not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    /// By their ends, those that were acknowledged.
    ended: Sums,
    /// By their starts, those that did not fail.
    begun: Sums,
}

/// Sums of what was added and of what was taken, up to and including each time.
#[derive(Clone, Debug, Default)]
struct Sums(Vec<(u64, Change)>);

/// What was added, and what was taken, which is not positive. Wide enough that no sum overflows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) added: i128,
    pub(crate) taken: i128,
}

impl Change {
    pub(crate) fn by(amount: i64) -> Self {
        Self { added: i128::from(amount.max(0)), taken: i128::from(amount.min(0)) }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { added: self.added + other.added, taken: self.taken + other.taken }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self { added: self.added - other.added, taken: self.taken - other.taken }
    }

    pub(crate) fn sum(self) -> i128 {
        self.added + self.taken
    }
}

impl Effects {
    /// Notes what a transaction added. Call [`Self::settle`] when all are noted.
    pub(crate) fn note(&mut self, transaction: &Transaction, amount: i64) {
        if transaction.outcome != Outcome::Fail {
            self.begun.0.push((transaction.start, Change::by(amount)));
        }
        if transaction.is_ok() {
            self.ended.0.push((transaction.end, Change::by(amount)));
        }
    }

    pub(crate) fn settle(&mut self) {
        self.ended.settle();
        self.begun.settle();
    }

    /// What must be in a read that begins at a time.
    pub(crate) fn certain(&self, start: u64) -> Change {
        self.ended.until(|time| time < start)
    }

    /// The least and the greatest number that a read may find.
    ///
    /// What the reading transaction adds itself is certain: `all` of it, of which it had added `before` when it read.
    pub(crate) fn limits(&self, reader: &Transaction, all: Change, before: Change) -> (i128, i128) {
        let certain = self.certain(reader.start);
        let possible = self.begun.until(|time| time <= reader.end).minus(certain).minus(all);
        let sum = certain.sum() + before.sum();
        (sum + possible.taken, sum + possible.added)
    }
}

impl Sums {
    fn settle(&mut self) {
        self.0.sort_by_key(|(time, _)| *time);
        let mut sum = Change::default();
        for (_, change) in &mut self.0 {
            sum = sum.plus(*change);
            *change = sum;
        }
    }

    fn until(&self, is_included: impl Fn(u64) -> bool) -> Change {
        let included = self.0.partition_point(|(time, _)| is_included(*time));
        let last = included.checked_sub(1).and_then(|last| self.0.get(last));
        last.map(|(_, sum)| *sum).unwrap_or_default()
    }
}
