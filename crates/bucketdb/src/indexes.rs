use std::sync::Arc;

use bucketdb_documents::{Documents, Index, IndexState, Proposal, TableEntry};
use bucketdb_log::Seq;

use crate::rows::TableRef;
use crate::{Collection, Database, Document, Error, Result, Table};

/// An index of a table, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInfo {
    /// What it orders documents by, in the text form of an [`Order`](crate::Order).
    pub fields: String,
    /// Whether no two documents may have the same values.
    pub is_unique: bool,
    /// How far it is.
    pub progress: IndexProgress,
    /// How many documents were put into it, of those that were there, while it is being built; none once it is usable. Together
    /// with the number of documents of the table, about, it says how much is done.
    pub built: Option<BuiltDocuments>,
    /// If it is unique: the keys of two documents, as text, that had the same values when it was built. From then on no
    /// others are let in; these two stay until one of them is changed.
    pub duplicate: Option<(String, String)>,
}

/// How much of an index is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuiltDocuments {
    /// So many documents were put in.
    pub documents: u64,
    /// So many documents the table has, about.
    pub of: u64,
}

impl BuiltDocuments {
    /// What share of the documents is in it, about: from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.of == 0 { 0.0 } else { (self.documents as f64 / self.of as f64).min(1.0) }
    }
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexProgress {
    /// It has every document; queries use it.
    Usable,
    /// It is being built, and has the documents up to this key, as text; `None` if it has not begun. Queries read other
    /// ways until it has all.
    Building(Option<String>),
}

impl Database {
    /// Adds an index to a table: by a field, `role`; by several, `address.city, age desc`; by each element of a list,
    /// `tags[*]`. One put, and no request if there is that index.
    ///
    /// Documents that are there are put into it in the background, a piece with every checkpoint, by whoever looks after the
    /// database; everybody goes on reading and writing. [`build_indexes`](Self::build_indexes) does it now.
    ///
    /// # Errors
    /// [`Error::UnknownTable`]; [`Error::Schema`] if that cannot be an index, or if there is one that is unique.
    pub async fn create_index(&self, table: &str, fields: &str) -> Result<()> {
        let table = self.known_table(table).await?;
        self.inner.register(&Arc::unwrap_or_clone(table.schema).with_index(fields)).await.map(|_| ())
    }

    /// As [`create_index`](Self::create_index), and no two documents may have the same values from then on, in whichever
    /// process they are written: the later one fails with [`Error::UniqueViolation`]. Documents in which one of the values is
    /// missing or null may be many. A value longer than 1 KiB, or a list of more than 1,000 elements in an index over these,
    /// is refused with [`Error::IndexValueTooLarge`].
    ///
    /// It is enforced once the index has all documents that were there: at once in an empty table. If two of them have the
    /// same values, [`build_indexes`](Self::build_indexes) says which. A bulk load, which looks at no index, has it built anew.
    ///
    /// # Errors
    /// As [`create_index`](Self::create_index).
    pub async fn create_unique_index(&self, table: &str, fields: &str) -> Result<()> {
        let table = self.known_table(table).await?;
        self.inner.register(&Arc::unwrap_or_clone(table.schema).with_unique(fields)).await.map(|_| ())
    }

    /// Removes an index. One put; what it takes in the store leaves when runs are merged.
    ///
    /// # Errors
    /// [`Error::UnknownIndex`] if there is none.
    pub async fn drop_index(&self, table: &str, fields: &str) -> Result<()> {
        let proposal = Proposal::DropIndex { table: table.to_owned(), fields: fields.to_owned() };
        self.inner.change_catalogue(proposal).await.map(|_| ())
    }

    async fn known_table(&self, name: &str) -> Result<TableRef> {
        self.inner.log.refresh(self.freshness()).await?;
        let found = self.inner.log.read(|documents, _| TableRef::find(documents.catalogue(), name))?;
        found.ok_or_else(|| Error::UnknownTable { table: name.to_owned() })
    }

    /// The indexes of a table, oldest first, as far as this process knows.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if there is no such table.
    pub fn indexes(&self, table: &str) -> Result<Vec<IndexInfo>> {
        let infos = |documents: &Documents, _| {
            let entry = documents.catalogue().by_name(table);
            entry.map(|entry| entry.indexes().iter().map(|index| info(documents, entry, index)).collect())
        };
        let unknown = || Error::UnknownTable { table: table.to_owned() };
        self.inner.log.read(infos)?.ok_or_else(unknown)
    }

