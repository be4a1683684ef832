//! A row that is laid out by columns, taken apart.
//!
//! ```text
//! kind 2 (1) | schema version (varint) | width (1) | states | fixed | ends | heap | rest
//!
//! states  2 bits for each column, the first in the lowest: 0 value, 1 null, 2 absent, 3 in the rest
//! fixed   numbers (little-endian), booleans (0 or 1, one byte) and texts that stand for something (as
//!         `bucketdb_query::TextValue` stores them), each where the layout says
//! ends    where each other column ends in the heap, little-endian, `width` bytes each: 1, 2 or 4
//! heap    text as UTF-8, bytes as they are, any other value as MessagePack
//! rest    a map in MessagePack, or nothing if it is empty
//! ```
//!
//! The rest holds what was not declared, and declared fields whose values are not of their column's type. A column without
//! a value takes no room in the heap, and its room in the fixed part is zero.

use bucketdb_log::codec;
use bucketdb_query::{TextType, TextValue};

use super::item::Item;
use super::message_pack::{Head, MessagePack};
use super::{RowError, too_early};
use crate::layout::Column;
use crate::{FieldType, Layout};

/// Where the value of a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Value = 0,
    Null = 1,
    Absent = 2,
    InRest = 3,
}

/// A row, and where its parts are. What was read of it is known to be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<'de, 'l> {
    pub(super) layout: &'l Layout,
    /// What is behind the width of the ends; it begins with the states.
    body: &'de [u8],
    width: usize,
    heap_at: usize,
    rest_at: usize,
}

impl<'de, 'l> Columns<'de, 'l> {
    /// Of what is behind the version.
    #[inline]
    pub(super) fn open(body: &'de [u8], layout: &'l Layout) -> Result<Self, RowError> {
        let (&width, body) = body.split_first().ok_or_else(too_early)?;
        let width = usize::from(width);
        if !matches!(width, 1 | 2 | 4) {
            return Err(RowError(format!("ends of {width} bytes")));
        }
        let heap_at = layout.ends_at() + layout.heap_columns() * width;
        let mut columns = Self { layout, body, width, heap_at, rest_at: heap_at };
        columns.rest_at = columns.end(layout.heap_columns()).ok_or_else(too_early)?;
        if columns.rest_at > body.len() {
            return Err(too_early());
        }
        Ok(columns)
    }

