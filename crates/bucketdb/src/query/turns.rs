use std::pin::Pin;

use bucketdb_documents::EncodedKey;
use bucketdb_query::Order;
use futures::stream::{Stream, StreamExt, TryStreamExt};

use crate::page_cursor::After;
use crate::request::{Match, Request};
use crate::rows::TableRef;
use crate::{Error, Result};

/// How often the rest is looked for anew without a document in between.
const ATTEMPTS: u32 = 4;

/// The documents of a query in their order, for who does so much between one and the next that the moment at which they were
/// found may not be readable any more: then the rest are those that are found behind the last one by then.
pub(super) struct Turns {
    pub(super) table: TableRef,
    request: Request,
    matches: Pin<Box<dyn Stream<Item = Result<Match>> + Send>>,
    last: Option<EncodedKey>,
    attempts: u32,
}

impl Turns {
    /// `None` if there is no such table.
    pub(super) async fn of(request: Request) -> Result<Option<Self>> {
        let found = request.clone().run().await?;
        Ok(found.map(|(table, matches)| Self { table, request, matches: matches.boxed(), last: None, attempts: 0 }))
    }

    pub(super) async fn next(&mut self) -> Result<Option<Match>> {
        loop {
            match self.matches.try_next().await {
                Ok(Some(found)) => {
                    self.last = Some(found.key.clone());
                    self.attempts = 0;
                    self.request.offset = 0;
                    self.request.limit = self.request.limit.map(|limit| limit.saturating_sub(1));
                    return Ok(Some(found));
                }
                Err(Error::SnapshotExpired { .. }) if self.is_by_key() && self.attempts < ATTEMPTS => {
                    self.attempts += 1;
                    if let Some(last) = self.last.clone() {
                        self.request.after = Some(After::key_alone(last));
                    }
                    let Some((_, matches)) = self.request.clone().run().await? else { return Ok(None) };
                    self.matches = matches.boxed();
                }
                outcome => return outcome,
            }
        }
    }

    /// In another order, one that was written may come again behind the others.
    fn is_by_key(&self) -> bool {
        self.request.order.as_ref().is_none_or(Order::is_empty)
    }
}
