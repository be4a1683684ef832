//! JSON merge patches (RFC 7396) of rows: what a patch does not name is written again as it was stored, so that nothing is
//! lost of what JSON has no place for.

use bytes::Bytes;
use serde::de::DeserializeSeed;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::item::Item;
use super::translated::{Key, Names, Stored};
use super::{AnyValue, Body, RowError, encode, key_text, open, with_stored};
use crate::Layouts;

/// What a patch makes of a document, as a row of the version of the layouts: objects are changed field by field, anything
/// else as a whole, and null removes a field. A document that is no map becomes one.
///
/// # Errors
/// If the row is of an unknown kind or version, or damaged, or if the result is nested deeper than 128 levels.
pub fn patched(row: &Bytes, patch: &Map<String, Value>, layouts: &Layouts) -> Result<Bytes, RowError> {
    let (version, body) = open(row, layouts)?;
    let evolution = layouts.evolution_to(version);
    let names = Names { evolution: &evolution, row: version, wanted: layouts.version() };
    with_stored(&body, |stored| {
        let reads_alike = evolution.is_plain()
            || match (&body, stored) {
                (Body::Columns(..), Stored::Columns(columns)) => !names.may_differ(&columns),
                _ => false,
            };
        let entries = match reads_alike {
            true => stored.entries()?,
            false => names.all(stored)?.map(|document| document.entries),
        };
        encode(&Patched::of(entries.unwrap_or_default(), patch)?, layouts)
    })
}

/// A map with what a patch makes of its entries, which stay in their order.
struct Patched<'a> {
    entries: Vec<(Key<'a>, Part<'a>)>,
}

enum Part<'a> {
    Stored(Item<'a>),
    New(&'a Value),
    Patched(Patched<'a>),
}

impl<'a> Patched<'a> {
    fn of(stored: Vec<(Key<'a>, Item<'a>)>, patch: &'a Map<String, Value>) -> Result<Self, RowError> {
        let mut entries: Vec<_> = stored.into_iter().map(|(key, item)| (key, Part::Stored(item))).collect();
        for (name, change) in patch {
            if change.is_null() {
                entries.retain(|(key, _)| !key.is_shown_as(name));
                continue;
            }
            match entries.iter_mut().rfind(|(key, _)| key.is_shown_as(name)) {
                Some((_, part)) => *part = Part::of(Some(part), change)?,
                None => entries.push((Key::Text(name), Part::of(None, change)?)),
            }
        }
        Ok(Self { entries })
    }
}

impl<'a> Part<'a> {
    fn of(before: Option<&Self>, change: &'a Value) -> Result<Self, RowError> {
        let Value::Object(patch) = change else { return Ok(Self::New(change)) };
        let stored = match before {
            Some(Self::Stored(Item::MessagePack(bytes))) => Stored::MessagePack(bytes).entries()?,
            _ => None,
        };
        Ok(Self::Patched(Patched::of(stored.unwrap_or_default(), patch)?))
    }
}

impl Key<'_> {
    /// Whether it is that field in JSON, where keys are text.
    fn is_shown_as(&self, name: &str) -> bool {
        match self {
            Self::Text(key) => *key == name,
            Self::Other(key) => {
                let shown = AnyValue.deserialize(Item::MessagePack(key)).and_then(key_text);
                shown.is_ok_and(|shown| shown == name)
            }
        }
    }
}

impl Serialize for Patched<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (key, part) in &self.entries {
            match key {
                Key::Text(name) => map.serialize_key(name)?,
                Key::Other(bytes) => map.serialize_key(&Item::MessagePack(bytes))?,
            }
            map.serialize_value(part)?;
        }
        map.end()
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Stored(item) => item.serialize(serializer),
            Self::New(value) => value.serialize(serializer),
            Self::Patched(map) => map.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests;
