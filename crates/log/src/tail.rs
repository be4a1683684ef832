use std::collections::VecDeque;

use crate::Seq;
use crate::codec::{self, Malformed, Reader};

/// How long the log may grow behind the newest checkpoint. All nodes share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailLimits {
    /// From so many bytes on, writers should make a checkpoint themselves.
    pub soft_bytes: u64,
    /// From so many bytes on, proposals are refused until there is a checkpoint.
    pub hard_bytes: u64,
    /// From so many records on, writers should make a checkpoint themselves.
    pub soft_records: u64,
    /// From so many records on, proposals are refused until there is a checkpoint.
    pub hard_records: u64,
}

impl Default for TailLimits {
    fn default() -> Self {
        Self { soft_bytes: 8 << 20, hard_bytes: 64 << 20, soft_records: 256, hard_records: 8_192 }
    }
}

impl TailLimits {
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        for limit in [self.soft_bytes, self.hard_bytes, self.soft_records, self.hard_records] {
            codec::put_varint(buffer, limit);
        }
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            soft_bytes: reader.varint()?,
            hard_bytes: reader.varint()?,
            soft_records: reader.varint()?,
            hard_records: reader.varint()?,
        })
    }
}

/// What of the log the newest checkpoint does not cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// How many records.
    pub records: u64,
    /// Their size as objects, in bytes.
    pub bytes: u64,
}

impl Tail {
    /// Whether somebody should make a checkpoint.
    #[must_use]
    pub fn is_over_soft(&self, limits: &TailLimits) -> bool {
        self.bytes >= limits.soft_bytes || self.records >= limits.soft_records
    }

    /// Whether proposals are refused until somebody makes a checkpoint.
    #[must_use]
    pub fn is_over_hard(&self, limits: &TailLimits) -> bool {
        self.bytes >= limits.hard_bytes || self.records >= limits.hard_records
    }
}

/// The sizes of the records in the tail.
#[derive(Clone, Debug, Default)]
pub(crate) struct TailAccount {
    sizes: VecDeque<(Seq, u64)>,
    bytes: u64,
}

impl TailAccount {
    pub(crate) fn push(&mut self, seq: Seq, bytes: u64) {
        self.sizes.push_back((seq, bytes));
        self.bytes += bytes;
    }

    /// A checkpoint covers everything up to `seq`.
    pub(crate) fn cover(&mut self, seq: Seq) {
        while let Some((_, bytes)) = self.sizes.pop_front_if(|(known, _)| *known <= seq) {
            self.bytes -= bytes;
        }
    }

    pub(crate) fn tail(&self) -> Tail {
        Tail { records: self.sizes.len() as u64, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_does_not_count() {
        let mut account = TailAccount::default();
        for seq in 5..15 {
            account.push(Seq(seq), 10 + seq);
        }
        account.cover(Seq(12));
        assert_eq!(account.tail(), Tail { records: 2, bytes: 23 + 24 });
        account.cover(Seq(3));
        assert_eq!(account.tail().records, 2);
        let limits = TailLimits { soft_records: 2, hard_bytes: 47, ..TailLimits::default() };
        assert!(account.tail().is_over_soft(&limits) && account.tail().is_over_hard(&limits));
        account.cover(Seq(20));
        assert_eq!(account.tail(), Tail::default());
    }
}
