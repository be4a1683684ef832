//! Keys as bytes that compare as the keys do.
//!
//! The encoding is the tuple layer's of FoundationDB (its specification, "FDB Tuple layer typecodes"), of which it uses
//! byte strings, texts, integers, booleans and UUIDs: a type code, then the value. Integers of all widths share one order:
//! the code counts their bytes, below 0x14 for negative ones, whose bytes are complemented. Texts and byte strings end in a
//! zero byte, and a zero byte inside is followed by 0xff. Numbers of double precision are its, too: their 8 bytes, big-endian,
//! of negative ones complemented, of others with the sign turned. Of the codes that it leaves to its users, moments, days and
//! decimal numbers take three: seconds (8 bytes) and nanoseconds (4), and days (4), big-endian, numbers with a sign with their
//! sign turned; and of a decimal number the letters of its [`TextValue::key`], then a zero byte. A key of several fields is
//! one part after the other.

use std::fmt;

use bucketdb_query::{AsStored, Decimal, TextType, TextValue};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::index_range::behind;

const CODE_BYTES: u8 = 0x01;
const CODE_TEXT: u8 = 0x02;
const CODE_ZERO: u8 = 0x14;
const CODE_FLOAT: u8 = 0x21;
const CODE_FALSE: u8 = 0x26;
const CODE_TRUE: u8 = 0x27;
const CODE_UUID: u8 = 0x30;
const CODE_TIMESTAMP: u8 = 0x40;
const CODE_DATE: u8 = 0x41;
const CODE_DECIMAL: u8 = 0x42;

pub(crate) const NANOS_OF_SECOND: u32 = 1_000_000_000;

/// The longest encoded key in bytes.
pub const MAX_KEY_BYTES: usize = 4096;

/// A primary key in its stored form. Orders as the key's fields do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodedKey(Bytes);

/// One field of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPart {
    /// Bytes, in the order of the bytes.
    Bytes(Vec<u8>),
    /// Text, in the order of its UTF-8 bytes.
    Text(String),
    /// A whole number from `i64::MIN` to `u64::MAX`.
    Integer(i128),
    /// A number of double precision.
    Float(KeyFloat),
    /// False before true.
    Boolean(bool),
    /// A UUID, in the order of its bytes.
    Uuid([u8; 16]),
    /// A moment, in the order of time.
    Timestamp {
        /// Since 1970, the beginning of the second.
        seconds: i64,
        /// Behind that, below 10^9.
        nanos: u32,
    },
    /// A day, counted from 1970-01-01.
    Date(i32),
    /// A decimal number, by its value: 1.10 is the same key as 1.1.
    Decimal(Decimal),
}

/// A number of double precision as a key has it: in the order of numbers, and zero without a sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyFloat(u64);

/// Turns the sign of numbers that have none, and all bits of others.
const SIGN: u64 = 1 << 63;

impl KeyFloat {
    /// The key that a number is. One that is infinite, or none, is no key: JSON has no such number.
    #[must_use]
    pub fn new(number: f64) -> Self {
        let bits = if number == 0.0 { 0 } else { number.to_bits() };
        Self(if bits & SIGN == 0 { bits | SIGN } else { !bits })
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> f64 {
        f64::from_bits(if self.0 & SIGN == 0 { !self.0 } else { self.0 & !SIGN })
    }
}

impl fmt::Debug for KeyFloat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.number(), formatter)
    }
}

