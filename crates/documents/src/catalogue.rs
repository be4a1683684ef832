use std::collections::BTreeMap;

use bucketdb_log::codec::{self, Malformed, Reader};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::layout::AllLayouts;
use crate::{InvalidSchema, Layouts, Refusal, Schema};

/// A table, for ever: its number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u32);

/// All tables and all versions of their schemas.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    tables: BTreeMap<TableId, TableEntry>,
    by_name: BTreeMap<String, TableId>,
    /// Shared with every catalogue that was made from this one, and with whoever reads rows.
    layouts: AllLayouts,
}

/// One table of a [`Catalogue`].
#[derive(Clone, Debug)]
pub struct TableEntry {
    /// Its number.
    pub id: TableId,
    /// Every version that was registered, oldest first; never empty.
    versions: Vec<Schema>,
    layouts: AllLayouts,
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

    /// How its rows are laid out; to be written under the newest version.
    #[must_use]
    pub fn layouts(&self) -> Layouts {
        self.layouts.of_table(self.id, self.schema().version())
    }
}

impl Catalogue {
    /// The table of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&TableEntry> {
        self.by_name.get(name).and_then(|id| self.tables.get(id))
    }

    /// The table of that number.
    #[must_use]
    pub fn table(&self, id: TableId) -> Option<&TableEntry> {
        self.tables.get(&id)
    }

    /// The tables in the order of their names.
    pub fn tables(&self) -> impl Iterator<Item = &TableEntry> {
        self.by_name.values().filter_map(|id| self.tables.get(id))
    }

    /// All of it, as a manifest has it: the number of registrations, then each as its record's payload was.
    pub(crate) fn encode(&self) -> Bytes {
        let versions = || self.tables.values().flat_map(|entry| entry.versions.iter().map(|schema| (entry.id, schema)));
        let mut buffer = Vec::new();
        codec::put_varint(&mut buffer, versions().count() as u64);
        for (id, schema) in versions() {
            codec::put_bytes(&mut buffer, &registration(id, schema));
        }
        buffer.into()
    }

    /// One without tables, of the same database.
    pub(crate) fn fresh(&self) -> Self {
        Self { layouts: self.layouts.clone(), ..Self::default() }
    }

    /// Reads what [`encode`](Self::encode) wrote, of the same database.
    pub(crate) fn decode(&self, bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut catalogue = self.fresh();
        for _ in 0..reader.length()? {
            catalogue.apply(reader.bytes()?)?;
        }
        reader.finish()?;
        Ok(catalogue)
    }

    /// The payload of the record that registers `schema`.
    pub(crate) fn register(&self, schema: &Schema) -> Result<Bytes, Refusal> {
        schema.check().map_err(Refusal::Schema)?;
        let id = match self.by_name(schema.table()) {
            None => TableId(self.tables.last_key_value().map_or(1, |(last, _)| last.0 + 1)),
            Some(entry) => {
                let known = entry.versions.iter().find(|known| known.version() == schema.version());
                if let Some(known) = known {
                    known.check_successor(schema).map_err(Refusal::Schema)?;
                    return Err(Refusal::AlreadyRegistered(entry.id));
                }
                let newest = entry.schema();
                if schema.version() < newest.version() {
                    let reason = format!(
                        "version {} was never registered, and version {} is; only higher versions can be added",
                        schema.version(),
                        newest.version()
                    );
                    return Err(Refusal::Schema(InvalidSchema { table: schema.table().to_owned(), reason }));
                }
                newest.check_successor(schema).map_err(Refusal::Schema)?;
                entry.id
            }
        };
        Ok(registration(id, schema).into())
    }

    /// Takes in what [`register`](Self::register) wrote.
    pub(crate) fn apply(&mut self, payload: Bytes) -> Result<(), Malformed> {
        let mut reader = Reader::new(payload);
        let id = u32::try_from(reader.varint()?).map_err(|_| Malformed("a table's number is out of range"))?;
        let length = reader.remaining();
        let schema: Schema =
            rmp_serde::from_slice(&reader.take(length)?).map_err(|_| Malformed("a schema does not decode"))?;
        let id = TableId(id);
        self.by_name.insert(schema.table().to_owned(), id);
        self.layouts.add(id, &schema);
        let layouts = self.layouts.clone();
        let entry = self.tables.entry(id).or_insert_with(|| TableEntry { id, versions: Vec::new(), layouts });
        entry.versions.push(schema);
        Ok(())
    }
}

/// A table's number and a version of its schema, as a record has them.
fn registration(id: TableId, schema: &Schema) -> Vec<u8> {
    let mut payload = Vec::new();
    codec::put_varint(&mut payload, u64::from(id.0));
    #[expect(clippy::expect_used, reason = "a schema is texts and numbers, which always serialise")]
    payload.extend(rmp_serde::to_vec_named(schema).expect("a schema serialises"));
    payload
}
