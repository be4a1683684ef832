use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Bound;

use bucketdb_runs::{Direction, Run, RunEntry, RunError, RunScan, ScanOptions, Stretch};
use bytes::Bytes;
use futures::future;

use crate::Tier;
use crate::tier::KeyBounds;

/// The entries of several tiers in the order of their keys, or backwards, the newest of each key.
#[derive(Debug)]
pub struct TreeScan {
    /// Newest first.
    tiers: Vec<TierScan>,
    /// The next entry of each, once it was looked at.
    heads: Vec<Option<RunEntry>>,
    /// The heads in the order in which they are given.
    order: BinaryHeap<Head>,
    direction: Direction,
    is_begun: bool,
    with_deletions: bool,
}

/// The key of the next entry of a tier. The greatest one comes next: the least key, or the greatest where the scan goes
/// backwards, and of equal ones that of the newest tier.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    key: Bytes,
    tier: usize,
    direction: Direction,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let keys = match self.direction {
            Direction::Forward => other.key.cmp(&self.key),
            Direction::Reverse => self.key.cmp(&other.key),
        };
        keys.then(other.tier.cmp(&self.tier))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The entries of one tier, run after run.
#[derive(Debug)]
pub(crate) struct TierScan {
    rest: VecDeque<(Run, KeyBounds)>,
    options: ScanOptions,
    scan: Option<RunScan>,
}

impl TierScan {
    pub(crate) fn new(tier: &Tier, range: &(Bound<Bytes>, Bound<Bytes>), options: ScanOptions) -> Self {
        let rest = tier.in_range(range).map(|run| (run.run().clone(), run.clip(range))).collect();
        Self { rest, options, scan: None }
    }

    /// The next entry, if it is at hand.
    pub(crate) fn next_ready(&mut self) -> Option<RunEntry> {
        self.scan.as_mut()?.next_loaded()
    }

    pub(crate) async fn next(&mut self) -> Result<Option<RunEntry>, RunError> {
        loop {
            if let Some(scan) = &mut self.scan {
                if let Some(entry) = scan.next().await? {
                    return Ok(Some(entry));
                }
                self.scan = None;
            }
            let next = match self.options.direction {
                Direction::Forward => self.rest.pop_front(),
                Direction::Reverse => self.rest.pop_back(),
            };
            let Some((run, range)) = next else { return Ok(None) };
            self.scan = Some(run.scan(range, self.options.clone()));
        }
    }
}

