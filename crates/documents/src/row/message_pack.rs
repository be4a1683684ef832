//! Reads MessagePack into whatever serde can fill.
//!
//! Every typed read ends here, and with `rmp_serde`, which writes the rows, this was most of what it cost: that one reads
//! from any source, a byte at a time. This one knows that all bytes are at hand, and that fields mostly come in the order
//! in which the type has them, so that a name is compared once and not read as text. The tests hold the two against each
//! other.
//!
//! Source of the format: the MessagePack specification, <https://github.com/msgpack/msgpack/blob/master/spec.md>.

use std::marker::PhantomData;
use std::str;

use bucketdb_query::TextValue;
use serde::de::value::{MapAccessDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{MAX_DEPTH, RowError, too_early};

/// What is left to read of a document.
#[derive(Debug)]
pub(super) struct MessagePack<'de> {
    rest: &'de [u8],
    /// How deep what is being read is nested.
    depth: usize,
}

/// One value, or what a list or map begins with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head<'de> {
    Nil,
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Float32(f32),
    Float64(f64),
    Text(&'de [u8]),
    /// Of a column that stores what its texts stand for; in MessagePack there is none.
    TextValue(TextValue),
    Binary(&'de [u8]),
    /// With the number of items.
    List(usize),
    /// With the number of entries.
    Map(usize),
}

pub(super) const NIL: u8 = 0xc0;
const EMPTY_LIST: u8 = 0x90;

impl<'de> MessagePack<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, depth: 0 }
    }

    /// Of values right inside a document.
    pub(super) fn nested(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, depth: 1 }
    }

    /// # Errors
    /// If there is more than was read.
    pub(super) fn end(&self) -> Result<(), RowError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RowError::custom("there are bytes behind the document")) }
    }

    /// What was not read yet.
    pub(super) fn remaining(&self) -> &'de [u8] {
        self.rest
    }

    /// Goes past one value.
    pub(super) fn skip(&mut self) -> Result<(), RowError> {
        let values = match self.head()? {
            Head::List(items) => items,
            Head::Map(entries) => 2 * entries,
            _ => return Ok(()),
        };
        self.enter()?;
        for _ in 0..values {
            self.skip()?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Goes past one value, and gives its bytes.
    pub(super) fn value(&mut self) -> Result<&'de [u8], RowError> {
        let before = self.rest;
        self.skip()?;
        Ok(before.get(..before.len() - self.rest.len()).unwrap_or_default())
    }

    fn enter(&mut self) -> Result<(), RowError> {
        if self.depth == MAX_DEPTH {
            return Err(RowError(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'de [u8], RowError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(too_early)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RowError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(too_early)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn length<const N: usize>(&mut self) -> Result<usize, RowError> {
        let bytes: [u8; N] = self.array()?;
        Ok(bytes.into_iter().fold(0, |length, byte| (length << 8) | usize::from(byte)))
    }

    #[inline]
    pub(super) fn head(&mut self) -> Result<Head<'de>, RowError> {
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f => Head::Unsigned(u64::from(marker)),
            0x80..=0x8f => Head::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Head::List(usize::from(marker & 0x0f)),
            0xa0..=0xbf => Head::Text(self.take(usize::from(marker & 0x1f))?),
            NIL => Head::Nil,
            0xc2 => Head::Boolean(false),
            0xc3 => Head::Boolean(true),
            0xc4 => self.length::<1>().and_then(|length| self.take(length)).map(Head::Binary)?,
            0xc5 => self.length::<2>().and_then(|length| self.take(length)).map(Head::Binary)?,
            0xc6 => self.length::<4>().and_then(|length| self.take(length)).map(Head::Binary)?,
            0xca => Head::Float32(f32::from_be_bytes(self.array()?)),
            0xcb => Head::Float64(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Unsigned(u64::from(u8::from_be_bytes(self.array()?))),
            0xcd => Head::Unsigned(u64::from(u16::from_be_bytes(self.array()?))),
            0xce => Head::Unsigned(u64::from(u32::from_be_bytes(self.array()?))),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => Head::Signed(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Head::Signed(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Head::Signed(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Head::Signed(i64::from_be_bytes(self.array()?)),
            0xd9 => self.length::<1>().and_then(|length| self.take(length)).map(Head::Text)?,
            0xda => self.length::<2>().and_then(|length| self.take(length)).map(Head::Text)?,
            0xdb => self.length::<4>().and_then(|length| self.take(length)).map(Head::Text)?,
            0xdc => Head::List(self.length::<2>()?),
            0xdd => Head::List(self.length::<4>()?),
            0xde => Head::Map(self.length::<2>()?),
            0xdf => Head::Map(self.length::<4>()?),
            0xe0..=0xff => Head::Signed(i64::from(marker as i8)),
            // 0xc1 stands for nothing; the others are for types of an application's own, which documents do not have.
            _ => return Err(RowError(format!("{marker:#04x} begins no value that a document can have"))),
        })
    }

    fn visit<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, RowError> {
        let head = self.head()?;
        self.visit_behind(head, visitor)
    }

    #[inline]
    fn visit_behind<V: Visitor<'de>>(&mut self, head: Head<'de>, visitor: V) -> Result<V::Value, RowError> {
        match head {
            Head::List(items) => self.visit_list(items, visitor),
            Head::Map(entries) => self.visit_map(entries, &[], visitor),
            scalar => scalar.visit(visitor),
        }
    }

    /// As [`visit`](Self::visit), for a type that is a list: bytes are lists of numbers to it.
    fn visit_as_list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, RowError> {
        match self.head()? {
            Head::Binary(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            head => self.visit_behind(head, visitor),
        }
    }

    fn visit_list<V: Visitor<'de>>(&mut self, items: usize, visitor: V) -> Result<V::Value, RowError> {
        self.enter()?;
        let mut list = List { source: self, left: items };
        let value = visitor.visit_seq(&mut list)?;
        all_taken(list.left)?;
        self.depth -= 1;
        Ok(value)
    }

    fn visit_map<V: Visitor<'de>>(
        &mut self,
        entries: usize,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        self.enter()?;
        let mut map = Entries { source: self, left: entries, fields };
        let value = visitor.visit_map(&mut map)?;
        all_taken(map.left)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> Head<'de> {
    /// As whoever wrote an integer of 128 bits.
    pub(super) fn wide_integer(self) -> Result<i128, RowError> {
        match self {
            Self::Unsigned(number) => Ok(i128::from(number)),
            Self::Signed(number) => Ok(i128::from(number)),
            Self::Binary(bytes) => match bytes.try_into() {
                Ok(bytes) => Ok(i128::from_be_bytes(bytes)),
                Err(_) => Err(RowError::invalid_length(bytes.len(), &"16 bytes of an integer")),
            },
            _ => Err(RowError::custom("it is no integer")),
        }
    }

    /// A variant that is not a map.
    pub(super) fn variant<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self {
            Self::Text(name) => visitor.visit_enum(text(name)?.into_deserializer()),
            Self::TextValue(name) => visitor.visit_enum((&*name.text()).into_deserializer()),
            Self::Unsigned(index) => {
                let index = u32::try_from(index).map_err(RowError::custom)?;
                visitor.visit_enum(index.into_deserializer())
            }
            _ => Err(RowError::custom("it is no variant")),
        }
    }
}

#[inline]
pub(super) fn text(bytes: &[u8]) -> Result<&str, RowError> {
    str::from_utf8(bytes).map_err(|error| RowError(format!("a text is not UTF-8: {error}")))
}

pub(super) fn all_taken(left: usize) -> Result<(), RowError> {
    if left == 0 { Ok(()) } else { Err(RowError(format!("{left} values are left over"))) }
}

/// Reads a document as an enum whose only field is named as the variant.
pub(super) fn variant<'de, A: MapAccess<'de, Error = RowError>, V: Visitor<'de>>(
    mut entries: A,
    name: &'static str,
    variants: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, RowError> {
    let value = MapAccessDeserializer::new(&mut entries).deserialize_enum(name, variants, visitor)?;
    match entries.next_key_seed(PhantomData::<IgnoredAny>)? {
        None => Ok(value),
        Some(_) => Err(RowError::custom("it is no variant")),
    }
}

impl Error for RowError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl<'de> Deserializer<'de> for &mut MessagePack<'de> {
    type Error = RowError;

    /// As whoever wrote it.
    fn is_human_readable(&self) -> bool {
        true
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        self.visit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self.rest.split_first() {
            Some((&NIL, rest)) => {
                self.rest = rest;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    /// A variant with content is a map of one entry, any other one its name.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        match self.head()? {
            Head::Map(1) => {
                self.enter()?;
                let value = visitor.visit_enum(Variant { source: self })?;
                self.depth -= 1;
                Ok(value)
            }
            head => head.variant(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_newtype_struct(self)
    }

    /// Written as an empty list.
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, RowError> {
        match self.rest.split_first() {
            Some((&(NIL | EMPTY_LIST), rest)) => {
                self.rest = rest;
                visitor.visit_unit()
            }
            _ => self.visit(visitor),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_i128(self.head()?.wide_integer()?)
    }

    /// The same 16 bytes.
    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_u128(self.head()?.wide_integer()? as u128)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        self.visit_as_list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, RowError> {
        self.visit_as_list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, RowError> {
        self.visit_as_list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        match self.head()? {
            Head::Map(entries) => self.visit_map(entries, fields, visitor),
            head => self.visit_behind(head, visitor),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self.head()? {
            Head::Text(bytes) => visitor.visit_borrowed_str(text(bytes)?),
            head => self.visit_behind(head, visitor),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit map identifier
    }
}

struct List<'a, 'de> {
    source: &'a mut MessagePack<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for List<'_, 'de> {
    type Error = RowError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, RowError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.source).map(Some)
    }

    /// Every item takes a byte at least, whatever a damaged length says.
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.source.rest.len()))
    }
}

struct Entries<'a, 'de> {
    source: &'a mut MessagePack<'de>,
    left: usize,
    /// The names that probably come next.
    fields: &'static [&'static str],
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = RowError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, RowError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let Some((next, rest)) = self.fields.split_first() else {
            return seed.deserialize(&mut *self.source).map(Some);
        };
        self.fields = rest;
        let source = &mut *self.source;
        let short = 0xa0 | next.len() as u8;
        if next.len() < 32
            && let Some((&marker, behind)) = source.rest.split_first()
            && marker == short
            && let Some(behind) = behind.strip_prefix(next.as_bytes())
        {
            source.rest = behind;
            let name: de::value::BorrowedStrDeserializer<'de, RowError> = de::value::BorrowedStrDeserializer::new(next);
            return seed.deserialize(name).map(Some);
        }
        seed.deserialize(source).map(Some)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, RowError> {
        seed.deserialize(&mut *self.source)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.source.rest.len()))
    }
}

/// The one entry of a map that is a variant with content.
struct Variant<'a, 'de> {
    source: &'a mut MessagePack<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = RowError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), RowError> {
        Ok((seed.deserialize(&mut *self.source)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = RowError;

    fn unit_variant(self) -> Result<(), RowError> {
        match self.source.head()? {
            Head::Nil => Ok(()),
            _ => Err(RowError::invalid_type(Unexpected::Other("content"), &"a variant without any")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, RowError> {
        seed.deserialize(self.source)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, RowError> {
        self.source.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        self.source.deserialize_struct("", fields, visitor)
    }
}
