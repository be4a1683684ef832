mod builder;

use bucketdb_query::{Path, Segment, TextType, TextTypes};
use serde::{Deserialize, Serialize};

use crate::ttl::{check_end_type, ttl_field};
use crate::{Field, FieldType, IndexDefinition, KeyType, NestedType, RemovedField};

pub use self::builder::SchemaBuilder;

/// The longest name of a table in bytes.
const MAX_TABLE_NAME_BYTES: usize = 100;

/// What is known of a table: its name, its key, the fields that it declares.
///
/// Version 0 is a table without declared fields, such as one made by importing JSON: its documents may have any. A
/// higher version declares its fields, and what was declared under a version never changes.
///
/// Rows are laid out by the fields' types, which are part of what a version declares: a program that declares another type
/// under the same version is refused. [`FieldType::Any`] says nothing of a type, and goes with each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    table: String,
    version: u32,
    key: Vec<KeyField>,
    fields: Vec<Field>,
    /// What texts stand for behind the fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nested: Vec<NestedType>,
    /// What is said of fields that the version before has and this one has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removed: Vec<RemovedField>,
    /// Whether only a program makes documents of this version of earlier ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_step: bool,
    /// Those that there must be, which are no part of what a version declares: they come and go at any time.
    indexes: Vec<IndexDefinition>,
    /// The field that says when a document ends, if it is to be; no part of a version either.
    #[serde(default)]
    ttl: Option<String>,
}

/// One field of a primary key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyField {
    /// The name of the field at the top of the document.
    pub name: String,
    /// What it holds.
    pub key_type: KeyType,
}

/// A schema that cannot be, or that contradicts the one registered already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid schema of table {table:?}: {reason}")]
pub struct InvalidSchema {
    /// The name of the table.
    pub table: String,
    /// What is wrong with it.
    pub reason: String,
}

/// In what a declaration differs from the one that is registered under its version.
struct Contradiction {
    what: String,
    /// How that is registered.
    registered: String,
}

impl Schema {
    /// Begins the schema of a table.
    #[must_use]
    pub fn builder(table: &str) -> SchemaBuilder {
        let schema = Self { version: 1, key: Vec::new(), ..Self::open(table, "", KeyType::Text) };
        SchemaBuilder { schema }
    }

    /// The schema of a table without declared fields, whose key is one field at the top of the document.
    #[must_use]
    pub fn open(table: &str, key: &str, key_type: KeyType) -> Self {
        let key = vec![KeyField { name: key.to_owned(), key_type }];
        Self {
            table: table.to_owned(),
            version: 0,
            key,
            fields: Vec::new(),
            nested: Vec::new(),
            removed: Vec::new(),
            has_step: false,
            indexes: Vec::new(),
            ttl: None,
        }
    }

    /// The name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The version; 0 declares no fields.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The fields of the primary key, in order.
    #[must_use]
    pub fn key(&self) -> &[KeyField] {
        &self.key
    }

    /// The types of the primary key's fields.
    #[must_use]
    pub fn key_types(&self) -> Vec<KeyType> {
        self.key.iter().map(|field| field.key_type).collect()
    }

    /// The declared fields, in order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What texts stand for in lists and nested documents; see [`SchemaBuilder::nested`].
    #[must_use]
    pub fn nested(&self) -> &[NestedType] {
        &self.nested
    }

    /// The same, as it compares. What [`check`](Self::check) refuses is left out.
    pub(crate) fn nested_types(&self) -> impl Iterator<Item = (Path, TextType)> {
        self.nested.iter().filter_map(|nested| Some((nested.path.parse().ok()?, nested.field_type.text_type()?)))
    }

    /// What is said of fields that the version before has and this one has not.
    #[must_use]
    pub fn removed(&self) -> &[RemovedField] {
        &self.removed
    }

    /// Whether only a program makes documents of this version of earlier ones.
    #[must_use]
    pub fn has_step(&self) -> bool {
        self.has_step
    }

