//! A whole number that every row of a block has, for strips of them.

use bucketdb_runs::{Numbers, StripId};

use super::node::Kind;
use super::places::{FieldPlace, Head, ValuePlace, fixed_value};
use crate::{BaseRows, FieldType};

/// A field of whole numbers in rows of one version. Its numbers are ordered as 64 bits with a sign; what the field has is told
/// by [`value`](Self::value).
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberField {
    head: Head,
    field: FieldPlace,
    at: usize,
    field_type: FieldType,
}

/// The values of a field of whole numbers in some rows that follow each other, read side by side.
#[derive(Clone, Debug)]
pub struct FieldNumbers {
    field: NumberField,
    numbers: Numbers,
}

impl FieldNumbers {
    /// `None` if there is a row of which it is not known, or if it was not read before and is not worth it.
    pub(super) fn read(rows: &BaseRows, field: NumberField, is_worth_reading: bool) -> Option<Self> {
        Some(Self { numbers: rows.numbers(&field, is_worth_reading)?, field })
    }

    /// That of a row, by its place among the rows.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i128> {
        self.numbers.get(index).map(|number| self.field.value(*number))
    }
}

/// What an unsigned number of 64 bits is turned by to be ordered as one with a sign.
const SIGN: u64 = 1 << 63;

impl NumberField {
    /// `None` if it holds something else.
    pub(super) fn new(head: Head, field: FieldPlace) -> Option<Self> {
        let ValuePlace::Fixed { at, field_type } = field.value else { return None };
        use FieldType::{I8, I16, I32, I64, U8, U16, U32, U64};
        matches!(field_type, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64).then_some(Self {
            head,
            field,
            at,
            field_type,
        })
    }

    /// What tells its numbers from those of all other fields: where and as what they are read.
    pub(crate) fn id(&self) -> StripId {
        [self.head.bits(), self.field.state_place(), self.at as u64, self.field_type as u64]
    }

    /// The number of a row that has it in its column.
    #[inline]
    pub(crate) fn read(&self, row: &[u8]) -> Option<i64> {
        if !self.head.is_of(row) || !self.field.has_value(row) {
            return None;
        }
        match fixed_value(row.get(self.at..)?, self.field_type)? {
            Kind::Integer(value) => Some(self.number(value)),
            _ => None,
        }
    }

    /// The number that stands for a value of the field.
    #[inline]
    fn number(&self, value: i128) -> i64 {
        if self.field_type == FieldType::U64 { (value as u64 ^ SIGN) as i64 } else { value as i64 }
    }

    /// What a number stands for.
    #[inline]
    fn value(&self, number: i64) -> i128 {
        if self.field_type == FieldType::U64 { i128::from(number as u64 ^ SIGN) } else { number.into() }
    }

    /// The numbers that stand for values within these bounds, both included: the least and the greatest. If there are none,
    /// the least is above the greatest.
    pub(super) fn bounds(&self, least: i128, greatest: i128) -> (i64, i64) {
        let (low, high) = match self.field_type {
            FieldType::U64 => (0, i128::from(u64::MAX)),
            _ => (i64::MIN.into(), i64::MAX.into()),
        };
        if least > high || greatest < low || least > greatest {
            return (i64::MAX, i64::MIN);
        }
        let number = |value: i128| self.number(value.clamp(low, high));
        (number(least), number(greatest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::row::columns::tests::{NAMES, any_layouts, any_object};
    use crate::row::{self, FieldPlaces, Kind};

    proptest! {
        #[test]
        fn a_number_stands_for_the_value_and_is_ordered_as_it(
            documents in prop::collection::vec(any_object(), 2..6),
            layouts in any_layouts(NAMES.to_vec()),
        ) {
            let rows: Vec<_> = documents.iter().map(|document| row::encode(document, &layouts).unwrap()).collect();
            let mut places = FieldPlaces::new(&layouts, NAMES);
            let (head, fields) = places.find(&rows[0]).unwrap();
            for (name, field) in NAMES.iter().zip(fields) {
                let Some(field) = field.and_then(|field| NumberField::new(head, field)) else { continue };
                let mut found = Vec::new();
                for row in &rows {
                    let whole = |kind: Kind<'_>| match kind {
                        Kind::Integer(value) => Some(value),
                        _ => None,
                    };
                    let value = row::look(row, &layouts, |node| Ok(match node.field(name)? {
                        Some(node) => whole(node.kind()?),
                        None => None,
                    })).unwrap();
                    let Some(number) = field.read(row) else { continue };
                    prop_assert_eq!(Some(field.value(number)), value);
                    prop_assert_eq!(field.bounds(field.value(number), i128::MAX).0, number);
                    prop_assert_eq!(field.bounds(i128::MIN, field.value(number)).1, number);
                    found.push((field.value(number), number));
                }
                found.sort_unstable();
                prop_assert!(found.is_sorted_by_key(|(_, number)| *number));
            }
        }
    }
}
