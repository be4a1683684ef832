//! Listing: complete, in order, over pages, after any change.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::context::{Context, Finding, ensure};
use crate::{Condition, Key};

/// Names whose order shows whether a store compares whole keys byte by byte, or segments, letters or numbers.
const NAMES: &[&str] = &[
    "a", "a b", "a!", "a-", "a-b", "a.", "a/b", "a/b-", "a/b/c", "a0", "a/", "aa", "A", "B", "Z", "_", "b", "b/a",
    "10", "2", "9", "~",
];

fn named(cx: &Context, folder: &str, names: &[&str]) -> Finding<Vec<Key>> {
    let valid = names.iter().filter(|name| Key::new(name).is_ok());
    let mut keys = valid.map(|name| cx.key(&format!("{folder}/{name}"))).collect::<Finding<Vec<_>>>()?;
    if !cx.limits.ascii_keys_only {
        // U+FFFD sorts before U+1F600 in UTF-8, after it in UTF-16.
        for name in ["z", "\u{e9}", "\u{fffd}", "\u{1f600}"] {
            keys.push(cx.key(&format!("{folder}/{name}"))?);
        }
    }
    keys.sort();
    Ok(keys)
}

pub(super) async fn ordered(cx: &Context) -> Finding {
    let keys = named(cx, "list/order", NAMES)?;
    cx.put_all(&keys).await?;
    let listed = cx.list(&format!("{}/list/order/", cx.prefix)).await?;
    cx.compare("a listing", &listed, &keys)?;
    let page = cx.driver.list(&format!("{}/list/order/", cx.prefix), None).await?;
    for listed in page.objects {
        let length = listed.key.as_str().len() as u64;
        let told = listed.size_bytes.unwrap_or(length);
        ensure!(told == length, "a listing gave {} {told} bytes instead of {length}", listed.key);
    }
    Ok(())
}

pub(super) async fn prefixes(cx: &Context) -> Finding {
    let keys = named(cx, "list/prefix", NAMES)?;
    cx.put_all(&keys).await?;
    let folder = format!("{}/list/prefix", cx.prefix);
    let mut prefixes: Vec<String> = [
        "", "/", "/a", "/a/", "/a/b", "/a/b/", "/a-", "/a ", "/A", "/b/a", "/b/a/", "/1", "/none", "//", "/a//",
        "/a/./",
    ]
    .iter()
    .map(|end| format!("{folder}{end}"))
    .collect();
    // In the middle of a segment above.
    prefixes.push(format!("{}/list/pref", cx.prefix));
    for prefix in prefixes {
        let expected: Vec<_> = keys.iter().filter(|key| key.as_str().starts_with(&prefix)).cloned().collect();
        let listed = cx.list(&prefix).await?;
        cx.compare(&format!("a listing of {prefix:?}"), &listed, &expected)?;
    }
    Ok(())
}

pub(super) async fn pages(cx: &Context) -> Finding {
    let folder = format!("{}/list/pages/", cx.prefix);
    let keys = (0..cx.listed_keys).map(|n| cx.key(&format!("list/pages/{n:08}"))).collect::<Finding<Vec<_>>>()?;
    cx.put_all(&keys).await?;
    let listed = cx.list(&folder).await?;
    cx.compare(&format!("a listing of {} keys", keys.len()), &listed, &keys)?;

    let nowhere = cx.key("list/pages/00000000-between")?;
    let first = cx.key("list/pages/0")?;
    let every = keys.iter().step_by((keys.len() / 7).max(1)).chain(keys.last()).chain([&nowhere, &first]);
    for after in every {
        let expected: Vec<_> = keys.iter().filter(|key| *key > after).cloned().collect();
        let page = cx.driver.list_after(&folder, after).await?;
        let listed = cx.gather(&folder, page).await?;
        cx.compare(&format!("a listing after {after}"), &listed, &expected)?;
    }

    let (gone, kept): (Vec<_>, Vec<_>) = keys.iter().cloned().enumerate().partition(|(number, _)| number % 3 == 1);
    let keys_of = |numbered: Vec<(usize, Key)>| numbered.into_iter().map(|(_, key)| key).collect::<Vec<_>>();
    cx.driver.delete_many(&keys_of(gone)).await?;
    let listed = cx.list(&folder).await?;
    cx.compare("a listing after every third key was deleted", &listed, &keys_of(kept))
}

pub(super) async fn fresh(cx: &Context) -> Finding {
    let folder = format!("{}/list/fresh/", cx.prefix);
    let mut present: Vec<Key> = Vec::new();
    for round in 0..cx.rounds.min(50) {
        let key = cx.key(&format!("list/fresh/{round:04}"))?;
        cx.put(&key, "x").await?;
        present.push(key);
        let listed = cx.list(&folder).await?;
        cx.compare("a listing after a put was acknowledged", &listed, &present)?;
        if round % 2 == 0 {
            let key = present.remove(present.len() / 2);
            cx.driver.delete(&key).await?;
            let listed = cx.list(&folder).await?;
            cx.compare("a listing after a delete was acknowledged", &listed, &present)?;
        }
    }
    Ok(())
}

pub(super) async fn while_replacing(cx: &Context) -> Finding {
    let folder = format!("{}/list/replacing/", cx.prefix);
    let keys = (0..40).map(|n| cx.key(&format!("list/replacing/{n:02}"))).collect::<Finding<Vec<_>>>()?;
    cx.put_all(&keys).await?;
    let rounds = cx.rounds.min(100);
    let racers = (0..cx.racers).map(|racer| -> BoxFuture<'static, crate::Result<Vec<Vec<Key>>>> {
        let (driver, keys, folder) = (Arc::clone(&cx.driver), keys.clone(), folder.clone());
        Box::pin(async move {
            let mut seen = Vec::new();
            for (round, key) in keys.iter().cycle().skip(racer * 5).take(rounds).enumerate() {
                if racer % 2 == 0 {
                    driver.put(key, format!("{racer} {round}").into(), Condition::Always).await?;
                } else {
                    let page = driver.list(&folder, None).await?;
                    seen.push(page.objects.into_iter().map(|listed| listed.key).collect());
                }
            }
            Ok(seen)
        })
    });
    for listings in cx.race(racers.collect()).await? {
        for mut listed in listings? {
            listed.sort();
            cx.compare("a listing while objects were replaced, and none deleted,", &listed, &keys)?;
        }
    }
    Ok(())
}

pub(super) async fn cleanup(cx: &Context) -> Finding {
    let everything = format!("{}/", cx.prefix);
    let keys = cx.list(&everything).await?;
    for some in keys.chunks(1000) {
        cx.driver.delete_many(some).await?;
    }
    let left = cx.list(&everything).await?;
    cx.compare("a listing after everything in it was deleted", &left, &[])
}
