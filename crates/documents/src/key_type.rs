use std::fmt;

use bucketdb_query::{TextType, TextValue, double_of};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::InvalidKeyBytes;
#[cfg(feature = "jiff")]
use crate::key::NANOS_OF_SECOND;
use crate::{EncodedKey, KeyFloat, KeyPart};

/// What kind of value a field of a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// Bytes, such as a hash.
    Bytes,
    /// A UUID, as a text in JSON.
    Uuid,
    /// A moment, as a text of RFC 3339 in JSON.
    Timestamp,
    /// A day, as a text such as `2026-01-31` in JSON.
    Date,
    /// A decimal number, as a text in JSON: by its value, so that 1.10 is the same key as 1.1.
    Decimal,
    /// A number of double precision: neither infinite nor none.
    Float,
}

impl fmt::Display for KeyType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Bytes => "bytes",
            Self::Uuid => "uuid",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Decimal => "decimal",
            Self::Float => "float",
        })
    }
}

impl KeyType {
    /// What its texts stand for, if they have an order of their own.
    #[must_use]
    pub fn text_type(self) -> Option<TextType> {
        match self {
            Self::Uuid => Some(TextType::Uuid),
            Self::Timestamp => Some(TextType::Timestamp),
            Self::Date => Some(TextType::Date),
            Self::Decimal => Some(TextType::Decimal),
            Self::Text | Self::Integer | Self::Float | Self::Boolean | Self::Bytes => None,
        }
    }

    /// The part of a key that a value is which is [comparable](TextType::comparable), if texts of the type stand for something.
    #[must_use]
    pub fn part_of_comparable(self, value: &Value) -> Option<KeyPart> {
        match self.text_type() {
            Some(text_type) => TextValue::from_key(text_type, value.as_str()?).map(KeyPart::of_text_value),
            None => self.part(value),
        }
    }

    /// The part of a key that a value of JSON is; `None` if it is of another type.
    #[must_use]
    pub fn part(self, value: &Value) -> Option<KeyPart> {
        match (self, value) {
            (Self::Text, Value::String(text)) => Some(KeyPart::Text(text.clone())),
            (Self::Boolean, Value::Bool(value)) => Some(KeyPart::Boolean(*value)),
            (Self::Integer, Value::Number(number)) => {
                let signed = number.as_i64().map(i128::from);
                signed.or_else(|| number.as_u64().map(i128::from)).map(KeyPart::Integer)
            }
            (Self::Bytes, Value::Array(items)) => {
                let bytes: Option<Vec<u8>> =
                    items.iter().map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
                bytes.map(KeyPart::Bytes)
            }
            (Self::Float, Value::Number(number)) => {
                let float = number.as_f64()?;
                // Two numbers are not one key.
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                whole.is_none_or(|whole| float as i128 == whole).then(|| KeyPart::Float(KeyFloat::new(float)))
            }
            (Self::Decimal, Value::Number(_)) => self.part_of_comparable(&TextType::Decimal.comparable(value.clone())),
            (wanted, Value::String(text)) => Some(KeyPart::of_text_value(wanted.text_type()?.parse(text)?)),
            _ => None,
        }
    }
}

/// A Rust type that can be the primary key of a document: text, integers up to 64 bits, `f32` and `f64`, `bool`, `[u8; 16]`,
/// and tuples of up to four of them; with the features of those names also `uuid::Uuid`, `jiff::Timestamp`,
/// `jiff::civil::Date`, `chrono::DateTime<Utc>`, `chrono::NaiveDate` and `rust_decimal::Decimal`; and an enum without data that
/// derives it. A float that is infinite, or no number, is refused where it is used as a key. An `Option` is none:
///
/// ```compile_fail,E0277
/// fn keys_by<K: bucketdb_documents::DocumentKey>() {}
/// keys_by::<Option<u8>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the primary key of a document",
    note = "keys are texts, integers up to 64 bits, floats, `bool`, `[u8; 16]`, enums without data that derive `DocumentKey`, and with the features of their crates UUIDs, moments, days and decimal numbers"
)]
pub trait DocumentKey: Clone + Send + Sync + 'static {
    /// The types of its fields.
    fn types() -> Vec<KeyType>;

    /// Its fields.
    fn parts(&self) -> Vec<KeyPart>;
}