/// Bytes that are no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid key: {0}")]
pub struct InvalidKeyBytes(&'static str);

impl EncodedKey {
    /// The same, in memory of its own: a key that was read may hold all that was read with it.
    #[must_use]
    pub fn detached(&self) -> Self {
        // Copied bytes take another piece of memory as soon as they are shared, which keys are.
        Self(Short::new(&self.0).map_or_else(|| Bytes::copy_from_slice(&self.0), Bytes::from_owner))
    }

    /// Encodes the fields of a key, in order.
    ///
    /// # Errors
    /// If there is none, if an integer is out of range, or if the key is over [`MAX_KEY_BYTES`].
    pub fn new(parts: &[KeyPart]) -> Result<Self, InvalidKeyBytes> {
        if parts.is_empty() {
            return Err(InvalidKeyBytes("it has no field"));
        }
        // Of just the right size, it becomes shared bytes as it is.
        let mut bytes = Vec::with_capacity(parts.iter().map(encoded_length).sum());
        for part in parts {
            encode_part(&mut bytes, part)?;
        }
        if bytes.len() > MAX_KEY_BYTES {
            return Err(InvalidKeyBytes("it is longer than 4096 bytes"));
        }
        Ok(Self(bytes.into()))
    }

    /// Takes stored bytes as a key, after checking that they are one.
    ///
    /// # Errors
    /// If they are not what [`new`](Self::new) gives for any parts.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, InvalidKeyBytes> {
        let key = Self(bytes);
        if is_plain(key.as_bytes()) {
            return Ok(key);
        }
        if Self::new(&key.parts()?)? == key { Ok(key) } else { Err(InvalidKeyBytes("it has another canonical form")) }
    }

    /// Takes bytes that were checked before.
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The first bytes behind all keys that begin as this one does: no key themselves, but the end of a range. `None` if
    /// there are none.
    pub(crate) fn behind(&self) -> Option<Self> {
        behind(self.0.to_vec()).map(Self)
    }

    /// The fields of the key.
    ///
    /// # Errors
    /// If the bytes are not a key.
    pub fn parts(&self) -> Result<Vec<KeyPart>, InvalidKeyBytes> {
        let mut rest: &[u8] = &self.0;
        let mut parts = Vec::new();
        while let Some((code, after)) = rest.split_first() {
            let (part, after) = decode_part(*code, after)?;
            parts.push(part);
            rest = after;
        }
        Ok(parts)
    }

    /// The bytes, which compare as keys do.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

/// The bytes of a key, if they are few, in the same piece of memory as the count of those who share them.
struct Short {
    len: u8,
    bytes: [u8; SHORT_BYTES],
}

const SHORT_BYTES: usize = 39;

impl Short {
    fn new(key: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT_BYTES];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(Self { len: key.len() as u8, bytes })
    }
}

