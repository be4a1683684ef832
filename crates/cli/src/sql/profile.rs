use std::collections::HashMap;

use bucketdb::{FieldType, KeyType};
use serde_json::{Map, Value};

use super::Dialect;
use super::dialect::ColumnType;
use super::text_forms;

/// The largest whole number up to which every one is also a number of double precision.
const MOST_EXACT: i128 = 1 << 53;

/// What a schema says that a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    Field(FieldType),
    Key(KeyType),
    Nothing,
}

/// What the values of all fields of a table's documents are, found out by looking at all of them: a schema is a promise that
/// documents need not keep.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    /// In the order in which the fields are to be columns.
    profiles: Vec<(String, Profile)>,
    by_name: HashMap<String, usize>,
}

/// What the values of one field are.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    declared: Declared,
    has_boolean: bool,
    has_float: bool,
    /// The smallest and the greatest whole number.
    integers: Option<(i128, i128)>,
    has_text: bool,
    /// Whether all texts are what the schema says.
    are_texts_as_declared: bool,
    has_bytes: bool,
    has_nested: bool,
    /// The length of the longest text.
    longest_bytes: usize,
}

impl Profiles {
    /// Expects a field. Those that were expected come first.
    pub(crate) fn expect(&mut self, name: &str, declared: Declared) {
        self.of(name).declared = declared;
    }

    /// Takes in a document. Tells the first field in which a text has a NUL.
    pub(crate) fn add<'a>(&mut self, document: &'a Map<String, Value>) -> Option<&'a str> {
        let mut with_nul = None;
        for (name, value) in document {
            self.of(name).add(value);
            if with_nul.is_none() && has_nul(value) {
                with_nul = Some(name.as_str());
            }
        }
        with_nul
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, Profile)> {
        self.profiles.iter()
    }

    fn of(&mut self, name: &str) -> &mut Profile {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                self.by_name.insert(name.to_owned(), self.profiles.len());
                self.profiles.push((name.to_owned(), Profile::new()));
                self.profiles.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "the map has places in the list only")]
        &mut self.profiles[index].1
    }
}

impl Profile {
    fn new() -> Self {
        Self {
            declared: Declared::Nothing,
            has_boolean: false,
            has_float: false,
            integers: None,
            has_text: false,
            are_texts_as_declared: true,
            has_bytes: false,
            has_nested: false,
            longest_bytes: 0,
        }
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.has_boolean = true,
            Value::Number(number) => match number.as_i128() {
                Some(integer) => {
                    let (least, most) = self.integers.unwrap_or((integer, integer));
                    self.integers = Some((least.min(integer), most.max(integer)));
                }
                None => self.has_float = true,
            },
            Value::String(text) => {
                self.has_text = true;
                self.longest_bytes = self.longest_bytes.max(text.len());
                self.are_texts_as_declared &= match self.declared {
                    Declared::Field(FieldType::Uuid) | Declared::Key(KeyType::Uuid) => text_forms::is_uuid(text),
                    Declared::Field(FieldType::Timestamp) | Declared::Key(KeyType::Timestamp) => {
                        text_forms::is_timestamp(text)
                    }
                    Declared::Field(FieldType::Date) | Declared::Key(KeyType::Date) => text_forms::is_date(text),
                    Declared::Field(FieldType::Decimal) | Declared::Key(KeyType::Decimal) => {
                        text_forms::is_decimal(text)
                    }
                    _ => true,
                };
            }
            Value::Array(items) if self.is_bytes() && is_list_of_bytes(items) => {
                self.has_bytes = true;
                self.longest_bytes = self.longest_bytes.max(items.len());
            }
            Value::Array(_) | Value::Object(_) => self.has_nested = true,
        }
    }

    fn is_bytes(&self) -> bool {
        matches!(self.declared, Declared::Field(FieldType::Bytes) | Declared::Key(KeyType::Bytes))
    }

    /// The length of the longest value, as far as an index cares.
    pub(super) fn longest_bytes(&self) -> usize {
        self.longest_bytes.max(32)
    }

    /// The type that holds all values as they are.
    pub(super) fn column_type(&self, dialect: Dialect) -> ColumnType {
        let has_number = self.has_float || self.integers.is_some();
        match (self.has_boolean, has_number, self.has_text, self.has_bytes, self.has_nested) {
            (false, false, false, false, false) => self.declared_type().unwrap_or(ColumnType::Text),
            (true, false, false, false, false) => ColumnType::Boolean,
            (false, true, false, false, false) => self.number_type(dialect),
            (false, false, true, false, false) => match self.declared_type() {
                Some(declared @ (ColumnType::Uuid | ColumnType::Timestamp | ColumnType::Date))
                    if self.are_texts_as_declared =>
                {
                    declared
                }
                Some(ColumnType::Numeric) if self.is_decimal() && self.are_texts_as_declared => ColumnType::Numeric,
                _ => ColumnType::Text,
            },
            (false, false, false, true, false) => ColumnType::Bytes,
            _ => ColumnType::Json,
        }
    }

    fn is_decimal(&self) -> bool {
        matches!(self.declared, Declared::Field(FieldType::Decimal) | Declared::Key(KeyType::Decimal))
    }

    fn number_type(&self, dialect: Dialect) -> ColumnType {
        let within = |least: i128, most: i128| self.integers.is_none_or(|(low, high)| least <= low && high <= most);
        if self.has_float {
            return match dialect {
                _ if within(-MOST_EXACT, MOST_EXACT) => ColumnType::Double,
                Dialect::Sqlite if within(i64::MIN.into(), i64::MAX.into()) => ColumnType::Number,
                _ => ColumnType::Numeric,
            };
        }
        match self.declared_type() {
            Some(ColumnType::Double) if within(-MOST_EXACT, MOST_EXACT) => ColumnType::Double,
            Some(ColumnType::SmallInt) if within(i16::MIN.into(), i16::MAX.into()) => ColumnType::SmallInt,
            Some(ColumnType::SmallInt | ColumnType::Integer) if within(i32::MIN.into(), i32::MAX.into()) => {
                ColumnType::Integer
            }
            // In SQLite, a number that is a text is worth less than one that is a number.
            Some(ColumnType::Numeric) if dialect == Dialect::Postgresql => ColumnType::Numeric,
            _ if within(i64::MIN.into(), i64::MAX.into()) => ColumnType::BigInt,
            _ => ColumnType::Numeric,
        }
    }

    /// The type for what the schema says.
    fn declared_type(&self) -> Option<ColumnType> {
        Some(match self.declared {
            Declared::Nothing | Declared::Field(FieldType::Any) => return None,
            Declared::Field(FieldType::Bool) | Declared::Key(KeyType::Boolean) => ColumnType::Boolean,
            Declared::Field(FieldType::I8 | FieldType::I16 | FieldType::U8) => ColumnType::SmallInt,
            Declared::Field(FieldType::I32 | FieldType::U16) => ColumnType::Integer,
            Declared::Field(FieldType::I64 | FieldType::U32) | Declared::Key(KeyType::Integer) => ColumnType::BigInt,
            Declared::Field(FieldType::U64 | FieldType::Decimal) | Declared::Key(KeyType::Decimal) => {
                ColumnType::Numeric
            }
            Declared::Field(FieldType::F32 | FieldType::F64) | Declared::Key(KeyType::Float) => ColumnType::Double,
            Declared::Field(FieldType::Text | FieldType::Blob) | Declared::Key(KeyType::Text) => ColumnType::Text,
            Declared::Field(FieldType::Bytes) | Declared::Key(KeyType::Bytes) => ColumnType::Bytes,
            Declared::Field(FieldType::Uuid) | Declared::Key(KeyType::Uuid) => ColumnType::Uuid,
            Declared::Field(FieldType::Timestamp) | Declared::Key(KeyType::Timestamp) => ColumnType::Timestamp,
            Declared::Field(FieldType::Date) | Declared::Key(KeyType::Date) => ColumnType::Date,
        })
    }
}

