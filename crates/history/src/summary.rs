use std::fmt;

use crate::{History, Outcome};

/// What a checker looked at and found in order. A test should see that it was enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Transactions that were acknowledged.
    pub ok: usize,
    /// Transactions that were refused.
    pub failed: usize,
    /// Transactions of which nobody knows whether they happened.
    pub unknown: usize,
    /// Those of them that happened, for others saw their effect. Only the check of lists counts them.
    pub unknown_but_seen: usize,
    /// Different lists, accounts, registers, counters or claimed things.
    pub keys: usize,
    /// Appends, transfers, writes, additions or claims in acknowledged transactions.
    pub writes: usize,
    /// Reads in acknowledged transactions.
    pub reads: usize,
}

impl Summary {
    /// Counts the transactions.
    pub(crate) fn of(history: &History) -> Self {
        let count = |outcome| history.0.iter().filter(|transaction| transaction.outcome == outcome).count();
        Self { ok: count(Outcome::Ok), failed: count(Outcome::Fail), unknown: count(Outcome::Info), ..Self::default() }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ok, failed, unknown, unknown_but_seen, keys, writes, reads } = self;
        write!(
            f,
            "no anomaly in {ok} ok, {failed} failed and {unknown} unknown transactions ({unknown_but_seen} of these \
             seen) with {writes} writes and {reads} reads of {keys} keys"
        )
    }
}