    /// The indexes that the table must have. It may have others, which were added without this schema.
    #[must_use]
    pub fn indexes(&self) -> &[IndexDefinition] {
        &self.indexes
    }

    /// As [`SchemaBuilder::index`].
    #[must_use]
    pub fn with_index(mut self, fields: &str) -> Self {
        self.indexes.push(IndexDefinition { fields: fields.to_owned(), is_unique: false });
        self
    }

    /// As [`SchemaBuilder::unique`].
    #[must_use]
    pub fn with_unique(mut self, fields: &str) -> Self {
        self.indexes.push(IndexDefinition { fields: fields.to_owned(), is_unique: true });
        self
    }

    /// The field that is to say when a document ends: see [`SchemaBuilder::ttl`]. `None` leaves it to whatever the table has.
    #[must_use]
    pub fn ttl(&self) -> Option<&str> {
        self.ttl.as_deref()
    }

    /// As [`SchemaBuilder::ttl`].
    #[must_use]
    pub fn with_ttl(mut self, field: &str) -> Self {
        self.ttl = Some(field.to_owned());
        self
    }

    /// As [`SchemaBuilder::with_step`].
    #[must_use]
    pub fn with_step(mut self) -> Self {
        self.has_step = true;
        self
    }

    /// The next version, which declares these fields behind those that this one does. What this one says of earlier versions
    /// goes without saying.
    #[must_use]
    pub fn next_version(&self, fields: impl IntoIterator<Item = Field>) -> Self {
        let known = self.fields.iter().cloned().map(|field| Field { renamed_from: None, ..field });
        Self {
            version: self.version.saturating_add(1),
            fields: known.chain(fields).collect(),
            removed: Vec::new(),
            has_step: false,
            ..self.clone()
        }
        .declaration()
    }

