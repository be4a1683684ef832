//! Fields of many rows, found at places that are worked out once for every version of the schema.

use super::columns::{State, end_of_column};
use super::message_pack::text;
use super::node::{Kind, float};
use super::number_field::{FieldNumbers, NumberField};
use super::{KIND_COLUMNS, split};
use crate::layout::Column;
use crate::{BaseRows, FieldType, Layouts};
use bucketdb_query::double_of;

/// Some fields at the top of documents, to be read in many rows.
///
/// It knows no more than the rows that most tables mostly have: those laid out by the fields that their schema declares, and
/// values that stand in their columns. Of all others it says that it does not know, and [`look`](super::look) has to be
/// asked; where it says something, that says the same.
#[derive(Debug)]
pub struct FieldPlaces {
    layouts: Layouts,
    names: Vec<Box<str>>,
    versions: Vec<VersionPlaces>,
    /// Which version the last row was of.
    last: usize,
}

/// Where the fields are in rows of one version.
#[derive(Debug)]
struct VersionPlaces {
    head: Head,
    /// The place of each field; `None` if it has no column, or one of which nothing is known here.
    fields: Vec<Option<FieldPlace>>,
}

/// The kind and the version, which rows of one version begin with: as the bits of a number, and which of its bits count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    bits: u64,
    mask: u64,
}

/// Where a field is, counted from the beginning of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldPlace {
    /// The byte with its state, and how far up in it the state is.
    state_at: usize,
    state_shift: u32,
    pub(super) value: ValuePlace,
    /// Whether a field without a value reads so in every version, and null as null.
    is_plain: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ValuePlace {
    Fixed { at: usize, field_type: FieldType },
    Text(TextPlace),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TextPlace {
    /// The byte with the width of the ends.
    width_at: usize,
    /// Where the ends begin.
    ends_at: usize,
    /// How many columns of the heap are in front of it, and how many there are.
    before: usize,
    heap_columns: usize,
}

/// What is known of a field without reading the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Glance<'a> {
    /// Its value.
    Value(Kind<'a>),
    /// That it has none.
    Missing,
    /// Nothing.
    Unknown,
}

/// A row whose fields are at known places.
#[derive(Clone, Copy, Debug)]
pub struct PlacedRow<'a> {
    row: &'a [u8],
    fields: &'a [Option<FieldPlace>],
}

impl FieldPlaces {
    /// Of fields by their names, in rows that are read with these layouts.
    #[must_use]
    pub fn new<'n>(layouts: &Layouts, names: impl IntoIterator<Item = &'n str>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self { layouts: layouts.clone(), names, versions: Vec::new(), last: 0 }
    }

    /// A row, if its fields are at places that are known.
    #[inline]
    pub fn open<'a>(&'a mut self, row: &'a [u8]) -> Option<PlacedRow<'a>> {
        self.find(row).map(|(_, fields)| PlacedRow { row, fields })
    }

    /// The values of a field in rows of one block, by its place among the names, if it is a whole number in all of them; if
    /// they were not read before, only if that is worth it.
    #[must_use]
    pub fn numbers(&mut self, rows: &BaseRows, index: usize, is_worth_reading: bool) -> Option<FieldNumbers> {
        let (head, fields) = self.find(rows.rows().next()?)?;
        FieldNumbers::read(rows, NumberField::new(head, *fields.get(index)?.as_ref()?)?, is_worth_reading)
    }

    /// What rows like this one begin with, and the places of the fields in them.
    #[inline]
    pub(super) fn find(&mut self, row: &[u8]) -> Option<(Head, &[Option<FieldPlace>])> {
        if !self.versions.get(self.last).is_some_and(|version| version.head.is_of(row)) {
            self.last = self.version_of(row)?;
        }
        self.versions.get(self.last).map(|version| (version.head, &*version.fields))
    }

    /// Which of the versions a row is of.
    #[cold]
    fn version_of(&mut self, row: &[u8]) -> Option<usize> {
        if let Some(known) = self.versions.iter().position(|version| version.head.is_of(row)) {
            return Some(known);
        }
        let (kind, version, body) = split(row).ok()?;
        if kind != KIND_COLUMNS {
            return None;
        }
        let layout = self.layouts.of(version).ok()?;
        let version = u32::try_from(version).ok()?;
        let evolution = self.layouts.evolution_to(version);
        let head = row.get(..row.len() - body.len())?;
        // Behind the head, there is one byte before the states.
        let states_at = head.len() + 1;
        let place = |name: &str| {
            let stored = match evolution.find(name) {
                Some(field) => evolution.name(field, version),
                None => name,
            };
            let index = layout.find(stored, 0)?;
            let Column { field_type, place, .. } = layout.column(index)?;
            let value = match field_type {
                FieldType::Text | FieldType::Blob => ValuePlace::Text(TextPlace {
                    width_at: head.len(),
                    ends_at: states_at + layout.ends_at(),
                    before: *place,
                    heap_columns: layout.heap_columns(),
                }),
                field_type if field_type.fixed_bytes().is_some() && field_type.text_type().is_none() => {
                    ValuePlace::Fixed { at: states_at + place, field_type: *field_type }
                }
                _ => return None,
            };
            let (state_at, state_shift) = (states_at + index / 4, 2 * (index % 4) as u32);
            Some(FieldPlace { state_at, state_shift, value, is_plain: evolution.is_plain() })
        };
        let fields = self.names.iter().map(|name| place(name)).collect();
        let head = Head::new(head)?;
        drop((evolution, layout));
        self.versions.push(VersionPlaces { head, fields });
        Some(self.versions.len() - 1)
    }
}

