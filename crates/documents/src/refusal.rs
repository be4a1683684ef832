use bucketdb_log::Seq;

use crate::{EncodedKey, InvalidSchema, TableId};

/// Why a proposed change is not valid in the state that it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key was to be absent, and it is there.
    AlreadyExists {
        /// The table.
        table: TableId,
        /// The key.
        key: EncodedKey,
    },
    /// The key was to be there, and it is absent.
    NotFound {
        /// The table.
        table: TableId,
        /// The key.
        key: EncodedKey,
    },
    /// The row is not the version that the change was based on.
    Changed {
        /// The table.
        table: TableId,
        /// The key.
        key: EncodedKey,
        /// The position at which it was to be last written; `None` if it was to be absent.
        expected: Option<Seq>,
    },
    /// A row that the transaction read, or one in a range that it read, was written since.
    ReadChanged {
        /// The table.
        table: TableId,
        /// The key.
        key: EncodedKey,
    },
    /// The transaction looked for a table that there was not, and there is one now.
    TableCreated(String),
    /// So much was written since the transaction read that it is not known what.
    ReadsTooOld {
        /// The position that it read at.
        at: Seq,
    },
    /// A condition rests on a row that is in runs, and what is known of it is missing or too old: look it up again.
    FactsTooOld,
    /// There is no such table.
    UnknownTable(TableId),
    /// There is no such index.
    UnknownIndex {
        /// The name of the table.
        table: String,
        /// The fields of the index.
        fields: String,
    },
    /// A unique index has the values of a document already.
    Duplicate {
        /// The table.
        table: TableId,
        /// The fields of the index.
        fields: String,
        /// The document that was to be written.
        key: EncodedKey,
        /// The one that has the values.
        holder: EncodedKey,
    },
    /// A unique index does not hold a value of a document whole, and so cannot tell whether another one has it.
    IndexValueTooLarge {
        /// The table.
        table: TableId,
        /// The fields of the index.
        fields: String,
        /// The document that was to be written.
        key: EncodedKey,
    },
    /// Documents of that version of the schema are not written any more.
    OutdatedVersion {
        /// The name of the table.
        table: String,
        /// The version.
        version: u32,
        /// The lowest one that is accepted.
        accepts: u32,
    },
    /// There is a snapshot of that name.
    SnapshotExists {
        /// The name.
        name: String,
    },
    /// There is no snapshot of that name.
    UnknownSnapshot {
        /// The name.
        name: String,
    },
    /// There can be no snapshot of that name.
    InvalidSnapshot {
        /// The name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// There is a branch of that name.
    BranchExists {
        /// The name.
        name: String,
    },
    /// There is no such branch.
    UnknownBranch {
        /// The name.
        name: String,
    },
    /// There can be no such branch.
    InvalidBranch {
        /// The name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The schema contradicts the one that is registered.
    Schema(InvalidSchema),
    /// The same schema is registered already: nothing is to be done.
    AlreadyRegistered(TableId),
}
