use std::fmt;

/// The shape of a cycle of transactions, from the gravest to the mildest, after Adya.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phenomenon {
    /// Only writes: transactions wrote over each other in a circle.
    G0,
    /// Writes, and reads of what others wrote: information flowed in a circle.
    G1c,
    /// Exactly one transaction read what another was about to replace: a stale read or a lost update.
    GSingle,
    /// Several transactions did: write skew.
    G2,
}

/// Which order a cycle contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// None: no order at all explains what was read. Not serializable.
    Any,
    /// The order of the transactions of a process.
    Process,
    /// Real time: not strictly serializable.
    RealTime,
}

/// What sort of anomaly it is. Its name is printed by `Display`.
///
/// ```
/// use bucketdb_history::{AnomalyKind, Order, Phenomenon};
///
/// let kind = AnomalyKind::Cycle(Phenomenon::GSingle, Order::RealTime);
/// assert_eq!(kind.to_string(), "G-single-realtime");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// Transactions, each of which must come before the next, and the last before the first.
    Cycle(Phenomenon, Order),
    /// `G1a`: a read saw what a failed transaction wrote.
    AbortedRead,
    /// `G1b`: a read saw what its transaction had not finished writing.
    IntermediateRead,
    /// `internal`: a transaction contradicts itself, as when it does not read what it has appended.
    Internal,
    /// `garbage-read`: a read saw what nobody wrote.
    GarbageRead,
    /// `duplicate-element`: a list held a value twice.
    DuplicateElement,
    /// `incompatible-order`: two reads of a list, neither of which is the beginning of the other, or one that
    /// does not have the appends of a transaction in the order in which it made them.
    IncompatibleOrder,
    /// `lost-append`: an acknowledged append that no read saw, although a read began after it.
    LostAppend,
    /// `reused-value`: the workload appended a value to a list twice, so the history proves nothing. A mistake of the
    /// test, not of the database.
    ReusedValue,
    /// `wrong-total`: the balances of a bank do not add up to what is in it.
    WrongTotal,
    /// `negative-balance`: an account was below zero.
    NegativeBalance,
    /// `wrong-balance`: no choice among the transfers of unknown outcome explains a balance.
    WrongBalance,
    /// `wrong-count`: no choice among the additions of unknown outcome explains a count.
    WrongCount,
    /// `went-backwards`: a read saw an older version than was seen before.
    WentBackwards,
    /// `claimed-twice`: two acknowledged claims of the same thing.
    ClaimedTwice,
    /// `wrong-owner`: two reads, or a read and an acknowledged claim, name different owners.
    WrongOwner,
    /// `lost-claim`: a read found no owner, although a claim had been acknowledged.
    LostClaim,
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cycle(phenomenon, order) => return write!(f, "{phenomenon}{order}"),
            Self::AbortedRead => "G1a",
            Self::IntermediateRead => "G1b",
            Self::Internal => "internal",
            Self::GarbageRead => "garbage-read",
            Self::DuplicateElement => "duplicate-element",
            Self::IncompatibleOrder => "incompatible-order",
            Self::LostAppend => "lost-append",
            Self::ReusedValue => "reused-value",
            Self::WrongTotal => "wrong-total",
            Self::NegativeBalance => "negative-balance",
            Self::WrongBalance => "wrong-balance",
            Self::WrongCount => "wrong-count",
            Self::WentBackwards => "went-backwards",
            Self::ClaimedTwice => "claimed-twice",
            Self::WrongOwner => "wrong-owner",
            Self::LostClaim => "lost-claim",
        })
    }
}

impl fmt::Display for Phenomenon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::G0 => "G0",
            Self::G1c => "G1c",
            Self::GSingle => "G-single",
            Self::G2 => "G2",
        })
    }
}

/// As a suffix of the phenomenon.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "",
            Self::Process => "-process",
            Self::RealTime => "-realtime",
        })
    }
}