impl AsRef<[u8]> for Short {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Whether bytes are a key, of parts of which that is seen by one look: most keys. Of others it says no.
fn is_plain(key: &[u8]) -> bool {
    let mut rest = key;
    while let Some((code, after)) = rest.split_first() {
        let Some(after) = skip_plain_part(*code, after) else { return false };
        rest = after;
    }
    !key.is_empty() && key.len() <= MAX_KEY_BYTES
}

fn skip_plain_part(code: u8, rest: &[u8]) -> Option<&[u8]> {
    match code {
        CODE_TEXT => {
            let (text, rest) = rest.split_at_checked(memchr::memchr(0, rest)?)?;
            let rest = rest.get(1..)?;
            // A zero byte inside it goes on.
            (rest.first() != Some(&0xff) && std::str::from_utf8(text).is_ok()).then_some(rest)
        }
        CODE_FALSE | CODE_TRUE | CODE_ZERO => Some(rest),
        CODE_UUID => rest.get(16..),
        // With the first byte that says something, of up to seven: more may be out of range.
        0x0d..=0x1b => {
            let (digits, rest) = rest.split_at_checked(usize::from(code.abs_diff(CODE_ZERO)))?;
            let says_nothing = if code < CODE_ZERO { 0xff } else { 0 };
            (digits.first() != Some(&says_nothing)).then_some(rest)
        }
        _ => None,
    }
}

/// How many bytes [`encode_part`] appends for a part that it accepts.
fn encoded_length(part: &KeyPart) -> usize {
    let terminated = |value: &[u8]| value.len() + value.iter().filter(|byte| **byte == 0).count() + 2;
    match part {
        KeyPart::Bytes(value) => terminated(value),
        KeyPart::Text(value) => terminated(value.as_bytes()),
        KeyPart::Boolean(_) => 1,
        KeyPart::Uuid(_) => 17,
        KeyPart::Timestamp { .. } => 13,
        KeyPart::Date(_) => 5,
        KeyPart::Float(_) => 9,
        KeyPart::Decimal(number) => 1 + TextValue::Decimal(*number).key().len(),
        KeyPart::Integer(value) => 1 + (u64::BITS - (value.unsigned_abs() as u64).leading_zeros()).div_ceil(8) as usize,
    }
}

fn encode_part(bytes: &mut Vec<u8>, part: &KeyPart) -> Result<(), InvalidKeyBytes> {
    match part {
        KeyPart::Bytes(value) => encode_terminated(bytes, CODE_BYTES, value),
        KeyPart::Text(value) => encode_terminated(bytes, CODE_TEXT, value.as_bytes()),
        KeyPart::Boolean(value) => bytes.push(if *value { CODE_TRUE } else { CODE_FALSE }),
        KeyPart::Uuid(value) => {
            bytes.push(CODE_UUID);
            bytes.extend_from_slice(value);
        }
        KeyPart::Timestamp { seconds, nanos } => {
            if *nanos >= NANOS_OF_SECOND {
                return Err(InvalidKeyBytes("a moment has more than a second behind its second"));
            }
            bytes.push(CODE_TIMESTAMP);
            bytes.extend_from_slice(&(seconds ^ i64::MIN).to_be_bytes());
            bytes.extend_from_slice(&nanos.to_be_bytes());
        }
        KeyPart::Date(days) => {
            bytes.push(CODE_DATE);
            bytes.extend_from_slice(&(days ^ i32::MIN).to_be_bytes());
        }
        KeyPart::Float(number) => {
            if !number.number().is_finite() {
                return Err(InvalidKeyBytes("a number is infinite, or none"));
            }
            bytes.push(CODE_FLOAT);
            bytes.extend_from_slice(&number.0.to_be_bytes());
        }
        KeyPart::Decimal(number) => {
            bytes.push(CODE_DECIMAL);
            // It begins with a zero byte, which is of use in an index only.
            bytes.extend_from_slice(TextValue::Decimal(*number).key().as_bytes().get(1..).unwrap_or_default());
            bytes.push(0);
        }
        KeyPart::Integer(value) => {
            if *value < i128::from(i64::MIN) || *value > i128::from(u64::MAX) {
                return Err(InvalidKeyBytes("an integer is out of range"));
            }
            let magnitude = value.unsigned_abs() as u64;
            let width = (u64::BITS - magnitude.leading_zeros()).div_ceil(8) as u8;
            let negative = *value < 0;
            bytes.push(if negative { CODE_ZERO - width } else { CODE_ZERO + width });
            let stored = if negative { !magnitude } else { magnitude };
            bytes.extend(stored.to_be_bytes().into_iter().skip(8 - usize::from(width)));
        }
    }
    Ok(())
}

fn encode_terminated(bytes: &mut Vec<u8>, code: u8, value: &[u8]) {
    bytes.push(code);
    for byte in value {
        bytes.push(*byte);
        if *byte == 0 {
            bytes.push(0xff);
        }
    }
    bytes.push(0);
}

fn decode_part(code: u8, rest: &[u8]) -> Result<(KeyPart, &[u8]), InvalidKeyBytes> {
    match code {
        CODE_BYTES => decode_terminated(rest).map(|(value, rest)| (KeyPart::Bytes(value), rest)),
        CODE_TEXT => {
            let (value, rest) = decode_terminated(rest)?;
            let text = String::from_utf8(value).map_err(|_| InvalidKeyBytes("a text is not UTF-8"))?;
            Ok((KeyPart::Text(text), rest))
        }
        CODE_FALSE => Ok((KeyPart::Boolean(false), rest)),
        CODE_TRUE => Ok((KeyPart::Boolean(true), rest)),
        CODE_UUID => take(rest).map(|(value, rest)| (KeyPart::Uuid(value), rest)),
        CODE_TIMESTAMP => {
            let (seconds, rest) = take(rest)?;
            let (nanos, rest) = take(rest)?;
            let (seconds, nanos) = (i64::from_be_bytes(seconds) ^ i64::MIN, u32::from_be_bytes(nanos));
            Ok((KeyPart::Timestamp { seconds, nanos }, rest))
        }
        CODE_DATE => take(rest).map(|(days, rest)| (KeyPart::Date(i32::from_be_bytes(days) ^ i32::MIN), rest)),
        CODE_FLOAT => take(rest).map(|(bits, rest)| (KeyPart::Float(KeyFloat(u64::from_be_bytes(bits))), rest)),
        CODE_DECIMAL => {
            let end = rest.iter().position(|byte| *byte == 0);
            let (letters, rest) = end.and_then(|end| rest.split_at_checked(end)).unwrap_or((rest, &[]));
            let key = std::str::from_utf8(letters).ok().map(|letters| format!("\0{letters}"));
            match (key.and_then(|key| TextValue::from_key(TextType::Decimal, &key)), rest) {
                (Some(TextValue::Decimal(number)), [0, rest @ ..]) => Ok((KeyPart::Decimal(number), rest)),
                _ => Err(InvalidKeyBytes("a decimal number is none")),
            }
        }
        0x0c..=0x1c => {
            let negative = code < CODE_ZERO;
            let width = usize::from(code.abs_diff(CODE_ZERO));
            let (digits, rest) = rest.split_at_checked(width).ok_or(InvalidKeyBytes("it ends inside an integer"))?;
            let fill = if negative { 0xff } else { 0 };
            let mut bytes = [fill; 8];
            for (to, from) in bytes.iter_mut().skip(8 - width).zip(digits) {
                *to = *from;
            }
            let stored = u64::from_be_bytes(bytes);
            let value = if negative { -i128::from(!stored) } else { i128::from(stored) };
            Ok((KeyPart::Integer(value), rest))
        }
        _ => Err(InvalidKeyBytes("it has a type that this version does not know")),
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), InvalidKeyBytes> {
    let taken = bytes.split_first_chunk().map(|(value, rest)| (*value, rest));
    taken.ok_or(InvalidKeyBytes("it ends inside a value"))
}

fn decode_terminated(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), InvalidKeyBytes> {
    let mut value = Vec::new();
    loop {
        let end = memchr::memchr(0, rest).ok_or(InvalidKeyBytes("it ends inside a text"))?;
        let (piece, after) = rest.split_at(end);
        value.extend_from_slice(piece);
        match after {
            [0, 0xff, after @ ..] => {
                value.push(0);
                rest = after;
            }
            _ => return Ok((value, after.get(1..).unwrap_or_default())),
        }
    }
}

impl KeyPart {
    /// What is to be compared with texts of documents.
    #[must_use]
    pub fn text_value(&self) -> Option<TextValue> {
        match self {
            Self::Uuid(value) => Some(TextValue::Uuid(*value)),
            Self::Timestamp { seconds, nanos } => Some(TextValue::Timestamp { seconds: *seconds, nanos: *nanos }),
            Self::Date(days) => Some(TextValue::Date(*days)),
            Self::Decimal(number) => Some(TextValue::Decimal(*number)),
            Self::Bytes(_) | Self::Text(_) | Self::Integer(_) | Self::Float(_) | Self::Boolean(_) => None,
        }
    }

    /// The part of a key that a variant of an enum without data is: its text.
    #[must_use]
    pub fn of_variant<T: Serialize + ?Sized>(variant: &T) -> Self {
        match AsStored(variant).to_value() {
            Some(Value::String(name)) => Self::Text(name),
            // No document has such a key: what is stored is no text.
            value => Self::Text(value.unwrap_or_default().to_string()),
        }
    }

    /// The part of a key that a text stands for.
    #[must_use]
    pub fn of_text_value(value: TextValue) -> Self {
        match value {
            TextValue::Uuid(value) => Self::Uuid(value),
            TextValue::Timestamp { seconds, nanos } => Self::Timestamp { seconds, nanos },
            TextValue::Date(days) => Self::Date(days),
            TextValue::Decimal(number) => Self::Decimal(number),
        }
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(value) = self.text_value() {
            return value.fmt(formatter);
        }
        match self {
            Self::Uuid(_) | Self::Timestamp { .. } | Self::Date(_) | Self::Decimal(_) => Ok(()),
            Self::Float(number) => fmt::Debug::fmt(number, formatter),
            Self::Bytes(value) => value.iter().try_for_each(|byte| write!(formatter, "{byte:02x}")),
            Self::Text(value) => write!(formatter, "{value:?}"),
            Self::Integer(value) => value.fmt(formatter),
            Self::Boolean(value) => value.fmt(formatter),
        }
    }
}

impl fmt::Display for EncodedKey {
    /// As a person would write it: `"u_1"`, `42`, `("a", 7)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts().as_deref() {
            Ok([part]) => part.fmt(formatter),
            Ok(parts) => {
                formatter.write_str("(")?;
                for (index, part) in parts.iter().enumerate() {
                    write!(formatter, "{}{part}", if index > 0 { ", " } else { "" })?;
                }
                formatter.write_str(")")
            }
            Err(error) => error.fmt(formatter),
        }
    }
}

