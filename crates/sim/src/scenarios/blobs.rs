use bucketdb::{Blob, Error, Operation};
use serde_json::{Value, json};

use super::removal::two;
use crate::stage::{Actor, LATENCY, Outcome, Stage, Twist, must, value_of};

const CONTENT: &str = "an image";

impl Actor {
    async fn upload(&self) -> Outcome<Blob> {
        self.db.blobs().upload(CONTENT).await.map_err(|error| format!("an upload failed: {error}"))
    }

    async fn put_blob(&self, id: &str, blob: Option<Blob>) -> Result<(), Error> {
        self.collection().put(&json!({"id": id, "value": blob})).await.map(|_| ())
    }
}

/// Whether the blob of a document is there.
async fn must_have_blob(actor: &Actor, document: Option<Value>) -> Outcome {
    let Some(blob) = document.and_then(|value| value.as_str()?.parse::<Blob>().ok()) else { return Ok(()) };
    let content = async { actor.db.blobs().open(&blob)?.bytes().await };
    let content = content.await.map_err(|error| format!("a document refers to a blob that cannot be read: {error}"))?;
    must(content == CONTENT, format!("{content:?} is not what was uploaded"))
}

/// Two nodes give one blob to two documents at the same time (H15). One of them is deleted.
pub(crate) async fn one_document_each(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    let blob = a.upload().await?;
    let writer = a.clone();
    let first = stage.start(&a, async move { writer.put_blob("first", Some(blob)).await });
    let second = b.put_blob("second", Some(blob)).await;
    let first = first.await.ok_or("the writer is gone")?;
    let both = format!("one blob in two documents: {first:?}, {second:?}");
    must(first.is_ok() != second.is_ok(), both)?;
    let (kept, given) = if first.is_ok() { ("first", "second") } else { ("second", "first") };
    // Later on as well, and also once there is nothing in its place.
    must(a.put_blob(given, Some(blob)).await.is_err(), "one blob in two documents, one after the other")?;
    a.collection().delete(&json!(kept)).await.map_err(|error| error.to_string())?;
    must(b.put_blob(given, Some(blob)).await.is_err(), "a blob passed from one document to another")?;
    stage.truncate(&a).await?;
    must_have_blob(&b, stage.truth(given).await?).await
}

/// A document that lost its blob gets it back while that is being released.
pub(crate) async fn put_back(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    let blob = a.upload().await?;
    let given = async |actor: &Actor, blob| actor.put_blob("x", blob).await.map_err(|error| error.to_string());
    given(&a, Some(blob)).await?;
    a.checkpoint().await?;
    given(&a, None).await?;
    // The record behind that of the checkpoint releases the blob.
    a.twist(Operation::Put, a.next().next(), Twist::Late(LATENCY * 500));
    let maker = a.clone();
    let made = stage.start(&a, async move { maker.checkpoint().await });
    stage.pass(LATENCY * 100).await;
    b.refresh().await?;
    // Refused, if it comes too late.
    let is_back = b.put_blob("x", Some(blob)).await.is_ok();
    made.await.ok_or("the maker is gone")??;
    must(is_back, "the blob was released before it was put back: nothing was played")?;
    for value in 0..3 {
        a.write("y", value).await?;
        stage.truncate(&a).await?;
    }
    must_have_blob(&b, stage.truth("x").await?).await
}

/// A document is deleted that a snapshot with a name still has.
pub(crate) async fn kept_with_the_past(stage: Stage) -> Outcome {
    let (a, _) = two(&stage).await?;
    let blob = a.upload().await?;
    a.put_blob("x", Some(blob)).await.map_err(|error| error.to_string())?;
    a.db.create_snapshot("then").await.map_err(|error| error.to_string())?;
    a.checkpoint().await?;
    a.collection().delete(&json!("x")).await.map_err(|error| error.to_string())?;
    for value in 0..3 {
        a.write("y", value).await?;
        stage.truncate(&a).await?;
    }
    let reader = stage.actor().await?;
    let found = async { reader.db.at("then").await?.collection("things").get(&json!("x")).await };
    let found = found.await.map_err(|error| format!("a snapshot with a name cannot be read: {error}"))?;
    must(found.is_some(), "the document of the past is not there")?;
    must_have_blob(&reader, found.as_ref().map(value_of)).await
}
