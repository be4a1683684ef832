//! Writes a value that was stored once more, as it was.

use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::item::Item;
use super::message_pack::{Head, MessagePack, text};

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(head) => head.serialize(serializer),
            Self::MessagePack(bytes) => {
                let mut source = MessagePack::nested(bytes);
                match source.head().map_err(S::Error::custom)? {
                    Head::List(items) => {
                        let mut list = serializer.serialize_seq(Some(items))?;
                        for _ in 0..items {
                            list.serialize_element(&next(&mut source)?)?;
                        }
                        list.end()
                    }
                    Head::Map(entries) => {
                        let mut map = serializer.serialize_map(Some(entries))?;
                        for _ in 0..entries {
                            map.serialize_entry(&next(&mut source)?, &next(&mut source)?)?;
                        }
                        map.end()
                    }
                    scalar => scalar.serialize(serializer),
                }
            }
        }
    }
}

fn next<'a, E: Error>(source: &mut MessagePack<'a>) -> Result<Item<'a>, E> {
    source.value().map(Item::MessagePack).map_err(E::custom)
}

impl Serialize for Head<'_> {
    /// What is neither a list nor a map.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Nil => serializer.serialize_unit(),
            Self::Boolean(value) => serializer.serialize_bool(value),
            Self::Unsigned(number) => serializer.serialize_u64(number),
            Self::Signed(number) => serializer.serialize_i64(number),
            Self::Float32(number) => serializer.serialize_f32(number),
            Self::Float64(number) => serializer.serialize_f64(number),
            Self::Text(bytes) => serializer.serialize_str(text(bytes).map_err(S::Error::custom)?),
            Self::TextValue(value) => serializer.serialize_str(&value.text()),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
            Self::List(_) | Self::Map(_) => Err(S::Error::custom("a list or a map is no scalar")),
        }
    }
}
