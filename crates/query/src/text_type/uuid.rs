//! UUIDs: `67e55044-10b1-426f-9247-bb680e5fe0c8`, in upper or lower case; also without hyphens, in braces, and behind
//! `urn:uuid:`.

use super::short_text::ShortText;

/// Where hyphens are: before these bytes.
const HYPHENS: [usize; 4] = [4, 6, 8, 10];

pub(super) fn parse(text: &str) -> Option<[u8; 16]> {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let has_hyphens = match text.len() {
        36 => true,
        32 => false,
        _ => return None,
    };
    let mut letters = text.bytes();
    let mut uuid = [0; 16];
    for (place, byte) in uuid.iter_mut().enumerate() {
        if has_hyphens && HYPHENS.contains(&place) && letters.next()? != b'-' {
            return None;
        }
        let mut digit = || char::from(letters.next()?).to_digit(16);
        *byte = (digit()? << 4 | digit()?) as u8;
    }
    Some(uuid)
}

pub(super) fn format(uuid: &[u8; 16]) -> ShortText {
    let mut text = ShortText::new();
    for (place, byte) in uuid.iter().enumerate() {
        if HYPHENS.contains(&place) {
            text.push(b'-');
        }
        text.push_hex(&[*byte]);
    }
    text
}
