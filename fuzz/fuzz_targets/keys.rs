//! Keys: bytes that are read as one are what its parts encode to, and keys compare as their parts do.
#![no_main]

use arbitrary::Arbitrary;
use bucketdb_documents::{EncodedKey, KeyFloat, KeyPart};
use bucketdb_query::Decimal;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Text(String),
    Integer(i64),
    Large(u64),
    Boolean(bool),
    Uuid([u8; 16]),
    Timestamp(i64, u32),
    Date(i32),
    Float(f64),
    Decimal { is_negative: bool, magnitude: u128, bits: u8, scale: u8 },
}

impl From<Part> for KeyPart {
    fn from(part: Part) -> Self {
        match part {
            Part::Bytes(bytes) => Self::Bytes(bytes),
            Part::Text(text) => Self::Text(text),
            Part::Integer(number) => Self::Integer(number.into()),
            Part::Large(number) => Self::Integer(number.into()),
            Part::Boolean(value) => Self::Boolean(value),
            Part::Uuid(value) => Self::Uuid(value),
            Part::Timestamp(seconds, nanos) => Self::Timestamp { seconds, nanos },
            Part::Date(days) => Self::Date(days),
            Part::Float(number) => Self::Float(KeyFloat::new(number)),
            Part::Decimal { is_negative, magnitude, bits, scale } => {
                // Of all lengths, and within what one can have.
                let magnitude = magnitude >> (u128::BITS - 96 + u32::from(bits) % 96);
                Self::Decimal(Decimal::new(is_negative, magnitude, scale % 29).unwrap())
            }
        }
    }
}

fuzz_target!(|input: (Vec<u8>, Vec<Part>, Vec<Part>)| {
    let (bytes, first, second) = input;
    if let Ok(key) = EncodedKey::from_bytes(Bytes::from(bytes.clone())) {
        assert_eq!(EncodedKey::new(&key.parts().unwrap()).unwrap().as_bytes(), bytes);
        let _ = key.to_string();
    }
    let parts = |parts: Vec<Part>| parts.into_iter().map(KeyPart::from).collect::<Vec<_>>();
    let (first, second) = (parts(first), parts(second));
    if let (Ok(a), Ok(b)) = (EncodedKey::new(&first), EncodedKey::new(&second)) {
        assert_eq!(a.parts().as_ref(), Ok(&first));
        // The parts are declared in the order of their codes, and a key that another one begins with is before it.
        assert_eq!(a.cmp(&b), first.cmp(&second), "{first:?} and {second:?}");
    }
});
