use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{
    Base, BaseIndex, Catalogue, Documents, EncodedKey, Index, IndexBaseScan, IndexBuilt, IndexEntry, IndexValues,
    KeyRange, RunLookup, Scan, TableEntry, TableId, WrittenRow, index_run_entry,
};
use bucketdb_runs::RunEntry;
use bytes::Bytes;

use crate::Result;
use crate::database::Inner;
use crate::moment::Moment;
use crate::origin::View;
use crate::row_scan::RowScan;

/// How many rows are read together.
const PAGE_ROWS: usize = 1024;

/// How much of an index that is being built is put in order for one checkpoint, in bytes of its entries: what a process of
/// little memory has room for.
const PIECE_BYTES: usize = 16 << 20;

/// What a checkpoint does for the indexes.
#[derive(Debug, Default)]
pub(crate) struct IndexWork {
    /// What their entries in the runs become, in order.
    pub(crate) entries: Vec<RunEntry>,
    /// What the runs have of each afterwards.
    pub(crate) indexes: Vec<BaseIndex>,
    pub(crate) next_group: u32,
    /// Whether one is not whole yet.
    pub(crate) goes_on: bool,
}

/// Puts the entries of indexes together.
pub(crate) struct IndexBuilder<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) base: &'a Arc<Base>,
    /// The tables of which something was written behind the base, bulk loads left out.
    pub(crate) written: &'a [TableId],
    /// The tables of which something was bulk-loaded behind it.
    pub(crate) loaded: &'a [TableId],
    /// What the checkpoint is to cover.
    pub(crate) moment: &'a Moment,
}

