use std::collections::BTreeSet;
use std::time::Duration;

use bucketdb::{Duplicates, Error, Freshness};

use crate::workload::Outcome;
use crate::workload::client::{Client, put};
use crate::workload::documents::Register;

impl Client {
    /// Reads one snapshot several times, over however many checkpoints: it never changes.
    pub(super) async fn hold(&mut self) {
        let token = self.begin(self.default_freshness(), "hold a snapshot".to_owned(), Vec::new());
        let times = self.random.between(2, 4);
        let most = self.random.magnitude(Duration::from_millis(10), Duration::from_secs(60));
        let keys: Vec<(String, String)> = (0..times).map(|_| (self.key(), self.key())).collect();
        let (db, scheduler) = (self.tables.db.clone(), self.scheduler.clone());
        let recorder = self.recorder.clone();
        let read = async {
            let snapshot = db.snapshot().await?;
            recorder.read_at(token, snapshot.position());
            let mut reads = Vec::new();
            for (one, two) in keys {
                reads.extend(self.reads_of(&snapshot, one, two).await?);
                scheduler.sleep(most).await;
            }
            Ok::<_, Error>(reads)
        };
        match read.await {
            Ok(reads) => self.recorder.end(token, reads, Outcome::Ok(None)),
            Err(error) => {
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
            }
        }
    }

    /// Loads some registers in bulk, while others write them.
    pub(super) async fn load(&mut self) {
        let duplicates = *self
            .random
            .pick(&[Duplicates::Replace, Duplicates::Replace, Duplicates::Fail, Duplicates::Skip])
            .unwrap_or(&Duplicates::Replace);
        // What is skipped is not written: with one document, it is all or nothing.
        let count = if duplicates == Duplicates::Skip { 1 } else { self.random.between(1, 3) };
        let keys: BTreeSet<String> = (0..count).map(|_| self.key()).collect();
        let writes = keys.iter().map(|key| put("registers", key)).collect();
        let what = format!("load {} registers, {duplicates:?}", keys.len());
        let token = self.begin(Freshness::Strict, what, writes);
        let registers = self.tables.registers.clone();
        // Some are saved on the way, left, and gone on with from there.
        let (is_saved, name) = (self.random.between(0, 2) == 0, format!("load {token}"));
        let load = async {
            let mut load = if is_saved {
                registers.resumable_load(&name, duplicates).await?
            } else {
                registers.bulk_load(duplicates).await?
            };
            for key in &keys {
                load.add(&Register { key: key.clone(), token, base: 0, count: 0 }).await?;
                if is_saved {
                    load.save(key.clone()).await?;
                    drop(load);
                    load = registers.resumable_load(&name, duplicates).await?;
                }
            }
            load.finish().await
        };
        let loaded = load.await.map(|loaded| loaded.commit.map(|commit| commit.seq));
        if matches!(loaded, Ok(None)) {
            self.recorder.wrote_nothing(token);
        }
        self.end_refusable(token, "registers", "", loaded).await;
    }
}
