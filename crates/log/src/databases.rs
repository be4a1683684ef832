use std::sync::Arc;

use bucketdb_driver::{Driver, Key};
use bucketdb_env::Environment;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::head::{self, Head};
use crate::layout::{BRANCHES, RecordName};
use crate::source::Source;
use crate::{DatabaseId, Layout, LogError, Result, Seq, SessionId, SlotNames, format, reads};

/// How many databases are looked at at the same time.
const LOOKED_AT_TOGETHER: usize = 16;

/// A database that was found in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDatabase {
    /// Its prefix: empty, or ending in one `/`.
    pub prefix: String,
    /// Its id; `None` if what it holds cannot be read, because it is encrypted, damaged or from a newer version.
    pub database: Option<DatabaseId>,
    /// Whether it was dropped, and no other one was created in its place.
    pub is_dropped: bool,
}

/// The databases below a prefix, and the one at it, in the order of their prefixes. `store_of` gives the driver with which
/// a database is read, which is `store` unless it is encrypted.
///
/// What is inside a database is passed over, however much it is: each takes two listings and two gets as a rule, and a listing
/// more for every 1,000 records of its log. Whatever else is there takes a listing for every 1,000 objects.
///
/// # Errors
/// If the store fails. What is wrong with a database is none.
pub async fn list_databases(
    store: &Arc<dyn Driver>,
    env: &Arc<dyn Environment>,
    under: &Layout,
    store_of: impl Fn(&Layout) -> Arc<dyn Driver>,
) -> Result<Vec<FoundDatabase>> {
    let found = find(&**store, &**env, under.prefix()).await?;
    let look = |(layout, names): (Layout, Vec<RecordName>)| {
        let store = store_of(&layout);
        async move {
            let source = Source { store: &*store, env: &**env, layout: &layout, thorough: false };
            let (database, is_dropped) = source.identify(&names).await?;
            Ok(FoundDatabase { prefix: layout.prefix().to_owned(), database, is_dropped })
        }
    };
    stream::iter(found.into_iter().map(look)).buffered(LOOKED_AT_TOGETHER).try_collect().await
}

/// Where databases are, and the names of their records.
async fn find(store: &dyn Driver, env: &dyn Environment, under: &str) -> Result<Vec<(Layout, Vec<RecordName>)>> {
    let mut found = Vec::new();
    let mut page = reads::retry(env, || store.list(under, None)).await?;
    // What is up to here was looked at.
    let mut seen: Option<Key> = None;
    // Looks as if a database was there, but for its log.
    let mut refuted: Option<Layout> = None;
    loop {
        let mut skipped = false;
        for object in &page.objects {
            if seen.as_ref().is_some_and(|seen| object.key <= *seen) {
                continue;
            }
            skipped = false;
            let place = place_of(&object.key).filter(|place| place.prefix().starts_with(under));
            let Some(layout) = place.filter(|place| refuted.as_ref() != Some(place)) else { continue };
            let source = Source { store, env, layout: &layout, thorough: false };
            let names = source.list_records(None).await?;
            if names.is_empty() {
                refuted = Some(layout);
                continue;
            }
            // None is inside another: what begins with its prefix is its own.
            let behind = layout.prefix().strip_suffix('/').map(|place| Key::new(format!("{place}0")));
            found.push((layout, names));
            match behind {
                Some(Ok(behind)) => (seen, skipped) = (Some(behind), true),
                _ => return Ok(found),
            }
        }
        page = match (page.next, seen.as_ref()) {
            // The rest of the page is inside the last one that was found, and so may be many pages more.
            (Some(_), Some(behind)) if skipped => reads::retry(env, || store.list_after(under, behind)).await?,
            (Some(next), _) => reads::retry(env, || store.list(under, Some(&next))).await?,
            (None, _) => return Ok(found),
        };
    }
}

/// The database that an object would be of, by its name; what is of a branch is of the one that this lies in.
fn place_of(key: &Key) -> Option<Layout> {
    if let Some(prefix) = outside_branches(key.as_str()) {
        return Layout::new(prefix).ok().filter(|layout| layout.prefix() == prefix);
    }
    let text = key.as_str();
    let (folder, last) = text.rsplit_once('/').unwrap_or(("", text));
    let prefix_bytes = if last == head::NAME {
        text.len() - last.len()
    } else {
        let kind_at = folder.rfind('/').map_or(0, |slash| slash + 1);
        let name = text.get(kind_at..)?;
        let is_ours =
            Layout::parse_object(name).is_some() || Layout::new("").ok()?.parse_record(&Key::new(name).ok()?).is_some();
        if !is_ours {
            return None;
        }
        kind_at
    };
    let prefix = text.get(..prefix_bytes)?;
    Layout::new(prefix).ok().filter(|layout| layout.prefix() == prefix)
}