impl TreeScan {
    /// Of the tiers, newest first.
    #[must_use]
    pub fn new<'a>(
        tiers: impl Iterator<Item = &'a Tier>,
        range: &(Bound<Bytes>, Bound<Bytes>),
        options: ScanOptions,
    ) -> Self {
        let tiers: Vec<TierScan> = tiers
            .map(|tier| TierScan::new(tier, range, options.clone()))
            .filter(|scan| !scan.rest.is_empty())
            .collect();
        let heads = tiers.iter().map(|_| None).collect();
        let direction = options.direction;
        Self { tiers, heads, order: BinaryHeap::new(), direction, is_begun: false, with_deletions: false }
    }

    /// Whether no run has anything in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tiers.is_empty()
    }

    /// Gives also the entries that say that there is no row.
    #[must_use]
    pub fn with_deletions(mut self) -> Self {
        self.with_deletions = true;
        self
    }

    /// The next entry if no request is needed for it; `None` says nothing.
    pub fn next_ready(&mut self) -> Option<RunEntry> {
        // With several tiers it takes a look at all of them, and one that is not ready may have the next key.
        let [tier] = self.tiers.as_mut_slice() else { return None };
        if self.heads.first().is_some_and(Option::is_some) {
            return None;
        }
        loop {
            let entry = tier.next_ready()?;
            if entry.row.is_some() || self.with_deletions {
                return Some(entry);
            }
        }
    }

    /// As many entries as come next in one block of one tier, in order, if no request is needed for them; of a key below
    /// `before` only, if it says so. Those that say that there is no row are among them. `None` says nothing: where tiers have
    /// one key, or a block ends, or the scan goes backwards, [`next`](Self::next) goes on.
    pub fn take_ready(&mut self, before: Option<&[u8]>) -> Option<Stretch> {
        if self.direction == Direction::Reverse {
            return None;
        }
        if let [tier] = self.tiers.as_mut_slice() {
            return tier.scan.as_mut()?.take_loaded(before);
        }
        let Head { key, tier: index, .. } = self.order.peek()?.clone();
        // No other tier has anything below its own head.
        let others = self.heads.iter().enumerate().filter(|(other, _)| *other != index);
        let least_other = others.filter_map(|(_, head)| head.as_ref()).map(|entry| &entry.key).min();
        let before = match (least_other.map(|key| &**key), before) {
            (Some(other), Some(before)) => Some(other.min(before)),
            (other, before) => other.or(before),
        };
        if before.is_some_and(|before| *key >= *before) {
            return None;
        }
        let scan = self.tiers.get_mut(index)?.scan.as_mut()?;
        let stretch = scan.take_with_last(before)?;
        let next = scan.next_loaded();
        self.order.pop();
        if let Some(entry) = &next {
            self.order.push(Head { key: entry.key.clone(), tier: index, direction: self.direction });
        }
        if let Some(head) = self.heads.get_mut(index) {
            *head = next;
        }
        Some(stretch)
    }

    /// The next entry.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn next(&mut self) -> Result<Option<RunEntry>, RunError> {
        loop {
            let Some(entry) = self.next_of_any().await? else { return Ok(None) };
            if entry.row.is_some() || self.with_deletions {
                return Ok(Some(entry));
            }
        }
    }

    async fn next_of_any(&mut self) -> Result<Option<RunEntry>, RunError> {
        if let [tier] = self.tiers.as_mut_slice() {
            return tier.next().await;
        }
        if !self.is_begun {
            self.is_begun = true;
            self.heads = future::try_join_all(self.tiers.iter_mut().map(TierScan::next)).await?;
            let keys = self.heads.iter().enumerate();
            let direction = self.direction;
            let head = |tier, entry: &RunEntry| Head { key: entry.key.clone(), tier, direction };
            let keys = keys.filter_map(|(tier, entry)| entry.as_ref().map(|entry| head(tier, entry)));
            self.order = keys.collect();
        }
        let Some(Head { key, tier: newest, .. }) = self.order.pop() else { return Ok(None) };
        let found = self.advance(newest).await?;
        while let Some(older) = self.order.peek().filter(|next| next.key == key).map(|next| next.tier) {
            self.order.pop();
            self.advance(older).await?;
        }
        Ok(found)
    }

    /// Takes the head of a tier, and looks at the one behind it.
    async fn advance(&mut self, index: usize) -> Result<Option<RunEntry>, RunError> {
        let (Some(tier), Some(head)) = (self.tiers.get_mut(index), self.heads.get_mut(index)) else { return Ok(None) };
        let next = match tier.next_ready() {
            Some(next) => Some(next),
            None => tier.next().await?,
        };
        if let Some(entry) = &next {
            self.order.push(Head { key: entry.key.clone(), tier: index, direction: self.direction });
        }
        Ok(std::mem::replace(head, next))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use bucketdb_driver::{DelayDriver, Driver, MemoryDriver};
    use bucketdb_env::{Environment, TokioEnvironment};
    use bucketdb_log::{DatabaseId, Layout, Seq};
    use bucketdb_runs::{Cache, RunMeta, RunOptions, RunStore};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::TierRun;

    const LATENCY: Duration = Duration::from_millis(100);

    fn store(driver: impl Driver, env: &TokioEnvironment) -> RunStore {
        let layout = Layout::new("db").unwrap();
        RunStore::new(Arc::new(driver), Arc::new(env.clone()), layout, DatabaseId([7; 16]), Cache::new(16 << 20))
    }

    /// Every `step`th of 1500 keys from `first` on, with rows of a kilobyte that does not compress.
    async fn write(store: &RunStore, first: u32, step: usize) -> RunMeta {
        let mut writer = store.writer(Seq(1), RunOptions::default());
        let mut noise = u64::from(first) + 1;
        for number in (first..1500).step_by(step) {
            let row: Vec<u8> = std::iter::repeat_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 56) as u8
            })
            .take(1000)
            .collect();
            writer.add(&number.to_be_bytes(), Seq(1), Some(&row)).await.unwrap();
        }
        writer.finish().await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the clock of this test is virtual")]
    async fn a_merge_waits_only_for_the_first_requests_of_its_sources() {
        let (memory, env) = (MemoryDriver::new(), TokioEnvironment::new());
        let near = store(memory.clone(), &env);
        let metas = [write(&near, 0, 3).await, write(&near, 1, 3).await, write(&near, 2, 3).await];
        let far = store(DelayDriver::new(memory, env.clone()).reads(LATENCY), &env);
        let tier = |meta: RunMeta| {
            let run = far.open(Arc::new(meta));
            Tier::new(vec![TierRun::whole(run, Default::default())])
        };
        let tiers = metas.map(tier);
        let options = ScanOptions { read_ahead_bytes: 192 << 10, fill_cache: false, ..ScanOptions::default() };
        let mut scan = TreeScan::new(tiers.iter(), &(Bound::Unbounded, Bound::Unbounded), options);
        let (mut rows, mut waits) = (0, 0);
        loop {
            let asked = tokio::time::Instant::now();
            let entry = scan.next().await.unwrap();
            waits += u32::from(asked.elapsed() >= LATENCY / 2);
            if entry.is_none() {
                break;
            }
            rows += 1;
            env.sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(rows, 1500);
        // All first stretches at once, and each of the second ones; the third ones come while rows are taken.
        assert_eq!(waits, 4);
    }

    type Written = BTreeMap<u16, Option<u8>>;

    /// A tier of one run, whose blocks have a handful of rows, or of two.
    async fn write_tier(store: &RunStore, number: u64, rows: &Written) -> Option<Tier> {
        let mut runs = Vec::new();
        let half = rows.len() / 2 + 1;
        let rows: Vec<(&u16, &Option<u8>)> = rows.iter().collect();
        for part in rows.chunks(if number.is_multiple_of(2) { half } else { rows.len().max(1) }) {
            let mut writer = store.writer(Seq(number), RunOptions { block_bytes: 64 });
            for (key, row) in part {
                let row = row.map(|row| vec![row; 1 + usize::from(row % 20)]);
                writer.add(&key.to_be_bytes(), Seq(number), row.as_deref()).await.unwrap();
            }
            if let Some(meta) = writer.finish().await.unwrap() {
                runs.push(TierRun::whole(store.open(Arc::new(meta)), Default::default()));
            }
        }
        (!runs.is_empty()).then(|| Tier::new(runs))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn stretches_and_entries_are_the_same_in_any_mixture(
            tiers in vec(prop_oneof![
                btree_map(0..60_u16, any::<Option<u8>>(), 0..60),
                btree_map(0..600_u16, any::<Option<u8>>(), 0..200),
            ], 1..5),
            bounds in vec(0..700_u16, 0..6),
            range in (0..300_u16, 100..700_u16),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = store(MemoryDriver::new(), &TokioEnvironment::new());
                let (mut written, mut expected) = (Vec::new(), Written::new());
                for (number, rows) in (1..).zip(tiers.iter().rev()) {
                    written.extend(write_tier(&store, number, rows).await);
                    expected.extend(rows.iter().map(|(key, row)| (*key, *row)));
                }
                let expected: Vec<(u16, Option<u8>)> =
                    expected.into_iter().filter(|(key, _)| (range.0..range.1).contains(key)).collect();
                let key = |key: u16| Bytes::copy_from_slice(&key.to_be_bytes());
                let range = (Bound::Included(key(range.0)), Bound::Excluded(key(range.1)));
                let mut scan = TreeScan::new(written.iter().rev(), &range, ScanOptions::default()).with_deletions();
                let mut found: Vec<(u16, Option<u8>)> = Vec::new();
                let mut add = |key: &[u8], row: Option<&[u8]>| {
                    found.push((u16::from_be_bytes(key.try_into().unwrap()), row.map(|row| row[0])));
                };
                let is_bounded = !bounds.is_empty();
                let mut bounds = bounds.iter().cycle();
                let mut taken = 0;
                loop {
                    let before = bounds.next().map(|bound| bound.to_be_bytes());
                    if let Some(stretch) = scan.take_ready(before.as_ref().map(<[u8; 2]>::as_slice)) {
                        taken += stretch.len();
                        assert!(!stretch.is_empty());
                        for index in 0..stretch.len() {
                            let (key, row) = stretch.get(index);
                            assert!(before.is_none_or(|before| *key < before[..]));
                            let entry = stretch.entry(index);
                            assert_eq!((&*entry.key, entry.row.as_deref()), (key, row));
                            add(key, row);
                        }
                        continue;
                    }
                    let Some(entry) = scan.next().await.unwrap() else { break };
                    add(&entry.key, entry.row.as_deref());
                }
                assert_eq!(found, expected);
                if written.len() == 1 && !is_bounded && expected.len() > 20 {
                    assert!(taken > expected.len() / 2, "{taken} of {}", expected.len());
                }
            });
        }
    }
}
