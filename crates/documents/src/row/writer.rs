//! Lays a document out by columns while it serialises itself.

use std::fmt::Display;

use bucketdb_query::AsStored;
use serde::Serialize;
use serde::ser::{Error, Impossible, SerializeMap, SerializeStruct, Serializer};

use super::RowError;
use super::columns::State;
use super::message_pack::{MessagePack, NIL};
use super::name::Name;
use super::refusing::{does_not_fit, no_parts};
use super::scalar::Scalar;
use crate::layout::Column;
use crate::{FieldType, Layout};

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// It has another shape than what it was to be written as.
    #[error("it does not fit")]
    DoesNotFit,
    #[error(transparent)]
    Failed(RowError),
}

impl Error for WriteError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Failed(RowError(message.to_string()))
    }
}

impl From<RowError> for WriteError {
    fn from(error: RowError) -> Self {
        Self::Failed(error)
    }
}

/// Appends a row in columns.
///
/// # Errors
/// [`WriteError::DoesNotFit`] if the document has no fields, or one of the columns twice. After an error, the buffer may hold
/// part of a row.
pub(super) fn write<T: Serialize + ?Sized>(
    buffer: &mut Vec<u8>,
    document: &T,
    layout: &Layout,
) -> Result<(), WriteError> {
    document.serialize(Writer::begin(buffer, layout))
}

/// A row that is being written. The heap grows as values come; ends take four bytes each until all are known.
pub(super) struct Writer<'a> {
    row: &'a mut Vec<u8>,
    layout: &'a Layout,
    /// Where the parts of the row begin.
    states_at: usize,
    ends_at: usize,
    heap_at: usize,
    /// The column that probably comes next.
    next: usize,
    /// Up to which column of the heap, in order, ends are known.
    heap_next: usize,
    /// Once columns of the heap came out of order: where each is.
    spans: Vec<(usize, usize)>,
    /// Entries of the map that is the rest.
    rest: Vec<u8>,
    rest_entries: usize,
}

