use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bucketdb_documents::{
    Base, Claim, Condition, Documents, EncodedKey, Expiry, Facts, Found, IndexBaseScan, Lookup, RunLookup, TableId,
    Transaction,
};
use bucketdb_env::Environment;
use bucketdb_log::{Freshness, Seq};
use bucketdb_runs::RunError;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::database::Inner;
use crate::moment::Moment;
use crate::row_scan::is_live;
use crate::{Error, Result};

/// How often a read of the present begins anew because the runs that it began with are gone.
const ATTEMPTS: u32 = 4;

/// How many unique values are looked up at the same time.
const CLAIMS_AT_ONCE: usize = 16;

impl Inner {
    /// The newest row of a key, as fresh as wanted.
    pub(crate) async fn get(&self, table: TableId, key: &EncodedKey, freshness: Freshness) -> Result<Option<Found>> {
        self.log.refresh(freshness).await?;
        self.newest(table, key).await
    }

    /// The newest row of a key that this process knows of.
    pub(crate) async fn newest(&self, table: TableId, key: &EncodedKey) -> Result<Option<Found>> {
        let mut attempt = 1;
        loop {
            let newest = |documents: &Documents, _| {
                let expiry =
                    documents.catalogue().has_ttls().then(|| documents.expiry(table, Seq(u64::MAX), self.wall_ms()));
                (documents.newest(table, key), expiry.flatten())
            };
            let (lookup, expiry) = self.log.read(newest)?;
            let runs = match lookup {
                Lookup::Known(found) => return Ok(living(found, expiry.as_ref())),
                Lookup::Runs(runs) => runs,
                Lookup::Expired => return Err(self.expired()),
            };
            match runs.get().await {
                Ok(found) => return Ok(living(found, expiry.as_ref())),
                // They were merged into others, and this process has not heard of it for longer than they are kept.
                Err(RunError::Missing { .. }) if attempt < ATTEMPTS => self.log.refresh(Freshness::Strict).await?,
                Err(error) => return Err(error.into()),
            }
            attempt += 1;
        }
    }

    /// Before something is read that takes long: runs that were merged into others are kept for a grace only, so whoever has
    /// not looked for half of it looks at the log once more, whatever the freshness.
    pub(crate) async fn keep_in_step(&self) -> Result<()> {
        if !self.log.is_in_step() && self.log.last_checkpoint().is_some() {
            self.log.refresh(Freshness::Strict).await?;
        }
        Ok(())
    }

    /// The newest rows of many keys that this process knows of.
    pub(crate) async fn newest_many(&self, keys: &[(TableId, EncodedKey)]) -> Result<Vec<Option<Found>>> {
        self.read_many(keys, false).await
    }

    /// As [`newest_many`](Self::newest_many), with those that have ended, as long as they are there.
    pub(crate) async fn stored_many(&self, keys: &[(TableId, EncodedKey)]) -> Result<Vec<Option<Found>>> {
        self.read_many(keys, true).await
    }

