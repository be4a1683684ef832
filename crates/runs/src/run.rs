use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bucketdb_driver::Key;
use bytes::Bytes;

use crate::block::Block;
use crate::cache::{Part, PartId};
use crate::error::Fault;
use crate::footer::{Footer, PartitionPlace};
use crate::format::{PartKind, Place, STRETCH_BYTES, WHOLE_RUN_BYTES, read_part};
use crate::partition::Partition;
use crate::{Result, RunEntry, RunError, RunMeta, RunScan, RunStore, ScanOptions, filter};

/// Where a footer is in the cache: behind every other part.
const FOOTER_PART: u64 = u64::MAX;

/// A run that is open for reading. Clones are cheap and share everything.
///
/// The top index, some 50 bytes for every 16,384 keys, is kept in memory from the first read until the last clone is
/// dropped; everything else is in the [`Cache`](crate::Cache). Where [`RunMeta`] has the tail, it takes no request.
#[derive(Clone)]
pub struct Run {
    inner: Arc<Inner>,
}

struct Inner {
    store: RunStore,
    meta: Arc<RunMeta>,
    name: String,
    key: Key,
    footer: OnceLock<Arc<Footer>>,
}

impl fmt::Debug for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Run").field("meta", &self.inner.meta).finish_non_exhaustive()
    }
}

impl Run {
    pub(crate) fn new(store: RunStore, meta: Arc<RunMeta>) -> Self {
        let name = meta.name.to_string();
        let key = store.key(&name);
        Self { inner: Arc::new(Inner { store, meta, name, key, footer: OnceLock::new() }) }
    }

    /// What is known of it without reading it.
    #[must_use]
    pub fn meta(&self) -> &Arc<RunMeta> {
        &self.inner.meta
    }

    /// What it says of `key`; `None` if nothing. At most three requests, two if its meta has the tail, and none in the usual
    /// case that the key is not there and its filter is in memory.
    ///
    /// # Errors
    /// If the store fails, or the run is damaged or gone.
    pub async fn get(&self, key: &[u8]) -> Result<Option<RunEntry>> {
        let Some(partition) = self.partition_that_may_hold(key).await? else { return Ok(None) };
        let Some((start, end)) = partition.block(partition.block_of(key)) else { return Ok(None) };
        let block = self.block(start, end).await?;
        Ok(self.find(&block, key))
    }

    /// As [`get`](Self::get), if that takes no request; `None` if it would. If the key `is_likely` to be there, its block is
    /// asked before the filter: what the answer costs is the number of places in memory that it touches.
    #[must_use]
    pub fn try_get(&self, key: &[u8], is_likely: bool) -> Option<Option<RunEntry>> {
        if !self.covers(key) {
            return Some(None);
        }
        let footer = self.inner.footer.get()?;
        let Some(place) = footer.partition(footer.partition_of(key)) else { return Some(None) };
        let Part::Partition(partition) = self.cached(place.offset)? else { return None };
        if !is_likely && !partition.may_hold(filter::hash(key)) {
            return Some(None);
        }
        let Some((start, _)) = partition.block(partition.block_of(key)) else { return Some(None) };
        match self.cached(start) {
            Some(Part::Block(block)) => Some(self.find(&block, key)),
            _ if is_likely && !partition.may_hold(filter::hash(key)) => Some(None),
            _ => None,
        }
    }

    /// Whether it may say something of `key`: always if it does, in about one of 250 cases if it does not.
    ///
    /// # Errors
    /// If the store fails, or the run is damaged or gone.
    pub async fn may_hold(&self, key: &[u8]) -> Result<bool> {
        Ok(self.partition_that_may_hold(key).await?.is_some())
    }

    /// The entries whose keys lie in `range`, in order.
    #[must_use]
    pub fn scan(&self, range: (Bound<Bytes>, Bound<Bytes>), options: ScanOptions) -> RunScan {
        RunScan::new(self.clone(), range, options)
    }

    async fn partition_that_may_hold(&self, key: &[u8]) -> Result<Option<Arc<Partition>>> {
        if !self.covers(key) {
            return Ok(None);
        }
        let footer = self.footer().await?;
        let Some(place) = footer.partition(footer.partition_of(key)) else { return Ok(None) };
        let partition = self.partition(place).await?;
        Ok(partition.may_hold(filter::hash(key)).then_some(partition))
    }

