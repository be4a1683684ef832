//! Reads a row that is laid out by columns into whatever serde can fill.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::RowError;
use super::columns::{Columns, State};
use super::item::Item;
use super::message_pack::{MessagePack, all_taken, text, variant};
use crate::FieldType;
use crate::layout::Column;

/// A document in columns.
#[derive(Clone, Copy)]
pub(super) struct Document<'de, 'l> {
    columns: Columns<'de, 'l>,
    /// Whether a type may be given its fields one after the other, without their names.
    in_order: bool,
}

impl<'de, 'l> Document<'de, 'l> {
    pub(super) fn new(columns: Columns<'de, 'l>) -> Self {
        Self { columns, in_order: true }
    }

    /// For a type that may ask for its fields and then insist on their names.
    pub(super) fn by_name(self) -> Self {
        Self { in_order: false, ..self }
    }

    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        let mut entries = Entries::new(self.columns);
        let value = visitor.visit_map(&mut entries)?;
        entries.end()?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for Document<'de, '_> {
    type Error = RowError;

    fn is_human_readable(&self) -> bool {
        true
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        self.visit(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        if !self.in_order || !self.columns.layout.has_exactly(fields) || !self.columns.is_complete() {
            return self.visit(visitor);
        }
        let mut elements = Elements { columns: self.columns, next: 0 };
        let value = visitor.visit_seq(&mut elements);
        if value.is_ok() {
            all_taken(fields.len() - elements.next)?;
        }
        // As it is: a document is large, and to look inside would be to copy it.
        value
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
        variant(Entries::new(self.columns), name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

/// The columns of a row in which all are there.
struct Elements<'de, 'l> {
    columns: Columns<'de, 'l>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de, '_> {
    type Error = RowError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, RowError> {
        let index = self.next;
        let Some(column) = self.columns.layout.column(index) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(Cell { columns: &self.columns, index, column }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.columns.layout.columns().len().saturating_sub(self.next))
    }
}

/// The columns that have something, by name, then the rest.
struct Entries<'de, 'l> {
    columns: Columns<'de, 'l>,
    next: usize,
    /// The column whose name was given.
    named: Option<usize>,
    /// What is left of the rest, once all columns were given.
    rest: Option<(MessagePack<'de>, usize)>,
}

impl<'de, 'l> Entries<'de, 'l> {
    fn new(columns: Columns<'de, 'l>) -> Self {
        Self { columns, next: 0, named: None, rest: None }
    }

    fn rest(&mut self) -> Result<&mut (MessagePack<'de>, usize), RowError> {
        match &mut self.rest {
            Some(rest) => Ok(rest),
            none => Ok(none.insert(self.columns.rest()?)),
        }
    }

    /// # Errors
    /// If there is more than was read.
    fn end(&mut self) -> Result<(), RowError> {
        let left = self.columns.layout.columns().len().saturating_sub(self.next);
        all_taken(left)?;
        let (rest, entries) = self.rest()?;
        all_taken(*entries)?;
        rest.end()
    }
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = RowError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, RowError> {
        while let Some(column) = self.columns.layout.column(self.next) {
            let index = self.next;
            self.next += 1;
            if matches!(self.columns.state(index), State::Value | State::Null) {
                self.named = Some(index);
                let name: StrDeserializer<'_, RowError> = (*column.name).into_deserializer();
                return seed.deserialize(name).map(Some);
            }
        }
        let (rest, entries) = self.rest()?;
        let Some(left) = entries.checked_sub(1) else { return Ok(None) };
        *entries = left;
        seed.deserialize(rest).map(Some)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, RowError> {
        let named = self.named.take().and_then(|index| Some((index, self.columns.layout.column(index)?)));
        match named {
            Some((index, column)) => seed.deserialize(Cell { columns: &self.columns, index, column }),
            None => seed.deserialize(&mut self.rest()?.0),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.columns.layout.columns().len().saturating_sub(self.next))
    }
}

/// A column that has a value or is null. A type that asks for what the column holds gets it on the shortest way.
struct Cell<'a, 'de, 'l> {
    columns: &'a Columns<'de, 'l>,
    index: usize,
    column: &'l Column,
}

impl<'de> Cell<'_, 'de, '_> {
    #[inline]
    fn has(&self, field_type: FieldType) -> bool {
        self.column.field_type == field_type && self.columns.state(self.index) == State::Value
    }

    fn item(&self) -> Result<Item<'de>, RowError> {
        self.columns.item(self.index, self.column)?.ok_or_else(|| RowError::custom("a column has no value"))
    }
}

/// Numbers are visited as MessagePack would have them.
macro_rules! numbers {
    ($($method:ident: $field_type:ident($rust:ty) => |$visitor:ident, $number:ident| $visit:expr),* $(,)?) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, $visitor: V) -> Result<V::Value, RowError> {
                if self.has(FieldType::$field_type) {
                    let $number = <$rust>::from_le_bytes(self.columns.number(self.column)?);
                    return $visit;
                }
                self.item()?.deserialize_any($visitor)
            }
        )*
    };
}

macro_rules! forward_to_item {
    ($($method:ident($($name:ident: $argument:ty),*)),* $(,)?) => {
        $(
            fn $method<V: Visitor<'de>>(self, $($name: $argument,)* visitor: V) -> Result<V::Value, RowError> {
                self.item()?.$method($($name,)* visitor)
            }
        )*
    };
}

#[inline]
fn visit_signed<'de, V: Visitor<'de>>(visitor: V, number: i64) -> Result<V::Value, RowError> {
    match u64::try_from(number) {
        Ok(number) => visitor.visit_u64(number),
        Err(_) => visitor.visit_i64(number),
    }
}

impl<'de> Deserializer<'de> for Cell<'_, 'de, '_> {
    type Error = RowError;

    fn is_human_readable(&self) -> bool {
        true
    }

    numbers! {
        deserialize_i8: I8(i8) => |visitor, number| visit_signed(visitor, number.into()),
        deserialize_i16: I16(i16) => |visitor, number| visit_signed(visitor, number.into()),
        deserialize_i32: I32(i32) => |visitor, number| visit_signed(visitor, number.into()),
        deserialize_i64: I64(i64) => |visitor, number| visit_signed(visitor, number),
        deserialize_u8: U8(u8) => |visitor, number| visitor.visit_u64(number.into()),
        deserialize_u16: U16(u16) => |visitor, number| visitor.visit_u64(number.into()),
        deserialize_u32: U32(u32) => |visitor, number| visitor.visit_u64(number.into()),
        deserialize_u64: U64(u64) => |visitor, number| visitor.visit_u64(number),
        deserialize_f32: F32(f32) => |visitor, number| visitor.visit_f32(number),
        deserialize_f64: F64(f64) => |visitor, number| visitor.visit_f64(number),
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        if self.has(FieldType::Text) || self.has(FieldType::Blob) {
            return visitor.visit_borrowed_str(text(self.columns.in_heap(self.column)?)?);
        }
        self.item()?.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        if self.has(FieldType::Any) {
            return Item::MessagePack(self.columns.in_heap(self.column)?).deserialize_seq(visitor);
        }
        self.item()?.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        if self.column.field_type == FieldType::Any {
            return self.item()?.deserialize_option(visitor);
        }
        match self.columns.state(self.index) {
            State::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_item! {
        deserialize_any(), deserialize_bool(), deserialize_i128(), deserialize_u128(), deserialize_char(),
        deserialize_bytes(), deserialize_byte_buf(), deserialize_unit(), deserialize_map(), deserialize_identifier(),
        deserialize_unit_struct(name: &'static str), deserialize_tuple(len: usize),
        deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }
}
