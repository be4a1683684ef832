use std::time::Duration;

use bucketdb::Operation;
use serde_json::json;

use crate::stage::{Actor, GRACE, Outcome, Stage, Twist, must};

/// How late a request arrives that meets an empty place where a record was.
pub(crate) const LATE: Duration = Duration::from_secs(180);

/// Two nodes that have read everything.
pub(crate) async fn two(stage: &Stage) -> Outcome<(Actor, Actor)> {
    let (a, b) = (stage.actor().await?, stage.actor().await?);
    a.write("x", 0).await?;
    b.refresh().await?;
    Ok((a, b))
}

/// A node writes "late" while the other one writes on, and gives up and removes what it wrote first.
async fn write_into_the_past(stage: Stage, twist: Twist, back: Option<i64>) -> Outcome {
    let (a, b) = two(&stage).await?;
    a.twist(Operation::Put, a.next(), twist);
    let writer = a.clone();
    let written = stage.start(&a, async move { writer.put("late", 1).await });
    for value in 1..5 {
        b.write("x", value).await?;
    }
    if let Some(back_ms) = back {
        a.clock.skew(-back_ms);
    }
    stage.truncate(&b).await?;
    let written = written.await.ok_or("the writer is gone")?;
    if written.is_ok() {
        let read = stage.truth("late").await?;
        must(read == Some(json!(1)), format!("a write was acknowledged, and {read:?} is read"))?;
    }
    // The others are not disturbed, whatever lies around in the past.
    b.write("x", 99).await?;
    Ok(())
}

pub(crate) async fn late_create(stage: Stage) -> Outcome {
    write_into_the_past(stage, Twist::Late(LATE), None).await
}

pub(crate) async fn late_create_with_clock_set_back(stage: Stage) -> Outcome {
    write_into_the_past(stage, Twist::Late(LATE), Some(3_600_000)).await
}

pub(crate) async fn repeated_create(stage: Stage) -> Outcome {
    write_into_the_past(stage, Twist::FailsLate(LATE), None).await
}

/// A node loses a slot late, and takes that for news of the log's end.
pub(crate) async fn lost_races(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    let slot = a.next();
    a.twist(Operation::Put, slot, Twist::Late(GRACE * 3 / 4));
    // It does not read on before the records behind are gone.
    a.twist(Operation::Get, slot.next(), Twist::Late(GRACE / 4 + GRACE / 20));
    let writer = a.clone();
    let _written = stage.start(&a, async move { writer.put("late", 1).await });
    for value in 1..8 {
        b.write("x", value).await?;
    }
    stage.truncate(&b).await?;
    stage.pass(GRACE / 12).await;
    match a.read("x").await {
        Err(_) => Ok(()),
        Ok(read) => must(read == Some(json!(7)), format!("7 was acknowledged, and a strict read gives {read:?}")),
    }
}
