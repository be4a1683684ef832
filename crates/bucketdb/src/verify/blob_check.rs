use std::ops::Bound;

use bucketdb_documents::{Blob, ClaimRow, EncodedKey, KeyRange, TableId, blob_name, blobs_of_row};
use bucketdb_log::Freshness;
use futures::stream::TryStreamExt;

use super::{Verification, VerifyProgress};
use crate::origin::{Origin, View};
use crate::row_scan::RowScan;
use crate::{Database, Error, Result};

const BLOB_REMEDY: &str = "the document can be read, and what it refers to cannot; restore the object from a copy of the \
     bucket, or upload it again and let the document refer to that";

impl Database {
    /// Reads every blob that a document refers to at present, and checks its hash.
    pub(super) async fn verify_blobs(
        &self,
        verification: &mut Verification,
        progress: &mut (impl FnMut(VerifyProgress) + Send),
    ) -> Result<()> {
        let mut tables = Vec::new();
        let mut marked = RowScan::new(self.present().await?, ClaimRow::tables())?;
        while let Some(row) = marked.next().await? {
            if let Some(ClaimRow::Table(table)) = ClaimRow::of_key(&row.key) {
                tables.push(table);
            }
        }
        for table in tables {
            let mut range = KeyRange::all(table);
            loop {
                let Err(error) = self.verify_blobs_in(&mut range, verification, progress).await else { break };
                match error {
                    // It took long: on with what is there by now.
                    Error::SnapshotExpired { .. } => {}
                    // It was found before.
                    Error::Log(_) if !verification.is_clean() && !error.is_retryable() => break,
                    error => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn present(&self) -> Result<View> {
        Origin::Live(self.clone(), Freshness::Local).open().await
    }

    /// Those of a range of documents, which becomes what is left of it.
    async fn verify_blobs_in(
        &self,
        range: &mut KeyRange,
        verification: &mut Verification,
        progress: &mut (impl FnMut(VerifyProgress) + Send),
    ) -> Result<()> {
        let mut rows = RowScan::live(self.present().await?, range.clone())?;
        while let Some(row) = rows.next().await? {
            for blob in blobs_of_row(&row.row, self.inner.log.database()) {
                match self.read_blob(&blob).await {
                    Ok(()) => {
                        verification.blobs += 1;
                        verification.blob_bytes += blob.len();
                    }
                    Err(error @ (Error::BlobGone { .. } | Error::BlobDamaged { .. })) => {
                        if self.refers_to(range.table, &row.key, &blob).await? {
                            let what = format!("document {}: {error}", row.key);
                            verification.add_finding(what, BLOB_REMEDY);
                        }
                    }
                    Err(error) => return Err(error),
                }
                progress(VerifyProgress::Blob(blob_name(&blob)));
            }
            range.start = Bound::Excluded(row.key);
        }
        Ok(())
    }

    async fn read_blob(&self, blob: &Blob) -> Result<()> {
        let mut parts = std::pin::pin!(self.blobs().open(blob)?.stream());
        while parts.try_next().await?.is_some() {}
        Ok(())
    }

    /// Whether a document refers to a blob still: what others removed meanwhile is nobody's fault.
    async fn refers_to(&self, table: TableId, key: &EncodedKey, blob: &Blob) -> Result<bool> {
        self.inner.log.refresh(Freshness::Strict).await?;
        let found = self.inner.newest_many(&[(table, key.clone())]).await?;
        let row = found.into_iter().next().flatten();
        Ok(row.is_some_and(|found| blobs_of_row(&found.row, self.inner.log.database()).contains(blob)))
    }
}
