mod writes;

use std::marker::PhantomData;
use std::ops::RangeBounds;

use bucketdb_documents::{AsKey, EncodedKey, ScanRow};
use bucketdb_log::Freshness;
use bucketdb_query::{Filter, Order, TopK, TypedFilter, TypedOrder};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use serde_json::Value;

use crate::index_scan::IndexRows;
use crate::key_bounds::KeyBounds;
use crate::origin::{Origin, View};
use crate::plan::{Access, Asked, Explanation, Hint, Plan};
use crate::row_scan::RowScan;
use crate::rows::{Stored, TableRef};
use crate::{Document, Result};

/// What is asked of a table: which documents, in which order, how many.
///
/// A query reads one moment of the database, however long it takes. Without an order, documents come in the order of
/// their keys. What is read to find them is chosen by what it costs: see [`explain`](Self::explain).
#[derive(Debug)]
#[must_use = "a query does nothing until it is fetched, streamed or counted"]
pub struct Query<T> {
    origin: Origin,
    table: Source,
    keys: Option<KeyBounds>,
    filter: Option<Filter>,
    order: Option<Order>,
    offset: usize,
    limit: Option<usize>,
    hint: Option<Hint>,
    /// Whether a write may happen in several commits.
    in_pieces: bool,
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

impl<T> Clone for Query<T> {
    fn clone(&self) -> Self {
        Self {
            origin: self.origin.clone(),
            table: self.table.clone(),
            keys: self.keys.clone(),
            filter: self.filter.clone(),
            order: self.order.clone(),
            hint: self.hint.clone(),
            ..*self
        }
    }
}

impl<T: Stored> Query<T> {
    pub(crate) fn new(origin: Origin, table: TableRef) -> Self {
        Self::of(origin, Source::Table(table))
    }

    pub(crate) fn by_name(origin: Origin, name: String) -> Self {
        Self::of(origin, Source::Name(name))
    }

    fn of(origin: Origin, table: Source) -> Self {
        let documents = PhantomData;
        Self {
            origin,
            table,
            keys: None,
            filter: None,
            order: None,
            offset: 0,
            limit: None,
            hint: None,
            in_pieces: false,
            documents,
        }
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

    /// Reads by the index over these fields, whatever another way would cost.
    ///
    /// The query fails with [`Error::UnknownIndex`](crate::Error::UnknownIndex) if there is none, if it is not whole yet, or
    /// if it is of no use to the query's conditions and order.
    pub fn by_index(mut self, fields: &str) -> Self {
        self.hint = Some(Hint::Index(fields.to_owned()));
        self
    }

    /// Reads by primary key, whatever an index would save.
    pub fn without_index(mut self) -> Self {
        self.hint = Some(Hint::Keys);
        self
    }

    /// Whether the answer holds everything that was acknowledged anywhere before it was asked for. Means nothing in a
    /// transaction or a snapshot, whose moment is given.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        if let Origin::Live(_, wanted) = &mut self.origin {
            *wanted = freshness;
        }
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

    /// How the query will be answered, and what the other ways would cost. Reads parts of the runs' indexes at most.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn explain(self) -> Result<Option<Explanation>> {
        let view = self.origin.open().await?;
        let Some(table) = self.source(&view)? else { return Ok(None) };
        let mut ways = self.plan(&view, &table, true).await?.ways.into_iter();
        let chosen = ways.next();
        Ok(chosen.map(|chosen| Explanation { chosen, alternatives: ways.collect() }))
    }

