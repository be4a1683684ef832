//! Reading and writing the small binary pieces that stored formats are made of.
//!
//! Fixed-width integers are little-endian. A varint is LEB128: seven bits a byte, lowest first, as in Protocol
//! Buffers' base-128 varints; only the shortest form is accepted, so that equal values have equal bytes.

use bytes::{Buf, BufMut, Bytes};

/// Stored bytes that do not decode, and what is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Appends a varint.
pub fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

/// A varint at the front of `bytes`, and what is behind it.
///
/// # Errors
/// If the bytes end before it does, if it is longer than it need be, or over 64 bits.
pub fn take_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut rest = bytes;
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte, after @ ..] = rest else { return Err(Malformed("it ends inside a number")) };
        rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            let shortest = *byte != 0 || shift == 0;
            return if shortest { Ok((value, rest)) } else { Err(Malformed("a number is longer than it need be")) };
        }
    }
    Err(Malformed("a number is over 64 bits"))
}

/// Appends a varint of the length, then the bytes.
pub fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(buffer, bytes.len() as u64);
    buffer.put_slice(bytes);
}

/// Appends how many texts there are, then each.
pub fn put_texts<T: AsRef<str>>(buffer: &mut Vec<u8>, texts: &[T]) {
    put_varint(buffer, texts.len() as u64);
    for text in texts {
        put_bytes(buffer, text.as_ref().as_bytes());
    }
}

/// Appends 0, or 1 and the number as a varint.
pub fn put_option(buffer: &mut Vec<u8>, number: Option<u64>) {
    buffer.put_u8(u8::from(number.is_some()));
    if let Some(number) = number {
        put_varint(buffer, number);
    }
}

/// Takes pieces off the front of stored bytes. Slices that it gives share the buffer.
#[derive(Clone, Debug)]
pub struct Reader {
    rest: Bytes,
}

impl Reader {
    /// Reads `bytes` from their beginning.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// # Errors
    /// If there are bytes left.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("there are bytes behind the end")) }
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.rest.len() {
            return Err(Malformed("it ends too early"));
        }
        Ok(self.rest.split_to(length))
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(&self.take(N)?);
        Ok(array)
    }

    /// One byte.
    ///
    /// # Errors
    /// If there is none.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    /// A 16-bit number.
    ///
    /// # Errors
    /// If the bytes end before it does.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// A 32-bit number.
    ///
    /// # Errors
    /// If the bytes end before it does.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A 64-bit number.
    ///
    /// # Errors
    /// If the bytes end before it does.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A varint.
    ///
    /// # Errors
    /// If the bytes end before it does, if it is longer than it need be, or over 64 bits.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, rest) = take_varint(&self.rest)?;
        let taken = self.rest.len() - rest.len();
        self.rest.advance(taken);
        Ok(value)
    }

    /// A varint that must fit a `usize`, such as a length.
    ///
    /// # Errors
    /// As [`varint`](Self::varint).
    pub fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.varint()?).map_err(|_| Malformed("a length is over what this machine can address"))
    }

    /// A varint of the length, then as many bytes.
    ///
    /// # Errors
    /// If the bytes end too early.
    pub fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = self.length()?;
        self.take(length)
    }

    /// As [`bytes`](Self::bytes), as text.
    ///
    /// # Errors
    /// Also if it is not UTF-8.
    pub fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// What [`put_texts`] wrote.
    ///
    /// # Errors
    /// If the bytes end too early, or if a text is not UTF-8.
    pub fn texts(&mut self) -> Result<Vec<String>, Malformed> {
        let mut texts = Vec::new();
        for _ in 0..self.varint()? {
            texts.push(self.text()?);
        }
        Ok(texts)
    }

    /// What [`put_option`] wrote.
    ///
    /// # Errors
    /// If the bytes end too early, or do not say whether there is a number.
    pub fn option(&mut self) -> Result<Option<u64>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.varint().map(Some),
            _ => Err(Malformed("whether there is a number is neither yes nor no")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_round_trip(value: u64) {
            let mut buffer = Vec::new();
            put_varint(&mut buffer, value);
            let mut reader = Reader::new(buffer.into());
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn a_decoded_varint_has_no_other_form(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(bytes.clone().into());
            if let Ok(value) = reader.varint() {
                let mut again = Vec::new();
                put_varint(&mut again, value);
                prop_assert_eq!(again.as_slice(), &bytes[..bytes.len() - reader.remaining()]);
            }
        }
    }

    #[test]
    fn what_ends_too_early_is_refused() {
        assert!(Reader::new(Bytes::from_static(&[5, 1])).bytes().is_err());
        assert!(Reader::new(Bytes::from_static(&[0x80])).varint().is_err());
        assert!(Reader::new(Bytes::from_static(&[1, 2, 3])).u32().is_err());
        assert!(Reader::new(Bytes::from_static(&[0xff; 10])).varint().is_err());
    }
}
