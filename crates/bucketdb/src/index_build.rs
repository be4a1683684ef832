use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{
    Base, BaseIndex, Catalogue, Documents, EncodedKey, Index, IndexBaseScan, IndexBuilt, IndexEntry, IndexValues,
    KeyRange, RunLookup, TableEntry, TableId, Ttl, index_run_entry, indexed_document,
};
use bucketdb_runs::RunEntry;
use bytes::Bytes;
use serde_json::Value;

use crate::Result;
use crate::database::Inner;
use crate::moment::Moment;
use crate::origin::View;
use crate::row_scan::RowScan;
use crate::written::Written;

/// How much of the indexes that are being built, or looked at, one checkpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexPiece {
    /// So many bytes of entries are put in order: what a process of little memory has room for.
    pub(crate) entry_bytes: usize,
    /// So many bytes of rows, or of entries, are read at most, so that a checkpoint does not take long, whatever the size of
    /// the documents.
    pub(crate) read_bytes: usize,
    /// So many bytes may the entries take that come and go with the rows of one table that the checkpoint writes, those of
    /// unique indexes not counted; if there are more, the table's other indexes are built anew.
    pub(crate) followed_bytes: usize,
}

impl Default for IndexPiece {
    fn default() -> Self {
        Self { entry_bytes: 16 << 20, read_bytes: 64 << 20, followed_bytes: 64 << 20 }
    }
}

/// After so many rows, about a millisecond's work, others may go on.
const ROWS_AT_A_STRETCH: u32 = 512;

/// What an entry takes in memory beside its key, about.
const ENTRY_OVERHEAD_BYTES: usize = 100;

/// Lets other tasks go on after every so many rows, which may all be in memory.
#[derive(Default)]
struct Pace {
    rows: u32,
}

