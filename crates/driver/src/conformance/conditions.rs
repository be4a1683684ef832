//! Conditions on put, one at a time.

use super::context::{Context, Finding, ensure, expect_error};
use crate::{Condition, ETag, ErrorKind, Key};

pub(super) async fn create_only(cx: &Context) -> Finding {
    let key = cx.key("conditions/create")?;
    if !cx.limits.create_only {
        return says_unsupported(cx, &key, Condition::IfAbsent, "create-only").await;
    }
    let create = |body: &'static str| cx.driver.put(&key, body.into(), Condition::IfAbsent);
    let etag = create("first").await?;
    cx.expect(&key, b"first", "after it was created").await?;
    expect_error(create("second").await, ErrorKind::PreconditionFailed, "a create-only put onto an existing object")?;
    expect_error(create("first").await, ErrorKind::PreconditionFailed, "a create-only put of the same bytes")?;
    let object = cx.expect(&key, b"first", "after a create-only put was refused").await?;
    ensure!(object.etag == etag, "the ETag of {key} changed from {etag} to {} though the put was refused", object.etag);
    cx.driver.delete(&key).await?;
    create("third").await?;
    cx.expect(&key, b"third", "after it was deleted and created again").await?;
    // An object that was put in the ordinary way stands in the way as well, even an empty one.
    cx.put(&key, "").await?;
    expect_error(create("fourth").await, ErrorKind::PreconditionFailed, "a create-only put onto an empty object")?;
    cx.expect(&key, b"", "after a create-only put was refused").await.map(drop)
}

pub(super) async fn if_match(cx: &Context) -> Finding {
    let key = cx.key("conditions/match")?;
    if !cx.limits.if_match {
        let etag = cx.put(&key, "first").await?;
        return says_unsupported(cx, &key, Condition::IfMatch(etag), "if-match").await;
    }
    let replace = |body: &'static str, etag: &ETag| {
        let condition = Condition::IfMatch(etag.clone());
        cx.driver.put(&key, body.into(), condition)
    };
    let elsewhere = cx.put(&cx.key("conditions/elsewhere")?, "another").await?;
    let failed = ErrorKind::PreconditionFailed;
    expect_error(replace("lost", &elsewhere).await, failed, "an if-match put where there is no object")?;
    cx.expect_missing(&key, "after an if-match put was refused").await?;

    let first = cx.put(&key, "first").await?;
    expect_error(replace("lost", &elsewhere).await, failed, "an if-match put with the ETag of another object")?;
    cx.expect(&key, b"first", "after an if-match put was refused").await?;
    let second = replace("second", &first).await?;
    let object = cx.expect(&key, b"second", "after an if-match put").await?;
    ensure!(object.etag == second, "the if-match put of {key} gave the ETag {second}, its get {}", object.etag);
    expect_error(replace("lost", &first).await, failed, "an if-match put with the ETag of an older version")?;
    cx.expect(&key, b"second", "after an if-match put was refused").await?;
    // The ETag of a get, and of a range, must do as well as that of a put.
    let third = replace("third", &object.etag).await?;
    let ranged = cx.driver.get_range(&key, 0..1).await?.etag;
    replace("fourth", &ranged).await?;
    expect_error(replace("lost", &third).await, failed, "an if-match put with the ETag of an older version")?;

    let last = cx.driver.get(&key).await?.etag;
    cx.driver.delete(&key).await?;
    expect_error(replace("lost", &last).await, failed, "an if-match put onto a deleted object")?;
    cx.expect_missing(&key, "after an if-match put onto the deleted object was refused").await
}

/// A driver whose store lacks a condition must say so and write nothing, whether the condition holds or not.
async fn says_unsupported(cx: &Context, key: &Key, condition: Condition, name: &str) -> Finding {
    let what = format!("a {name} put, which the store was declared not to have,");
    let before = cx.driver.get(key).await.ok();
    expect_error(cx.driver.put(key, "x".into(), condition.clone()).await, ErrorKind::Unsupported, &what)?;
    let after = cx.driver.get(key).await.ok();
    ensure!(before == after, "{what} changed {key}");
    cx.put(key, "standing").await?;
    expect_error(cx.driver.put(key, "x".into(), condition).await, ErrorKind::Unsupported, &what)?;
    cx.expect(key, b"standing", &format!("after {what} was refused")).await.map(drop)
}