impl<'a> Writer<'a> {
    fn begin(row: &'a mut Vec<u8>, layout: &'a Layout) -> Self {
        row.extend_from_slice(layout.blank());
        let heap_at = row.len();
        let ends_at = heap_at - 4 * layout.heap_columns();
        let states_at = ends_at - layout.ends_at();
        let (next, heap_next, spans, rest, rest_entries) = (0, 0, Vec::new(), Vec::new(), 0);
        Self { row, layout, states_at, ends_at, heap_at, next, heap_next, spans, rest, rest_entries }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.row.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Of a column that is absent as yet.
    pub(super) fn set_state(&mut self, index: usize, state: State) {
        if let Some(states) = self.row.get_mut(self.states_at + index / 4) {
            *states ^= ((State::Absent as u8) ^ (state as u8)) << (2 * (index % 4));
        }
    }

    /// The value of a column whose place is fixed.
    pub(super) fn put_fixed(&mut self, index: usize, column: &Column, bytes: &[u8]) {
        self.put(self.states_at + column.place, bytes);
        self.set_state(index, State::Value);
    }

    /// The value of a column of the heap.
    pub(super) fn put_heap(&mut self, index: usize, column: &Column, bytes: &[u8]) -> Result<(), WriteError> {
        let start = self.row.len();
        self.row.extend_from_slice(bytes);
        self.end_heap(index, column, start)
    }

    fn is_absent(&self, index: usize) -> bool {
        let states = self.row.get(self.states_at + index / 4).copied().unwrap_or_default();
        (states >> (2 * (index % 4))) & 3 == State::Absent as u8
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), WriteError> {
        match self.layout.find(name, self.next) {
            Some(index) => self.column(index, value),
            None => self.rest_entry(name, value),
        }
    }

    fn column<T: Serialize + ?Sized>(&mut self, index: usize, value: &T) -> Result<(), WriteError> {
        let layout = self.layout;
        let Some(column) = layout.column(index) else { return Err(WriteError::DoesNotFit) };
        self.next = index + 1;
        if !self.is_absent(index) {
            return Err(WriteError::DoesNotFit);
        }
        if column.field_type == FieldType::Any {
            return self.message_pack(index, column, value);
        }
        match value.serialize(Scalar { writer: self, index, column }) {
            Err(WriteError::DoesNotFit) => {
                self.set_state(index, State::InRest);
                self.rest_entry(&column.name, value)
            }
            outcome => outcome,
        }
    }

    fn message_pack<T: Serialize + ?Sized>(
        &mut self,
        index: usize,
        column: &Column,
        value: &T,
    ) -> Result<(), WriteError> {
        let start = self.row.len();
        append(self.row, value)?;
        let written = self.row.get(start..).unwrap_or_default();
        if *written == [NIL] {
            self.row.truncate(start);
            self.set_state(index, State::Null);
            return Ok(());
        }
        check(written, 1)?;
        self.end_heap(index, column, start)
    }

    /// The heap was given the value of a column, which begins there.
    fn end_heap(&mut self, index: usize, column: &Column, start: usize) -> Result<(), WriteError> {
        self.set_state(index, State::Value);
        if self.spans.is_empty() && column.place >= self.heap_next {
            self.end_up_to(column.place, start)?;
            return self.end_up_to(column.place + 1, self.row.len());
        }
        if self.spans.is_empty() {
            self.spans = (0..self.layout.heap_columns()).map(|place| self.span(place)).collect();
        }
        if let Some(span) = self.spans.get_mut(column.place) {
            *span = (start, self.row.len());
        }
        Ok(())
    }

    /// Where a column of the heap is, if they came in order.
    fn span(&self, place: usize) -> (usize, usize) {
        let end = |count: usize| {
            let ends = self.row.get(self.ends_at..self.heap_at).unwrap_or_default();
            let end = count.checked_sub(1).and_then(|index| ends.get(4 * index..)).and_then(|end| end.first_chunk());
            self.heap_at + end.map_or(0, |end| u32::from_le_bytes(*end) as usize)
        };
        if place < self.heap_next { (end(place), end(place + 1)) } else { (0, 0) }
    }

    /// Columns of the heap before the one of that place, whose ends are not known yet, end there.
    fn end_up_to(&mut self, place: usize, end: usize) -> Result<(), WriteError> {
        let end = u32::try_from(end - self.heap_at).map_err(WriteError::custom)?;
        while self.heap_next < place {
            self.put(self.ends_at + 4 * self.heap_next, &end.to_le_bytes());
            self.heap_next += 1;
        }
        Ok(())
    }

    fn rest_entry<K, T>(&mut self, key: &K, value: &T) -> Result<(), WriteError>
    where
        K: Serialize + ?Sized,
        T: Serialize + ?Sized,
    {
        self.rest_key(key)?;
        self.rest_value(value)
    }

    fn rest_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), WriteError> {
        self.rest_entries += 1;
        self.rest_value(key)
    }

