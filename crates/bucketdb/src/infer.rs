use bucketdb_documents::{Field, FieldType, KeyType, Presence, Schema};
use bucketdb_query::TextType;
use futures::TryStreamExt;
use serde_json::{Map, Value};

use crate::{Collection, Result};

/// What [`Collection::infer_schema`] finds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InferredSchema {
    /// The schema that the documents suggest: of the version behind the newest one if it declares more than that, and that one
    /// otherwise. [`Database::create_collection`](crate::Database::create_collection) registers it.
    pub schema: Schema,
    /// How many documents were looked at.
    pub documents: u64,
    /// What was found of each field that the schema declares, in its order.
    pub fields: Vec<InferredField>,
}

/// What some documents have in a field.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InferredField {
    /// Its name.
    pub name: String,
    /// The type of all of its values, [`FieldType::Any`] if there is none; the declared one if there is a declaration.
    pub field_type: FieldType,
    /// How many of the documents have a value there that is not null.
    pub documents: u64,
    /// Whether the newest version declares it already.
    pub is_declared: bool,
}

/// A field that fewer documents have, of so many, is none that a schema should declare: it may be one of any number, as where
/// fields are named by data.
const RARE: u64 = 100;

impl Collection {
    /// Looks at so many documents, the first ones by primary key, and says which schema they suggest: the fields at their top,
    /// with the type that all of their values have, and whether one may be missing. Nothing is changed.
    ///
    /// Fields that not one in a hundred of the documents has are left out. A text has the type of what it stands for, a UUID, a
    /// moment or a day, if all of them are written as the database would show that; numbers in texts stay texts. Fields that
    /// are declared already keep their types.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, FieldType, MemoryDriver};
    /// # use serde_json::json;
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let events = db.collection("events");
    /// events.put(&json!({"id": 1, "day": "2026-01-31"})).await?;
    /// events.put(&json!({"id": 2, "day": "2026-02-01", "user": "u_1"})).await?;
    ///
    /// let inferred = events.infer_schema(1_000).await?;
    /// assert_eq!(inferred.fields[1].field_type, FieldType::Date);
    /// db.create_collection(inferred.schema).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownTable`](crate::Error::UnknownTable) if the collection does not exist. If the store fails.
    pub async fn infer_schema(&self, documents: usize) -> Result<InferredSchema> {
        let registered = self.find_existing().await?.schema;
        let mut found = Found::default();
        let mut sample = std::pin::pin!(self.query().limit(documents).stream().await?);
        while let Some(document) = sample.try_next().await? {
            if let Value::Object(fields) = document {
                found.add(&fields);
            }
        }
        Ok(found.schema(&registered))
    }
}

/// What the documents have that were looked at.
#[derive(Default)]
struct Found {
    documents: u64,
    /// In the order in which they came.
    fields: Map<String, Value>,
    profiles: Vec<Profile>,
}

impl Found {
    fn add(&mut self, document: &Map<String, Value>) {
        self.documents += 1;
        for (name, value) in document {
            let place = self.fields.get(name).and_then(Value::as_u64).unwrap_or_else(|| {
                self.fields.insert(name.clone(), self.profiles.len().into());
                self.profiles.push(Profile::default());
                self.profiles.len() as u64 - 1
            });
            if let Some(profile) = self.profiles.get_mut(place as usize) {
                profile.add(value);
            }
        }
    }

    fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(self.fields.get(name)?.as_u64()? as usize)
    }

    fn schema(self, registered: &Schema) -> InferredSchema {
        let count = |name: &str| self.profile(name).map_or(0, |profile| profile.documents);
        let declares = |name: &str| registered.fields().iter().any(|field| field.name == name);
        let in_key = |name: &str| registered.key().iter().any(|field| field.name == name);
        let keys = registered.key().iter().filter(|field| !declares(&field.name)).map(|key| {
            let found = self.profile(&key.name).map_or(FieldType::Any, Profile::field_type);
            let presence = Presence::Required;
            Field { presence, ..Field::new(&key.name, type_of_key(key.key_type, found)) }
        });
        let others = self.fields.keys().filter(|name| !declares(name) && !in_key(name));
        let others = others.filter_map(|name| {
            let profile = self.profile(name)?;
            if profile.documents * RARE < self.documents || profile.documents == 0 {
                return None;
            }
            let presence = if profile.documents < self.documents { Presence::Optional } else { Presence::Unsaid };
            Some(Field { presence, ..Field::new(name, profile.field_type()) })
        });
        let new: Vec<Field> = keys.chain(others).collect();
        let fields = registered.fields().iter().chain(&new).map(|field| InferredField {
            name: field.name.clone(),
            field_type: field.field_type,
            documents: count(&field.name),
            is_declared: declares(&field.name),
        });
        let fields = fields.collect();
        let schema = if new.is_empty() { registered.clone() } else { registered.next_version(new) };
        InferredSchema { schema, documents: self.documents, fields }
    }
}

/// How a field of the key is declared.
fn type_of_key(key_type: KeyType, found: FieldType) -> FieldType {
    match key_type {
        KeyType::Text => FieldType::Text,
        KeyType::Integer if found == FieldType::U64 => FieldType::U64,
        KeyType::Integer => FieldType::I64,
        KeyType::Boolean => FieldType::Bool,
        KeyType::Bytes => FieldType::Any,
        KeyType::Uuid => FieldType::Uuid,
        KeyType::Timestamp => FieldType::Timestamp,
        KeyType::Date => FieldType::Date,
        KeyType::Decimal => FieldType::Decimal,
        KeyType::Float => FieldType::F64,
    }
}

/// What a field has.
#[derive(Default)]
struct Profile {
    /// How many values are not null.
    documents: u64,
    has_booleans: bool,
    /// The least and the greatest.
    integers: Option<(i128, i128)>,
    has_floats: bool,
    has_texts: bool,
    /// What all texts stand for.
    text_types: Option<Vec<TextType>>,
    has_others: bool,
}

impl Profile {
    fn add(&mut self, value: &Value) {
        self.documents += u64::from(!value.is_null());
        match value {
            Value::Null => {}
            Value::Bool(_) => self.has_booleans = true,
            Value::Number(number) => match number.as_i128() {
                Some(integer) => {
                    let (least, most) = self.integers.unwrap_or((integer, integer));
                    self.integers = Some((least.min(integer), most.max(integer)));
                }
                None => self.has_floats = true,
            },
            Value::String(text) => {
                self.has_texts = true;
                let types = self.text_types.get_or_insert_with(|| {
                    // Texts that are decimal numbers may as well be numbers of something.
                    vec![TextType::Uuid, TextType::Timestamp, TextType::Date]
                });
                // As a value of the type, it would be shown in its one form.
                types.retain(|text_type| text_type.parse(text).is_some_and(|value| value.to_string() == *text));
            }
            Value::Array(_) | Value::Object(_) => self.has_others = true,
        }
    }

    fn field_type(&self) -> FieldType {
        let has_numbers = self.has_floats || self.integers.is_some();
        match (self.has_booleans, has_numbers, self.has_texts, self.has_others) {
            (true, false, false, false) => FieldType::Bool,
            (false, true, false, false) => match self.integers {
                _ if self.has_floats => FieldType::F64,
                Some((least, most)) if i64::try_from(least).is_ok() && i64::try_from(most).is_ok() => FieldType::I64,
                Some((least, _)) if least >= 0 => FieldType::U64,
                _ => FieldType::Any,
            },
            (false, false, true, false) => match self.text_types.as_deref() {
                Some([TextType::Uuid, ..]) => FieldType::Uuid,
                Some([TextType::Timestamp, ..]) => FieldType::Timestamp,
                Some([TextType::Date, ..]) => FieldType::Date,
                _ => FieldType::Text,
            },
            _ => FieldType::Any,
        }
    }
}
