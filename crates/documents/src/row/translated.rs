//! A row of one version of the schema, read as one of another.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::RowError;
use super::columns::Columns;
use super::item::Item;
use super::message_pack::{Head, MessagePack, NIL, all_taken, text, variant};
use super::node::Node;
use crate::evolution::{Evolution, FieldIndex};

/// From which version to which.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) evolution: &'a Evolution,
    /// The version that the row was written under.
    pub(super) row: u32,
    /// The version that it is read as.
    pub(super) wanted: u32,
}

/// A document as it is stored.
#[derive(Clone, Copy)]
pub(super) enum Stored<'a> {
    Columns(Columns<'a, 'a>),
    /// A map, or whatever else somebody stored.
    MessagePack(&'a [u8]),
}

/// The name of a field.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Text(&'a str),
    /// Another value, in MessagePack: it names no field.
    Other(&'a [u8]),
}

/// The fields of a document under the names of another version.
pub(super) struct Translated<'a> {
    pub(super) entries: Vec<(Key<'a>, Item<'a>)>,
}

impl<'a> Stored<'a> {
    /// What is in it, under the names that it is stored under; `None` if it is no map.
    pub(super) fn entries(self) -> Result<Option<Vec<(Key<'a>, Item<'a>)>>, RowError> {
        let mut entries = Vec::new();
        let (mut source, count) = match self {
            Self::Columns(columns) => {
                for (index, column) in columns.layout.columns().iter().enumerate() {
                    if let Some(item) = columns.item(index, column)? {
                        entries.push((Key::Text(&column.name), item));
                    }
                }
                columns.rest()?
            }
            Self::MessagePack(bytes) => {
                let mut source = MessagePack::new(bytes);
                match source.head()? {
                    Head::Map(count) => (MessagePack::nested(source.remaining()), count),
                    _ => return Ok(None),
                }
            }
        };
        for _ in 0..count {
            let key = source.value()?;
            let key = match MessagePack::nested(key).head()? {
                Head::Text(name) => Key::Text(text(name)?),
                _ => Key::Other(key),
            };
            entries.push((key, Item::MessagePack(source.value()?)));
        }
        source.end()?;
        Ok(Some(entries))
    }

    fn field(self, name: &str) -> Result<Option<Node<'a>>, RowError> {
        match self {
            Self::Columns(columns) => Node::document(columns),
            Self::MessagePack(bytes) => Node::message_pack(bytes),
        }
        .field(name)
    }
}

impl<'a> Names<'a> {
    /// The value of a field by any name that it ever had.
    pub(super) fn field(&self, stored: Stored<'a>, name: &str) -> Result<Option<Node<'a>>, RowError> {
        let Some(field) = self.evolution.find(name) else { return stored.field(name) };
        let found = stored.field(self.evolution.name(field, self.row))?;
        let is_null = found.as_ref().is_some_and(Node::is_nil);
        if found.is_some() && !is_null {
            return Ok(found);
        }
        let stand_in = self.evolution.stand_in(field, self.row, self.wanted, is_null);
        Ok(stand_in.map(|value| Node::message_pack(value.bytes())).or(found))
    }

    /// Whether a row in columns may read otherwise than as it stands there.
    #[inline]
    pub(super) fn may_differ(&self, columns: &Columns<'_, '_>) -> bool {
        self.row != self.wanted || !columns.rest_bytes().is_empty()
    }

    fn declares(&self, field: FieldIndex) -> bool {
        self.evolution.declares(field, self.wanted)
    }

    /// The whole document, as JSON shows it: what other versions declare is there too. `None` if it is no map.
    pub(super) fn all(&self, stored: Stored<'a>) -> Result<Option<Translated<'a>>, RowError> {
        self.translate(stored, |_| true)
    }

    /// The document as a program of the wanted version has it: without what only other versions declare.
    pub(super) fn own(&self, stored: Stored<'a>) -> Result<Option<Translated<'a>>, RowError> {
        self.translate(stored, |field| field.is_none_or(|field| self.declares(field)))
    }

    /// What only other versions declare.
    pub(super) fn others(&self, stored: Stored<'a>) -> Result<Option<Translated<'a>>, RowError> {
        self.translate(stored, |field| field.is_some_and(|field| !self.declares(field)))
    }

    /// What no version declares.
    pub(super) fn undeclared(&self, stored: Stored<'a>) -> Result<Option<Translated<'a>>, RowError> {
        self.translate(stored, |field| field.is_none())
    }

    fn translate(
        &self,
        stored: Stored<'a>,
        is_wanted: impl Fn(Option<FieldIndex>) -> bool,
    ) -> Result<Option<Translated<'a>>, RowError> {
        let Some(stored) = stored.entries()? else { return Ok(None) };
        let evolution = self.evolution;
        let mut has_field = vec![false; evolution.fields().len()];
        let mut entries = Vec::with_capacity(stored.len());
        for (key, item) in stored {
            let field = match key {
                Key::Text(name) => evolution.find(name).map(|field| (field, name)),
                Key::Other(_) => None,
            };
            let Some((field, name)) = field else {
                if is_wanted(None) {
                    entries.push((key, item));
                }
                continue;
            };
            // A field is in a row under one name only; what was stored under another one was never it.
            if evolution.name(field, self.row) != name {
                continue;
            }
            if let Some(has) = has_field.get_mut(field) {
                *has = true;
            }
            if is_wanted(Some(field)) {
                let stand_in = match item.is_nil() {
                    true => evolution.stand_in(field, self.row, self.wanted, true),
                    false => None,
                };
                let item = stand_in.map_or(item, |value| Item::MessagePack(value.bytes()));
                entries.push((Key::Text(evolution.name(field, self.wanted)), item));
            }
        }
        for (field, _) in has_field.into_iter().enumerate().filter(|(_, has)| !has) {
            let stand_in = evolution.stand_in(field, self.row, self.wanted, false);
            if let Some(value) = stand_in.filter(|_| is_wanted(Some(field))) {
                entries.push((Key::Text(evolution.name(field, self.wanted)), Item::MessagePack(value.bytes())));
            }
        }
        Ok(Some(Translated { entries }))
    }
}

impl Item<'_> {
    fn is_nil(&self) -> bool {
        matches!(self, Self::Scalar(Head::Nil) | Self::MessagePack([NIL]))
    }
}

impl<'de> Deserializer<'de> for Translated<'de> {
    type Error = RowError;

    fn is_human_readable(&self) -> bool {
        true
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        let mut entries = Entries::new(self);
        let value = visitor.visit_map(&mut entries)?;
        all_taken(entries.left.len())?;
        Ok(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        variant(Entries::new(self), name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

struct Entries<'a> {
    left: std::vec::IntoIter<(Key<'a>, Item<'a>)>,
    value: Option<Item<'a>>,
}

impl<'a> Entries<'a> {
    fn new(translated: Translated<'a>) -> Self {
        Self { left: translated.entries.into_iter(), value: None }
    }
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = RowError;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, RowError> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some(value);
        match key {
            Key::Text(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
            Key::Other(bytes) => seed.deserialize(Item::MessagePack(bytes)),
        }
        .map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<T::Value, RowError> {
        seed.deserialize(self.value.take().ok_or_else(|| RowError::custom("a value was asked for before its key"))?)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

impl Serialize for Translated<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (key, item) in &self.entries {
            match key {
                Key::Text(name) => map.serialize_key(name)?,
                Key::Other(bytes) => map.serialize_key(&Item::MessagePack(bytes))?,
            }
            map.serialize_value(item)?;
        }
        map.end()
    }
}
