use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ops::Bound;

use bucketdb_documents::{EncodedKey, Scan, ScanRow, row};
use bucketdb_log::{Freshness, Seq};
use bucketdb_query::{Filter, Order, TopK, TypedFilter, TypedOrder};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use serde_json::Value;

use crate::database::Pin;
use crate::rows::{Stored, TableRef};
use crate::{Database, Result};

/// How many rows are read while writers wait.
const PAGE_ROWS: usize = 1024;

/// What is asked of a table: which documents, in which order, how many.
///
/// A query reads one moment of the database, however long it takes. Without an order, documents come in the order of
/// their keys. Every document of the table is looked at.
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is fetched, streamed or counted"]
pub struct Query<T> {
    db: Database,
    table: Source,
    freshness: Freshness,
    filter: Option<Filter>,
    order: Option<Order>,
    offset: usize,
    limit: Option<usize>,
    documents: PhantomData<fn() -> T>,
}

#[derive(Clone, Debug)]
enum Source {
    Table(TableRef),
    /// Looked up when the query runs.
    Name(String),
}

/// A document that passed the filter.
struct Match {
    key: EncodedKey,
    row: Bytes,
}

impl<T: Stored> Query<T> {
    pub(crate) fn new(db: Database, table: TableRef, freshness: Freshness) -> Self {
        Self::of(db, Source::Table(table), freshness)
    }

    pub(crate) fn by_name(db: Database, name: String, freshness: Freshness) -> Self {
        Self::of(db, Source::Name(name), freshness)
    }

    fn of(db: Database, table: Source, freshness: Freshness) -> Self {
        let documents = PhantomData;
        Self { db, table, freshness, filter: None, order: None, offset: 0, limit: None, documents }
    }

    /// Only documents that the filter accepts. Several filters must all accept.
    pub fn filter(mut self, filter: impl Into<TypedFilter<T>>) -> Self {
        let filter = filter.into().into_untyped();
        self.filter = Some(match self.filter {
            None => filter,
            Some(earlier) => earlier.and(filter),
        });
        self
    }

    /// As [`filter`](Self::filter), in the text form: `age >= 18 and role = "admin"`.
    ///
    /// # Errors
    /// [`Error::Parse`](crate::Error::Parse) points at what is not understood.
    pub fn filter_text(self, text: &str) -> Result<Self> {
        let filter: Filter = text.parse()?;
        Ok(self.filter(filter))
    }

    /// In this order; documents that it leaves equal come in the order of their keys. A further order decides where the
    /// earlier ones do not.
    pub fn order_by(mut self, order: impl Into<TypedOrder<T>>) -> Self {
        let order = order.into().into_untyped();
        self.order = Some(match self.order {
            None => order,
            Some(earlier) => earlier.then(order),
        });
        self
    }

    /// At most so many documents.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Without the first so many.
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Whether the answer holds everything that was acknowledged anywhere before it was asked for.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// All documents, in memory.
    ///
    /// # Errors
    /// If the store fails, or if a document has not the shape of the type.
    pub async fn fetch(self) -> Result<Vec<T>> {
        self.stream().await?.try_collect().await
    }

    /// The first document.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn first(self) -> Result<Option<T>> {
        let mut documents = std::pin::pin!(self.limit(1).stream().await?);
        documents.next().await.transpose()
    }

    /// How many documents there are, limit and offset heeded. No document is kept in memory.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count(mut self) -> Result<u64> {
        // The order changes nothing about the number.
        self.order = None;
        let Some((_, matches)) = self.run().await? else { return Ok(0) };
        let mut count = 0;
        let mut matches = std::pin::pin!(matches);
        while matches.try_next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// The documents one after the other. Without an order, memory for a page of rows is enough; with an order and a
    /// limit, for as many documents as offset and limit say.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn stream(self) -> Result<impl Stream<Item = Result<T>> + Send> {
        let run = self.run().await?;
        Ok(stream::iter(run).flat_map(|(table, matches)| {
            matches.map(move |found| {
                let found = found?;
                table.decode(&found.key, &found.row)
            })
        }))
    }

    fn source(&self) -> Result<Option<TableRef>> {
        match &self.table {
            Source::Table(table) => Ok(Some(table.clone())),
            Source::Name(name) => {
                Ok(self.db.inner.log.read(|documents, _| TableRef::find(documents.catalogue(), name))?)
            }
        }
    }

    /// The table and its rows that match, in order; `None` if there is no such table.
    async fn run(self) -> Result<Option<(TableRef, impl Stream<Item = Result<Match>> + Send)>> {
        self.db.inner.log.refresh(self.freshness).await?;
        let Some(table) = self.source()? else { return Ok(None) };
        let rows = Rows::new(self.db.inner.pin()?, table.clone());
        let (offset, limit) = (self.offset, self.limit.unwrap_or(usize::MAX));
        let Some(order) = self.order else {
            let matches = rows.matching(self.filter, table.clone());
            return Ok(Some((table, matches.skip(offset).take(limit).left_stream())));
        };
        let mut sorted = TopK::new(order, offset.saturating_add(limit));
        let mut rows = rows;
        while let Some(found) = rows.next()? {
            let value: Value = table.decode(&found.key, &found.row)?;
            if self.filter.as_ref().is_none_or(|filter| filter.matches(&value)) {
                sorted.push((Match { key: found.key, row: found.row }, value));
            }
        }
        let matches = sorted.into_sorted_vec().into_iter().skip(offset).map(|(found, _)| Ok(found));
        Ok(Some((table, stream::iter(matches).right_stream())))
    }
}

/// Reads a table page by page at one position.
struct Rows {
    pin: Pin,
    table: TableRef,
    start: Bound<EncodedKey>,
    page: VecDeque<ScanRow>,
    is_last: bool,
}

impl Rows {
    fn new(pin: Pin, table: TableRef) -> Self {
        Self { pin, table, start: Bound::Unbounded, page: VecDeque::new(), is_last: false }
    }

    fn next(&mut self) -> Result<Option<ScanRow>> {
        if self.page.is_empty() && !self.is_last {
            let at: Seq = self.pin.seq();
            let start = self.start.clone();
            let scan = Scan { table: self.table.id, start, end: Bound::Unbounded, at, limit: PAGE_ROWS };
            self.page = self.pin.log().read(|documents, _| documents.scan(&scan))?.into();
            self.is_last = self.page.len() < PAGE_ROWS;
            if let Some(last) = self.page.back() {
                self.start = Bound::Excluded(last.key.clone());
            }
        }
        Ok(self.page.pop_front())
    }

    fn matching(self, filter: Option<Filter>, table: TableRef) -> impl Stream<Item = Result<Match>> + Send {
        stream::try_unfold((self, filter, table), |(mut rows, filter, table)| async move {
            while let Some(ScanRow { key, row }) = rows.next()? {
                let accepted = match &filter {
                    None => true,
                    Some(filter) => {
                        let value = row::decode_value(&row).map_err(|error| table.invalid_document(&key, error))?;
                        filter.matches(&value)
                    }
                };
                if accepted {
                    return Ok(Some((Match { key, row }, (rows, filter, table))));
                }
            }
            Ok(None)
        })
    }
}
