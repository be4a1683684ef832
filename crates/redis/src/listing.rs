//! Merges the sorted indexes of the shards into pages.

use bucketdb_driver::{Key, Listed, Page};

/// How many keys a page holds at most.
const PAGE_KEYS: usize = 1000;

/// How many keys of one shard are asked for per page.
///
/// Keys spread evenly, so a page needs about `1000 / shards` of each. Half as many again makes most pages full; one
/// shard more than full tells whether there is a next page.
pub(crate) fn keys_per_shard(shards: u16) -> usize {
    match usize::from(shards.max(1)) {
        1 => PAGE_KEYS + 1,
        shards => PAGE_KEYS / shards + PAGE_KEYS / (2 * shards) + 8,
    }
}

/// The bounds for `ZRANGEBYLEX` of the names that begin with `prefix` and are greater than `after`.
pub(crate) fn lexical_bounds(prefix: &str, after: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let minimum = match after {
        Some(after) if after >= prefix => [b"(", after.as_bytes()].concat(),
        _ if prefix.is_empty() => b"-".to_vec(),
        _ => [b"[", prefix.as_bytes()].concat(),
    };
    // The least text above all that begin with the prefix: its last byte plus one. No byte of UTF-8 text is 0xff.
    let maximum = match prefix.as_bytes().split_last() {
        Some((last, rest)) => [b"(", rest, &[last.saturating_add(1)]].concat(),
        None => b"+".to_vec(),
    };
    (minimum, maximum)
}

/// Makes a page of what the shards answered, each with at most `limit` names in ascending order.
///
/// A shard that gave `limit` names may have more behind its last one, so nothing above the least of such last names
/// is known to be complete: the page ends there.
pub(crate) fn merge(shards: Vec<Vec<Vec<u8>>>, limit: usize) -> Result<Page, std::string::FromUtf8Error> {
    let complete_to =
        shards.iter().filter(|names| names.len() >= limit).filter_map(|names| names.last()).min().cloned();
    let mut names: Vec<Vec<u8>> = shards.into_iter().flatten().collect();
    names.sort_unstable();
    let known = names.len();
    if let Some(last) = &complete_to {
        names.truncate(names.partition_point(|name| name <= last));
    }
    names.truncate(PAGE_KEYS);
    let more = complete_to.is_some() || names.len() < known;
    let next = if more { names.last().cloned().map(String::from_utf8).transpose()? } else { None };
    let texts = names.into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>()?;
    let objects =
        texts.into_iter().filter_map(|text| Key::new(text).ok()).map(|key| Listed { key, size_bytes: None }).collect();
    Ok(Page { objects, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Redis does for `ZRANGEBYLEX index minimum maximum LIMIT 0 limit`.
    fn answer(index: &[String], bounds: &(Vec<u8>, Vec<u8>), limit: usize) -> Vec<Vec<u8>> {
        let above = |name: &[u8]| match bounds.0.split_first() {
            Some((b'(', rest)) => name > rest,
            Some((b'[', rest)) => name >= rest,
            _ => true,
        };
        let below = |name: &[u8]| match bounds.1.split_first() {
            Some((b'(', rest)) => name < rest,
            _ => true,
        };
        let mut names: Vec<_> = index.iter().map(|name| name.as_bytes().to_vec()).collect();
        names.sort();
        names.into_iter().filter(|name| above(name) && below(name)).take(limit).collect()
    }

    fn list(shards: &[Vec<String>], prefix: &str) -> (Vec<String>, usize) {
        let limit = keys_per_shard(shards.len() as u16);
        let (mut found, mut pages, mut after) = (Vec::new(), 0, None::<String>);
        loop {
            let bounds = lexical_bounds(prefix, after.as_deref());
            let answers = shards.iter().map(|index| answer(index, &bounds, limit)).collect();
            let page = merge(answers, limit).unwrap();
            pages += 1;
            assert!(page.objects.len() <= PAGE_KEYS);
            found.extend(page.objects.into_iter().map(|listed| listed.key.as_str().to_owned()));
            match page.next {
                Some(next) => {
                    assert!(after.is_none_or(|after| after < next), "every page must get further");
                    after = Some(next);
                }
                None => return (found, pages),
            }
        }
    }

    #[test]
    fn all_keys_in_order_however_they_lie_in_the_shards() {
        let keys: Vec<String> = (0..5000).map(|number| format!("log/{number:05}")).collect();
        let by = |shards: usize, choose: &dyn Fn(usize) -> usize| {
            let mut split = vec![Vec::new(); shards];
            keys.iter().enumerate().for_each(|(position, key)| split[choose(position)].push(key.clone()));
            split
        };
        let layout = crate::layout::Layout::new("x", 16);
        let hashed = by(16, &|position| usize::from(layout.shard_of(&keys[position])));
        let (found, pages) = list(&hashed, "log/");
        assert_eq!(found, keys);
        assert!(pages <= 7, "{pages} pages for 5,000 keys");
        for split in [by(1, &|_| 0), by(2, &|position| position / 2500), by(16, &|_| 3), by(256, &|at| at % 256)] {
            assert_eq!(list(&split, "").0, keys);
        }
    }

    #[test]
    fn exactly_one_full_page_has_no_next() {
        let keys: Vec<String> = (0..PAGE_KEYS).map(|number| format!("{number:04}")).collect();
        assert_eq!(list(std::slice::from_ref(&keys), ""), (keys, 1));
    }

    #[test]
    fn a_prefix_is_any_text() {
        let keys = ["a", "a/b", "a0", "ab", "b", "é", "éa", "ê", "\u{10ffff}"].map(str::to_owned).to_vec();
        for prefix in ["", "a", "a/", "ab", "c", "é", "\u{10ffff}", "a/b/c"] {
            let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
            assert_eq!(list(&[keys[..4].to_vec(), keys[4..].to_vec()], prefix).0, expected, "{prefix}");
        }
    }

    #[test]
    fn a_position_before_the_prefix_does_not_hide_anything() {
        assert_eq!(lexical_bounds("b", Some("a")), (b"[b".to_vec(), b"(c".to_vec()));
        assert_eq!(lexical_bounds("b", Some("b")), (b"(b".to_vec(), b"(c".to_vec()));
        assert_eq!(lexical_bounds("", Some("")), (b"(".to_vec(), b"+".to_vec()));
    }
}
