use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// The fields that a type asks for when it is read; `None` if it does not say so before.
pub(crate) fn fields_of<'de, T: Deserialize<'de>>() -> Option<&'static [&'static str]> {
    let mut fields = None;
    // It reads nothing, so there is nothing but an error.
    let _ = T::deserialize(Asked { fields: &mut fields });
    fields
}

/// Gives nothing, and notes what is asked for.
struct Asked<'a> {
    fields: &'a mut Option<&'static [&'static str]>,
}

/// Why nothing is read: there is nothing.
#[derive(Debug)]
pub(crate) struct Nothing;

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Nothing;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Nothing> {
        Err(Nothing)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Nothing> {
        *self.fields = Some(fields);
        Err(Nothing)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl de::Error for Nothing {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl fmt::Display for Nothing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nothing")
    }
}

impl std::error::Error for Nothing {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[expect(dead_code, reason = "they are asked for, and never read")]
    #[test]
    fn only_a_struct_says_what_it_asks_for() {
        #[derive(Deserialize)]
        struct Fields {
            id: u64,
            #[serde(rename = "the name")]
            name: String,
        }
        #[derive(Deserialize)]
        struct More {
            id: u64,
            #[serde(flatten)]
            rest: BTreeMap<String, u64>,
        }
        assert_eq!(fields_of::<Fields>(), Some(&["id", "the name"][..]));
        assert_eq!(fields_of::<More>(), None);
        assert_eq!(fields_of::<BTreeMap<String, u64>>(), None);
        assert_eq!(fields_of::<Option<Fields>>(), None);
    }
}
