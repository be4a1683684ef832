//! Reads the value of a column as its MessagePack would be read.

use bucketdb_query::double_of;
use serde::de::value::SeqDeserializer;
use serde::de::{Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

use super::RowError;
use super::message_pack::{Head, MessagePack, text};

/// The value of a column.
#[derive(Clone, Copy)]
pub(super) enum Item<'de> {
    /// Neither a list nor a map.
    Scalar(Head<'de>),
    /// One value.
    MessagePack(&'de [u8]),
}

/// Reads a value as its MessagePack would be.
macro_rules! as_message_pack {
    ($item:expr, $scalar:ident => $read_scalar:expr, $source:ident => $read:expr) => {
        match $item {
            Item::Scalar($scalar) => $read_scalar,
            Item::MessagePack(bytes) => {
                let mut source = MessagePack::nested(bytes);
                let $source = &mut source;
                let value = $read?;
                source.end()?;
                Ok(value)
            }
        }
    };
}

impl<'de> Deserializer<'de> for Item<'de> {
    type Error = RowError;

    fn is_human_readable(&self) -> bool {
        true
    }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        as_message_pack!(self, scalar => scalar.visit(visitor), source => source.deserialize_any(visitor))
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        as_message_pack!(
            self,
            scalar => match scalar {
                Head::Nil => visitor.visit_none(),
                scalar => visitor.visit_some(Item::Scalar(scalar)),
            },
            source => source.deserialize_option(visitor)
        )
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        as_message_pack!(
            self,
            scalar => scalar.variant(visitor),
            source => source.deserialize_enum(name, variants, visitor)
        )
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, RowError> {
        as_message_pack!(self, scalar => scalar.visit(visitor), source => source.deserialize_unit_struct(name, visitor))
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        as_message_pack!(
            self,
            scalar => visitor.visit_i128(scalar.wide_integer()?),
            source => source.deserialize_i128(visitor)
        )
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        as_message_pack!(
            self,
            scalar => visitor.visit_u128(scalar.wide_integer()? as u128),
            source => source.deserialize_u128(visitor)
        )
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        as_message_pack!(self, scalar => scalar.visit_as_list(visitor), source => source.deserialize_seq(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, RowError> {
        as_message_pack!(
            self,
            scalar => scalar.visit_as_list(visitor),
            source => source.deserialize_tuple(len, visitor)
        )
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, RowError> {
        as_message_pack!(
            self,
            scalar => scalar.visit_as_list(visitor),
            source => source.deserialize_tuple_struct(name, len, visitor)
        )
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        as_message_pack!(
            self,
            scalar => scalar.visit(visitor),
            source => source.deserialize_struct(name, fields, visitor)
        )
    }

    /// It need not even be looked at: where it ends is known.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit map identifier
    }
}

impl<'de> Head<'de> {
    /// For what is neither a list nor a map.
    #[inline]
    pub(super) fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self {
            Self::Nil => visitor.visit_unit(),
            Self::Boolean(value) => visitor.visit_bool(value),
            Self::Unsigned(number) => visitor.visit_u64(number),
            Self::Signed(number) => visitor.visit_i64(number),
            // Whoever wants single precision gets it back from that.
            Self::Float32(number) => visitor.visit_f64(double_of(number)),
            Self::Float64(number) => visitor.visit_f64(number),
            Self::Text(bytes) => visitor.visit_borrowed_str(text(bytes)?),
            Self::TextValue(value) => visitor.visit_str(&value.text()),
            Self::Binary(bytes) => visitor.visit_borrowed_bytes(bytes),
            Self::List(_) | Self::Map(_) => Err(RowError::custom("a list or a map is no scalar")),
        }
    }

    fn visit_as_list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self {
            Self::Binary(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            head => head.visit(visitor),
        }
    }
}
