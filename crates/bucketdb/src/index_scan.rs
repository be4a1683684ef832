use std::collections::{HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{Base, EncodedKey, Index, IndexBaseScan, IndexEntry, IndexRange, KeyRange, ScanRow};
use bucketdb_query::Direction;
use bytes::Bytes;

use crate::Result;
use crate::origin::View;
use crate::row_scan::RowScan;
use crate::rows::TableRef;

/// How many entries of an index are read together, at first and at most: who wants a few documents need not read many.
const FIRST_PAGE: usize = 64;
const LARGEST_PAGE: usize = 2048;

/// A stretch of an index, and in which order it is read.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) range: IndexRange,
    /// Descending: the greatest values first, and entries with the same values by their keys, from the least on.
    pub(crate) direction: Direction,
}

impl Stretch {
    /// In the order of the index.
    pub(crate) fn forward(range: IndexRange) -> Self {
        Self { range, direction: Direction::Ascending }
    }

    /// What lies behind an entry, in the order in which this is read.
    pub(crate) fn behind(self, entry: &IndexEntry) -> Vec<Self> {
        let Self { range: (start, end), direction } = self;
        if direction == Direction::Ascending {
            return vec![Self { range: (Bound::Excluded(entry.bytes.clone()), end), direction }];
        }
        let (values, values_end) = Index::range_of_values(entry.values());
        let rest = Self::forward((Bound::Excluded(entry.bytes.clone()), values_end));
        vec![rest, Self { range: (start, below(values)), direction }]
    }
}

/// Where that ends which lies before a start.
fn below(start: Bound<Bytes>) -> Bound<Bytes> {
    match start {
        Bound::Included(start) => Bound::Excluded(start),
        open => open,
    }
}

/// Reads the entries of an index in some stretches of it at one moment: those of the last checkpoint, except of rows that
/// were written since, and those of these rows (H12).
pub(crate) struct IndexScan {
    pub(crate) view: View,
    pub(crate) table: TableRef,
    pub(crate) index: Index,
    stretches: VecDeque<Stretch>,
    open: Option<OpenRange>,
    page_entries: usize,
    /// So many entries with the same values are kept in memory to be turned round.
    most_tied: usize,
    /// Documents that have ended by then are passed over; `None` if they have no end.
    ended_ms: Option<u64>,
}

/// The stretch that is being read.
struct OpenRange {
    base: Arc<Base>,
    scan: Option<IndexBaseScan>,
    /// Of rows that were written since, not given yet.
    written: VecDeque<IndexEntry>,
    /// Entries with the least values that were read backwards, of which there may be more.
    tied: Vec<IndexEntry>,
}

impl IndexScan {
    /// # Errors
    /// If the transaction that reads has ended.
    pub(crate) fn new(view: View, table: TableRef, index: Index, stretches: Vec<Stretch>) -> Result<Self> {
        if let Some(transaction) = &view.transaction {
            // What would become part of the answer may have any key.
            transaction.note_range(None, KeyRange::all(table.id))?;
        }
        let ended_ms = view.moment.expiry(table.id)?.map(|expiry| expiry.now_ms());
        let (stretches, page_entries, most_tied) = (stretches.into(), FIRST_PAGE, LARGEST_PAGE);
        Ok(Self { view, table, index, stretches, open: None, page_entries, most_tied, ended_ms })
    }

