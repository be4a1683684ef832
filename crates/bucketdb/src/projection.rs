use std::marker::PhantomData;

use bucketdb_documents::{EncodedKey, Layouts, row};
use bucketdb_query::{Segment, Selection};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::rows::{Stored, TableRef};
use crate::{Query, Result};

/// What is made of a document that a query found.
pub(crate) struct Projection<R> {
    /// Only these fields, where the result is JSON.
    selection: Selection,
    read: fn(&Bytes, &Layouts, &Selection) -> Result<R, row::RowError>,
}

impl<R: Stored> Projection<R> {
    /// All of it.
    pub(crate) fn whole() -> Self {
        Self { selection: Selection::all(), read: |row, layouts, _| R::from_row(row, layouts) }
    }
}

impl<R: DeserializeOwned> Projection<R> {
    /// As much as a type asks for.
    fn typed() -> Self {
        Self { selection: Selection::all(), read: |row, layouts, _| row::decode(row, layouts) }
    }
}

impl Projection<Value> {
    fn fields(selection: Selection) -> Self {
        Self { selection, read: selected }
    }
}

impl<R> Projection<R> {
    pub(crate) fn decode(&self, table: &TableRef, key: &EncodedKey, row: &Bytes) -> Result<R> {
        (self.read)(row, &table.layouts, &self.selection).map_err(|error| table.invalid_document(key, error))
    }
}

/// What is selected of a row, of which the other fields are not decoded.
fn selected(row: &Bytes, layouts: &Layouts, selection: &Selection) -> Result<Value, row::RowError> {
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
        Self { selection: self.selection.clone(), read: self.read }
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
