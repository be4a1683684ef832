use std::time::Duration;

use bucketdb::{CommitId, CommitOutcome, Error, Operation, Seq};
use serde_json::json;

use crate::stage::{Actor, Outcome, Stage, Twist, must};

/// For so many positions are sessions remembered in scenarios.
pub(crate) const REMEMBERED_POSITIONS: u64 = 8;

const DEADLINE: Duration = Duration::from_secs(5);

/// A node whose write of "x" was under way when its deadline passed, and lost its slot afterwards to another node.
async fn abandon(stage: &Stage) -> Outcome<(Actor, CommitId, Seq)> {
    let b = stage.actor().await?;
    b.write("y", 1).await?;
    let a = stage.actor_waiting(DEADLINE).await?;
    a.twist(Operation::Put, a.next(), Twist::Late(DEADLINE * 2));
    let writer = a.clone();
    let written = stage.start(&a, async move { writer.put("x", 1).await });
    b.write("y", 2).await?;
    match written.await {
        Some(Err(Error::CommitOutcomeUnknown { id, slot })) => {
            stage.pass(DEADLINE * 3).await;
            Ok((a, id, slot))
        }
        other => Err(format!("the outcome is unknown, and {other:?} was told")),
    }
}

pub(crate) async fn abandoned_stays(stage: Stage) -> Outcome {
    let (_a, id, slot) = abandon(&stage).await?;
    let read = stage.truth("x").await?;
    must(read.is_none(), format!("commit {id} could be at {slot} only, which somebody else has, and {read:?} is read"))
}

pub(crate) async fn id_told_once(stage: Stage) -> Outcome {
    let (a, id, _) = abandon(&stage).await?;
    a.write("z", 1).await?;
    let outcome = a.db.commit_outcome(id).await.map_err(|error| error.to_string())?;
    let read = stage.truth("x").await?;
    let is_said_to_be_there = matches!(outcome, CommitOutcome::Committed { .. });
    must(is_said_to_be_there == (read == Some(json!(1))), format!("{outcome:?}, and {read:?} is read"))
}

/// A session wrote once, and then others did for long.
pub(crate) async fn forgotten(stage: Stage) -> Outcome {
    let (a, b) = (stage.actor().await?, stage.actor().await?);
    let commit = a.write("x", 1).await?;
    for value in 0..3 * REMEMBERED_POSITIONS {
        b.write("y", value).await?;
    }
    let outcome = b.db.commit_outcome(commit.id).await.map_err(|error| error.to_string())?;
    must(outcome != CommitOutcome::NotCommitted, format!("a commit that took effect is said to be {outcome:?}"))
}