    /// Whether `key` lies between the first key and the last one.
    pub(crate) fn covers(&self, key: &[u8]) -> bool {
        let meta = &self.inner.meta;
        *meta.first_key <= *key && *key <= *meta.last_key
    }

    pub(crate) fn find(&self, block: &Block, key: &[u8]) -> Option<RunEntry> {
        block.keys().find(key).map(|index| block.entry(index, self.inner.meta.version))
    }

    pub(crate) fn part_id(&self, offset: u64) -> PartId {
        PartId { run: u128::from_be_bytes(self.inner.meta.footer_hash), offset }
    }

    /// The part that begins at `offset`, if it is in memory.
    pub(crate) fn cached(&self, offset: u64) -> Option<Part> {
        self.inner.store.cache().get(self.part_id(offset))
    }

    pub(crate) fn store(&self) -> &RunStore {
        &self.inner.store
    }

    pub(crate) fn object(&self) -> &Key {
        &self.inner.key
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place { checksums: self.inner.store.checksums(), name: &self.inner.name }
    }

    /// An error about this run.
    pub(crate) fn fault(&self, fault: impl Into<Fault>) -> RunError {
        // If it came from the disk, it is to come from the store when it is asked for again.
        self.store().forget(self);
        fault.into().of_object(self.inner.key.as_str())
    }

    /// The error of a part that is not what it must be.
    pub(crate) fn mixed_up(&self) -> RunError {
        self.fault(Fault::Damaged("the parts of the index contradict each other"))
    }

    /// Whether the footer is in memory.
    pub(crate) fn has_footer(&self) -> bool {
        self.inner.footer.get().is_some() || self.inner.store.cache().peek(self.part_id(FOOTER_PART)).is_some()
    }

    /// The footer and the top index.
    pub(crate) async fn footer(&self) -> Result<&Arc<Footer>> {
        if let Some(footer) = self.inner.footer.get() {
            return Ok(footer);
        }
        let part = match self.cached(FOOTER_PART) {
            Some(part) => part,
            None => self.store().flights().join(self.part_id(FOOTER_PART), self.clone().read_footer()).await?,
        };
        let Part::Footer(footer) = part else { return Err(self.mixed_up()) };
        Ok(self.inner.footer.get_or_init(|| footer))
    }

    /// Reads the end of the object, unless it is known, and keeps what came with it: all partitions if they are few,
    /// everything if the run is short.
    async fn read_footer(self) -> Result<Part> {
        let meta = &self.inner.meta;
        let start = if meta.size_bytes <= WHOLE_RUN_BYTES { 0 } else { meta.footer_offset };
        let bytes = match &meta.tail {
            Some(tail) if start > 0 => tail.clone(),
            _ => self.store().read(&self, start..meta.size_bytes).await?,
        };
        let tail = bytes.slice((meta.footer_offset - start).min(bytes.len() as u64) as usize..);
        let place = self.place();
        if place.checksums.of_part(place.name, meta.footer_offset, &tail) != meta.footer_hash {
            return Err(self.fault(Fault::Damaged("its end is not the one that it was written with")));
        }
        let footer = Footer::decode(place, meta.footer_offset, &tail, meta.size_bytes);
        let footer = footer.map_err(|fault| self.fault(fault))?;
        if (footer.totals.entries, footer.totals.deletions) != (meta.entries, meta.deletions) {
            return Err(self.fault(Fault::Damaged("its footer counts other entries than were written")));
        }
        for partition_place in footer.partitions() {
            if partition_place.offset < start {
                continue;
            }
            let part = slice(&bytes, start, partition_place.offset, partition_place.end());
            let partition = self.decode_partition(*partition_place, part)?;
            if start == 0 {
                for (block_start, block_end) in (0..partition.len()).filter_map(|index| partition.block(index)) {
                    self.decode_block(block_start, slice(&bytes, start, block_start, block_end))?;
                }
            }
        }
        let part = Part::Footer(Arc::new(footer));
        self.store().cache().insert(self.part_id(FOOTER_PART), part.clone());
        Ok(part)
    }

    /// The partition at `place`, from memory or read.
    pub(crate) async fn partition(&self, place: PartitionPlace) -> Result<Arc<Partition>> {
        let part = match self.cached(place.offset) {
            Some(part) => part,
            None => {
                let run = self.clone();
                let read = async move {
                    let bytes = run.store().read(&run, place.offset..place.end()).await?;
                    run.decode_partition(place, &bytes).map(Part::Partition)
                };
                self.store().flights().join(self.part_id(place.offset), read).await?
            }
        };
        let Part::Partition(partition) = part else { return Err(self.mixed_up()) };
        Ok(partition)
    }

