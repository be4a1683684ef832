use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::evolution::Evolution;
use crate::row::{self, RowError};
use crate::{FieldType, Schema, TableId};

/// Where the declared fields of one version of a schema are in its rows; what the row looks like is told in
/// [`row`](crate::row).
#[derive(Debug)]
pub struct Layout {
    version: u32,
    columns: Vec<Column>,
    state_bytes: usize,
    /// How many bytes the states take together with the columns whose place is fixed.
    ends_at: usize,
    /// How many columns are in the heap.
    heap_columns: usize,
    /// What its rows begin with before their values are known.
    blank: Vec<u8>,
    /// How many bytes of that are its kind and version.
    head_bytes: usize,
    /// Where the list of field names is that was found last to be exactly the columns; 0 for none.
    same_fields: AtomicUsize,
}

/// A declared field in a row.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: Box<str>,
    pub(crate) field_type: FieldType,
    /// Where it begins, counted from the states; or, if it is in the heap, how many columns are there before it.
    pub(crate) place: usize,
}

impl Layout {
    pub(crate) fn new(schema: &Schema) -> Self {
        let state_bytes = schema.fields().len().div_ceil(4);
        let (mut ends_at, mut heap_columns) = (state_bytes, 0);
        let column = |field: &crate::Field| {
            let (counter, more) = match field.field_type.fixed_bytes() {
                Some(bytes) => (&mut ends_at, bytes),
                None => (&mut heap_columns, 1),
            };
            let place = *counter;
            *counter += more;
            Column { name: field.name.as_str().into(), field_type: field.field_type, place }
        };
        let columns: Vec<Column> = schema.fields().iter().map(column).collect();
        let version = schema.version();
        let blank = row::blank(version, columns.len(), ends_at, heap_columns);
        let head_bytes = blank.len() - ends_at - 4 * heap_columns - 1;
        Self {
            version,
            columns,
            state_bytes,
            ends_at,
            heap_columns,
            blank,
            head_bytes,
            same_fields: AtomicUsize::new(0),
        }
    }

    #[inline]
    pub(crate) fn blank(&self) -> &[u8] {
        &self.blank
    }

    #[inline]
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    #[inline]
    pub(crate) fn column(&self, index: usize) -> Option<&Column> {
        self.columns.get(index)
    }

    #[inline]
    pub(crate) fn state_bytes(&self) -> usize {
        self.state_bytes
    }

    /// How many bytes there are before the ends, counted from the states.
    #[inline]
    pub(crate) fn ends_at(&self) -> usize {
        self.ends_at
    }

    /// What is behind kind and version of a row, if it is laid out so.
    #[inline]
    pub(crate) fn strip<'a>(&self, row: &'a [u8]) -> Option<&'a [u8]> {
        row.strip_prefix(self.blank.get(..self.head_bytes)?)
    }

    #[inline]
    pub(crate) fn heap_columns(&self) -> usize {
        self.heap_columns
    }

    /// The column of that name, which is probably the one at `guess`.
    #[inline]
    pub(crate) fn find(&self, name: &str, guess: usize) -> Option<usize> {
        match self.columns.get(guess) {
            Some(column) if *column.name == *name => Some(guess),
            _ => self.columns.iter().position(|column| *column.name == *name),
        }
    }

    /// Whether a type has exactly the columns as its fields, in their order. The compiler gives every type one list, so
    /// mostly its address is answer enough.
    #[inline]
    pub(crate) fn has_exactly(&self, fields: &'static [&'static str]) -> bool {
        if fields.len() != self.columns.len() {
            return false;
        }
        if self.same_fields.load(Ordering::Relaxed) == fields.as_ptr().addr() {
            return true;
        }
        let is_same = self.columns.iter().zip(fields).all(|(column, field)| *column.name == **field);
        if is_same {
            self.same_fields.store(fields.as_ptr().addr(), Ordering::Relaxed);
        }
        is_same
    }
}

/// The layouts of all tables and versions that a database was ever seen to have, and how versions follow one another.
/// Whatever a version declares never changes, so it only grows, and all states of a database share one.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllLayouts {
    known: Arc<RwLock<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    layouts: BTreeMap<(TableId, u32), Arc<Layout>>,
    evolutions: BTreeMap<TableId, Arc<Evolution>>,
}

