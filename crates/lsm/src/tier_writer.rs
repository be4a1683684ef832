use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_runs::{Finishing, RunEntry, RunMeta, RunOptions, RunStore, RunWriter};

use crate::{TierRun, TotalsByGroup, WorkError};

/// Writes rows as the runs of a tier, one after the other.
///
/// While a run is brought to its end, which takes as long as the store needs to make it durable, the next one is begun.
#[derive(Debug)]
pub struct TierWriter {
    store: RunStore,
    begun_at: Seq,
    options: RunOptions,
    /// How large a run becomes.
    run_bytes: u64,
    current: Option<(RunWriter, TotalsByGroup)>,
    /// The run before it, while it is brought to its end.
    ending: Option<Ending>,
    done: Vec<TierRun>,
    written_bytes: u64,
}

#[derive(Debug)]
struct Ending {
    run: Finishing,
    totals: TotalsByGroup,
    /// How large it is, about.
    size_bytes: u64,
}

impl TierWriter {
    pub(crate) fn new(store: RunStore, begun_at: Seq, options: RunOptions, run_bytes: u64) -> Self {
        Self { store, begun_at, options, run_bytes, current: None, ending: None, done: Vec::new(), written_bytes: 0 }
    }

    /// Adds the next row in ascending order of keys. Waits if the store does not keep up.
    ///
    /// # Errors
    /// If the row is out of order, or the store fails: the tier cannot be finished any more.
    pub async fn add(&mut self, entry: &RunEntry) -> Result<(), WorkError> {
        let (writer, totals) = match &mut self.current {
            Some(current) => current,
            None => {
                self.current.insert((self.store.writer(self.begun_at, self.options.clone()), TotalsByGroup::default()))
            }
        };
        totals.add(&entry.key, entry.row.as_deref());
        writer.push(&entry.key, entry.seq, entry.row.as_deref())?;
        if writer.is_waiting() {
            writer.hand_over().await?;
        }
        if writer.bytes_written() >= self.run_bytes {
            self.end_run().await?;
        }
        Ok(())
    }

    /// How many bytes were written so far, about.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        let ending = self.ending.as_ref().map_or(0, |ending| ending.size_bytes);
        self.written_bytes + ending + self.current.as_ref().map_or(0, |(writer, _)| writer.bytes_written())
    }

    /// The runs that are written.
    #[must_use]
    pub fn runs(&self) -> &[TierRun] {
        &self.done
    }

    async fn end_run(&mut self) -> Result<(), WorkError> {
        // One at a time, or a store that does not keep up would have ever more to do.
        self.await_ending().await?;
        if let Some((writer, totals)) = self.current.take() {
            let size_bytes = writer.bytes_written();
            self.ending = Some(Ending { run: writer.finish_apart(), totals, size_bytes });
        }
        Ok(())
    }

    async fn await_ending(&mut self) -> Result<(), WorkError> {
        if let Some(ending) = &mut self.ending {
            let meta = ending.run.outcome().await?;
            if let Some((Ending { totals, .. }, meta)) = self.ending.take().zip(meta) {
                self.took(meta, totals);
            }
        }
        Ok(())
    }

    fn took(&mut self, meta: RunMeta, totals: TotalsByGroup) {
        self.written_bytes += meta.size_bytes;
        self.done.push(TierRun::whole(self.store.open(Arc::new(meta)), totals));
    }

    /// Writes what is left. Returns the runs, and how many bytes they take.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn finish(mut self) -> Result<(Vec<TierRun>, u64), WorkError> {
        self.await_ending().await?;
        if let Some((writer, totals)) = self.current.take()
            && let Some(meta) = writer.finish().await?
        {
            self.took(meta, totals);
        }
        Ok((self.done, self.written_bytes))
    }
}
