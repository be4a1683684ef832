//! Which keys a store must tell apart and give back unchanged.

use super::context::{Context, Finding, Verdict, ensure};
use crate::Key;

/// Names that some store mixes up, changes or loses.
const ASCII_NAMES: &[&str] = &[
    "a",
    "a/b",
    "a/b/c",
    "a-",
    "a.",
    "a.object",
    "a.object/b",
    "A",
    "A/b",
    ".hidden",
    "..twice",
    "...",
    "a b",
    " leading",
    "trailing ",
    "a+b",
    "a%b",
    "a%20b",
    "a%2Fb",
    "a%252Fb",
    "a&b=c?d#e",
    "a\\b",
    "a:b",
    "a*b",
    "a~b",
    "quote'd",
    "double\"d",
    "<tag>",
    "{a}[b]|c^d`e",
    "a,b;c@d!e$f(g)",
    "con",
    "nul.txt",
];

/// One letter in two Unicode forms, letters that fold, and characters of two, three and four bytes.
const OTHER_NAMES: &[&str] = &[
    "caf\u{e9}",
    "cafe\u{301}",
    "stra\u{df}e",
    "STRASSE",
    "\u{65e5}\u{672c}/\u{8a9e}",
    "\u{1f600}",
    "\u{130}",
    "i\u{307}",
];

pub(super) async fn kept_apart(cx: &Context) -> Finding {
    let others = if cx.limits.ascii_keys_only { &[] } else { OTHER_NAMES };
    let names = ASCII_NAMES.iter().chain(others);
    let mut keys = names.map(|name| cx.key(&format!("keys/{name}"))).collect::<Finding<Vec<_>>>()?;
    keys.sort();
    cx.put_all(&keys).await?;
    for key in &keys {
        expect_own(cx, key, "after all were put").await?;
    }
    let listed = cx.list(&format!("{}/keys/", cx.prefix)).await?;
    cx.compare("a listing of unusual keys", &listed, &keys)?;
    // One by one, so that a deletion that hits another key is seen.
    while let Some(key) = keys.pop() {
        cx.driver.delete(&key).await?;
        cx.expect_missing(&key, "after it was deleted").await?;
        if let Some(next) = keys.last() {
            expect_own(cx, next, &format!("after {key} was deleted")).await?;
        }
    }
    Ok(())
}

/// Every object holds its own key: another content shows which key took its place.
async fn expect_own(cx: &Context, key: &Key, after: &str) -> Finding {
    match cx.driver.get(key).await {
        Err(error) if error.is_not_found() => Err(Verdict::Failed(format!("{key} is not found {after}"))),
        Err(error) => Err(error.into()),
        Ok(object) => {
            let other = String::from_utf8_lossy(&object.body);
            ensure!(other == key.as_str(), "{key} and {other} are one object to the store: one replaced the other");
            Ok(())
        }
    }
}

pub(super) async fn long(cx: &Context) -> Finding {
    let room = cx.limits.key_bytes.saturating_sub(cx.prefix.len() + "/long/".len());
    if room < 4 {
        return super::context::skip("the declared longest key is not longer than the scratch prefix");
    }
    let segment_bytes = cx.limits.segment_bytes.min(room);
    let mut names = vec![
        "x".repeat(segment_bytes),
        "X".repeat(segment_bytes),
        // As long as a key may be, in short and in long segments.
        format!("{}y", "y/".repeat((room - 1) / 2)),
        in_segments(room, segment_bytes),
    ];
    // Around the limits that file systems and some stores have, two keys that differ only at the end.
    for length in [119, 120, 121, 248, 255, 256, 512].into_iter().filter(|length| *length < segment_bytes) {
        names.push("z".repeat(length));
        names.push(format!("{}!", "z".repeat(length - 1)));
        names.push(format!("{}/z", "z".repeat(length.min(room - 2))));
    }
    if !cx.limits.ascii_keys_only {
        names.push("\u{65e5}".repeat(segment_bytes / 3));
    }
    let mut keys = names
        .iter()
        .filter(|name| !name.is_empty() && name.len() <= room)
        .map(|name| cx.key(&format!("long/{name}")))
        .collect::<Finding<Vec<_>>>()?;
    keys.sort();
    keys.dedup();
    for key in &keys {
        if let Err(Verdict::Failed(sentence)) = cx.put(key, key.as_str().to_owned()).await {
            return Err(Verdict::Failed(format!("a key of {} bytes cannot be put: {sentence}", key.as_str().len())));
        }
    }
    for key in &keys {
        expect_own(cx, key, "after all were put").await?;
    }
    let listed = cx.list(&format!("{}/long/", cx.prefix)).await?;
    cx.compare("a listing of long keys", &listed, &keys)
}

/// A name of exactly `length` bytes whose segments have at most `segment_bytes`.
fn in_segments(length: usize, segment_bytes: usize) -> String {
    let mut name = "w".repeat(length);
    let mut position = segment_bytes;
    while position + 1 < length {
        name.replace_range(position..=position, "/");
        position += segment_bytes + 1;
    }
    // A separator that would be last is left out, so the last segment may be one byte too long: shorten the name.
    let last = name.rsplit('/').next().map_or(0, str::len);
    name.truncate(length - last.saturating_sub(segment_bytes));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_segments_fit_and_are_valid() {
        for length in 4..600 {
            for segment_bytes in [1, 2, 3, 255, 599, 600] {
                let name = in_segments(length, segment_bytes);
                assert!(Key::new(&name).is_ok(), "{length} {segment_bytes} {name}");
                assert!(
                    name.split('/').all(|segment| segment.len() <= segment_bytes),
                    "{length} {segment_bytes} {name}"
                );
                assert!(name.len() <= length && name.len() + 1 >= length);
            }
        }
    }
}
