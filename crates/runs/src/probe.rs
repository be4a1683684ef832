use std::ops::{Bound, Range};
use std::sync::Arc;

use bytes::Bytes;

use crate::cache::Part;
use crate::footer::Footer;
use crate::partition::Partition;
use crate::{Direction, Result, Run, RunEntry};

/// So many entries of a range are given as a sample.
const SAMPLE_ENTRIES: usize = 64;

/// Of which blocks it is looked up whether they are in memory, to say it about all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookedAt(usize);

impl LookedAt {
    /// Those of some ten places of the range.
    pub const SOME: Self = Self(2);
    /// Those of some eighty places.
    pub const MANY: Self = Self(8);
}

/// What a run has in a range of keys, about: as much as its indexes in memory tell, and its blocks that are there.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// How many entries.
    pub entries: f64,
    /// As many entries there are at least.
    pub least_entries: f64,
    /// How many bytes the blocks take in which they lie, as stored.
    pub data_bytes: f64,
    /// How many partitions they lie in.
    pub partitions: f64,
    /// What part of these partitions is in memory, and what part of their blocks: from 0 to 1.
    pub partitions_at_hand: f64,
    /// See there.
    pub blocks_at_hand: f64,
    /// How many bytes a partition takes, as stored, without its blocks.
    pub partition_bytes: f64,
    /// Requests before the first block comes: for what is not in memory of the indexes.
    pub requests_to_begin: f64,
    /// Whether the first request brings the blocks too, how many bytes that is.
    pub joined_bytes: Option<f64>,
    /// Whether the index of the partition in which the range begins was seen, so that it can be told to some blocks.
    pub is_seen: bool,
    /// Some of the entries at the beginning of the range, at equal distances.
    pub sample: Vec<RunEntry>,
    /// For how many entries they stand.
    pub sampled_entries: f64,
}

impl Run {
    /// Tells what is in a range, from what is in memory; with `reads`, after it has read what a scan of it in that direction reads
    /// first. For the sample, no more than `most_entries` are looked at; `looked_at` says how closely it is told what is in memory.
    ///
    /// # Errors
    /// If the store fails, or the run is damaged or gone.
    pub async fn probe(
        &self,
        range: &(Bound<Bytes>, Bound<Bytes>),
        reads: bool,
        direction: Direction,
        most_entries: usize,
        looked_at: LookedAt,
    ) -> Result<Probe> {
        let meta = self.meta();
        let knows_footer = reads || meta.tail.is_some() || self.has_footer();
        if !knows_footer {
            let (entries, data_bytes) = (meta.entries as f64, meta.size_bytes as f64);
            let requests_to_begin = if meta.size_bytes <= crate::format::WHOLE_RUN_BYTES { 1.0 } else { 2.0 };
            return Ok(Probe { entries, data_bytes, partitions: 1.0, requests_to_begin, ..Probe::default() });
        }
        let footer = self.footer().await?;
        let last = footer.len().saturating_sub(1);
        let (first, end) = match (start_key(range), end_key(range)) {
            (start, end)
                if start.is_some_and(|key| *key > meta.last_key) || end.is_some_and(|key| *key < meta.first_key) =>
            {
                return Ok(Probe { is_seen: true, partitions_at_hand: 1.0, blocks_at_hand: 1.0, ..Probe::default() });
            }
            (start, end) => {
                let first = start.map_or(0, |key| footer.partition_of(key)).min(last);
                (first, end.map_or(last, |key| footer.partition_of(key)).min(last))
            }
        };
        if reads {
            let partition = match direction {
                Direction::Forward => self.stretch(footer, first, end).await?,
                Direction::Reverse => self.stretch(footer, end, end).await?,
            };
            // Within one block, that is what is read first in any case, and then it is known.
            if let Some(partition) = partition.filter(|_| first == end) {
                let blocks = blocks_in(&partition, range, true, true);
                if let Some((start, end)) = partition.block(blocks.start).filter(|_| blocks.len() == 1) {
                    self.block(start, end).await?;
                }
            }
        }
        Ok(self.probed(footer, range, first..end + 1, direction, most_entries, looked_at))
    }

