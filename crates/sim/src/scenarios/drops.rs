use bucketdb::{Operation, Seq};

use super::removal::{LATE, two};
use crate::stage::{Actor, GRACE, LATENCY, Outcome, PREFIX, Stage, Twist, must};

async fn drop_database(by: &Actor) -> Outcome {
    by.db.drop_database(PREFIX).await.map(|_| ()).map_err(|error| format!("the database is not dropped: {error}"))
}

/// A write is under way while the database is dropped, and the next one comes to where it is to be (H17).
pub(crate) async fn never_beside_the_next(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    let slot = a.next();
    a.twist(Operation::Put, slot, Twist::Late(LATE));
    let writer = a.clone();
    let written = stage.start(&a, async move { writer.put("late", 1).await });
    drop_database(&b).await?;
    stage.drop_again(0, true).await?;
    let next = stage.actor().await?;
    while next.next() < slot {
        next.write("y", next.next().0).await?;
    }
    let written = written.await.ok_or("the writer is gone")?;
    must(written.is_err(), "a write was acknowledged of a database that was dropped")?;
    next.write("y", 99).await?;
    let found = stage.truth("late").await?;
    must(found.is_none(), "the next database has what was written to the one before")
}

/// A node that is behind writes where a record was of the database that was dropped.
async fn write_behind(stage: &Stage, a: &Actor, last: Seq) -> Outcome {
    must(a.next() < last, "it knows everything")?;
    let written = a.put("late", 1).await;
    must(written.is_err(), "a write was acknowledged of a database that was dropped")?;
    stage.pass(GRACE + LATENCY).await;
    let removed = stage.drop_again(0, true).await?;
    must(removed.records_left == 0, format!("{removed:?} after a grace"))
}

/// A node is behind when the database is dropped (H3).
pub(crate) async fn records_stay_for_a_grace(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    for value in 1..4 {
        b.write("x", value).await?;
    }
    let last = b.next();
    drop_database(&b).await?;
    write_behind(&stage, &a, last).await
}

/// The same, and somebody goes on with the drop whose wall clock is an hour ahead (H20).
pub(crate) async fn one_clock(stage: Stage) -> Outcome {
    let mut stage = stage;
    stage.tells_time = true;
    let (a, b) = two(&stage).await?;
    for value in 1..4 {
        b.write("x", value).await?;
    }
    let last = b.next();
    drop_database(&b).await?;
    stage.drop_again(3_600_000, false).await?;
    write_behind(&stage, &a, last).await
}
