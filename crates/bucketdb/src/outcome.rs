use bucketdb_log::{CommitId, CommitOutcome, Seq};

use crate::{Database, Result};

impl Database {
    /// What became of a commit, by its id, whoever made it and whenever. One get.
    ///
    /// Sessions are remembered for 65,536 positions after their last record; of an older one the answer is
    /// [`CommitOutcome::Forgotten`], never that it failed.
    ///
    /// # Errors
    /// If the store fails, or if what it holds is broken.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// use bucketdb::{CommitOutcome, Database, MemoryDriver};
    /// use serde_json::json;
    ///
    /// let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let commit = db.collection("events").insert(&json!({"id": 1})).await?;
    /// assert_eq!(db.commit_outcome(commit.id).await?, CommitOutcome::Committed { seq: Some(commit.seq) });
    /// # Ok(())
    /// # }
    /// ```
    pub async fn commit_outcome(&self, id: CommitId) -> Result<CommitOutcome> {
        Ok(self.inner.log.outcome(id, None).await?)
    }

    /// As [`commit_outcome`](Self::commit_outcome), after
    /// [`Error::CommitOutcomeUnknown`](crate::Error::CommitOutcomeUnknown), which tells id and slot: decides what is
    /// undecided, so that the answer is final. At most one put.
    ///
    /// # Errors
    /// If the store fails or does not answer in time, or if what it holds is broken.
    pub async fn settle_commit(&self, id: CommitId, slot: Seq) -> Result<CommitOutcome> {
        Ok(self.inner.log.settle(id, slot, self.inner.commit_timeout).await?)
    }
}
