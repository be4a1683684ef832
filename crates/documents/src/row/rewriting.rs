//! Rows that are written in the place of earlier ones, by programs that do not know all of what these hold.

use bytes::Bytes;

use super::item::Item;
use super::message_pack::{Head, MessagePack, NIL};
use super::translated::{Key, Names, Stored, Translated};
use super::writer::put_map_head;
use super::{RowError, encode, open, with_stored};
use crate::Layouts;

/// What of an earlier row is kept in the one that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The fields that only other versions of the schema declare than the one that the new row is written under.
    Others,
    /// The fields that no version declares: the new row was made of the earlier one by a program's own step, which has seen
    /// all others.
    Undeclared,
}

/// The row in the place of `before`, with what it keeps of it; `None` if that is nothing.
///
/// # Errors
/// If one of the two is damaged.
pub fn keep(row: &Bytes, before: &Bytes, layouts: &Layouts, keep: Keep) -> Result<Option<Bytes>, RowError> {
    let (version, body) = open(row, layouts)?;
    let (before_version, before) = open(before, layouts)?;
    let evolution = layouts.evolution_to(version.max(before_version));
    if evolution.is_plain() && keep == Keep::Others {
        return Ok(None);
    }
    let names = Names { evolution: &evolution, row: before_version, wanted: version };
    let kept = with_stored(&before, |before| {
        let kept = match keep {
            Keep::Others => names.others(before)?,
            Keep::Undeclared => names.undeclared(before)?,
        };
        let Some(mut kept) = kept else { return Ok(None) };
        if keep == Keep::Others {
            say_what_is_absent(&mut kept, names);
        }
        with_stored(&body, |row| {
            let own = row.entries()?.unwrap_or_default();
            let is_own = |key: &Key<'_>| {
                own.iter().any(|(own, _)| matches!((own, key), (Key::Text(own), Key::Text(key)) if own == key))
            };
            kept.entries.retain(|(key, _)| !is_own(key));
            Ok(())
        })?;
        let mut bytes = Vec::new();
        for (key, item) in &kept.entries {
            match key {
                Key::Text(name) => super::put_value(&mut bytes, name)?,
                Key::Other(key) => bytes.extend_from_slice(key),
            }
            super::put_value(&mut bytes, item)?;
        }
        Ok(Some((kept.entries.len(), bytes)))
    })?;
    match kept {
        Some((entries, bytes)) if entries > 0 => with_stored(&body, |body| append(row, body, entries, &bytes)),
        _ => Ok(None),
    }
}

/// A field that the earlier row lacks on purpose must not be given a value by who reads the new row.
fn say_what_is_absent<'a>(kept: &mut Translated<'a>, names: Names<'a>) {
    let evolution = names.evolution;
    for field in evolution.fields().filter(|field| !evolution.declares(*field, names.wanted)) {
        let name = evolution.name(field, names.wanted);
        let is_there = kept.entries.iter().any(|(key, _)| matches!(key, Key::Text(key) if *key == name));
        if !is_there && evolution.is_absent_on_purpose(field, names.row) {
            kept.entries.push((Key::Text(name), Item::MessagePack(&[NIL])));
        }
    }
}

/// The row with entries behind those that it has.
fn append(row: &Bytes, stored: Stored<'_>, entries: usize, bytes: &[u8]) -> Result<Option<Bytes>, RowError> {
    let (before, own) = match stored {
        Stored::Columns(columns) => columns.rest()?,
        Stored::MessagePack(body) => {
            let mut source = MessagePack::new(body);
            match source.head()? {
                Head::Map(own) => (source, own),
                _ => return Ok(None),
            }
        }
    };
    let before = before.remaining();
    let whole = match stored {
        Stored::Columns(columns) => columns.rest_bytes(),
        Stored::MessagePack(body) => body,
    };
    let mut longer = row.get(..row.len() - whole.len()).unwrap_or_default().to_vec();
    put_map_head(&mut longer, own + entries).map_err(|error| RowError(error.to_string()))?;
    longer.extend_from_slice(before);
    longer.extend_from_slice(bytes);
    Ok(Some(longer.into()))
}

/// The row as one of the version of the layouts, with what it takes to read as such written out, and without fields that only
/// other versions declare; `None` if it is so already, or of a later version.
///
/// # Errors
/// If the row is of an unknown kind or version, or damaged.
pub fn upgraded(row: &Bytes, layouts: &Layouts) -> Result<Option<Bytes>, RowError> {
    let (version, body) = open(row, layouts)?;
    let evolution = layouts.evolution_to(version);
    let names = Names { evolution: &evolution, row: version, wanted: layouts.version() };
    if version > layouts.version() || version == layouts.version() && evolution.is_plain() {
        return Ok(None);
    }
    with_stored(&body, |stored| {
        let has_others = || Ok(names.others(stored)?.is_some_and(|others| !others.entries.is_empty()));
        if version == layouts.version() && !has_others()? {
            return Ok(None);
        }
        let translated = names.own(stored)?;
        translated.map(|document| encode(&document, layouts)).transpose()
    })
}