    /// Builds all indexes that are not whole, now. In pieces of bounded memory, each of which counts once it is done; readers
    /// and writers go on.
    ///
    /// # Errors
    /// [`Error::UniqueViolation`] if documents have the same values in a unique index that was built; the index is usable
    /// nevertheless. If the store fails.
    pub async fn build_indexes(&self) -> Result<()> {
        self.inner.build_indexes().await?;
        let violation = |documents: &Documents, _| {
            documents.catalogue().indexes().find_map(|(entry, index)| {
                let (holder, key) = documents.base().index(index.id)?.duplicate.clone()?;
                Some(Error::UniqueViolation {
                    table: entry.schema().table().to_owned(),
                    fields: index.order.to_string(),
                    key: key.to_string(),
                    holder: holder.to_string(),
                })
            })
        };
        self.inner.log.read(violation)?.map_or(Ok(()), Err)
    }
}

pub(crate) fn info(documents: &Documents, table: &TableEntry, index: &Index) -> IndexInfo {
    let progress = match documents.index_state(table.id, index, Seq(u64::MAX)) {
        IndexState::Usable { .. } => IndexProgress::Usable,
        IndexState::Building(last) => IndexProgress::Building(last.map(|key| key.to_string())),
        IndexState::Expired => IndexProgress::Building(None),
    };
    let known = documents.base().index(index.id);
    let duplicate = known.and_then(|known| known.duplicate.clone());
    let built = (progress != IndexProgress::Usable).then(|| BuiltDocuments {
        documents: known.map_or(0, |known| known.rows),
        of: documents.stats(table.id).documents,
    });
    IndexInfo {
        fields: index.order.to_string(),
        is_unique: index.is_unique,
        progress,
        built,
        duplicate: duplicate.map(|(first, second)| (first.to_string(), second.to_string())),
    }
}

/// The same calls for a table that is at hand.
macro_rules! index_calls {
    () => {
        /// As [`Database::create_index`].
        ///
        /// # Errors
        /// As [`Database::create_index`].
        pub async fn create_index(&self, fields: &str) -> Result<()> {
            self.database().create_index(self.name(), fields).await
        }

        /// As [`Database::create_unique_index`].
        ///
        /// # Errors
        /// As [`Database::create_unique_index`].
        pub async fn create_unique_index(&self, fields: &str) -> Result<()> {
            self.database().create_unique_index(self.name(), fields).await
        }

        /// As [`Database::drop_index`].
        ///
        /// # Errors
        /// As [`Database::drop_index`].
        pub async fn drop_index(&self, fields: &str) -> Result<()> {
            self.database().drop_index(self.name(), fields).await
        }

        /// As [`Database::indexes`].
        ///
        /// # Errors
        /// As [`Database::indexes`].
        pub fn indexes(&self) -> Result<Vec<IndexInfo>> {
            self.database().indexes(self.name())
        }
    };
}

impl<T: Document> Table<T> {
    index_calls!();
}

impl Collection {
    index_calls!();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::MemoryDriver;
    use crate::index_build::IndexPiece;

    #[tokio::test]
    async fn an_index_that_is_being_built_says_how_much_of_it_is_done() {
        // It is always the other node's turn to look after the database, so only this test does.
        let turn = Duration::from_secs(1 << 32);
        let mut builder = Database::builder().driver(MemoryDriver::new()).node_id(1).ring_size(2);
        builder = builder.write_forward_interval(turn);
        builder.index_piece = IndexPiece { read_bytes: 300, ..IndexPiece::default() };
        let db = builder.open().await.unwrap();
        let things = db.collection("things");
        for id in 0..200 {
            things.put(&json!({"id": id, "a": [id, id + 1, id + 2]})).await.unwrap();
        }
        db.checkpoint().await.unwrap();
        things.create_index("a[*]").await.unwrap();
        let index = || things.indexes().unwrap().remove(0);
        let mut done = Vec::new();
        while let Some(built) = index().built {
            assert_eq!((built.of, built.share()), (200, built.documents as f64 / 200.0));
            // Its keys are the numbers up to that.
            let last = (built.documents > 0).then(|| (built.documents - 1).to_string());
            assert_eq!(index().progress, IndexProgress::Building(last));
            done.push(built.documents);
            db.checkpoint().await.unwrap();
        }
        assert_eq!(index().progress, IndexProgress::Usable);
        assert!(done.len() > 3 && done.is_sorted_by(|less, more| less < more), "{done:?}");
    }
}
