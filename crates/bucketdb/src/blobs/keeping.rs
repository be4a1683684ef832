//! When blobs go.
//!
//! Whoever makes a checkpoint looks which blobs the rows that it writes do not refer to any more, and *releases* them: an
//! ordinary transaction, which rests on the row as it is, marks the claim, so that no row can refer to the blob again. The
//! position R of that transaction is the one from which on nobody needs the blob. A checkpoint whose floor is R or later lists
//! the object as obsolete, unless it spares records for a named position between the upload and R; the log removes it a grace later, as
//! everything else. Until then the claim stays, so a blob without a claim is one that nobody ever referred to, or that is
//! listed already.
//!
//! A sweep does the same for all claims: what a checkpoint did not see (rows that ended, or that a bulk load replaced, or a
//! process that was killed before it released anything) is found there. Objects that are named below it and have no claim are
//! orphans: none can be claimed any more (H1).

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{
    Base, BlobClaim, Change, ClaimRow, Condition, Documents, EncodedKey, KeyRange, ReadSet, Scan, TableId, Transaction,
    blob_name, blobs_of_row,
};
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_log::{Freshness, Layout, ObjectKind, Seq, Stretch, SweepReport};
use bytes::Bytes;

use crate::database::Inner;
use crate::moment::Moment;
use crate::origin::View;
use crate::row_scan::RowScan;
use crate::written::Written;
use crate::{Error, Result};

/// How many blobs are looked at together.
const TOGETHER: usize = 256;

/// How often it is tried again to release blobs whose rows others write.
const ATTEMPTS: u32 = 4;

/// Of how many blobs a checkpoint notes that they may not be referred to any more; what is more is left to a sweep.
const MOST_NOTED: usize = 65_536;

/// How many blobs one checkpoint gives up.
const MOST_GIVEN_UP: usize = 10_000;

/// How many objects one page of a listing has.
const LISTED_TOGETHER: usize = 1000;

/// Blobs of which a checkpoint found that they are not needed, by their names.
#[derive(Debug, Default)]
pub(crate) struct Superfluous {
    /// The rows that the checkpoint writes referred to them, and may not any more.
    pub(crate) unreferred: Vec<String>,
    /// No position that can be read needs them: the checkpoint lists their objects as obsolete.
    pub(crate) given_up: Vec<String>,
}

fn has_blobs(documents: &Documents) -> bool {
    !documents.stats(TableId::BLOBS).is_empty()
}

impl Inner {
    /// Which blobs the rows that were written between a base and a moment leave behind; nothing, and no request, in a database
    /// without blobs.
    pub(crate) async fn unreferred_blobs(
        self: &Arc<Self>,
        base: &Arc<Base>,
        tables: &[TableId],
        moment: &Moment,
    ) -> Result<Vec<String>> {
        if !moment.read(|documents, _| has_blobs(documents))? {
            return Ok(Vec::new());
        }
        let mut noted = BTreeSet::new();
        let mut marked = self.scan_blobs(moment, ClaimRow::tables())?;
        while let Some(row) = marked.next().await? {
            let Some(ClaimRow::Table(table)) = ClaimRow::of_key(&row.key) else { continue };
            if tables.contains(&table) && !base.has_nothing_of(table) {
                self.note_replaced(base, table, moment, &mut noted).await?;
            }
        }
        // What was claimed and left between two checkpoints.
        let mut written = Written::new(moment, ClaimRow::claims());
        while let Some(page) = written.next_page().filter(|_| noted.len() < MOST_NOTED) {
            for row in page? {
                let Some(ClaimRow::Claim(name)) = ClaimRow::of_key(&row.key) else { continue };
                let claim = row.row.and_then(|row| BlobClaim::decode(row).ok()).filter(|claim| !claim.is_released);
                if let Some(claim) = claim
                    && self.is_left_behind(&name, &claim, moment)?
                {
                    noted.insert(name);
                }
            }
        }
        Ok(noted.into_iter().collect())
    }

    /// Whether the row that a blob belongs to was written behind the base, and does not refer to it.
    fn is_left_behind(&self, name: &str, claim: &BlobClaim, moment: &Moment) -> Result<bool> {
        let (start, end) = (Bound::Included(claim.key.clone()), Bound::Included(claim.key.clone()));
        let range = KeyRange { table: claim.table, start, end };
        let page = moment.read(|documents, at| documents.scan(&Scan { range, at, limit: 1 }))?;
        let Some(written) = page.and_then(|page| page.rows.into_iter().next()) else { return Ok(false) };
        let blobs = written.row.map(|row| blobs_of_row(&row, self.log.database())).unwrap_or_default();
        Ok(!blobs.iter().any(|blob| blob_name(blob) == *name))
    }

