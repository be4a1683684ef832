use std::fmt;
use std::ops::Deref;

/// The longest text that any value has.
const CAPACITY: usize = 48;

/// A text of a few ASCII letters that needs no memory of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortText {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl ShortText {
    pub(super) fn new() -> Self {
        Self { bytes: [0; CAPACITY], len: 0 }
    }

    /// Appends a letter of ASCII.
    pub(super) fn push(&mut self, letter: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = letter;
            self.len += 1;
        }
    }

    /// Appends a number in decimal digits, with zeros in front up to a width.
    pub(super) fn push_number(&mut self, number: u128, width: u32) {
        let digits = number.checked_ilog10().map_or(1, |log| log + 1).max(width);
        for place in (0..digits).rev() {
            // What is beyond the largest power is zeros in front.
            let digit = 10u128.checked_pow(place).map_or(0, |power| number / power % 10);
            self.push(b'0' + digit as u8);
        }
    }

    /// Appends bytes in hexadecimal digits.
    pub(super) fn push_hex(&mut self, bytes: &[u8]) {
        let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
        for byte in bytes {
            self.push(digit(byte >> 4));
            self.push(digit(byte & 15));
        }
    }
}

impl Deref for ShortText {
    type Target = str;

    fn deref(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self)
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, formatter)
    }
}
