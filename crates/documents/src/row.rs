//! How a document is stored: a byte that says how, the version of the schema that it was written under (varint), then
//! the document.
//!
//! - Kind 1 is MessagePack with structs as maps by field name: it keeps integers of 64 bits, floats and bytes apart, which
//!   JSON would not. Documents of a schema without declared fields are stored so.
//!   Types that have a form for people and another for machines, such as IP addresses, are stored in that for people: it is
//!   what JSON has, and so what filters, orders and indexes see.
//! - Kind 2 is laid out by the fields that the schema declares, so that each is reached without looking at the others; the
//!   diagram is in `columns.rs`. Every document can be stored so in which no field is there twice: what was not declared,
//!   or is of another type than declared, is in a map in MessagePack behind the columns. Both kinds read as the same
//!   document, by type and as JSON.

mod columns;
mod item;
mod message_pack;
mod name;
mod node;
mod number_field;
mod patching;
mod places;
mod reader;
mod refusing;
mod rewriting;
mod scalar;
mod selecting;
mod transcoded;
mod translated;
mod writer;

use std::fmt;

use bucketdb_log::codec;
use bucketdb_query::{AsStored, double_of};
use bytes::Bytes;
use serde::Serialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use self::columns::Columns;
pub(crate) use self::columns::blank;
use self::message_pack::MessagePack;
pub use self::node::{Elements, Kind, Node};
pub use self::number_field::FieldNumbers;
pub(crate) use self::number_field::NumberField;
pub use self::patching::patched;
pub use self::places::{FieldPlaces, Glance, PlacedRow};
use self::reader::Document;
pub use self::rewriting::{Keep, keep, upgraded};
pub use self::selecting::{FieldTest, RowTests, Selected};
use self::translated::{Names, Stored};
use self::writer::WriteError;
use crate::layout::Shared;
use crate::{Layout, Layouts};

const KIND_MESSAGE_PACK: u8 = 1;
const KIND_COLUMNS: u8 = 2;

/// How deep a document may be nested, lists and maps together.
const MAX_DEPTH: usize = 128;

/// A document that cannot be stored, or stored bytes that are not a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RowError(String);

impl RowError {
    /// For that reason.
    #[must_use]
    pub fn new(reason: String) -> Self {
        Self(reason)
    }

    pub(crate) fn unknown_version(version: u64) -> Self {
        Self(format!("it was written under version {version} of the schema, which is not registered"))
    }
}

/// The row of a document, to be read with layouts of the same table.
///
/// # Errors
/// If the document does not serialise, or is nested deeper than 128 levels.
pub fn encode<T: Serialize + ?Sized>(document: &T, layouts: &Layouts) -> Result<Bytes, RowError> {
    // Most rows fit, and what they leave free is given back at once: a row then has memory of just its size.
    let mut row = Vec::with_capacity(512);
    encode_into(&mut row, document, layouts)?;
    Ok(Bytes::copy_from_slice(&row))
}

/// As [`encode`], behind what is in `buffer`. After an error, it may hold part of a row.
///
/// # Errors
/// As [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(
    buffer: &mut Vec<u8>,
    document: &T,
    layouts: &Layouts,
) -> Result<(), RowError> {
    if let Some(layout) = layouts.own() {
        let before = buffer.len();
        match writer::write(buffer, document, layout) {
            Ok(()) => return Ok(()),
            Err(WriteError::Failed(error)) => return Err(error),
            Err(WriteError::DoesNotFit) => buffer.truncate(before),
        }
    }
    buffer.push(KIND_MESSAGE_PACK);
    codec::put_varint(buffer, u64::from(layouts.version()));
    let body = buffer.len();
    let mut serializer = rmp_serde::Serializer::new(&mut *buffer).with_struct_map().with_human_readable();
    AsStored(document).serialize(&mut serializer).map_err(|error| RowError(error.to_string()))?;
    // The serialiser has no limit of depth that holds for lists, and nothing may be stored that could not be read.
    let mut written = MessagePack::new(buffer.get(body..).unwrap_or_default());
    written.skip()?;
    written.end()
}

