use super::gathered::Gathered;
use super::importer::{ImportReport, RowFailure};
use super::target::{Pending, Target};
use crate::arguments::Mode;
use crate::failure::Failure;

/// How much may go into one commit by our estimate, which is never too low. The rest of its 8 MiB is for what a commit
/// holds beside documents.
pub(super) const MAX_BATCH_BYTES: usize = (8 << 20) - (64 << 10);

/// Gathers documents and commits them in as few records as possible. What is stored already is not written again.
pub(super) struct Commits {
    batch_size: usize,
    pending: Gathered,
}

impl Commits {
    /// Commits hold so many documents at most.
    pub(super) fn new(batch_size: usize) -> Self {
        Self { batch_size, pending: Gathered::default() }
    }

    /// Takes a document, and commits those before it if no more fit.
    pub(super) async fn add(
        &mut self,
        pending: Pending,
        target: &Target,
        report: &mut ImportReport,
    ) -> Result<(), RowFailure> {
        let Some(pending) = self.pending.replace(pending) else { return Ok(()) };
        let size_bytes = pending.size_bytes;
        if self.pending.size_bytes() + size_bytes > MAX_BATCH_BYTES || self.pending.len() >= self.batch_size {
            self.make_room(size_bytes, target, report).await?;
        }
        self.pending.push(pending);
        Ok(())
    }

    /// Commits what is left.
    pub(super) async fn finish(&mut self, target: &Target, report: &mut ImportReport) -> Result<(), RowFailure> {
        let stopped = self.drop_unchanged(target, report).await?;
        self.commit(target, report).await?;
        stopped.map_or(Ok(()), Err)
    }

    /// Commits what is gathered, unless so much of it is stored already that there is room without.
    async fn make_room(
        &mut self,
        size_bytes: usize,
        target: &Target,
        report: &mut ImportReport,
    ) -> Result<(), RowFailure> {
        if let Some(stopped) = self.drop_unchanged(target, report).await? {
            self.commit(target, report).await?;
            return Err(stopped);
        }
        let has_room = self.pending.size_bytes().saturating_add(size_bytes) <= MAX_BATCH_BYTES / 2
            && self.pending.len() < self.batch_size.div_ceil(2);
        if has_room { Ok(()) } else { self.commit(target, report).await }
    }

    /// Drops documents that are stored already, just so. Where none may exist, the first that does ends the import: it
    /// and all behind it are dropped, and why is told.
    async fn drop_unchanged(
        &mut self,
        target: &Target,
        report: &mut ImportReport,
    ) -> Result<Option<RowFailure>, RowFailure> {
        let mut kept = Gathered::default();
        let mut stopped = None;
        for pending in self.pending.take() {
            let stored = match target.collection.get(&pending.key).await {
                Ok(stored) => stored,
                Err(error) => {
                    stopped = Some(RowFailure::at(pending.line, error.into()));
                    break;
                }
            };
            if stored.is_some() && target.mode == Mode::Insert {
                stopped = Some(target.exists_already(&pending));
                break;
            }
            if stored.is_some_and(|stored| stored == pending.document) {
                report.unchanged += u64::from(!pending.is_duplicate);
            } else {
                kept.push(pending);
            }
        }
        self.pending = kept;
        Ok(stopped)
    }

    /// Commits everything that is pending, or all that stands before the first document that cannot be stored.
    async fn commit(&mut self, target: &Target, report: &mut ImportReport) -> Result<(), RowFailure> {
        let pending = self.pending.take();
        let Some(first) = pending.first() else { return Ok(()) };
        target.create().await?;
        let first_line = first.line;
        let mut batch = target.db.batch();
        let (mut imported, mut replaced, mut stopped) = (0, 0, None);
        for Pending { line, key, document, is_duplicate, .. } in &pending {
            let added = match target.mode {
                Mode::Put => batch.put_into(&target.collection, document),
                Mode::Insert => batch.insert_into(&target.collection, document),
            };
            if let Err(error) = added {
                stopped = Some(RowFailure::at(*line, error.into()));
                break;
            }
            if !is_duplicate {
                let is_new = target.collection.get(key).await?.is_none();
                *(if is_new { &mut imported } else { &mut replaced }) += 1;
            }
        }
        if !batch.is_empty() {
            let is_single = batch.len() == 1;
            match batch.commit().await {
                Ok(_) => {}
                // Nothing else can be meant if there was only one.
                Err(error) if is_single => return Err(RowFailure::at(first_line, error.into())),
                Err(error) => return Err(Failure::from(error).of_data().into()),
            }
            report.commits += 1;
            report.imported += imported;
            report.replaced += replaced;
        }
        stopped.map_or(Ok(()), Err)
    }
}
