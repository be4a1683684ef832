mod turns;
mod writes;

use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use bucketdb_documents::AsKey;
use bucketdb_log::Freshness;
use bucketdb_query::{Filter, Path, TypedFilter, TypedOrder};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use serde_json::Value;

use crate::key_bounds::KeyBounds;
use crate::origin::Origin;
use crate::plan::{Explained, Explanation, Hint, Taken, Way};
use crate::projection::Projection;
use crate::request::{Request, Source};
use crate::rows::{Stored, TableRef};
use crate::seen::Sight;
use crate::sieve::Predicate;
use crate::{Document, Result};

/// What is asked of a table: which documents, in which order, how many.
///
/// A query reads one moment of the database, however long it takes. Without an order, documents come in the order of
/// their keys. What is read to find them is chosen by what it costs: see [`explain`](Self::explain).
///
/// `T` is the type of the documents, `R` what each is read as: the same, unless [`select`](Self::select) says otherwise.
#[must_use = "a query does nothing until it is fetched, streamed or counted"]
pub struct Query<T, R = T> {
    pub(crate) request: Request,
    pub(crate) projection: Projection<R>,
    pub(crate) documents: PhantomData<fn(&T)>,
}

impl<T: Stored> Query<T> {
    pub(crate) fn new(origin: Origin, table: TableRef) -> Self {
        Self::of(Request::of(origin, Source::Table(table)))
    }

    pub(crate) fn by_name(origin: Origin, name: String) -> Self {
        Self::of(Request::of(origin, Source::Name(name, T::reading())))
    }

    fn of(request: Request) -> Self {
        Self { request, projection: Projection::whole(), documents: PhantomData }
    }
}

