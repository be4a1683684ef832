use std::any::TypeId;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use bucketdb_query::TextType;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Blob, StandIn};

/// A field that a [`Schema`](crate::Schema) declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name at the top of the document.
    pub name: String,
    /// What it holds in most documents.
    pub field_type: FieldType,
    /// Whether a document may lack it.
    #[serde(default, skip_serializing_if = "Presence::is_unsaid")]
    pub presence: Presence,
    /// What documents of earlier versions have that lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<StandIn>,
    /// Its name in the version before, if it had another one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
}

/// What texts stand for that a document has in its lists, or in documents within it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NestedType {
    /// Where they are, in the text form of a path: `lines[*].price`.
    pub path: String,
    /// What they are texts of.
    pub field_type: FieldType,
}

impl Field {
    /// A field of which no more is said than what it holds.
    #[must_use]
    pub fn new(name: &str, field_type: FieldType) -> Self {
        Self { name: name.to_owned(), field_type, presence: Presence::Unsaid, default: None, renamed_from: None }
    }
}

/// Whether documents may lack a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// That is not said, as where documents are JSON.
    #[default]
    Unsaid,
    /// They may: the type has it as an `Option`, or fills it in.
    Optional,
    /// Without it, a document does not read as the type.
    Required,
}

impl Presence {
    fn is_unsaid(&self) -> bool {
        *self == Self::Unsaid
    }
}

/// How the values of a field are laid out in a row.
///
/// It promises nothing about the documents: a value of another type is stored all the same, only not in its field's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FieldType {
    /// `true` or `false`.
    Bool,
    /// A whole number of 8 bits with a sign.
    I8,
    /// A whole number of 16 bits with a sign.
    I16,
    /// A whole number of 32 bits with a sign.
    I32,
    /// A whole number of 64 bits with a sign.
    I64,
    /// A whole number of 8 bits.
    U8,
    /// A whole number of 16 bits.
    U16,
    /// A whole number of 32 bits.
    U32,
    /// A whole number of 64 bits.
    U64,
    /// A number with a fraction, of single precision.
    F32,
    /// A number with a fraction, of double precision.
    F64,
    /// Text.
    Text,
    /// Bytes, as types have them that serialise as bytes and not as a list of numbers.
    Bytes,
    /// A UUID, as a text; 16 bytes in a row.
    Uuid,
    /// A moment, as a text of RFC 3339; 12 bytes in a row.
    Timestamp,
    /// A day, as a text such as `2026-01-31`; 4 bytes in a row.
    Date,
    /// A decimal number, as a text; 16 bytes in a row.
    Decimal,
    /// A [`Blob`], as a text that refers to it; the text in a row.
    Blob,
    /// Anything else.
    Any,
}

impl fmt::Display for FieldType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Uuid => "uuid",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Decimal => "decimal",
            Self::Blob => "blob",
            Self::Any => "any",
        })
    }
}

