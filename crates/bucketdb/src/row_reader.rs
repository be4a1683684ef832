use std::slice;

use bucketdb_documents::row::{self, FieldPlaces, FieldTest, Glance, Kind, PlacedRow, RowError, RowTests};
use bucketdb_query::{Comparison, Expression, Filter, Path, Reach, Segment, ValueRef};
use serde_json::Value;

use crate::rows::TableRef;
use crate::stored_document::StoredDocument;
use crate::stretch::{Rows, StoredRow};

/// Reads some values of many rows: those in fields at the top of documents mostly without a look at anything else.
pub(crate) struct RowReader {
    table: TableRef,
    /// The paths that are one field each, in the order of `places`.
    fields: Vec<Path>,
    places: FieldPlaces,
    /// Which of the fields the paths are that values are asked for by their places.
    asked: Vec<Option<usize>>,
    tests: Option<Tests>,
}

/// What of a filter can be tested for the rows of a block at once.
struct Tests {
    tests: RowTests,
    /// Whether the filter says nothing else.
    are_all: bool,
}

/// A row of which some values may be read.
pub(crate) struct ReadRow<'a> {
    row: StoredRow<'a>,
    table: &'a TableRef,
    fields: &'a [Path],
    asked: &'a [Option<usize>],
    /// `None` if nothing is known of where its fields are.
    placed: Option<PlacedRow<'a>>,
}

impl RowReader {
    /// Of the paths of a filter, and others. `None` if rows may have to go through a program's own step first.
    pub(crate) fn new<'p>(
        table: &TableRef,
        filter: Option<&'p Filter>,
        paths: impl IntoIterator<Item = &'p Path>,
    ) -> Option<Self> {
        if table.may_need_step() {
            return None;
        }
        let mut names: Vec<&str> = Vec::new();
        let mut place = |path: &'p Path| {
            let name = field_name(path, table)?;
            let known = names.iter().position(|known| *known == name);
            Some(known.unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            }))
        };
        let asked = paths.into_iter().map(&mut place).collect();
        for path in filter.into_iter().flat_map(Filter::paths) {
            place(path);
        }
        let fields = names.iter().map(|name| Path::field(*name)).collect();
        let places = FieldPlaces::new(&table.layouts, names);
        let tests = filter.and_then(|filter| Tests::of(filter, table));
        Some(Self { table: table.clone(), fields, places, asked, tests })
    }

    /// Leaves out rows of which a test tells that the filter does not accept them.
    pub(crate) fn select(&mut self, rows: &mut Rows) {
        if let Some(Tests { tests, are_all }) = &mut self.tests {
            rows.select(tests, *are_all);
        }
        if !self.asked.is_empty() {
            rows.read_numbers(&mut self.places, &self.asked);
        }
    }

    /// A row, for a filter.
    #[inline]
    pub(crate) fn read<'a>(&'a mut self, row: StoredRow<'a>) -> ReadRow<'a> {
        let Self { table, fields, places, asked, .. } = self;
        ReadRow { row, table, fields, asked, placed: places.open(row.row) }
    }

    /// A row, of which no more is read than what is asked for by places: it may not even be touched.
    #[inline]
    pub(crate) fn read_asked<'a>(&'a mut self, row: StoredRow<'a>) -> ReadRow<'a> {
        if !row.has_numbers(self.asked.len()) {
            return self.read(row);
        }
        let Self { table, fields, asked, .. } = self;
        ReadRow { row, table, fields, asked, placed: None }
    }
}

impl Tests {
    fn of(filter: &Filter, table: &TableRef) -> Option<Self> {
        let conditions = match filter.expression() {
            Expression::And(conditions) => conditions.as_slice(),
            _ => slice::from_ref(filter),
        };
        let tests: Vec<_> = conditions.iter().filter_map(|condition| test_of(condition.expression(), table)).collect();
        let are_all = tests.len() == conditions.len();
        (!tests.is_empty()).then(|| Self { tests: RowTests::new(&table.layouts, tests), are_all })
    }
}

/// The test that a condition is.
fn test_of<'f>(condition: &'f Expression, table: &TableRef) -> Option<(&'f str, FieldTest)> {
    match condition {
        Expression::Compare { path, comparison: Comparison::Equal, value: Value::String(text) } => {
            Some((field_name(path, table)?, FieldTest::Text(text.as_str().into())))
        }
        Expression::Compare { path, .. } | Expression::Between { path, .. } => {
            let (least, greatest) = condition.whole_numbers().filter(|(least, greatest)| least <= greatest)?;
            Some((field_name(path, table)?, FieldTest::Whole { least, greatest }))
        }
        _ => None,
    }
}

/// The field at the top of documents that a path is, if it has no type of texts, by which its values would be compared.
fn field_name<'p>(path: &'p Path, table: &TableRef) -> Option<&'p str> {
    match path.segments() {
        [Segment::Field(name)] if table.types.of_path(path).is_none() => Some(name),
        _ => None,
    }
}

impl Reach for ReadRow<'_> {
    type Error = RowError;

    #[inline]
    fn any(&self, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, RowError> {
        match self.glance(self.field(path), &mut holds) {
            Some(holds) => Ok(holds),
            None => self.look(|document| document.any(path, holds)),
        }
    }

    #[inline]
    fn any_comparable(&self, path: &Path, holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, RowError> {
        self.any_of(self.field(path), path, holds)
    }

    #[inline]
    fn any_at(&self, place: usize, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, RowError> {
        debug_assert_eq!(self.asked.get(place), Some(&self.field(path)), "{path} is the path at its place");
        match self.row.number(place) {
            Some(number) => Ok(holds(ValueRef::Integer(number))),
            None => self.any_of(self.asked.get(place).copied().flatten(), path, holds),
        }
    }
}

impl ReadRow<'_> {
    #[inline]
    fn field(&self, path: &Path) -> Option<usize> {
        self.fields.iter().position(|known| known == path)
    }

    #[inline]
    fn any_of(
        &self,
        field: Option<usize>,
        path: &Path,
        mut holds: impl FnMut(ValueRef<'_>) -> bool,
    ) -> Result<bool, RowError> {
        match self.glance(field, &mut holds) {
            Some(holds) => Ok(holds),
            None => self.look(|document| document.any_comparable(path, holds)),
        }
    }

    /// The answer if the field is at a known place; it has no type, so its values are comparable as they are.
    #[inline]
    fn glance(&self, field: Option<usize>, holds: &mut impl FnMut(ValueRef<'_>) -> bool) -> Option<bool> {
        match self.placed?.field(field?) {
            Glance::Missing => Some(false),
            Glance::Value(Kind::Null) => Some(holds(ValueRef::Null)),
            Glance::Value(Kind::Bool(value)) => Some(holds(ValueRef::Bool(value))),
            Glance::Value(Kind::Integer(number)) => Some(holds(ValueRef::Integer(number))),
            Glance::Value(Kind::Float(number)) => Some(holds(ValueRef::Float(number))),
            Glance::Value(Kind::Text(text)) => Some(holds(ValueRef::Text(text))),
            Glance::Value(Kind::List | Kind::Map | Kind::TextValue(_)) | Glance::Unknown => None,
        }
    }

    #[cold]
    fn look(&self, read: impl FnOnce(&StoredDocument<'_>) -> Result<bool, RowError>) -> Result<bool, RowError> {
        let types = &self.table.types;
        row::look(self.row.row, &self.table.layouts, |document| read(&StoredDocument { document, types }))
    }
}
