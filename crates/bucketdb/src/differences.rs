use std::collections::{BTreeSet, VecDeque};

use bucketdb_documents::{KeyRange, ScanRow};
use serde_json::Value;

use crate::origin::View;
use crate::row_scan::RowScan;
use crate::rows::TableRef;
use crate::{Result, Snapshot};

/// A document that two moments show differently.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// Its key, as text.
    pub key: String,
    /// What the first moment shows; `None` if it is not there.
    pub before: Option<Value>,
    /// What the second one shows; `None` if it is not there.
    pub after: Option<Value>,
}

/// The documents that two moments show differently, in the order of their tables' names and their keys. See
/// [`Snapshot::differences`].
pub struct Differences {
    before: Snapshot,
    after: Snapshot,
    /// The names of the tables that were not compared yet.
    tables: VecDeque<String>,
    open: Option<OpenTable>,
}

/// A table that is being compared.
struct OpenTable {
    name: String,
    before: Side,
    after: Side,
}

/// What one of the two moments has of it.
struct Side {
    table: Option<(TableRef, RowScan)>,
    next: Option<ScanRow>,
}

impl Snapshot {
    /// In what `other` differs from this one: of the same database, or of a [branch](crate::Database::create_branch) of it, or of
    /// any other. Both are read from their beginnings to their ends, and little is in memory at a time.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, MemoryDriver};
    /// # use serde_json::json;
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let users = db.collection("users");
    /// users.put(&json!({"id": 1, "name": "Ada"})).await?;
    /// let before = db.snapshot().await?;
    /// users.put(&json!({"id": 1, "name": "Grace"})).await?;
    ///
    /// let mut differences = before.differences(&db.snapshot().await?)?;
    /// let only = differences.next().await?.expect("one document");
    /// assert_eq!((only.table.as_str(), only.key.as_str()), ("users", "1"));
    /// assert_eq!(only.after, Some(json!({"id": 1, "name": "Grace"})));
    /// assert_eq!(differences.next().await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a log was found broken.
    pub fn differences(&self, other: &Self) -> Result<Differences> {
        let names: BTreeSet<String> = self.table_names()?.into_iter().chain(other.table_names()?).collect();
        Ok(Differences { before: self.clone(), after: other.clone(), tables: names.into_iter().collect(), open: None })
    }
}

impl Differences {
    /// The next one.
    ///
    /// # Errors
    /// [`Error::SnapshotExpired`](crate::Error::SnapshotExpired) if one of the moments was given up; otherwise if a store fails.
    pub async fn next(&mut self) -> Result<Option<Difference>> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(name) = self.tables.pop_front() else { return Ok(None) };
                    let before = Side::open(&self.before, &name).await?;
                    let after = Side::open(&self.after, &name).await?;
                    self.open.insert(OpenTable { name, before, after })
                }
            };
            let Some((before, after)) = open.next_pair().await? else {
                self.open = None;
                continue;
            };
            let Some(key) = before.as_ref().or(after.as_ref()).map(|row| row.key.to_string()) else { continue };
            if let (Some(before), Some(after)) = (&before, &after)
                && before.row == after.row
                && open.before.is_read_as(&open.after)
            {
                continue;
            }
            let (before, after) = (open.before.document(before)?, open.after.document(after)?);
            if before != after {
                return Ok(Some(Difference { table: open.name.clone(), key, before, after }));
            }
        }
    }
}

impl OpenTable {
    /// What both have of the next key that one of them has.
    async fn next_pair(&mut self) -> Result<Option<(Option<ScanRow>, Option<ScanRow>)>> {
        use std::cmp::Ordering;
        let order = match (&self.before.next, &self.after.next) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) => before.key.cmp(&after.key),
        };
        let before = if order.is_le() { self.before.take().await? } else { None };
        let after = if order.is_ge() { self.after.take().await? } else { None };
        Ok(Some((before, after)))
    }
}

impl Side {
    async fn open(snapshot: &Snapshot, name: &str) -> Result<Self> {
        let Some(table) = snapshot.find(name)? else { return Ok(Self { table: None, next: None }) };
        let view = View { moment: snapshot.moment().clone(), transaction: None };
        let scan = RowScan::live(view, KeyRange::all(table.id))?;
        let mut side = Self { table: Some((table, scan)), next: None };
        side.take().await?;
        Ok(side)
    }

    /// The next row; reads the one behind it.
    async fn take(&mut self) -> Result<Option<ScanRow>> {
        let following = match &mut self.table {
            Some((_, scan)) => scan.next().await?,
            None => None,
        };
        Ok(std::mem::replace(&mut self.next, following))
    }

    /// Whether equal rows are equal documents.
    fn is_read_as(&self, other: &Self) -> bool {
        match (&self.table, &other.table) {
            (Some((one, _)), Some((other, _))) => one.schema == other.schema,
            _ => false,
        }
    }

    fn document(&self, row: Option<ScanRow>) -> Result<Option<Value>> {
        match (&self.table, row) {
            (Some((table, _)), Some(row)) => table.decode(&row.key, &row.row).map(Some),
            _ => Ok(None),
        }
    }
}

impl std::fmt::Debug for Differences {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Differences")
            .field("before", &self.before)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
