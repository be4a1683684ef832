use bucketdb_documents::TableId;
use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_lsm::Tree;
use bucketdb_runs::RunStore;
use bytes::Bytes;

use super::Duplicates;

/// What it takes to go on with a bulk load.
///
/// ```text
/// size   what, numbers as varints
///    …   number of the table
///    1   what becomes of duplicates: 0 the load fails, 1 skipped, 2 replaced
///    …   position that was known when it began
///    …   documents that were added, and those of them that were left out
///    …   stretches as tiers of a tree, in the order in which they were given
///    …   for each stretch, how often its rows were merged
///    …   size, and what the caller saved
/// ```
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) table: TableId,
    pub(super) duplicates: Duplicates,
    pub(super) begun_at: Seq,
    pub(super) added: u64,
    pub(super) skipped: u64,
    pub(super) stretches: Tree,
    pub(super) levels: Vec<u32>,
    pub(super) note: Bytes,
}

impl Saved {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        codec::put_varint(&mut buffer, u64::from(self.table.0));
        buffer.push(match self.duplicates {
            Duplicates::Fail => 0,
            Duplicates::Skip => 1,
            Duplicates::Replace => 2,
        });
        for number in [self.begun_at.0, self.added, self.skipped] {
            codec::put_varint(&mut buffer, number);
        }
        self.stretches.encode(&mut buffer);
        for level in &self.levels {
            codec::put_varint(&mut buffer, u64::from(*level));
        }
        codec::put_bytes(&mut buffer, &self.note);
        buffer
    }

    pub(super) fn decode(bytes: Bytes, store: &RunStore) -> Result<Self, Malformed> {
        let small = |number: u64| u32::try_from(number).map_err(|_| Malformed("a number is over 32 bits"));
        let mut reader = Reader::new(bytes);
        let table = TableId(small(reader.varint()?)?);
        let duplicates = match reader.u8()? {
            0 => Duplicates::Fail,
            1 => Duplicates::Skip,
            2 => Duplicates::Replace,
            _ => return Err(Malformed("duplicates are treated in an unknown way")),
        };
        let (begun_at, added, skipped) = (Seq(reader.varint()?), reader.varint()?, reader.varint()?);
        let stretches = Tree::decode(&mut reader, store)?;
        let mut levels = Vec::new();
        for _ in stretches.tiers() {
            levels.push(small(reader.varint()?)?);
        }
        let note = reader.bytes()?;
        reader.finish()?;
        Ok(Self { table, duplicates, begun_at, added, skipped, stretches, levels, note })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bucketdb_driver::MemoryDriver;
    use bucketdb_env::TokioEnvironment;
    use bucketdb_log::{DatabaseId, Layout};
    use bucketdb_lsm::{KEEPS_ALL, Policy, Tier, Work};
    use bucketdb_runs::{Cache, RunEntry, RunOptions};
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn it_round_trips_and_no_damage_makes_it_panic() {
        let (driver, env) = (Arc::new(MemoryDriver::new()), Arc::new(TokioEnvironment::new()));
        let store = RunStore::new(driver, env, Layout::new("db").unwrap(), DatabaseId([1; 16]), Cache::new(1 << 20));
        let (policy, options) = (Policy::default(), RunOptions::default());
        let work = Work { store: &store, policy: &policy, options, begun_at: Seq(4), fates: KEEPS_ALL };
        let entry = RunEntry { key: Bytes::from_static(b"\0\0\0\x07\0k"), seq: Seq(4), row: Some(Bytes::new()) };
        let (runs, _) = work.write(&mut std::iter::once(entry)).await.unwrap();
        let saved = Saved {
            table: TableId(7),
            duplicates: Duplicates::Skip,
            begun_at: Seq(4),
            added: 1000,
            skipped: 20,
            stretches: Tree::new(vec![Tier::new(runs)], None),
            levels: vec![300],
            note: Bytes::from_static(b"line 1000"),
        };
        let bytes = saved.encode();
        let read = Saved::decode(bytes.clone().into(), &store).unwrap();
        assert_eq!(format!("{read:?}"), format!("{saved:?}"));
        for cut in 0..bytes.len() {
            assert!(Saved::decode(bytes[..cut].to_vec().into(), &store).is_err());
        }
        proptest!(|(bytes in prop::collection::vec(any::<u8>(), 0..80))| {
            let _ = Saved::decode(bytes.into(), &store);
        });
    }
}
