use std::time::Duration;

use bucketdb::simulation::TailLimits;
use bucketdb::{Duplicates, Error, ErrorKind, Freshness, Key, Operation, Order, Path};
use serde_json::{Value, json};

use super::removal::two;
use crate::stage::{Actor, GRACE, LATENCY, Outcome, Stage, Twist, must, value_of};

/// A checkpoint is under way whose run a sweep takes for an orphan (H1).
pub(crate) async fn sweep_first(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    a.write("x", 1).await?;
    a.twist_at(Operation::Put, "/manifest/", Twist::Late(LATENCY * 500));
    let maker = a.clone();
    let made = stage.start(&a, async move { maker.checkpoint().await });
    stage.pass(LATENCY * 100).await;
    b.db.sweep().await.map_err(|error| error.to_string())?;
    made.await.ok_or("the maker is gone")??;
    let read = stage.truth("x").await?;
    must(read == Some(json!(1)), format!("1 was acknowledged, and {read:?} is read"))
}

/// A reader holds a snapshot while somebody merges what it reads, and cleans up at once.
async fn snapshot_is_kept(stage: Stage, skew_ms: i64) -> Outcome {
    let (a, b) = two(&stage).await?;
    a.checkpoint().await?;
    let reader = stage.actor().await?;
    let snapshot = reader.db.snapshot().await.map_err(|error| error.to_string())?;
    b.refresh().await?;
    b.write("x", 1).await?;
    b.compact().await?;
    b.clock.skew(skew_ms);
    b.db.collect_garbage().await.map_err(|error| error.to_string())?;
    let found = snapshot.collection("things").get(&json!("x")).await;
    let found = found.map_err(|error| format!("a snapshot of a moment ago: {error}"))?;
    must(found.as_ref().map(value_of) == Some(json!(0)), format!("{found:?} is not what was there"))
}

/// Nothing is deleted before a grace has passed since `head` came to cover the checkpoint that says so (H23).
pub(crate) async fn grace_first(stage: Stage) -> Outcome {
    snapshot_is_kept(stage, 0).await
}

/// The wall clock of whoever deletes is an hour ahead (H20).
pub(crate) async fn one_clock(stage: Stage) -> Outcome {
    snapshot_is_kept(stage, 3_600_000).await
}

/// `head` is set back to what it was, as by a restored version (H4).
pub(crate) async fn restored_head(stage: Stage) -> Outcome {
    let (a, _) = two(&stage).await?;
    a.checkpoint().await?;
    let key = Key::new("db/head").map_err(|error| error.to_string())?;
    let old = stage.world.peek(&key).ok_or("there is no head")?;
    for value in 1..4 {
        a.write("x", value).await?;
    }
    stage.truncate(&a).await?;
    stage.world.place(&key, &old);
    let read = stage.truth("x").await?;
    must(read == Some(json!(3)), format!("3 was acknowledged, and {read:?} is read"))
}

/// The past is read that the database keeps, after a checkpoint and a grace (H2).
pub(crate) async fn floor_first(stage: Stage) -> Outcome {
    let mut stage = stage;
    stage.history = GRACE * 100;
    let (a, _) = two(&stage).await?;
    let then = a.write("x", 1).await?;
    a.write("x", 2).await?;
    a.write("x", 3).await?;
    stage.truncate(&a).await?;
    let reader = stage.actor().await?;
    let found = async { reader.db.at(then.seq).await?.collection("things").get(&json!("x")).await };
    let found = found.await.map_err(|error| format!("the past that is kept cannot be read: {error}"))?;
    must(found.as_ref().map(value_of) == Some(json!(1)), format!("{found:?} is not what was there"))
}

