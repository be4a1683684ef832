use std::borrow::Cow;
use std::fmt;

use serde_json::{Number, Value};

use super::text_value::{Decimal, TextValue};
use super::{time, uuid};

/// What the texts of a field stand for, where that has an order of its own.
///
/// JSON has only texts for such values, and a document may have any text there. In a field of a type, those that stand for
/// a value of the type compare by it, whatever they look like: `2026-01-01T00:00:00Z` equals `2026-01-01T01:00:00+01:00`.
/// All other texts compare as texts do and come behind them, and values that are no texts stand where they always do:
/// missing, `null`, `false`, `true`, numbers, values of the type, other texts, lists, objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextType {
    /// A UUID, in any form that is in use. Its bytes give the order.
    Uuid,
    /// A moment, as RFC 3339 writes it. Time gives the order. A filter may say a day, for the moment at which it begins in
    /// UTC.
    Timestamp,
    /// A day, as ISO 8601 writes it: `2026-01-31`. Time gives the order.
    Date,
    /// A decimal number: `12.50`. Its value gives the order: 1.10 equals 1.1. A number of JSON in such a field compares as
    /// the decimal number that it reads as, if it has no more digits than one.
    Decimal,
}

impl TextType {
    /// What a text stands for, if it is one of this type.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<TextValue> {
        match self {
            Self::Uuid => uuid::parse(text).map(TextValue::Uuid),
            Self::Timestamp => {
                time::parse_timestamp(text).map(|(seconds, nanos)| TextValue::Timestamp { seconds, nanos })
            }
            Self::Date => time::parse_date(text).map(TextValue::Date),
            Self::Decimal => Decimal::parse(text).map(TextValue::Decimal),
        }
    }

    /// How many bytes a value takes in a row.
    #[must_use]
    pub fn stored_bytes(self) -> usize {
        match self {
            Self::Uuid | Self::Decimal => 16,
            Self::Timestamp => 12,
            Self::Date => 4,
        }
    }

    /// A text that compares with others of its kind, by code points, as `text` does in a field of this type.
    #[must_use]
    pub fn comparable_text(self, text: &str) -> Cow<'_, str> {
        match self.parse(text) {
            Some(value) => Cow::Owned(value.key().to_string()),
            None => other_text(text),
        }
    }

    /// A value of JSON that compares with others of its kind, by [`compare`](crate::compare()), as `value` does in a field
    /// of this type.
    #[must_use]
    pub fn comparable(self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.comparable_text(&text).into_owned()),
            Value::Number(number) if self == Self::Decimal => match of_number(&number) {
                Some(decimal) => Value::String(decimal.key().to_string()),
                None => Value::Number(number),
            },
            value => value,
        }
    }

    /// A value that equals the one which was made [`comparable`](Self::comparable), in its one form: `1.1` for 1.10.
    #[must_use]
    pub fn shown(self, comparable: Value) -> Value {
        let Value::String(key) = &comparable else { return comparable };
        match key.strip_prefix("\0\u{7f}") {
            Some(other) => Value::from(other),
            None => TextValue::from_key(self, key).map_or(comparable, |value| Value::from(value.to_string())),
        }
    }

    /// As [`comparable`](Self::comparable), for a value that somebody asks for.
    pub(crate) fn asked(self, value: Value) -> Value {
        if self == Self::Timestamp
            && let Value::String(text) = &value
            && let Some(days) = time::parse_date(text)
        {
            let moment = TextValue::Timestamp { seconds: i64::from(days) * 86_400, nanos: 0 };
            return Value::String(moment.key().to_string());
        }
        self.comparable(value)
    }
}

/// Behind all keys of values, in the order of texts.
fn other_text(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.starts_with('\0') { Cow::Owned(format!("\0\u{7f}{text}")) } else { Cow::Borrowed(text) }
}

/// A number of JSON by its shortest digits.
fn of_number(number: &Number) -> Option<TextValue> {
    let text = match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => float.to_string(),
        None => number.to_string(),
    };
    Decimal::parse(&text).map(TextValue::Decimal)
}

impl fmt::Display for TextType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Uuid => "uuid",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Decimal => "decimal",
        })
    }
}
