use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::block::Block;
use crate::cache::Part;
use crate::error::Fault;
use crate::footer::Footer;
use crate::format::{PART_HEADER_BYTES, PartHeader};
use crate::partition::Partition;
use crate::window::Window;
use crate::{Result, Run, RunEntry, Stretch};

/// In which order keys are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the least to the greatest.
    #[default]
    Forward,
    /// From the greatest to the least.
    Reverse,
}

/// How a run is scanned.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// The order.
    pub direction: Direction,
    /// How much a request for data asks for at most, in bytes. The first one asks for
    /// [`FIRST_REQUEST_BYTES`](Self::FIRST_REQUEST_BYTES), the second one for
    /// [`SECOND_REQUEST_BYTES`](Self::SECOND_REQUEST_BYTES), each further one for twice as much as the one before it.
    /// From the third one on, a request is made when half of what the one before it brought is
    /// used up, so up to twice as much as this is in memory.
    pub read_ahead_bytes: u64,
    /// Whether what is read is kept in the cache. Without it, a scan of everything drives out nothing.
    pub fill_cache: bool,
}

impl ScanOptions {
    /// How much the first request for data asks for, in bytes: the block in which a scan begins and the two behind it, if they
    /// have the usual size and do not compress, so that a hundred rows of 1 KB come at once wherever in a block they begin.
    pub const FIRST_REQUEST_BYTES: u64 = 208 << 10;

    /// How much the second one asks for, in bytes.
    pub const SECOND_REQUEST_BYTES: u64 = 288 << 10;
}

impl Default for ScanOptions {
    /// Forward, 4 MiB, filling the cache.
    fn default() -> Self {
        Self { direction: Direction::Forward, read_ahead_bytes: 4 << 20, fill_cache: true }
    }
}

/// A scan of a stretch of a run.
///
/// [`next`](Self::next) gives one entry after the other. Where that is too slow, take those of the block in memory with
/// [`next_loaded`](Self::next_loaded), and [`load`](Self::load) the next block when there are no more.
#[derive(Debug)]
pub struct RunScan {
    run: Run,
    from: Bound<Bytes>,
    to: Bound<Bytes>,
    options: ScanOptions,
    /// The block whose entries come next, and which of them are still to come.
    block: Option<Arc<Block>>,
    entries: std::ops::Range<usize>,
    place: Option<Place>,
    /// Boxed because scans are kept in enums beside small things.
    window: Box<Window>,
}

/// Where a scan is.
#[derive(Debug)]
enum Place {
    /// Before the part at `offset`; blocks from `end` on are of no interest.
    Forward { offset: u64, end: u64 },
    /// Behind block `blocks.end - 1` of a partition; its blocks before `blocks.start` are of no interest.
    Reverse { index: usize, partition: Arc<Partition>, blocks: std::ops::Range<usize> },
    /// At the end.
    End,
}

impl RunScan {
    pub(crate) fn new(run: Run, (from, to): (Bound<Bytes>, Bound<Bytes>), options: ScanOptions) -> Self {
        let window = Box::new(Window::new(options.read_ahead_bytes));
        Self { run, from, to, options, block: None, entries: 0..0, place: None, window }
    }

    /// In which order it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.options.direction
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// If the store fails, or the run is damaged or gone. The scan stays where it was, and may be asked again.
    pub async fn next(&mut self) -> Result<Option<RunEntry>> {
        loop {
            if let Some(entry) = self.next_loaded() {
                return Ok(Some(entry));
            }
            if !self.load().await? {
                return Ok(None);
            }
        }
    }

    /// The next entry of the block in memory; `None` if it has no more, which need not be the end.
    #[inline]
    pub fn next_loaded(&mut self) -> Option<RunEntry> {
        let index = match self.options.direction {
            Direction::Forward => self.entries.next()?,
            Direction::Reverse => self.entries.next_back()?,
        };
        let version = self.run.meta().version;
        self.block.as_ref().map(|block| block.entry(index, version))
    }