impl Pace {
    async fn keep(&mut self) {
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_AT_A_STRETCH) {
            bucketdb_env::yield_now().await;
        }
    }
}

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
    /// Documents that ended up to then are left out of what the checkpoint covers, in milliseconds since 1970.
    pub(crate) ended_ms: u64,
    pub(crate) piece: IndexPiece,
    /// Whether writers wait: then nothing is done that can wait.
    pub(crate) is_pressing: bool,
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
            indexes.push(self.begin(table, index, &mut next_group));
        }
        let mut work = IndexWork { entries: Vec::new(), indexes, next_group, goes_on: false };
        for table in self.written {
            self.follow_writes(*table, &mut work).await?;
        }
        self.forget_ended_duplicates(&mut work).await?;
        if !self.is_pressing {
            self.build_piece(&mut work).await?;
            self.check_unique(&mut work).await?;
        }
        work.entries.sort_unstable_by(|first, second| first.key.cmp(&second.key));
        work.indexes.sort_unstable_by_key(|index| index.id);
        // Whether unique ones are in order can wait for a checkpoint that is made anyhow.
        work.goes_on = work.indexes.iter().any(|index| !index.is_whole());
        Ok(work)
    }

    /// What the base has of an index; one that is new, or out of step with rows that were bulk-loaded, begins anew.
    fn begin(&self, table: &TableEntry, index: &Index, next_group: &mut u32) -> BaseIndex {
        let is_loaded = self.loaded.contains(&table.id);
        let is_in_step = |known: &&BaseIndex| !is_loaded && known.is_in_step(table);
        if let Some(known) = self.base.index(index.id).filter(is_in_step) {
            return known.clone();
        }
        let mut begun = empty(table, index, next_group);
        if self.base.has_nothing_of(table.id) && !is_loaded {
            begun.built = IndexBuilt::Whole;
            // What was written before the index was created may have the same values twice.
            begun.unchecked_since = index.is_unique.then(|| self.moment.seq());
        }
        begun
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
        let Some(entry) = self.catalogue.table(table) else { return Ok(()) };
        let (layouts, ends_ms) = (entry.layouts(), ends_ms_by(entry.ttl()));
        let mut written = Written::new(self.moment, KeyRange::all(table));
        let mut entry_bytes = 0;
        while let Some(rows) = written.next_page() {
            let rows = rows?;
            let before = written.before(self.base, table, &rows).await?;
            bucketdb_env::yield_now().await;
            let mut entries: Vec<RunEntry> = Vec::new();
            let mut together = self.of_table(table, work);
            for (_, known) in &mut together {
                let is_written = |key: &EncodedKey| rows.iter().any(|row| row.key == *key);
                if known.duplicate.as_ref().is_some_and(|(first, second)| is_written(first) || is_written(second)) {
                    // They may not have the same values any more, and there may be others.
                    known.check_again(self.moment.seq());
                }
            }
            for (row, before) in rows.iter().zip(&before) {
                let indexes = || together.iter().map(|(index, _)| *index);
                let document = |row: Option<&Bytes>| row.map(|row| indexed_document(row, &layouts, indexes()));
                let (old, new) = (document(before.as_ref()), document(row.row.as_ref()));
                let (ended, ends) = (before.as_ref().and_then(&ends_ms), row.row.as_ref().and_then(&ends_ms));
                for (index, known) in together.iter_mut().filter(|(_, known)| known.has_row(&row.key)) {
                    let places = |document: &Option<Value>| {
                        document.as_ref().map(|document| index.values(document)).unwrap_or_default()
                    };
                    let (old, new) = (places(&old), places(&new));
                    known.has_cut_values |= new.iter().any(|values| values.is_cut);
                    let entry = |values: &IndexValues, is_there| {
                        let entry = IndexEntry::new(&values.bytes, &row.key).ending(ends);
                        index_run_entry(known.group, &entry, is_there, row.version)
                    };
                    let is_new = |values: &&IndexValues| ended != ends || !old.contains(*values);
                    let before = entries.len();
                    entries.extend(old.difference(&new).map(|values| entry(values, false)));
                    entries.extend(new.iter().filter(is_new).map(|values| entry(values, true)));
                    if !index.is_unique {
                        let added = entries.iter().skip(before);
                        entry_bytes += added.map(|entry| entry.key.len() + ENTRY_OVERHEAD_BYTES).sum::<usize>();
                    }
                }
            }
            work.entries.extend(entries);
            if entry_bytes > self.piece.followed_bytes {
                self.begin_anew(entry, work);
            }
        }
        Ok(())
    }

    /// Has the indexes of a table built piece by piece, of whose rows more was written than one checkpoint has room for. Not
    /// those that are unique: they would refuse nothing until they are built.
    fn begin_anew(&self, table: &TableEntry, work: &mut IndexWork) {
        let mut next_group = work.next_group;
        for (index, known) in self.of_table(table.id, work).into_iter().filter(|(index, _)| !index.is_unique) {
            *known = empty(table, index, &mut next_group);
        }
        work.next_group = next_group;
        let indexes = &work.indexes;
        work.entries.retain(|entry| !Base::is_abandoned(indexes, &entry.key));
    }

    /// Of two documents that had the same values, one may have ended, which nobody writes.
    async fn forget_ended_duplicates(&self, work: &mut IndexWork) -> Result<()> {
        for (table, index) in self.catalogue.indexes() {
            let Some(ttl) = table.ttl() else { continue };
            let Some(known) = work.indexes.iter_mut().find(|known| known.id == index.id) else { continue };
            let Some((first, second)) = known.duplicate.clone() else { continue };
            let lookups = [&first, &second].map(|key| RunLookup::in_base(self.base, table.id, key));
            let found = self.moment.explained(RunLookup::get_many(&lookups).await).await?;
            let has_ended = |row: &Bytes| ttl.ends_ms(row).is_some_and(|ends_ms| ends_ms <= self.ended_ms);
            if found.iter().any(|found| found.as_ref().is_none_or(|found| has_ended(&found.row))) {
                known.check_again(self.moment.seq());
            }
        }
        Ok(())
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
        let (layouts, ends_ms) = (table.layouts(), ends_ms_by(table.ttl()));
        let view = View { moment: self.moment.clone(), transaction: None };
        let mut rows = RowScan::new(view, range)?;
        let mut together = self.of_table(table.id, work);
        together.retain(|(_, known)| known.built == first.built);
        let (mut entries, mut size_bytes, mut read_bytes, mut last) = (Vec::new(), 0, 0, None);
        let mut read_rows = 0;
        let mut pace = Pace::default();
        while let Some(row) = rows.next().await? {
            pace.keep().await;
            read_bytes += row.row.len();
            read_rows += 1;
            let indexes = together.iter().map(|(index, _)| *index);
            let (document, ends) = (indexed_document(&row.row, &layouts, indexes), ends_ms(&row.row));
            for (index, known) in &mut together {
                for values in index.values(&document) {
                    known.has_cut_values |= values.is_cut;
                    let entry = IndexEntry::new(&values.bytes, &row.key).ending(ends);
                    size_bytes += entry.bytes.len();
                    entries.push(index_run_entry(known.group, &entry, true, self.moment.seq()));
                }
            }
            if size_bytes >= self.piece.entry_bytes || read_bytes >= self.piece.read_bytes {
                last = Some(row.key);
                break;
            }
        }
        for (index, known) in together {
            (known.built, known.rows) = match &last {
                Some(last) => (IndexBuilt::UpTo(Some(last.clone())), first.rows + read_rows),
                None => (IndexBuilt::Whole, 0),
            };
            known.unchecked_since = (index.is_unique && last.is_none()).then(|| self.moment.seq());
        }
        work.entries.append(&mut entries);
        Ok(())
    }

    /// Looks whether a unique index that was built has the same values twice, in as many checkpoints as it takes. Not before
    /// everything is in the base that was written by those who did not know yet that it is whole: by all before the
    /// checkpoint that built it. What is written later is refused if it is there already, so what was looked at stays true.
    async fn check_unique(&self, work: &mut IndexWork) -> Result<()> {
        let is_due = |index: &&mut BaseIndex| index.unchecked_since.is_some_and(|since| self.base.covers > since);
        let (mut read_bytes, mut pace) = (0, Pace::default());
        for known in work.indexes.iter_mut().filter(is_due) {
            let Some((_, index)) = self.catalogue.indexes().find(|(_, index)| index.id == known.id) else { continue };
            // The last one that was looked at once more, for the sake of the one behind it.
            let start = known.checked_up_to.take().map_or(Bound::Unbounded, Bound::Included);
            let mut scan = IndexBaseScan::new(self.base, known.group, &(start, Bound::Unbounded));
            let mut before: Option<IndexEntry> = None;
            let since = known.unchecked_since.take();
            known.duplicate = None;
            loop {
                let entry = match scan.next().await {
                    Ok(Some(entry)) => entry,
                    Ok(None) => break,
                    Err(error) => return Err(self.moment.explain(error).await),
                };
                pace.keep().await;
                read_bytes += entry.bytes.len();
                if entry.has_ended(self.ended_ms) {
                    continue;
                }
                if let Some(before) = before.filter(|before| before.values() == entry.values())
                    && !index.is_exempt(entry.values())
                {
                    known.duplicate = Some((before.key(), entry.key()));
                    break;
                }
                if read_bytes >= self.piece.read_bytes {
                    (known.unchecked_since, known.checked_up_to) = (since, Some(entry.bytes));
                    return Ok(());
                }
                before = Some(entry);
            }
        }
        Ok(())
    }
}

