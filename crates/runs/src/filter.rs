//! Which keys a partition may have.
//!
//! A binary fuse filter of the crate `xorf` was chosen over a Bloom filter of `fastbloom`: at the same size it lets half as
//! many absent keys pass, and answers several times as fast, for three bytes of memory that it looks at. It takes up to three
//! times as long to build, which is a tenth of what writing a row takes. `choices-bench filters` (`benches/choices`), 16,384
//! keys, on a shared machine, in processor time:
//!
//! | filter | bits a key | absent keys that pass | build, ns a key | absent key, ns | present key, ns |
//! |---|---|---|---|---|---|
//! | binary fuse, 8 bits (`xorf`) | 10.0 | 0.41 % | 45 | 5 | 5 |
//! | Bloom (`fastbloom`) | 10.0 | 0.82 % | 28 | 32 | 19 |
//! | ribbon, 64 wide, 8 bits (`pleat`) | 8.8 | 0.39 % | 50 | 25 | 18 |
//! | ribbon, 128 wide, 8 bits (`pleat`) | 8.4 | 0.39 % | 89 | 30 | 35 |
//! | ribbon, 64 wide, 8 bits (`ribbon-filter`) | 8.6 | 0.38 % | 305 | 247 | 208 |
//!
//! A ribbon filter saves a bit or more a key and takes four to seven times as long to ask. `pleat` is at its first version,
//! 0.1, and `ribbon-filter` says that it is not fit for production. So it stays with the binary fuse filter: an eighth
//! less of filters in memory is not worth a slower answer for every key that is absent.
//!
//! The crate only builds: what is stored and how it is read is fixed here and in [`mod@crate::format`], so a new version of
//! it cannot change the meaning of runs that exist.

use bucketdb_log::codec::{Malformed, Reader};
use bytes::{BufMut, Bytes};
use xorf::BinaryFuse8;
use xxhash_rust::xxh3::xxh3_64;

/// Kinds of filters. The numbers are stored and never change their meaning.
const KIND_NONE: u8 = 0;
const KIND_BINARY_FUSE_8: u8 = 1;

/// What tells most of the keys that are not there from those that are.
#[derive(Debug)]
pub(crate) enum Filter {
    /// Every key may be there.
    None,
    BinaryFuse8(BinaryFuse),
}

/// A binary fuse filter of arity 3 with fingerprints of 8 bits.
#[derive(Debug)]
pub(crate) struct BinaryFuse {
    seed: u64,
    segment_length: u32,
    /// The length of all segments in which a key's first fingerprint may be.
    first_length: u32,
    fingerprints: Bytes,
}

/// The hash of a key, by which filters know it.
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

impl Filter {
    /// Whether a key with this hash may be there.
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        match self {
            Self::None => true,
            Self::BinaryFuse8(filter) => filter.may_hold(hash),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::BinaryFuse8(filter) => filter.fingerprints.len(),
        }
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            KIND_NONE => {
                reader.finish()?;
                Ok(Self::None)
            }
            KIND_BINARY_FUSE_8 => {
                let (seed, segment_length, first_length) = (reader.u64()?, reader.u32()?, reader.u32()?);
                let fingerprints = reader.take(reader.remaining())?;
                let length = u64::from(first_length) + 2 * u64::from(segment_length);
                let whole_segments = first_length.checked_rem(segment_length) == Some(0) && first_length > 0;
                if !segment_length.is_power_of_two() || !whole_segments || length != fingerprints.len() as u64 {
                    return Err(Malformed("a filter has another size than it says"));
                }
                Ok(Self::BinaryFuse8(BinaryFuse { seed, segment_length, first_length, fingerprints }))
            }
            _ => Err(Malformed("a filter is of an unknown kind")),
        }
    }
}

impl BinaryFuse {
    fn may_hold(&self, hash: u64) -> bool {
        let hash = mix(hash.wrapping_add(self.seed));
        let first = ((u128::from(hash) * u128::from(self.first_length)) >> 64) as u32;
        let mask = self.segment_length - 1;
        let second = (first + self.segment_length) ^ ((hash >> 18) as u32 & mask);
        let third = (first + 2 * self.segment_length) ^ (hash as u32 & mask);
        let at = |place: u32| self.fingerprints.get(place as usize).copied().unwrap_or_default();
        at(first) ^ at(second) ^ at(third) == (hash ^ (hash >> 32)) as u8
    }
}

