//! Which texts a type of PostgreSQL gives back as they are, or as the same.

/// A UUID in small letters.
pub(super) fn is_uuid(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => is_digit(byte),
        })
}

/// A day after the year 0.
pub(super) fn is_date(text: &str) -> bool {
    let Some((year, month, day)) = date(text) else { return false };
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

fn date(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || [year.len(), month.len(), day.len()] != [4, 2, 2] {
        return None;
    }
    Some((digits(year)?, digits(month)?, digits(day)?))
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A moment in UTC after the year 0, in whole microseconds: PostgreSQL keeps no smaller ones.
pub(super) fn is_timestamp(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else { return false };
    let Some(time) = time.strip_suffix('Z') else { return false };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts: Vec<Option<u32>> =
        time.split(':').map(|part| if part.len() == 2 { digits(part) } else { None }).collect();
    let is_time = matches!(parts[..], [Some(0..=23), Some(0..=59), Some(0..=59)]);
    let (micros, rest) = fraction.split_at(fraction.floor_char_boundary(6));
    let is_fraction = digits(micros).is_some() && !micros.is_empty() && rest.bytes().all(|byte| byte == b'0');
    is_date(date) && is_time && is_fraction
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