/// The document in a row, as a Rust type: that of the version of the layouts, whatever version the row is of.
///
/// # Errors
/// If the row is of an unknown kind or version, or if the document has not the shape of the type.
pub fn decode<T: DeserializeOwned>(row: &[u8], layouts: &Layouts) -> Result<T, RowError> {
    let (version, body) = open(row, layouts)?;
    let evolution = layouts.evolution_to(version);
    let names = Names { evolution: &evolution, row: version, wanted: layouts.version() };
    match body {
        Body::MessagePack(body) => {
            if let Some(document) = translated(&names, || names.own(Stored::MessagePack(body)))? {
                return T::deserialize(document);
            }
            let mut source = MessagePack::new(body);
            let document = T::deserialize(&mut source)?;
            source.end()?;
            Ok(document)
        }
        Body::Columns(body, layout) => {
            let columns = Columns::open(body, &layout)?;
            if names.may_differ(&columns)
                && let Some(document) = translated(&names, || names.own(Stored::Columns(columns)))?
            {
                return T::deserialize(document);
            }
            let document = Document::new(columns);
            // A type can ask for its fields and then not take them one after the other.
            let read = T::deserialize(document);
            if read.is_err() { T::deserialize(document.by_name()) } else { read }
        }
    }
}

/// A document that does not read alike in all versions.
fn translated<T>(
    names: &Names<'_>,
    translate: impl FnOnce() -> Result<Option<T>, RowError>,
) -> Result<Option<T>, RowError> {
    if names.evolution.is_plain() { Ok(None) } else { translate() }
}

/// The document in a row, as JSON: as one of the version of the layouts, with what only other versions declare. Bytes become
/// a list of numbers, keys of maps become text, and floats that JSON lacks (infinite, not a number) become null.
///
/// # Errors
/// If the row is of an unknown kind or version, or damaged.
pub fn decode_value(row: &[u8], layouts: &Layouts) -> Result<Value, RowError> {
    let (version, body) = open(row, layouts)?;
    let evolution = layouts.evolution_to(version);
    let names = Names { evolution: &evolution, row: version, wanted: layouts.version() };
    match body {
        Body::MessagePack(body) => {
            if let Some(document) = translated(&names, || names.all(Stored::MessagePack(body)))? {
                return AnyValue.deserialize(document);
            }
            let mut source = MessagePack::new(body);
            let value = AnyValue.deserialize(&mut source)?;
            source.end()?;
            Ok(value)
        }
        Body::Columns(body, layout) => {
            let columns = Columns::open(body, &layout)?;
            if names.may_differ(&columns)
                && let Some(document) = translated(&names, || names.all(Stored::Columns(columns)))?
            {
                return AnyValue.deserialize(document);
            }
            AnyValue.deserialize(Document::new(columns))
        }
    }
}

