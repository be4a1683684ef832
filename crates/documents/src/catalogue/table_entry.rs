use std::collections::BTreeMap;
use std::sync::Arc;

use bucketdb_log::codec::Malformed;
use bucketdb_query::{Order, OrderTerm, Path, TextType, TextTypes};

use super::TableId;
use crate::evolution::Evolution;
use crate::layout::AllLayouts;
use crate::ttl::ttl_field;
use crate::{Index, IndexDefinition, IndexId, InvalidSchema, Layouts, Refusal, Schema, Ttl};

/// One table of a [`Catalogue`](crate::Catalogue).
#[derive(Clone, Debug)]
pub struct TableEntry {
    /// Its number.
    pub id: TableId,
    /// Every version that was registered, oldest first; never empty.
    pub(super) versions: Vec<Schema>,
    pub(super) indexes: Vec<Index>,
    pub(super) ttl: Option<Arc<Ttl>>,
    /// What the texts of its fields stand for.
    pub(super) types: TextTypes,
    pub(super) layouts: AllLayouts,
    pub(super) evolution: Arc<Evolution>,
    pub(super) migrated: Migrated,
}

/// How far the documents of a table have come to newer versions of its schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// No document of a lower version is written any more.
    pub accepts: u32,
    /// There is no document of a lower version any more. Never above `accepts`.
    pub has: u32,
}

impl TableEntry {
    /// The newest version of its schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        #[expect(clippy::expect_used, reason = "an entry is made with its first version and none is ever removed")]
        self.versions.last().expect("a table has a schema")
    }

    /// Every version of its schema, oldest first.
    #[must_use]
    pub fn versions(&self) -> &[Schema] {
        &self.versions
    }

    /// Its indexes, oldest first.
    #[must_use]
    pub fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// Until when its documents live, if they do not live for ever.
    #[must_use]
    pub fn ttl(&self) -> Option<&Arc<Ttl>> {
        self.ttl.as_ref()
    }

    pub(super) fn set_ttl(&mut self, field: Option<&str>) -> Result<(), Malformed> {
        let field = field.map(|field| ttl_field(self.schema().table(), field)).transpose();
        let field = field.map_err(|_| Malformed("no field can be that which says when a document ends"))?;
        self.ttl = field.map(|field| {
            let field = field.with_first_field(|name| self.evolution.newest_name(name));
            Arc::new(Ttl::new(field, self.layouts()))
        });
        Ok(())
    }

    /// Whether that field says when documents end.
    pub(super) fn ends_by(&self, field: &str) -> bool {
        let Ok(field) = ttl_field(self.schema().table(), field) else { return false };
        let field = field.with_first_field(|name| self.evolution.newest_name(name));
        self.ttl.as_ref().is_some_and(|ttl| ttl.field() == field.to_string())
    }

    /// The index over these fields, in the text form of an order.
    #[must_use]
    pub fn index(&self, fields: &str) -> Option<&Index> {
        let order = self.newest_order(&fields.parse().ok()?);
        self.indexes.iter().find(|index| index.order == order)
    }

    /// An order, by the names that fields have in the newest version.
    #[must_use]
    pub fn newest_order(&self, order: &Order) -> Order {
        order.with_fields(|name| self.evolution.newest_name(name))
    }

    /// How its versions follow one another.
    #[must_use]
    pub fn evolution(&self) -> &Evolution {
        &self.evolution
    }

    /// How far its documents have come to newer versions.
    #[must_use]
    pub fn migrated(&self) -> Migrated {
        self.migrated
    }

    /// What the texts of its fields stand for, by all names that fields ever had: of a field of the key as the key says, of
    /// another as the newest version says that declares it. Documents of all versions are compared by that.
    #[must_use]
    pub fn types(&self) -> &TextTypes {
        &self.types
    }

    /// Whether nothing is to be done to register a schema.
    #[must_use]
    pub fn has(&self, schema: &Schema) -> bool {
        let is_declared = self.versions.iter().any(|known| known.is_same_declaration(schema));
        is_declared && schema.indexes().iter().all(|wanted| self.has_index(wanted))
    }

    /// Whether a schema that is [there](Self::has) says when documents end, and nobody has yet. What was said once, programs
    /// that declare another field leave as it is: there may be several, side by side.
    #[must_use]
    pub fn lacks_ttl(&self, schema: &Schema) -> bool {
        self.ttl.is_none() && schema.ttl().is_some()
    }

    fn has_index(&self, wanted: &IndexDefinition) -> bool {
        self.index(&wanted.fields).is_some_and(|index| index.is_unique == wanted.is_unique)
    }

    /// # Errors
    /// If an index that is wanted contradicts one that there is.
    pub(super) fn check_indexes(&self, schema: &Schema) -> Result<(), InvalidSchema> {
        let contradicts = |wanted: &&IndexDefinition| {
            self.index(&wanted.fields).is_some_and(|index| index.is_unique != wanted.is_unique)
        };
        let Some(wanted) = schema.indexes().iter().find(contradicts) else { return Ok(()) };
        let (has, wants) = if wanted.is_unique { ("is not", "is to be") } else { ("is", "is not to be") };
        let fields = &wanted.fields;
        let reason = format!("the index on {fields} {has} unique, and {wants}; drop it first");
        Err(InvalidSchema { table: schema.table().to_owned(), reason })
    }

    /// How its rows are laid out; to be written under the newest version.
    #[must_use]
    pub fn layouts(&self) -> Layouts {
        self.layouts.of_table(self.id, self.schema().version(), &self.evolution)
    }

    /// Takes in a new version. Gives the indexes that have to begin anew because documents that were there before have
    /// other values in their fields from now on.
    pub(super) fn add_version(&mut self, schema: Schema) -> Vec<IndexDefinition> {
        self.versions.push(schema);
        let evolution = Arc::new(Evolution::of(&self.versions));
        let is_first = self.versions.len() == 1;
        self.layouts.add(self.id, self.schema(), &evolution);
        let before = std::mem::replace(&mut self.evolution, evolution);
        let types = types_of(&self.versions, &self.evolution);
        let types_before = std::mem::replace(&mut self.types, types);
        if is_first {
            return Vec::new();
        }
        let (after, versions) = (&self.evolution, &self.versions);
        let is_stale = |index: &Index| {
            let is_other_type = |term: &OrderTerm| types_before.of_path(&term.path) != self.types.of_path(&term.path);
            let is_stale_in = |name| !after.reads_as_before(&before, name, versions.iter().map(Schema::version));
            index.order.fields().any(is_stale_in) || index.order.terms().iter().any(is_other_type)
        };
        let (stale, mut kept): (Vec<Index>, Vec<Index>) = self.indexes.drain(..).partition(is_stale);
        for index in &mut kept {
            index.order = index.order.with_fields(|name| after.newest_name(name));
            index.types = types_at(&index.order, &self.types);
        }
        self.indexes = kept;
        let after = self.evolution.clone();
        let definition = |index: Index| {
            let order = index.order.with_fields(|name| after.newest_name(name));
            IndexDefinition { fields: order.to_string(), is_unique: index.is_unique }
        };
        let stale = stale.into_iter().map(definition).collect();
        if let Some(ttl) = self.ttl.take() {
            self.ttl = Some(Arc::new(ttl.renamed(|name| after.newest_name(name), self.layouts())));
        }
        stale
    }

    pub(super) fn new_index(&self, id: IndexId, definition: &IndexDefinition) -> Result<Index, Malformed> {
        let order = definition.order(self.schema().table()).map_err(|_| Malformed("an index cannot be"))?;
        let order = self.newest_order(&order);
        let types = types_at(&order, &self.types);
        Ok(Index { id, order, is_unique: definition.is_unique, types })
    }

    /// Whether documents of a version may be written.
    ///
    /// # Errors
    /// [`Refusal::OutdatedVersion`].
    pub(crate) fn check_accepted(&self, version: u32) -> Result<(), Refusal> {
        let Migrated { accepts, .. } = self.migrated;
        if version >= accepts {
            return Ok(());
        }
        Err(Refusal::OutdatedVersion { table: self.schema().table().to_owned(), version, accepts })
    }
}

