//! What only the simulator may do: plant bugs, set limits that are too small to be sensible, and look at what the log said
//! before it was given up.

use std::sync::Arc;

use bucketdb_documents::{BlobClaim, ClaimRow, Documents, KeyRange, TableId};
pub use bucketdb_log::planted::{PlantedBug, plant, set_remembered_positions};
pub use bucketdb_log::{CheckpointRef, DatabaseId, TailLimits};
use bucketdb_log::{LogError, LogTime, RecordKind, Seq, StateMachine};
pub use bucketdb_lsm::Policy;
use serde_json::Value;

use crate::database::MemoryBudget;
use crate::feed::{ChangeKind, changes_of};
use crate::index_build::IndexPiece;
use crate::moment::{Moment, Replayed};
use crate::origin::View;
use crate::row_scan::RowScan;
use crate::rows::TableRef;
use crate::{Backups, Database, DatabaseBuilder, Place, Result};

/// How runs are merged.
pub fn set_policy(mut builder: DatabaseBuilder, policy: Policy) -> DatabaseBuilder {
    builder.policy = policy;
    builder
}

/// How much of the indexes that are being built one checkpoint does: so many bytes of entries, from so many bytes of rows;
/// and how many bytes of entries may come and go with what it writes.
pub fn set_index_piece(
    mut builder: DatabaseBuilder,
    (entry_bytes, read_bytes, followed_bytes): (usize, usize, usize),
) -> DatabaseBuilder {
    builder.index_piece = IndexPiece { entry_bytes, read_bytes, followed_bytes };
    builder
}

/// How long the log of a new database may grow behind its newest checkpoint.
pub fn set_tail_limits(mut builder: DatabaseBuilder, limits: TailLimits) -> DatabaseBuilder {
    builder.tail_limits = Some(limits);
    builder
}

/// How many bytes of memory may hold parts of runs, what was written since the last checkpoint, and what is kept for those
/// who read earlier positions.
pub fn set_memory(
    mut builder: DatabaseBuilder,
    (cache_bytes, overlay_bytes, earlier_bytes): (usize, usize, usize),
) -> DatabaseBuilder {
    builder.memory = Some(MemoryBudget { cache_bytes, overlay_bytes, earlier_bytes, load_bytes: 2 * overlay_bytes });
    builder
}

/// A document that a record wrote or removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// The table.
    pub table: String,
    /// The document's key.
    pub key: String,
    /// What it was from then on; `None` if it was removed.
    pub document: Option<Value>,
}

/// What a record said.
#[derive(Clone, Debug)]
pub struct LoggedRecord {
    /// Its position.
    pub seq: Seq,
    /// The time in it.
    pub time: LogTime,
    /// The documents that it changed, in order.
    pub documents: Vec<Logged>,
    /// The checkpoint that it tells of, and the floor from then on.
    pub checkpoint: Option<(CheckpointRef, Seq)>,
}

/// What the record at a position said, also below the floor: for a store that forgets nothing.
///
/// # Errors
/// If it is not there, or damaged.
pub async fn logged(db: &Database, seq: Seq) -> Result<LoggedRecord> {
    let hindsight = db.inner.log.hindsight(seq).await?;
    let record = hindsight.record;
    let documents = if record.kind == RecordKind::Ingest {
        let mut loaded = Documents::over_runs(db.inner.store_for.clone());
        loaded.begin(db.inner.log.database());
        if !record.ingest().is_ok_and(|ingested| ingested.payload.is_empty()) {
            loaded.apply(&record).map_err(|malformed| db.inner.damaged(seq, malformed))?;
        }
        documents_of(db, seq, loaded).await?
    } else {
        let changes = changes_of(db, &record).await?.into_iter();
        let logged = changes.map(|change| Logged {
            table: change.table,
            key: change.key.to_string(),
            document: match change.kind {
                ChangeKind::Put(document) => Some(document),
                ChangeKind::Delete => None,
            },
        });
        logged.collect()
    };
    Ok(LoggedRecord { seq, time: record.time, documents, checkpoint: hindsight.checkpoint })
}

/// All documents of a checkpoint, read from its manifest and runs alone.
///
/// # Errors
/// If one of these objects is not there, or damaged.
pub async fn checkpointed(db: &Database, checkpoint: &CheckpointRef) -> Result<Vec<Logged>> {
    let mut documents = Documents::over_runs(db.inner.store_for.clone());
    documents.begin(db.inner.log.database());
    let saved = db.inner.log.manifest(&checkpoint.manifest, checkpoint.manifest_hash).await?;
    let object = format!("{}{}", db.inner.log.layout().prefix(), checkpoint.manifest);
    documents
        .load(checkpoint.covers, saved)
        .map_err(|malformed| LogError::Damaged { object, detail: malformed.to_string() })?;
    documents_of(db, checkpoint.covers, documents).await
}