    /// The next entries, in order; none in the end.
    pub(crate) async fn next_page(&mut self) -> Result<Vec<IndexEntry>> {
        loop {
            let Some(stretch) = self.stretches.front_mut() else { return Ok(Vec::new()) };
            let is_forward = stretch.direction == Direction::Ascending;
            if self.open.is_none() {
                let (table, index, range) = (self.table.id, &self.index, &stretch.range);
                let page = self.view.moment.index_page(table, index, range)?;
                // The position was given up, or the index is no more since the query was planned.
                let page = page.ok_or_else(|| self.view.moment.expired())?;
                let begin = if is_forward { IndexBaseScan::new } else { IndexBaseScan::reverse };
                let scan = page.group.map(|group| begin(&page.base, group, range));
                let written = page.entries.into();
                self.open = Some(OpenRange { base: page.base, scan, written, tied: Vec::new() });
            }
            let Some(open) = &mut self.open else { continue };
            let mut entries = Vec::new();
            if let Some(scan) = &mut open.scan {
                while entries.len() < self.page_entries {
                    match scan.next().await {
                        Err(error) => return Err(self.view.moment.explain(error).await),
                        Ok(Some(entry)) => entries.push(entry),
                        Ok(None) => {
                            open.scan = None;
                            break;
                        }
                    }
                }
            }
            self.page_entries = (2 * self.page_entries).min(LARGEST_PAGE);
            let keys: Vec<EncodedKey> = entries.iter().map(IndexEntry::key).collect();
            let (base, table) = (&open.base, self.table.id);
            let written = self.view.moment.read(|documents, at| documents.written_since(base, table, &keys, at))?;
            let Some(written) = written else {
                // There was a checkpoint, and what was written since the one before is in other runs now. What was given does
                // not lie in the stretch any more.
                self.open = None;
                continue;
            };
            // What was written lies between what is in the base: up to where that was read.
            let up_to = entries.last().filter(|_| open.scan.is_some()).cloned();
            let mut page: Vec<IndexEntry> = entries
                .into_iter()
                .zip(written)
                .filter(|(_, is_written)| !is_written)
                .map(|(entry, _)| entry)
                .collect();
            open.take_written(up_to.as_ref(), is_forward, &mut page);
            if let Some(ended_ms) = self.ended_ms {
                page.retain(|entry| !entry.has_ended(ended_ms));
            }
            page.append(&mut open.tied);
            page.sort_unstable();
            match up_to {
                None => {
                    self.open = None;
                    self.stretches.pop_front();
                }
                Some(up_to) if is_forward => stretch.range.0 = Bound::Excluded(up_to.bytes),
                Some(up_to) => {
                    // There may be more with these values, with lesser keys.
                    let rest = page.iter().take_while(|entry| entry.values() <= up_to.values()).count();
                    open.tied = page.drain(..rest).collect();
                    let values = Index::range_of_values(up_to.values());
                    if !page.is_empty() {
                        stretch.range.1 = values.1;
                    } else if open.tied.len() > self.most_tied {
                        // None of them was given: they are read in their own order, and then those before them.
                        let Stretch { range: (start, end), .. } = stretch;
                        let tied = Stretch::forward((values.0.clone(), end.clone()));
                        let before = (start.clone(), below(values.0));
                        *stretch = Stretch { range: before, direction: Direction::Descending };
                        self.stretches.push_front(tied);
                        self.open = None;
                    }
                }
            }
            if !is_forward {
                by_values_descending(&mut page);
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }
}

impl OpenRange {
    /// Takes what was written, up to an entry or all.
    fn take_written(&mut self, up_to: Option<&IndexEntry>, is_forward: bool, page: &mut Vec<IndexEntry>) {
        if is_forward {
            let is_due = |entry: &mut IndexEntry| up_to.is_none_or(|up_to| &*entry <= up_to);
            while let Some(entry) = self.written.pop_front_if(is_due) {
                page.push(entry);
            }
        } else {
            let is_due = |entry: &mut IndexEntry| up_to.is_none_or(|up_to| &*entry >= up_to);
            while let Some(entry) = self.written.pop_back_if(is_due) {
                page.push(entry);
            }
        }
    }
}

/// Turns the order of sorted entries round, but of those with the same values.
fn by_values_descending(entries: &mut [IndexEntry]) {
    entries.reverse();
    for tied in entries.chunk_by_mut(|first, second| first.values() == second.values()) {
        tied.reverse();
    }
}

/// The rows that an index leads to.
pub(crate) struct IndexRows {
    scan: IndexScan,
    order: RowOrder,
    /// Found and not read yet, in the order in which they are given.
    keys: VecDeque<EncodedKey>,
    rows: VecDeque<ScanRow>,
    batch_rows: usize,
    /// What was given already, where a document may be in the index more than once.
    given: Option<HashSet<EncodedKey>>,
    /// Only documents with keys behind this one.
    behind: Option<EncodedKey>,
    is_over: bool,
    /// So many keys are gathered at most.
    most_keys: usize,
    /// What is read instead once there are more.
    instead: Option<Box<RowScan>>,
}

/// In which order rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// As in the index. Rows are read while entries are.
    Index,
    /// By their keys. The keys of all are gathered first; if they are too many, all documents of the table are read instead,
    /// of which whoever asks takes those that it wants.
    Key,
}

/// So many keys of documents may be in memory for one query.
pub(crate) const MOST_KEYS: usize = 200_000;

/// How many rows are read together, at first and at most.
const FIRST_ROWS: usize = 16;
const MOST_ROWS: usize = 1024;

/// And at first where all are wanted.
pub(crate) const FIRST_OF_ALL: usize = 256;

impl IndexRows {
    /// # Errors
    /// If the transaction that reads has ended.
    pub(crate) fn new(
        view: View,
        table: TableRef,
        index: Index,
        stretches: Vec<Stretch>,
        order: RowOrder,
    ) -> Result<Self> {
        let given = (index.is_multiple() || stretches.len() > 1).then(HashSet::new);
        let scan = IndexScan::new(view, table, index, stretches)?;
        let (keys, rows) = (VecDeque::new(), VecDeque::new());
        Ok(Self {
            scan,
            order,
            keys,
            rows,
            batch_rows: FIRST_ROWS,
            given,
            behind: None,
            is_over: false,
            most_keys: MOST_KEYS,
            instead: None,
        })
    }