/// Lets a reader look at values in a row, as far as it wants to: nothing else is decoded, or even found to be damaged. A field
/// is found by every name that it ever had.
///
/// # Errors
/// If the row is of an unknown kind or version, or damaged where it is read; or what the reader says.
#[inline]
pub fn look<T>(
    row: &[u8],
    layouts: &Layouts,
    read: impl FnOnce(Node<'_>) -> Result<T, RowError>,
) -> Result<T, RowError> {
    let (version, body) = open(row, layouts)?;
    let evolution = layouts.evolution_to(version);
    if !evolution.is_plain() {
        let names = Names { evolution: &evolution, row: version, wanted: layouts.version() };
        return match body {
            Body::MessagePack(body) => read(Node::translated(&(Stored::MessagePack(body), names))),
            Body::Columns(body, layout) => {
                read(Node::translated(&(Stored::Columns(Columns::open(body, &layout)?), names)))
            }
        };
    }
    match body {
        Body::MessagePack(body) => read(Node::message_pack(body)),
        Body::Columns(body, layout) => read(Node::document(Columns::open(body, &layout)?)),
    }
}

/// One value in MessagePack, as it is in a row.
pub(crate) fn value_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, RowError> {
    let mut bytes = Vec::new();
    put_value(&mut bytes, value)?;
    Ok(bytes)
}

fn put_value<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<(), RowError> {
    let start = buffer.len();
    let written = writer::append(buffer, value);
    let checked = written.and_then(|()| writer::check(buffer.get(start..).unwrap_or_default(), 1));
    checked.map_err(|error| RowError(error.to_string()))
}

/// Reads what [`value_bytes`] wrote, as JSON.
pub(crate) fn value_of_bytes(bytes: &[u8]) -> Result<Value, RowError> {
    Node::message_pack(bytes).to_value()
}

/// The version of the schema that a row was written under.
///
/// # Errors
/// If the row is of an unknown kind.
pub fn schema_version(row: &Bytes) -> Result<u32, RowError> {
    let (_, version, _) = split(row)?;
    u32::try_from(version).map_err(|_| RowError("its schema version is out of range".to_owned()))
}

/// What a row holds.
enum Body<'de, 'l> {
    MessagePack(&'de [u8]),
    /// What is behind the version.
    Columns(&'de [u8], Shared<'l, Layout>),
}

/// The version of a row, and what it holds. Every read goes through here, so it counts no references.
#[inline]
fn open<'de, 'l>(row: &'de [u8], layouts: &'l Layouts) -> Result<(u32, Body<'de, 'l>), RowError> {
    // As nearly all of them are.
    if let Some((own, body)) = layouts.own().and_then(|own| Some((own, own.strip(row)?))) {
        return Ok((layouts.version(), Body::Columns(body, Shared::Own(own))));
    }
    let (kind, version, body) = split(row)?;
    let body = match kind {
        KIND_COLUMNS => Body::Columns(body, layouts.of(version)?),
        _ => Body::MessagePack(body),
    };
    Ok((u32::try_from(version).unwrap_or(u32::MAX), body))
}

fn with_stored<T>(body: &Body<'_, '_>, act: impl FnOnce(Stored<'_>) -> Result<T, RowError>) -> Result<T, RowError> {
    match body {
        Body::MessagePack(body) => act(Stored::MessagePack(body)),
        Body::Columns(body, layout) => act(Stored::Columns(Columns::open(body, layout)?)),
    }
}

/// The kind, the version of the schema, and what is behind it.
fn split(row: &[u8]) -> Result<(u8, u64, &[u8]), RowError> {
    match row.split_first() {
        Some((&kind @ (KIND_MESSAGE_PACK | KIND_COLUMNS), rest)) => {
            let (version, body) = codec::take_varint(rest).map_err(|error| RowError(error.to_string()))?;
            Ok((kind, version, body))
        }
        Some((kind, _)) => Err(RowError(format!("it is a row of kind {kind}, and this version knows kinds 1 and 2"))),
        None => Err(too_early()),
    }
}

#[cold]
fn too_early() -> RowError {
    RowError("it ends too early".to_owned())
}

/// For how many values room is made before they were read.
const MOST_EXPECTED: usize = 64;

/// A longer text is no key. One of a map whose key is a map whose key is a map, and so on, doubles with each of them.
const MOST_KEY_BYTES: usize = 64 << 10;

/// What JSON has for the key of a map, where all keys are text.
fn key_text(key: Value) -> Result<String, RowError> {
    let text = match key {
        Value::String(text) => return Ok(text),
        other => other.to_string(),
    };
    if text.len() > MOST_KEY_BYTES {
        return Err(RowError(format!("a key of a map takes more than {MOST_KEY_BYTES} bytes as text")));
    }
    Ok(text)
}

/// Builds a JSON value from whatever MessagePack holds.
struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f32<E>(self, value: f32) -> Result<Value, E> {
        Ok(Number::from_f64(double_of(value)).map_or(Value::Null, Value::Number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0).min(MOST_EXPECTED));
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::with_capacity(entries.size_hint().unwrap_or(0).min(MOST_EXPECTED));
        while let Some(key) = entries.next_key_seed(Self)? {
            let key = key_text(key).map_err(de::Error::custom)?;
            map.insert(key, entries.next_value_seed(Self)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests;
