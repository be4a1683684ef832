use bucketdb_query::Path;
use serde::Serialize;

use super::{KeyField, Schema};
use crate::{Field, FieldType, KeyType, NestedType, Presence, RemovedField, StandIn};

/// Puts a [`Schema`] together.
#[derive(Clone, Debug)]
pub struct SchemaBuilder {
    pub(super) schema: Schema,
}

impl SchemaBuilder {
    /// The version, at least 1 for a schema that declares fields; 1 if not given.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.schema.version = version;
        self
    }

    /// Declares a field by its stored name, laid out as its Rust type asks for. Of a list of UUIDs, moments, days or decimal
    /// numbers it says that too, as [`nested`](Self::nested) does.
    #[must_use]
    pub fn field<T: ?Sized + 'static>(self, name: &str) -> Self {
        let declared = self.field_of_type(name, FieldType::of::<T>());
        match FieldType::of_elements::<T>() {
            Some(of_elements) => {
                let elements = Path::field(name).then_any_element();
                declared.nested_of_type(&elements.to_string(), of_elements)
            }
            None => declared,
        }
    }

    /// Says what texts stand for that are in nested documents, or in the elements of a list, by the path to them and their Rust
    /// type: UUIDs, moments, days or decimal numbers. They compare as what they are, in filters, orders, indexes and groups,
    /// and not as texts: without it, 9.5 is behind 10.
    ///
    /// A later version that does not say it leaves it as it is.
    ///
    /// ```
    /// use bucketdb_documents::{FieldType, Schema};
    ///
    /// let schema = Schema::builder("orders")
    ///     .field::<u64>("id")
    ///     .field_of_type("lines", FieldType::Any)
    ///     .nested_of_type("lines[*].price", FieldType::Decimal)
    ///     .key(&["id"])
    ///     .finish();
    /// assert_eq!(schema.check(), Ok(()));
    /// ```
    #[must_use]
    pub fn nested<T: ?Sized + 'static>(self, path: &str) -> Self {
        self.nested_of_type(path, FieldType::of::<T>())
    }

    /// As [`nested`](Self::nested), with the type by its name.
    #[must_use]
    pub fn nested_of_type(mut self, path: &str, field_type: FieldType) -> Self {
        // In one form, so that two that are the same are found to be.
        let path = path.parse::<Path>().map_or_else(|_| path.to_owned(), |path| path.to_string());
        let nested = NestedType { path, field_type };
        if !self.schema.nested.contains(&nested) {
            self.schema.nested.push(nested);
        }
        self
    }

    /// Declares a field by its stored name, with the type that it is stored as.
    #[must_use]
    pub fn field_of_type(mut self, name: &str, field_type: FieldType) -> Self {
        self.schema.fields.push(Field::new(name, field_type));
        self
    }

    /// Says of the last field that a document without it does not read as the type.
    #[must_use]
    pub fn required(self) -> Self {
        self.presence(Presence::Required)
    }

    /// Says of the last field that documents may lack it.
    #[must_use]
    pub fn optional(self) -> Self {
        self.presence(Presence::Optional)
    }

    fn presence(mut self, presence: Presence) -> Self {
        if let Some(field) = self.schema.fields.last_mut() {
            field.presence = presence;
        }
        self
    }

    /// Says what documents of earlier versions have in the last field, if they lack it. A value that does not serialise is
    /// as good as none.
    #[must_use]
    pub fn default_value<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        if let Some(field) = self.schema.fields.last_mut() {
            field.default = StandIn::of(value).ok();
        }
        self
    }

    /// Says under which name the version before has the last field.
    #[must_use]
    pub fn renamed_from(mut self, name: &str) -> Self {
        if let Some(field) = self.schema.fields.last_mut() {
            field.renamed_from = Some(name.to_owned());
        }
        self
    }

    /// Says that a field of the version before is gone. Programs of that version that need it cannot read documents of
    /// this one.
    #[must_use]
    pub fn removed(mut self, name: &str) -> Self {
        self.schema.removed.push(RemovedField { name: name.to_owned(), value: None });
        self
    }

    /// As [`removed`](Self::removed), and what programs of earlier versions read there.
    #[must_use]
    pub fn removed_with<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        self.schema.removed.push(RemovedField { name: name.to_owned(), value: StandIn::of(value).ok() });
        self
    }

    /// Says that only a program makes documents of this version of earlier ones.
    #[must_use]
    pub fn with_step(mut self) -> Self {
        self.schema = self.schema.with_step();
        self
    }

    /// The fields of the primary key, in order. Their types are text until [`Schema::with_key_types`] says otherwise.
    #[must_use]
    pub fn key(mut self, names: &[&str]) -> Self {
        let field = |name: &&str| KeyField { name: (*name).to_owned(), key_type: KeyType::Text };
        self.schema.key = names.iter().map(field).collect();
        self
    }

    /// Asks for an index, in the text form of an order: `role`, `address.city, age desc`, `tags[*]`.
    #[must_use]
    pub fn index(mut self, fields: &str) -> Self {
        self.schema = self.schema.with_index(fields);
        self
    }

    /// Asks for an index in which no two documents may have the same values, unless one of them is missing or null.
    #[must_use]
    pub fn unique(mut self, fields: &str) -> Self {
        self.schema = self.schema.with_unique(fields);
        self
    }

    /// The field, at the top of the document or in it (`session.ends`), that says when a document ends, in seconds since 1970.
    /// From then on nobody sees it, and merges of runs leave it out. A document without a number there has no end.
    #[must_use]
    pub fn ttl(mut self, field: &str) -> Self {
        self.schema = self.schema.with_ttl(field);
        self
    }

    /// The schema. Whether it can be registered is told when it is.
    #[must_use]
    pub fn finish(self) -> Schema {
        self.schema
    }
}
