//! What was read of runs, in memory.
//!
//! The table is `quick_cache`: it starts no thread, reads no clock when nobody waits in it, and takes a hasher and a number
//! of shards from here, so the same requests always find the same parts. Point reads of 16,384 blocks of 64 KiB by
//! `choices-bench caches` (`benches/choices`), on a machine of two processors that was busy with other things, in processor
//! time a read; what is not there is inserted; the last three columns are with room for a quarter of the blocks:
//!
//! | cache | reads | all there, ns | two threads, ns | room for a quarter: there | ns | two threads, ns |
//! |---|---|---|---|---|---|---|
//! | quick_cache | uniform | 208 | 185 | 24.9 % | 257 | 283 |
//! | quick_cache | Zipf | 149 | 167 | 84.0 % | 154 | 155 |
//! | foyer-memory, LRU | uniform | 646 | 661 | 25.0 % | 502 | 443 |
//! | foyer-memory, LRU | Zipf | 323 | 381 | 79.7 % | 376 | 344 |
//! | foyer-memory, S3-FIFO | uniform | 354 | 422 | 24.9 % | 509 | 466 |
//! | foyer-memory, S3-FIFO | Zipf | 315 | 365 | 83.2 % | 304 | 298 |
//! | moka | uniform | 830 | 953 | 25.1 % | 1566 | 2097 |
//! | moka | Zipf | 475 | 480 | 82.5 % | 653 | 721 |
//!
//! It finds the most under Zipf's law and takes the least time. What `moka` keeps depends on a clock of its own besides, which a
//! simulation could not repeat. Behind it may stand the one on disk, in `RunStore::read`; `disk_cache.rs` says why that is not
//! `foyer`.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache as Inner;
use quick_cache::{OptionsBuilder, Weighter};

use crate::block::Block;
use crate::footer::Footer;
use crate::partition::Partition;

/// About how many bytes a part takes: the cache makes room in its tables for as many as fit.
const USUAL_PART_BYTES: u64 = 32 << 10;

/// A shard holds this many bytes at least, so that the longest blocks fit as well.
const MIN_SHARD_BYTES: u64 = 32 << 20;

/// More shards than this gain nothing on machines that run databases.
const MAX_SHARDS: u64 = 16;

/// What an entry takes beside its value: key, links and hash table, in bytes.
const ENTRY_BYTES: usize = 64;

/// Keeps decoded parts of runs in memory, up to a number of bytes, for any number of databases. Clones share it.
///
/// It starts no thread and reads no clock, and the same requests in the same order always find the same parts in it, so
/// that a simulation can be repeated.
#[derive(Clone)]
pub struct Cache {
    parts: Arc<Inner<PartId, Part, Weight, FixedHasher>>,
}

/// Which part of which run. Runs are told apart by the hashes of their footers, over their whole names: a machine that was
/// copied draws the random part of a name that its copy draws too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartId {
    pub(crate) run: u128,
    /// Where it begins in the object; [`u64::MAX`] for the footer and top index.
    pub(crate) offset: u64,
}

/// A part of a run, checked and decoded.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Footer(Arc<Footer>),
    Partition(Arc<Partition>),
    Block(Arc<Block>),
}

impl Cache {
    /// A cache for `bytes` bytes of memory. Zero keeps nothing.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let shards = (bytes / MIN_SHARD_BYTES).clamp(1, MAX_SHARDS);
        let shards = if shards.is_power_of_two() { shards } else { shards.next_power_of_two() / 2 };
        let items = (bytes / USUAL_PART_BYTES).max(64) as usize;
        let mut options = OptionsBuilder::new();
        options.shards(shards as usize).estimated_items_capacity(items).weight_capacity(bytes.max(1));
        #[expect(clippy::expect_used, reason = "building fails only without the two capacities, which are given")]
        let options = options.build().expect("both capacities are given");
        Self { parts: Arc::new(Inner::with_options(options, Weight, FixedHasher, Default::default())) }
    }

    /// How many bytes it holds at the moment.
    #[must_use]
    pub fn usage(&self) -> u64 {
        self.parts.weight()
    }

    /// How many bytes it may hold.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.parts.capacity()
    }

    /// A part, as one that is used.
    #[inline]
    pub(crate) fn get(&self, id: PartId) -> Option<Part> {
        self.parts.get(&id)
    }

    /// A part, without a note that it was used: a scan is no reason to keep it.
    pub(crate) fn peek(&self, id: PartId) -> Option<Part> {
        self.parts.peek(&id)
    }

    pub(crate) fn insert(&self, id: PartId, part: Part) {
        self.parts.insert(id, part);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (usage, capacity) = (self.usage(), self.capacity());
        formatter.debug_struct("Cache").field("usage", &usage).field("capacity", &capacity).finish()
    }
}

/// Weighs parts by the memory that they take, in bytes.
#[derive(Clone, Debug)]
struct Weight;

impl Weighter<PartId, Part> for Weight {
    fn weight(&self, _: &PartId, part: &Part) -> u64 {
        let bytes = match part {
            Part::Footer(footer) => footer.memory_bytes(),
            Part::Partition(partition) => partition.memory_bytes(),
            Part::Block(block) => block.memory_bytes(),
        };
        (bytes + ENTRY_BYTES) as u64
    }
}

/// Hashes part ids the same way in every process. Run ids are random already, and nobody chooses offsets.
#[derive(Clone, Debug)]
struct FixedHasher;

impl BuildHasher for FixedHasher {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold(0)
    }
}

/// Folds numbers by multiplication.
struct Fold(u64);

impl Fold {
    /// 2^64 divided by the golden ratio: an odd number without a pattern.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * u128::from(Self::FACTOR);
        self.0 = ((product >> 64) as u64) ^ (product as u64);
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(((number >> 64) as u64) ^ (number as u64));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
