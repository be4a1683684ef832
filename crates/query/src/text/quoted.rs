//! Quoted text with the escapes of JSON, for strings in either kind of quotes and for field names.
//!
//! Checking is `const`, so that the path of a [`Column`](crate::Column) is checked when it is compiled.

/// Where text stops being right, as the number of bytes left, and what is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mistake {
    pub(crate) left: usize,
    pub(crate) problem: &'static str,
    pub(crate) help: &'static str,
}

/// The length in bytes of the quoted text that `bytes` begin with, quotes included. The first byte is the quote.
pub(crate) const fn quoted_len(bytes: &[u8]) -> Result<usize, Mistake> {
    let [quote, inside @ ..] = bytes else {
        return Err(Mistake { left: 0, problem: "expected a text in quotes", help: "" });
    };
    let mut rest = inside;
    loop {
        match rest {
            [] => return Err(Mistake { left: bytes.len(), problem: "a quote is never closed", help: "" }),
            [b'\\', tail @ ..] => match escape(tail) {
                Some((_, len)) => rest = tail.split_at(len).1,
                None => return Err(Mistake { left: rest.len(), problem: "unknown escape", help: KNOWN_ESCAPES }),
            },
            [byte, tail @ ..] => {
                rest = tail;
                if *byte == *quote {
                    return Ok(bytes.len() - rest.len());
                }
            }
        }
    }
}

const KNOWN_ESCAPES: &str = r#"known are \" \' \\ \/ \b \f \n \r \t and \u with four hexadecimal digits"#;

/// The character that an escape stands for and its length in bytes, the backslash not counted.
const fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let character = match bytes {
        [b'u', ..] => return unicode_escape(bytes),
        [byte @ (b'"' | b'\'' | b'\\' | b'/'), ..] => *byte as char,
        [b'b', ..] => '\u{8}',
        [b'f', ..] => '\u{c}',
        [b'n', ..] => '\n',
        [b'r', ..] => '\r',
        [b't', ..] => '\t',
        _ => return None,
    };
    Some((character, 1))
}

/// `uXXXX`, or `uXXXX\uXXXX` for a character outside the basic plane, as JSON writes it.
const fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let [b'u', a, b, c, d, rest @ ..] = bytes else { return None };
    let Some(first) = hexadecimal([*a, *b, *c, *d]) else { return None };
    if let Some(character) = char::from_u32(first) {
        return Some((character, 5));
    }
    let [b'\\', b'u', a, b, c, d, ..] = rest else { return None };
    let Some(second) = hexadecimal([*a, *b, *c, *d]) else { return None };
    if first >= 0xdc00 || second < 0xdc00 || second > 0xdfff {
        return None;
    }
    match char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)) {
        Some(character) => Some((character, 11)),
        None => None,
    }
}

const fn hexadecimal(digits: [u8; 4]) -> Option<u32> {
    let mut number = 0;
    let mut rest: &[u8] = &digits;
    while let [digit, tail @ ..] = rest {
        let Some(digit) = (*digit as char).to_digit(16) else { return None };
        number = number * 16 + digit;
        rest = tail;
    }
    Some(number)
}

/// What quoted text stands for. `quoted` has passed [`quoted_len`].
pub(crate) fn unquote(quoted: &str) -> String {
    let mut inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let mut text = String::with_capacity(inside.len());
    while let Some((plain, escaped)) = inside.split_once('\\') {
        text.push_str(plain);
        let Some((character, len)) = escape(escaped.as_bytes()) else { break };
        text.push(character);
        inside = escaped.get(len..).unwrap_or_default();
    }
    text + inside
}

/// Puts text in double quotes so that [`unquote`] gives it back.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