    /// Partition `first`, where its blocks are wanted too, and maybe those of the ones behind it up to `last`: if these are short,
    /// all come in one request and go into the cache.
    pub(crate) async fn stretch(&self, footer: &Footer, first: usize, last: usize) -> Result<Option<Arc<Partition>>> {
        let Some(place) = footer.partition(first) else { return Ok(None) };
        let start = place.data_offset;
        if !lies_together(&place, start) || self.cached(place.offset).is_some() {
            return self.partition(place).await.map(Some);
        }
        // What is wanted may begin in the next stretch: then its partition comes along as well.
        let behind = (first + 1..=last)
            .map_while(|index| footer.partition(index))
            .take_while(|place| lies_together(place, start));
        let places: Vec<PartitionPlace> = std::iter::once(place).chain(behind).collect();
        let run = self.clone();
        let read = async move {
            let end = places.last().map_or(start, PartitionPlace::end);
            let bytes = run.store().read(&run, start..end).await?;
            let mut first = None;
            for place in places {
                let part = slice(&bytes, start, place.offset, place.end());
                let partition = run.decode_partition(place, part)?;
                for (block_start, block_end) in (0..partition.len()).filter_map(|index| partition.block(index)) {
                    run.decode_block(block_start, slice(&bytes, start, block_start, block_end))?;
                }
                first.get_or_insert(partition);
            }
            first.map(Part::Partition).ok_or_else(|| run.mixed_up())
        };
        match self.store().flights().join(self.part_id(place.offset), read).await? {
            Part::Partition(partition) => Ok(Some(partition)),
            _ => Err(self.mixed_up()),
        }
    }

    /// The block that lies from `start` to `end`, from memory or read.
    pub(crate) async fn block(&self, start: u64, end: u64) -> Result<Arc<Block>> {
        let part = match self.cached(start) {
            Some(part) => part,
            None => {
                let run = self.clone();
                let read = async move {
                    let bytes = run.store().read(&run, start..end).await?;
                    run.decode_block(start, &bytes).map(Part::Block)
                };
                self.store().flights().join(self.part_id(start), read).await?
            }
        };
        let Part::Block(block) = part else { return Err(self.mixed_up()) };
        Ok(block)
    }

    /// Checks and decodes a partition, and keeps it in the cache.
    pub(crate) fn decode_partition(&self, place: PartitionPlace, part: &[u8]) -> Result<Arc<Partition>> {
        let body = read_part(self.place(), place.offset, PartKind::Partition, part);
        let partition = body.and_then(|body| Ok(Partition::decode(&body)?)).map_err(|fault| self.fault(fault))?;
        if partition.data() != (place.data_offset, place.data_end()) {
            return Err(self.mixed_up());
        }
        let partition = Arc::new(partition);
        self.store().cache().insert(self.part_id(place.offset), Part::Partition(Arc::clone(&partition)));
        Ok(partition)
    }

    /// Checks and decodes a block, and keeps it in the cache.
    pub(crate) fn decode_block(&self, offset: u64, part: &[u8]) -> Result<Arc<Block>> {
        let block = Arc::new(self.decode_block_only(offset, part)?);
        self.store().cache().insert(self.part_id(offset), Part::Block(Arc::clone(&block)));
        Ok(block)
    }

    /// Checks and decodes a block.
    pub(crate) fn decode_block_only(&self, offset: u64, part: &[u8]) -> Result<Block> {
        let body = read_part(self.place(), offset, PartKind::Block, part);
        let block = body.and_then(|body| Ok(Block::decode(&body, part.len() as u64)?));
        block.map_err(|fault| self.fault(fault))
    }
}

/// Whether a partition stands right behind its blocks, and ends little behind `start`: worth one request.
pub(crate) fn lies_together(place: &PartitionPlace, start: u64) -> bool {
    place.offset == place.data_end() && place.end() - start <= STRETCH_BYTES
}

/// What of `bytes`, which begin at `base` of the object, lies from `start` to `end` of the object; empty if not all of it
/// is there, which no part is.
pub(crate) fn slice(bytes: &[u8], base: u64, start: u64, end: u64) -> &[u8] {
    let range = start.checked_sub(base).zip(end.checked_sub(base));
    range.and_then(|(start, end)| bytes.get(start as usize..end as usize)).unwrap_or_default()
}