/// The types of the values that an order is by: others may come and go while there is an index over it.
fn types_at(order: &Order, types: &TextTypes) -> TextTypes {
    order.terms().iter().filter_map(|term| Some((term.path.clone(), types.of_path(&term.path)?))).collect()
}

/// What texts stand for by all versions of a schema, oldest first.
fn types_of(versions: &[Schema], evolution: &Evolution) -> TextTypes {
    let mut types: BTreeMap<String, (Path, Option<TextType>)> = BTreeMap::new();
    for schema in versions {
        let fields = schema.fields().iter().map(|field| (Path::field(&*field.name), field.field_type.text_type()));
        let key = schema.key().iter().map(|field| (Path::field(&*field.name), field.key_type.text_type()));
        let nested = schema.nested_types().map(|(path, text_type)| (path, Some(text_type)));
        types.extend(fields.chain(key).chain(nested).map(|(path, text_type)| {
            let path = path.with_first_field(|name| evolution.newest_name(name));
            (path.to_string(), (path, text_type))
        }));
    }
    let newest: Vec<(Path, TextType)> =
        types.into_values().filter_map(|(path, text_type)| Some((path, text_type?))).collect();
    // Whoever asks may use any name that a field had.
    let earlier_names = evolution.names().filter(|name| evolution.newest_name(name) != *name);
    let earlier = earlier_names.flat_map(|name| {
        let of_it = newest.iter().filter(move |(path, _)| path.first_field() == Some(evolution.newest_name(name)));
        of_it.map(move |(path, text_type)| (path.with_first_field(|_| name), *text_type))
    });
    newest.iter().cloned().chain(earlier).collect()
}
