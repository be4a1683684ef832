use std::collections::BTreeSet;
use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_lsm::Tree;
use bucketdb_runs::RunStore;
use bytes::Bytes;

use crate::base_index::{self, BaseIndex};
use crate::run_key::is_index_group;
use crate::{IndexId, TableId, has_any};

/// The rows up to one position, in runs.
#[derive(Clone, Debug)]
pub struct Base {
    /// The position: what later records wrote is not in it.
    pub covers: Seq,
    /// The time in the record there, in milliseconds since 1970.
    pub time_ms: u64,
    /// Documents that ended up to then may be missing here, in milliseconds since 1970: whoever reads here sees none of them.
    pub ended_ms: u64,
    /// Stands for which fields said then when documents end; 0 if none did.
    pub ttls: u64,
    /// The runs.
    pub tree: Tree,
    /// Earlier checkpoints from which states of the past can still be made, oldest first.
    pub retained: Vec<Retained>,
    /// So many of these, the oldest, are kept only for positions that have a name.
    pub pinned: usize,
    /// The indexes that are in the runs, in the order of their numbers.
    pub indexes: Vec<BaseIndex>,
    /// Where the next index that is built will lie in the tree; groups are never used again.
    pub next_group: u32,
}

/// An earlier checkpoint that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The position that it covers.
    pub covers: Seq,
    /// The time in the record there, in milliseconds since 1970.
    pub time_ms: u64,
    /// What stood there for the fields that say when documents end: what a merge left out by one field, another one, or
    /// none, does not.
    pub ttls: u64,
    /// The name of its manifest.
    pub manifest: String,
    /// The hash of that object.
    pub hash: [u8; 16],
    /// The names of its runs.
    pub runs: Vec<String>,
    /// The names of the runs that were bulk-loaded behind it, up to the next checkpoint that is kept: whoever makes a
    /// position in between from the log needs them.
    pub loaded: Vec<String>,
}

/// So many names of runs may all retained checkpoints together refer to.
const MAX_REFERENCES: usize = 1 << 24;

impl Default for Base {
    fn default() -> Self {
        let (indexes, next_group) = (Vec::new(), base_index::FIRST_INDEX_GROUP);
        Self {
            covers: Seq::default(),
            time_ms: 0,
            ended_ms: 0,
            ttls: 0,
            tree: Tree::default(),
            retained: Vec::new(),
            pinned: 0,
            indexes,
            next_group,
        }
    }
}

impl Base {
    /// What is here of an index.
    #[must_use]
    pub fn index(&self, id: IndexId) -> Option<&BaseIndex> {
        self.indexes.iter().find(|index| index.id == id)
    }

    /// What the checkpoint covers that a position is made from, the last one that covers no more; `None` if that is given up, or
    /// something of the log between. `named` are the positions that are kept for as long as somebody says so.
    #[must_use]
    pub fn made_from(&self, seq: Seq, mut named: impl Iterator<Item = Seq>) -> Option<Seq> {
        let covers: Vec<Seq> = self.retained.iter().map(|kept| kept.covers).chain([self.covers]).collect();
        let index = covers.iter().rposition(|covers| *covers <= seq)?;
        let end = covers.get(index + 1).copied();
        // What is kept for names only leads as far as the last of these.
        let is_kept = index >= self.pinned || named.any(|named| seq <= named && end.is_none_or(|end| named < end));
        covers.get(index).copied().filter(|_| is_kept)
    }

    /// Whether a key of the tree belongs to an index that is no more, or was built anew: merges leave it out.
    #[must_use]
    pub fn is_abandoned(indexes: &[BaseIndex], key: &[u8]) -> bool {
        let group = key.first_chunk().map_or(0, |group| u32::from_be_bytes(*group));
        is_index_group(group) && !indexes.iter().any(|index| index.group == group)
    }

    /// Whether no row of a table is in the runs.
    #[must_use]
    pub fn has_nothing_of(&self, table: TableId) -> bool {
        !has_any(self.tree.tiers(), table)
    }

