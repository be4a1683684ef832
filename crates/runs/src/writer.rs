use std::sync::Arc;

use bucketdb_driver::{Condition, Key};
use bucketdb_log::{Seq, put_new};
use bytes::Bytes;

use crate::block::BlockBuilder;
use crate::footer::{FooterBuilder, Totals, put_fixed};
use crate::format::{
    FOOTER_BYTES, MAX_HELD_BACK_BYTES, MAX_KEY_BYTES, MAX_KNOWN_PARTITIONS_BYTES, MAX_KNOWN_TAIL_BYTES, MAX_ROW_BYTES,
    MAX_TAIL_BYTES, PartKind, Place, SHORT_PARTITION_BYTES, STRETCH_BYTES, WHOLE_RUN_BYTES, put_part,
};
use crate::partition::PartitionBuilder;
use crate::separator::between;
use crate::upload::Upload;
use crate::{Result, RunError, RunMeta, RunName, RunStore};

/// A run shorter than this is put in one request, which can be repeated; a longer one goes out as it is written.
const MAX_SINGLE_PUT_BYTES: usize = 8 << 20;

/// The pieces in which a long run goes out are this long at least, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Of a key that is longer, in bytes, an index has no more than parts it from the next one.
const LONG_KEY_BYTES: usize = 128;

/// So many bytes a partition has at least that ends because what follows is of another kind: with less, and half the keys
/// of a full one in short entries behind it, it comes in one request.
const DIVIDED_BYTES: u64 = STRETCH_BYTES / 4;

/// How a run is written.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// How long a block is before compression, in bytes; one that holds a single longer entry is longer. A point read
    /// moves about one block.
    pub block_bytes: usize,
}

impl Default for RunOptions {
    /// Blocks of 64 KiB.
    fn default() -> Self {
        Self { block_bytes: 64 << 10 }
    }
}

/// Writes a run.
///
/// A run up to 8 MiB is gathered and put in one request. A longer one goes out while it is written, by a task of the
/// environment, so that some 12 MiB of it are in memory at most, beside what the driver holds. A writer that is dropped
/// before [`finish`](Self::finish) leaves nothing that can be seen, or at worst an object that nobody refers to.
#[derive(Debug)]
pub struct RunWriter {
    store: RunStore,
    name: RunName,
    name_text: String,
    key: Key,
    options: RunOptions,
    block: BlockBuilder,
    partition: PartitionBuilder,
    footer: FooterBuilder,
    /// Partitions that are held back, with their numbers.
    held_back: Vec<(usize, Vec<u8>)>,
    held_back_bytes: usize,
    /// Whether some went out already, so that nothing can lie together any more.
    is_long: bool,
    body: Vec<u8>,
    /// What was written and not handed over yet; it begins at `sent_bytes` of the object.
    out: Vec<u8>,
    sent_bytes: u64,
    upload: Option<Upload>,
    /// Whether a block was compressed since others could go on.
    is_busy: bool,
    totals: Totals,
    first_key: Bytes,
    last_key: Vec<u8>,
}

impl RunWriter {
    pub(crate) fn new(store: RunStore, name: RunName, options: RunOptions) -> Self {
        let name_text = name.to_string();
        let key = store.key(&name_text);
        Self {
            store,
            name,
            name_text,
            key,
            options,
            block: BlockBuilder::default(),
            partition: PartitionBuilder::default(),
            footer: FooterBuilder::default(),
            held_back: Vec::new(),
            held_back_bytes: 0,
            is_long: false,
            body: Vec::new(),
            out: Vec::new(),
            sent_bytes: 0,
            upload: None,
            is_busy: false,
            totals: Totals::default(),
            first_key: Bytes::new(),
            last_key: Vec::new(),
        }
    }

    pub(crate) fn store(&self) -> &RunStore {
        &self.store
    }

    /// The name that the run will have.
    #[must_use]
    pub fn name(&self) -> RunName {
        self.name
    }

