//! Empty and large objects, ranges, streams.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::context::{Context, Finding, ensure, expect_error};
use crate::{Condition, DriverError, ErrorKind, Key, Operation};

/// A body in which every stretch differs from every other.
fn patterned(length: usize) -> Bytes {
    let words = (0u64..).flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    words.take(length).collect()
}

pub(super) async fn empty(cx: &Context) -> Finding {
    let key = cx.key("sizes/empty")?;
    let etag = cx.put(&key, "").await?;
    let object = cx.expect(&key, b"", "after an empty put").await?;
    ensure!(object.etag == etag, "the put of {key} gave the ETag {etag}, its get {}", object.etag);
    check_range(cx, &key, &Bytes::new(), 0..10).await?;
    let keys = cx.list(key.as_str()).await?;
    cx.compare("a listing", &keys, std::slice::from_ref(&key))
}

pub(super) async fn large(cx: &Context) -> Finding {
    let key = cx.key("sizes/large")?;
    let body = patterned(cx.large_object_bytes);
    cx.put(&key, body.clone()).await?;
    cx.expect(&key, &body, "after a large put").await?;
    let length = body.len() as u64;
    check_range(cx, &key, &body, length / 2..length / 2 + 70_000).await?;
    check_range(cx, &key, &body, length.saturating_sub(5)..length + 5).await
}

pub(super) async fn ranges(cx: &Context) -> Finding {
    let key = cx.key("sizes/ranges")?;
    let body = patterned(1000);
    cx.put(&key, body.clone()).await?;
    for range in [0..10, 500..501, 990..1000, 990..2000, 0..1000, 0..u64::MAX, 5..5, 1000..1010, 5000..6000] {
        check_range(cx, &key, &body, range).await?;
    }
    Ok(())
}

async fn check_range(cx: &Context, key: &Key, body: &Bytes, range: Range<u64>) -> Finding {
    let object = cx.driver.get_range(key, range.clone()).await?;
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(body.len());
    let expected = body.slice(at(range.start)..at(range.end).max(at(range.start)));
    ensure!(
        object.body.len() == expected.len(),
        "the range {range:?} of {key}, which has {} bytes, gave {} bytes instead of {}",
        body.len(),
        object.body.len(),
        expected.len()
    );
    ensure!(object.body == expected, "the range {range:?} of {key} gave other bytes than the object has there");
    Ok(())
}

pub(super) async fn streams(cx: &Context) -> Finding {
    let key = cx.key("sizes/streamed")?;
    for length in [0, 1, cx.large_object_bytes] {
        let body = patterned(length);
        let pieces: Vec<Bytes> = body.chunks(300_007).map(|piece| body.slice_ref(piece)).collect();
        let pieces = stream::iter(pieces.into_iter().map(Ok)).boxed();
        let etag = cx.driver.put_stream(&key, pieces, Condition::Always).await?;
        let object = cx.expect(&key, &body, "after it was put as a stream").await?;
        ensure!(object.etag == etag, "the put of {key} as a stream gave the ETag {etag}, its get {}", object.etag);
        let mut read = BytesMut::new();
        let mut pieces = cx.driver.get_stream(&key).await?;
        while let Some(piece) = pieces.try_next().await? {
            read.extend_from_slice(&piece);
        }
        ensure!(read == body, "{key}, of {length} bytes, gave {} bytes or other ones as a stream", read.len());
    }
    if cx.limits.create_only {
        let pieces = stream::iter([Ok(Bytes::from_static(b"late"))]).boxed();
        let late = cx.driver.put_stream(&key, pieces, Condition::IfAbsent).await;
        expect_error(late, ErrorKind::PreconditionFailed, "a create-only stream onto an existing object")?;
        let body = patterned(cx.large_object_bytes);
        cx.expect(&key, &body, "after a create-only stream was refused").await?;
    }
    Ok(())
}

pub(super) async fn broken_stream(cx: &Context) -> Finding {
    let key = cx.key("sizes/broken")?;
    let broken = || {
        let fault = DriverError::new(ErrorKind::Permanent, Operation::Get, "the source", "it broke off");
        stream::iter([Ok(Bytes::from_static(b"only a part")), Err(fault)]).boxed()
    };
    let put = cx.driver.put_stream(&key, broken(), Condition::Always).await;
    ensure!(put.is_err(), "a put of a stream that broke off was acknowledged");
    cx.expect_missing(&key, "although the stream that it was put from broke off").await?;
    cx.put(&key, "whole").await?;
    let put = cx.driver.put_stream(&key, broken(), Condition::Always).await;
    ensure!(put.is_err(), "a put of a stream that broke off was acknowledged");
    cx.expect(&key, b"whole", "after a stream onto it broke off").await.map(drop)
}
