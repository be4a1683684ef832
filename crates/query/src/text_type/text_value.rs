use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::short_text::ShortText;
use super::text_type::TextType;
use super::{time, uuid};

/// A value that JSON writes as a text.
#[derive(Clone, Copy, Debug)]
pub enum TextValue {
    /// A UUID, in the order of its bytes.
    Uuid([u8; 16]),
    /// A moment, in the order of time.
    Timestamp {
        /// Since 1970, the beginning of the second.
        seconds: i64,
        /// Behind that.
        nanos: u32,
    },
    /// A day, counted from 1970-01-01.
    Date(i32),
    /// A decimal number, in the order of numbers.
    Decimal(Decimal),
}

/// A decimal number of up to 96 bits with up to 28 digits behind the point.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    pub(super) is_negative: bool,
    pub(super) scale: u8,
    pub(super) high: u32,
    pub(super) low: u64,
}

/// By value: 1.10 equals 1.1.
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(*other)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        TextValue::Decimal(*self).key().hash(state);
    }
}

impl TextValue {
    /// What it is.
    #[must_use]
    pub fn text_type(&self) -> TextType {
        match self {
            Self::Uuid(_) => TextType::Uuid,
            Self::Timestamp { .. } => TextType::Timestamp,
            Self::Date(_) => TextType::Date,
            Self::Decimal(_) => TextType::Decimal,
        }
    }

    /// The one text that it is written as: UUIDs in lower case with hyphens, moments in UTC with as many digits of a second
    /// as they have, decimal numbers with all their digits behind the point.
    #[must_use]
    pub fn text(&self) -> ShortText {
        match self {
            Self::Uuid(bytes) => uuid::format(bytes),
            Self::Timestamp { seconds, nanos } => time::format_timestamp(*seconds, *nanos),
            Self::Date(days) => time::format_date(*days),
            Self::Decimal(number) => number.format(),
        }
    }

    /// A text that compares with those of other values of the type as the values do. It begins with a zero byte and has
    /// none behind it.
    #[must_use]
    pub fn key(&self) -> ShortText {
        let mut text = ShortText::new();
        text.push(0);
        match self {
            Self::Uuid(bytes) => text.push_hex(bytes),
            Self::Timestamp { seconds, nanos } => {
                text.push_hex(&biased(*seconds));
                text.push_hex(&nanos.to_be_bytes());
            }
            Self::Date(days) => text.push_hex(&biased((*days).into())),
            Self::Decimal(number) => number.push_key(&mut text),
        }
        text
    }

    /// A value that equals the one with that key; `None` if it is none.
    #[must_use]
    pub fn from_key(text_type: TextType, key: &str) -> Option<Self> {
        let key = key.strip_prefix('\0')?;
        let hex = |range: std::ops::Range<usize>| u64::from_str_radix(key.get(range)?, 16).ok();
        let signed = |range| Some((hex(range)? ^ 1 << 63).cast_signed());
        match text_type {
            TextType::Uuid => uuid::parse(key).map(Self::Uuid),
            TextType::Timestamp => {
                Some(Self::Timestamp { seconds: signed(0..16)?, nanos: u32::try_from(hex(16..24)?).ok()? })
            }
            TextType::Date => Some(Self::Date(i32::try_from(signed(0..16)?).ok()?)),
            TextType::Decimal => Decimal::from_key(key).map(Self::Decimal),
        }
    }

    /// Its bytes in a row, so many as [`TextType::stored_bytes`] says: a UUID's own; numbers in little-endian: seconds (8)
    /// and nanoseconds (4), days (4), and all digits of a decimal number (12), its scale (1), whether it is negative (1) and
    /// two zeros.
    #[must_use]
    pub fn to_stored(&self) -> [u8; 16] {
        let mut stored = [0; 16];
        let mut put = |at: usize, bytes: &[u8]| {
            for (to, from) in stored.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
        };
        match self {
            Self::Uuid(bytes) => put(0, bytes),
            Self::Timestamp { seconds, nanos } => {
                put(0, &seconds.to_le_bytes());
                put(8, &nanos.to_le_bytes());
            }
            Self::Date(days) => put(0, &days.to_le_bytes()),
            Self::Decimal(number) => {
                put(0, &number.low.to_le_bytes());
                put(8, &number.high.to_le_bytes());
                put(12, &[number.scale, u8::from(number.is_negative)]);
            }
        }
        stored
    }

    /// Reads what [`to_stored`](Self::to_stored) wrote; `None` if that is no value.
    #[must_use]
    pub fn from_stored(text_type: TextType, stored: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(*stored.get(at..)?.first_chunk()?));
        let long = || Some(u64::from_le_bytes(*stored.first_chunk()?));
        match text_type {
            TextType::Uuid => Some(Self::Uuid(*stored.first_chunk()?)),
            TextType::Timestamp => {
                let (seconds, nanos) = (long()?.cast_signed(), number(8)?);
                time::is_timestamp(seconds, nanos).then_some(Self::Timestamp { seconds, nanos })
            }
            TextType::Date => {
                let days = number(0)?.cast_signed();
                time::is_date(days).then_some(Self::Date(days))
            }
            TextType::Decimal => {
                let magnitude = u128::from(number(8)?) << 64 | u128::from(long()?);
                match *stored.get(12..16)? {
                    [scale, sign @ (0 | 1), 0, 0] => Decimal::new(sign == 1, magnitude, scale).map(Self::Decimal),
                    _ => None,
                }
            }
        }
    }
}

/// Bytes that compare as the numbers do.
fn biased(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// By value, decimal numbers too: 1.10 equals 1.1. Values of different types in the order of the types.
impl Ord for TextValue {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Uuid(left), Self::Uuid(right)) => left.cmp(right),
            (Self::Timestamp { seconds, nanos }, Self::Timestamp { seconds: other_seconds, nanos: other_nanos }) => {
                (seconds, nanos).cmp(&(other_seconds, other_nanos))
            }
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Decimal(left), Self::Decimal(right)) => left.compare(*right),
            (left, right) => left.text_type().cmp(&right.text_type()),
        }
    }
}

impl PartialOrd for TextValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for TextValue {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for TextValue {}

impl fmt::Display for TextValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text())
    }
}
