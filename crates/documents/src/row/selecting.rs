//! Tests many rows where their fields are, one block after the other.

use super::number_field::NumberField;
use super::places::{FieldPlace, FieldPlaces, Head, TextPlace, ValuePlace};
use crate::{BaseRows, FieldType, Layouts};

/// A condition on a field at the top of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldTest {
    /// It is a whole number within these bounds, both included.
    Whole {
        /// The least.
        least: i128,
        /// The greatest.
        greatest: i128,
    },
    /// It is this text.
    Text(Box<str>),
}

/// Conditions that all must hold, for many rows.
#[derive(Debug)]
pub struct RowTests {
    places: FieldPlaces,
    tests: Vec<FieldTest>,
    /// For rows that begin so, the tests at their places.
    placed: Option<(Head, Vec<PlacedTest>)>,
}

/// A row that passed, or may pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Which of the rows.
    pub index: u32,
    /// Whether it is known to pass; otherwise it has to be read.
    pub is_certain: bool,
}

/// A test at the place of its field; `None` if nothing is known of it there.
type PlacedTest = Option<(FieldPlace, Test)>;

#[derive(Clone, Debug)]
enum Test {
    I8(Bounds<i8>),
    I16(Bounds<i16>),
    I32(Bounds<i32>),
    I64(Bounds<i64>),
    U8(Bounds<u8>),
    U16(Bounds<u16>),
    U32(Bounds<u32>),
    U64(Bounds<u64>),
    Text(TextPlace, Box<str>),
}

#[derive(Clone, Copy, Debug)]
struct Bounds<N> {
    at: usize,
    least: N,
    greatest: N,
}

/// What a test says of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fails,
    Passes,
    Unknown,
}

impl RowTests {
    /// Each with the name of its field, of rows that are read with these layouts.
    #[must_use]
    pub fn new<'n>(layouts: &Layouts, tests: impl IntoIterator<Item = (&'n str, FieldTest)>) -> Self {
        let (names, tests): (Vec<&str>, Vec<FieldTest>) = tests.into_iter().unzip();
        Self { places: FieldPlaces::new(layouts, names), tests, placed: None }
    }

    /// Writes to `selected` which rows pass, or may pass, in order. What it held is forgotten.
    pub fn select(&mut self, rows: &BaseRows, selected: &mut Vec<Selected>) {
        self.place(rows.rows().next().unwrap_or_default());
        match self.alone().and_then(|(field, bounds)| Some((rows.numbers(&field, true)?, bounds))) {
            Some((numbers, bounds)) => select_numbers(&numbers, bounds, selected),
            None => self.select_rows(rows.rows(), selected),
        }
    }

    /// If there is one test only, and of whole numbers: of which field, and what the least and the greatest are.
    fn alone(&self) -> Option<(NumberField, (i64, i64))> {
        let ((head, tests), test) = (self.placed.as_ref()?, self.tests.first()?);
        let ([Some((field, _))], FieldTest::Whole { least, greatest }) = (tests.as_slice(), test) else { return None };
        let field = NumberField::new(*head, *field)?;
        Some((field, field.bounds(*least, *greatest)))
    }

    /// Gets ready for rows like this one: a block mostly has rows of one version.
    fn place(&mut self, first: &[u8]) {
        if !self.placed.as_ref().is_some_and(|(head, _)| head.is_of(first)) {
            self.placed = self.places.find(first).map(|(head, fields)| {
                let tests = fields.iter().zip(&self.tests);
                (head, tests.map(|(field, test)| field.and_then(|field| Some((field, test.at(&field)?)))).collect())
            });
        }
    }

    fn select_rows<'r>(&self, rows: impl ExactSizeIterator<Item = &'r [u8]>, selected: &mut Vec<Selected>) {
        let Some((head, tests)) = &self.placed else {
            selected.clear();
            selected.extend((0..rows.len() as u32).map(|index| Selected { index, is_certain: false }));
            return;
        };
        // The one condition that is asked most often has a loop of its own for every type.
        macro_rules! alone {
            ($($kind:ident $type:ty),*) => {
                match tests.as_slice() {
                    $([Some((field, Test::$kind(bounds)))] => {
                        select_by(rows, *head, selected, |row| bounds.test(field, row, <$type>::from_le_bytes))
                    })*
                    tests => select_by(rows, *head, selected, |row| all(tests, row)),
                }
            };
        }
        alone!(I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64);
    }
}