    fn probed(
        &self,
        footer: &Footer,
        range: &(Bound<Bytes>, Bound<Bytes>),
        partitions: Range<usize>,
        direction: Direction,
        most_entries: usize,
        LookedAt(most): LookedAt,
    ) -> Probe {
        let mut probe = Probe { partitions: partitions.len() as f64, ..Probe::default() };
        let keys_in_each = self.meta().entries as f64 / footer.len() as f64;
        let step = partitions.len().div_ceil(most).max(1);
        let (mut looked_at, mut at_hand, mut blocks_at_hand) = (0.0, 0.0, 0.0);
        for index in partitions.clone() {
            let Some(place) = footer.partition(index) else { continue };
            probe.partition_bytes = place.part_bytes as f64;
            let (is_first, is_last) = (index == partitions.start, index + 1 == partitions.end);
            let cuts = (is_first && start_key(range).is_some(), is_last && end_key(range).is_some());
            let is_looked_at = is_first || is_last || (index - partitions.start).is_multiple_of(step);
            let known = is_looked_at.then(|| self.peek_partition(place.offset)).flatten();
            let seen = known.as_ref().map(|known| self.in_partition(known, range, cuts, keys_in_each, most));
            if is_looked_at {
                looked_at += 1.0;
                at_hand += f64::from(u8::from(known.is_some()));
                blocks_at_hand += seen.as_ref().map_or(0.0, |seen| seen.at_hand);
            }
            let is_forward = direction == Direction::Forward;
            if if is_forward { is_first } else { is_last } {
                probe.is_seen = known.is_some();
                if known.is_none() && (!is_forward || start_key(range).is_some()) {
                    probe.requests_to_begin += 1.0;
                    probe.joined_bytes = crate::run::lies_together(&place, place.data_offset)
                        .then(|| (place.end() - place.data_offset) as f64);
                }
                if let Some(known) = &known {
                    let blocks = blocks_in(known, range, cuts.0, cuts.1);
                    (probe.sample, probe.sampled_entries) = self.sample(known, blocks, range, direction, most_entries);
                }
            }
            let part = seen.unwrap_or_else(|| {
                // Nothing is known where within it the range begins or ends.
                let share = match cuts {
                    (false, false) => 1.0,
                    (true, true) => 0.25,
                    _ => 0.5,
                };
                let least = if share < 1.0 { 0.0 } else { keys_in_each };
                InPartition {
                    entries: share * keys_in_each,
                    least,
                    bytes: share * place.data_bytes as f64,
                    at_hand: 0.0,
                }
            });
            probe.entries += part.entries;
            probe.least_entries += part.least;
            probe.data_bytes += part.bytes;
        }
        probe.partitions_at_hand = at_hand / f64::max(looked_at, 1.0);
        probe.blocks_at_hand = blocks_at_hand / f64::max(looked_at, 1.0);
        probe
    }

    fn in_partition(
        &self,
        partition: &Partition,
        range: &(Bound<Bytes>, Bound<Bytes>),
        cuts: (bool, bool),
        keys_in_each: f64,
        most: usize,
    ) -> InPartition {
        let blocks = blocks_in(partition, range, cuts.0, cuts.1);
        let mut keys_in_block = keys_in_each / partition.len().max(1) as f64;
        let (mut found, mut looked_at, mut at_hand) = (InPartition::default(), 0.0, 0.0);
        let step = blocks.len().div_ceil(most).max(1);
        for number in blocks.clone() {
            let Some((start, end)) = partition.block(number) else { continue };
            found.bytes += (end - start) as f64;
            let is_edge = cuts.0 && number == blocks.start || cuts.1 && number + 1 == blocks.end;
            let is_looked_at = is_edge || (number - blocks.start).is_multiple_of(step);
            let block = is_looked_at.then(|| self.peek_block(start)).flatten();
            looked_at += f64::from(u8::from(is_looked_at));
            match block {
                Some(block) => {
                    at_hand += 1.0;
                    keys_in_block = block.len() as f64;
                    let entries = entries_in(&block, range).len() as f64;
                    found.entries += entries;
                    found.least += entries;
                }
                None if is_edge => found.entries += keys_in_block / 2.0,
                None => {
                    found.entries += keys_in_block;
                    found.least += keys_in_block / 2.0;
                }
            }
        }
        found.at_hand = at_hand / f64::max(looked_at, 1.0);
        found
    }