    /// What a checkpoint record, and its manifest, say of it: the time (numbers are varints), the time up to which documents
    /// that ended may be missing, what stands for the fields that say so, the tree, the names of all
    /// runs that retained checkpoints need, in order, each once, and then these checkpoints, which have most of them in
    /// common: as stretches of that list. Then how many of them are kept for named positions only; in the end, the indexes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut buffer = Vec::new();
        codec::put_varint(&mut buffer, self.time_ms);
        codec::put_varint(&mut buffer, self.ended_ms);
        codec::put_varint(&mut buffer, self.ttls);
        self.tree.encode(&mut buffer);
        let names: BTreeSet<&String> =
            self.retained.iter().flat_map(|kept| kept.runs.iter().chain(&kept.loaded)).collect();
        let names: Vec<&String> = names.into_iter().collect();
        codec::put_varint(&mut buffer, names.len() as u64);
        for name in &names {
            codec::put_bytes(&mut buffer, name.as_bytes());
        }
        codec::put_varint(&mut buffer, self.retained.len() as u64);
        for retained in &self.retained {
            codec::put_varint(&mut buffer, retained.covers.0);
            codec::put_varint(&mut buffer, retained.time_ms);
            codec::put_varint(&mut buffer, retained.ttls);
            codec::put_bytes(&mut buffer, retained.manifest.as_bytes());
            buffer.extend_from_slice(&retained.hash);
            put_references(&mut buffer, &retained.runs, &names);
            put_references(&mut buffer, &retained.loaded, &names);
        }
        codec::put_varint(&mut buffer, self.pinned as u64);
        base_index::encode(&mut buffer, self.next_group, &self.indexes);
        buffer.into()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn decode(covers: Seq, bytes: Bytes, store: &RunStore) -> Result<Arc<Self>, Malformed> {
        let mut reader = Reader::new(bytes);
        let (time_ms, ended_ms, ttls) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let tree = Tree::decode(&mut reader, store)?;
        let (retained, pinned) = decode_retained(&mut reader)?;
        let (next_group, indexes) = base_index::decode(&mut reader)?;
        reader.finish()?;
        Ok(Arc::new(Self { covers, time_ms, ended_ms, ttls, tree, retained, pinned, indexes, next_group }))
    }

    /// The names of all objects that it needs to be read, those of what is retained included.
    pub fn objects(&self) -> impl Iterator<Item = String> {
        let runs = self.tree.runs().map(|run| run.meta().name.to_string());
        let retained = self.retained.iter().flat_map(|retained| {
            let runs = retained.runs.iter().chain(&retained.loaded);
            std::iter::once(&retained.manifest).chain(runs).cloned()
        });
        // Before the first checkpoint there was no manifest.
        let retained = retained.filter(|name| !name.is_empty());
        runs.chain(retained)
    }
}

/// Writes which of `names` these are, which all are there: the number of stretches, and of each, how many names lie between
/// it and the one before, and how many it has.
fn put_references(buffer: &mut Vec<u8>, some: &[String], names: &[&String]) {
    let mut places: Vec<usize> = some.iter().filter_map(|name| names.binary_search(&name).ok()).collect();
    places.sort_unstable();
    places.dedup();
    let stretches: Vec<&[usize]> = places.chunk_by(|first, second| first + 1 == *second).collect();
    codec::put_varint(buffer, stretches.len() as u64);
    let mut end = 0;
    for stretch in stretches {
        let first = stretch.first().copied().unwrap_or(end);
        codec::put_varint(buffer, (first - end) as u64);
        codec::put_varint(buffer, stretch.len() as u64);
        end = first + stretch.len();
    }
}

fn decode_references(reader: &mut Reader, names: &[String], left: &mut usize) -> Result<Vec<String>, Malformed> {
    let (mut some, mut end) = (Vec::new(), 0_usize);
    for _ in 0..reader.length()? {
        let (gap, count) = (reader.length()?, reader.length()?);
        let first = end.checked_add(gap);
        let stretch = first.and_then(|first| names.get(first..first.checked_add(count)?));
        let (Some(first), Some(stretch)) = (first, stretch) else {
            return Err(Malformed("a checkpoint that is kept has runs that are not named"));
        };
        *left = left.checked_sub(count).ok_or(Malformed("checkpoints that are kept have too many runs"))?;
        some.extend_from_slice(stretch);
        end = first + count;
    }
    Ok(some)
}

