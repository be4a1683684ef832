use std::marker::PhantomData;

use bucketdb_documents::{EncodedKey, Layouts, ScanRow, row};
use bucketdb_query::{Path, Segment, Selection};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fields_of::fields_of;
use crate::request::Match;
use crate::rows::{Stored, TableRef};
use crate::seen::{Found, Seen};
use crate::{Query, Result};

/// What is made of a document that a query found.
pub(crate) struct Projection<R> {
    /// Only these fields, where the result is JSON.
    selection: Selection,
    read: fn(&[u8], &Layouts, &Selection) -> Result<R, row::RowError>,
    /// Where not all of it is needed.
    part: Option<Part<R>>,
}

/// What is needed of a document.
struct Part<R> {
    /// Where it is; not only at the top of the document.
    paths: Vec<Path>,
    /// What is made of the document without what is not needed.
    read: fn(Value, &Layouts, &Selection) -> Result<R, row::RowError>,
}

impl<R: Stored> Projection<R> {
    /// All of it.
    pub(crate) fn whole() -> Self {
        Self { selection: Selection::all(), read: |row, layouts, _| R::from_row(row, layouts), part: None }
    }
}

impl<R: DeserializeOwned> Projection<R> {
    /// As much as a type asks for.
    fn typed() -> Self {
        let part = fields_of::<R>().map(|names| Part {
            paths: names.iter().map(|name| Path::field(*name)).collect(),
            // As it is read in a row: a type can have one form in JSON and another one there.
            read: |part, layouts, _| row::decode(&row::encode(&part, layouts)?, layouts),
        });
        Self { selection: Selection::all(), read: |row, layouts, _| row::decode(row, layouts), part }
    }
}

impl Projection<Value> {
    fn fields(selection: Selection) -> Self {
        let read = |part, _: &Layouts, selection: &Selection| Ok(selection.apply(&part));
        let part = Part { paths: selection.paths().to_vec(), read };
        Self { part: (!selection.is_all()).then_some(part), selection, read: selected }
    }
}

impl<R> Projection<R> {
    /// The values that are needed; `None`: all.
    pub(crate) fn paths(&self) -> Option<&[Path]> {
        self.part.as_ref().map(|part| part.paths.as_slice())
    }

    pub(crate) fn decode(&self, table: &TableRef, key: &EncodedKey, row: &Bytes) -> Result<R> {
        let row = table.current(key, row)?;
        (self.read)(&row, &table.layouts, &self.selection).map_err(|error| table.unreadable(key, &row, error))
    }

    /// Of a document of which the values that are needed are known.
    pub(crate) fn decode_found(&self, table: &TableRef, found: Found<'_>) -> Result<R> {
        match (found, &self.part) {
            (Found::Stored(stored), _) if !table.may_need_step() => {
                let read = (self.read)(stored.row, &table.layouts, &self.selection);
                read.map_err(|error| {
                    let ScanRow { key, row } = stored.to_row();
                    table.unreadable(&key, &row, error)
                })
            }
            (Found::Seen(Seen::Entry(entry)), Some(part)) => {
                let document = entry.part(&part.paths);
                (part.read)(document, &table.layouts, &self.selection)
                    .map_err(|error| table.invalid_document(&entry.key, error))
            }
            (found, _) => {
                let Match { key, row } = found.into_match(table)?;
                self.decode(table, &key, &row)
            }
        }
    }
}

/// What is selected of a row, of which the other fields are not decoded.
fn selected(row: &[u8], layouts: &Layouts, selection: &Selection) -> Result<Value, row::RowError> {
    if selection.is_all() {
        return row::decode_value(row, layouts);
    }
    let names = selection.paths().iter().filter_map(|path| match path.segments().first() {
        Some(Segment::Field(name)) => Some(name.as_str()),
        _ => None,
    });
    let part = row::look(row, layouts, |document| document.to_object(names))?;
    Ok(selection.apply(&part))
}

impl<R> Clone for Projection<R> {
    fn clone(&self) -> Self {
        Self { selection: self.selection.clone(), read: self.read, part: self.part.clone() }
    }
}

impl<R> Clone for Part<R> {
    fn clone(&self) -> Self {
        Self { paths: self.paths.clone(), read: self.read }
    }
}

impl<T: Stored, R: Send + 'static> Query<T, R> {
    /// Reads each document as a type that has some of its fields. The others are passed over where they are stored.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, Document, MemoryDriver};
    /// # #[derive(serde::Serialize, serde::Deserialize, Document)]
    /// # #[document(table = "users")]
    /// # struct User { #[document(key)] id: String, age: u8, biography: String }
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// # let users = db.table::<User>().await?;
    /// # users.insert(&User { id: "u_1".into(), age: 41, biography: "…".into() }).await?;
    /// #[derive(serde::Deserialize)]
    /// struct Age {
    ///     id: String,
    ///     age: u8,
    /// }
    ///
    /// let ages: Vec<Age> = users.query().filter(User::AGE.ge(18)).select::<Age>().fetch().await?;
    /// assert_eq!((ages[0].id.as_str(), ages[0].age), ("u_1", 41));
    /// # Ok(())
    /// # }
    /// ```
    pub fn select<S: DeserializeOwned + Send + 'static>(self) -> Query<T, S> {
        Query { request: self.request, projection: Projection::typed(), documents: PhantomData }
    }

    /// Reads these fields of each document, as JSON: `["id", "address.city"]`. What is not selected is not decoded, and
    /// no field at all selects everything.
    ///
    /// # Errors
    /// [`Error::Parse`](crate::Error::Parse) if one is no [path](crate::Path).
    pub fn select_fields<F: AsRef<str>>(self, fields: impl IntoIterator<Item = F>) -> Result<Query<T, Value>> {
        let paths: Result<Vec<_>, _> = fields.into_iter().map(|field| field.as_ref().parse()).collect();
        Ok(self.project(Selection::of(paths?)))
    }

    /// Reads what a [`Selection`] says of each document, as JSON.
    pub fn project(self, selection: Selection) -> Query<T, Value> {
        Query { request: self.request, projection: Projection::fields(selection), documents: PhantomData }
    }
}
