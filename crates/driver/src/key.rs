use std::fmt;
use std::sync::Arc;

/// The longest key in bytes, as in Amazon S3.
pub const MAX_KEY_BYTES: usize = 1024;

/// The name of an object: `/`-separated segments of UTF-8 text.
///
/// At most [`MAX_KEY_BYTES`] long, no empty segment (so no leading, trailing or doubled `/`), no segment `.` or `..`,
/// no control character. A driver can rely on that: no other key reaches it.
///
/// ```
/// use bucketdb_driver::Key;
///
/// assert!(Key::new("log/00000000000000000001").is_ok());
/// assert_eq!(Key::new("a//b").unwrap_err().to_string(), r#"invalid key "a//b": it has an empty segment"#);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks and takes a key.
    ///
    /// # Errors
    /// [`InvalidKey`] says which rule the text breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidKey> {
        let text = text.as_ref();
        match broken_rule(text) {
            None => Ok(Self(text.into())),
            Some(rule) => Err(InvalidKey { text: shorten(text), rule }),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MAX_KEY_BYTES {
        return Some("it is longer than 1024 bytes");
    }
    if text.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    for segment in text.split('/') {
        match segment {
            "" => return Some("it has an empty segment"),
            "." | ".." => return Some("it has a segment `.` or `..`"),
            _ => {}
        }
    }
    None
}

/// Keeps an error message readable when the key is absurdly long.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// A text that cannot be a [`Key`], and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid key {text:?}: {rule}")]
pub struct InvalidKey {
    text: String,
    rule: &'static str,
}

impl InvalidKey {
    /// The rule that the text breaks, as in "it is empty".
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_some_store_would_change_or_lose() {
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "a\nb", "a\0b", "\u{7f}"] {
            assert!(Key::new(bad).is_err(), "{bad:?} must be refused");
        }
        assert!(Key::new("x".repeat(1025)).is_err());
        assert!(Key::new("é".repeat(513)).is_err(), "the limit counts bytes");
    }

    #[test]
    fn takes_what_every_store_keeps() {
        for good in ["a", "a/b", ".a", "a.", "...", "a b", "ünï/日本", "A", "%41", "a\\b"] {
            assert_eq!(Key::new(good).unwrap().as_str(), good);
        }
        assert!(Key::new("x".repeat(1024)).is_ok());
    }
}