impl<T: Stored, R: Send + 'static> Query<T, R> {
    /// Only documents that the filter accepts. Several filters must all accept.
    pub fn filter(mut self, filter: impl Into<TypedFilter<T>>) -> Self {
        let filter = filter.into().into_untyped();
        self.request.filter = Some(match self.request.filter {
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

    /// Only documents that the code accepts. It is asked last, about those that everything else accepts: each of them is read
    /// whole for it, and no index helps, nor is a cursor of a [`page`](Self::page) refused that another closure has made.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, MemoryDriver};
    /// # use serde_json::json;
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let things = db.collection("things");
    /// things.insert(&json!({"id": 1, "width": 2, "height": 3})).await?;
    /// let large = things.query().filter_by(|thing| thing["width"].as_u64() > thing["height"].as_u64());
    /// assert_eq!(large.count().await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter_by(mut self, accepts: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        let predicate = move |table: &TableRef, key: &_, row: &_| Ok(accepts(&table.decode(key, row)?));
        self.request.predicates.push(Predicate(Arc::new(predicate)));
        self
    }

    /// In this order; documents that it leaves equal come in the order of their keys. A further order decides where the
    /// earlier ones do not.
    ///
    /// An index on the fields, or the primary key, gives it while documents are read. Otherwise all that match are looked at
    /// before the first is given, and those that the limit leaves are kept in memory: if they take more than a quarter of
    /// [`max_memory`](crate::DatabaseBuilder::max_memory), they are read by an index that gives the order, if there is one,
    /// whatever that costs, and without one the query fails with [`Error::OrderTooLarge`](crate::Error::OrderTooLarge).
    /// [`explain`](Self::explain) says whether the order is given.
    pub fn order_by(mut self, order: impl Into<TypedOrder<T>>) -> Self {
        let order = order.into().into_untyped();
        self.request.order = Some(match self.request.order {
            None => order,
            Some(earlier) => earlier.then(order),
        });
        self
    }

    /// At most so many documents.
    pub fn limit(mut self, limit: usize) -> Self {
        self.request.limit = Some(limit);
        self
    }

    /// Without the first so many.
    pub fn offset(mut self, offset: usize) -> Self {
        self.request.offset = offset;
        self
    }

    /// Reads by the index over these fields, whatever another way would cost.
    ///
    /// The query fails with [`Error::UnknownIndex`](crate::Error::UnknownIndex) if there is none, if it is not whole yet, or
    /// if it is of no use to the query's conditions and order.
    pub fn by_index(mut self, fields: &str) -> Self {
        self.request.hint = Some(Hint::Index(fields.to_owned()));
        self
    }

    /// Reads by primary key, whatever an index would save.
    pub fn without_index(mut self) -> Self {
        self.request.hint = Some(Hint::Keys);
        self
    }

    /// Reads by a way that an [explanation](Self::explain) of the same query has named, whatever another one would cost.
    ///
    /// The query fails with [`Error::UnknownIndex`](crate::Error::UnknownIndex) if there is no such way any more.
    pub fn by_way(mut self, way: &Way) -> Self {
        self.request.hint = Some(Hint::Way(way.what.clone()));
        self
    }

    /// Whether the answer holds everything that was acknowledged anywhere before it was asked for. Means nothing in a
    /// transaction or a snapshot, whose moment is given.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        if let Origin::Live(_, wanted) = &mut self.request.origin {
            *wanted = freshness;
        }
        self
    }

    /// All documents, in memory.
    ///
    /// # Errors
    /// [`Error::OrderTooLarge`](crate::Error::OrderTooLarge) if no index gives the order, and there is more to put in order
    /// than may be in memory. If the store fails, or if a document has not the shape of the type.
    pub async fn fetch(self) -> Result<Vec<R>> {
        self.stream().await?.try_collect().await
    }

    /// The first document, if there is one.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn first(self) -> Result<Option<R>> {
        // A limit of none at all stays.
        let limit = self.request.limit.map_or(1, |limit| limit.min(1));
        let mut documents = std::pin::pin!(self.limit(limit).stream().await?);
        documents.next().await.transpose()
    }

    /// How many documents there are, limit and offset heeded. No document is kept in memory.
    ///
    /// Without a filter, and where each row of the table is in one place (see
    /// [`TableStats::is_exact`](crate::TableStats::is_exact)), nothing is read at all. Where an index has all that the filter
    /// asks for, only the index is.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count(mut self) -> Result<u64> {
        // The order changes nothing about the number.
        self.request.order = None;
        self.request = self.request.pinned().await?;
        if let Some(count) = self.request.known_count().await? {
            let limit = self.request.limit.map_or(u64::MAX, |limit| limit as u64);
            return Ok(count.saturating_sub(self.request.offset as u64).min(limit));
        }
        let mut count = 0;
        let visit = |_: &_, _: Sight<'_>| {
            count += 1;
            Ok(())
        };
        self.request.visit(&[], visit).await?;
        Ok(count)
    }

    /// How the query will be answered when it is fetched, and what the other ways would cost. Reads what each of them would read
    /// first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn explain(self) -> Result<Option<Explanation>> {
        self.request.explain_parts(self.projection.paths()).await
    }

    /// As [`explain`](Self::explain), after answering it by the way that was chosen, with what that took: so that what was
    /// expected can be held against what happened.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, MemoryDriver};
    /// # use serde_json::json;
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// # let users = db.collection("users");
    /// # for id in 0..5 { users.insert(&json!({"id": id, "role": "guest"})).await?; }
    /// let explanation = users.query().filter_text(r#"role = "guest""#)?.explain_answered().await?.unwrap();
    /// println!("{explanation}"); // reads by all documents: about 5 documents, 0 requests and 0 KiB, …
    /// assert_eq!(explanation.taken.unwrap().rows, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn explain_answered(mut self) -> Result<Option<Explanation>> {
        self.request = self.request.pinned().await?;
        let view = self.request.origin.open().await?;
        let before = view.moment.usage();
        let explained = Explained::default();
        self = self.explained_by(&explained);
        let mut rows = 0;
        {
            let mut documents = std::pin::pin!(self.stream().await?);
            while documents.try_next().await?.is_some() {
                rows += 1;
            }
        }
        let used = view.moment.usage() - before;
        let taken = Taken { requests: used.total_requests(), bytes: used.total_bytes(), rows };
        Ok(explained.explanation().map(|explanation| Explanation { taken: Some(taken), ..explanation }))
    }

    /// Has it told by which way the query was answered, once it is, however that is done: by documents, a count, groups. What was
    /// expected of the ways is what was known when that one was chosen, and nothing is read to tell it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{AnyColumn, Database, Explained, MemoryDriver};
    /// # use serde_json::json;
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// # let users = db.collection("users");
    /// # for id in 0..5 { users.insert(&json!({"id": id, "age": 30 + id})).await?; }
    /// let explained = Explained::default();
    /// let age: AnyColumn = "age".parse()?;
    /// assert_eq!(users.query().explained_by(&explained).max(age).await?, Some(json!(34)));
    /// assert_eq!(explained.explanation().unwrap().chosen.what, "all documents");
    /// # Ok(())
    /// # }
    /// ```
    pub fn explained_by(mut self, explained: &Explained) -> Self {
        self.request.explained = Some(explained.clone());
        self
    }

    /// The documents one after the other. Without an order, memory for a page of rows is enough; with an order and a
    /// limit, for as many documents as offset and limit say.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn stream(self) -> Result<impl Stream<Item = Result<R>> + Send> {
        let projection = self.projection;
        let paths = projection.paths().map(<[Path]>::to_vec);
        let run = self.request.run_parts(paths, move |table, found| projection.decode_found(table, found)).await?;
        Ok(stream::iter(run).flatten())
    }
}

impl<T, R> Clone for Query<T, R> {
    fn clone(&self) -> Self {
        Self { request: self.request.clone(), projection: self.projection.clone(), documents: PhantomData }
    }
}

impl<T, R> std::fmt::Debug for Query<T, R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Query").field("request", &self.request).finish_non_exhaustive()
    }
}

impl<T: Document, R> Query<T, R> {
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
        self.request.keys = Some(KeyBounds::of_parts(&range));
        self
    }
}

impl<R> Query<Value, R> {
    /// Only documents whose primary keys are in the range: JSON values, or lists of them if the key has several fields.
    /// Only those are looked at. Several ranges: the last counts.
    pub fn keys(mut self, range: impl RangeBounds<Value>) -> Self {
        self.request.keys = Some(KeyBounds::of_values(&range));
        self
    }
}