impl IndexBuilder<'_> {
    /// What the checkpoint has to do: the entries of rows that were written come and go, and of indexes that are not whole
    /// another piece is added.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub(crate) async fn build(&self) -> Result<IndexWork> {
        let mut next_group = self.base.next_group;
        let mut indexes = Vec::new();
        for (table, index) in self.catalogue.indexes() {
            indexes.push(self.begin(table.id, index, &mut next_group));
        }
        let mut work = IndexWork { entries: Vec::new(), indexes, next_group, goes_on: false };
        for table in self.written {
            self.follow_writes(*table, &mut work).await?;
        }
        self.build_piece(&mut work).await?;
        self.check_unique(&mut work).await?;
        work.entries.sort_unstable_by(|first, second| first.key.cmp(&second.key));
        work.indexes.sort_unstable_by_key(|index| index.id);
        // Whether unique ones are in order can wait for a checkpoint that is made anyhow.
        work.goes_on = work.indexes.iter().any(|index| !index.is_whole());
        Ok(work)
    }

    /// What the base has of an index; one that is new, or out of step with rows that were bulk-loaded, begins anew.
    fn begin(&self, table: TableId, index: &Index, next_group: &mut u32) -> BaseIndex {
        let is_loaded = self.loaded.contains(&table);
        if let Some(known) = self.base.index(index.id).filter(|_| !is_loaded) {
            return known.clone();
        }
        let group = *next_group;
        *next_group += 1;
        let built = match self.base.has_nothing_of(table) && !is_loaded {
            true => IndexBuilt::Whole,
            false => IndexBuilt::UpTo(None),
        };
        // What was written before the index was created may have the same values twice.
        let is_unchecked = index.is_unique && built == IndexBuilt::Whole;
        let unchecked_since = is_unchecked.then(|| self.moment.seq());
        BaseIndex { id: index.id, group, built, has_cut_values: false, unchecked_since, duplicate: None }
    }

    /// The indexes of a table with what the base has of them.
    fn of_table<'w>(&self, table: TableId, work: &'w mut IndexWork) -> Vec<(&Index, &'w mut BaseIndex)> {
        let indexes = self.catalogue.table(table).map(|entry| entry.indexes()).unwrap_or_default();
        let by_id: BTreeMap<_, _> = indexes.iter().map(|index| (index.id, index)).collect();
        work.indexes.iter_mut().filter_map(|known| by_id.get(&known.id).map(|index| (*index, known))).collect()
    }

    /// Notes what the rows that were written since the base have in the indexes instead of what they had.
    async fn follow_writes(&self, table: TableId, work: &mut IndexWork) -> Result<()> {
        if self.of_table(table, work).iter().all(|(_, known)| known.built == IndexBuilt::UpTo(None)) {
            return Ok(());
        }
        let Some(layouts) = self.catalogue.table(table).map(TableEntry::layouts) else { return Ok(()) };
        let mut range = KeyRange::all(table);
        loop {
            let scan = Scan { range: range.clone(), at: self.moment.seq(), limit: PAGE_ROWS };
            let page = self.moment.read(|documents, at| documents.scan(&Scan { at, ..scan }))?;
            let rows = page.ok_or_else(|| self.moment.expired())?.rows;
            let before = self.rows_before(table, &rows).await?;
            let mut entries = Vec::new();
            for (index, known) in self.of_table(table, work) {
                let is_written = |key: &EncodedKey| rows.iter().any(|row| row.key == *key);
                if known.duplicate.as_ref().is_some_and(|(first, second)| is_written(first) || is_written(second)) {
                    // They may not have the same values any more, and there may be others.
                    (known.duplicate, known.unchecked_since) = (None, Some(self.moment.seq()));
                }
                for (row, before) in rows.iter().zip(&before) {
                    if !known.has_row(&row.key) {
                        continue;
                    }
                    let places =
                        |row: Option<&Bytes>| row.map(|row| index.values_of_row(row, &layouts)).unwrap_or_default();
                    let (old, new) = (places(before.as_ref()), places(row.row.as_ref()));
                    known.has_cut_values |= new.iter().any(|values| values.is_cut);
                    let entry = |values: &IndexValues, is_there| {
                        let entry = IndexEntry::new(&values.bytes, &row.key);
                        index_run_entry(known.group, &entry, is_there, row.version)
                    };
                    entries.extend(old.difference(&new).map(|values| entry(values, false)));
                    entries.extend(new.difference(&old).map(|values| entry(values, true)));
                }
            }
            work.entries.extend(entries);
            let Some(last) = rows.last().filter(|_| rows.len() == PAGE_ROWS) else { return Ok(()) };
            range.start = Bound::Excluded(last.key.clone());
        }
    }

    /// What the base has of rows that were written again.
    async fn rows_before(&self, table: TableId, rows: &[WrittenRow]) -> Result<Vec<Option<Bytes>>> {
        if self.base.has_nothing_of(table) {
            return Ok(vec![None; rows.len()]);
        }
        let lookups: Vec<RunLookup> = rows.iter().map(|row| RunLookup::in_base(self.base, table, &row.key)).collect();
        let found = RunLookup::get_many(&lookups).await.map_err(|error| self.moment.explain(error))?;
        Ok(found.into_iter().map(|found| found.map(|found| found.row)).collect())
    }

    /// Puts the next rows of a table into those of its indexes that have come equally far.
    async fn build_piece(&self, work: &mut IndexWork) -> Result<()> {
        let is_unbuilt = |index: &&BaseIndex| !index.is_whole();
        let Some(first) = work.indexes.iter().find(is_unbuilt).cloned() else { return Ok(()) };
        let Some((table, _)) = self.catalogue.indexes().find(|(_, index)| index.id == first.id) else {
            return Ok(());
        };
        let mut range = KeyRange::all(table.id);
        if let IndexBuilt::UpTo(Some(last)) = &first.built {
            range.start = Bound::Excluded(last.clone());
        }
        let layouts = table.layouts();
        let view = View { moment: self.moment.clone(), transaction: None };
        let mut rows = RowScan::new(view, range)?;
        let mut together = self.of_table(table.id, work);
        together.retain(|(_, known)| known.built == first.built);
        let (mut entries, mut size_bytes, mut last) = (Vec::new(), 0, None);
        while let Some(row) = rows.next().await? {
            for (index, known) in &mut together {
                for values in index.values_of_row(&row.row, &layouts) {
                    known.has_cut_values |= values.is_cut;
                    let entry = IndexEntry::new(&values.bytes, &row.key);
                    size_bytes += entry.bytes.len();
                    entries.push(index_run_entry(known.group, &entry, true, self.moment.seq()));
                }
            }
            if size_bytes >= PIECE_BYTES {
                last = Some(row.key);
                break;
            }
        }
        for (index, known) in together {
            known.built = match &last {
                Some(last) => IndexBuilt::UpTo(Some(last.clone())),
                None => IndexBuilt::Whole,
            };
            known.unchecked_since = (index.is_unique && last.is_none()).then(|| self.moment.seq());
        }
        work.entries.append(&mut entries);
        Ok(())
    }

    /// Looks whether a unique index that was built has the same values twice. Not before everything is in the base that
    /// was written by those who did not know yet that it is whole: by all before the checkpoint that built it.
    async fn check_unique(&self, work: &mut IndexWork) -> Result<()> {
        let is_due = |index: &&mut BaseIndex| index.unchecked_since.is_some_and(|since| self.base.covers > since);
        for known in work.indexes.iter_mut().filter(is_due) {
            let everything = (Bound::Unbounded, Bound::Unbounded);
            let mut scan = IndexBaseScan::new(self.base, known.group, &everything);
            let Some((_, index)) = self.catalogue.indexes().find(|(_, index)| index.id == known.id) else { continue };
            let mut before: Option<IndexEntry> = None;
            known.duplicate = None;
            while let Some(entry) = scan.next().await.map_err(|error| self.moment.explain(error))? {
                if let Some(before) = before.filter(|before| before.values() == entry.values())
                    && !index.is_exempt(entry.values())
                {
                    known.duplicate = Some((before.key(), entry.key()));
                    break;
                }
                before = Some(entry);
            }
            known.unchecked_since = None;
        }
        Ok(())
    }
}

impl Inner {
    /// Makes checkpoints until the indexes are whole, and unique ones looked at.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn build_indexes(self: &Arc<Self>) -> Result<()> {
        loop {
            let is_left = |documents: &Documents, _| documents.is_index_unbuilt() || documents.is_index_unchecked();
            if !self.log.read(is_left)? {
                return Ok(());
            }
            let round = self.checkpoint(crate::checkpoint::Goal::Keep).await?;
            if round.covers.is_none() {
                self.log.refresh(bucketdb_log::Freshness::Strict).await?;
            }
        }
    }
}
