use std::ops::Bound;

use bucketdb_query::{Order, OrderTerm};
use futures::stream::StreamExt;
use serde_json::Value;

use crate::key_bounds::KeyBounds;
use crate::page_cursor::{After, Fingerprint, PageCursor, beginning};
use crate::request::{Match, Request};
use crate::rows::{Stored, TableRef};
use crate::{Error, Query, Result};

/// How many documents a page has if the query has no limit.
const DEFAULT_PAGE: usize = 100;

/// Some documents of a query, and where to go on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DocumentPage<R> {
    /// The documents, in order.
    pub documents: Vec<R>,
    /// Gives the next page; `None` if this is the last one.
    pub next: Option<PageCursor>,
}

impl<T: Stored, R: Send + 'static> Query<T, R> {
    /// As many documents as the limit says, 100 if it says nothing: the first ones, or those behind the page before.
    ///
    /// The cursor holds the place of the last document in the order of the query, so pages are right whatever is written in
    /// between: a document that is not written itself is on one page exactly, one that comes to lie behind the place is on a
    /// later page, and one that comes to lie before it on none. What an order has behind the whole key decides nothing, here
    /// either. In the order of the keys, or of an index, a page takes as long as its documents; in another order, all
    /// documents are looked at for each page. The offset counts for the first page only.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, MemoryDriver};
    /// # use serde_json::json;
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// # let things = db.collection("things");
    /// # for id in 0..5 { things.insert(&json!({"id": id})).await?; }
    /// let first = things.query().limit(3).page(None).await?;
    /// let text = first.next.unwrap().to_string(); // for a link, say
    /// let second = things.query().limit(3).page(Some(text.parse()?)).await?;
    /// assert_eq!((first.documents.len(), second.documents.len(), second.next), (3, 2, None));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if the cursor is of another table, filter, order or range of keys; [`Error::EmptyPage`] if
    /// the limit is 0.
    pub async fn page(self, cursor: Option<PageCursor>) -> Result<DocumentPage<R>> {
        let Self { request, projection, .. } = self;
        let size = request.limit.unwrap_or(DEFAULT_PAGE);
        if size == 0 {
            return Err(Error::EmptyPage);
        }
        let mut request = request.pinned().await?;
        // One more tells whether there are more.
        request.limit = Some(size.saturating_add(1));
        let view = request.origin.open().await?;
        let Some(table) = request.source(&view)? else {
            return Ok(DocumentPage { documents: Vec::new(), next: None });
        };
        drop(view);
        let fingerprint = fingerprint(&request, &table)?;
        if let Some(cursor) = cursor {
            let terms = request.order.as_ref().map_or(0, |order| order.terms().len());
            if cursor.fingerprint != fingerprint || cursor.values.len() != terms {
                let reason = "it is of another query: a page goes on with the same table, filter, order and keys only";
                return Err(Error::InvalidCursor { reason: reason.to_owned() });
            }
            request.offset = 0;
            request.after = Some(After::new(request.order.as_ref(), cursor, &table));
        }
        let order = request.order.clone();
        let Some((table, matches)) = request.run().await? else {
            return Ok(DocumentPage { documents: Vec::new(), next: None });
        };
        let (mut documents, mut last) = (Vec::new(), None);
        let mut matches = std::pin::pin!(matches);
        while let Some(found) = matches.next().await {
            let found = found?;
            if documents.len() == size {
                let next = last.map(|last| cursor_behind(&last, &table, order.as_ref(), fingerprint)).transpose()?;
                return Ok(DocumentPage { documents, next });
            }
            documents.push(projection.decode(&table, &found.key, &found.row)?);
            last = Some(found);
        }
        Ok(DocumentPage { documents, next: None })
    }
}

fn cursor_behind(
    last: &Match,
    table: &TableRef,
    order: Option<&Order>,
    fingerprint: Fingerprint,
) -> Result<PageCursor> {
    let mut values = Vec::new();
    if let Some(order) = order.filter(|order| !order.is_empty()) {
        let positions = table.positions(order, &last.key, &last.row)?;
        // As JSON has them, so that the cursor goes on should a field stand for something else by then.
        let shown =
            |(term, value): (&OrderTerm, Option<Value>)| value.map(|value| table.types.shown(&term.path, value));
        values = order.terms().iter().zip(positions).map(shown).collect();
    }
    Ok(PageCursor { fingerprint, key: last.key.clone(), values })
}

/// Of everything that decides which documents there are, and in which order.
fn fingerprint(request: &Request, table: &TableRef) -> Result<Fingerprint> {
    let filter = request.filter.as_ref().map(ToString::to_string).unwrap_or_default();
    let order = request.order.as_ref().map(ToString::to_string).unwrap_or_default();
    let range = KeyBounds::range(request.keys.as_ref(), table)?;
    let mut hasher = blake3::Hasher::new();
    for part in [table.name().as_bytes(), filter.as_bytes(), order.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    for bound in [&range.start, &range.end] {
        let (kind, key): (u8, &[u8]) = match bound {
            Bound::Unbounded => (0, &[]),
            Bound::Included(key) => (1, key.as_bytes()),
            Bound::Excluded(key) => (2, key.as_bytes()),
        };
        hasher.update(&[kind]);
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
    }
    hasher.update(&(request.predicates.len() as u64).to_le_bytes());
    Ok(beginning(hasher.finalize()))
}