    /// How many bytes were written so far, compressed, without those of the block that is not full yet.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.sent_bytes + self.out.len() as u64
    }

    /// Adds an entry: a row, or `None` for a deletion. Waits if the store does not keep up.
    ///
    /// The future may be dropped: the entry has then been added.
    ///
    /// # Errors
    /// As [`push`](Self::push); otherwise if the store failed: the run cannot be finished any more.
    pub async fn add(&mut self, key: &[u8], seq: Seq, row: Option<&[u8]>) -> Result<()> {
        self.push(key, seq, row)?;
        self.hand_over().await
    }

    /// Adds an entry without waiting: for rows that come one right behind the other. [`hand_over`](Self::hand_over) is due
    /// once [`is_waiting`](Self::is_waiting).
    ///
    /// # Errors
    /// [`RunError::OutOfOrder`] if `key` is not greater than the one before, [`RunError::TooLong`] if key or row are;
    /// nothing was added then.
    pub fn push(&mut self, key: &[u8], seq: Seq, row: Option<&[u8]>) -> Result<()> {
        check_length("key", key, MAX_KEY_BYTES)?;
        check_length("row", row.unwrap_or_default(), MAX_ROW_BYTES)?;
        if self.totals.entries == 0 {
            self.first_key = Bytes::copy_from_slice(key);
        } else if *key <= *self.last_key {
            return Err(RunError::OutOfOrder);
        }
        let entry_bytes = key.len() + row.map_or(0, <[u8]>::len);
        if !self.block.is_empty() && self.block.size_bytes() + entry_bytes > self.options.block_bytes {
            self.end_block(Some(key));
        }
        self.block.add(key, seq, row);
        self.partition.add_key(key);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.totals.entries += 1;
        match row {
            Some(_) => self.totals.live_bytes += entry_bytes as u64,
            None => self.totals.deletions += 1,
        }
        Ok(())
    }

    /// Says that what follows is of another kind than what was added last, and is read for itself: a partition ends here if it
    /// is of some length. Entries that are short would otherwise lie behind long ones in one that does not come in one request.
    pub fn divide(&mut self) {
        let data_bytes = self.partition.data().1 + self.block.size_bytes() as u64;
        if !self.block.is_empty() && data_bytes >= DIVIDED_BYTES {
            self.end_block(None);
            self.end_partition();
        }
    }

    /// Whether so much was written that [`hand_over`](Self::hand_over) is due.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_busy || self.has_piece()
    }

    fn has_piece(&self) -> bool {
        let least = if self.upload.is_some() { PIECE_BYTES } else { MAX_SINGLE_PUT_BYTES };
        self.out.len() >= least
    }

    /// Hands what was written over to the store if it is worth a request; waits if the store does not keep up. After each
    /// block other tasks may go on: who writes a run does so for long, and seldom waits.
    ///
    /// # Errors
    /// If the store failed: the run cannot be finished any more.
    pub async fn hand_over(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_busy) {
            bucketdb_env::yield_now().await;
        }
        if self.has_piece() { self.send(PIECE_BYTES).await } else { Ok(()) }
    }

    /// Writes what is left and waits until the object is there. Without entries there is nothing to write, and no run.
    ///
    /// # Errors
    /// If the store failed. The object may exist all the same.
    pub async fn finish(mut self) -> Result<Option<RunMeta>> {
        if self.totals.entries == 0 {
            return Ok(None);
        }
        self.end_block(None);
        self.end_partition();
        // Those that were held back become part of the tail.
        let longest = if self.held_back.is_empty() { MAX_KNOWN_TAIL_BYTES } else { MAX_KNOWN_PARTITIONS_BYTES };
        let footer_offset = self.end_run();
        let size_bytes = self.bytes_written();
        let tail = self.out.get((footer_offset - self.sent_bytes) as usize..).unwrap_or_default();
        let footer_hash = self.store.checksums().of_part(&self.name_text, footer_offset, tail);
        // Of a short run, everything comes with the first read.
        let is_kept = size_bytes > WHOLE_RUN_BYTES && tail.len() <= longest;
        let tail = is_kept.then(|| Bytes::copy_from_slice(tail));
        self.send(1).await?;
        match self.upload.take() {
            Some(upload) => upload.finish().await?,
            None => {
                let (driver, body) = (self.store.driver(), Bytes::from(std::mem::take(&mut self.out)));
                put_new(&**driver, &**self.store.env(), &self.key, &body, self.store.is_create_only()).await?;
            }
        }
        Ok(Some(RunMeta {
            name: self.name,
            size_bytes,
            entries: self.totals.entries,
            deletions: self.totals.deletions,
            live_bytes: self.totals.live_bytes,
            first_key: self.first_key,
            last_key: self.last_key.into(),
            footer_offset,
            footer_hash,
            version: None,
            tail,
        }))
    }

    /// Writes the block, and the partition if it is full. `next` is the key behind it.
    fn end_block(&mut self, next: Option<&[u8]>) {
        let last = self.block.last_key();
        // What lies between the last key and the separator is looked for here first, in vain: so a scan of what begins with
        // something, which is where a short separator would be, might take a request too many.
        let separator = next.filter(|_| last.len() > LONG_KEY_BYTES).map_or(last, |next| between(last, next)).to_vec();
        self.block.finish(&mut self.body);
        let (offset, part_bytes) = self.put(PartKind::Block, None);
        self.partition.add_block(&separator, offset, part_bytes);
        self.is_busy = true;
        if self.partition.is_full(self.options.block_bytes) {
            self.end_partition();
        }
    }

    /// Holds the partition back, or writes it if too much would be held back, or if it and its blocks are read at once.
    fn end_partition(&mut self) {
        if self.partition.is_empty() {
            return;
        }
        let data = self.partition.data();
        let number = self.footer.add(self.partition.last_separator(), data);
        let body = self.partition.finish();
        // A short one comes with the tail wherever the run is named.
        let is_short = body.len() <= SHORT_PARTITION_BYTES;
        if !is_short && data.1 + body.len() as u64 <= STRETCH_BYTES {
            let (offset, part_bytes) = self.put(PartKind::Partition, Some(&body));
            self.footer.place(number, offset, part_bytes);
            return;
        }
        self.held_back_bytes += body.len();
        self.held_back.push((number, body));
        if self.is_long || self.held_back_bytes > MAX_HELD_BACK_BYTES {
            self.is_long = true;
            self.put_partitions();
        }
    }

    fn put_partitions(&mut self) {
        for (number, body) in std::mem::take(&mut self.held_back) {
            let (offset, part_bytes) = self.put(PartKind::Partition, Some(&body));
            self.footer.place(number, offset, part_bytes);
        }
        self.held_back_bytes = 0;
    }

    /// Writes what stands behind the blocks. Returns where that begins which is read first.
    fn end_run(&mut self) -> u64 {
        let start = self.bytes_written();
        self.put_partitions();
        let (top_offset, _) = {
            let top = self.footer.top();
            self.put(PartKind::TopIndex, Some(&top))
        };
        let footer_offset = self.bytes_written();
        self.totals.size_bytes = footer_offset + FOOTER_BYTES as u64;
        let place = Place { checksums: self.store.checksums(), name: &self.name_text };
        put_fixed(place, footer_offset, top_offset, self.totals, &mut self.out);
        let lies_together = !self.is_long && self.bytes_written() - start <= MAX_TAIL_BYTES as u64;
        if lies_together { start } else { top_offset }
    }

    /// Writes a part with this body, or the one that was prepared. Returns its offset and size.
    fn put(&mut self, kind: PartKind, body: Option<&[u8]>) -> (u64, u64) {
        let offset = self.bytes_written();
        let place = Place { checksums: self.store.checksums(), name: &self.name_text };
        let part_bytes = put_part(place, self.sent_bytes, kind, body.unwrap_or(&self.body), &mut self.out);
        (offset, part_bytes)
    }

    /// Hands over what was written if it is `least` bytes, once the run is too long for one request.
    async fn send(&mut self, least: usize) -> Result<()> {
        if self.out.len() >= MAX_SINGLE_PUT_BYTES && self.upload.is_none() {
            let driver = Arc::clone(self.store.driver());
            let condition = if self.store.is_create_only() { Condition::IfAbsent } else { Condition::Always };
            self.upload = Some(Upload::begin(driver, &**self.store.env(), self.key.clone(), condition));
        }
        if let Some(upload) = &mut self.upload
            && self.out.len() >= least
        {
            upload.ready().await?;
            let piece = Bytes::from(std::mem::take(&mut self.out));
            self.sent_bytes += piece.len() as u64;
            upload.send(piece).await?;
        }
        Ok(())
    }
}

