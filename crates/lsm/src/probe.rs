use std::ops::Bound;

use bucketdb_runs::{Direction, LookedAt, Probe, RunError};
use bytes::Bytes;

use crate::{GROUP_BYTES, TierRun, Tree};

/// What one run has of a group in a range of keys, about.
#[derive(Clone, Debug)]
pub struct RunProbe {
    /// What its indexes tell.
    pub probe: Probe,
    /// How many rows of the group are in the range: no more than the run has.
    pub rows: f64,
    /// That many at least.
    pub least_rows: f64,
    /// How many bytes they take as stored, with what lies in the same blocks.
    pub data_bytes: f64,
    /// How long the object is.
    pub size_bytes: u64,
}

impl Tree {
    /// What each run, newest first, has of a group in a range of keys: from what is in memory, or with `reads` after reading what
    /// a scan of the range reads first. See [`Run::probe`](bucketdb_runs::Run::probe).
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn probe(
        &self,
        group: [u8; GROUP_BYTES],
        range: &(Bound<Bytes>, Bound<Bytes>),
        reads: bool,
        direction: Direction,
        most_entries: usize,
    ) -> Result<Vec<RunProbe>, RunError> {
        let mut probes = Vec::new();
        for run in self.tiers().iter().flat_map(|tier| tier.in_range(range)) {
            let probe = run.run().probe(&run.clip(range), reads, direction, most_entries, LookedAt::MANY).await?;
            let rows = run.totals().of(group).rows as f64;
            probes.push(RunProbe {
                rows: probe.entries.min(rows),
                least_rows: probe.least_entries.min(rows),
                data_bytes: probe.data_bytes.min(stored_bytes(run, group) + BLOCK_BYTES),
                size_bytes: run.meta().size_bytes,
                probe,
            });
        }
        Ok(probes)
    }

    /// What each run has of a whole group, newest first, from what is in memory: `looked_at` says how closely that is told.
    ///
    /// # Errors
    /// If a run is damaged.
    pub async fn probe_group(&self, group: [u8; GROUP_BYTES], looked_at: LookedAt) -> Result<Vec<RunProbe>, RunError> {
        let end = u32::from_be_bytes(group).checked_add(1).map(u32::to_be_bytes);
        let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(Bytes::copy_from_slice(&end)));
        let range = (Bound::Included(Bytes::copy_from_slice(&group)), end);
        let mut probes = Vec::new();
        for run in self.tiers().iter().flat_map(|tier| tier.in_range(&range)) {
            let rows = run.totals().of(group).rows as f64;
            if rows > 0.0 {
                let probe = run.run().probe(&run.clip(&range), false, Direction::Forward, 0, looked_at).await?;
                let data_bytes = stored_bytes(run, group);
                probes.push(RunProbe { probe, rows, least_rows: rows, data_bytes, size_bytes: run.meta().size_bytes });
            }
        }
        Ok(probes)
    }

    /// Where keys of a group lie in the run that has most of it, in stretches of some 16,000 keys from its beginning there on, as
    /// far as its top index tells, which is read if need be with `reads`. See [`Run::places_of`](bucketdb_runs::Run::places_of).
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn places_of(
        &self,
        group: [u8; GROUP_BYTES],
        keys: &[Bytes],
        reads: bool,
    ) -> Result<Option<Vec<f64>>, RunError> {
        let runs = self.tiers().iter().flat_map(|tier| tier.runs());
        let Some(run) = runs.max_by_key(|run| run.totals().of(group).rows) else { return Ok(None) };
        let with_start: Vec<Bytes> =
            std::iter::once(Bytes::copy_from_slice(&group)).chain(keys.iter().cloned()).collect();
        let Some(places) = run.run().places_of(&with_start, reads).await? else { return Ok(None) };
        let start = places.first().map_or(0.0, |start| start.floor());
        Ok(Some(places.into_iter().skip(1).map(|place| (place - start).max(0.0)).collect()))
    }
}

/// A block, uncompressed: within one, nothing is known.
const BLOCK_BYTES: f64 = 65_536.0;

/// What the rows of a group take as stored, about: compressed as everything in the run.
fn stored_bytes(run: &TierRun, group: [u8; GROUP_BYTES]) -> f64 {
    let meta = run.meta();
    run.totals().of(group).row_bytes as f64 * meta.size_bytes as f64 / (meta.live_bytes as f64).max(1.0)
}
