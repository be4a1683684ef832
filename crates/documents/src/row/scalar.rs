use bucketdb_query::double_of;
use serde::Serialize;
use serde::ser::{Impossible, Serializer};

use super::columns::State;
use super::refusing::{neither_struct_nor_map, no_parts};
use super::writer::{WriteError, Writer};
use crate::FieldType;
use crate::layout::Column;

/// Writes a value to its column, if it is of its type.
pub(super) struct Scalar<'w, 'a> {
    pub(super) writer: &'w mut Writer<'a>,
    pub(super) index: usize,
    pub(super) column: &'a Column,
}

impl Scalar<'_, '_> {
    fn null(self) -> Result<(), WriteError> {
        self.writer.set_state(self.index, State::Null);
        Ok(())
    }

    fn fixed<const N: usize>(self, bytes: [u8; N]) -> Result<(), WriteError> {
        self.writer.put_fixed(self.index, self.column, &bytes);
        Ok(())
    }

    fn heap(self, bytes: &[u8]) -> Result<(), WriteError> {
        self.writer.put_heap(self.index, self.column, bytes)
    }

    /// A whole number is its value, whatever type it comes in.
    #[inline]
    fn integer<N>(self, number: N) -> Result<(), WriteError>
    where
        N: TryInto<i8> + TryInto<i16> + TryInto<i32> + TryInto<i64>,
        N: TryInto<u8> + TryInto<u16> + TryInto<u32> + TryInto<u64>,
    {
        macro_rules! as_type {
            ($rust:ty) => {
                match TryInto::<$rust>::try_into(number) {
                    Ok(number) => self.fixed(number.to_le_bytes()),
                    Err(_) => Err(WriteError::DoesNotFit),
                }
            };
        }
        match self.column.field_type {
            FieldType::I8 => as_type!(i8),
            FieldType::I16 => as_type!(i16),
            FieldType::I32 => as_type!(i32),
            FieldType::I64 => as_type!(i64),
            FieldType::U8 => as_type!(u8),
            FieldType::U16 => as_type!(u16),
            FieldType::U32 => as_type!(u32),
            FieldType::U64 => as_type!(u64),
            _ => Err(WriteError::DoesNotFit),
        }
    }
}

macro_rules! integers {
    ($($method:ident($type:ty)),*) => {
        $(fn $method(self, number: $type) -> Result<(), WriteError> { self.integer(number) })*
    };
}

impl Serializer for Scalar<'_, '_> {
    type Ok = ();
    type Error = WriteError;

    fn serialize_bool(self, value: bool) -> Result<(), WriteError> {
        match self.column.field_type {
            FieldType::Bool => self.fixed([u8::from(value)]),
            _ => Err(WriteError::DoesNotFit),
        }
    }

    fn serialize_f32(self, number: f32) -> Result<(), WriteError> {
        match self.column.field_type {
            FieldType::F32 => self.fixed(number.to_le_bytes()),
            _ => Err(WriteError::DoesNotFit),
        }
    }

    /// JSON has all its numbers in double precision.
    fn serialize_f64(self, number: f64) -> Result<(), WriteError> {
        match self.column.field_type {
            FieldType::F64 => self.fixed(number.to_le_bytes()),
            FieldType::F32 if double_of(number as f32).to_bits() == number.to_bits() => {
                self.fixed((number as f32).to_le_bytes())
            }
            _ => Err(WriteError::DoesNotFit),
        }
    }

    fn serialize_char(self, letter: char) -> Result<(), WriteError> {
        self.serialize_str(letter.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), WriteError> {
        let field_type = self.column.field_type;
        if matches!(field_type, FieldType::Text | FieldType::Blob) {
            return self.heap(text.as_bytes());
        }
        let value = field_type.text_type().and_then(|text_type| text_type.parse(text));
        let (value, bytes) = value.zip(field_type.fixed_bytes()).ok_or(WriteError::DoesNotFit)?;
        self.writer.put_fixed(self.index, self.column, value.to_stored().get(..bytes).unwrap_or_default());
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), WriteError> {
        match self.column.field_type {
            FieldType::Bytes => self.heap(bytes),
            _ => Err(WriteError::DoesNotFit),
        }
    }

    fn serialize_none(self) -> Result<(), WriteError> {
        self.null()
    }

    fn serialize_unit(self) -> Result<(), WriteError> {
        self.null()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<(), WriteError> {
        self.serialize_str(name)
    }

    integers! {
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64), serialize_u8(u8),
        serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_i128(i128), serialize_u128(u128)
    }
    no_parts!();
    neither_struct_nor_map!();
}
