use std::ops::Bound;
use std::sync::Arc;

use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_runs::{Run, RunMeta, RunStore};
use bytes::Bytes;

use crate::{GROUP_BYTES, Totals, TotalsByGroup};

/// A range of keys.
pub(crate) type KeyBounds = (Bound<Bytes>, Bound<Bytes>);

/// Runs in ascending order of their keys, whose key ranges do not meet.
#[derive(Clone, Debug, Default)]
pub struct Tier {
    runs: Vec<TierRun>,
}

/// A run of a [`Tier`], and what of it counts.
#[derive(Clone, Debug)]
pub struct TierRun {
    run: Run,
    /// Entries below this key do not count: they were merged into another tier already.
    from: Option<Bytes>,
    totals: Arc<TotalsByGroup>,
}

impl TierRun {
    /// The whole of a run.
    #[must_use]
    pub fn whole(run: Run, totals: TotalsByGroup) -> Self {
        Self { run, from: None, totals: Arc::new(totals) }
    }

    /// What is known of the run.
    #[must_use]
    pub fn meta(&self) -> &RunMeta {
        self.run.meta()
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The same run with another version for all its entries.
    #[must_use]
    pub fn with_run(&self, run: Run) -> Self {
        Self { run, from: self.from.clone(), totals: self.totals.clone() }
    }

    /// How much its keys of each group have, what does not count any more included.
    #[must_use]
    pub fn totals(&self) -> &TotalsByGroup {
        &self.totals
    }

    /// No entry below that key counts.
    pub(crate) fn first_key(&self) -> &Bytes {
        let first = &self.run.meta().first_key;
        self.from.as_ref().map_or(first, |from| from.max(first))
    }

    /// Whether an entry of that key would count.
    #[must_use]
    pub fn covers(&self, key: &[u8]) -> bool {
        let meta = self.run.meta();
        self.from.as_ref().is_none_or(|from| key >= from.as_ref())
            && key >= meta.first_key.as_ref()
            && key <= meta.last_key.as_ref()
    }

    /// The part of a range whose entries count.
    pub(crate) fn clip(&self, range: &KeyBounds) -> KeyBounds {
        let start = match (&self.from, &range.0) {
            (None, start) => start.clone(),
            (Some(from), Bound::Included(key) | Bound::Excluded(key)) if key >= from => range.0.clone(),
            (Some(from), _) => Bound::Included(from.clone()),
        };
        (start, range.1.clone())
    }

    fn ends_before(&self, start: &Bound<Bytes>) -> bool {
        match start {
            Bound::Unbounded => false,
            Bound::Included(key) => self.meta().last_key < *key,
            Bound::Excluded(key) => self.meta().last_key <= *key,
        }
    }

    fn begins_behind(&self, end: &Bound<Bytes>) -> bool {
        match end {
            Bound::Unbounded => false,
            Bound::Included(key) => self.meta().first_key > *key,
            Bound::Excluded(key) => self.meta().first_key >= *key,
        }
    }
}

/// The group in which all keys of a range are, if it is one.
fn group_of(range: &KeyBounds) -> Option<[u8; GROUP_BYTES]> {
    let (Bound::Included(start) | Bound::Excluded(start)) = &range.0 else { return None };
    let (Bound::Included(end) | Bound::Excluded(end)) = &range.1 else { return None };
    let group = *start.first_chunk::<GROUP_BYTES>()?;
    let next = u32::from_be_bytes(group).checked_add(1).map(u32::to_be_bytes);
    let ends_with_it = matches!(&range.1, Bound::Excluded(end) if next.is_some_and(|next| **end == next));
    (end.starts_with(&group) || ends_with_it).then_some(group)
}

impl Tier {
    /// # Panics
    /// In debug builds, if the runs are out of order.
    #[must_use]
    pub fn new(runs: Vec<TierRun>) -> Self {
        debug_assert!(
            runs.iter().zip(runs.iter().skip(1)).all(|(first, second)| first.meta().last_key < second.meta().first_key),
            "the runs of a tier are in order and do not meet"
        );
        Self { runs }
    }

    /// Its runs, in order.
    #[must_use]
    pub fn runs(&self) -> &[TierRun] {
        &self.runs
    }

    /// Whether it has no run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// What its objects take.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.meta().size_bytes).sum()
    }

    /// How many entries it has, and how many of them are deletions.
    #[must_use]
    pub fn entries(&self) -> (u64, u64) {
        self.runs
            .iter()
            .fold((0, 0), |(all, deletions), run| (all + run.meta().entries, deletions + run.meta().deletions))
    }

    /// How much it has of one group, what does not count any more included.
    #[must_use]
    pub fn totals(&self, group: [u8; GROUP_BYTES]) -> Totals {
        self.runs.iter().fold(Totals::default(), |sum, run| sum.plus(run.totals.of(group)))
    }

    /// The one run that may have the key.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<&Run> {
        let index = self.runs.partition_point(|run| run.meta().last_key.as_ref() < key);
        self.runs.get(index).filter(|run| run.covers(key)).map(|run| &run.run)
    }

    /// The runs that may have keys in a range, in order: where all of these are of one group, only runs that have any of it.
    pub(crate) fn in_range(&self, range: &KeyBounds) -> impl Iterator<Item = &TierRun> {
        let first = self.runs.partition_point(|run| run.ends_before(&range.0));
        let rest = self.runs.get(first..).unwrap_or_default();
        let group = group_of(range);
        let has_any = move |run: &&TierRun| group.is_none_or(|group| run.totals.of(group) != Totals::default());
        rest.iter().take_while(move |run| !run.begins_behind(&range.1)).filter(has_any)
    }

    /// Without what lies below `from`.
    pub(crate) fn clipped(&self, from: &Bytes) -> Self {
        let runs = self.runs.iter().filter(|run| run.meta().last_key >= *from).cloned().map(|mut run| {
            if run.meta().first_key < *from && run.from.as_ref().is_none_or(|earlier| earlier < from) {
                run.from = Some(from.clone());
            }
            run
        });
        Self { runs: runs.collect() }
    }

    /// With more runs behind its last.
    #[must_use]
    pub fn extended(&self, more: Vec<TierRun>) -> Self {
        Self::new(self.runs.iter().cloned().chain(more).collect())
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>, tail_bytes_left: &mut usize) {
        codec::put_varint(buffer, self.runs.len() as u64);
        for run in &self.runs {
            run.meta().encode(buffer, tail_bytes_left);
            match &run.from {
                None => buffer.push(0),
                Some(from) => {
                    buffer.push(1);
                    codec::put_bytes(buffer, from);
                }
            }
            run.totals.encode(buffer);
        }
    }

    pub(crate) fn decode(reader: &mut Reader, store: &RunStore) -> Result<Self, Malformed> {
        let mut runs: Vec<TierRun> = Vec::new();
        for _ in 0..reader.length()? {
            let meta = RunMeta::decode(reader)?;
            let from = match reader.u8()? {
                0 => None,
                1 => Some(Bytes::copy_from_slice(&reader.bytes()?)),
                _ => return Err(Malformed("a run is neither whole nor clipped")),
            };
            let totals = Arc::new(TotalsByGroup::decode(reader)?);
            if runs.last().is_some_and(|last| last.meta().last_key >= meta.first_key) {
                return Err(Malformed("the runs of a tier are out of order"));
            }
            runs.push(TierRun { run: store.open(Arc::new(meta)), from, totals });
        }
        Ok(Self { runs })
    }
}