    fn rest_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        let start = self.rest.len();
        append(&mut self.rest, value)?;
        check(self.rest.get(start..).unwrap_or_default(), 1)
    }

    fn finish(mut self) -> Result<(), WriteError> {
        if !self.spans.is_empty() {
            let mut heap = Vec::with_capacity(self.row.len() - self.heap_at);
            for (place, (start, end)) in std::mem::take(&mut self.spans).into_iter().enumerate() {
                heap.extend_from_slice(self.row.get(start..end).unwrap_or_default());
                let end = u32::try_from(heap.len()).map_err(WriteError::custom)?;
                self.put(self.ends_at + 4 * place, &end.to_le_bytes());
            }
            self.row.truncate(self.heap_at);
            self.row.extend_from_slice(&heap);
        } else {
            self.end_up_to(self.layout.heap_columns(), self.row.len())?;
        }
        self.narrow_ends();
        if self.rest_entries > 0 {
            put_map_head(self.row, self.rest_entries)?;
            self.row.extend_from_slice(&self.rest);
        }
        Ok(())
    }

    /// Ends take no more bytes than the last needs.
    fn narrow_ends(&mut self) {
        let width = match self.row.len() - self.heap_at {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => return,
        };
        self.put(self.states_at - 1, &[width]);
        let width = usize::from(width);
        let mut narrow_at = self.ends_at;
        for wide_at in (self.ends_at..self.heap_at).step_by(4) {
            self.row.copy_within(wide_at..wide_at + width, narrow_at);
            narrow_at += width;
        }
        self.row.copy_within(self.heap_at.., narrow_at);
        self.row.truncate(self.row.len() - (self.heap_at - narrow_at));
    }
}

/// Appends a value as MessagePack.
pub(super) fn append<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<(), WriteError> {
    let mut serializer = rmp_serde::Serializer::new(buffer).with_struct_map().with_human_readable();
    AsStored(value).serialize(&mut serializer).map_err(WriteError::custom)
}

/// That so many values can be read: the serialiser has no limit of depth that holds for lists, and believes any length.
pub(super) fn check(written: &[u8], values: usize) -> Result<(), WriteError> {
    let mut written = MessagePack::nested(written);
    for _ in 0..values {
        written.skip()?;
    }
    Ok(written.end()?)
}

pub(super) fn put_map_head(buffer: &mut Vec<u8>, entries: usize) -> Result<(), WriteError> {
    match (u8::try_from(entries), u16::try_from(entries)) {
        (Ok(entries @ 0..=15), _) => buffer.push(0x80 | entries),
        (_, Ok(entries)) => {
            buffer.push(0xde);
            buffer.extend_from_slice(&entries.to_be_bytes());
        }
        _ => {
            buffer.push(0xdf);
            buffer.extend_from_slice(&u32::try_from(entries).map_err(WriteError::custom)?.to_be_bytes());
        }
    }
    Ok(())
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = WriteError;
    type SerializeMap = MapWriter<'a>;
    type SerializeStruct = Self;

    fn serialize_map(self, _: Option<usize>) -> Result<MapWriter<'a>, WriteError> {
        Ok(MapWriter { writer: self, column: None })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, WriteError> {
        Ok(self)
    }

    fn serialize_none(self) -> Result<(), WriteError> {
        Err(WriteError::DoesNotFit)
    }

    fn serialize_unit(self) -> Result<(), WriteError> {
        Err(WriteError::DoesNotFit)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), WriteError> {
        Err(WriteError::DoesNotFit)
    }

    no_parts!();
    does_not_fit! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_u128(u128), serialize_f32(f32), serialize_f64(f64), serialize_char(char), serialize_str(&str),
        serialize_bytes(&[u8]),
    }
}

impl SerializeStruct for Writer<'_> {
    type Ok = ();
    type Error = WriteError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), WriteError> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), WriteError> {
        self.finish()
    }
}

/// A document that says the names of its fields as values.
pub(super) struct MapWriter<'a> {
    writer: Writer<'a>,
    /// The column of the last key; `None` if its value goes to the rest.
    column: Option<usize>,
}

impl SerializeMap for MapWriter<'_> {
    type Ok = ();
    type Error = WriteError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), WriteError> {
        let name = Name { layout: self.writer.layout, guess: self.writer.next };
        // What is no text names no column.
        self.column = key.serialize(name).unwrap_or_default();
        match self.column {
            Some(_) => Ok(()),
            None => self.writer.rest_key(key),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        match self.column {
            Some(index) => self.writer.column(index, value),
            None => self.writer.rest_value(value),
        }
    }

    fn end(self) -> Result<(), WriteError> {
        self.writer.finish()
    }
}
