use bucketdb::{Error, ErrorKind, Freshness, Operation};
use futures::future;
use serde_json::json;

use crate::stage::{LATENCY, Outcome, Stage, Twist, must, value_of};

/// The writer dies right after the acknowledgement: then the record must be there already.
pub(crate) async fn answered_when_stored(stage: Stage) -> Outcome {
    let (a, b) = (stage.actor().await?, stage.actor().await?);
    a.write("x", 1).await?;
    a.twist(Operation::Put, a.next(), Twist::Late(LATENCY * 50));
    a.write("x", 2).await?;
    stage.scheduler.kill(a.group);
    let read = b.read("x").await.map_err(|error| error.to_string())?;
    must(read == Some(json!(2)), format!("2 was acknowledged and {read:?} is read"))
}

/// A put takes effect and its answer is lost: the transaction must not be tried as if it had not happened.
pub(crate) async fn one_slot_at_a_time(stage: Stage) -> Outcome {
    let a = stage.actor().await?;
    a.write("x", 1).await?;
    a.twist(Operation::Put, a.next(), Twist::DoneAndFails);
    let inserted = a.collection().insert(&json!({"id": "y", "value": 1})).await;
    let there = a.read("y").await.map_err(|error| error.to_string())?.is_some();
    must(inserted.is_ok() == there, format!("{inserted:?}, and there is a document: {there}"))
}

/// As before: the repetition meets the record that the first attempt left.
pub(crate) async fn taken_by_ourselves(stage: Stage) -> Outcome {
    let a = stage.actor().await?;
    a.write("x", 1).await?;
    a.twist(Operation::Put, a.next(), Twist::DoneAndFails);
    let written = a.put("x", 2).await;
    let read = stage.truth("x").await?;
    let is_there = read == Some(json!(2));
    must(written.is_ok() == is_there, format!("{written:?}, and {read:?} is read"))
}

/// The first attempt is on its way when the second is forbidden.
pub(crate) async fn forbidden_after_unclear(stage: Stage) -> Outcome {
    let a = stage.actor().await?;
    a.write("x", 1).await?;
    a.twist(Operation::Put, a.next(), Twist::FailsAndArrives(LATENCY * 100));
    a.twist(Operation::Put, a.next(), Twist::Fails(ErrorKind::Denied));
    let written = a.put("x", 2).await;
    stage.pass(LATENCY * 200).await;
    let read = stage.truth("x").await?;
    let is_there = read == Some(json!(2));
    must(written.is_ok() == is_there, format!("{written:?}, and {read:?} is read"))
}

/// Two copies of one machine draw the same session and count alike.
pub(crate) async fn cloned_machine(stage: Stage) -> Outcome {
    stage.actor().await?.write("x", 1).await?;
    let a = stage.actor_drawing("machine").await?;
    let b = stage.actor_drawing("machine").await?;
    let (first, second) = future::join(a.put("a", 1), b.put("b", 2)).await;
    let (first, second) = (first.map_err(|error| error.to_string())?, second.map_err(|error| error.to_string())?);
    must(first.id != second.id, "two commits have one id")?;
    for (id, value) in [("a", 1), ("b", 2)] {
        let read = stage.truth(id).await?;
        must(read == Some(json!(value)), format!("{value} was acknowledged and {read:?} is read"))?;
    }
    Ok(())
}

/// The store overwrites a record that was acknowledged: whoever reads on must notice.
pub(crate) async fn overwritten_record(stage: Stage) -> Outcome {
    let a = stage.actor().await?;
    a.write("x", 1).await?;
    let b = stage.actor().await?;
    let slot = a.next();
    a.write("x", 2).await?;
    b.twist(Operation::Put, slot, Twist::Overwrites);
    b.write("y", 1).await?;
    a.write("z", 1).await?;
    match b.read("x").await {
        Err(_) => Ok(()),
        Ok(read) => must(read == Some(json!(2)), format!("2 was acknowledged, and {read:?} is read without an error")),
    }
}

/// A reader finds a record, and one behind it, before its writer hears that it was created.
pub(crate) async fn read_before_answered(stage: Stage) -> Outcome {
    let (a, b) = (stage.actor().await?, stage.actor().await?);
    a.write("x", 0).await?;
    a.twist(Operation::Put, a.next(), Twist::LateAnswer(LATENCY * 50));
    let writer = a.clone();
    let written = stage.start(&a, async move { writer.put("x", 1).await });
    stage.pass(LATENCY * 3).await;
    b.write("x", 2).await?;
    a.refresh().await?;
    let written = written.await.ok_or("the writer is gone")?;
    written.map_err(|error| error.to_string())?;
    let read = a.collection().with_freshness(Freshness::Local).get(&json!("x")).await;
    let read = read.map_err(|error| error.to_string())?.map(|document| value_of(&document));
    must(read == Some(json!(2)), format!("2 was written last, and {read:?} is read"))
}

/// Two inserts of one key share a record that is refused for good: the second must not have been told that the key is
/// taken.
pub(crate) async fn refused_by_the_group(stage: Stage) -> Outcome {
    let a = stage.actor().await?;
    a.write("x", 1).await?;
    a.twist(Operation::Put, a.next(), Twist::Fails(ErrorKind::Denied));
    let (first, second) = (a.collection(), a.collection());
    let document = json!({"id": "y", "value": 1});
    let (first, second) = future::join(first.insert(&document), second.insert(&document)).await;
    must(first.is_err(), "the first was forbidden")?;
    let read = stage.truth("y").await?;
    must(
        read.is_some() || !matches!(second, Err(Error::AlreadyExists { .. })),
        format!("{second:?}, and there never was such a document"),
    )
}
