use serde::Serialize;
use serde::ser::{Impossible, Serializer};

use super::refusing::{does_not_fit, neither_struct_nor_map, no_parts};
use super::writer::WriteError;
use crate::Layout;

/// Finds the column that a key names.
pub(super) struct Name<'a> {
    pub(super) layout: &'a Layout,
    /// The column that it probably is.
    pub(super) guess: usize,
}

impl Serializer for Name<'_> {
    type Ok = Option<usize>;
    type Error = WriteError;

    fn serialize_str(self, name: &str) -> Result<Option<usize>, WriteError> {
        Ok(self.layout.find(name, self.guess))
    }

    fn serialize_char(self, name: char) -> Result<Option<usize>, WriteError> {
        self.serialize_str(name.encode_utf8(&mut [0; 4]))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<Option<usize>, WriteError> {
        self.serialize_str(name)
    }

    fn serialize_none(self) -> Result<Option<usize>, WriteError> {
        Err(WriteError::DoesNotFit)
    }

    fn serialize_unit(self) -> Result<Option<usize>, WriteError> {
        Err(WriteError::DoesNotFit)
    }

    no_parts!();
    neither_struct_nor_map!();
    does_not_fit! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_u128(u128), serialize_f32(f32), serialize_f64(f64), serialize_bytes(&[u8]),
    }
}