    /// Notes what rows of a table in a base referred to and their successors do not.
    async fn note_replaced(
        &self,
        base: &Arc<Base>,
        table: TableId,
        moment: &Moment,
        noted: &mut BTreeSet<String>,
    ) -> Result<()> {
        let database = self.log.database();
        let mut written = Written::new(moment, KeyRange::all(table));
        while let Some(page) = written.next_page().filter(|_| noted.len() < MOST_NOTED) {
            let page = page?;
            let before = written.before(base, table, &page).await?;
            for (row, before) in page.iter().zip(before) {
                let Some(before) = before else { continue };
                let now = row.row.as_ref().map(|row| blobs_of_row(row, database)).unwrap_or_default();
                let gone = blobs_of_row(&before, database).into_iter().filter(|blob| !now.contains(blob));
                noted.extend(gone.map(|blob| blob_name(&blob)));
            }
        }
        Ok(())
    }

    fn scan_blobs(&self, moment: &Moment, range: KeyRange) -> Result<RowScan> {
        RowScan::new(View { moment: moment.clone(), transaction: None }, range)
    }

    /// The blobs that are released and that no position from the floor on needs, and none that can be read with the records
    /// that are spared for those that have a name.
    pub(crate) async fn superfluous_blobs(
        self: &Arc<Self>,
        moment: &Moment,
        floor: Seq,
        spared: &[Stretch],
    ) -> Result<Vec<String>> {
        if !moment.read(|documents, _| has_blobs(documents))? {
            return Ok(Vec::new());
        }
        let mut given_up = Vec::new();
        let mut scan = self.scan_blobs(moment, ClaimRow::released())?;
        loop {
            let mut keys = Vec::new();
            while keys.len() < TOGETHER
                && let Some(row) = scan.next().await?
            {
                keys.push((TableId::BLOBS, row.key));
            }
            if keys.is_empty() {
                return Ok(given_up);
            }
            // It is written once, so whatever is there is what was there.
            let released = self.stored_many(&keys).await?;
            for ((_, key), released) in keys.into_iter().zip(released) {
                let (Some(ClaimRow::Released(name)), Some(released)) = (ClaimRow::of_key(&key), released) else {
                    continue;
                };
                let Some(uploaded) = position(&name) else { continue };
                // The checkpoint in front of the records can be read as well.
                let is_needed = |it: &Stretch| uploaded <= it.last && it.first <= released.version;
                let is_given_up = released.version <= floor && !spared.iter().any(is_needed);
                if is_given_up || is_planted(PlantedBug::BlobForgotten) {
                    given_up.push(name);
                }
                if given_up.len() == MOST_GIVEN_UP {
                    return Ok(given_up);
                }
            }
        }
    }

    /// After a checkpoint: releases blobs that nothing refers to, and takes note of those whose objects it listed as obsolete.
    /// What comes to nothing here is done by a later checkpoint, or a sweep.
    pub(crate) async fn settle_blobs(self: &Arc<Self>, superfluous: Superfluous) -> Result<()> {
        let Superfluous { unreferred, given_up } = superfluous;
        for names in unreferred.chunks(TOGETHER) {
            self.release_blobs(names).await?;
        }
        let swept = self.log.swept();
        for names in given_up.chunks(TOGETHER) {
            let mut changes: Vec<Change> = Vec::new();
            for name in names {
                changes.extend(ClaimRow::Released(name.clone()).delete());
                // Without the claim, the name alone has to keep the blob from being claimed again.
                if position(name).is_some_and(|seq| seq < swept) {
                    changes.extend(ClaimRow::Claim(name.clone()).delete());
                }
            }
            self.commit_now(&Arc::new(Transaction { changes }), None, Freshness::Local, self.commit_timeout).await?;
        }
        Ok(())
    }

