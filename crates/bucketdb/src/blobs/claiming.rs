//! What it takes to commit documents that refer to blobs: that each blob belongs to one row, for ever (H15).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bucketdb_documents::{
    Blob, BlobClaim, Change, ChangeKind, ClaimRow, Condition, EncodedKey, ReadSet, Refusal, TableId, Transaction,
    blob_name, blobs_in, blobs_of_row,
};
use bucketdb_log::codec::Malformed;
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_log::{CommitError, LogError};
use bytes::Bytes;

use crate::database::Inner;
use crate::rows::check_size;
use crate::{Error, Result};

/// A transaction whose documents refer to blobs, with the claims on those to which none did before.
pub(crate) struct Claiming {
    pub(crate) transaction: Arc<Transaction>,
    /// What the transaction rests on, with the claims that were there already: they must not be released meanwhile.
    pub(crate) reads: Option<ReadSet>,
    /// Whether the transaction rests on nothing else that was read.
    is_blind: bool,
    blobs: Vec<Blob>,
}

impl Claiming {
    /// Whether it is worth another try, with the claims as they are then.
    pub(crate) fn may_pass(&self, error: &CommitError<Refusal>) -> bool {
        match error {
            // Somebody else wrote the same document with the same blob.
            CommitError::Refused(Refusal::AlreadyExists { table, .. }) => *table == TableId::BLOBS,
            CommitError::Refused(Refusal::ReadChanged { .. } | Refusal::ReadsTooOld { .. }) => self.is_blind,
            _ => false,
        }
    }
}

/// That the blob in an object was uploaded before the last sweep, which may have removed it.
pub(crate) fn blob_expired(claiming: Option<&Claiming>, object: &str) -> Error {
    let blobs = claiming.iter().flat_map(|claiming| &claiming.blobs);
    match blobs.into_iter().find(|blob| object.ends_with(&blob_name(blob))) {
        Some(blob) => Error::BlobExpired { blob: *blob },
        None => LogError::Swept { object: object.to_owned() }.into(),
    }
}

/// A document that refers to a blob.
struct Reference<'a> {
    blob: Blob,
    change: &'a Change,
}

impl Inner {
    /// The transaction with the claims that its documents need, if they refer to blobs; `None` if none does, which takes a
    /// search through its rows and no request.
    ///
    /// # Errors
    /// [`Error::BlobTaken`] if another row has one of them, [`Error::BlobExpired`] if one was given up. Both are for ever, so
    /// it does not matter how old what this process knows is.
    pub(crate) async fn claiming(
        self: &Arc<Self>,
        transaction: &Transaction,
        reads: Option<&ReadSet>,
    ) -> Result<Option<Claiming>> {
        let references = self.references(transaction)?;
        if references.is_empty() || is_planted(PlantedBug::BlobShared) {
            return Ok(None);
        }
        // What is read later than that is at most newer than it says, and then the validation refuses it.
        let at = self.log.position();
        let tables: BTreeSet<TableId> = references.values().map(|reference| reference.change.table).collect();
        let claims = references.values().filter_map(|reference| ClaimRow::of(&reference.blob).place());
        let marks = tables.iter().filter_map(|table| ClaimRow::Table(*table).place());
        let keys: Vec<(TableId, EncodedKey)> = claims.chain(marks).collect();
        let mut found = self.newest_many(&keys).await?.into_iter();
        let mut changes = transaction.changes.clone();
        let mut held = BTreeSet::new();
        for (reference, found) in references.values().zip(found.by_ref()) {
            let Reference { blob, change } = reference;
            let row = ClaimRow::of(blob);
            match found {
                None => {
                    let claim = BlobClaim { table: change.table, key: change.key.clone(), is_released: false };
                    changes.extend(row.put(claim.encode(), Condition::Absent));
                }
                Some(found) => {
                    let claim = BlobClaim::decode(found.row).map_err(|malformed| self.damaged_claim(&malformed))?;
                    if (claim.table, &claim.key) != (change.table, &change.key) {
                        return Err(self.blob_taken(reference, &claim));
                    }
                    if claim.is_released {
                        return Err(Error::BlobExpired { blob: *blob });
                    }
                    held.extend(row.place());
                }
            }
        }
        for (table, found) in tables.iter().zip(found) {
            if found.is_none() {
                changes.extend(ClaimRow::Table(*table).put(Bytes::from_static(&[1]), Condition::Always));
            }
        }
        let is_blind = reads.is_none();
        let mut reads = reads.cloned();
        if !held.is_empty() {
            reads.get_or_insert_with(|| ReadSet::new(at)).keys.extend(held);
        }
        let transaction = Transaction { changes };
        check_size(&transaction)?;
        let blobs = references.into_values().map(|reference| reference.blob).collect();
        Ok(Some(Claiming { transaction: Arc::new(transaction), reads, is_blind, blobs }))
    }

    /// The blobs to which the documents refer that a transaction leaves, by their names.
    fn references<'a>(&self, transaction: &'a Transaction) -> Result<BTreeMap<String, Reference<'a>>> {
        let mut references: BTreeMap<String, Reference<'a>> = BTreeMap::new();
        let refers = |change: &Change| matches!(&change.kind, ChangeKind::Put(row) if blobs_in(row).next().is_some());
        if !transaction.changes.iter().any(refers) {
            return Ok(references);
        }
        // The last change of a row counts.
        let last: BTreeMap<(TableId, &EncodedKey), &Change> =
            transaction.changes.iter().map(|change| ((change.table, &change.key), change)).collect();
        for change in last.into_values().filter(|change| change.table != TableId::BLOBS) {
            let ChangeKind::Put(row) = &change.kind else { continue };
            for blob in blobs_of_row(row, self.log.database()) {
                if let Some(other) = references.insert(blob_name(&blob), Reference { blob, change }) {
                    let claim = BlobClaim { table: change.table, key: change.key.clone(), is_released: false };
                    return Err(self.blob_taken(&other, &claim));
                }
            }
        }
        Ok(references)
    }

    fn blob_taken(&self, reference: &Reference<'_>, claim: &BlobClaim) -> Error {
        let name = |table: TableId| {
            let name = self
                .log
                .read(|documents, _| documents.catalogue().table(table).map(|entry| entry.schema().table().to_owned()));
            name.ok().flatten().unwrap_or_default()
        };
        Error::BlobTaken {
            blob: Box::new(reference.blob),
            table: name(reference.change.table),
            key: reference.change.key.to_string(),
            holder_table: name(claim.table),
            holder: claim.key.to_string(),
        }
    }

    pub(super) fn damaged_claim(&self, malformed: &Malformed) -> Error {
        let object = format!("{}, where it stands whom a blob belongs to", self.log.layout().prefix());
        LogError::Damaged { object, detail: malformed.to_string() }.into()
    }
}
