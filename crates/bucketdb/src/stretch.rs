//! Rows that come next in a scan, in the memory of their block: what is passed over costs no more than a look at it.

use bucketdb_documents::row::{FieldNumbers, FieldPlaces, RowTests, Selected};
use bucketdb_documents::{BaseRows, Expiry, ScanRow};

use crate::row_scan::is_live;

/// Where less than one row in so many is left, the others are not read for their numbers. Down to that they are: a row that is read
/// by itself, out of turn, takes as long as several that follow each other, and the next query finds the numbers kept.
const FEW: usize = 16;

/// What comes next.
pub(crate) enum Stretch {
    /// One row.
    One(ScanRow),
    /// Several rows, of runs that nothing else has to be looked at with.
    Many(Rows),
}

/// Rows of one block, of which those that have ended are passed over.
pub(crate) struct Rows {
    rows: BaseRows,
    /// Which of them are left; `None`: all.
    selected: Option<Vec<Selected>>,
    /// The values of the fields that are asked for by their places, where they are known.
    numbers: Vec<Option<FieldNumbers>>,
    next: usize,
    expiry: Option<Expiry>,
}

/// A row, as it lies in its block.
#[derive(Clone, Copy)]
pub(crate) struct StoredRow<'a> {
    rows: &'a BaseRows,
    numbers: &'a [Option<FieldNumbers>],
    index: usize,
    pub(crate) row: &'a [u8],
    /// Whether the filter is known to accept it.
    pub(crate) is_accepted: bool,
}

impl Rows {
    pub(crate) fn new(rows: BaseRows, expiry: Option<Expiry>) -> Self {
        Self { rows, selected: None, numbers: Vec::new(), next: 0, expiry }
    }

    /// Leaves out what does not pass some tests of a filter, be they all that it says.
    pub(crate) fn select(&mut self, tests: &mut RowTests, are_all: bool) {
        let mut selected = Vec::new();
        tests.select(&self.rows, &mut selected);
        if !are_all {
            selected.iter_mut().for_each(|selected| selected.is_certain = false);
        }
        self.selected = Some(selected);
    }

    /// The fields that are asked for, side by side, where they are numbers; unless few rows are left, they are read for that.
    pub(crate) fn read_numbers(&mut self, places: &mut FieldPlaces, asked: &[Option<usize>]) {
        let left = self.selected.as_ref().map_or(self.rows.len(), Vec::len);
        let is_worth_reading = left >= self.rows.len() / FEW;
        self.numbers = asked.iter().map(|field| places.numbers(&self.rows, (*field)?, is_worth_reading)).collect();
    }

    /// The next row.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<StoredRow<'_>> {
        let Self { rows, selected, numbers, next, expiry } = self;
        loop {
            let place = *next;
            *next += 1;
            let Selected { index, is_certain } = match selected {
                Some(selected) => *selected.get(place)?,
                None if place < rows.len() => Selected { index: place as u32, is_certain: false },
                None => return None,
            };
            let index = index as usize;
            if let Some(row) = rows.row(index)
                && is_live(expiry.as_ref(), row)
            {
                return Some(StoredRow { rows, numbers, index, row, is_accepted: is_certain });
            }
        }
    }
}

impl StoredRow<'_> {
    /// The value of a field that is asked for, by its place, if it is known without the row.
    #[inline]
    pub(crate) fn number(self, place: usize) -> Option<i128> {
        self.numbers.get(place)?.as_ref()?.get(self.index)
    }

    /// Whether that holds for all of so many fields.
    #[inline]
    pub(crate) fn has_numbers(self, asked: usize) -> bool {
        self.numbers.len() == asked && self.numbers.iter().all(Option::is_some)
    }

    /// The row with its key, to keep.
    pub(crate) fn to_row(self) -> ScanRow {
        self.rows.to_scan_row(self.index)
    }
}
