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
        if totals.add(&entry.key, entry.row.as_deref()) {
            writer.divide();
        }
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

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use bucketdb_driver::{MemoryDriver, MeteredDriver, Operation};
    use bucketdb_env::TokioEnvironment;
    use bucketdb_log::{DatabaseId, Layout};
    use bucketdb_runs::{Cache, ScanOptions};

    use super::*;

    fn noise(number: u32, len: usize) -> Vec<u8> {
        let mut state = u64::from(number) + 1;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    fn entry(group: u32, number: u32, row: Vec<u8>) -> RunEntry {
        let key = [group.to_be_bytes(), number.to_be_bytes()].concat();
        RunEntry { key: key.into(), seq: Seq(1), row: Some(row.into()) }
    }

    #[tokio::test]
    async fn what_lies_behind_longer_rows_comes_in_one_request() {
        let driver = MeteredDriver::new(MemoryDriver::new(), TokioEnvironment::new());
        let store = || {
            let (driver, env) = (Arc::new(driver.clone()), Arc::new(TokioEnvironment::new()));
            RunStore::new(driver, env, Layout::new("db").unwrap(), DatabaseId([7; 16]), Cache::new(16 << 20))
        };
        // After so many, partitions lie behind their blocks, and not all in the tail.
        let many = 6 << 14;
        for rows in [500, 2_000, 7_000, many + 1_000, many + 5_000, many + 7_000] {
            let mut writer = TierWriter::new(store(), Seq(1), RunOptions::default(), u64::MAX);
            for number in 0..rows {
                writer.add(&entry(1, number, noise(number, 90))).await.unwrap();
            }
            for number in 0..20_000 {
                writer.add(&entry(2, number, noise(number, 20))).await.unwrap();
            }
            let (runs, _) = writer.finish().await.unwrap();
            let meta = runs[0].run().meta();
            store().verify(meta).await.unwrap();
            for begin in (0..19_000).step_by(997) {
                let run = store().open(meta.clone());
                run.may_hold(&entry(1, 0, Vec::new()).key).await.unwrap();
                let before = driver.usage();
                let bounds = [begin, begin + 20].map(|number| entry(2, number, Vec::new()).key);
                let [start, end] = bounds;
                let mut scan = run.scan((Bound::Included(start), Bound::Excluded(end)), ScanOptions::default());
                while scan.next().await.unwrap().is_some() {}
                let gets = (driver.usage() - before).of(Operation::Get).requests;
                assert_eq!(gets, 1, "{begin} behind {rows} rows");
            }
        }
    }
}
