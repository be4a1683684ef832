//! Days of the Gregorian calendar, also before it was made, and moments in them (RFC 3339).
//!
//! A year is four digits, or a sign and six: `2026-01-31`, `-000044-03-15`. With a sign, four and five digits are read
//! too, as some libraries write them. A moment is `2026-01-31T12:00:00.5Z`, with up
//! to nine digits of a second, or with an offset such as `+01:00` in the place of `Z`. A leap second is none.

use super::digits::Digits;
use super::short_text::ShortText;

const DAY_SECONDS: i64 = 86_400;

/// The days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// The first and the last day, of the years -999999 and 999999.
const MIN_DAYS: i64 = days(-999_999, 1, 1);
const MAX_DAYS: i64 = days(999_999, 12, 31);

/// The days from 1970-01-01 to a date. Years begin in March here, so that a leap day is the last of its year; 400 years
/// have 146,097 days.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH_DAYS
}

/// Year, month and day.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

pub(super) fn is_date(days: i32) -> bool {
    (MIN_DAYS..=MAX_DAYS).contains(&i64::from(days))
}

pub(super) fn is_timestamp(seconds: i64, nanos: u32) -> bool {
    nanos < 1_000_000_000 && (MIN_DAYS..=MAX_DAYS).contains(&seconds.div_euclid(DAY_SECONDS))
}

pub(super) fn parse_date(text: &str) -> Option<i32> {
    let mut rest = Digits(text.as_bytes());
    let days = date(&mut rest)?;
    rest.is_empty().then_some(())?;
    i32::try_from(days).ok()
}

fn date(rest: &mut Digits<'_>) -> Option<i64> {
    let year = match rest.one_of(b"+-") {
        None => i64::from(rest.number(4)?),
        Some(sign) => {
            let mut digits = rest.all();
            let width = digits.0.len();
            let year = i64::from(digits.number(width).filter(|_| (4..=6).contains(&width))?);
            if sign == b'-' { -year } else { year }
        }
    };
    rest.one_of(b"-")?;
    let month = i64::from(rest.number(2)?);
    rest.one_of(b"-")?;
    let day = i64::from(rest.number(2)?);
    let found = days(year, month, day);
    ((1..=12).contains(&month) && civil(found) == (year, month, day)).then_some(found)
}

/// Seconds since 1970 and the nanoseconds behind them.
pub(super) fn parse_timestamp(text: &str) -> Option<(i64, u32)> {
    let mut rest = Digits(text.as_bytes());
    let days = date(&mut rest)?;
    rest.one_of(b"Tt ")?;
    let hour = rest.number(2).filter(|hour| *hour < 24)?;
    rest.one_of(b":")?;
    let minute = rest.number(2).filter(|minute| *minute < 60)?;
    rest.one_of(b":")?;
    let second = rest.number(2).filter(|second| *second < 60)?;
    let mut nanos = 0;
    if rest.one_of(b".").is_some() {
        let mut digits = rest.all();
        let width = digits.0.len();
        let power = u32::try_from(width).ok().filter(|width| (1..=9).contains(width))?;
        nanos = digits.number(width)? * 10u32.pow(9 - power);
    }
    let offset_minutes = match rest.one_of(b"Zz+-")? {
        sign @ (b'+' | b'-') => {
            let hours = rest.number(2).filter(|hours| *hours < 24)?;
            rest.one_of(b":")?;
            let minutes = i64::from(hours * 60 + rest.number(2).filter(|minutes| *minutes < 60)?);
            if sign == b'+' { minutes } else { -minutes }
        }
        _ => 0,
    };
    let of_day = i64::from(hour * 3_600 + minute * 60 + second) - offset_minutes * 60;
    let seconds = days * DAY_SECONDS + of_day;
    (rest.is_empty() && is_timestamp(seconds, nanos)).then_some((seconds, nanos))
}

pub(super) fn format_date(days: i32) -> ShortText {
    let mut text = ShortText::new();
    push_date(&mut text, i64::from(days));
    text
}

/// In UTC, with as many digits of a second as it has.
pub(super) fn format_timestamp(seconds: i64, nanos: u32) -> ShortText {
    let mut text = ShortText::new();
    push_date(&mut text, seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS) as u128;
    for (before, number) in [(b'T', of_day / 3_600), (b':', of_day / 60 % 60), (b':', of_day % 60)] {
        text.push(before);
        text.push_number(number, 2);
    }
    if nanos > 0 {
        let (mut fraction, mut width) = (nanos, 9);
        while fraction.is_multiple_of(10) {
            (fraction, width) = (fraction / 10, width - 1);
        }
        text.push(b'.');
        text.push_number(u128::from(fraction), width);
    }
    text.push(b'Z');
    text
}

fn push_date(text: &mut ShortText, days: i64) {
    let (year, month, day) = civil(days);
    let has_sign = !(0..=9_999).contains(&year);
    if has_sign {
        text.push(if year < 0 { b'-' } else { b'+' });
    }
    text.push_number(u128::from(year.unsigned_abs()), if has_sign { 6 } else { 4 });
    text.push(b'-');
    text.push_number(month.unsigned_abs().into(), 2);
    text.push(b'-');
    text.push_number(day.unsigned_abs().into(), 2);
}
