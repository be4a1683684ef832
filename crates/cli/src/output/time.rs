/// A wall-clock time as RFC 3339 has it, in UTC with milliseconds.
pub(crate) fn timestamp(unix_ms: u64) -> String {
    let (days, ms_of_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = date(days);
    let (seconds, ms) = (ms_of_day / 1000, ms_of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that a leap day is a year's
/// last; 400 years have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_FROM_YEAR_0: u64 = 719_468;
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + DAYS_FROM_YEAR_0;
    let (cycle, day_of_cycle) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let leap_days = day_of_cycle / 1_460 + day_of_cycle / 146_096 - day_of_cycle / 36_524;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}

/// Milliseconds since 1970-01-01T00:00:00Z of a date, or of a date and time with its offset, as RFC 3339 has them. A date
/// alone is its beginning in UTC; of a fraction of a second, three digits count. `None` if it is neither, or earlier.
pub(crate) fn parse_timestamp(text: &str) -> Option<u64> {
    let (date_text, time_text) = match text.split_once(['T', 't', ' ']) {
        Some((date_text, time_text)) => (date_text, time_text),
        None => (text, "00:00:00Z"),
    };
    let [year, month, day] = numbers(date_text, '-', [4, 2, 2])?;
    let days = days(year, month, day).filter(|days| date(*days) == (year, month, day))?;
    let offset_at = time_text.find(['Z', 'z', '+', '-'])?;
    let (clock, offset) = time_text.split_at_checked(offset_at)?;
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let ms = match fraction {
        None => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.bytes().chain(*b"00").take(3).fold(0, |ms, digit| ms * 10 + u64::from(digit - b'0'))
        }
        Some(_) => return None,
    };
    let local_ms = days * 86_400_000 + ((hour * 60 + minute) * 60 + second) * 1000 + ms;
    let offset_ms = |text: &str| {
        let [hours, minutes] = numbers(text, ':', [2, 2])?;
        (hours < 24 && minutes < 60).then_some((hours * 60 + minutes) * 60_000)
    };
    match offset.split_at_checked(1)? {
        ("Z" | "z", "") => Some(local_ms),
        ("+", offset) => local_ms.checked_sub(offset_ms(offset)?),
        ("-", offset) => Some(local_ms + offset_ms(offset)?),
        _ => None,
    }
}

/// The numbers in a text, of so many digits each.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u64; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let is_number =
        |(part, digits): (&&str, &usize)| part.len() == *digits && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() != N || !parts.iter().zip(&digits).all(is_number) {
        return None;
    }
    let numbers: Vec<u64> = parts.iter().map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// The day of a Gregorian date counted from 1970-01-01, the inverse of [`date`]; anything, if there is no such date.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let year_from_march = if month > 2 { year } else { year.checked_sub(1)? };
    let days_before_year = year_from_march * 365 + year_from_march / 4 - year_from_march / 100 + year_from_march / 400;
    (days_before_year + (153 * month_from_march + 2) / 5 + day).checked_sub(1 + 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_printed_and_in_other_zones() {
        for unix_ms in [0, 951_782_399_999, 951_782_400_000, 4_107_542_400_000, 1_735_689_599_001] {
            assert_eq!(parse_timestamp(&timestamp(unix_ms)), Some(unix_ms));
        }
        assert_eq!(parse_timestamp("2001-09-09"), Some(999_993_600_000));
        for text in [
            "2001-09-09T01:46:40Z",
            "2001-09-09 03:46:40+02:00",
            "2001-09-08T20:16:40.0-05:30",
            "2001-09-09t01:46:40.0009z",
        ] {
            assert_eq!(parse_timestamp(text), Some(1_000_000_000_000), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_read_as_one() {
        for text in [
            "",
            "yesterday",
            "2001-02-29",
            "2001-13-01",
            "2001-00-10",
            "2001-04-31",
            "1969-12-31",
            "2001-09-09T01:46Z",
            "2001-09-09T24:00:00Z",
            "2001-09-09T01:46:40",
            "2001-09-09T01:46:40.Z",
            "2001-09-09T01:46:40+2",
            "1970-01-01T00:00:00+01:00",
            "+001-09-09",
            "2001-9-9",
            "2001-09-09Tü",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_000_000_000_000, "2001-09-09T01:46:40.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
        ] {
            assert_eq!(timestamp(unix_ms), text);
        }
    }
}
