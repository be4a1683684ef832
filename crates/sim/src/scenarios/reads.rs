use bucketdb::{ChangeKind, Operation, Seq, Since};
use serde_json::json;

use super::removal::two;
use crate::stage::{GRACE, Outcome, Stage, Twist, must};

/// A node stands still while the log goes on and its beginning is removed.
pub(crate) async fn stale_end(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    for value in 1..5 {
        b.write("x", value).await?;
    }
    stage.truncate(&b).await?;
    match a.read("x").await {
        Err(_) => Ok(()),
        Ok(read) => must(read == Some(json!(4)), format!("4 was acknowledged, and a strict read gives {read:?}")),
    }
}

/// Where the feed would go on, there is a record that arrived after the true one had been removed.
pub(crate) async fn feed_below_the_floor(stage: Stage) -> Outcome {
    let (_a, b) = two(&stage).await?;
    let late = stage.actor().await?;
    let slot = late.next();
    late.twist(Operation::Put, slot, Twist::FailsAndArrives(GRACE * 3));
    let writer = late.clone();
    let _written = stage.start(&late, async move { writer.put("x", 666).await });
    stage.pass(GRACE / 100).await;
    stage.scheduler.kill(late.group);
    b.write("x", 1).await?;
    stage.truncate(&b).await?;
    stage.pass(GRACE * 3).await;
    let reader = stage.actor_drawing("reader").await?;
    let Ok(mut feed) = reader.db.watch(Since::Seq(Seq(slot.0 - 1))).await else { return Ok(()) };
    match feed.try_next().await {
        Ok(Some(change)) => match &change.kind {
            ChangeKind::Put(document) => Err(format!("a change was given that never was part of the log: {document}")),
            ChangeKind::Delete => Err("a deletion was given that never was part of the log".to_owned()),
        },
        Ok(None) => Err("the feed says that nothing happened".to_owned()),
        Err(_) => Ok(()),
    }
}
