use std::ops::Bound;

use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_runs::{Run, RunEntry, RunError, RunStore, ScanOptions};
use bytes::Bytes;

use crate::{GROUP_BYTES, Tier, Totals, TreeScan};

/// What the stored form of a tree has of the tails of its runs at most, in bytes. It is part of every checkpoint's record
/// and manifest, which are written often and read by whoever opens the database.
const MAX_TAILS_BYTES: usize = 64 << 10;

/// Tiers, newest first.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    tiers: Vec<Tier>,
    merging: Option<Merging>,
}

/// A merge that was begun and goes on in pieces: the tier `output` has what was merged, up to some key, and the
/// `inputs` tiers behind it have the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merging {
    /// Which tier, counted from the newest, takes in what is merged.
    pub output: usize,
    /// How many tiers behind it are being merged.
    pub inputs: usize,
}

impl Tree {
    /// # Panics
    /// In debug builds, if `merging` names tiers that are not there.
    #[must_use]
    pub fn new(tiers: Vec<Tier>, merging: Option<Merging>) -> Self {
        debug_assert!(
            merging.is_none_or(|merging| merging.inputs > 0 && merging.output + merging.inputs < tiers.len()),
            "a merge is about tiers that exist"
        );
        Self { tiers, merging }
    }

    /// Its tiers, newest first.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The merge that is under way.
    #[must_use]
    pub fn merging(&self) -> Option<Merging> {
        self.merging
    }

    /// Whether it has no run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tiers.iter().all(Tier::is_empty)
    }

    /// All its runs.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.tiers.iter().flat_map(|tier| tier.runs().iter().map(crate::TierRun::run))
    }

    /// What its objects take.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.tiers.iter().map(Tier::size_bytes).sum()
    }

    /// How much the tiers have of one group, older versions of the same rows included.
    #[must_use]
    pub fn totals(&self, group: [u8; GROUP_BYTES]) -> Totals {
        self.tiers.iter().fold(Totals::default(), |sum, tier| sum.plus(tier.totals(group)))
    }

    /// The entry of a key, if all that it takes to tell is in memory. `Some(None)` if there is none.
    #[must_use]
    pub fn try_get(&self, key: &[u8]) -> Option<Option<RunEntry>> {
        let mut runs = self.tiers.iter().filter_map(|tier| tier.find(key)).peekable();
        while let Some(run) = runs.next() {
            // Where nothing is older, most keys that are asked for are there.
            if let Some(entry) = run.try_get(key, runs.peek().is_none())? {
                return Some(Some(entry));
            }
        }
        Some(None)
    }

    /// The entry of a key, which may say that it was deleted.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn get(&self, key: &[u8]) -> Result<Option<RunEntry>, RunError> {
        for run in self.tiers.iter().filter_map(|tier| tier.find(key)) {
            if let Some(entry) = run.get(key).await? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The entries of many keys, which are in ascending order.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<RunEntry>>, RunError> {
        let mut found: Vec<Option<RunEntry>> = vec![None; keys.len()];
        for tier in &self.tiers {
            for run in tier.runs() {
                let asked: Vec<usize> = keys
                    .iter()
                    .enumerate()
                    .filter(|(index, key)| run.covers(key) && matches!(found.get(*index), Some(None)))
                    .map(|(index, _)| index)
                    .collect();
                if asked.is_empty() {
                    continue;
                }
                let wanted: Vec<Bytes> = asked.iter().filter_map(|index| keys.get(*index).cloned()).collect();
                for (index, entry) in asked.into_iter().zip(run.run().get_many(&wanted).await?) {
                    if let Some(place) = found.get_mut(index) {
                        *place = entry;
                    }
                }
            }
        }
        Ok(found)
    }

    /// The rows in a range, in order; what was deleted is left out.
    #[must_use]
    pub fn scan(&self, range: &(Bound<Bytes>, Bound<Bytes>), options: ScanOptions) -> TreeScan {
        TreeScan::new(self.tiers.iter(), range, options)
    }

    /// As stored: the number of tiers, each tier, then what is being merged (0, or 1, output, inputs).
    ///
    /// The tails of the runs go along as long as they come to no more than 64 KiB, those of the newest tiers first. For
    /// the runs that come to their turn later, who reads them has one more request.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        codec::put_varint(buffer, self.tiers.len() as u64);
        let mut tail_bytes_left = MAX_TAILS_BYTES;
        for tier in &self.tiers {
            tier.encode(buffer, &mut tail_bytes_left);
        }
        match self.merging {
            None => buffer.push(0),
            Some(Merging { output, inputs }) => {
                buffer.push(1);
                codec::put_varint(buffer, output as u64);
                codec::put_varint(buffer, inputs as u64);
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn decode(reader: &mut Reader, store: &RunStore) -> Result<Self, Malformed> {
        let mut tiers = Vec::new();
        for _ in 0..reader.length()? {
            tiers.push(Tier::decode(reader, store)?);
        }
        let merging = match reader.u8()? {
            0 => None,
            1 => {
                let merging = Merging { output: reader.length()?, inputs: reader.length()? };
                let last = merging.output.checked_add(merging.inputs);
                if merging.inputs == 0 || last.is_none_or(|last| last >= tiers.len()) {
                    return Err(Malformed("a merge is about tiers that do not exist"));
                }
                check_merging(&tiers, merging)?;
                Some(merging)
            }
            _ => return Err(Malformed("a tree is neither being merged nor not")),
        };
        Ok(Self { tiers, merging })
    }
}

/// What goes on with a merge puts what is left of the inputs behind what the output has: in another order, the output would
/// be no tier.
fn check_merging(tiers: &[Tier], merging: Merging) -> Result<(), Malformed> {
    let mut behind = tiers.iter().skip(merging.output);
    let done = behind.next().and_then(|output| output.runs().last());
    let Some(done) = done.map(|run| &run.meta().last_key) else { return Ok(()) };
    let mut left = behind.take(merging.inputs).flat_map(Tier::runs);
    if left.any(|run| run.first_key() <= done) {
        return Err(Malformed("a merge has inputs that it was to be done with"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