/// Without a branch that depends on the rows: which of them pass cannot be guessed.
#[inline]
fn select_by<'r>(
    rows: impl ExactSizeIterator<Item = &'r [u8]>,
    head: Head,
    selected: &mut Vec<Selected>,
    test: impl Fn(&[u8]) -> Outcome,
) {
    selected.resize(rows.len(), Selected::default());
    let mut count = 0;
    for (index, row) in (0..).zip(rows) {
        let outcome = if head.is_of(row) { test(row) } else { Outcome::Unknown };
        if let Some(place) = selected.get_mut(count) {
            *place = Selected { index, is_certain: outcome == Outcome::Passes };
        }
        count += usize::from(outcome != Outcome::Fails);
    }
    selected.truncate(count);
}

/// As [`select_by`], by the numbers alone.
fn select_numbers(numbers: &[i64], (least, greatest): (i64, i64), selected: &mut Vec<Selected>) {
    selected.resize(numbers.len(), Selected::default());
    let mut count = 0;
    for (index, number) in (0..).zip(numbers) {
        if let Some(place) = selected.get_mut(count) {
            *place = Selected { index, is_certain: true };
        }
        count += usize::from((*number >= least) & (*number <= greatest));
    }
    selected.truncate(count);
}

fn all(tests: &[PlacedTest], row: &[u8]) -> Outcome {
    let mut all = Outcome::Passes;
    for test in tests {
        match test.as_ref().map_or(Outcome::Unknown, |(field, test)| test.of(field, row)) {
            Outcome::Fails => return Outcome::Fails,
            Outcome::Passes => {}
            Outcome::Unknown => all = Outcome::Unknown,
        }
    }
    all
}