fn is_list_of_bytes(items: &[Value]) -> bool {
    items.iter().all(|item| item.as_u64().is_some_and(|byte| byte <= 255))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn types(declared: Declared, values: &[Value]) -> [ColumnType; 2] {
        let mut profiles = Profiles::default();
        profiles.expect("f", declared);
        for value in values {
            profiles.add(json!({"f": value}).as_object().unwrap());
        }
        let (_, profile) = profiles.iter().next().unwrap().clone();
        [Dialect::Postgresql, Dialect::Sqlite].map(|dialect| profile.column_type(dialect))
    }

    #[test]
    fn a_column_holds_everything_that_is_there() {
        use ColumnType::*;
        let (free, field) = (Declared::Nothing, Declared::Field);
        for (declared, values, expected) in [
            (free, vec![], [Text, Text]),
            (free, vec![json!(null), json!(1)], [BigInt, BigInt]),
            (free, vec![json!(1), json!(u64::MAX)], [Numeric, Numeric]),
            (free, vec![json!(1), json!(0.5)], [Double, Double]),
            (free, vec![json!((1_u64 << 53) + 1), json!(0.5)], [Numeric, Number]),
            (free, vec![json!(u64::MAX), json!(0.5)], [Numeric, Numeric]),
            (free, vec![json!("a"), json!(1)], [Json, Json]),
            (free, vec![json!([1])], [Json, Json]),
            (free, vec![json!(true), json!(null)], [Boolean, Boolean]),
            (field(FieldType::U8), vec![json!(255)], [SmallInt, SmallInt]),
            (field(FieldType::U8), vec![json!(70_000)], [Integer, Integer]),
            (field(FieldType::I16), vec![json!(1_u64 << 40)], [BigInt, BigInt]),
            (field(FieldType::U64), vec![json!(1)], [Numeric, BigInt]),
            (field(FieldType::F64), vec![json!(1)], [Double, Double]),
            (field(FieldType::Bytes), vec![json!([1, 255])], [Bytes, Bytes]),
            (field(FieldType::Bytes), vec![json!([1, 256])], [Json, Json]),
            (field(FieldType::Date), vec![json!("2024-01-31")], [Date, Date]),
            (field(FieldType::Date), vec![json!("2024-01-31"), json!("soon")], [Text, Text]),
            (field(FieldType::Decimal), vec![json!("1.10")], [Numeric, Numeric]),
            (field(FieldType::Text), vec![json!("1.10"), json!([])], [Json, Json]),
            (field(FieldType::Uuid), vec![], [Uuid, Uuid]),
        ] {
            assert_eq!(types(declared, &values), expected, "{declared:?} {values:?}");
        }
    }

    #[test]
    fn a_nul_is_seen_wherever_it_is() {
        for value in [json!("a\0"), json!(["\0"]), json!({"\0": 1}), json!({"a": [{"b": "\0"}]})] {
            let document = json!({"fine": "x", "bad": value});
            assert_eq!(Profiles::default().add(document.as_object().unwrap()), Some("bad"));
        }
        assert_eq!(Profiles::default().add(json!({"a": "\\0", "b": ["x"]}).as_object().unwrap()), None);
    }
}