fn check_length(what: &'static str, bytes: &[u8], limit_bytes: usize) -> Result<()> {
    if bytes.len() <= limit_bytes {
        return Ok(());
    }
    Err(RunError::TooLong { what, size_bytes: bytes.len(), limit_bytes })
}

#[cfg(test)]
mod tests {
    use bucketdb_driver::MemoryDriver;
    use bucketdb_env::TokioEnvironment;
    use bucketdb_log::{DatabaseId, Layout};

    use super::*;
    use crate::Cache;

    #[tokio::test]
    async fn what_begins_with_something_is_looked_for_where_its_first_key_is() {
        let env = Arc::new(TokioEnvironment::new());
        let driver = Arc::new(MemoryDriver::new());
        let store = RunStore::new(driver, env, Layout::new("").unwrap(), DatabaseId([7; 16]), Cache::new(1 << 20));
        let mut writer = store.writer(Seq(1), RunOptions::default());
        // One key a beginning, so that wherever a partition ends, another beginning follows.
        let key = |number: u64, end: &str| Bytes::from(format!("city/{number:08}{end}"));
        let first_key = |number: u64| key(number, "/somebody");
        for number in 0..60_000 {
            writer.add(&first_key(number), Seq(1), Some(b"row")).await.unwrap();
        }
        let run = store.open(Arc::new(writer.finish().await.unwrap().unwrap()));
        let footer = run.footer().await.unwrap();
        let place_of = |key: &Bytes| footer.partition_of(key);
        let places: Vec<_> = (0..60_000).map(|number| place_of(&first_key(number))).collect();
        assert!(places.first() != places.last());
        for (number, place) in (0..).zip(places) {
            assert_eq!(place_of(&key(number, "")), place, "{number}");
        }
    }
}