/// An index that has nothing yet, in a group of its own.
fn empty(table: &TableEntry, index: &Index, next_group: &mut u32) -> BaseIndex {
    let group = *next_group;
    *next_group += 1;
    BaseIndex {
        id: index.id,
        group,
        built: IndexBuilt::UpTo(None),
        rows: 0,
        has_cut_values: false,
        unchecked_since: None,
        checked_up_to: None,
        ttl: table.ttl().map(|ttl| ttl.field()).unwrap_or_default(),
        duplicate: None,
    }
}

/// When rows of a table end, in milliseconds since 1970.
fn ends_ms_by(ttl: Option<&Arc<Ttl>>) -> impl Fn(&Bytes) -> Option<u64> {
    let ttl = ttl.cloned();
    move |row| ttl.as_ref()?.ends_ms(row)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Database, Error, MemoryDriver};

    /// A database whose checkpoints do little, with things of these numbers, in runs, and one of the number 0.
    async fn with_numbers(piece: IndexPiece, numbers: impl Iterator<Item = u64>) -> Database {
        let mut builder = Database::builder().driver(MemoryDriver::new());
        builder.index_piece = piece;
        let db = builder.open().await.unwrap();
        db.collection("things").put(&json!({"id": 0, "number": 0})).await.unwrap();
        put(&db, numbers).await;
        db.checkpoint().await.unwrap();
        db
    }

    /// Gives things these numbers, from the one with the id 1 on.
    async fn put(db: &Database, numbers: impl Iterator<Item = u64>) {
        let things = db.collection("things");
        let mut batch = db.batch();
        for (at, number) in numbers.enumerate() {
            batch.put_into(&things, &json!({"id": at as u64 + 1, "number": number})).unwrap();
        }
        batch.commit().await.unwrap();
    }

    /// The documents that are found to have the same values where a checkpoint looks at a few entries only, and how many
    /// checkpoints it took.
    async fn duplicate(numbers: impl Iterator<Item = u64>) -> (Option<(String, String)>, u64) {
        let piece = IndexPiece { entry_bytes: 256, read_bytes: 512, ..IndexPiece::default() };
        let db = with_numbers(piece, numbers).await;
        let before = db.stats().unwrap().position;
        db.create_unique_index("things", "number").await.unwrap();
        let found = match db.build_indexes().await {
            Ok(()) => None,
            Err(Error::UniqueViolation { holder, key, .. }) => Some((holder, key)),
            Err(error) => unreachable!("{error}"),
        };
        assert!(db.verify(|_| {}).await.unwrap().is_clean());
        (found, db.stats().unwrap().position.0 - before.0)
    }

    #[tokio::test]
    async fn duplicates_are_found_wherever_a_piece_ends() {
        let (found, checkpoints) = duplicate(1..200).await;
        assert!(found.is_none() && checkpoints > 15, "{found:?} after {checkpoints} checkpoints");
        for twice in [1, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 198] {
            // The last document has a number that is somewhere in the middle of the index.
            let (found, _) = duplicate((1..200).chain([twice])).await;
            assert_eq!(found, Some((twice.to_string(), "200".to_owned())));
        }
    }

    #[tokio::test]
    async fn what_is_too_much_to_follow_is_built_anew() {
        let piece = IndexPiece { entry_bytes: 1_000, followed_bytes: 5_000, ..IndexPiece::default() };
        let db = with_numbers(piece, 1..200).await;
        db.create_index("things", "number").await.unwrap();
        db.create_unique_index("things", "number, id").await.unwrap();
        db.build_indexes().await.unwrap();
        let group_of = |index: usize| db.inner.log.read(|documents, _| documents.base().indexes[index].group).unwrap();
        let (group, unique) = (|| group_of(0), group_of(1));
        let by_index = async || db.collection("things").query().by_index("number").count().await;
        let first = group();
        put(&db, 300..305).await;
        db.checkpoint().await.unwrap();
        assert_eq!((group(), by_index().await.unwrap()), (first, 200), "a little is followed");
        put(&db, 400..599).await;
        db.checkpoint().await.unwrap();
        assert!(group() > first, "much is not");
        assert!(matches!(by_index().await, Err(Error::UnknownIndex { .. })), "it has not all rows yet");
        assert_eq!(group_of(1), unique, "what is unique is, however much is written");
        assert_eq!(db.collection("things").query().by_index("number, id").count().await.unwrap(), 200);
        assert!(db.verify(|_| {}).await.unwrap().is_clean());
        db.build_indexes().await.unwrap();
        assert_eq!(by_index().await.unwrap(), 200);
        assert!(db.verify(|_| {}).await.unwrap().is_clean());
    }
}