/// The checkpoints that are kept, and how many of them for names only.
fn decode_retained(reader: &mut Reader) -> Result<(Vec<Retained>, usize), Malformed> {
    let mut names = Vec::new();
    for _ in 0..reader.length()? {
        names.push(reader.text()?);
    }
    let mut left = MAX_REFERENCES;
    let mut retained = Vec::new();
    for _ in 0..reader.length()? {
        retained.push(Retained {
            covers: Seq(reader.varint()?),
            time_ms: reader.varint()?,
            ttls: reader.varint()?,
            manifest: reader.text()?,
            hash: reader.array()?,
            runs: decode_references(reader, &names, &mut left)?,
            loaded: decode_references(reader, &names, &mut left)?,
        });
    }
    let pinned = usize::try_from(reader.varint()?).ok().filter(|pinned| *pinned <= retained.len());
    let pinned = pinned.ok_or(Malformed("more checkpoints are kept for names than are kept"))?;
    Ok((retained, pinned))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs() -> impl Strategy<Value = Vec<String>> {
        prop::collection::btree_set(0..60_u32, 0..40)
            .prop_map(|numbers| numbers.into_iter().map(|number| format!("run/{number:02}")).collect())
    }

    #[test]
    fn a_position_is_made_from_the_last_checkpoint_before_it_if_all_between_is_kept() {
        let kept = |covers| Retained {
            covers: Seq(covers),
            time_ms: 0,
            ttls: 0,
            manifest: String::new(),
            hash: [0; 16],
            runs: Vec::new(),
            loaded: Vec::new(),
        };
        let base = Base { covers: Seq(40), retained: vec![kept(10), kept(20), kept(30)], pinned: 2, ..Base::default() };
        let made_from = |seq| base.made_from(Seq(seq), [Seq(15), Seq(25)].into_iter()).map(|covers| covers.0);
        assert_eq!([9, 10, 15, 16, 19].map(made_from), [None, Some(10), Some(10), None, None]);
        assert_eq!([20, 25, 26, 29].map(made_from), [Some(20), Some(20), None, None]);
        assert_eq!([30, 39, 40, 99].map(made_from), [Some(30), Some(30), Some(40), Some(40)]);
        assert_eq!(Base::default().made_from(Seq(1), std::iter::empty()), Some(Seq(0)));
    }

    fn retained() -> impl Strategy<Value = Retained> {
        (any::<u32>(), runs(), runs()).prop_map(|(covers, runs, loaded)| Retained {
            covers: Seq(u64::from(covers)),
            time_ms: u64::from(covers) * 3,
            ttls: u64::from(covers) * 5,
            manifest: format!("manifest/{covers}"),
            hash: [7; 16],
            runs,
            loaded,
        })
    }

    /// Behind the times and the fields (three bytes) and an empty tree (two), before the indexes.
    fn encoded(retained: &[Retained], pinned: usize) -> Bytes {
        let encoded = Base { retained: retained.to_vec(), pinned, ..Base::default() }.encode();
        let mut no_indexes = Vec::new();
        base_index::encode(&mut no_indexes, base_index::FIRST_INDEX_GROUP, &[]);
        encoded.slice(5..encoded.len() - no_indexes.len())
    }

    proptest! {
        #[test]
        fn what_is_retained_comes_back(retained in prop::collection::vec(retained(), 0..6), pinned in 0..6_usize) {
            let pinned = pinned.min(retained.len());
            let mut reader = Reader::new(encoded(&retained, pinned));
            prop_assert_eq!(decode_retained(&mut reader), Ok((retained, pinned)));
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn damaged_bytes_are_an_error_or_something_else(
            retained in prop::collection::vec(retained(), 0..4),
            place in any::<prop::sample::Index>(),
            wound in prop::collection::vec(any::<u8>(), 1..6),
        ) {
            let mut bytes = encoded(&retained, 0).to_vec();
            let at = place.index(bytes.len());
            bytes.splice(at..(at + wound.len()).min(bytes.len()), wound);
            let _ = decode_retained(&mut Reader::new(bytes.into()));
        }
    }

    #[test]
    fn a_name_that_many_have_in_common_is_there_once() {
        let runs: Vec<String> = (0..3_000).map(|number| format!("run/{number:053}")).collect();
        let kept = |covers| Retained {
            covers: Seq(covers),
            time_ms: covers,
            ttls: 0,
            manifest: "manifest".to_owned(),
            hash: [0; 16],
            runs: runs.clone(),
            loaded: Vec::new(),
        };
        let (one, many) = (encoded(&[kept(1)], 0), encoded(&(1..=64).map(kept).collect::<Vec<_>>(), 0));
        assert!(many.len() < one.len() + 64 * 64, "{} and {}", one.len(), many.len());
    }
}