/// The 64-bit finalizer of MurmurHash3.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Appends the filter of the keys with these hashes to `body`. The hashes are put in order.
pub(crate) fn encode(hashes: &mut Vec<u64>, body: &mut Vec<u8>) {
    hashes.sort_unstable();
    hashes.dedup();
    // It can fail, but for no set of different hashes that anyone has met; keys would still be found without a filter.
    match BinaryFuse8::try_from(&*hashes) {
        Ok(filter) if !hashes.is_empty() => {
            body.put_u8(KIND_BINARY_FUSE_8);
            body.put_u64_le(filter.descriptor.seed);
            body.put_u32_le(filter.descriptor.segment_length);
            body.put_u32_le(filter.descriptor.segment_count_length);
            body.put_slice(&filter.fingerprints);
        }
        _ => body.put_u8(KIND_NONE),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter_of(keys: impl IntoIterator<Item = u64>) -> (Filter, usize) {
        let mut hashes: Vec<u64> = keys.into_iter().map(|key| hash(&key.to_be_bytes())).collect();
        let mut body = Vec::new();
        encode(&mut hashes, &mut body);
        let length = body.len();
        (Filter::decode(body.into()).unwrap(), length)
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let mut hashes: Vec<u64> = (0..5u64).map(|key| hash(&key.to_be_bytes())).collect();
        let mut body = Vec::new();
        encode(&mut hashes, &mut body);
        let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01c15c0289ec2d0a910800000008000000000000fe0000000000000000510000009800000000002f43");
    }

    #[test]
    fn no_key_is_missed_whatever_their_number() {
        for count in (0..300).chain([1000, 4095, 4096, 16 << 10]) {
            let (filter, _) = filter_of(0..count);
            assert!((0..count).all(|key| filter.may_hold(hash(&key.to_be_bytes()))), "{count}");
            assert_eq!(matches!(filter, Filter::None), count == 0);
        }
    }

    #[test]
    fn equal_hashes_do_no_harm() {
        let (filter, _) = filter_of([1, 2, 1, 1, 3]);
        assert!([1u64, 2, 3].iter().all(|key| filter.may_hold(hash(&key.to_be_bytes()))));
        assert!(matches!(filter, Filter::BinaryFuse8(_)));
    }

    #[test]
    fn few_absent_keys_pass_at_ten_bits_a_key() {
        let count = 16 << 10;
        let (filter, length) = filter_of(0..count);
        let passed = (count..count + 100_000).filter(|key| filter.may_hold(hash(&key.to_be_bytes()))).count();
        assert!(passed < 600, "{passed} of 100,000");
        assert!((length as u64 * 8) as f64 <= count as f64 * 10.1, "{} bits a key", length as f64 * 8.0 / count as f64);
    }

    proptest! {
        #[test]
        fn it_answers_as_the_library_that_builds_it(keys in prop::collection::btree_set(any::<u64>(), 1..200), probe: u64) {
            use xorf::Filter as _;
            let keys: Vec<u64> = keys.into_iter().collect();
            let library = BinaryFuse8::try_from(&keys).unwrap();
            let mut body = Vec::new();
            encode(&mut keys.clone(), &mut body);
            let filter = Filter::decode(body.into()).unwrap();
            for key in keys.iter().copied().chain([probe]).chain(keys.iter().map(|key| key ^ probe)) {
                prop_assert_eq!(filter.may_hold(key), library.contains(&key));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(0u8..5, 0..60), hash: u64) {
            bytes.insert(0, KIND_BINARY_FUSE_8);
            if let Ok(filter) = Filter::decode(bytes.into()) {
                filter.may_hold(hash);
            }
        }
    }

    fn now() -> std::time::Duration {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        std::time::Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
    }

    #[test]
    #[ignore = "measures, and judges nothing"]
    fn measure_filters() {
        const KEYS: u64 = 16 << 10;
        const PROBES: u64 = 1 << 20;
        const ROUNDS: u64 = 20;
        let hashes: Vec<u64> = (0..KEYS).map(|key| hash(&key.to_be_bytes())).collect();
        let absent: Vec<u64> = (KEYS..KEYS + PROBES).map(|key| hash(&key.to_be_bytes())).collect();
        let report = |what: &str, bytes: usize, built: std::time::Duration, may_hold: &dyn Fn(u64) -> bool| {
            let before = now();
            let passed = absent.iter().filter(|hash| may_hold(**hash)).count();
            let absent_took = now() - before;
            let before = now();
            for _ in 0..PROBES / KEYS {
                assert!(hashes.iter().all(|hash| may_hold(*hash)));
            }
            let present_took = now() - before;
            println!(
                "{what}: {:.2} bits a key, {:.2} % pass, built in {} ns a key, {:.1} ns for an absent key, {:.1} ns for one that is there",
                bytes as f64 * 8.0 / KEYS as f64,
                passed as f64 * 100.0 / PROBES as f64,
                built.as_nanos() / u128::from(KEYS * ROUNDS),
                absent_took.as_nanos() as f64 / PROBES as f64,
                present_took.as_nanos() as f64 / PROBES as f64,
            );
        };

        let before = now();
        let mut body = Vec::new();
        for _ in 0..ROUNDS {
            body.clear();
            encode(&mut hashes.clone(), &mut body);
        }
        let built = now() - before;
        let filter = Filter::decode(body.clone().into()).unwrap();
        report("binary fuse, 8 bits", body.len(), built, &|hash| filter.may_hold(hash));

        let before = now();
        let build = || {
            let mut bloom = fastbloom::BloomFilter::with_num_bits(10 * KEYS as usize).expected_items(KEYS as usize);
            for hash in &hashes {
                bloom.insert(hash);
            }
            bloom
        };
        let mut bloom = build();
        for _ in 1..ROUNDS {
            bloom = build();
        }
        let built = now() - before;
        report("bloom (fastbloom)", bloom.num_bits() / 8, built, &|hash| bloom.contains(&hash));
    }
}
