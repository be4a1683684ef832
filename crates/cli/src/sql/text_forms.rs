//! Which texts a type of PostgreSQL gives back as they are, or as the same.

use bucketdb::{TextType, TextValue};

/// A UUID in small letters.
pub(super) fn is_uuid(text: &str) -> bool {
    is_as_written(TextType::Uuid, text)
}

/// A day after the year 0.
pub(super) fn is_date(text: &str) -> bool {
    is_as_written(TextType::Date, text) && has_usual_year(text)
}

/// A moment in UTC after the year 0, in whole microseconds: PostgreSQL keeps no smaller ones.
pub(super) fn is_timestamp(text: &str) -> bool {
    let has_micros = |value| matches!(value, TextValue::Timestamp { nanos, .. } if nanos.is_multiple_of(1_000));
    let is_utc = text.get(10..11) == Some("T") && text.ends_with('Z');
    is_utc && has_usual_year(text) && TextType::Timestamp.parse(text).is_some_and(has_micros)
}

/// Whether a text is the one that its value is written as.
fn is_as_written(text_type: TextType, text: &str) -> bool {
    text_type.parse(text).is_some_and(|value| &*value.text() == text)
}

/// Whether a day or moment is of a year from 1 to 9999.
fn has_usual_year(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && !text.starts_with("0000")
}

/// A decimal number as it is usually written.
pub(super) fn is_decimal(text: &str) -> bool {
    const MOST_DIGITS: usize = 1000;
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = whole.len() > 1 && whole.starts_with('0');
    let is_negative_zero = text.starts_with('-') && text.bytes().all(|byte| b"-0.".contains(&byte));
    is_digits(whole) && is_digits(fraction) && !is_padded && !is_negative_zero && text.len() <= MOST_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_back_the_same_counts() {
        assert!(is_uuid("0190a8b4-1c2d-7e3f-8a9b-0c1d2e3f4a5b"));
        for bad in ["0190A8B4-1c2d-7e3f-8a9b-0c1d2e3f4a5b", "0190a8b41c2d7e3f8a9b0c1d2e3f4a5b", "", "x"] {
            assert!(!is_uuid(bad), "{bad}");
        }
        assert!(is_date("2024-02-29") && is_date("0001-01-01"));
        for bad in ["2023-02-29", "0000-01-01", "2024-13-01", "2024-00-10", "24-01-01", "+024-01-01", "2024-1-1", ""] {
            assert!(!is_date(bad), "{bad}");
        }
        for good in ["2024-02-29T23:59:59Z", "2024-02-29T00:00:00.123456Z", "2024-02-29T00:00:00.120000000Z"] {
            assert!(is_timestamp(good), "{good}");
        }
        for bad in [
            "2024-02-29T23:59:60Z",
            "2024-02-29T00:00:00.123456789Z",
            "2024-02-29T24:00:00Z",
            "2024-02-29T00:00:00+01:00",
            "2024-02-29T00:00:00.Z",
            "2024-02-29T00:00Z",
            "2024-02-29 00:00:00Z",
            "",
        ] {
            assert!(!is_timestamp(bad), "{bad}");
        }
        assert!(is_decimal("0.10") && is_decimal("-12345678901234567890.5") && is_decimal("0"));
        for bad in ["", ".5", "5.", "1e5", "007", "-0", "-0.00", "+1", "NaN", "1.2.3"] {
            assert!(!is_decimal(bad), "{bad}");
        }
    }
}
