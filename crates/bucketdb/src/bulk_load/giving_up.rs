use bucketdb_env::Environment;
use bucketdb_log::{IngestTicket, LogError};

use super::{BulkLoad, Writer, ended_early};
use crate::database::Inner;
use crate::{Error, Result};

impl BulkLoad {
    /// Gives the load up: nothing of it appears, and what it wrote is removed. One that is dropped is given up too, as soon as
    /// its runtime or the database's maintenance comes round to it, unless it was [saved](Self::save) by a name under which it
    /// can be gone on with. Such a one, and one whose process is killed, is given up after ten
    /// [graces](crate::DatabaseBuilder::grace). What it wrote is then left to a [sweep](crate::Database::sweep).
    ///
    /// # Errors
    /// If the store fails: what is left is removed as if the load had been dropped.
    pub async fn abort(mut self) -> Result<()> {
        // What failed before is no concern any more.
        let _ = self.idle().await;
        let inner = &self.db.inner;
        inner.log.end_ingest(self.ticket, inner.commit_timeout).await?;
        self.has_ended = true;
        match std::mem::replace(&mut self.writer, Writer::Failed(ended_early())) {
            Writer::Idle(stretches) => stretches.discard().await,
            Writer::Busy(_) | Writer::Failed(_) => Ok(()),
        }
    }
}

impl Drop for BulkLoad {
    fn drop(&mut self) {
        let can_succeed = match &self.writer {
            Writer::Idle(_) | Writer::Busy(_) => true,
            Writer::Failed(error) => !is_final(error),
        };
        let is_resumable = self.note.is_some() && !self.name.is_empty() && can_succeed;
        if self.has_ended || is_resumable {
            return;
        }
        self.db.inner.abandoned.lock().push(self.ticket);
        let inner = self.db.inner.clone();
        self.db.inner.log.env().spawn(Box::pin(async move {
            if let Err(error) = inner.end_abandoned().await {
                tracing::debug!(%error, "a bulk load that was dropped is left to maintenance");
            }
        }));
    }
}

impl Inner {
    /// Gives up a load that failed so, if it can never succeed: the next one of its name begins anew, and at once.
    /// Whether it was given up.
    pub(super) async fn end_if_final(&self, ticket: IngestTicket, error: &Error) -> bool {
        is_final(error) && self.log.end_ingest(ticket, self.commit_timeout).await.is_ok()
    }

    /// Says in the log that loads were given up which were dropped.
    pub(crate) async fn end_abandoned(&self) -> Result<()> {
        loop {
            let Some(ticket) = self.abandoned.lock().pop() else { return Ok(()) };
            match self.log.end_ingest(ticket, self.commit_timeout).await {
                // It lapsed, or somebody else goes on with it.
                Ok(()) | Err(LogError::IngestEnded { .. }) => {}
                Err(error) => {
                    self.abandoned.lock().push(ticket);
                    return Err(error.into());
                }
            }
        }
    }
}

/// Whether a load that failed so fails again however often it is gone on with.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::AlreadyExists { .. }
            | Error::InvalidDocument { .. }
            | Error::Conflict { .. }
            | Error::TransactionTooLong { .. }
    )
}
