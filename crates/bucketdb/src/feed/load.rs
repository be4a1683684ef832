use bucketdb_documents::{LoadScan, LoadedRow};
use bucketdb_log::{Freshness, LogTime, Record, Seq};
use bucketdb_runs::RunError;

use super::Source;
use crate::rows::{Stored, TableRef};
use crate::{Change, ChangeKind, Cursor, Error, Previous, Result};

/// A bulk load that a feed is in the middle of.
///
/// The runs of a load are kept for as long as its record may be read: every checkpoint that is kept names those that were
/// loaded behind it, and the floor is where the oldest begins. So a feed that is above the floor finds them, however late it
/// comes; one that takes longer over a load than the load is kept is told where to go on.
#[derive(Debug)]
pub(super) struct FollowedLoad {
    seq: Seq,
    time: LogTime,
    may_replace: bool,
    scan: LoadScan,
    /// The table of the row before.
    table: Option<TableRef>,
    /// The next row, if it was read and not given: a feed whose change cannot be read as its type leaves nothing out.
    row: Option<LoadedRow>,
}

impl FollowedLoad {
    /// Of the load that a record brought, from the change at a place on.
    pub(super) fn new(source: &Source, record: &Record, place: u64) -> Result<Self> {
        let inner = &source.db.inner;
        let loaded = inner.log.read(|documents, _| documents.loaded(record))?;
        let loaded = loaded.map_err(|malformed| inner.damaged(record.seq, malformed))?;
        let may_replace = loaded.may_replace();
        let scan = loaded.scan(source.table.as_ref().map(|table| table.id), place);
        Ok(Self { seq: record.seq, time: record.time, may_replace, scan, table: None, row: None })
    }

    /// The next change; `None` behind the last.
    pub(super) async fn next<T: Stored>(&mut self, source: &Source) -> Result<Option<Change<T>>> {
        loop {
            if self.row.is_none() {
                self.row = match self.scan.next().await {
                    Ok(row) => row,
                    Err(error) => return Err(self.explain(source, error).await),
                };
            }
            let Some(row) = &self.row else { return Ok(None) };
            if self.table.as_ref().is_none_or(|table| table.id != row.table) {
                self.table = source.table(row.table)?;
            }
            let change = self.table.as_ref().map(|table| self.change(source, table, row)).transpose()?;
            self.row = None;
            if change.is_some() {
                return Ok(change);
            }
        }
    }

    fn change<T: Stored>(&self, source: &Source, table: &TableRef, loaded: &LoadedRow) -> Result<Change<T>> {
        let LoadedRow { place, key, row, .. } = loaded;
        let kind = match row {
            Some(row) => ChangeKind::Put(table.decode(key, row)?),
            None => ChangeKind::Delete,
        };
        Ok(Change {
            cursor: Cursor { generation: source.generation, seq: self.seq, place: place + 1 },
            seq: self.seq,
            time: self.time,
            table: table.name().to_owned(),
            key: key.clone(),
            kind,
            previous: if self.may_replace { Previous::Unknown } else { Previous::Absent },
        })
    }

    /// What it means that a run could not be read.
    async fn explain(&self, source: &Source, error: RunError) -> Error {
        let log = &source.db.inner.log;
        if !matches!(error, RunError::Missing { .. }) {
            return error.into();
        }
        // Runs go a grace after the floor has passed the load. Whoever finds one gone may not have heard of the floor.
        if let Err(failed) = log.refresh(Freshness::Strict).await {
            return failed.into();
        }
        let floor = log.floor();
        if self.seq < floor { source.expired(floor) } else { error.into() }
    }
}