/// A moment has a name while the log is cut behind it, and is read by somebody who comes later.
pub(crate) async fn name_is_kept(stage: Stage) -> Outcome {
    let (a, _) = two(&stage).await?;
    a.write("x", 1).await?;
    a.db.create_snapshot("then").await.map_err(|error| error.to_string())?;
    for value in 2..4 {
        a.write("x", value).await?;
        stage.truncate(&a).await?;
    }
    let reader = stage.actor().await?;
    let found = async { reader.db.at("then").await?.collection("things").get(&json!("x")).await };
    let found = found.await.map_err(|error| format!("a snapshot with a name cannot be read: {error}"))?;
    must(found.as_ref().map(value_of) == Some(json!(1)), format!("{found:?} is not what was there"))
}

/// No checkpoint can be made: the log must not grow for ever (H19).
pub(crate) async fn bounded_tail(stage: Stage) -> Outcome {
    const HARD: u64 = 12;
    let tail_limits = TailLimits { soft_records: 4, hard_records: HARD, ..TailLimits::default() };
    let mut stage = stage;
    stage.tail_limits = tail_limits;
    let a = stage.actor_waiting(Duration::from_secs(3)).await?;
    for _ in 0..1_000 {
        a.twist_at(Operation::Put, "/manifest/", Twist::Fails(ErrorKind::Denied));
    }
    let mut refused = None;
    for value in 0..2 * HARD {
        if let Err(error) = a.put("x", value).await {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.ok_or("the log grows without end")?;
    must(refused.is_retryable(), format!("{refused} is not to be tried again"))?;
    a.untwist();
    stage.pass(Duration::from_secs(60)).await;
    a.write("x", 99).await?;
    Ok(())
}

/// Documents are bulk-loaded between a transaction's read and its commit (H11).
pub(crate) async fn load_counts_as_written(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    let things = a.collection();
    let mut loads = true;
    let once = |tx: bucketdb::Transaction| {
        let (things, loaded) = (things.clone(), std::mem::take(&mut loads).then(|| b.collection()));
        async move {
            let value = tx.get_value(&things, &json!("x")).await?;
            if let Some(loaded) = loaded {
                let mut load = loaded.bulk_load(Duplicates::Replace).await?;
                load.add_value(&json!({"id": "x", "value": 10})).await?;
                load.finish().await?;
            }
            let value = value.and_then(|document: Value| value_of(&document).as_u64()).unwrap_or(0);
            tx.put_value(&things, &json!({"id": "x", "value": value + 1}))?;
            Ok::<(), Error>(())
        }
    };
    a.db.transact(once).await.map_err(|error| error.to_string())?;
    let read = stage.truth("x").await?;
    must(read == Some(json!(11)), format!("10 was loaded and counted up once, and {read:?} is read"))
}

/// What was loaded lies above what was written before it, and below what was written after it, in memory or not (H11).
pub(crate) async fn load_is_in_order(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    b.write("y", 1).await?;
    let mut load = a.collection().bulk_load(Duplicates::Replace).await.map_err(|error| error.to_string())?;
    for id in ["x", "y"] {
        load.add_value(&json!({"id": id, "value": 10})).await.map_err(|error| error.to_string())?;
    }
    load.finish().await.map_err(|error| error.to_string())?;
    b.refresh().await?;
    b.write("x", 11).await?;
    for is_merged in [false, true] {
        if is_merged {
            b.checkpoint().await?;
        }
        for (id, value) in [("x", 11), ("y", 10)] {
            let here = b.collection().with_freshness(Freshness::Local).get(&json!(id)).await;
            let here = here.map_err(|error| error.to_string())?.map(|document| value_of(&document));
            let fresh = stage.truth(id).await?;
            let both = (here.as_ref(), fresh.as_ref());
            must(both == (Some(&json!(value)), Some(&json!(value))), format!("{both:?} is read of {id}, not {value}"))?;
        }
    }
    Ok(())
}

/// What an index of the last checkpoint says of a row that was written since does not count (H12).
pub(crate) async fn index_is_exact(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    a.collection().create_index("value").await.map_err(|error| error.to_string())?;
    a.write("x", 1).await?;
    a.write("y", 2).await?;
    a.checkpoint().await?;
    b.refresh().await?;
    b.write("x", 3).await?;
    a.refresh().await?;
    for actor in [&a, &b] {
        let found = by_index(actor).await?.ok_or("the index is whole and cannot be used")?;
        must(found == [json!(2), json!(3)], format!("an index over the values 2 and 3 leads to {found:?}"))?;
    }
    Ok(())
}

/// An index is of no use before all documents are in it that were there when it was created (H14).
pub(crate) async fn index_is_whole_first(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    a.write("x", 1).await?;
    a.write("y", 2).await?;
    a.checkpoint().await?;
    b.refresh().await?;
    b.collection().create_index("value").await.map_err(|error| error.to_string())?;
    b.write("y", 3).await?;
    if let Some(found) = by_index(&b).await? {
        must(found == [json!(1), json!(3)], format!("an index that is not built leads to {found:?}, not to 1 and 3"))?;
    }
    b.db.build_indexes().await.map_err(|error| error.to_string())?;
    let found = by_index(&b).await?.ok_or("the index was built and cannot be used")?;
    must(found == [json!(1), json!(3)], format!("an index that was built leads to {found:?}, not to 1 and 3"))
}

/// Two processes that know nothing of each other's last commit do not both take the same value of a unique index.
pub(crate) async fn unique_among_all(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    a.collection().create_unique_index("value").await.map_err(|error| error.to_string())?;
    b.refresh().await?;
    a.write("x", 1).await?;
    let second = b.collection().put(&json!({"id": "y", "value": 1})).await;
    let is_refused = matches!(second, Err(Error::UniqueViolation { .. }));
    must(is_refused, format!("x has the value 1, and to give it to y came to {second:?}"))
}

/// The clock of whoever merges is an hour ahead, and so are the times in its records: what ends in half an hour stays (H13).
pub(crate) async fn ends_by_the_store(stage: Stage) -> Outcome {
    let (a, b) = one_an_hour_ahead(stage).await?;
    b.write("y", 2).await?;
    b.compact().await?;
    let found = a.read("x").await.map_err(|error| error.to_string())?;
    must(found == Some(json!(1)), format!("what ends in half an hour is {found:?}"))
}

/// A node whose clock is an hour ahead takes no document for ended that ends in half an hour, and writes nothing in its
/// place (H13).
pub(crate) async fn wrong_clocks_write_nothing(stage: Stage) -> Outcome {
    let (a, b) = one_an_hour_ahead(stage).await?;
    let inserted = b.collection().insert(&json!({"id": "x", "value": 2})).await;
    let found = a.read("x").await.map_err(|error| error.to_string())?;
    must(found == Some(json!(1)), format!("an insert came to {inserted:?}, and what was there is {found:?}"))
}

/// Two nodes on a store that tells the time. The clock of the second one is an hour ahead, and it knows of `x`, which ends
/// in half an hour.
async fn one_an_hour_ahead(mut stage: Stage) -> Outcome<(Actor, Actor)> {
    stage.tells_time = true;
    let (a, b) = two(&stage).await?;
    let now_s = a.write("x", 0).await?.time.unix_ms() / 1_000;
    a.collection().set_ttl(Some("ends")).await.map_err(|error| error.to_string())?;
    let document = json!({"id": "x", "value": 1, "ends": now_s + 1_800});
    a.collection().put(&document).await.map_err(|error| error.to_string())?;
    b.refresh().await?;
    b.clock.skew(3_600_000);
    Ok((a, b))
}

/// All values in the order of the index over them; `None` if it is of no use.
async fn by_index(actor: &Actor) -> Result<Option<Vec<Value>>, String> {
    let query =
        actor.collection().with_freshness(Freshness::Local).query().order_by(Order::ascending(Path::field("value")));
    match query.by_index("value").fetch().await {
        Ok(documents) => Ok(Some(documents.iter().map(value_of).collect())),
        Err(Error::UnknownIndex { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
