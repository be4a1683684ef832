use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::cache::Part;
use crate::flights::Flight;
use crate::footer::PartitionPlace;
use crate::partition::Partition;
use crate::run::slice;
use crate::{Result, Run, RunEntry, filter};

/// Parts with at most this many bytes between them are read in one request: that much comes sooner than another answer.
const BRIDGED_BYTES: u64 = 256 << 10;

/// A request that was begun for several parts asks for no more than this many bytes.
const MAX_REQUEST_BYTES: u64 = 8 << 20;

/// How many requests one call has under way at once.
const PARALLEL_REQUESTS: usize = 8;

/// A part that is wanted: where it begins and ends, and its place if it is a partition.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    start: u64,
    end: u64,
    partition: Option<PartitionPlace>,
}

impl Run {
    /// What it says of each of `keys`, in their order, as [`get`](Self::get) would, at fewer requests: what lies close
    /// together is read at once.
    ///
    /// # Errors
    /// If the store fails, or the run is damaged or gone.
    pub async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<RunEntry>>> {
        let mut entries = vec![None; keys.len()];
        let covered: Vec<usize> =
            keys.iter().zip(0..).filter(|(key, _)| self.covers(key)).map(|(_, index)| index).collect();
        if covered.is_empty() {
            return Ok(entries);
        }
        let footer = self.footer().await?;
        let place_of = |index: &usize| footer.partition(footer.partition_of(keys.get(*index)?));
        let places: Vec<Option<PartitionPlace>> = covered.iter().map(place_of).collect();
        let wanted = places.iter().flatten();
        let wanted = wanted.map(|place| Wanted { start: place.offset, end: place.end(), partition: Some(*place) });
        let partitions = self.parts(wanted.collect()).await?;

        let mut of_block: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
        for (index, place) in covered.into_iter().zip(places) {
            let partition = place.and_then(|place| partitions.get(&place.offset));
            let (Some(key), Some(Part::Partition(partition))) = (keys.get(index), partition) else { continue };
            if let Some(block) = block_that_may_hold(partition, key) {
                of_block.entry(block).or_default().push(index);
            }
        }
        let wanted = of_block.keys().map(|(start, end)| Wanted { start: *start, end: *end, partition: None });
        let blocks = self.parts(wanted.collect()).await?;

        for ((start, _), indices) in of_block {
            let Some(Part::Block(block)) = blocks.get(&start) else { return Err(self.mixed_up()) };
            for index in indices {
                if let (Some(entry), Some(key)) = (entries.get_mut(index), keys.get(index)) {
                    *entry = self.find(block, key);
                }
            }
        }
        Ok(entries)
    }

    /// The parts that are wanted, by their offsets: from memory, from reads that are under way, or read.
    async fn parts(&self, wanted: Vec<Wanted>) -> Result<BTreeMap<u64, Part>> {
        let wanted: BTreeMap<u64, Wanted> = wanted.into_iter().map(|part| (part.start, part)).collect();
        let mut parts = BTreeMap::new();
        let mut flights: Vec<Group> = Vec::new();
        let mut missing = Vec::new();
        for part in wanted.into_values() {
            if let Some(found) = self.cached(part.start) {
                parts.insert(part.start, found);
            } else if let Some(flight) = self.store().flights().find(self.part_id(part.start)) {
                flights.push(Group(vec![(part.start, flight)]));
            } else {
                missing.push(part);
            }
        }
        flights.extend(bridge(missing).into_iter().map(|group| Group(self.begin(&group))));
        let mut answers = stream::iter(flights).map(land).buffer_unordered(PARALLEL_REQUESTS);
        while let Some(group) = answers.try_next().await? {
            parts.extend(group);
        }
        Ok(parts)
    }

    /// One request for a group of parts, on which the reads of all of them wait.
    fn begin(&self, group: &[Wanted]) -> Vec<(u64, Flight)> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Vec::new() };
        let (base, end, run) = (first.start, last.end, self.clone());
        let request = async move { run.store().read(&run, base..end).await }.boxed().shared();
        let begin_part = |part: &Wanted| {
            let (part, request, run) = (*part, request.clone(), self.clone());
            let read = async move {
                let bytes = request.await?;
                let bytes = slice(&bytes, base, part.start, part.end);
                match part.partition {
                    Some(place) => run.decode_partition(place, bytes).map(Part::Partition),
                    None => run.decode_block(part.start, bytes).map(Part::Block),
                }
            };
            (part.start, self.store().flights().join(self.part_id(part.start), read))
        };
        group.iter().map(begin_part).collect()
    }
}

/// Parts that one request brings, by their offsets. A type of its own, so that whoever waits for it can be sent to
/// another thread: the compiler does not see that for the reads' own type in a closure.
struct Group(Vec<(u64, Flight)>);

/// Waits for the parts of one request.
async fn land(Group(group): Group) -> Result<Vec<(u64, Part)>> {
    let mut parts = Vec::with_capacity(group.len());
    for (start, flight) in group {
        parts.push((start, flight.await?));
    }
    Ok(parts)
}

fn block_that_may_hold(partition: &Arc<Partition>, key: &[u8]) -> Option<(u64, u64)> {
    let block = partition.block(partition.block_of(key))?;
    partition.may_hold(filter::hash(key)).then_some(block)
}

/// Groups of parts, given in order, each of which is worth one request.
fn bridge(parts: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut groups: Vec<Vec<Wanted>> = Vec::new();
    for part in parts {
        match groups.last_mut() {
            Some(group)
                if group.last().is_some_and(|last| part.start.saturating_sub(last.end) <= BRIDGED_BYTES)
                    && group.first().is_some_and(|first| part.end - first.start <= MAX_REQUEST_BYTES) =>
            {
                group.push(part);
            }
            _ => groups.push(vec![part]),
        }
    }
    groups
}
