use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_lsm::{Tier, Totals};

use super::Documents;
use crate::epoch::Epoch;
use crate::{Base, EncodedKey, Index, IndexBuilt, IndexEntry, IndexRange, TableEntry, TableId, run_key};

/// What an index has of the rows that were written behind a base, and the base, which has the rest.
#[derive(Clone, Debug)]
pub struct IndexPage {
    /// The entries, in order.
    pub entries: Vec<IndexEntry>,
    /// What has the rest, except of rows that were written behind it.
    pub base: Arc<Base>,
    /// Where in its tree; `None` if it has nothing of the table.
    pub group: Option<u32>,
}

/// How much an index has in a range, about.
#[derive(Clone, Debug)]
pub struct IndexExtent {
    /// How many entries of rows that were written behind the base; those that they had in between count as well.
    pub written: usize,
    /// See [`IndexPage`].
    pub base: Arc<Base>,
    /// See [`IndexPage`].
    pub group: Option<u32>,
}

/// Of how much use an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// It has every document.
    Usable {
        /// Whether documents lie in its order; they do not where a value is too long to be held whole.
        is_ordered: bool,
    },
    /// It is being built, and has the documents up to this key; `None` if it has not begun.
    Building(Option<EncodedKey>),
    /// The position is not kept any more.
    Expired,
}

impl Documents {
    /// Of how much use an index is to whoever reads at a position.
    #[must_use]
    pub fn index_state(&self, table: TableId, index: &Index, at: Seq) -> IndexState {
        let Some(epoch) = self.epoch(at) else { return IndexState::Expired };
        // What was bulk-loaded is in no index before the checkpoint that takes it in.
        let loaded = epoch.ingests.iter().filter(|ingest| ingest.seq <= at).flat_map(|ingest| &ingest.tiers);
        if has_any(loaded, table) {
            return IndexState::Building(None);
        }
        if is_planted(PlantedBug::UnbuiltIndex) {
            return IndexState::Usable { is_ordered: true };
        }
        let entry = self.catalogue.table(table);
        let in_base = epoch.base.index(index.id).filter(|known| entry.is_some_and(|entry| known.is_in_step(entry)));
        let is_known_to_base = match in_base.map(|index| &index.built) {
            Some(IndexBuilt::Whole) => true,
            Some(IndexBuilt::UpTo(last)) => return IndexState::Building(last.clone()),
            None => false,
        };
        // An index that is younger than the base has what was written since, if the base has nothing of the table: what was
        // written before a later base, if it was created before that.
        let is_noted = Arc::ptr_eq(&epoch.base, &self.present.base) || index.id.0 <= epoch.last_index;
        let is_whole = is_known_to_base || is_noted && epoch.base.has_nothing_of(table);
        if !is_whole {
            return IndexState::Building(None);
        }
        let has_cut = in_base.is_some_and(|index| index.has_cut_values) || epoch.overlay.has_cut_values(table, index);
        IndexState::Usable { is_ordered: !has_cut }
    }

    /// What an index has in a range of values, as of a position that is pinned. `None` if it is of no use there.
    #[must_use]
    pub fn index_page(&self, table: TableId, index: &Index, range: &IndexRange, at: Seq) -> Option<IndexPage> {
        let (epoch, entry, group) = self.usable_index(table, index, at)?;
        let entries = epoch.overlay.index_entries(entry, index, range, at);
        Some(IndexPage { entries, group, base: epoch.base.clone() })
    }

    /// How much an index has in a range of values, as of a position that is pinned, without a look at any row: no more than `most`
    /// entries are counted of what was written behind the base. `None` if it is of no use there.
    #[must_use]
    pub fn index_extent(
        &self,
        table: TableId,
        index: &Index,
        range: &IndexRange,
        at: Seq,
        most: usize,
    ) -> Option<IndexExtent> {
        let (epoch, _, group) = self.usable_index(table, index, at)?;
        let written = epoch.overlay.count_index_entries(table, index, range, most);
        Some(IndexExtent { written, group, base: epoch.base.clone() })
    }

    /// The state that has an index of a table, and the group of its base that has the index.
    fn usable_index(&self, table: TableId, index: &Index, at: Seq) -> Option<(&Epoch, &TableEntry, Option<u32>)> {
        let IndexState::Usable { .. } = self.index_state(table, index, at) else { return None };
        let (epoch, entry) = (self.epoch(at)?, self.catalogue.table(table)?);
        let in_step = epoch.base.index(index.id).filter(|known| known.is_in_step(entry));
        Some((epoch, entry, in_step.map(|index| index.group)))
    }

    /// Which of these rows were written behind a base, up to a position that is pinned: what an index in the base says of
    /// them does not count (H12). `None` if another base has taken the place of that one.
    #[must_use]
    pub fn written_since(&self, base: &Arc<Base>, table: TableId, keys: &[EncodedKey], at: Seq) -> Option<Vec<bool>> {
        let epoch = self.epoch(at).filter(|epoch| Arc::ptr_eq(&epoch.base, base))?;
        if is_planted(PlantedBug::StaleIndexEntry) {
            return Some(vec![false; keys.len()]);
        }
        Some(keys.iter().map(|key| epoch.overlay.at(table, key, at).is_some()).collect())
    }

    /// Whether there is an index that has not all documents yet: whose rows a checkpoint has to put in order.
    #[must_use]
    pub fn is_index_unbuilt(&self) -> bool {
        let state = |table, index| self.index_state(table, index, Seq(u64::MAX));
        let is_unbuilt = |table, index| matches!(state(table, index), IndexState::Building(_));
        self.catalogue.indexes().any(|(entry, index)| is_unbuilt(entry.id, index))
    }

    /// Whether there is a unique index of which it is not known yet whether documents that were there before it have the
    /// same values: checkpoints find out.
    #[must_use]
    pub fn is_index_unchecked(&self) -> bool {
        let Epoch { base, overlay, .. } = &self.present;
        let is_unchecked = |table, index: &Index| match base.index(index.id) {
            Some(known) => known.unchecked_since.is_some(),
            None => overlay.size(table).0 > 0,
        };
        self.catalogue.indexes().any(|(entry, index)| index.is_unique && is_unchecked(entry.id, index))
    }
}

/// Whether tiers have anything of a table.
#[must_use]
pub fn has_any<'a>(tiers: impl IntoIterator<Item = &'a Tier>, table: TableId) -> bool {
    tiers.into_iter().any(|tier| tier.totals(run_key::group(table)) != Totals::default())
}