impl FieldType {
    /// That of a field of this Rust type. An optional field has that of its content: there is always room to say that a
    /// value is missing.
    #[must_use]
    pub fn of<T: ?Sized + 'static>() -> Self {
        let wanted = TypeId::of::<T>();
        let is = |types: &[TypeId]| types.contains(&wanted);
        macro_rules! either {
            ($($rust:ty),+) => { is(&[$(TypeId::of::<$rust>(), TypeId::of::<Option<$rust>>()),+]) };
        }
        #[cfg(feature = "uuid")]
        if either!(uuid::Uuid) {
            return Self::Uuid;
        }
        #[cfg(feature = "jiff")]
        if either!(jiff::Timestamp) {
            return Self::Timestamp;
        } else if either!(jiff::civil::Date) {
            return Self::Date;
        }
        #[cfg(feature = "chrono")]
        if either!(chrono::DateTime<chrono::Utc>) {
            return Self::Timestamp;
        } else if either!(chrono::NaiveDate) {
            return Self::Date;
        }
        #[cfg(feature = "rust_decimal")]
        if either!(rust_decimal::Decimal) {
            return Self::Decimal;
        }
        match () {
            () if either!(bool) => Self::Bool,
            () if either!(i8) => Self::I8,
            () if either!(i16) => Self::I16,
            () if either!(i32) => Self::I32,
            () if either!(i64, isize) => Self::I64,
            () if either!(u8) => Self::U8,
            () if either!(u16) => Self::U16,
            () if either!(u32) => Self::U32,
            () if either!(u64, usize) => Self::U64,
            () if either!(f32) => Self::F32,
            () if either!(f64) => Self::F64,
            () if either!(String, Box<str>, Arc<str>, Rc<str>, Cow<'static, str>, &'static str, char) => Self::Text,
            () if either!(Bytes) => Self::Bytes,
            () if either!(Blob) => Self::Blob,
            () => Self::Any,
        }
    }

    /// That of the elements of a list of this Rust type, if they are of one whose texts stand for something.
    pub(crate) fn of_elements<T: ?Sized + 'static>() -> Option<Self> {
        let wanted = TypeId::of::<T>();
        #[cfg(feature = "uuid")]
        if lists_of::<uuid::Uuid>().contains(&wanted) {
            return Some(Self::Uuid);
        }
        #[cfg(feature = "jiff")]
        if lists_of::<jiff::Timestamp>().contains(&wanted) {
            return Some(Self::Timestamp);
        } else if lists_of::<jiff::civil::Date>().contains(&wanted) {
            return Some(Self::Date);
        }
        #[cfg(feature = "chrono")]
        if lists_of::<chrono::DateTime<chrono::Utc>>().contains(&wanted) {
            return Some(Self::Timestamp);
        } else if lists_of::<chrono::NaiveDate>().contains(&wanted) {
            return Some(Self::Date);
        }
        #[cfg(feature = "rust_decimal")]
        if lists_of::<rust_decimal::Decimal>().contains(&wanted) {
            return Some(Self::Decimal);
        }
        // There is no value of it; without these features there is no other type.
        lists_of::<std::convert::Infallible>().contains(&wanted).then_some(Self::Any)
    }

    /// Whether whatever was stored as `self` reads as `wider` too.
    pub(crate) fn widens_to(self, wider: Self) -> bool {
        let bits = |of: Self| match of {
            Self::I8 => Some((true, 8)),
            Self::I16 => Some((true, 16)),
            Self::I32 => Some((true, 32)),
            Self::I64 => Some((true, 64)),
            Self::U8 => Some((false, 8)),
            Self::U16 => Some((false, 16)),
            Self::U32 => Some((false, 32)),
            Self::U64 => Some((false, 64)),
            _ => None,
        };
        match (bits(self), bits(wider), wider) {
            (Some((true, from)), Some((true, to)), _) | (Some((false, from)), Some((false, to)), _) => from <= to,
            (Some((false, from)), Some((true, to)), _) => from < to,
            // So many bits a float holds without loss.
            (Some((_, from)), None, Self::F32) => from <= 16,
            (Some((_, from)), None, Self::F64) => from <= 32,
            _ => self == wider || (self, wider) == (Self::F32, Self::F64),
        }
    }

    /// What its texts stand for, if they have an order of their own.
    #[must_use]
    pub fn text_type(self) -> Option<TextType> {
        match self {
            Self::Uuid => Some(TextType::Uuid),
            Self::Timestamp => Some(TextType::Timestamp),
            Self::Date => Some(TextType::Date),
            Self::Decimal => Some(TextType::Decimal),
            _ => None,
        }
    }

    /// How many bytes it takes where its place in the row is fixed; `None` if that depends on the value.
    pub(crate) fn fixed_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::I8 | Self::U8 => Some(1),
            Self::I16 | Self::U16 => Some(2),
            Self::I32 | Self::U32 | Self::F32 => Some(4),
            Self::I64 | Self::U64 | Self::F64 => Some(8),
            Self::Uuid | Self::Timestamp | Self::Date | Self::Decimal => self.text_type().map(TextType::stored_bytes),
            Self::Text | Self::Bytes | Self::Blob | Self::Any => None,
        }
    }
}

/// The lists that there may be of elements of a type.
fn lists_of<E: 'static>() -> [TypeId; 7] {
    [
        TypeId::of::<Vec<E>>(),
        TypeId::of::<Option<Vec<E>>>(),
        TypeId::of::<Vec<Option<E>>>(),
        TypeId::of::<Box<[E]>>(),
        TypeId::of::<VecDeque<E>>(),
        TypeId::of::<BTreeSet<E>>(),
        TypeId::of::<HashSet<E>>(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_by_the_rust_type() {
        assert_eq!(FieldType::of::<u8>(), FieldType::U8);
        assert_eq!(FieldType::of::<Option<i64>>(), FieldType::I64);
        assert_eq!(FieldType::of::<Option<String>>(), FieldType::Text);
        assert_eq!(FieldType::of::<Option<f32>>(), FieldType::F32);
        assert_eq!(FieldType::of::<Vec<u8>>(), FieldType::Any);
        assert_eq!(FieldType::of::<Option<Option<u8>>>(), FieldType::Any);
        assert_eq!(FieldType::of::<u128>(), FieldType::Any);
        assert_eq!(FieldType::of::<str>(), FieldType::Any);
        #[cfg(feature = "uuid")]
        assert_eq!(FieldType::of::<Option<uuid::Uuid>>(), FieldType::Uuid);
        #[cfg(feature = "jiff")]
        assert_eq!(FieldType::of::<jiff::Timestamp>(), FieldType::Timestamp);
        #[cfg(feature = "chrono")]
        assert_eq!(FieldType::of::<Option<chrono::NaiveDate>>(), FieldType::Date);
        #[cfg(feature = "rust_decimal")]
        assert_eq!(FieldType::of::<rust_decimal::Decimal>(), FieldType::Decimal);
    }
}
