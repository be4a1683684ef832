use bucketdb_documents::{NamedPosition, Proposal};
use bucketdb_env::WallTime;
use bucketdb_log::{Freshness, Seq};

use crate::database::Inner;
use crate::{Database, Error, Result};

/// A position of the log that has a name, and can be read until that is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedSnapshot {
    /// The name.
    pub name: String,
    /// The position.
    pub seq: Seq,
    /// When it got the name.
    pub time: WallTime,
}

impl NamedSnapshot {
    fn new(name: &str, position: NamedPosition) -> Self {
        Self { name: name.to_owned(), seq: position.seq, time: WallTime(position.time_ms) }
    }
}

impl Database {
    /// Gives the present a name, under which every process can read it with [`at`](Self::at) until
    /// [`drop_snapshot`](Self::drop_snapshot), however long ago it is by then. One put; nothing is copied: what the snapshot
    /// shows is not removed. So it takes the room of what was replaced or deleted since.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, MemoryDriver};
    /// # use serde_json::json;
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let events = db.collection("events");
    /// events.insert(&json!({"id": 1})).await?;
    /// db.create_snapshot("before the import").await?;
    /// events.insert(&json!({"id": 2})).await?;
    /// let before = db.at("before the import").await?;
    /// assert_eq!(before.collection("events").query().count().await?, 1);
    /// db.drop_snapshot("before the import").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::SnapshotExists`]; [`Error::InvalidSnapshot`] if the name is empty, longer than 255 bytes, or has control
    /// characters, or if there are 1,000 snapshots.
    pub async fn create_snapshot(&self, name: &str) -> Result<NamedSnapshot> {
        let commit = self.inner.change_catalogue(Proposal::CreateSnapshot { name: name.to_owned() }).await?;
        let commit = commit.ok_or_else(|| Error::SnapshotExists { name: name.to_owned() })?;
        Ok(NamedSnapshot { name: name.to_owned(), seq: commit.seq, time: WallTime(commit.time.unix_ms()) })
    }

    /// The snapshots that have names, in the order of these, as fresh as the database's reads are.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn snapshots(&self) -> Result<Vec<NamedSnapshot>> {
        self.refresh(self.freshness()).await?;
        let all = |documents: &bucketdb_documents::Documents, _| {
            let named = documents.catalogue().snapshots().iter();
            named.map(|(name, position)| NamedSnapshot::new(name, position)).collect()
        };
        Ok(self.inner.log.read(all)?)
    }

    /// Takes the name of a snapshot away: what only it needs is removed by and by, a grace later at the earliest. One put.
    ///
    /// # Errors
    /// [`Error::UnknownSnapshot`].
    pub async fn drop_snapshot(&self, name: &str) -> Result<()> {
        self.inner.change_catalogue(Proposal::DropSnapshot { name: name.to_owned() }).await.map(|_| ())
    }
}

impl Inner {
    /// The position of a snapshot, as fresh as other reads are: the name may be another's by now. One that is not known here
    /// may have been created elsewhere a moment ago.
    pub(crate) async fn named_position(&self, name: &str) -> Result<Seq> {
        self.log.refresh(self.freshness()).await?;
        let find = || self.log.read(|documents, _| documents.catalogue().snapshots().get(name));
        if let Some(known) = find()? {
            return Ok(known.seq);
        }
        self.log.refresh(Freshness::Strict).await?;
        let found = find()?.ok_or_else(|| Error::UnknownSnapshot { name: name.to_owned() })?;
        Ok(found.seq)
    }
}