    /// The entries that [`next_loaded`](Self::next_loaded) would give, all at once; of a key below `before` only, if it says
    /// so. `None` if there are none, and in a scan from the greatest key to the least.
    pub fn take_loaded(&mut self, before: Option<&[u8]>) -> Option<Stretch> {
        self.take_from(self.entries.start, self.entries.end, before)
    }

    /// The entry that [`next_loaded`](Self::next_loaded) gave last, together with those that it would give next, but for the
    /// last of them, so that it still has one to give; of a key below `before` only, if it says so. `None` if there are
    /// none, and in a scan from the greatest key to the least.
    pub fn take_with_last(&mut self, before: Option<&[u8]>) -> Option<Stretch> {
        let end = self.entries.clone().next_back()?;
        self.take_from(self.entries.start.checked_sub(1)?, end, before)
    }

    fn take_from(&mut self, start: usize, end: usize, before: Option<&[u8]>) -> Option<Stretch> {
        let block = self.block.as_ref().filter(|_| self.options.direction == Direction::Forward)?;
        let end = before.map_or(end, |key| end.min(block.keys().lower_bound(key)));
        if end <= start {
            return None;
        }
        self.entries.start = end;
        Some(Stretch::new(block.clone(), start..end, self.run.meta().version))
    }

    /// Whether [`next_loaded`](Self::next_loaded) would give an entry.
    #[must_use]
    pub fn has_loaded(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Brings the next block into memory. False at the end.
    ///
    /// What is left of the block before it is passed over.
    ///
    /// # Errors
    /// If the store fails, or the run is damaged or gone. The scan stays where it was, and may be asked again.
    pub async fn load(&mut self) -> Result<bool> {
        self.entries = 0..0;
        loop {
            let block = match &self.place {
                None => {
                    self.place = Some(self.begin().await?);
                    continue;
                }
                Some(Place::End) => None,
                Some(Place::Forward { offset, end }) => self.next_block(*offset, *end).await?,
                Some(Place::Reverse { .. }) => self.previous_block().await?,
            };
            let Some(block) = block else {
                self.block = None;
                self.end();
                return Ok(false);
            };
            let start = match &self.from {
                Bound::Unbounded => 0,
                Bound::Included(key) => block.keys().lower_bound(key),
                Bound::Excluded(key) => behind(&block, key),
            };
            let end = match &self.to {
                Bound::Unbounded => block.len(),
                Bound::Included(key) => behind(&block, key),
                Bound::Excluded(key) => block.keys().lower_bound(key),
            };
            let is_last = match self.options.direction {
                Direction::Forward => end < block.len(),
                Direction::Reverse => start > 0,
            };
            self.block = Some(block);
            if is_last {
                self.end();
            } else {
                self.read_ahead();
            }
            if start < end {
                self.entries = start..end;
                return Ok(true);
            }
        }
    }

    fn end(&mut self) {
        self.place = Some(Place::End);
        self.window.close();
    }

    /// Where to begin.
    async fn begin(&self) -> Result<Place> {
        let meta = self.run.meta();
        let nothing = match (&self.from, &self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
            _ => false,
        };
        let before = matches!(&self.to, Bound::Included(key) | Bound::Excluded(key) if *key < meta.first_key);
        let behind = matches!(&self.from, Bound::Included(key) | Bound::Excluded(key) if *key > meta.last_key);
        if nothing || before || behind {
            return Ok(Place::End);
        }
        let run = self.run.clone();
        let footer = run.footer().await?;
        match self.options.direction {
            Direction::Forward => self.begin_forward(footer).await,
            Direction::Reverse => self.begin_reverse(footer).await,
        }
    }

    async fn begin_forward(&self, footer: &Footer) -> Result<Place> {
        let last = footer.len().saturating_sub(1);
        let mut offset = footer.partition(0).map_or(0, |place| place.data_offset);
        let mut first = None;
        if let Bound::Included(key) | Bound::Excluded(key) = &self.from
            && *key > self.run.meta().first_key
        {
            let index = footer.partition_of(key);
            let Some(place) = footer.partition(index) else { return Ok(Place::End) };
            let to = match &self.to {
                Bound::Included(key) | Bound::Excluded(key) => footer.partition_of(key).min(last),
                Bound::Unbounded => index,
            };
            let Some(partition) = self.partition(footer, index, to).await? else { return Ok(Place::End) };
            offset = partition.block(partition.block_of(key)).map_or(place.data_end(), |(start, _)| start);
            first = Some((index, partition));
        }
        let mut end = footer.partition(last).map_or(0, |place| place.data_end());
        if let Bound::Included(key) | Bound::Excluded(key) = &self.to
            && let index = footer.partition_of(key)
            && let Some(place) = footer.partition(index)
        {
            // Where exactly it ends is told by the index of its partition, if that is at hand. It is not worth a request.
            let partition = match (first, self.run.store().cache().peek(self.run.part_id(place.offset))) {
                (Some((first, partition)), _) if first == index => Some(partition),
                (_, Some(Part::Partition(partition))) => Some(partition),
                _ => None,
            };
            let block = partition.and_then(|partition| partition.block(partition.block_of(key)));
            end = block.map_or(place.data_end(), |(_, end)| end);
        }
        Ok(Place::Forward { offset, end })
    }

    /// Partition `index`, with its blocks and maybe those up to `last` where that takes no request more. Not if the cache is to
    /// be left alone: they would be read once more.
    async fn partition(&self, footer: &Footer, index: usize, last: usize) -> Result<Option<Arc<Partition>>> {
        if self.options.fill_cache {
            return self.run.stretch(footer, index, last).await;
        }
        match footer.partition(index) {
            Some(place) => self.run.partition(place).await.map(Some),
            None => Ok(None),
        }
    }

    async fn begin_reverse(&self, footer: &Footer) -> Result<Place> {
        let last = footer.len().saturating_sub(1);
        let index = match &self.to {
            Bound::Included(key) | Bound::Excluded(key) => footer.partition_of(key).min(last),
            Bound::Unbounded => last,
        };
        self.reverse_from(footer, index).await
    }

    /// The place behind all blocks of partition `index` that are of interest.
    async fn reverse_from(&self, footer: &Footer, index: usize) -> Result<Place> {
        let Some(partition) = self.partition(footer, index, index).await? else { return Ok(Place::End) };
        let start = match &self.from {
            Bound::Included(key) | Bound::Excluded(key) => partition.block_of(key),
            Bound::Unbounded => 0,
        };
        let end = match &self.to {
            Bound::Included(key) | Bound::Excluded(key) => (partition.block_of(key) + 1).min(partition.len()),
            Bound::Unbounded => partition.len(),
        };
        Ok(Place::Reverse { index, partition, blocks: start..end })
    }

    /// The first block at or behind `offset`, if it begins before `end`.
    async fn next_block(&mut self, mut offset: u64, end: u64) -> Result<Option<Arc<Block>>> {
        let run = self.run.clone();
        let footer = run.footer().await?;
        // Between the blocks of two partitions there may be partitions.
        match footer.partition(footer.partition_at(offset)) {
            Some(place) => offset = offset.max(place.data_offset),
            None => return Ok(None),
        }
        if offset >= end {
            return Ok(None);
        }
        let block = match self.cached_block(offset)? {
            Some(block) => block,
            None => {
                self.window.fill_behind(&run, offset, PART_HEADER_BYTES as u64, end).await?;
                let header = PartHeader::peek(self.window.behind(offset));
                let part_bytes = header.map_err(|fault| self.run.fault(fault))?.part_bytes() as u64;
                if part_bytes > end - offset {
                    return Err(self.run.fault(Fault::Damaged("a block is longer than what is left")));
                }
                self.window.fill_behind(&run, offset, part_bytes, end).await?;
                self.decode(offset, self.window.part(offset, offset + part_bytes))?
            }
        };
        self.place = Some(Place::Forward { offset: offset + block.part_bytes(), end });
        Ok(Some(block))
    }

    /// The last block of interest before the place where the scan is.
    async fn previous_block(&mut self) -> Result<Option<Arc<Block>>> {
        loop {
            let Some(Place::Reverse { index, partition, blocks }) = &self.place else { return Ok(None) };
            let Some(number) = blocks.clone().next_back() else {
                let Some(before) = index.checked_sub(1).filter(|_| blocks.start == 0) else { return Ok(None) };
                let run = self.run.clone();
                self.place = Some(self.reverse_from(run.footer().await?, before).await?);
                continue;
            };
            let (index, partition, first) = (*index, Arc::clone(partition), blocks.start);
            let Some((start, end)) = partition.block(number) else { return Err(self.run.mixed_up()) };
            let block = match self.cached_block(start)? {
                Some(block) => block,
                None => {
                    if self.window.part(start, end).is_empty() {
                        let from = self.request_start(&partition, first..number, start, end);
                        self.window.fill_before(&self.run, from, start, end).await?;
                    }
                    self.decode(start, self.window.part(start, end))?
                }
            };
            self.place = Some(Place::Reverse { index, partition, blocks: first..number });
            return Ok(Some(block));
        }
    }

    /// Where a request begins that ends at `end` and is for whole blocks: what lies behind `start`, and of `blocks`, which
    /// lie before it, as many as are read at once.
    fn request_start(&self, partition: &Partition, blocks: std::ops::Range<usize>, start: u64, end: u64) -> u64 {
        let wanted = self.window.request_start(end);
        let mut starts = blocks.filter_map(|number| partition.block(number)).map(|(start, _)| start);
        starts.find(|other| *other >= wanted).unwrap_or(start)
    }

    /// Has the stretch read that comes after what is in memory, if it is time to, unless the cache has its first block.
    fn read_ahead(&mut self) {
        match &self.place {
            Some(Place::Forward { offset, end }) => {
                let (mut offset, end) = (*offset, *end);
                if !self.window.take(offset, self.window.end().saturating_sub(offset)) {
                    return;
                }
                while let Ok(header) = PartHeader::peek(self.window.behind(offset))
                    && offset + header.part_bytes() as u64 <= self.window.end()
                {
                    offset += header.part_bytes() as u64;
                }
                if !self.is_cached(offset) {
                    self.window.read_on(&self.run, end);
                }
            }
            Some(Place::Reverse { partition, blocks, .. }) => {
                let window_start = self.window.start();
                let Some((offset, _)) = partition.block(blocks.end) else { return };
                if !self.window.take(offset, offset.saturating_sub(window_start)) {
                    return;
                }
                let ends_here = |number: &usize| partition.block(*number).is_some_and(|(_, end)| end == window_start);
                let Some(last) = blocks.clone().rev().find(ends_here) else { return };
                let Some((start, end)) = partition.block(last) else { return };
                if !self.is_cached(start) {
                    let from = self.request_start(partition, blocks.start..last, start, end);
                    self.window.read_back(&self.run, from);
                }
            }
            Some(Place::End) | None => {}
        }
    }

    fn is_cached(&self, offset: u64) -> bool {
        matches!(self.run.store().cache().peek(self.run.part_id(offset)), Some(Part::Block(_)))
    }

    fn cached_block(&self, offset: u64) -> Result<Option<Arc<Block>>> {
        let cache = self.run.store().cache();
        let id = self.run.part_id(offset);
        match if self.options.fill_cache { cache.get(id) } else { cache.peek(id) } {
            Some(Part::Block(block)) => Ok(Some(block)),
            Some(_) => Err(self.run.mixed_up()),
            None => Ok(None),
        }
    }

    fn decode(&self, offset: u64, part: &[u8]) -> Result<Arc<Block>> {
        if self.options.fill_cache {
            self.run.decode_block(offset, part)
        } else {
            self.run.decode_block_only(offset, part).map(Arc::new)
        }
    }
}

/// The first entry behind `key`.
fn behind(block: &Block, key: &[u8]) -> usize {
    let index = block.keys().lower_bound(key);
    if index < block.len() && block.keys().key(index) == key { index + 1 } else { index }
}