impl AllLayouts {
    /// Takes in the last of a table's versions, after which `evolution` holds.
    pub(crate) fn add(&self, table: TableId, schema: &Schema, evolution: &Arc<Evolution>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if schema.version() > 0 {
            known.layouts.entry((table, schema.version())).or_insert_with(|| Arc::new(Layout::new(schema)));
        }
        let newest = known.evolutions.entry(table).or_default();
        if newest.newest() <= evolution.newest() {
            newest.clone_from(evolution);
        }
    }

    fn layout(&self, table: TableId, version: u32) -> Option<Arc<Layout>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).layouts.get(&(table, version)).cloned()
    }

    fn evolution(&self, table: TableId) -> Option<Arc<Evolution>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).evolutions.get(&table).cloned()
    }

    pub(crate) fn of_table(&self, table: TableId, version: u32, evolution: &Arc<Evolution>) -> Layouts {
        let (own, evolution) = (self.layout(table, version), evolution.clone());
        Layouts { version, own, table, evolution, all: self.clone() }
    }
}

/// The layouts of one table: what it takes to write rows under one version of its schema, and to read those of any
/// version, be it registered later.
#[derive(Clone, Debug)]
pub struct Layouts {
    /// Under which rows are written.
    version: u32,
    /// The layout of that version; `None` if it declares no fields.
    own: Option<Arc<Layout>>,
    table: TableId,
    /// How versions follow one another, in the state that these were asked of.
    evolution: Arc<Evolution>,
    all: AllLayouts,
}

/// What is at hand here, or was looked up.
pub(crate) enum Shared<'a, T> {
    Own(&'a T),
    Other(Arc<T>),
}

impl<T> Deref for Shared<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Own(own) => own,
            Self::Other(other) => other,
        }
    }
}

impl Layouts {
    /// That of a schema which is registered nowhere.
    #[must_use]
    pub fn of_schema(schema: &Schema) -> Self {
        Self::of_versions(std::slice::from_ref(schema))
    }

    /// Those of several versions, oldest first, of a table that is registered nowhere: to write under the last of them.
    #[must_use]
    pub fn of_versions(versions: &[Schema]) -> Self {
        let (all, table) = (AllLayouts::default(), TableId(0));
        let evolution = Arc::new(Evolution::of(versions));
        for schema in versions {
            all.add(table, schema, &evolution);
        }
        all.of_table(table, versions.last().map_or(0, Schema::version), &evolution)
    }

    /// The same table's, to write under another version.
    #[must_use]
    pub fn for_version(&self, version: u32) -> Self {
        self.all.of_table(self.table, version, &self.evolution)
    }

    /// As [`for_version`](Self::for_version), with all that was ever seen of how versions follow one another: for a program
    /// that reads a state of the past which does not know its version. The same, if that version was never seen.
    #[must_use]
    pub fn seen_as(&self, version: u32) -> Self {
        match self.all.evolution(self.table) {
            Some(evolution) if self.has_version(version) => self.all.of_table(self.table, version, &evolution),
            _ => self.clone(),
        }
    }

    /// Whether a version that declares fields was ever seen.
    #[must_use]
    pub fn has_version(&self, version: u32) -> bool {
        self.all.layout(self.table, version).is_some()
    }

    /// The version of the schema under which rows are written.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The layout in which rows are written; `None` if they have none.
    #[inline]
    pub(crate) fn own(&self) -> Option<&Layout> {
        self.own.as_deref()
    }

    /// The layout of rows of a version.
    ///
    /// # Errors
    /// If there is no such version.
    #[inline]
    pub(crate) fn of(&self, version: u64) -> Result<Shared<'_, Layout>, RowError> {
        match self.own() {
            Some(own) if u64::from(own.version) == version => Ok(Shared::Own(own)),
            _ => {
                let other = u32::try_from(version).ok().and_then(|version| self.all.layout(self.table, version));
                other.map(Shared::Other).ok_or_else(|| RowError::unknown_version(version))
            }
        }
    }

    /// How versions follow one another, up to that of a row at least.
    #[inline]
    pub(crate) fn evolution_to(&self, version: u32) -> Shared<'_, Evolution> {
        if version <= self.evolution.newest() {
            return Shared::Own(&self.evolution);
        }
        self.all.evolution(self.table).map_or(Shared::Own(&self.evolution), Shared::Other)
    }

    /// Whether there is a version to which only a program's own step leads.
    #[must_use]
    pub fn has_steps(&self) -> bool {
        self.evolution.has_steps()
    }

    /// The lowest version above `from`, and up to `to`, to which only a program's own step leads.
    #[must_use]
    pub fn step_between(&self, from: u32, to: u32) -> Option<u32> {
        self.evolution_to(from.max(to)).step_between(from, to)
    }
}
