//! Decimal numbers: up to 96 bits, which is 28 digits and more, of which up to 28 are behind the point. `1.10` keeps its
//! zero, and compares as `1.1` does.

use std::cmp::Ordering;

use super::digits::Digits;
use super::short_text::ShortText;
use super::text_value::Decimal;

/// The most digits behind the point.
const MAX_SCALE: u8 = 28;

const MAX_MAGNITUDE: u128 = (1 << 96) - 1;

impl Decimal {
    /// The number `magnitude` / 10^`scale`; `None` if that is beyond 96 bits or 28 digits behind the point.
    #[must_use]
    pub fn new(is_negative: bool, magnitude: u128, scale: u8) -> Option<Self> {
        let fits = magnitude <= MAX_MAGNITUDE && scale <= MAX_SCALE;
        fits.then_some(Self { is_negative, scale, high: (magnitude >> 64) as u32, low: magnitude as u64 })
    }

    /// All its digits, as if there were no point.
    #[must_use]
    pub fn magnitude(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// What is before the point, and what is behind it as a number of so many digits, both with its sign. They are at least
    /// as many as it has.
    pub(crate) fn parts(self, scale: u32) -> (i128, i128) {
        let unit = 10u128.pow(u32::from(self.scale).min(scale));
        let (whole, fraction) = (self.magnitude() / unit, self.magnitude() % unit);
        let behind = 10u128.pow(scale.saturating_sub(self.scale.into()));
        let signed = |number: u128| if self.is_negative { -(number as i128) } else { number as i128 };
        (signed(whole), signed(fraction * behind))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = Digits(text.as_bytes());
        let is_negative = rest.one_of(b"-").is_some();
        let whole = rest.all();
        let has_odd_zero = whole.0.len() > 1 && whole.0.starts_with(b"0");
        if whole.is_empty() || has_odd_zero {
            return None;
        }
        let mut fraction = Digits(&[]);
        if rest.one_of(b".").is_some() {
            fraction = rest.all();
            if fraction.is_empty() {
                return None;
            }
        }
        if !rest.is_empty() {
            return None;
        }
        let scale = u8::try_from(fraction.0.len()).ok()?;
        let magnitude = whole.0.iter().chain(fraction.0).try_fold(0u128, |number, digit| {
            number.checked_mul(10)?.checked_add(u128::from(digit - b'0')).filter(|number| *number <= MAX_MAGNITUDE)
        })?;
        Self::new(is_negative, magnitude, scale)
    }

    pub(super) fn format(self) -> ShortText {
        let mut text = ShortText::new();
        if self.is_negative {
            text.push(b'-');
        }
        let (magnitude, scale) = (self.magnitude(), u32::from(self.scale));
        let unit = 10u128.pow(scale.min(u32::from(MAX_SCALE)));
        text.push_number(magnitude / unit, 1);
        if scale > 0 {
            text.push(b'.');
            text.push_number(magnitude % unit, scale);
        }
        text
    }

    /// Appends letters that compare as the numbers do: `4`, `5` or `6` for negative, zero and positive; then how many
    /// digits there are before the point, from 10 on where there are none but zeros; then the digits. Of negative numbers
    /// all that is complemented, and something behind all digits ends it.
    pub(super) fn push_key(self, text: &mut ShortText) {
        let mut magnitude = self.magnitude();
        if magnitude == 0 {
            text.push(b'5');
            return;
        }
        let digits = magnitude.ilog10() + 1;
        // At least 12, for 28 digits behind the point, and at most 68.
        let exponent = 39 + digits - u32::from(self.scale);
        while magnitude.is_multiple_of(10) {
            magnitude /= 10;
        }
        if self.is_negative {
            let digits = magnitude.ilog10() + 1;
            text.push(b'4');
            text.push_number(u128::from(99 - exponent), 2);
            text.push_number(10u128.pow(digits) - 1 - magnitude, digits);
            text.push(b'~');
        } else {
            text.push(b'6');
            text.push_number(u128::from(exponent), 2);
            text.push_number(magnitude, 1);
        }
    }

    /// The number with that key, with no more digits behind the point than it takes.
    pub(super) fn from_key(key: &str) -> Option<Self> {
        let (kind, rest) = (key.get(..1)?, key.get(1..)?);
        if kind == "5" {
            return Self::new(false, 0, 0);
        }
        let is_negative = kind == "4";
        let (exponent, digits) = (rest.get(..2)?.parse::<u32>().ok()?, rest.get(2..)?.trim_end_matches('~'));
        let (number, count) = (digits.parse::<u128>().ok()?, u32::try_from(digits.len()).ok()?);
        let (exponent, number) = if is_negative {
            (99u32.checked_sub(exponent)?, 10u128.checked_pow(count)? - 1 - number)
        } else {
            (exponent, number)
        };
        // So many digits are before the point.
        match exponent.checked_sub(39 + count) {
            Some(zeros) => Self::new(is_negative, number.checked_mul(10u128.checked_pow(zeros)?)?, 0),
            None => Self::new(is_negative, number, u8::try_from(39 + count - exponent).ok()?),
        }
    }

    /// By value.
    pub(super) fn compare(self, other: Self) -> Ordering {
        let key = |number: Self| {
            let mut text = ShortText::new();
            number.push_key(&mut text);
            text
        };
        (*key(self)).cmp(&*key(other))
    }
}