impl Head {
    /// `None` if it is longer than a number.
    fn new(head: &[u8]) -> Option<Self> {
        let (mut bits, mut mask) = ([0; 8], [0; 8]);
        bits.get_mut(..head.len())?.copy_from_slice(head);
        mask.get_mut(..head.len())?.fill(0xff);
        Some(Self { bits: u64::from_le_bytes(bits), mask: u64::from_le_bytes(mask) })
    }

    /// What tells it from others.
    pub(super) fn bits(self) -> u64 {
        self.bits
    }

    /// Whether a row begins so. Nothing is known of very short ones.
    #[inline]
    pub(super) fn is_of(self, row: &[u8]) -> bool {
        row.first_chunk().is_some_and(|first| (u64::from_le_bytes(*first) ^ self.bits) & self.mask == 0)
    }
}

impl<'a> PlacedRow<'a> {
    /// What is known of a field, by its place among the names.
    #[inline]
    #[must_use]
    pub fn field(&self, index: usize) -> Glance<'a> {
        let Some(Some(field)) = self.fields.get(index) else { return Glance::Unknown };
        field.glance(self.row).unwrap_or(Glance::Unknown)
    }
}

impl FieldPlace {
    #[inline]
    fn state(&self, row: &[u8]) -> Option<u8> {
        Some((row.get(self.state_at)? >> self.state_shift) & 3)
    }

    /// Where its state is.
    pub(super) fn state_place(&self) -> u64 {
        4 * self.state_at as u64 + u64::from(self.state_shift / 2)
    }

    /// Whether the value stands in its column.
    #[inline]
    pub(super) fn has_value(&self, row: &[u8]) -> bool {
        self.state(row) == Some(State::Value as u8)
    }

    /// `None` is as unknown: the row is shorter than it should be, or damaged in another way.
    #[inline]
    fn glance<'a>(&self, row: &'a [u8]) -> Option<Glance<'a>> {
        let state = self.state(row)?;
        if state != State::Value as u8 {
            return Some(match state {
                state if state == State::Null as u8 && self.is_plain => Glance::Value(Kind::Null),
                state if state == State::Absent as u8 && self.is_plain => Glance::Missing,
                _ => Glance::Unknown,
            });
        }
        let kind = match self.value {
            ValuePlace::Fixed { at, field_type } => fixed_value(row.get(at..)?, field_type)?,
            ValuePlace::Text(place) => Kind::Text(place.read(row)?),
        };
        Some(Glance::Value(kind))
    }
}

/// The number or boolean that bytes begin with.
#[inline]
pub(super) fn fixed_value(bytes: &[u8], field_type: FieldType) -> Option<Kind<'_>> {
    Some(match field_type {
        FieldType::Bool => match bytes.first()? {
            0 => Kind::Bool(false),
            1 => Kind::Bool(true),
            _ => return None,
        },
        FieldType::I8 => Kind::Integer(i8::from_le_bytes(*bytes.first_chunk()?).into()),
        FieldType::I16 => Kind::Integer(i16::from_le_bytes(*bytes.first_chunk()?).into()),
        FieldType::I32 => Kind::Integer(i32::from_le_bytes(*bytes.first_chunk()?).into()),
        FieldType::I64 => Kind::Integer(i64::from_le_bytes(*bytes.first_chunk()?).into()),
        FieldType::U8 => Kind::Integer(u8::from_le_bytes(*bytes.first_chunk()?).into()),
        FieldType::U16 => Kind::Integer(u16::from_le_bytes(*bytes.first_chunk()?).into()),
        FieldType::U32 => Kind::Integer(u32::from_le_bytes(*bytes.first_chunk()?).into()),
        FieldType::U64 => Kind::Integer(u64::from_le_bytes(*bytes.first_chunk()?).into()),
        FieldType::F32 => float(double_of(f32::from_le_bytes(*bytes.first_chunk()?))),
        FieldType::F64 => float(f64::from_le_bytes(*bytes.first_chunk()?)),
        _ => return None,
    })
}

impl TextPlace {
    #[inline]
    fn read<'a>(&self, row: &'a [u8]) -> Option<&'a str> {
        text(self.bytes(row)?).ok()
    }

    #[inline]
    pub(super) fn bytes<'a>(&self, row: &'a [u8]) -> Option<&'a [u8]> {
        let width = usize::from(*row.get(self.width_at)?);
        let heap = row.get(self.ends_at + self.heap_columns * width..)?;
        let start = match self.before.checked_sub(1) {
            Some(last) => end_of_column(row.get(self.ends_at + last * width..)?, width)?,
            None => 0,
        };
        let end = end_of_column(row.get(self.ends_at + self.before * width..)?, width)?;
        heap.get(start..end)
    }
}

#[cfg(test)]
mod tests;
