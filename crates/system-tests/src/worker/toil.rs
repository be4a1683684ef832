use std::error::Error;
use std::time::Duration;

use bucketdb::{Database, Duplicates, Environment, Error as DatabaseError, LogError, Seq, Table, TokioEnvironment};
use bucketdb_system_tests::{Line, Piece, Toil};

use crate::session::until_end_of_input;
use crate::{Arguments, say};

/// Between two rounds of removing, so that there is something to remove again.
const PAUSE: Duration = Duration::from_millis(20);

/// A sweep comes every so manieth round of removing.
const ROUNDS_BETWEEN_SWEEPS: u64 = 4;

/// What somebody does who looks after the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Care {
    /// Compacts.
    Compact,
    /// Removes what is superfluous.
    Gc,
}

/// Does one operation on the pieces after the other, and says when each begins and when it is acknowledged.
pub(crate) async fn toil(arguments: &Arguments, first: u64, is_bulk: bool) -> Result<(), Box<dyn Error>> {
    let work = async {
        let db = arguments.open().await?;
        let pieces = db.table::<Piece>().await?;
        for number in first.. {
            say(&Line::Doing(number))?;
            let position = execute(&db, &pieces, Toil { number, is_bulk }).await?;
            say(&Line::Written { operation: number, position: position.0 })?;
        }
        Ok(())
    };
    until_too_late(work).await
}

async fn execute(db: &Database, pieces: &Table<Piece>, toil: Toil) -> bucketdb::Result<Seq> {
    if toil.is_bulk {
        let mut load = pieces.bulk_load(Duplicates::Replace).await?;
        for piece in toil.written() {
            load.add(&piece).await?;
        }
        // It always writes something.
        return Ok(load.finish().await?.commit.map_or(Seq(0), |commit| commit.seq));
    }
    let mut batch = db.batch();
    for id in toil.deleted() {
        batch.delete::<Piece>(id)?;
    }
    for piece in toil.written() {
        batch.put(&piece)?;
    }
    Ok(batch.commit().await?.seq)
}

/// Looks after the database again and again, and says how many objects each round removed.
pub(crate) async fn care(arguments: &Arguments, care: Care) -> Result<(), Box<dyn Error>> {
    let env = TokioEnvironment::new();
    let work = async {
        let db = arguments.open().await?;
        for round in 1.. {
            say(&Line::Doing(round))?;
            let removed = match care {
                Care::Compact => {
                    db.compact().await?;
                    0
                }
                Care::Gc => {
                    let report = db.collect_garbage().await?;
                    let is_sweep = round % ROUNDS_BETWEEN_SWEEPS == 0;
                    let swept = if is_sweep { db.sweep().await?.removed } else { 0 };
                    env.sleep(PAUSE).await;
                    report.objects + report.records + swept
                }
            };
            say(&Line::Removed(removed))?;
            db.refresh(bucketdb::Freshness::Strict).await?;
        }
        Ok(())
    };
    until_too_late(work).await
}

/// Works until the standard input is closed. Whoever stood still for longer than the grace, which is short here, may find
/// that what it needs next is gone, or all of the branch: it has nothing more to do then, and waits to be killed.
pub(crate) async fn until_too_late(
    work: impl Future<Output = Result<(), Box<dyn Error>>>,
) -> Result<(), Box<dyn Error>> {
    let end = async {
        match work.await {
            Err(error) if is_too_late(&*error) => std::future::pending().await,
            outcome => outcome,
        }
    };
    until_end_of_input(end).await
}

fn is_too_late(error: &(dyn Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(
            DatabaseError::Log(LogError::FellBehind { .. } | LogError::Dropped { .. })
                | DatabaseError::SnapshotExpired { .. }
        )
    )
}