    /// What a version declares.
    pub(crate) fn declaration(mut self) -> Self {
        (self.indexes, self.ttl) = (Vec::new(), None);
        self
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub(crate) fn declares(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Whether `other`, as a program has it, says the same as this one, which is registered: be it without what it takes to
    /// read earlier versions, or the types of some fields, which are known here.
    #[must_use]
    pub fn is_same_declaration(&self, other: &Self) -> bool {
        self.table == other.table
            && self.version == other.version
            && self.key == other.key
            && self.field_names().eq(other.field_names())
            && self.contradiction(other).is_none()
    }

    /// What `other`, which declares the same fields, says otherwise than this one, or of earlier versions that this one does
    /// not.
    fn contradiction(&self, other: &Self) -> Option<Contradiction> {
        let without = |what| Some(Contradiction { what, registered: "without that".to_owned() });
        if other.has_step && !self.has_step {
            return without("it has a step of the program's".to_owned());
        }
        let differs = |(known, field): (&Field, &Field)| {
            let name = &field.name;
            let (was, is) = (known.field_type, field.field_type);
            if was != is && ![was, is].contains(&FieldType::Any) {
                let what = format!("it declares field {name:?} as {is}");
                return Some(Contradiction { what, registered: format!("with {was}") });
            }
            if field.renamed_from.is_some() && field.renamed_from != known.renamed_from {
                let from = field.renamed_from.as_deref().unwrap_or_default();
                return without(format!("it renames field {from:?} to {name:?}"));
            }
            let wanted = field.default.as_ref()?;
            let is_known = known.default.as_ref().is_some_and(|known| known.is_same(wanted));
            if is_known { None } else { without(format!("it gives field {name:?} the default {}", wanted.to_value())) }
        };
        let differs_in = |wanted: &NestedType| {
            let known = self.nested.iter().find(|known| known.path == wanted.path).map(|known| known.field_type);
            let NestedType { path, field_type } = wanted;
            let what = format!("it declares {path} as {field_type}");
            match known {
                Some(known) if known == *field_type => None,
                Some(known) => Some(Contradiction { what, registered: format!("with {known}") }),
                None => without(what),
            }
        };
        self.fields.iter().zip(&other.fields).find_map(differs).or_else(|| other.nested.iter().find_map(differs_in))
    }

    /// Says what the fields of the key hold. A derived schema learns it from the Rust type of the key.
    #[must_use]
    pub fn with_key_types(mut self, types: &[KeyType]) -> Self {
        for (field, key_type) in self.key.iter_mut().zip(types) {
            field.key_type = *key_type;
        }
        self
    }

    /// # Errors
    /// If the schema could not be registered anywhere.
    pub fn check(&self) -> Result<(), InvalidSchema> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if self.table.is_empty() || self.table.len() > MAX_TABLE_NAME_BYTES || !self.table.bytes().all(allowed) {
            return Err(
                self.invalid(format!("a table's name has 1 to {MAX_TABLE_NAME_BYTES} letters, digits, `_` and `-`"))
            );
        }
        if self.key.is_empty() {
            return Err(self.invalid("it has no key".to_owned()));
        }
        for (index, field) in self.key.iter().enumerate() {
            if field.name.is_empty() {
                return Err(self.invalid("a field of the key has no name".to_owned()));
            }
            if self.key.iter().take(index).any(|earlier| earlier.name == field.name) {
                return Err(self.invalid(format!("field {:?} is in the key twice", field.name)));
            }
            let declared = self.fields.iter().find(|declared| declared.name == field.name);
            let stands_for = declared.and_then(|declared| declared.field_type.text_type());
            if let Some(stands_for) = stands_for.filter(|_| stands_for != field.key_type.text_type()) {
                let (name, key_type) = (&field.name, field.key_type);
                // What is read would not have the key that was written.
                return Err(
                    self.invalid(format!("field {name:?} is declared as {stands_for}, and {key_type} in the key"))
                );
            }
            if self.version > 0 && !self.declares(&field.name) {
                return Err(self.invalid(format!("field {:?} is in the key and not declared", field.name)));
            }
        }
        for (index, field) in self.fields.iter().enumerate() {
            if self.fields.iter().take(index).any(|earlier| earlier.name == field.name) {
                return Err(self.invalid(format!("field {:?} is declared twice", field.name)));
            }
        }
        self.check_nested()?;
        if let Some(field) = &self.ttl {
            let fields = self.fields.iter();
            let fields = fields.filter_map(|field| Some((Path::field(&*field.name), field.field_type.text_type()?)));
            let types: TextTypes = fields.chain(self.nested_types()).collect();
            check_end_type(&self.table, &ttl_field(&self.table, field)?, &types)?;
        }
        self.indexes.iter().try_for_each(|index| index.order(&self.table).map(|_| ()))
    }

    /// # Errors
    /// What is said of lists and nested documents, if it cannot be.
    fn check_nested(&self) -> Result<(), InvalidSchema> {
        for (index, NestedType { path, field_type }) in self.nested.iter().enumerate() {
            let cannot = |why: String| Err(self.invalid(format!("it declares {path} as {field_type}, {why}")));
            let parsed: Path = match path.parse() {
                Ok(parsed) => parsed,
                Err(error) => return cannot(format!("which is no path: {error}")),
            };
            let is_of_one = parsed.segments().iter().any(|segment| matches!(segment, Segment::Index(_)));
            if parsed.segments().len() < 2 || is_of_one {
                return cannot(
                    "and only what is in nested documents, and all elements of lists, have such a type".to_owned(),
                );
            }
            let field = parsed.first_field().unwrap_or_default();
            if self.version > 0 && !self.declares(field) {
                return cannot(format!("and does not declare field {field:?}"));
            }
            if field_type.text_type().is_none() {
                return cannot("and only uuid, timestamp, date and decimal are said there".to_owned());
            }
            if self.nested.iter().take(index).any(|earlier| earlier.path == *path) {
                return cannot("and says it twice".to_owned());
            }
        }
        Ok(())
    }

    /// Whether `newer` may be registered where this one is, as far as key and version tell; see also
    /// `check_succession`.
    ///
    /// # Errors
    /// The reason why not, with the field that it is about.
    pub fn check_successor(&self, newer: &Self) -> Result<(), InvalidSchema> {
        newer.check()?;
        if self.key != newer.key {
            let show = |schema: &Self| {
                let fields: Vec<_> =
                    schema.key.iter().map(|field| format!("{} {}", field.name, field.key_type)).collect();
                fields.join(", ")
            };
            return Err(newer.invalid(format!(
                "its key is ({}), and the table was created with ({}); a key never changes",
                show(newer),
                show(self)
            )));
        }
        if newer.version == self.version
            && newer.field_names().eq(self.field_names())
            && let Some(Contradiction { what, registered }) = self.contradiction(newer)
        {
            let version = newer.version;
            return Err(newer.invalid(format!(
                "{what} under version {version}, which is registered {registered}; raise the version"
            )));
        }
        if newer.version == self.version && !newer.field_names().eq(self.field_names()) {
            let changed = newer.field_names().find(|field| !self.declares(field));
            let lost = self.field_names().find(|field| !newer.declares(field));
            let what = match (changed, lost) {
                (Some(field), _) => format!("it adds field {field:?}"),
                (None, Some(field)) => format!("it lacks field {field:?}"),
                (None, None) => "its fields are in another order".to_owned(),
            };
            let version = newer.version;
            return Err(
                newer.invalid(format!("{what} under version {version}, which is registered; raise the version"))
            );
        }
        Ok(())
    }

    pub(crate) fn invalid(&self, reason: String) -> InvalidSchema {
        InvalidSchema { table: self.table.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> SchemaBuilder {
        Schema::builder("users").field::<String>("id").field::<u8>("age").key(&["id"])
    }

    #[test]
    fn what_was_declared_under_a_version_never_changes() {
        let first = users().finish();
        assert_eq!(first.check(), Ok(()));
        assert_eq!(first.check_successor(&first.clone()), Ok(()));
        let more = users().field::<bool>("active").finish();
        let error = first.check_successor(&more).unwrap_err().to_string();
        assert!(error.contains(r#"adds field "active" under version 1"#), "{error}");
        assert_eq!(first.check_successor(&users().version(2).field::<bool>("active").finish()), Ok(()));
    }

    #[test]
    fn a_type_never_changes_under_a_version() {
        let first = users().finish();
        let with = |age: FieldType| {
            Schema::builder("users").field::<String>("id").field_of_type("age", age).key(&["id"]).finish()
        };
        let error = first.check_successor(&with(FieldType::U64)).unwrap_err().to_string();
        let expected =
            r#"it declares field "age" as u64 under version 1, which is registered with u8; raise the version"#;
        assert!(error.contains(expected), "{error}");
        assert!(!first.is_same_declaration(&with(FieldType::U64)));
        // It says nothing of the type.
        let silent = with(FieldType::Any);
        assert_eq!(first.check_successor(&silent), Ok(()));
        assert!(first.is_same_declaration(&silent) && silent.is_same_declaration(&first) && first != silent);
        assert!(!first.is_same_declaration(&users().version(2).finish()));
        assert!(!first.is_same_declaration(&users().field::<bool>("active").finish()));
    }

    #[test]
    fn a_key_never_changes() {
        let first = users().finish();
        let other = users().version(2).finish().with_key_types(&[KeyType::Integer]);
        let error = first.check_successor(&other).unwrap_err().to_string();
        assert!(error.contains("its key is (id integer)") && error.contains("created with (id text)"), "{error}");
    }

    #[test]
    fn impossible_schemas_are_refused() {
        assert!(Schema::builder("").field::<u8>("id").key(&["id"]).finish().check().is_err());
        assert!(Schema::builder("a b").field::<u8>("id").key(&["id"]).finish().check().is_err());
        assert!(Schema::builder("a").finish().check().is_err());
        assert!(Schema::builder("a").key(&["id"]).finish().check().is_err());
        assert!(users().key(&["id", "id"]).finish().check().is_err());
        assert!(users().field::<u8>("age").finish().check().is_err());
        assert!(Schema::open("a", "id", KeyType::Text).check().is_ok());
    }
}