    /// Without documents whose keys are not behind this one.
    pub(crate) fn behind(mut self, key: Option<EncodedKey>) -> Self {
        self.behind = key;
        self
    }

    /// So many rows are wanted, or more if not all of them are.
    pub(crate) fn expecting(mut self, rows: Option<usize>, is_filtered: bool) -> Self {
        let least = if is_filtered { FIRST_ROWS } else { 1 };
        self.batch_rows = rows.map_or(FIRST_OF_ALL, |rows| rows.clamp(least, MOST_ROWS));
        self.scan.page_entries = rows.map_or(FIRST_PAGE, |rows| rows.clamp(least, FIRST_PAGE));
        self
    }

    pub(crate) async fn next(&mut self) -> Result<Option<ScanRow>> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Ok(Some(row));
            }
            self.fill_keys().await?;
            if let Some(instead) = &mut self.instead {
                return instead.next().await;
            }
            let count = self.batch_rows.min(self.keys.len());
            if count == 0 {
                return Ok(None);
            }
            self.batch_rows = (2 * self.batch_rows).min(MOST_ROWS);
            let keys: Vec<EncodedKey> = self.keys.drain(..count).collect();
            let found = self.scan.view.moment.get_many(self.scan.table.id, &keys).await?;
            let rows = keys.into_iter().zip(found);
            // An entry without its row cannot be; if it were, there would be nothing to give.
            self.rows = rows.filter_map(|(key, found)| Some(ScanRow { key, row: found?.row })).collect();
        }
    }

    async fn fill_keys(&mut self) -> Result<()> {
        while !self.is_over && (self.keys.is_empty() || self.order == RowOrder::Key) {
            let page = self.scan.next_page().await?;
            self.is_over = page.is_empty();
            for key in page.iter().map(IndexEntry::key) {
                let is_wanted = self.behind.as_ref().is_none_or(|behind| key > *behind);
                let is_new = is_wanted && self.given.as_mut().is_none_or(|given| given.insert(key.clone()));
                if is_new {
                    self.keys.push_back(key);
                }
            }
            if self.order == RowOrder::Key && self.keys.len() > self.most_keys {
                (self.keys, self.given, self.is_over) = (VecDeque::new(), None, true);
                let all = KeyRange::all(self.scan.table.id);
                self.instead = Some(Box::new(RowScan::live(self.scan.view.clone(), all)?));
                return Ok(());
            }
            if self.is_over && self.order == RowOrder::Key {
                self.keys.make_contiguous().sort_unstable();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bucketdb_documents::Documents;
    use serde_json::json;

    use super::*;
    use crate::origin::Origin;
    use crate::{Database, Freshness, MemoryDriver};

    /// The numbers of the rows that an index leads to that has no more memory than for so many keys.
    async fn read(db: &Database, most_keys: usize) -> Vec<u64> {
        let view = Origin::Live(db.clone(), Freshness::Local).open().await.unwrap();
        let table = view.find("t").unwrap().unwrap();
        let index = |documents: &Documents, _| documents.catalogue().table(table.id).unwrap().indexes()[0].clone();
        let index = view.moment.read(index).unwrap();
        let everything = vec![Stretch::forward((Bound::Unbounded, Bound::Unbounded))];
        let mut rows = IndexRows::new(view.clone(), table.clone(), index, everything, RowOrder::Key).unwrap();
        rows.most_keys = most_keys;
        let mut found = Vec::new();
        while let Some(row) = rows.next().await.unwrap() {
            let document: serde_json::Value = table.decode(&row.key, &row.row).unwrap();
            found.push(document["id"].as_u64().unwrap());
        }
        assert_eq!(rows.instead.is_some(), most_keys < 500);
        found
    }

    /// The numbers of documents in an order of the index over `value`, read in small pages, with ties of so many kept.
    async fn scan(db: &Database, stretch: Stretch, most_tied: usize) -> Vec<u64> {
        let view = Origin::Live(db.clone(), Freshness::Local).open().await.unwrap();
        let table = view.find("t").unwrap().unwrap();
        let index = |documents: &Documents, _| documents.catalogue().table(table.id).unwrap().indexes()[0].clone();
        let index = view.moment.read(index).unwrap();
        let mut scan = IndexScan::new(view.clone(), table.clone(), index, vec![stretch]).unwrap();
        (scan.page_entries, scan.most_tied) = (3, most_tied);
        let mut found = Vec::new();
        loop {
            scan.page_entries = scan.page_entries.min(9);
            let page = scan.next_page().await.unwrap();
            if page.is_empty() {
                return found;
            }
            let number = |entry: &IndexEntry| match entry.key().parts().unwrap()[0] {
                bucketdb_documents::KeyPart::Integer(number) => number as u64,
                _ => unreachable!(),
            };
            found.extend(page.iter().map(number));
        }
    }

    /// Backwards, entries with the same values come by their keys, be they few or many, in runs or written since.
    #[tokio::test]
    async fn an_index_read_backwards_keeps_ties_in_the_order_of_keys() {
        let db = Database::builder().driver(MemoryDriver::new()).open().await.unwrap();
        let things = db.collection("t");
        things.put(&json!({"id": 0, "value": 0})).await.unwrap();
        things.create_index("value").await.unwrap();
        let value = |id: u64| match id {
            0..40 => 7 * id % 40,
            40..90 => 5,
            90..200 => id % 3,
            _ => 17,
        };
        let mut expected: Vec<u64> = (0..230).collect();
        expected.sort_by_key(|id| (std::cmp::Reverse(value(*id)), *id));
        let backwards = || Stretch { range: (Bound::Unbounded, Bound::Unbounded), direction: Direction::Descending };
        for checkpoint_at in [1, 120, 229] {
            let mut batch = db.batch();
            for id in 0..checkpoint_at {
                batch.put_into(&things, &json!({"id": id, "value": value(id)})).unwrap();
            }
            batch.commit().await.unwrap();
            db.checkpoint().await.unwrap();
            let mut batch = db.batch();
            for id in checkpoint_at..230 {
                batch.put_into(&things, &json!({"id": id, "value": value(id)})).unwrap();
            }
            // These are where they were.
            for id in (0..checkpoint_at).step_by(11) {
                batch.put_into(&things, &json!({"id": id, "value": value(id)})).unwrap();
            }
            batch.commit().await.unwrap();
            for most_tied in [1, 4, 30, 1000] {
                assert_eq!(scan(&db, backwards(), most_tied).await, expected, "{checkpoint_at}, {most_tied}");
            }
            // From behind any document on.
            let entries = scan_entries(&db).await;
            for (place, id) in expected.iter().enumerate().step_by(7) {
                let after = entries.iter().find(|entry| entry.0 == *id).unwrap();
                let mut found = Vec::new();
                for stretch in backwards().behind(&after.1) {
                    found.extend(scan(&db, stretch, 4).await);
                }
                assert_eq!(found, expected[place + 1..], "behind {id}, {checkpoint_at}");
            }
        }
    }

    async fn scan_entries(db: &Database) -> Vec<(u64, IndexEntry)> {
        let view = Origin::Live(db.clone(), Freshness::Local).open().await.unwrap();
        let table = view.find("t").unwrap().unwrap();
        let index = |documents: &Documents, _| documents.catalogue().table(table.id).unwrap().indexes()[0].clone();
        let index = view.moment.read(index).unwrap();
        let everything = vec![Stretch::forward((Bound::Unbounded, Bound::Unbounded))];
        let mut scan = IndexScan::new(view.clone(), table.clone(), index, everything).unwrap();
        let mut all = Vec::new();
        loop {
            let page = scan.next_page().await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page.into_iter().map(|entry| match entry.key().parts().unwrap()[0] {
                bucketdb_documents::KeyPart::Integer(number) => (number as u64, entry),
                _ => unreachable!(),
            }));
        }
    }

    #[tokio::test]
    async fn keys_that_are_too_many_are_not_kept() {
        let db = Database::builder().driver(MemoryDriver::new()).open().await.unwrap();
        let things = db.collection("t");
        let mut batch = db.batch();
        things.put(&json!({"id": 0, "value": 0})).await.unwrap();
        for id in 0..500_u64 {
            batch.put_into(&things, &json!({"id": id, "value": 7 * id % 500})).unwrap();
        }
        batch.commit().await.unwrap();
        things.create_index("value").await.unwrap();
        let all: Vec<u64> = (0..500).collect();
        for is_in_runs in [false, true] {
            if is_in_runs {
                db.checkpoint().await.unwrap();
            }
            assert_eq!(read(&db, 500).await, all);
            assert_eq!(read(&db, 499).await, all);
        }
    }
}