/// What can be given where a key of type `K` is asked for: the key, a reference to it, or a `&str` for text.
pub trait AsKey<K> {
    /// The key's fields.
    fn key_parts(&self) -> Vec<KeyPart>;
}

impl<K: DocumentKey> AsKey<K> for &K {
    fn key_parts(&self) -> Vec<KeyPart> {
        self.parts()
    }
}

impl AsKey<String> for &str {
    fn key_parts(&self) -> Vec<KeyPart> {
        vec![KeyPart::Text((*self).to_owned())]
    }
}

/// Implements the traits for a type that is one part of a key.
macro_rules! single_key {
    ($($type:ty => $key_type:ident, $value:ident => $part:expr;)*) => {$(
        impl DocumentKey for $type {
            fn types() -> Vec<KeyType> {
                vec![KeyType::$key_type]
            }

            fn parts(&self) -> Vec<KeyPart> {
                let $value = self;
                vec![$part]
            }
        }

        impl AsKey<$type> for $type {
            fn key_parts(&self) -> Vec<KeyPart> {
                self.parts()
            }
        }
    )*};
}

single_key! {
    String => Text, value => KeyPart::Text(value.clone());
    bool => Boolean, value => KeyPart::Boolean(*value);
    [u8; 16] => Bytes, value => KeyPart::Bytes(value.to_vec());
    u8 => Integer, value => KeyPart::Integer(i128::from(*value));
    u16 => Integer, value => KeyPart::Integer(i128::from(*value));
    u32 => Integer, value => KeyPart::Integer(i128::from(*value));
    u64 => Integer, value => KeyPart::Integer(i128::from(*value));
    i8 => Integer, value => KeyPart::Integer(i128::from(*value));
    i16 => Integer, value => KeyPart::Integer(i128::from(*value));
    i32 => Integer, value => KeyPart::Integer(i128::from(*value));
    i64 => Integer, value => KeyPart::Integer(i128::from(*value));
    f64 => Float, value => KeyPart::Float(KeyFloat::new(*value));
    f32 => Float, value => KeyPart::Float(KeyFloat::new(double_of(*value)));
}

#[cfg(feature = "uuid")]
single_key! {
    uuid::Uuid => Uuid, value => KeyPart::Uuid(*value.as_bytes());
}

#[cfg(feature = "jiff")]
single_key! {
    jiff::Timestamp => Timestamp, value => {
        let nanos = value.as_nanosecond();
        let second = i128::from(NANOS_OF_SECOND);
        // A moment of this type is far within 64 bits of seconds.
        KeyPart::Timestamp { seconds: nanos.div_euclid(second) as i64, nanos: nanos.rem_euclid(second) as u32 }
    };
    jiff::civil::Date => Date, value => KeyPart::Date(value.duration_since(EPOCH).as_hours().div_euclid(24) as i32);
}

#[cfg(feature = "jiff")]
const EPOCH: jiff::civil::Date = jiff::civil::Date::constant(1970, 1, 1);

#[cfg(feature = "chrono")]
single_key! {
    chrono::DateTime<chrono::Utc> => Timestamp, value => {
        KeyPart::Timestamp { seconds: value.timestamp(), nanos: value.timestamp_subsec_nanos() }
    };
    chrono::NaiveDate => Date, value => {
        // Counted from the day before year 1.
        KeyPart::Date(chrono::Datelike::num_days_from_ce(value) - 719_163)
    };
}

#[cfg(feature = "rust_decimal")]
use bucketdb_query::Decimal;

#[cfg(feature = "rust_decimal")]
single_key! {
    rust_decimal::Decimal => Decimal, value => {
        let magnitude = value.mantissa().unsigned_abs();
        let number = Decimal::new(value.is_sign_negative(), magnitude, value.scale() as u8);
        // This type holds no more than that.
        number.map_or_else(|| KeyPart::Text(value.to_string()), KeyPart::Decimal)
    };
}

