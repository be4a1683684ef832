use std::convert::Infallible;
use std::sync::Arc;

use bucketdb_documents::row::RowError;
use bucketdb_documents::{EncodedKey, ScanRow, row};
use bucketdb_query::{AggregateError, Filter, Groups, Path, Reach, Segment, ValueRef};
use serde_json::{Map, Value};

use crate::request::Match;
use crate::row_reader::RowReader;
use crate::rows::TableRef;
use crate::stored_document::StoredDocument;
use crate::stretch::StoredRow;
use crate::{Error, Result};

/// A document of which some values are needed.
pub(crate) enum Seen {
    /// In its row.
    Row(ScanRow),
    /// As far as an index, and the key, have it.
    Entry(Entry),
}

/// A document that passed the filter, where it is.
pub(crate) enum Found<'a> {
    Seen(Seen),
    Stored(StoredRow<'a>),
}

/// A document that is looked at where it is.
pub(crate) enum Sight<'a> {
    Seen(&'a Seen),
    Stored(StoredRow<'a>, &'a mut RowReader),
}

/// What an index and the key say of a document.
pub(crate) struct Entry {
    pub(crate) key: EncodedKey,
    /// Where the values are.
    pub(crate) paths: Arc<[Path]>,
    /// `None`: missing.
    pub(crate) values: Vec<Option<Value>>,
}

impl Reach for Entry {
    type Error = Infallible;

    fn any(&self, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, Infallible> {
        Ok(self.value(path).is_some_and(|value| holds(value.into())))
    }
}

impl Entry {
    fn value(&self, path: &Path) -> Option<&Value> {
        let place = self.paths.iter().position(|known| known == path)?;
        self.values.get(place)?.as_ref()
    }

    /// The fields at the top of the document that are known, in the order of the paths.
    pub(crate) fn part(&self, paths: &[Path]) -> Value {
        let mut part = Map::new();
        for path in paths {
            if let (Some(value), Some(Segment::Field(name))) = (self.value(path), path.segments().first()) {
                part.insert(name.clone(), value.clone());
            }
        }
        Value::Object(part)
    }

    pub(crate) fn matches(&self, filter: &Filter) -> bool {
        match filter.matches_in(self) {
            Ok(matches) => matches,
            Err(impossible) => match impossible {},
        }
    }
}

impl Found<'_> {
    /// The row, to keep; an error if there is only a part of it.
    pub(crate) fn into_match(self, table: &TableRef) -> Result<Match> {
        let row = match self {
            Self::Stored(stored) => stored.to_row(),
            Self::Seen(Seen::Row(row)) => row,
            Self::Seen(Seen::Entry(entry)) => {
                return Err(table.invalid_document(&entry.key, "only a part of it was read"));
            }
        };
        let ScanRow { key, row } = row;
        Ok(Match { key, row })
    }
}

impl Seen {
    /// Puts the document into groups.
    fn join(&self, groups: &mut Groups, table: &TableRef) -> Result<()> {
        let (key, joined) = match self {
            Self::Row(ScanRow { key, row }) => {
                let (row, types) = (table.current(key, row)?, &table.types);
                let joined =
                    row::look(&row, &table.layouts, |document| Ok(groups.push(&StoredDocument { document, types })));
                (key, joined.map_err(|error| table.invalid_document(key, error))?)
            }
            Self::Entry(entry) => (&entry.key, groups.push(entry).map_err(readable)),
        };
        joined.map_err(|error| not_joined(table, key, error))
    }

    /// The value that a path leads to, as a group of its equals shows it.
    fn value(&self, path: &Path, table: &TableRef) -> Result<Option<Value>> {
        let mut found = None;
        let mut take = |value: ValueRef<'_>| {
            found = Some(bucketdb_query::canonical(value));
            true
        };
        match self {
            Self::Row(ScanRow { key, row }) => {
                let (row, types) = (table.current(key, row)?, &table.types);
                row::look(&row, &table.layouts, |document| {
                    StoredDocument { document, types }.any_comparable(path, &mut take)
                })
                .map_err(|error| table.invalid_document(key, error))?;
            }
            Self::Entry(entry) => match entry.any(path, take) {
                Ok(_) => {}
                Err(impossible) => match impossible {},
            },
        }
        Ok(found.map(|found| table.types.shown(path, found)))
    }
}

impl Sight<'_> {
    /// Puts the document into groups.
    #[inline]
    pub(crate) fn join(self, groups: &mut Groups, table: &TableRef) -> Result<()> {
        match self {
            Self::Seen(seen) => seen.join(groups, table),
            Self::Stored(row, reader) => match groups.push(&reader.read_asked(row)) {
                Ok(()) => Ok(()),
                Err(error) => Err(not_joined(table, &row.to_row().key, error)),
            },
        }
    }

    /// The value that a path leads to.
    pub(crate) fn value(self, path: &Path, table: &TableRef) -> Result<Option<Value>> {
        match self {
            Self::Seen(seen) => seen.value(path, table),
            Self::Stored(row, _) => Seen::Row(row.to_row()).value(path, table),
        }
    }
}

#[cold]
fn not_joined(table: &TableRef, key: &EncodedKey, error: AggregateError<RowError>) -> Error {
    match error {
        AggregateError::Document(error) => table.invalid_document(key, error),
        AggregateError::TooMany { most_bytes } => Error::TooManyGroups { table: table.name().to_owned(), most_bytes },
        refused => table.invalid_document(key, refused),
    }
}

/// An entry can always be read.
fn readable(error: AggregateError<Infallible>) -> AggregateError<RowError> {
    match error {
        AggregateError::Document(impossible) => match impossible {},
        AggregateError::NotANumber { path, found, function, wanted } => {
            AggregateError::NotANumber { path, found, function, wanted }
        }
        AggregateError::TooMany { most_bytes } => AggregateError::TooMany { most_bytes },
    }
}