    /// Releases those of these blobs to which their rows do not refer.
    async fn release_blobs(self: &Arc<Self>, names: &[String]) -> Result<()> {
        let mut attempt = 1;
        loop {
            // What is read later than that is at most newer than it says, and then the validation refuses it.
            let mut reads = ReadSet::new(self.log.position());
            let keys: Vec<(TableId, EncodedKey)> =
                names.iter().filter_map(|name| ClaimRow::Claim(name.clone()).place()).collect();
            let claims = self.stored_many(&keys).await?;
            let mut live: Vec<(&String, BlobClaim)> = Vec::new();
            for (name, found) in names.iter().zip(claims) {
                let Some(found) = found else { continue };
                let claim = BlobClaim::decode(found.row).map_err(|malformed| self.damaged_claim(&malformed))?;
                if !claim.is_released {
                    live.push((name, claim));
                }
            }
            let rows: Vec<_> = live.iter().map(|(_, claim)| (claim.table, claim.key.clone())).collect();
            // One that has ended may come back as long as it is there.
            let stored = self.stored_many(&rows).await?;
            let mut changes: Vec<Change> = Vec::new();
            for ((name, claim), row) in live.into_iter().zip(stored) {
                let blobs = row.map(|found| blobs_of_row(&found.row, self.log.database())).unwrap_or_default();
                if blobs.iter().any(|blob| blob_name(blob) == *name) {
                    continue;
                }
                if !is_planted(PlantedBug::BlobReleasedUnseen) {
                    reads.keys.insert((claim.table, claim.key.clone()));
                }
                let of_blob = ClaimRow::Claim(name.clone());
                reads.keys.extend(of_blob.place());
                let released = BlobClaim { is_released: true, ..claim };
                changes.extend(of_blob.put(released.encode(), Condition::Always));
                let mark = ClaimRow::Released(name.clone());
                changes.extend(mark.put(Bytes::from_static(&[1]), Condition::Always));
            }
            if changes.is_empty() {
                return Ok(());
            }
            let outcome = self
                .commit_now(&Arc::new(Transaction { changes }), Some(&reads), Freshness::Local, self.commit_timeout)
                .await;
            match outcome {
                Err(Error::Conflict { .. } | Error::TransactionTooLong { .. }) if attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome.map(|_| ()),
            }
        }
    }

    /// Removes the blobs below a sweep that nobody ever referred to, and looks at all others whether their rows still do.
    pub(crate) async fn sweep_blobs(self: &Arc<Self>, report: &mut SweepReport) -> Result<()> {
        let mut behind: Option<String> = None;
        loop {
            let names =
                self.log.objects_below(ObjectKind::Blob, report.below, behind.as_deref(), LISTED_TOGETHER).await?;
            report.looked_at += names.len() as u64;
            let keys: Vec<(TableId, EncodedKey)> =
                names.iter().filter_map(|name| ClaimRow::Claim(name.clone()).place()).collect();
            let claims = self.stored_many(&keys).await?;
            let is_orphan = |(name, claim): &(&String, Option<_>)| claim.is_none() && !self.log.refers_to(name);
            let orphans: Vec<String> =
                names.iter().zip(claims).filter(is_orphan).map(|(name, _)| name.clone()).collect();
            self.log.discard(&orphans).await?;
            report.removed += orphans.len() as u64;
            match names.into_iter().next_back() {
                Some(last) => behind = Some(last),
                None => break,
            }
        }
        self.sweep_claims(report.below).await
    }

    async fn sweep_claims(self: &Arc<Self>, below: Seq) -> Result<()> {
        let mut range = ClaimRow::claims();
        loop {
            let (mut live, mut released, mut last) = (Vec::new(), Vec::new(), None);
            let mut scan = self.scan_blobs(&self.pin()?, range.clone())?;
            while live.len() + released.len() < TOGETHER
                && let Some(row) = scan.next().await?
            {
                let claim = BlobClaim::decode(row.row).map_err(|malformed| self.damaged_claim(&malformed))?;
                if let Some(ClaimRow::Claim(name)) = ClaimRow::of_key(&row.key) {
                    if claim.is_released { released.push(name) } else { live.push(name) }
                }
                last = Some(row.key);
            }
            drop(scan);
            self.release_blobs(&live).await?;
            self.forget_claims(released, below).await?;
            match last {
                Some(last) => range.start = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }

    /// Removes the claims on blobs that were given up, where the name alone keeps anybody from claiming them again.
    async fn forget_claims(self: &Arc<Self>, mut names: Vec<String>, below: Seq) -> Result<()> {
        names.retain(|name| position(name).is_some_and(|seq| seq < below));
        let keys: Vec<(TableId, EncodedKey)> =
            names.iter().filter_map(|name| ClaimRow::Released(name.clone()).place()).collect();
        let waiting = self.stored_many(&keys).await?;
        let given_up = names.into_iter().zip(waiting).filter(|(_, waiting)| waiting.is_none());
        let changes: Vec<Change> = given_up.filter_map(|(name, _)| ClaimRow::Claim(name).delete()).collect();
        if !changes.is_empty() {
            self.commit_now(&Arc::new(Transaction { changes }), None, Freshness::Local, self.commit_timeout).await?;
        }
        Ok(())
    }
}

/// The position that whoever uploaded a blob knew when it began.
fn position(name: &str) -> Option<Seq> {
    Layout::parse_object(name).map(|(_, seq, _)| seq)
}