/// Implements the traits for a tuple: a key of several fields.
macro_rules! tuple_key {
    ($($name:ident $given:ident $index:tt),*) => {
        impl<$($name: DocumentKey),*> DocumentKey for ($($name,)*) {
            fn types() -> Vec<KeyType> {
                let mut types = Vec::new();
                $(types.extend($name::types());)*
                types
            }

            fn parts(&self) -> Vec<KeyPart> {
                let mut parts = Vec::new();
                $(parts.extend(self.$index.parts());)*
                parts
            }
        }

        impl<$($name: DocumentKey, $given: AsKey<$name>),*> AsKey<($($name,)*)> for ($($given,)*) {
            fn key_parts(&self) -> Vec<KeyPart> {
                let mut parts = Vec::new();
                $(parts.extend(self.$index.key_parts());)*
                parts
            }
        }
    };
}

tuple_key!(A GA 0, B GB 1);
tuple_key!(A GA 0, B GB 1, C GC 2);
tuple_key!(A GA 0, B GB 1, C GC 2, D GD 3);

/// A JSON value that cannot be the key that a schema asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFromValueError {
    /// It has another type.
    #[error("{found} is not of type {wanted}")]
    WrongType {
        /// The value, as JSON.
        found: String,
        /// What the schema asks for.
        wanted: KeyType,
    },
    /// It has another number of fields.
    #[error("the key has {wanted} fields, and {found} were given")]
    WrongCount {
        /// How many the schema has.
        wanted: usize,
        /// How many were given.
        found: usize,
    },
    /// It is too long or out of range.
    #[error(transparent)]
    Invalid(#[from] InvalidKeyBytes),
}

/// The key with these JSON values as its fields.
///
/// # Errors
/// If a value has not the type that is asked for.
pub fn key_from_value(types: &[KeyType], values: &[&Value]) -> Result<EncodedKey, KeyFromValueError> {
    if types.len() != values.len() {
        return Err(KeyFromValueError::WrongCount { wanted: types.len(), found: values.len() });
    }
    let parts: Result<Vec<_>, _> =
        types.iter().zip(values).map(|(wanted, value)| part_from_value(*wanted, value)).collect();
    Ok(EncodedKey::new(&parts?)?)
}

fn part_from_value(wanted: KeyType, value: &Value) -> Result<KeyPart, KeyFromValueError> {
    wanted.part(value).ok_or_else(|| KeyFromValueError::WrongType { found: shorten(&value.to_string()), wanted })
}

/// The key that a person wrote on a command line: for a single field the bare text of it, for several a JSON list.
///
/// # Errors
/// If it does not fit the types.
pub fn key_from_text(types: &[KeyType], text: &str) -> Result<EncodedKey, KeyFromValueError> {
    if let [single] = types
        && (*single == KeyType::Text || single.text_type().is_some())
    {
        return key_from_value(types, &[&Value::from(text)]);
    }
    let wanted = types.first().copied().unwrap_or(KeyType::Text);
    let value: Value = serde_json::from_str(text)
        .map_err(|_| KeyFromValueError::WrongType { found: shorten(&format!("{text:?}")), wanted })?;
    match (&value, types) {
        (Value::Array(values), [_, _, ..]) => key_from_value(types, &values.iter().collect::<Vec<_>>()),
        _ => key_from_value(types, &[&value]),
    }
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(SHOWN).collect();
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_typed_key_and_its_json_value_are_one() {
        let typed = EncodedKey::new(&("a".to_owned(), 7u32).parts()).unwrap();
        let types = <(String, u32)>::types();
        assert_eq!(key_from_value(&types, &[&json!("a"), &json!(7)]).unwrap(), typed);
        assert_eq!(key_from_text(&types, r#"["a", 7]"#).unwrap(), typed);
        assert_eq!(typed.to_string(), r#"("a", 7)"#);
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_name() {
        let error = key_from_value(&[KeyType::Integer], &[&json!("x")]).unwrap_err();
        assert_eq!(error.to_string(), r#""x" is not of type integer"#);
        assert!(key_from_value(&[KeyType::Integer], &[&json!(1.5)]).is_err());
        assert!(key_from_value(&[KeyType::Text], &[&json!(null)]).is_err());
        assert!(key_from_value(&[KeyType::Text], &[]).is_err());
        assert!(key_from_text(&[KeyType::Integer], "abc").is_err());
    }

    #[test]
    fn text_keys_need_no_quotes_on_a_command_line() {
        let key = key_from_text(&[KeyType::Text], "u_1").unwrap();
        assert_eq!(key, EncodedKey::new(&"u_1".to_owned().parts()).unwrap());
    }
}
