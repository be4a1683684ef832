use bucketdb::Error;
use serde_json::{Value, json};

use crate::stage::{Actor, Outcome, Stage, must, value_of};

fn number(document: Option<&Value>) -> u64 {
    document.and_then(|document| value_of(document).as_u64()).unwrap_or(0)
}

async fn increment(actor: &Actor, between: Option<&Actor>) -> Result<(), Error> {
    let things = actor.collection();
    let mut between = between;
    let once = |tx: bucketdb::Transaction| {
        let (things, between) = (things.clone(), between.take());
        async move {
            let value = number(tx.get_value(&things, &json!("x")).await?.as_ref());
            if let Some(other) = between {
                Box::pin(increment(other, None)).await?;
            }
            tx.put_value(&things, &json!({"id": "x", "value": value + 1}))?;
            Ok::<(), Error>(())
        }
    };
    actor.db.transact(once).await
}

/// Two increments, the second of which happens while the first is between reading and writing.
pub(crate) async fn lost_update(stage: Stage) -> Outcome {
    let a = stage.actor().await?;
    a.write("x", 0).await?;
    let b = stage.actor().await?;
    increment(&a, Some(&b)).await.map_err(|error| error.to_string())?;
    let read = stage.truth("x").await?;
    must(read == Some(json!(2)), format!("after two increments of 0, {read:?} is read"))
}

/// Adds a document that says how many there were before.
async fn join_queue(actor: &Actor, id: &str, between: Option<&Actor>) -> Result<(), Error> {
    let things = actor.collection();
    let mut between = between;
    let once = |tx: bucketdb::Transaction| {
        let (things, between) = (things.clone(), between.take());
        async move {
            let before = tx.query_values(&things).count().await?;
            if let Some(other) = between {
                Box::pin(join_queue(other, "between", None)).await?;
            }
            tx.put_value(&things, &json!({"id": id, "value": before}))?;
            Ok::<(), Error>(())
        }
    };
    actor.db.transact(once).await
}

/// Two documents that both count those before them, the second of which comes into being while the first counts.
pub(crate) async fn phantom(stage: Stage) -> Outcome {
    let a = stage.actor().await?;
    a.write("x", 0).await?;
    let b = stage.actor().await?;
    join_queue(&a, "first", Some(&b)).await.map_err(|error| error.to_string())?;
    let (first, between) = (stage.truth("first").await?, stage.truth("between").await?);
    must(first != between, format!("both found {first:?} documents before them"))
}
