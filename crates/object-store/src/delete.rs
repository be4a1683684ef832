use std::sync::atomic::Ordering;

use bucketdb_driver::{Key, Operation, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use http::StatusCode;
use object_store::path::Path;

use crate::connector::{Observation, observe};
use crate::error::{Conditional, status};
use crate::store::{Bulk, Client, Store};

/// How many single deletes are in flight where a store has no bulk delete.
const PARALLEL_DELETES: usize = 16;

impl Store {
    pub(crate) async fn delete(&self, key: &Key) -> Result<()> {
        let (results, seen) = observe(self.delete_with(&*self.clients.patient, std::slice::from_ref(key))).await;
        self.deleted(key, results, seen)
    }

    pub(crate) async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        let Some(Bulk { client, max_keys }) = &self.clients.bulk else { return self.delete_each(keys).await };
        for chunk in keys.chunks(*max_keys) {
            if self.bulk_refused.load(Ordering::Relaxed) {
                self.delete_each(chunk).await?;
                continue;
            }
            let (results, seen) = observe(self.delete_with(&**client, chunk)).await;
            if results.iter().all(Result::is_ok) {
                continue;
            }
            match status(&seen) {
                // Some objects of the batch failed. One by one each gets an answer of its own that says why.
                Some(status) if status.is_success() => self.delete_each(chunk).await?,
                Some(StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) => {
                    self.bulk_refused.store(true, Ordering::Relaxed);
                    self.delete_each(chunk).await?;
                }
                _ => {
                    if let Some(first) = chunk.first() {
                        self.deleted(first, results, seen)?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn delete_each(&self, keys: &[Key]) -> Result<()> {
        stream::iter(keys.iter().map(Ok)).try_for_each_concurrent(PARALLEL_DELETES, |key| self.delete(key)).await
    }

    fn deleted(&self, key: &Key, results: Vec<object_store::Result<Path>>, seen: Observation) -> Result<()> {
        let Some(error) = results.into_iter().find_map(Result::err) else { return Ok(()) };
        if let (object_store::Error::NotFound { .. }, Some(status)) = (&error, status(&seen)) {
            // A part of an Azure batch: the batch went well, this blob was not there.
            if status.is_success() {
                return Ok(());
            }
        }
        match self.failed(Operation::Delete, key, Conditional::No, &error, seen) {
            error if error.is_not_found() => Ok(()),
            error => Err(error),
        }
    }

    async fn delete_with(&self, client: &dyn Client, keys: &[Key]) -> Vec<object_store::Result<Path>> {
        let paths: Vec<_> = keys.iter().map(|key| self.path(key)).collect();
        client.delete_stream(stream::iter(paths).boxed()).collect().await
    }
}
