use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Value;

use super::double_of;

/// A value as documents hold it, however deep in it a number is: what is of 128 bits serialises as a number if 64 bits hold
/// it, and as its 16 bytes otherwise, the highest first.
#[derive(Clone, Copy, Debug)]
pub struct AsStored<T>(pub T);

impl<T: Serialize> AsStored<T> {
    /// As JSON has it, which also has [numbers of single precision by their digits](double_of); `None` if no document can
    /// have it.
    #[must_use]
    pub fn to_value(&self) -> Option<Value> {
        self.0.serialize(Adapter::<_, true>(serde_json::value::Serializer)).ok()
    }
}

impl<T: Serialize> Serialize for AsStored<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Adapter::<_, false>(serializer))
    }
}

/// A serializer, or a part of one, in front of another; numbers of single precision are widened if `WIDENS`.
struct Adapter<S, const WIDENS: bool>(S);

/// A value inside of another.
struct Inner<'a, T: ?Sized, const WIDENS: bool>(&'a T);

impl<T: Serialize + ?Sized, const WIDENS: bool> Serialize for Inner<'_, T, WIDENS> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Adapter::<_, WIDENS>(serializer))
    }
}

macro_rules! scalars {
    ($($method:ident($($name:ident: $argument:ty),*)),* $(,)?) => {$(
        #[inline]
        fn $method(self, $($name: $argument),*) -> Result<S::Ok, S::Error> { self.0.$method($($name),*) }
    )*};
}

macro_rules! parts {
    ($($method:ident($($name:ident: $argument:ty),*) -> $part:ident),* $(,)?) => {
        $(type $part = Adapter<S::$part, WIDENS>;)*
        $(
            #[inline]
            fn $method(self, $($name: $argument),*) -> Result<Self::$part, S::Error> {
                self.0.$method($($name),*).map(Adapter)
            }
        )*
    };
}

impl<S: Serializer, const WIDENS: bool> Serializer for Adapter<S, WIDENS> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }

    #[inline]
    fn serialize_f32(self, number: f32) -> Result<S::Ok, S::Error> {
        if WIDENS { self.0.serialize_f64(double_of(number)) } else { self.0.serialize_f32(number) }
    }

    fn serialize_i128(self, number: i128) -> Result<S::Ok, S::Error> {
        match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => self.0.serialize_i64(number),
            (_, Ok(number)) => self.0.serialize_u64(number),
            _ => self.0.serialize_bytes(&number.to_be_bytes()),
        }
    }

    fn serialize_u128(self, number: u128) -> Result<S::Ok, S::Error> {
        match u64::try_from(number) {
            Ok(number) => self.0.serialize_u64(number),
            Err(_) => self.0.serialize_bytes(&number.to_be_bytes()),
        }
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Inner::<_, WIDENS>(value))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Inner::<_, WIDENS>(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, index, variant, &Inner::<_, WIDENS>(value))
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }

    scalars! {
        serialize_bool(value: bool),
        serialize_i8(value: i8),
        serialize_i16(value: i16),
        serialize_i32(value: i32),
        serialize_i64(value: i64),
        serialize_u8(value: u8),
        serialize_u16(value: u16),
        serialize_u32(value: u32),
        serialize_u64(value: u64),
        serialize_f64(value: f64),
        serialize_char(value: char),
        serialize_str(value: &str),
        serialize_bytes(value: &[u8]),
        serialize_none(),
        serialize_unit(),
        serialize_unit_struct(name: &'static str),
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str),
    }

    parts! {
        serialize_seq(len: Option<usize>) -> SerializeSeq,
        serialize_tuple(len: usize) -> SerializeTuple,
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct,
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeTupleVariant,
        serialize_map(len: Option<usize>) -> SerializeMap,
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct,
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeStructVariant,
    }
}

macro_rules! lists {
    ($($part:ident::$method:ident),* $(,)?) => {$(
        impl<S: $part, const WIDENS: bool> $part for Adapter<S, WIDENS> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.0.$method(&Inner::<_, WIDENS>(value))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

lists! {
    SerializeSeq::serialize_element, SerializeTuple::serialize_element, SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! structs {
    ($($part:ident),*) => {$(
        impl<S: $part, const WIDENS: bool> $part for Adapter<S, WIDENS> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), S::Error> {
                self.0.serialize_field(name, &Inner::<_, WIDENS>(value))
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), S::Error> {
                self.0.skip_field(name)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);

/// Keys stay what they are: documents have the texts of numbers there.
impl<S: SerializeMap, const WIDENS: bool> SerializeMap for Adapter<S, WIDENS> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Inner::<_, WIDENS>(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_as_documents_hold_them_however_deep() {
        let map = BTreeMap::from([("height", Ok::<_, ()>((1.1_f32, f32::INFINITY)))]);
        let deep = (map, vec![Some(5), None, Some(u128::from(u64::MAX) + 1)], (i128::MIN, -5_i128));
        let mut least = vec![0; 16];
        least[0] = 128;
        let wide = json!([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            AsStored(deep).to_value().unwrap(),
            json!([{"height": {"Ok": [1.1, null]}}, [5, null, wide], [least, -5]])
        );
    }
}
