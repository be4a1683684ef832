//! What a driver says of itself.

use std::time::{Duration, UNIX_EPOCH};

use super::context::{Context, Finding, ensure, expect_error, skip};
use crate::{ErrorKind, Support};

/// A server's clock that is further off this machine's is taken for a wrong unit or a wrong clock.
const MOST_SKEW: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn capabilities(cx: &Context) -> Finding {
    let claimed = cx.driver.capabilities();
    let declared = [
        ("create-only", claimed.create_only, cx.limits.create_only),
        ("if-match", claimed.if_match, cx.limits.if_match),
    ];
    for (name, claim, expected) in declared {
        ensure!(
            claim != Support::Absent || !expected,
            "the driver says that its store has no {name}; declare that to the suite if it is so"
        );
        ensure!(
            claim != Support::Claimed || expected,
            "the driver claims {name}, which the suite was told that its store has not"
        );
    }
    let fingerprint = cx.driver.fingerprint();
    ensure!(!fingerprint.is_empty(), "the driver's fingerprint is empty: it must tell its place from every other");
    ensure!(cx.driver.fingerprint() == fingerprint, "the driver's fingerprint changes from call to call");
    Ok(())
}

pub(super) async fn presigned(cx: &Context) -> Finding {
    let key = cx.key("claims/presigned")?;
    cx.put(&key, "x").await?;
    let url = cx.driver.presign_get(&key, Duration::from_secs(60)).await;
    if !cx.driver.capabilities().presigned_get {
        expect_error(url, ErrorKind::Unsupported, "a pre-signed URL, which the driver does not claim to have,")?;
        return skip("the driver does not claim to have them");
    }
    let url = url?;
    ensure!(url.starts_with("https://") || url.starts_with("http://"), "a pre-signed URL is not of http or https");
    Ok(())
}

pub(super) async fn server_time(cx: &Context) -> Finding {
    let told = cx.driver.server_time().await?;
    if !cx.driver.capabilities().server_time {
        ensure!(told.is_none(), "the driver tells the server's time although it does not claim to");
        return skip("the driver does not claim to tell it");
    }
    let Some(told) = told else {
        return Err(super::context::Verdict::Failed(
            "the driver claims to tell the server's time and does not".to_owned(),
        ));
    };
    let here = UNIX_EPOCH + Duration::from_millis(cx.env.wall_clock().0);
    let skew = told.duration_since(here).unwrap_or_else(|earlier| earlier.duration());
    ensure!(skew <= MOST_SKEW, "the server's time is {} s off this machine's", skew.as_secs());
    Ok(())
}