/// Everything in a state; the names of its tables are those that the database has.
async fn documents_of(db: &Database, seq: Seq, documents: Documents) -> Result<Vec<Logged>> {
    let find = |documents: &Documents, _| -> Vec<TableRef> {
        let tables = documents.catalogue().tables();
        tables.map(TableRef::from).collect()
    };
    let tables = db.inner.log.read(find)?;
    let moment = Moment::Replayed(Arc::new(Replayed { seq, time_ms: 0, documents, inner: Arc::downgrade(&db.inner) }));
    let mut all = Vec::new();
    for table in tables {
        let view = View { moment: moment.clone(), transaction: None };
        let mut scan = RowScan::new(view, KeyRange::all(table.id))?;
        while let Some(found) = scan.next().await? {
            let document = Some(table.decode(&found.key, &found.row)?);
            all.push(Logged { table: table.name().to_owned(), key: found.key.to_string(), document });
        }
    }
    Ok(all)
}

/// The objects that the database refers to as it is now, beside its log and `head`, by their full keys.
///
/// # Errors
/// If the log was found broken.
pub fn referred_to(db: &Database, keys: &[String]) -> Result<Vec<String>> {
    let log = &db.inner.log;
    let prefix = log.layout().prefix().to_owned();
    let last = log.last_checkpoint().map(|last| last.manifest);
    let refers = |documents: &Documents, _| {
        let is_needed = |key: &&String| {
            let name = key.strip_prefix(prefix.as_str()).unwrap_or_default();
            Some(name) == last.as_deref() || documents.refers_to(name)
        };
        keys.iter().filter(is_needed).cloned().collect()
    };
    Ok(log.read(refers)?)
}

/// The full keys of the blobs to which documents refer, and of those to which they did at a position that can still be read.
///
/// # Errors
/// If the store fails.
pub async fn blobs_in_use(db: &Database) -> Result<(Vec<String>, Vec<String>)> {
    let inner = &db.inner;
    let floor = inner.log.floor();
    let has_names = inner.log.read(|documents, _| documents.catalogue().kept_positions().next().is_some())?;
    let mut rows = RowScan::new(View { moment: inner.pin()?, transaction: None }, ClaimRow::claims())?;
    let (mut live, mut kept) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next().await? {
        let claim = BlobClaim::decode(row.row).map_err(|malformed| inner.damaged(inner.log.position(), malformed))?;
        let Some(ClaimRow::Claim(name)) = ClaimRow::of_key(&row.key) else { continue };
        let key = format!("{}{name}", inner.log.layout().prefix());
        if !claim.is_released {
            live.push(key);
            continue;
        }
        let waiting: Vec<_> = ClaimRow::Released(name).key().into_iter().map(|key| (TableId::BLOBS, key)).collect();
        let released = inner.stored_many(&waiting).await?.into_iter().flatten().next();
        if has_names || released.is_some_and(|released| released.version > floor) {
            kept.push(key);
        }
    }
    Ok((live, kept))
}

/// Opens a branch of a database from where that is open.
///
/// # Errors
/// As that of any database.
pub async fn open_branch(db: &Database, name: &str) -> Result<Database> {
    db.branch_builder(name).open().await
}

/// What opens another database in the store of this one, or makes one there of a backup.
pub fn builder_beside(db: &Database, prefix: &str) -> DatabaseBuilder {
    let mut builder = db.inner.same_builder().prefix(prefix);
    builder.branch.clear();
    builder
}

/// Another place in the store of a database.
pub fn place_beside(db: &Database, prefix: &str) -> Place {
    Place::new(db.inner.home.raw.clone(), prefix)
}

/// The backups at another place in the store of a database.
///
/// # Errors
/// [`LogError::InvalidPrefix`].
pub fn backups_beside(db: &Database, prefix: &str) -> Result<Backups> {
    Backups::in_environment(&place_beside(db, prefix), db.inner.log.env().clone())
}

/// Which database it is, of those that are created at one place one after the other.
#[must_use]
pub fn database_id(db: &Database) -> DatabaseId {
    db.inner.log.database()
}

/// The oldest position that can be read.
#[must_use]
pub fn floor(db: &Database) -> Seq {
    db.inner.log.floor()
}
