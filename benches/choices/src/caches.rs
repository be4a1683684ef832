use std::collections::hash_map::RandomState;
use std::sync::Arc;
use std::time::Duration;

use crate::used;

/// Which block of which run.
type Id = (u128, u64);

/// What a block takes in memory, in bytes, as its cache is told.
const BLOCK_BYTES: u32 = 64 << 10;

/// How many blocks there are.
const BLOCKS: u64 = 16 << 10;

/// How many reads each thread makes, once with no measure taken and once with one.
const READS: usize = 1 << 19;

trait Cache: Clone + Send + 'static {
    fn new(blocks: u64) -> Self;
    fn get(&self, id: &Id) -> Option<Arc<u64>>;
    fn insert(&self, id: Id, block: Arc<u64>);
}

#[derive(Clone)]
struct Weight;

impl quick_cache::Weighter<Id, Arc<u64>> for Weight {
    fn weight(&self, _: &Id, _: &Arc<u64>) -> u64 {
        u64::from(BLOCK_BYTES)
    }
}

type Quick = Arc<quick_cache::sync::Cache<Id, Arc<u64>, Weight, RandomState>>;

impl Cache for Quick {
    fn new(blocks: u64) -> Self {
        let mut options = quick_cache::OptionsBuilder::new();
        options.shards(16).estimated_items_capacity(blocks as usize).weight_capacity(blocks * u64::from(BLOCK_BYTES));
        let options = options.build().expect("both capacities are given");
        Arc::new(quick_cache::sync::Cache::with_options(options, Weight, RandomState::new(), Default::default()))
    }

    fn get(&self, id: &Id) -> Option<Arc<u64>> {
        (**self).get(id)
    }

    fn insert(&self, id: Id, block: Arc<u64>) {
        (**self).insert(id, block);
    }
}

type Moka = moka::sync::Cache<Id, Arc<u64>>;

impl Cache for Moka {
    fn new(blocks: u64) -> Self {
        Self::builder().max_capacity(blocks * u64::from(BLOCK_BYTES)).weigher(|_, _| BLOCK_BYTES).build()
    }

    fn get(&self, id: &Id) -> Option<Arc<u64>> {
        self.get(id)
    }

    fn insert(&self, id: Id, block: Arc<u64>) {
        self.insert(id, block);
    }
}

#[derive(Clone)]
struct Foyer<const S3_FIFO: bool>(foyer_memory::Cache<Id, Arc<u64>>);

impl<const S3_FIFO: bool> Cache for Foyer<S3_FIFO> {
    fn new(blocks: u64) -> Self {
        let builder = foyer_memory::CacheBuilder::new((blocks * u64::from(BLOCK_BYTES)) as usize).with_shards(16);
        let builder = if S3_FIFO {
            builder.with_eviction_config(foyer_memory::S3FifoConfig::default())
        } else {
            builder.with_eviction_config(foyer_memory::LruConfig::default())
        };
        Self(builder.with_weighter(|_, _| BLOCK_BYTES as usize).build())
    }

    fn get(&self, id: &Id) -> Option<Arc<u64>> {
        self.0.get(id).map(|entry| entry.value().clone())
    }

    fn insert(&self, id: Id, block: Arc<u64>) {
        self.0.insert(id, block);
    }
}

/// Numbers below `BLOCKS`, all as likely or as in Zipf's law with exponent 0.99, in which the likely ones lie scattered.
fn blocks(is_zipf: bool, seed: u64) -> Vec<u64> {
    let mut state = seed * 2 + 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut sum = 0.0;
    let likely: Vec<f64> = (1..=BLOCKS)
        .map(|rank| {
            sum += (rank as f64).powf(-0.99);
            sum
        })
        .collect();
    let mut one = || {
        if !is_zipf {
            return random() % BLOCKS;
        }
        let drawn = (random() >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        let rank = likely.partition_point(|below| *below < drawn) as u64;
        rank * 7_919 % BLOCKS
    };
    (0..READS).map(|_| one()).collect()
}

fn id(block: u64) -> Id {
    (u128::from(block) << 64 | 7, block * u64::from(BLOCK_BYTES))
}

/// Reads as a point read does, and tells how many blocks were there, and what a thread used of a processor.
fn read(cache: &impl Cache, blocks: &[u64]) -> (usize, Duration) {
    let before = used();
    let mut hits = 0;
    for block in blocks {
        let id = id(*block);
        match cache.get(&id) {
            Some(found) => hits += usize::from(*found == *block),
            None => cache.insert(id, Arc::new(*block)),
        }
    }
    (hits, used() - before)
}

fn report<C: Cache>(name: &str) {
    for (is_zipf, law) in [(false, "uniform"), (true, "Zipf")] {
        let mut cells = Vec::new();
        for capacity in [2 * BLOCKS, BLOCKS / 4] {
            for threads in [1, 2] {
                let cache = C::new(capacity);
                let sequences: Vec<Vec<u64>> = (0..threads).map(|thread| blocks(is_zipf, thread + 1)).collect();
                (0..BLOCKS).for_each(|block| cache.insert(id(block), Arc::new(block)));
                let work = sequences.into_iter().map(|blocks| {
                    let cache = cache.clone();
                    std::thread::spawn(move || {
                        read(&cache, &blocks);
                        read(&cache, &blocks)
                    })
                });
                let work: Vec<_> = work.collect();
                let done: Vec<_> = work.into_iter().filter_map(|thread| thread.join().ok()).collect();
                let reads = (READS * done.len()) as f64;
                let took: f64 = done.iter().map(|(_, took)| took.as_nanos() as f64).sum();
                let hits: usize = done.iter().map(|(hits, _)| hits).sum();
                cells.push(format!("{:.0}", took / reads));
                if capacity < BLOCKS && threads == 1 {
                    cells.push(format!("{:.1} %", hits as f64 * 100.0 / reads));
                }
            }
        }
        let [warm, warm_two, cold, hits, cold_two] = cells.try_into().expect("there are four measures and a share");
        println!("| {name} | {law} | {warm} | {warm_two} | {hits} | {cold} | {cold_two} |");
    }
}

pub(crate) fn measure() {
    println!("| cache | reads | all there, ns | two threads, ns | room for a quarter: there | ns | two threads, ns |");
    println!("|---|---|---|---|---|---|---|");
    report::<Quick>("quick_cache");
    report::<Foyer<false>>("foyer-memory, LRU");
    report::<Foyer<true>>("foyer-memory, S3-FIFO");
    report::<Moka>("moka");
}