impl FieldTest {
    /// `None` if it is for values of another type than the field mostly has.
    fn at(&self, field: &FieldPlace) -> Option<Test> {
        match (self, field.value) {
            (Self::Text(text), ValuePlace::Text(place)) => Some(Test::Text(place, text.clone())),
            (Self::Whole { least, greatest }, ValuePlace::Fixed { at, field_type }) => {
                macro_rules! bounds {
                    ($kind:ident, $type:ty) => {{
                        let range = (i128::from(<$type>::MIN), i128::from(<$type>::MAX));
                        let is_empty = *least > range.1 || *greatest < range.0 || least > greatest;
                        let clamped = |number: i128| number.clamp(range.0, range.1) as $type;
                        let (least, greatest) = match is_empty {
                            true => (<$type>::MAX, <$type>::MIN),
                            false => (clamped(*least), clamped(*greatest)),
                        };
                        Some(Test::$kind(Bounds { at, least, greatest }))
                    }};
                }
                match field_type {
                    FieldType::I8 => bounds!(I8, i8),
                    FieldType::I16 => bounds!(I16, i16),
                    FieldType::I32 => bounds!(I32, i32),
                    FieldType::I64 => bounds!(I64, i64),
                    FieldType::U8 => bounds!(U8, u8),
                    FieldType::U16 => bounds!(U16, u16),
                    FieldType::U32 => bounds!(U32, u32),
                    FieldType::U64 => bounds!(U64, u64),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl<N: PartialOrd + Copy> Bounds<N> {
    #[inline]
    fn test<const LEN: usize>(&self, field: &FieldPlace, row: &[u8], number: impl Fn([u8; LEN]) -> N) -> Outcome {
        let bytes = row.get(self.at..).and_then(|row| row.first_chunk()).filter(|_| field.has_value(row));
        let Some(bytes) = bytes else { return Outcome::Unknown };
        let number = number(*bytes);
        if (number >= self.least) & (number <= self.greatest) { Outcome::Passes } else { Outcome::Fails }
    }
}

impl Test {
    #[inline]
    fn of(&self, field: &FieldPlace, row: &[u8]) -> Outcome {
        match self {
            Self::I8(bounds) => bounds.test(field, row, i8::from_le_bytes),
            Self::I16(bounds) => bounds.test(field, row, i16::from_le_bytes),
            Self::I32(bounds) => bounds.test(field, row, i32::from_le_bytes),
            Self::I64(bounds) => bounds.test(field, row, i64::from_le_bytes),
            Self::U8(bounds) => bounds.test(field, row, u8::from_le_bytes),
            Self::U16(bounds) => bounds.test(field, row, u16::from_le_bytes),
            Self::U32(bounds) => bounds.test(field, row, u32::from_le_bytes),
            Self::U64(bounds) => bounds.test(field, row, u64::from_le_bytes),
            Self::Text(place, text) => match place.bytes(row).filter(|_| field.has_value(row)) {
                None => Outcome::Unknown,
                Some(bytes) if bytes == text.as_bytes() => Outcome::Passes,
                Some(_) => Outcome::Fails,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::row::columns::tests::{NAMES, any_layouts, any_object};
    use crate::row::{self, Kind};

    fn any_test() -> impl Strategy<Value = FieldTest> {
        prop_oneof![
            (any::<i64>(), any::<i64>(), 0..64_u32).prop_map(|(least, greatest, shift)| FieldTest::Whole {
                least: (least >> shift).into(),
                greatest: (greatest >> shift).into(),
            }),
            Just(FieldTest::Whole { least: i128::MIN, greatest: i128::MAX }),
            "[a-c]?".prop_map(|text| FieldTest::Text(text.into())),
        ]
    }

    /// By a look at the document.
    fn holds(test: &FieldTest, row: &[u8], layouts: &Layouts, name: &str) -> bool {
        let holds = |kind: Kind<'_>| match (test, kind) {
            (FieldTest::Whole { least, greatest }, Kind::Integer(number)) => (least..=greatest).contains(&&number),
            (FieldTest::Text(text), Kind::Text(found)) => **text == *found,
            _ => false,
        };
        row::look(row, layouts, |node| Ok(node.field(name)?.map(|node| node.kind()).transpose()?.is_some_and(holds)))
            .unwrap()
    }

    proptest! {
        #[test]
        fn what_is_certain_holds_and_nothing_that_holds_is_left_out(
            documents in vec(any_object(), 0..8),
            layouts in any_layouts(NAMES.to_vec()),
            tests in vec((prop::sample::select(NAMES.to_vec()), any_test()), 1..3),
            empty in 0..9_usize,
        ) {
            let layouts = &layouts;
            let mut rows: Vec<Vec<u8>> =
                documents.iter().map(|document| row::encode(document, layouts).unwrap().to_vec()).collect();
            if empty < rows.len() {
                rows[empty].clear();
            }
            let mut selected = vec![Selected { index: 77, is_certain: true }];
            let named = tests.iter().map(|(name, test)| (*name, test.clone()));
            let mut all = RowTests::new(layouts, named);
            all.place(rows.first().map(Vec::as_slice).unwrap_or_default());
            all.select_rows(rows.iter().map(Vec::as_slice), &mut selected);
            prop_assert!(selected.is_sorted_by_key(|selected| selected.index));
            if let Some((field, bounds)) = all.alone()
                && let Some(numbers) = rows.iter().map(|row| field.read(row)).collect::<Option<Vec<_>>>()
            {
                let mut by_numbers = Vec::new();
                select_numbers(&numbers, bounds, &mut by_numbers);
                prop_assert_eq!(&by_numbers, &selected, "by numbers side by side");
            }
            for (index, row) in (0..).zip(&rows) {
                let found = selected.iter().find(|selected| selected.index == index);
                if row.is_empty() {
                    prop_assert_eq!(found.map(|found| found.is_certain), Some(false), "nothing is known of no bytes");
                    continue;
                }
                let holds = tests.iter().all(|(name, test)| holds(test, row, layouts, name));
                match found {
                    None => prop_assert!(!holds, "{} is left out", documents[index as usize]),
                    Some(found) => prop_assert!(holds || !found.is_certain, "{} passes", documents[index as usize]),
                }
            }
        }
    }
}