    async fn plan(&self, view: &View, table: &TableRef, is_explained: bool) -> Result<Plan> {
        let asked = Asked {
            filter: self.filter.as_ref(),
            order: self.order.as_ref(),
            limit: self.limit.map(|limit| limit.saturating_add(self.offset)),
            keys: KeyBounds::range(self.keys.as_ref(), table)?,
            has_key_range: self.keys.is_some(),
            hint: self.hint.as_ref(),
            is_explained,
        };
        Plan::choose(view, table, &asked).await
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

    fn source(&self, view: &View) -> Result<Option<TableRef>> {
        match &self.table {
            Source::Table(table) => Ok(Some(table.clone())),
            Source::Name(name) => view.find(name),
        }
    }

    /// The table and its rows that match, in order; `None` if there is no such table.
    async fn run(self) -> Result<Option<(TableRef, impl Stream<Item = Result<Match>> + Send)>> {
        let view = self.origin.open().await?;
        let Some(table) = self.source(&view)? else { return Ok(None) };
        let plan = self.plan(&view, &table, false).await?;
        let mut rows = match plan.access {
            Access::Keys(range) => Rows::Scan(Box::new(RowScan::live(view, range)?)),
            Access::Index { index, ranges, row_order } => {
                Rows::Index(Box::new(IndexRows::new(view, table.clone(), index, ranges, row_order)?))
            }
        };
        let (offset, limit) = (self.offset, self.limit.unwrap_or(usize::MAX));
        let Some(order) = self.order.filter(|_| !plan.is_ordered) else {
            let matches = matching(rows, self.filter, table.clone());
            return Ok(Some((table, matches.skip(offset).take(limit).left_stream())));
        };
        let mut sorted = TopK::new(order.clone(), offset.saturating_add(limit));
        while let Some(ScanRow { key, row }) = rows.next().await? {
            if let Some(filter) = &self.filter
                && !table.matches(filter, &key, &row)?
            {
                continue;
            }
            let part = table.ordered_part(&order, &key, &row)?;
            sorted.push((Match { key, row }, part));
        }
        let matches = sorted.into_sorted_vec().into_iter().skip(offset).map(|(found, _)| Ok(found));
        Ok(Some((table, stream::iter(matches).right_stream())))
    }
}

impl<T: Document> Query<T> {
    /// Only documents whose primary keys are in the range. Only those are looked at. Several ranges: the last counts.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, Document, MemoryDriver};
    /// # #[derive(serde::Serialize, serde::Deserialize, Document)]
    /// # #[document(table = "orders")]
    /// # struct Order { #[document(key)] shop: String, #[document(key)] number: u64 }
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let orders = db.table::<Order>().await?;
    /// for number in 1..=5 {
    ///     orders.insert(&Order { shop: "bern".into(), number }).await?;
    /// }
    /// assert_eq!(orders.query().keys(("bern", 2)..("bern", 4)).count().await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keys<K: AsKey<T::Key>>(mut self, range: impl RangeBounds<K>) -> Self {
        self.keys = Some(KeyBounds::of_parts(&range));
        self
    }
}

impl Query<Value> {
    /// Only documents whose primary keys are in the range: JSON values, or lists of them if the key has several fields.
    /// Only those are looked at. Several ranges: the last counts.
    pub fn keys(mut self, range: impl RangeBounds<Value>) -> Self {
        self.keys = Some(KeyBounds::of_values(&range));
        self
    }
}

/// Where the rows of a query come from.
enum Rows {
    Scan(Box<RowScan>),
    Index(Box<IndexRows>),
}

impl Rows {
    async fn next(&mut self) -> Result<Option<ScanRow>> {
        match self {
            Self::Scan(rows) => rows.next().await,
            Self::Index(rows) => rows.next().await,
        }
    }
}

fn matching(rows: Rows, filter: Option<Filter>, table: TableRef) -> impl Stream<Item = Result<Match>> + Send {
    // In a box, since it is moved for every row, into a future and out of it.
    stream::try_unfold(Box::new((rows, filter, table)), |mut state| async move {
        let (rows, filter, table) = &mut *state;
        while let Some(ScanRow { key, row }) = rows.next().await? {
            let accepted = match filter {
                None => true,
                Some(filter) => table.matches(filter, &key, &row)?,
            };
            if accepted {
                return Ok(Some((Match { key, row }, state)));
            }
        }
        Ok(None)
    })
}
