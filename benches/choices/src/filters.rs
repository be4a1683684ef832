use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;

use ribbon_filter::{Mode, Params, RibbonBuilder};
use xorf::{BinaryFuse8, Filter};
use xxhash_rust::xxh3::xxh3_64;

use crate::used;

/// The keys of one partition of a run.
const KEYS: u64 = 16 << 10;
const PROBES: u64 = 1 << 20;
const ROUNDS: u64 = 20;

/// Keys are hashed already.
#[derive(Default)]
struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Builds a filter from hashes, tells its size in bytes, and asks it.
fn report<F>(
    name: &str,
    hashes: &[u64],
    absent: &[u64],
    build: impl Fn(&[u64]) -> F,
    size: impl Fn(&F) -> usize,
    holds: impl Fn(&F, u64) -> bool,
) {
    let before = used();
    let mut filter = build(hashes);
    for _ in 1..ROUNDS {
        filter = black_box(build(hashes));
    }
    let built = used() - before;
    let before = used();
    let passed = absent.iter().filter(|hash| holds(&filter, **hash)).count();
    let absent_took = used() - before;
    let before = used();
    for _ in 0..PROBES / KEYS {
        assert!(hashes.iter().all(|hash| holds(&filter, *hash)), "{name} lost a key");
    }
    let present_took = used() - before;
    println!(
        "| {name} | {:.1} | {:.2} % | {} | {:.0} | {:.0} |",
        size(&filter) as f64 * 8.0 / KEYS as f64,
        passed as f64 * 100.0 / PROBES as f64,
        built.as_nanos() / u128::from(KEYS * ROUNDS),
        absent_took.as_nanos() as f64 / PROBES as f64,
        present_took.as_nanos() as f64 / PROBES as f64,
    );
}

pub(crate) fn measure() {
    let hashes: Vec<u64> = (0..KEYS).map(|key| xxh3_64(&key.to_be_bytes())).collect();
    let absent: Vec<u64> = (KEYS..KEYS + PROBES).map(|key| xxh3_64(&key.to_be_bytes())).collect();
    println!("| filter | bits a key | absent keys that pass | build, ns a key | absent key, ns | present key, ns |");
    println!("|---|---|---|---|---|---|");
    let fuse = |hashes: &[u64]| BinaryFuse8::try_from(hashes).expect("the hashes differ");
    let fuse_size = |filter: &BinaryFuse8| filter.fingerprints.len();
    report("binary fuse, 8 bits (xorf)", &hashes, &absent, fuse, fuse_size, |filter, hash| filter.contains(&hash));
    let bloom = |hashes: &[u64]| {
        let mut filter = fastbloom::BloomFilter::with_num_bits(10 * KEYS as usize).expected_items(KEYS as usize);
        for hash in hashes {
            filter.insert(hash);
        }
        filter
    };
    let bloom_size = |filter: &fastbloom::BloomFilter| filter.num_bits() / 8;
    report("Bloom (fastbloom)", &hashes, &absent, bloom, bloom_size, |filter, hash| filter.contains(&hash));
    let ribbon = pleat::filter::Ribbon::<8>::from_keys_pleated;
    let ribbon_size = |filter: &pleat::filter::Ribbon<8>| filter.size_bytes();
    report("ribbon, 64 wide, 8 bits (pleat)", &hashes, &absent, ribbon, ribbon_size, |filter, hash| {
        filter.contains(hash)
    });
    let standard = |hashes: &[u64]| pleat::filter::StdRibbon::<8>::from_keys_pleated(hashes).expect("it can be built");
    report(
        "ribbon, 128 wide, 8 bits (pleat)",
        &hashes,
        &absent,
        standard,
        |filter| filter.size_bytes(),
        |filter, hash| filter.contains(hash),
    );
    let slots = KEYS as usize * 108 / 100;
    let other = |hashes: &[u64]| {
        let params = Params::new(slots, 64, 8, Mode::Homogeneous).expect("they are in range");
        let builder = RibbonBuilder::new(params, BuildHasherDefault::<Given>::default()).expect("they are in range");
        builder.build(hashes).expect("it can be built")
    };
    report(
        "ribbon, 64 wide, 8 bits (ribbon-filter)",
        &hashes,
        &absent,
        other,
        |_| slots,
        |filter, hash| filter.contains(&hash),
    );
}
