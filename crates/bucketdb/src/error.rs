use bucketdb_documents::InvalidSchema;
use bucketdb_driver::DriverError;
use bucketdb_log::{CommitId, LogError, Seq};
use bucketdb_query::ParseError;
use bucketdb_runs::RunError;

use crate::{Blob, Cursor, InvalidPageCursor};

/// The result of working with a database.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by what can be done about it.
///
/// After every error but [`CommitOutcomeUnknown`](Self::CommitOutcomeUnknown), nothing of the failed call will ever
/// appear in the database.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An insert met a document with the same key.
    #[error("table {table} has a document with key {key} already")]
    AlreadyExists {
        /// The table.
        table: String,
        /// The key, as text.
        key: String,
    },
    /// A change asked for a document that is not there.
    #[error("table {table} has no document with key {key}")]
    NotFound {
        /// The table.
        table: String,
        /// The key, as text.
        key: String,
    },
    /// Somebody else wrote a document that a transaction had read, again and again. Try again.
    #[error("the document with key {key} in table {table} was changed by others at the same time")]
    Conflict {
        /// The table.
        table: String,
        /// The key, as text.
        key: String,
    },
    /// Somebody else made a table that a transaction had looked for in vain. Try again.
    #[error("table {table} was created by others at the same time")]
    TableConflict {
        /// Its name.
        table: String,
    },
    /// More was committed while a transaction ran than is remembered, so whether its reads still hold cannot be told.
    /// Try again, and keep it shorter.
    #[error("the transaction took too long: too much was committed since position {at}, at which it read")]
    TransactionTooLong {
        /// The position.
        at: Seq,
    },
    /// A handle of a transaction was used after its closure had ended.
    #[error("the transaction has ended; its handle works only inside the closure that it was given to")]
    TransactionEnded,
    /// The document is not the version that the change was made for. Read it again before trying again.
    #[error("the document with key {key} in table {table} is not {}", version(*expected))]
    VersionMismatch {
        /// The table.
        table: String,
        /// The key, as text.
        key: String,
        /// The position at which it was to be last written; `None` if it was to be absent.
        expected: Option<Seq>,
    },
    /// A document has the same values as another one, in fields that are unique.
    #[error(
        "the document with key {key} in table {table} has the same {fields} as the one with key {holder}: {fields} is unique"
    )]
    UniqueViolation {
        /// The table.
        table: String,
        /// The fields, as the index over them has them.
        fields: String,
        /// The key of the document that was to be written, as text.
        key: String,
        /// The key of the one that has the values already, as text.
        holder: String,
    },
    /// A value of a unique index is too large to tell whether another document has the same.
    #[error(
        "the document with key {key} in table {table} has too large a value for the unique index on {fields}: longer than 1 KiB, or a list of more than 1,000 elements"
    )]
    IndexValueTooLarge {
        /// The table.
        table: String,
        /// The fields, as the index over them has them.
        fields: String,
        /// The key of the document that was to be written, as text.
        key: String,
    },
    /// There is a snapshot of that name already.
    #[error("there is a snapshot named {name:?} already")]
    SnapshotExists {
        /// The name.
        name: String,
    },
    /// There is no snapshot of that name.
    #[error("there is no snapshot named {name:?}")]
    UnknownSnapshot {
        /// The name.
        name: String,
    },
    /// A snapshot cannot have that name.
    #[error("there can be no snapshot named {name:?}: {reason}")]
    InvalidSnapshot {
        /// The name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// There is a branch of that name already.
    #[error("there is a branch named {name:?} already")]
    BranchExists {
        /// The name.
        name: String,
    },
    /// There is no branch of that name.
    #[error("there is no branch named {name:?}")]
    UnknownBranch {
        /// The name.
        name: String,
    },
    /// There can be no such branch.
    #[error("there can be no branch named {name:?}: {reason}")]
    InvalidBranch {
        /// The name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The machine's clock is so wrong that it cannot tell which documents have ended.
    #[error(
        "the clock of this machine is {} s {} that of the store, more than 5 minutes: it cannot tell which documents have ended",
        ahead_ms.unsigned_abs() / 1_000, if *ahead_ms > 0 { "ahead of" } else { "behind" }
    )]
    WrongClock {
        /// How far it is ahead, in milliseconds.
        ahead_ms: i64,
    },
    /// There is no such index.
    #[error("table {table} has no index on {fields}")]
    UnknownIndex {
        /// The table.
        table: String,
        /// The fields.
        fields: String,
    },
    /// The store did not answer in time, or contradicted itself: the change took effect, will, or never will. It can be
    /// looked for at the position `slot`, and appears nowhere else.
    #[error(
        "the outcome of commit {id} is unknown: the store gave no clear answer; it can only appear at position {slot}"
    )]
    CommitOutcomeUnknown {
        /// Identifies the commit in the log.
        id: CommitId,
        /// The only position at which it may appear.
        slot: Seq,
    },
    /// The change could not be sent in time, and never will be. Try again.
    #[error("the commit timed out before it was written; nothing of it will appear")]
    CommitTimedOut,
    /// A batch is over the limit. Split it.
    #[error(
        "the changes take {size_bytes} bytes, and one commit, of one document or a batch, holds at most {limit_bytes}"
    )]
    BatchTooLarge {
        /// Its size in bytes.
        size_bytes: usize,
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// A query finds more documents to write than one commit holds. Let it be done in pieces, by
    /// [`Query::in_pieces`](crate::Query::in_pieces), or ask for fewer.
    #[error(
        "writing the documents of table {table} that the query finds takes more than the {limit_bytes} bytes that one \
         commit holds; it can be done in pieces"
    )]
    WriteTooLarge {
        /// The table.
        table: String,
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// A query in a snapshot was to write.
    #[error("a snapshot shows the past and cannot be written to")]
    ReadOnly,
    /// A batch without changes was to be committed.
    #[error("the batch is empty: there is nothing to commit")]
    EmptyBatch,
    /// There is no such table.
    #[error("there is no table {table}")]
    UnknownTable {
        /// Its name.
        table: String,
    },
    /// A schema cannot be, or contradicts the one that is registered.
    #[error(transparent)]
    Schema(#[from] InvalidSchema),
    /// The program has a version of a table's schema that is too old for what it wants to do. Deploy the newer one.
    #[error("version {version} of the schema of table {table} is out of date: {reason}")]
    OutdatedSchema {
        /// The table.
        table: String,
        /// The version that the program has.
        version: u32,
        /// Why it is too old.
        reason: String,
    },
    /// A value cannot be the key of a document in this table.
    #[error("invalid key for table {table}: {reason}")]
    InvalidKey {
        /// The table.
        table: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A document cannot be stored, or has not the shape that is asked for.
    #[error("document {key} of table {table}: {reason}")]
    InvalidDocument {
        /// The table.
        table: String,
        /// The key, as text.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that a query came to has not the type of its column.
    #[error("a query of table {table} came to a value of another type: {reason}")]
    UnexpectedValue {
        /// The table.
        table: String,
        /// The column, and what is wrong with the value.
        reason: String,
    },
    /// A query would have to keep more groups, or different values, than may be in memory. Filter more, group by less, or
    /// give the database more `max_memory`.
    #[error(
        "a query of table {table} has more groups or different values than fit {most_bytes} bytes, a quarter of max_memory"
    )]
    TooManyGroups {
        /// The table.
        table: String,
        /// How many bytes they may take.
        most_bytes: usize,
    },
    /// A query would have to keep more documents to put them in order than may be in memory. Make an index on the fields of
    /// the order, which gives it without keeping any; ask for fewer, by a limit or page by page
    /// ([`Query::page`](crate::Query::page)); or give the database more `max_memory`.
    #[error(
        "putting the documents of table {table} in the order {order} takes more than {most_bytes} bytes, a quarter of \
         max_memory, after {documents} of them: make an index on ({order}), or ask with a limit or page by page"
    )]
    OrderTooLarge {
        /// The table.
        table: String,
        /// The fields and their directions.
        order: String,
        /// How many documents there were to keep when it became too much.
        documents: usize,
        /// How many bytes they may take.
        most_bytes: usize,
    },
    /// A filter, order or selection is not understood.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The address of a database is not understood.
    #[error("invalid database URL {url:?}: {reason}")]
    InvalidUrl {
        /// The address, without secrets.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store that a URL names cannot be opened.
    #[error("cannot use the store {place}: {reason}")]
    StoreUnavailable {
        /// The store.
        place: String,
        /// What stands in the way.
        reason: String,
    },
    /// The database is encrypted, and was opened without a key.
    #[error("object {object} is encrypted: open the database with its key")]
    Encrypted {
        /// The full key of an object that is.
        object: String,
    },
    /// A database has no key to change.
    #[error("this database is not encrypted, or was opened without its key: there is no key to change")]
    NotEncrypted,
    /// A position to read changes from, or behind which a page is to begin, cannot be used.
    #[error("invalid cursor: {reason}")]
    InvalidCursor {
        /// What is wrong with it.
        reason: String,
    },
    /// A page was asked for of a query whose limit is 0: there would be no document behind which the next one begins.
    #[error("a page has one document at least, and the limit of the query is 0")]
    EmptyPage,
    /// The changes that a feed was to go on with were given up: what lies between is lost to it. Read the tables as
    /// they are, and follow from there.
    #[error("the changes to be read next are not kept any more; the oldest that are begin at cursor {resume_from}")]
    FeedExpired {
        /// Where the oldest changes begin that can be read.
        resume_from: Cursor,
    },
    /// A moment to read at is none that can be read.
    #[error("nothing can be read at that point: {reason}")]
    InvalidPoint {
        /// What is wrong with it.
        reason: String,
    },
    /// The moment to read at was given up: what it takes to show it may be removed already.
    #[error("what is to be read lies before position {floor}, the oldest that can still be read")]
    SnapshotExpired {
        /// The oldest position that can be read.
        floor: Seq,
    },
    /// A document was to refer to a blob that belongs to another one: each belongs to one document, for ever. Upload it
    /// once more.
    #[error(
        "the document with key {key} in table {table} refers to the blob {blob}, which belongs to the one with key {holder} \
         in table {holder_table}: a blob belongs to one document"
    )]
    BlobTaken {
        /// The blob.
        blob: Box<Blob>,
        /// The table of the document that was to be written.
        table: String,
        /// Its key, as text.
        key: String,
        /// The table of the one that the blob belongs to.
        holder_table: String,
        /// Its key, as text.
        holder: String,
    },
    /// A blob was uploaded so long ago, or has been without a document for so long, that it may be removed by now. Upload it
    /// once more, and write the document with that.
    #[error("the blob {blob} was given up before the document that refers to it was written; upload it again")]
    BlobExpired {
        /// The blob.
        blob: Blob,
    },
    /// A blob was to be read that is not there any more: no document refers to it, or none did in time.
    #[error("the blob {blob} is not there any more")]
    BlobGone {
        /// The blob.
        blob: Blob,
    },
    /// The content of a blob is not what was uploaded. Restore the object from a copy of the bucket, or upload it once more.
    #[error("the blob {blob} is damaged: {reason}")]
    BlobDamaged {
        /// The blob.
        blob: Blob,
        /// In what it differs.
        reason: String,
    },
    /// A blob was to be read that was not uploaded to this database.
    #[error("the blob {blob} is not one of this database")]
    ForeignBlob {
        /// The blob.
        blob: Blob,
    },
    /// What was to be uploaded could not be read, or is too large. Nothing was uploaded.
    #[error("cannot upload the blob: {reason}")]
    BlobSource {
        /// Why not.
        reason: String,
    },
    /// A database was to be dropped by another name than its own.
    #[error("the database is named {expected:?} and not {given:?}: nothing was dropped")]
    WrongName {
        /// The name that was given.
        given: String,
        /// Its name.
        expected: String,
    },
    /// A backup cannot be written to, or restored from.
    #[error("the backup at {place} cannot be used: {reason}")]
    Backup {
        /// Store and prefix.
        place: String,
        /// Why not.
        reason: String,
    },
    /// A place to restore a database to holds something already.
    #[error("a database can be restored to an empty place only, and {place} has the object {object}")]
    NotEmpty {
        /// Store and prefix.
        place: String,
        /// The full key of an object that is there.
        object: String,
    },
    /// A restore was cut off: what is there is no database yet. Restore the same moment to the same place again: it goes on.
    #[error("a restore to {place} has not finished: restore the same once more, and it goes on")]
    UnfinishedRestore {
        /// Store and prefix.
        place: String,
    },
    /// The log or the store beneath it failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Error {
    /// Whether the same call may succeed if it is made again. False after
    /// [`CommitOutcomeUnknown`](Self::CommitOutcomeUnknown): repeating might do it twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict { .. }
            | Self::TableConflict { .. }
            | Self::TransactionTooLong { .. }
            | Self::CommitTimedOut => true,
            Self::Log(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl Error {
    /// Whether the objects at a place are not those of a database that can be opened.
    pub(crate) fn is_of_objects(&self) -> bool {
        matches!(
            self,
            Self::Log(
                LogError::Missing { .. }
                    | LogError::NoDatabase { .. }
                    | LogError::Damaged { .. }
                    | LogError::BrokenChain { .. }
            )
        )
    }
}

fn version(expected: Option<Seq>) -> String {
    expected.map_or_else(|| "absent any more".to_owned(), |seq| format!("at version {seq} any more"))
}

impl From<InvalidPageCursor> for Error {
    fn from(error: InvalidPageCursor) -> Self {
        Self::InvalidCursor { reason: error.to_string() }
    }
}

impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        Self::Log(error.into())
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        Self::Log(match error {
            RunError::Driver(error) => error.into(),
            RunError::Damaged { object, detail } => LogError::Damaged { object, detail },
            RunError::Missing { object } => {
                LogError::Missing { object, detail: "the last checkpoint that is known needs it".to_owned() }
            }
            RunError::NeedsNewerVersion { object, detail } => LogError::NeedsNewerVersion { object, detail },
            // No key and no row that was committed is refused by a run.
            error => LogError::Damaged { object: "a new run".to_owned(), detail: error.to_string() },
        })
    }
}
