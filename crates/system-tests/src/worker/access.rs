use bucketdb::{Database, Document, Freshness, Query, Result, Transaction};

/// How a client reads and writes.
pub(crate) enum Access<'a> {
    /// All of it in one transaction.
    Together(Transaction),
    /// Each read and each write by itself, though each as strict as it can be.
    Alone(&'a Database),
}

impl Access<'_> {
    pub(crate) async fn get<T: Document>(&self, key: &T::Key) -> Result<Option<T>> {
        match self {
            Self::Together(tx) => tx.get(key).await,
            Self::Alone(db) => db.table::<T>().await?.with_freshness(Freshness::Strict).get(key).await,
        }
    }

    pub(crate) async fn put<T: Document>(&self, document: &T) -> Result<()> {
        match self {
            Self::Together(tx) => tx.put(document),
            Self::Alone(db) => db.table::<T>().await?.put(document).await.map(drop),
        }
    }

    pub(crate) async fn query<T: Document>(&self) -> Result<Query<T>> {
        match self {
            Self::Together(tx) => tx.query(),
            Self::Alone(db) => Ok(db.table::<T>().await?.query().freshness(Freshness::Strict)),
        }
    }
}