    /// Entries at equal distances from the beginning of a range on, as far as its blocks are in memory.
    fn sample(
        &self,
        partition: &Partition,
        blocks: Range<usize>,
        range: &(Bound<Bytes>, Bound<Bytes>),
        direction: Direction,
        most_entries: usize,
    ) -> (Vec<RunEntry>, f64) {
        let mut at_hand = Vec::new();
        let mut entries = 0;
        let is_forward = direction == Direction::Forward;
        for place in 0..blocks.len() {
            let number = if is_forward { blocks.start + place } else { blocks.end - 1 - place };
            let block = partition.block(number).and_then(|(start, _)| self.peek_block(start));
            let Some(block) = block.filter(|_| entries < most_entries) else { break };
            let within = entries_in(&block, range);
            let count = within.len().min(most_entries - entries);
            let within = if is_forward { within.start..within.start + count } else { within.end - count..within.end };
            entries += within.len();
            at_hand.push((block, within));
        }
        let step = entries.div_ceil(SAMPLE_ENTRIES).max(1);
        let places = at_hand.iter().flat_map(|(block, within)| within.clone().map(move |index| (block, index)));
        let sample = places.step_by(step).map(|(block, index)| block.entry(index, self.meta().version));
        (sample.collect(), entries as f64)
    }

    fn peek_partition(&self, offset: u64) -> Option<Arc<Partition>> {
        match self.store().cache().peek(self.part_id(offset))? {
            Part::Partition(partition) => Some(partition),
            _ => None,
        }
    }

    fn peek_block(&self, offset: u64) -> Option<Arc<crate::block::Block>> {
        match self.store().cache().peek(self.part_id(offset))? {
            Part::Block(block) => Some(block),
            _ => None,
        }
    }

    /// Where keys lie: in which of the stretches of some 16,000 keys, counted from 0, and about where in it, as between its
    /// first and last key. Nothing is read but the top index; `None` if that would take a request and it does not read.
    ///
    /// # Errors
    /// If the store fails, or the run is damaged or gone.
    pub async fn places_of(&self, keys: &[Bytes], reads: bool) -> Result<Option<Vec<f64>>> {
        if !reads && self.meta().tail.is_none() && !self.has_footer() {
            return Ok(None);
        }
        let footer = self.footer().await?;
        let place = |key: &Bytes| {
            let index = footer.partition_of(key).min(footer.len().saturating_sub(1));
            let first = index.checked_sub(1).map_or(&*self.meta().first_key, |before| footer.separator(before));
            index as f64 + share_between(first, key, footer.separator(index))
        };
        Ok(Some(keys.iter().map(place).collect()))
    }
}

/// About where between two keys a third one is, from 0 to 1, as if the keys between them were spread evenly.
fn share_between(first: &[u8], key: &[u8], last: &[u8]) -> f64 {
    let common = first.iter().zip(last).take_while(|(first, last)| first == last).count();
    let number = |key: &[u8]| {
        let mut bytes = [0; 8];
        let rest = key.get(common..).unwrap_or_default();
        bytes.iter_mut().zip(rest).for_each(|(byte, of_key)| *byte = *of_key);
        u64::from_be_bytes(bytes) as f64
    };
    let (from, to) = (number(first), number(last));
    if to > from { ((number(key) - from) / (to - from)).clamp(0.0, 1.0) } else { 0.5 }
}

/// What a partition has in a range.
#[derive(Default)]
struct InPartition {
    entries: f64,
    least: f64,
    bytes: f64,
    /// What part of its blocks is in memory.
    at_hand: f64,
}

fn start_key(range: &(Bound<Bytes>, Bound<Bytes>)) -> Option<&Bytes> {
    key_of(&range.0)
}

fn end_key(range: &(Bound<Bytes>, Bound<Bytes>)) -> Option<&Bytes> {
    key_of(&range.1)
}

fn key_of(bound: &Bound<Bytes>) -> Option<&Bytes> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// The blocks of a partition that may have keys in a range, whose beginning or end lies there or not.
fn blocks_in(partition: &Partition, range: &(Bound<Bytes>, Bound<Bytes>), begins: bool, ends: bool) -> Range<usize> {
    let start = start_key(range).filter(|_| begins).map_or(0, |key| partition.block_of(key));
    let end = end_key(range).filter(|_| ends).map_or(partition.len(), |key| partition.block_of(key) + 1);
    start..end.min(partition.len()).max(start)
}

fn entries_in(block: &crate::block::Block, range: &(Bound<Bytes>, Bound<Bytes>)) -> Range<usize> {
    let start = start_key(range).map_or(0, |key| block.keys().lower_bound(key));
    let end = end_key(range).map_or(block.len(), |key| block.keys().lower_bound(key));
    start..end.max(start)
}
