use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{
    BaseIndex, Index, IndexBaseScan, IndexEntry, KeyRange, Layouts, TableId, Ttl, indexed_document,
};
use bucketdb_log::format::chain_hash;

use crate::Result;
use crate::moment::Moment;
use crate::origin::View;
use crate::row_scan::RowScan;

/// What a number of entries comes to, in whatever order: how many, and the sum of their hashes. An entry that is missing, or
/// one too many, changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    entries: u64,
    hashes: u128,
}

impl Sum {
    fn add(&mut self, entry: &IndexEntry) {
        self.entries += 1;
        self.hashes = self.hashes.wrapping_add(u128::from_le_bytes(chain_hash(&entry.bytes).0));
        self.hashes = self.hashes.wrapping_add(entry.ends_ms.map_or(0, |ends_ms| u128::from(ends_ms) << 32));
    }
}

/// The indexes of a table that do not have what its rows say, in a state that is a checkpoint and nothing behind it.
pub(super) async fn wrong_indexes(
    moment: &Moment,
    (table, ttl): (TableId, Option<Arc<Ttl>>),
    layouts: &Layouts,
    indexes: &[Index],
) -> Result<Vec<String>> {
    let base = moment.read(|documents, _| documents.base().clone())?;
    // One whose entries do not say yet when documents end is built anew.
    let field = ttl.as_ref().map(|ttl| ttl.field()).unwrap_or_default();
    let in_step = |index| base.index(index).filter(|known| known.ttl == field);
    let in_base: Vec<(&Index, &BaseIndex)> =
        indexes.iter().filter_map(|index| Some((index, in_step(index.id)?))).collect();
    let mut expected = vec![Sum::default(); in_base.len()];
    let mut rows = RowScan::live(View { moment: moment.clone(), transaction: None }, KeyRange::all(table))?;
    while let Some(row) = rows.next().await? {
        let ends_ms = ttl.as_ref().and_then(|ttl| ttl.ends_ms(&row.row));
        let document = indexed_document(&row.row, layouts, in_base.iter().map(|(index, _)| *index));
        for ((index, known), sum) in in_base.iter().zip(&mut expected) {
            if known.has_row(&row.key) {
                for values in index.values(&document) {
                    sum.add(&IndexEntry::new(&values.bytes, &row.key).ending(ends_ms));
                }
            }
        }
    }
    let mut wrong = Vec::new();
    for ((index, known), expected) in in_base.into_iter().zip(expected) {
        let mut found = Sum::default();
        let mut scan = IndexBaseScan::new(&base, known.group, &(Bound::Unbounded, Bound::Unbounded));
        let mut last: Option<IndexEntry> = None;
        let mut is_in_order = true;
        while let Some(entry) = scan.next().await? {
            if entry.has_ended(base.ended_ms) {
                continue;
            }
            is_in_order &= last.is_none_or(|last| last < entry);
            found.add(&entry);
            last = Some(entry);
        }
        if found != expected || !is_in_order {
            wrong.push(index.order.to_string());
        }
    }
    Ok(wrong)
}