impl fmt::Debug for EncodedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EncodedKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_part() -> impl Strategy<Value = KeyPart> {
        let integer = prop_oneof![any::<i64>().prop_map(i128::from), any::<u64>().prop_map(i128::from), -300i128..300];
        prop_oneof![
            prop::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0..12).prop_map(KeyPart::Bytes),
            "[\\x00a-c\u{ff}\u{10ffff}]{0,6}".prop_map(KeyPart::Text),
            integer.prop_map(KeyPart::Integer),
            any::<bool>().prop_map(KeyPart::Boolean),
            any::<[u8; 16]>().prop_map(KeyPart::Uuid),
            (prop_oneof![-2..2i64, any::<i64>()], prop_oneof![0..2u32, 0..NANOS_OF_SECOND])
                .prop_map(|(seconds, nanos)| KeyPart::Timestamp { seconds, nanos }),
            prop_oneof![-2..2i32, any::<i32>()].prop_map(KeyPart::Date),
            prop_oneof![(-3_i8..3).prop_map(|number| f64::from(number) / 2.0), any::<f64>()]
                .prop_filter("no key", |number| number.is_finite())
                .prop_map(|number| KeyPart::Float(KeyFloat::new(number))),
            (any::<bool>(), prop_oneof![0..200_u128, any::<u128>().prop_map(|number| number >> 32)], 0..29_u8)
                .prop_filter_map("no decimal", |(is_negative, digits, scale)| Decimal::new(is_negative, digits, scale))
                .prop_map(KeyPart::Decimal),
        ]
    }

    proptest! {
        #[test]
        fn bytes_compare_as_keys_do(
            a in prop::collection::vec(any_part(), 1..4), b in prop::collection::vec(any_part(), 1..4),
        ) {
            let (key_a, key_b) = (EncodedKey::new(&a).unwrap(), EncodedKey::new(&b).unwrap());
            prop_assert_eq!(key_a.cmp(&key_b), a.cmp(&b));
        }

        #[test]
        fn the_length_of_a_part_is_told_before(part in any_part()) {
            let mut bytes = Vec::new();
            encode_part(&mut bytes, &part).unwrap();
            prop_assert_eq!(encoded_length(&part), bytes.len());
        }

        #[test]
        fn keys_round_trip(parts in prop::collection::vec(any_part(), 1..4)) {
            let key = EncodedKey::new(&parts).unwrap();
            prop_assert_eq!(key.parts().unwrap(), parts);
            prop_assert_eq!(EncodedKey::from_bytes(key.to_bytes()).unwrap(), key);
        }

        #[test]
        fn what_passes_at_one_look_passes_the_whole_check(
            parts in prop::collection::vec(any_part(), 1..4),
            change in (any::<prop::sample::Index>(), prop_oneof![0u8..0x42, any::<u8>()]),
            end in any::<prop::sample::Index>(),
        ) {
            let key = EncodedKey::new(&parts).unwrap();
            let mut bytes = key.as_bytes().to_vec();
            bytes[change.0.index(key.as_bytes().len())] = change.1;
            let cut = &bytes[..=end.index(bytes.len())];
            for bytes in [key.as_bytes(), &bytes, cut] {
                if is_plain(bytes) {
                    let parts = EncodedKey(Bytes::copy_from_slice(bytes)).parts().unwrap();
                    let again = EncodedKey::new(&parts).unwrap();
                    prop_assert_eq!(again.as_bytes(), bytes);
                }
            }
            prop_assert_eq!(key.detached(), key);
        }

        #[test]
        fn bytes_that_pass_have_one_form(bytes in prop::collection::vec(prop_oneof![0u8..0x42, any::<u8>()], 0..20)) {
            if let Ok(key) = EncodedKey::from_bytes(bytes.clone().into()) {
                let again = EncodedKey::new(&key.parts().unwrap()).unwrap();
                prop_assert_eq!(again.as_bytes(), bytes.as_slice());
            }
        }
    }

    #[test]
    fn golden_bytes() {
        assert!(is_plain(EncodedKey::new(&[KeyPart::Text("a".into()), KeyPart::Integer(-300)]).unwrap().as_bytes()));
        let key = |part| EncodedKey::new(&[part]).unwrap().as_bytes().to_vec();
        assert_eq!(key(KeyPart::Integer(0)), [0x14]);
        assert_eq!(key(KeyPart::Integer(255)), [0x15, 0xff]);
        assert_eq!(key(KeyPart::Integer(-1)), [0x13, 0xfe]);
        assert_eq!(key(KeyPart::Text("a\0b".to_owned())), [2, b'a', 0, 0xff, b'b', 0]);
        assert_eq!(key(KeyPart::Uuid([7; 16])), [vec![0x30], vec![7; 16]].concat());
        assert_eq!(
            key(KeyPart::Timestamp { seconds: -1, nanos: 2 }),
            [0x40, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2]
        );
        assert_eq!(key(KeyPart::Date(1)), [0x41, 0x80, 0, 0, 1]);
        let float = |number| key(KeyPart::Float(KeyFloat::new(number)));
        assert_eq!(float(1.0), [0x21, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(float(-1.0), [0x21, 0x40, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(float(-0.0), float(0.0));
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(EncodedKey::new(&[KeyPart::Float(KeyFloat::new(none))]).is_err());
        }
        let decimal = |digits, scale| key(KeyPart::Decimal(Decimal::new(false, digits, scale).unwrap()));
        assert_eq!(decimal(125, 2), [b"\x4264012", &b"5\0"[..]].concat());
        assert_eq!(decimal(1250, 3), decimal(125, 2));
        assert!(EncodedKey::new(&[KeyPart::Timestamp { seconds: 0, nanos: NANOS_OF_SECOND }]).is_err());
        assert!(EncodedKey::new(&[KeyPart::Integer(i128::from(u64::MAX) + 1)]).is_err());
        assert!(EncodedKey::new(&[KeyPart::Text("x".repeat(5000))]).is_err());
        assert!(EncodedKey::new(&[]).is_err());
    }
}