    /// Whether every column has a value or is null, and there is nothing else.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        let states = self.body.get(..self.layout.state_bytes()).unwrap_or(&[0xff]);
        self.rest_at == self.body.len() && states.iter().all(|states| states & 0b1010_1010 == 0)
    }

    /// Where the value of the column of that index is.
    #[inline]
    pub(super) fn state(&self, index: usize) -> State {
        let states = self.body.get(index / 4).copied().unwrap_or(0b1010_1010);
        match (states >> (2 * (index % 4))) & 3 {
            0 => State::Value,
            1 => State::Null,
            2 => State::Absent,
            _ => State::InRest,
        }
    }

    /// Where the first so many columns of the heap end.
    #[inline]
    fn end(&self, count: usize) -> Option<usize> {
        let Some(index) = count.checked_sub(1) else { return Some(self.heap_at) };
        let end = self.body.get(self.layout.ends_at() + index * self.width..)?;
        let end = end_of_column(end, self.width)?;
        Some(self.heap_at + end)
    }

    #[inline]
    pub(super) fn in_heap(&self, column: &Column) -> Result<&'de [u8], RowError> {
        let (start, end) = (self.end(column.place), self.end(column.place + 1));
        start.zip(end).and_then(|(start, end)| self.body.get(start..end)).ok_or_else(too_early)
    }

    #[inline]
    pub(super) fn number<const N: usize>(&self, column: &Column) -> Result<[u8; N], RowError> {
        self.body.get(column.place..).and_then(|place| place.first_chunk()).copied().ok_or_else(too_early)
    }

    /// The value of the column of that index; `None` if it is not in its column.
    #[inline]
    pub(super) fn item(&self, index: usize, column: &Column) -> Result<Option<Item<'de>>, RowError> {
        match self.state(index) {
            State::Value => self.value(column).map(Some),
            State::Null => Ok(Some(Item::Scalar(Head::Nil))),
            State::Absent | State::InRest => Ok(None),
        }
    }

    #[inline]
    fn value(&self, column: &Column) -> Result<Item<'de>, RowError> {
        Ok(Item::Scalar(match column.field_type {
            FieldType::Bool => match self.number(column)? {
                [0] => Head::Boolean(false),
                [1] => Head::Boolean(true),
                [other] => return Err(RowError(format!("{other} is no boolean"))),
            },
            FieldType::I8 => signed(i8::from_le_bytes(self.number(column)?)),
            FieldType::I16 => signed(i16::from_le_bytes(self.number(column)?)),
            FieldType::I32 => signed(i32::from_le_bytes(self.number(column)?)),
            FieldType::I64 => signed(i64::from_le_bytes(self.number(column)?)),
            FieldType::U8 => Head::Unsigned(u8::from_le_bytes(self.number(column)?).into()),
            FieldType::U16 => Head::Unsigned(u16::from_le_bytes(self.number(column)?).into()),
            FieldType::U32 => Head::Unsigned(u32::from_le_bytes(self.number(column)?).into()),
            FieldType::U64 => Head::Unsigned(u64::from_le_bytes(self.number(column)?)),
            FieldType::F32 => Head::Float32(f32::from_le_bytes(self.number(column)?)),
            FieldType::F64 => Head::Float64(f64::from_le_bytes(self.number(column)?)),
            FieldType::Uuid => self.text_value::<16>(TextType::Uuid, column)?,
            FieldType::Timestamp => self.text_value::<12>(TextType::Timestamp, column)?,
            FieldType::Date => self.text_value::<4>(TextType::Date, column)?,
            FieldType::Decimal => self.text_value::<16>(TextType::Decimal, column)?,
            FieldType::Text | FieldType::Blob => Head::Text(self.in_heap(column)?),
            FieldType::Bytes => Head::Binary(self.in_heap(column)?),
            FieldType::Any => return self.in_heap(column).map(Item::MessagePack),
        }))
    }

    /// What is in no column, as a map; nothing, if it is empty.
    #[inline]
    pub(super) fn rest_bytes(&self) -> &'de [u8] {
        self.body.get(self.rest_at..).unwrap_or_default()
    }

    fn text_value<const N: usize>(&self, text_type: TextType, column: &Column) -> Result<Head<'de>, RowError> {
        let value = TextValue::from_stored(text_type, &self.number::<N>(column)?);
        value.map(Head::TextValue).ok_or_else(|| RowError(format!("it has no {text_type} where one should be")))
    }

    /// What is in no column: its entries, and how many.
    pub(super) fn rest(&self) -> Result<(MessagePack<'de>, usize), RowError> {
        let rest = self.rest_bytes();
        if rest.is_empty() {
            return Ok((MessagePack::nested(&[]), 0));
        }
        let mut rest = MessagePack::nested(rest);
        match rest.head()? {
            Head::Map(entries) => Ok((rest, entries)),
            _ => Err(RowError("its rest is no map".to_owned())),
        }
    }
}

/// Where a column ends in the heap, from what the ends have of it and of those behind it.
#[inline]
pub(super) fn end_of_column(ends: &[u8], width: usize) -> Option<usize> {
    Some(match width {
        1 => usize::from(*ends.first()?),
        2 => usize::from(u16::from_le_bytes(*ends.first_chunk()?)),
        _ => usize::try_from(u32::from_le_bytes(*ends.first_chunk()?)).ok()?,
    })
}

/// As MessagePack has it, where a number says no more than its value.
#[inline]
fn signed<'de>(number: impl Into<i64>) -> Head<'de> {
    let number = number.into();
    u64::try_from(number).map_or(Head::Signed(number), Head::Unsigned)
}

/// What every row of the layout begins with, before its values are known: its columns are absent, and ends take four bytes.
pub(crate) fn blank(version: u32, columns: usize, ends_at: usize, heap_columns: usize) -> Vec<u8> {
    let mut blank = vec![super::KIND_COLUMNS];
    codec::put_varint(&mut blank, u64::from(version));
    blank.push(4);
    let states = blank.len();
    blank.resize(states + columns.div_ceil(4), 0);
    for index in 0..columns {
        if let Some(states) = blank.get_mut(states + index / 4) {
            *states |= (State::Absent as u8) << (2 * (index % 4));
        }
    }
    blank.resize(states + ends_at + 4 * heap_columns, 0);
    blank
}

#[cfg(test)]
pub(super) mod tests;
