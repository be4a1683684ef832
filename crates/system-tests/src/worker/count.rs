use std::error::Error;

use bucketdb::{Error as DatabaseError, Freshness};
use bucketdb_system_tests::{COUNTER, Counter, Line};

use crate::{Arguments, say, say_usage};

/// Counts up from the operation behind the last one that the counter holds of this worker.
pub(crate) async fn count(arguments: &Arguments, worker: u32, operations: u64) -> Result<(), Box<dyn Error>> {
    let db = arguments.open().await?;
    let counters = db.table::<Counter>().await?;
    let stored = counters.clone().with_freshness(Freshness::Strict).get(COUNTER).await?;
    let first = stored.ok_or("there is no counter")?.last_of(worker) + 1;
    say(&Line::Begin(first))?;
    for operation in first..=operations {
        // The first one may have been under way when an earlier life of this worker ended.
        let mut may_be_there = operation == first;
        loop {
            let outcome = counters.update(COUNTER, |counter| match may_be_there {
                true => counter.count_once(worker, operation),
                // Whoever says that a change failed, or tries it again, vouches for it that it is not there.
                false => counter.count(worker, operation),
            });
            match outcome.await {
                Ok(_) => break,
                // The next commit waits until the slot of this one is settled: trying again finds out whether it took
                // effect, and makes up for it if not.
                Err(DatabaseError::CommitOutcomeUnknown { slot, .. }) => {
                    may_be_there = true;
                    say(&Line::Unknown { operation, slot: slot.0 })?;
                }
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error.into()),
            }
        }
        say(&Line::Counted { operation, position: db.position().0 })?;
    }
    say_usage(&db)?;
    // The store may be stopped at the moment, with the checkpoint under way that is left for whoever comes next.
    while let Err(error) = db.close().await {
        if !error.is_retryable() {
            return Err(error.into());
        }
    }
    Ok(())
}