    async fn read_many(&self, keys: &[(TableId, EncodedKey)], sees_ended: bool) -> Result<Vec<Option<Found>>> {
        let mut attempt = 1;
        loop {
            let wall_ms = self.wall_ms();
            let (lookups, expiries) = self.log.read(|documents, _| {
                let lookups: Vec<Lookup> = keys.iter().map(|(table, key)| documents.newest(*table, key)).collect();
                let tables: BTreeSet<TableId> = keys.iter().map(|(table, _)| *table).collect();
                let expiries = tables
                    .into_iter()
                    .filter(|_| !sees_ended)
                    .filter_map(|table| Some((table, documents.expiry(table, Seq(u64::MAX), wall_ms)?)));
                (lookups, expiries.collect::<BTreeMap<_, _>>())
            })?;
            let runs = in_runs(&lookups).ok_or_else(|| self.expired())?;
            let read = match RunLookup::get_many(&runs).await {
                Ok(read) => read,
                Err(RunError::Missing { .. }) if attempt < ATTEMPTS => {
                    self.log.refresh(Freshness::Strict).await?;
                    attempt += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let rows = merged(lookups, read).into_iter().zip(keys);
            return Ok(rows.map(|(found, (table, _))| living(found, expiries.get(table))).collect());
        }
    }

    /// What the clock says, in milliseconds since 1970.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.log.env().wall_clock().0
    }

    /// What the conditions of a transaction rest on, as far as it is in runs; `None` if nothing is.
    pub(crate) async fn facts(&self, transaction: &Transaction) -> Result<Option<Facts>> {
        if self.log.read(|documents, _| documents.has_unique_index(transaction))? {
            // What is looked up in an index are stretches of runs, which may be gone where others have merged them.
            self.keep_in_step().await?;
        }
        let (at, has_runs, base, claims) = self.log.read(|documents, seq| {
            (seq, documents.has_runs(), documents.base().clone(), documents.claims(transaction))
        })?;
        if !has_runs {
            return Ok(None);
        }
        let conditional = transaction.changes.iter().filter(|change| change.condition != Condition::Always);
        let keys: BTreeSet<(TableId, EncodedKey)> =
            conditional.map(|change| (change.table, change.key.clone())).collect();
        let keys: Vec<(TableId, EncodedKey)> = keys.into_iter().collect();
        let rows = self.newest_many(&keys).await?;
        let versions = keys.into_iter().zip(rows).map(|(key, row)| (key, row.map(|found| found.version))).collect();
        let now_ms = self.wall_ms().max(base.ended_ms);
        let in_base =
            |claim: Claim| Some((base.index(claim.index.id)?.group, claim)).filter(|(_, claim)| !claim.is_cut);
        let looked_up = stream::iter(claims.into_iter().filter_map(in_base)).map(|(group, claim)| {
            let base = base.clone();
            async move {
                let holders = holders(&base, group, &claim, now_ms).await?;
                Ok::<_, RunError>(((claim.index.id, claim.values), holders))
            }
        });
        let holders = looked_up.buffer_unordered(CLAIMS_AT_ONCE).try_collect().await?;
        // What was read later than that is at most newer than it says, and then the validation knows better.
        Ok(Some(Facts { at, versions, base: base.covers, holders }))
    }

    /// Whether a table has no document, as far as is known without a request.
    pub(crate) fn is_table_empty(&self, table: TableId) -> Result<bool> {
        Ok(self.log.read(|documents, _| documents.stats(table).is_empty())?)
    }

    /// Removes objects that were written and never made part of the database.
    pub(crate) async fn discard(&self, names: &[String]) -> Result<()> {
        // A copy of this machine draws the same names: what it made part of the database is left alone.
        let is_orphan = |documents: &Documents, name: &&String| !documents.refers_to(name);
        let orphans: Vec<String> =
            self.log.read(|documents, _| names.iter().filter(|name| is_orphan(documents, name)).cloned().collect())?;
        Ok(self.log.discard(&orphans).await?)
    }

    pub(crate) fn expired(&self) -> Error {
        Error::SnapshotExpired { floor: self.log.floor() }
    }
}

/// The documents that have these values in a base, by the group of the index.
async fn holders(
    base: &Arc<Base>,
    group: u32,
    claim: &Claim,
    now_ms: u64,
) -> std::result::Result<Vec<EncodedKey>, RunError> {
    let mut scan = IndexBaseScan::new(base, group, &claim.range());
    let mut found = Vec::new();
    while let Some(entry) = scan.next().await? {
        if !entry.has_ended(now_ms) {
            found.push(entry.key());
        }
    }
    Ok(found)
}

/// What was found, unless it has ended.
fn living(found: Option<Found>, expiry: Option<&Expiry>) -> Option<Found> {
    found.filter(|found| is_live(expiry, &found.row))
}

/// What runs have to be asked for; `None` if the position is not kept any more.
fn in_runs(lookups: &[Lookup]) -> Option<Vec<RunLookup>> {
    let of_runs = |lookup: &Lookup| match lookup {
        Lookup::Known(_) => None,
        Lookup::Runs(runs) => Some(Some(runs.clone())),
        Lookup::Expired => Some(None),
    };
    lookups.iter().filter_map(of_runs).collect()
}

/// What is known, and in the other places, in order, what was read.
fn merged(lookups: Vec<Lookup>, read: Vec<Option<Found>>) -> Vec<Option<Found>> {
    let mut read = read.into_iter();
    let row = |lookup| match lookup {
        Lookup::Known(found) => found,
        _ => read.next().flatten(),
    };
    lookups.into_iter().map(row).collect()
}

impl Moment {
    /// The row of a key at this moment.
    pub(crate) async fn get(&self, table: TableId, key: &EncodedKey) -> Result<Option<Found>> {
        let found = match self.read(|documents, at| documents.at(table, key, at))? {
            Lookup::Known(found) => found,
            Lookup::Expired => return Err(self.expired()),
            Lookup::Runs(runs) => self.explained(runs.get().await).await?,
        };
        Ok(living(found, self.expiry(table)?.as_ref()))
    }

    /// The rows of many keys at this moment.
    pub(crate) async fn get_many(&self, table: TableId, keys: &[EncodedKey]) -> Result<Vec<Option<Found>>> {
        let lookups: Vec<Lookup> =
            self.read(|documents, at| keys.iter().map(|key| documents.at(table, key, at)).collect())?;
        let runs = in_runs(&lookups).ok_or_else(|| self.expired())?;
        let read = self.explained(RunLookup::get_many(&runs).await).await?;
        let expiry = self.expiry(table)?;
        Ok(merged(lookups, read).into_iter().map(|found| living(found, expiry.as_ref())).collect())
    }

    /// What was read of runs, or [why](Self::explain) it could not be.
    pub(crate) async fn explained<T>(&self, read: Result<T, RunError>) -> Result<T> {
        match read {
            Ok(read) => Ok(read),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// What went wrong while runs were read. Where one is missing, the log tells why: the database may have been dropped, and what
    /// an old moment needs may have been removed. A position above the floor can still be made from the log, but what this
    /// moment reads from may be a checkpoint that is not kept any more.
    ///
    /// In a box: whoever reads row after row carries no room for it.
    #[cold]
    pub(crate) fn explain(&self, error: RunError) -> BoxFuture<'_, Error> {
        Box::pin(async move {
            let RunError::Missing { object } = &error else { return error.into() };
            if let Some(inner) = self.inner()
                && let Err(error) = inner.log.refresh(Freshness::Strict).await
            {
                return error.into();
            }
            if self.is_given_up() || !self.keeps(object) { self.expired() } else { error.into() }
        })
    }
}
