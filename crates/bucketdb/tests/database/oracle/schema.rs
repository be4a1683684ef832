//! Random tables: what they declare, what is in their documents, and what is asked of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use bucketdb::{FieldType, KeyType, Schema};
use serde_json::{Value, json};

use super::draw::Draw;
use super::values::Step::{Any, Element, Field};
use super::values::{Meant, Spot, Step, first_field, shown, spot_text, stored};

/// A primary key, in the order of keys.
pub(crate) type Key = Vec<Part>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Bool(bool),
    Number(i128),
    Text(String),
}

/// What a table has at one moment.
pub(crate) type Documents = BTreeMap<Key, Value>;

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// If it is not, the first document makes it.
    pub(crate) is_declared: bool,
    pub(crate) key: Vec<(&'static str, KeyType)>,
    fields: Vec<(&'static str, FieldType)>,
    /// What is declared of values within fields.
    nested: Vec<(Spot, FieldType)>,
    /// Whether values may be longer, and lists have more elements, than a unique index takes.
    pub(crate) may_be_large: bool,
}

/// What a schema can say of values within fields.
const NESTED_TYPES: [FieldType; 4] = [FieldType::Uuid, FieldType::Timestamp, FieldType::Date, FieldType::Decimal];

const TYPES: [FieldType; 18] = [
    FieldType::Bool,
    FieldType::I8,
    FieldType::I16,
    FieldType::I32,
    FieldType::I64,
    FieldType::U8,
    FieldType::U16,
    FieldType::U32,
    FieldType::U64,
    FieldType::F32,
    FieldType::F64,
    FieldType::Text,
    FieldType::Bytes,
    FieldType::Uuid,
    FieldType::Timestamp,
    FieldType::Date,
    FieldType::Decimal,
    FieldType::Any,
];

/// Where documents have values, beside their keys.
pub(crate) const SPOTS: [Spot; 15] = [
    &[Field("a")],
    &[Field("b")],
    &[Field("c")],
    &[Field("code")],
    &[Field("n"), Field("x")],
    &[Field("n"), Field("y"), Field("z")],
    &[Field("tags"), Any],
    &[Field("tags")],
    &[Field("tags"), Element(1)],
    &[Field("rows"), Any, Field("k")],
    &[Field("rows"), Any, Field("v"), Any],
    &[Field("rows"), Element(0), Field("k")],
    &[Field("odd name")],
    &[Field("in")],
    &[Field("n")],
];

pub(crate) const KEY_SPOTS: [Spot; 5] =
    [&[Field("id")], &[Field("shop")], &[Field("number")], &[Field("day")], &[Field("is_new")]];

/// How many keys there are.
const KEYS: usize = 24;

impl Shape {
    pub(crate) fn draw(draw: &mut Draw) -> Self {
        let keys: [&[(&str, KeyType)]; 6] = [
            &[("id", KeyType::Integer)],
            &[("id", KeyType::Text)],
            &[("shop", KeyType::Text), ("number", KeyType::Integer)],
            &[("number", KeyType::Integer), ("shop", KeyType::Text)],
            &[("day", KeyType::Date)],
            &[("is_new", KeyType::Boolean), ("number", KeyType::Integer)],
        ];
        let is_declared = !draw.one_in(4);
        let key = draw.one_of(if is_declared { &keys } else { &keys[..2] }).to_vec();
        let declared = if is_declared { ["a", "b", "c", "odd name", "in"].as_slice() } else { &[] };
        let mut fields = Vec::new();
        for name in declared {
            if !draw.one_in(4) {
                fields.push((*name, draw.one_of(&TYPES)));
            }
        }
        let mut nested = Vec::new();
        for spot in [SPOTS[4], SPOTS[5], SPOTS[6], SPOTS[9], SPOTS[10]] {
            if is_declared && draw.one_in(3) {
                nested.push((spot, draw.one_of(&NESTED_TYPES)));
            }
        }
        for name in ["n", "tags", "rows"] {
            if nested.iter().any(|(spot, _)| first_field(spot) == name) {
                fields.push((name, FieldType::Any));
            }
        }
        Self { is_declared, key, fields, nested, may_be_large: draw.one_in(3) }
    }

    pub(crate) fn may_have_unique(&self) -> bool {
        !self.may_be_large
    }

    pub(crate) fn schema(&self, table: &str, indexes: &[(String, bool)]) -> Schema {
        let names: Vec<&str> = self.key.iter().map(|(name, _)| *name).collect();
        let types: Vec<KeyType> = self.key.iter().map(|(_, key_type)| *key_type).collect();
        let mut schema = Schema::builder(table).key(&names);
        for (name, key_type) in &self.key {
            schema = match key_type {
                KeyType::Integer => schema.field::<i64>(name),
                KeyType::Boolean => schema.field::<bool>(name),
                KeyType::Date => schema.field_of_type(name, FieldType::Date),
                _ => schema.field::<String>(name),
            };
        }
        for (name, field) in &self.fields {
            schema = schema.field_of_type(name, *field);
        }
        for (spot, of) in &self.nested {
            schema = schema.nested_of_type(&spot_text(spot), *of);
        }
        for (fields, is_unique) in indexes {
            schema = if *is_unique { schema.unique(fields) } else { schema.index(fields) };
        }
        schema.finish().with_key_types(&types)
    }

    /// The type of what is at a spot, if it was declared.
    pub(crate) fn type_of(&self, spot: &[Step]) -> Option<FieldType> {
        let [Field(name)] = spot else {
            let is_it = |declared: &[Step]| {
                let is_same = |(asked, declared): (&Step, &Step)| {
                    asked == declared || matches!((asked, declared), (Element(_), Any))
                };
                spot.len() == declared.len() && spot.iter().zip(declared).all(is_same)
            };
            return self.nested.iter().find(|(declared, _)| is_it(declared)).map(|(_, of)| *of);
        };
        let is_day = self.key.iter().any(|(field, key_type)| field == name && *key_type == KeyType::Date);
        let declared = self.fields.iter().find(|(field, _)| field == name).map(|(_, field)| *field);
        declared.or(is_day.then_some(FieldType::Date))
    }

    /// The type of the elements of the lists at a spot.
    pub(crate) fn type_of_elements(&self, spot: Spot) -> Option<FieldType> {
        self.type_of(&[spot, &[Any]].concat())
    }

    pub(crate) fn order(&self, spot: Spot, left: &Value, right: &Value) -> Ordering {
        let field = self.type_of(spot);
        Meant::of(left, field).order(&Meant::of(right, field))
    }

    pub(crate) fn shown(&self, spot: Spot, value: &Value) -> Value {
        shown(value, self.type_of(spot))
    }

    /// A document as it is stored.
    pub(crate) fn stored(&self, mut document: Value) -> Value {
        for (name, field) in &self.fields {
            if let Some(value) = document.get_mut(*name) {
                *value = stored(value, *field);
            }
        }
        document
    }

    pub(crate) fn key_of(&self, document: &Value) -> Key {
        let part = |value: &Value| match value {
            Value::Bool(value) => Part::Bool(*value),
            Value::Number(number) => Part::Number(number.as_i128().unwrap()),
            other => Part::Text(other.as_str().unwrap().to_owned()),
        };
        self.key.iter().map(|(name, _)| part(&document[*name])).collect()
    }

    /// The key as the library takes it.
    pub(crate) fn key_value(&self, document: &Value) -> Value {
        let mut parts: Vec<Value> = self.key.iter().map(|(name, _)| document[*name].clone()).collect();
        if parts.len() == 1 { parts.remove(0) } else { parts.into() }
    }

    /// The key as a person writes it.
    pub(crate) fn key_text(&self, document: &Value) -> String {
        let key = self.key_value(document);
        key.as_str().map_or_else(|| key.to_string(), str::to_owned)
    }

    pub(crate) fn bound(&self, bound: &Bound<Value>) -> Bound<Key> {
        let key = |value: Value| {
            let parts = if self.key.len() == 1 { vec![value] } else { value.as_array().unwrap().clone() };
            let names = self.key.iter().map(|(name, _)| (*name).to_owned());
            self.key_of(&Value::Object(names.zip(parts).collect()))
        };
        bound.clone().map(key)
    }

    /// One of the keys, as the fields of a document.
    pub(crate) fn draw_key(&self, draw: &mut Draw) -> Value {
        let number = draw.below(KEYS);
        let mut document = json!({});
        for (at, (name, key_type)) in self.key.iter().enumerate() {
            let part = if self.key.len() == 1 { number } else { [number % 3, number / 3][at] };
            document[*name] = match key_type {
                KeyType::Integer => json!(part as i64 - 3),
                KeyType::Boolean => json!(part == 1),
                KeyType::Date => json!(format!("2026-01-{:02}", part + 1)),
                _ => json!(
                    ["", "b", "ab", "é", "a", "a b", "b\"", "\u{1f600}"][part % 8].repeat(part / 8 + 1)
                        + &part.to_string()
                ),
            };
        }
        document
    }
}