/// The prefix of the database in which an object lies that is of a branch, by its name: `…branch/<name>/<id>/…`.
pub(crate) fn outside_branches(text: &str) -> Option<&str> {
    let starts = text.match_indices(BRANCHES).map(|(at, _)| at).filter(|at| {
        let is_folder = *at == 0 || text.as_bytes().get(at - 1) == Some(&b'/');
        let mut parts = text.get(at + BRANCHES.len()..).unwrap_or_default().split('/');
        let is_branch = parts.next().is_some_and(crate::is_branch_name);
        let is_id = |id: &str| id.parse::<SessionId>().is_ok_and(|parsed| parsed.to_string() == id);
        is_folder && is_branch && parts.next().is_some_and(|next| is_id(next) || next == "origin" || next == "branch")
    });
    starts.min().and_then(|at| text.get(..at))
}

impl Source<'_> {
    /// The id of the database with these records, and whether it was dropped.
    async fn identify(&self, names: &[RecordName]) -> Result<(Option<DatabaseId>, bool)> {
        // Where each session has names of its own, a record may stand behind that of the drop, or beside it.
        let ends = names.iter().rev().take_while(|name| {
            let newest = names.last().map_or(Seq::FIRST, |newest| newest.seq);
            name.seq == newest || name.names == SlotNames::PerSession && name.seq.next() == newest
        });
        for name in ends {
            if let Some(bytes) = self.read(&name.name).await?
                && let Ok((_, database)) = format::decode_drop(&bytes, &name.name)
            {
                return Ok((Some(database), true));
            }
        }
        if let Some(bytes) = self.read(head::NAME).await?
            && let Ok(head) = Head::decode(&bytes)
            && names.last().is_some_and(|newest| newest.seq >= head.checkpoint.seq)
        {
            return Ok((Some(head.database), false));
        }
        // The first record that says so by itself: of a database without `head`, there is one nearby.
        for name in names.iter().rev() {
            let Some(bytes) = self.read(&name.name).await? else { continue };
            let claimed =
                format::decode_genesis(&bytes, &name.name).or_else(|_| format::decode_checkpoint(&bytes, &name.name));
            if let Ok((_, database)) = claimed {
                return Ok((Some(database), false));
            }
        }
        Ok((None, false))
    }

    /// The bytes of an object; `None` if there is none, or none that can be read.
    async fn read(&self, name: &str) -> Result<Option<bytes::Bytes>> {
        match self.fetch(name).await {
            Err(LogError::Damaged { .. }) => Ok(None),
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ObjectKind;

    #[test]
    fn the_names_of_objects_tell_where_a_database_is() {
        let place = |key: &str| place_of(&Key::new(key).unwrap()).map(|layout| layout.prefix().to_owned());
        let session = SessionId([7; 16]);
        for prefix in ["", "a/", "a/b/"] {
            let mut names: Vec<String> =
                ObjectKind::ALL.map(|kind| Layout::unique_name(kind, Seq(3), [9; 16])).to_vec();
            for kind in [SlotNames::Shared, SlotNames::PerSession] {
                names.push(Layout::record_name(kind, Seq(3), session));
            }
            names.push("head".to_owned());
            for name in names {
                assert_eq!(place(&format!("{prefix}{name}")).as_deref(), Some(prefix), "{name}");
            }
        }
        let id = "00112233445566778899aabbccddeeff";
        for prefix in ["", "a/", "a/b/", "a/branches/"] {
            for of_branch in
                ["branch/x/origin", &format!("branch/x/{id}/head"), &format!("branch/x/branch/y/{id}/log/1")]
            {
                assert_eq!(place(&format!("{prefix}{of_branch}")).as_deref(), Some(prefix), "{prefix}{of_branch}");
            }
        }
        for foreign in ["a", "a/b", "log/3", "a/log/x", "run/1-2", "a/header", "a/blob"] {
            assert_eq!(place(foreign), None, "{foreign}");
        }
    }
}
