use std::collections::VecDeque;

use bucketdb_documents::{EncodedKey, Index, IndexEntry, IndexRange, ScanRow};

use crate::Result;
use crate::index_scan::{FIRST_OF_ALL, IndexScan, Stretch};
use crate::origin::View;
use crate::rows::TableRef;

/// The rows to which several indexes lead, each by one place in it: by their keys, which lie in order in such a place. So
/// the places are read side by side, and only rows whose keys are in all of them are read.
pub(crate) struct CommonRows {
    places: Vec<Place>,
    rows: VecDeque<ScanRow>,
    batch_rows: usize,
}

/// What one index has in one place.
struct Place {
    scan: IndexScan,
    keys: VecDeque<EncodedKey>,
}

/// How many rows are read together, at first and at most.
const FIRST_ROWS: usize = 16;
const MOST_ROWS: usize = 1024;

impl CommonRows {
    /// # Errors
    /// If the transaction that reads has ended.
    pub(crate) fn new(view: &View, table: &TableRef, places: Vec<(Index, IndexRange)>) -> Result<Self> {
        let place = |(index, range)| {
            let scan = IndexScan::new(view.clone(), table.clone(), index, vec![Stretch::forward(range)])?;
            Ok(Place { scan, keys: VecDeque::new() })
        };
        let places = places.into_iter().map(place).collect::<Result<_>>()?;
        Ok(Self { places, rows: VecDeque::new(), batch_rows: FIRST_ROWS })
    }

    /// All rows are wanted, or some.
    pub(crate) fn expecting(mut self, rows: Option<usize>) -> Self {
        self.batch_rows = if rows.is_none() { FIRST_OF_ALL } else { FIRST_ROWS };
        self
    }

    pub(crate) async fn next(&mut self) -> Result<Option<ScanRow>> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Ok(Some(row));
            }
            let mut keys = Vec::new();
            while keys.len() < self.batch_rows
                && let Some(key) = self.next_key().await?
            {
                keys.push(key);
            }
            let Some(Place { scan, .. }) = self.places.first().filter(|_| !keys.is_empty()) else { return Ok(None) };
            self.batch_rows = (2 * self.batch_rows).min(MOST_ROWS);
            let found = scan.view.moment.get_many(scan.table.id, &keys).await?;
            let rows = keys.into_iter().zip(found);
            self.rows = rows.filter_map(|(key, found)| Some(ScanRow { key, row: found?.row })).collect();
        }
    }

    /// The next key that is in all places.
    async fn next_key(&mut self) -> Result<Option<EncodedKey>> {
        let mut least: Option<EncodedKey> = None;
        loop {
            let mut is_common = true;
            for place in &mut self.places {
                let Some(first) = place.first_from(least.as_ref()).await? else { return Ok(None) };
                if least.as_ref() != Some(first) {
                    is_common &= least.is_none();
                    least = Some(first.clone());
                }
            }
            if is_common {
                for place in &mut self.places {
                    place.keys.pop_front();
                }
                return Ok(least);
            }
        }
    }
}

impl Place {
    /// The first key that is not less than that one; those before it are passed over.
    async fn first_from(&mut self, least: Option<&EncodedKey>) -> Result<Option<&EncodedKey>> {
        loop {
            while self.keys.pop_front_if(|key| least.is_some_and(|least| &*key < least)).is_some() {}
            if !self.keys.is_empty() {
                return Ok(self.keys.front());
            }
            self.keys = self.scan.next_page().await?.iter().map(IndexEntry::key).collect();
            if self.keys.is_empty() {
                return Ok(None);
            }
        }
    }
}
