use bucketdb::Operation;
use serde_json::json;

use super::removal::two;
use crate::stage::{Actor, LATENCY, Outcome, Stage, Twist, must};

async fn create_branch(actor: &Actor) -> Outcome {
    actor.db.create_branch("b").await.map(|_| ()).map_err(|error| format!("no branch is created: {error}"))
}

/// What a node that opens the branch now sees of a document.
async fn truth_of_branch(stage: &Stage, id: &str) -> Outcome<Option<serde_json::Value>> {
    stage.on_branch("b").truth(id).await
}

/// Lets a node go on, and remove what it does not need any more.
async fn go_on(stage: &Stage, by: &Actor) -> Outcome {
    for value in 100..103 {
        by.write("y", value).await?;
        by.compact().await?;
        stage.truncate(by).await?;
    }
    Ok(())
}

/// The parent goes on, and what it gives up a branch still has (H16).
pub(crate) async fn what_it_shares_is_kept(stage: Stage) -> Outcome {
    let (a, _) = two(&stage).await?;
    a.write("x", 1).await?;
    a.checkpoint().await?;
    create_branch(&a).await?;
    a.write("x", 2).await?;
    go_on(&stage, &a).await?;
    let found = truth_of_branch(&stage, "x").await?;
    must(found == Some(json!(1)), format!("{found:?} is not what the branch began with"))
}

/// A checkpoint is under way while a branch comes to be (H16).
pub(crate) async fn created_meanwhile(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    a.write("x", 1).await?;
    a.checkpoint().await?;
    a.write("x", 2).await?;
    a.twist_at(Operation::Put, "/manifest/", Twist::Late(LATENCY * 500));
    let maker = a.clone();
    let made = stage.start(&a, async move { maker.checkpoint().await });
    stage.pass(LATENCY * 100).await;
    b.refresh().await?;
    create_branch(&b).await?;
    made.await.ok_or("the maker is gone")??;
    go_on(&stage, &a).await?;
    let found = truth_of_branch(&stage, "x").await?;
    must(found == Some(json!(2)), format!("{found:?} is not what the branch began with"))
}

/// A branch gives up all that it began with; its parent still has it (H16).
pub(crate) async fn removes_its_own_only(stage: Stage) -> Outcome {
    let (a, _) = two(&stage).await?;
    a.write("x", 1).await?;
    a.checkpoint().await?;
    create_branch(&a).await?;
    let branch = stage.on_branch("b").actor().await?;
    branch.write("x", 2).await?;
    go_on(&stage, &branch).await?;
    let found = stage.truth("x").await?;
    must(found == Some(json!(1)), format!("{found:?} is not what the parent had"))?;
    let found = truth_of_branch(&stage, "x").await?;
    must(found == Some(json!(2)), format!("{found:?} is not what was written to the branch"))
}
