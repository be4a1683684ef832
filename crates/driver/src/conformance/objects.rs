//! Getting, putting, deleting; ETags; what readers may see.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::context::{Context, Finding, Verdict, ensure, expect_error};
use crate::{Condition, ETag, ErrorKind, Key};

pub(super) async fn reads_back(cx: &Context) -> Finding {
    let key = cx.key("objects/back")?;
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(1000).collect();
    let etag = cx.put(&key, every_byte.clone()).await?;
    let object = cx.expect(&key, &every_byte, "after a put").await?;
    ensure!(object.etag == etag, "the put of {key} gave the ETag {etag}, its get {}", object.etag);
    Ok(())
}

pub(super) async fn missing(cx: &Context) -> Finding {
    let key = cx.key("objects/missing")?;
    cx.expect_missing(&key, "before it was put").await?;
    expect_error(cx.driver.get_range(&key, 0..10).await, ErrorKind::NotFound, "a range of a missing object")?;
    let Err(error) = cx.driver.get_stream(&key).await else {
        return Err(Verdict::Failed("a stream of a missing object was opened".to_owned()));
    };
    ensure!(error.is_not_found(), "a stream of a missing object gave {:?} instead of NotFound", error.kind());
    // What lies above or below an object is not an object.
    let inner = cx.key("objects/folder/inner")?;
    cx.put(&inner, "x").await?;
    cx.expect_missing(&cx.key("objects/folder")?, "although a key below it does").await?;
    cx.expect_missing(&cx.key("objects/folder/inner/most")?, "although a key above it does").await
}

pub(super) async fn replaces(cx: &Context) -> Finding {
    let key = cx.key("objects/replaced")?;
    for body in ["first and rather long", "second", ""] {
        cx.put(&key, body).await?;
        cx.expect(&key, body.as_bytes(), "after it was replaced").await?;
    }
    Ok(())
}

pub(super) async fn deletes(cx: &Context) -> Finding {
    let (key, beside) = (cx.key("objects/deleted")?, cx.key("objects/deleted-not")?);
    let failed = |what: &str, error: crate::DriverError| {
        Verdict::Failed(format!("{what} must succeed and gave {:?}: {error}", error.kind()))
    };
    cx.driver.delete(&key).await.map_err(|error| failed("deleting what never existed", error))?;
    cx.put(&key, "x").await?;
    cx.put(&beside, "y").await?;
    cx.driver.delete(&key).await?;
    cx.expect_missing(&key, "after it was deleted").await?;
    cx.driver.delete(&key).await.map_err(|error| failed("deleting a second time", error))?;
    cx.expect(&beside, b"y", "after another object was deleted").await?;
    cx.put(&key, "again").await?;
    cx.expect(&key, b"again", "after it was deleted and put again").await.map(drop)
}

pub(super) async fn deletes_many(cx: &Context) -> Finding {
    let keys = (0..50).map(|number| cx.key(&format!("objects/many/{number}"))).collect::<Finding<Vec<_>>>()?;
    let (kept, gone) = keys.split_at(10);
    let (_, existing) = keys.split_at(5);
    cx.put_all(existing).await?;
    cx.put_all(kept).await?;
    let absent = cx.key("objects/many/absent")?;
    let doomed: Vec<Key> = gone.iter().cloned().chain([absent]).collect();
    cx.driver.delete_many(&doomed).await?;
    cx.driver.delete_many(&[]).await?;
    for key in &doomed {
        cx.expect_missing(key, "after it was deleted with others").await?;
    }
    for key in kept {
        cx.expect(key, key.as_str().as_bytes(), "after others were deleted").await?;
    }
    Ok(())
}

pub(super) async fn etags(cx: &Context) -> Finding {
    let key = cx.key("objects/etag")?;
    let mut seen: HashMap<ETag, String> = HashMap::new();
    // Bodies of one length: an ETag made of size and time in coarse steps would repeat itself.
    for round in 0..cx.rounds {
        let body = format!("version {round:06}");
        let put = cx.put(&key, body.clone()).await?;
        ensure!(!put.0.is_empty(), "the put of {key} gave an empty ETag");
        let got = cx.driver.get(&key).await?.etag;
        ensure!(got == put, "the put of {key} gave the ETag {put}, its get {got}");
        let ranged = cx.driver.get_range(&key, 0..3).await?.etag;
        ensure!(ranged == put, "the put of {key} gave the ETag {put}, a get of a range {ranged}");
        if let Some(other) = seen.insert(put.clone(), body.clone()) {
            return Err(Verdict::Failed(format!("{key} had the ETag {put} both as {other:?} and as {body:?}")));
        }
    }
    Ok(())
}

pub(super) async fn fresh(cx: &Context) -> Finding {
    let key = cx.key("objects/fresh")?;
    for round in 0..cx.rounds {
        cx.expect_missing(&key, &format!("before round {round}")).await?;
        for version in 0..3 {
            let body = format!("{round} {version}");
            cx.put(&key, body.clone()).await?;
            cx.expect(&key, body.as_bytes(), "after the put was acknowledged").await?;
            // Another task may be served by another thread or connection.
            let (driver, asked) = (Arc::clone(&cx.driver), key.clone());
            let elsewhere: BoxFuture<'static, _> = Box::pin(async move { driver.get(&asked).await });
            for object in cx.race(vec![elsewhere]).await? {
                ensure!(
                    object?.body == body,
                    "another task read {key} and got an older version than the put that was acknowledged"
                );
            }
        }
        cx.driver.delete(&key).await?;
    }
    cx.expect_missing(&key, "after the delete was acknowledged").await
}

/// Version `number` of an object that shows whether it is whole: every byte and the length tell the number.
fn version(number: u8) -> Bytes {
    vec![number; 1000 + 997 * usize::from(number)].into()
}

pub(super) async fn whole(cx: &Context) -> Finding {
    let key = cx.key("objects/whole")?;
    let first = cx.put(&key, version(0)).await?;
    let writers = cx.racers.div_ceil(2);
    let rounds = cx.rounds.clamp(1, 200);
    let racers = (0..cx.racers).map(|racer| -> BoxFuture<'static, crate::Result<Vec<(ETag, Bytes)>>> {
        let (driver, key) = (Arc::clone(&cx.driver), key.clone());
        Box::pin(async move {
            let mut seen = Vec::new();
            for round in 0..rounds {
                if racer < writers {
                    let body = version((round * writers + racer) as u8);
                    seen.push((driver.put(&key, body.clone(), Condition::Always).await?, body));
                } else {
                    let object = driver.get(&key).await?;
                    seen.push((object.etag, object.body));
                }
            }
            Ok(seen)
        })
    });
    let answers = cx.race(racers.collect()).await?.into_iter().collect::<crate::Result<Vec<_>>>()?;
    let (written, read) = answers.split_at(writers);
    let bodies: HashMap<_, _> = written.iter().flatten().cloned().chain([(first, version(0))]).collect();
    for (etag, body) in read.iter().flatten() {
        let whole = body.first().is_some_and(|number| *body == version(*number));
        ensure!(whole, "a get of {key} while it was replaced gave a mixture or a part of its versions");
        ensure!(
            bodies.get(etag) == Some(body),
            "a get of {key} while it was replaced gave the bytes of one version with the ETag {etag} of another"
        );
    }
    Ok(())
}
