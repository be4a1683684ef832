use std::fmt;

use crate::Decimal;

/// Digits behind the point, as many as a [`Decimal`] has at most.
const SCALE: u32 = 28;

/// One, in the last of these digits.
const ONE: i128 = 10_i128.pow(SCALE);

/// An average is divided to so many digits behind the point, and to whether there is more. A number with 28 of them divided
/// by one of 64 bits is above 2^-160, so that what is between two floats there is a multiple of 2^-214: to round to one of
/// them takes no more digits.
const AVERAGE_DIGITS: u32 = 220;

/// An exact sum of decimal numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DecimalSum {
    /// Has room for 2^31 numbers of 96 bits.
    whole: i128,
    /// In the last digit; less than one, of either sign.
    fraction: i128,
}

impl DecimalSum {
    pub(super) fn add(&mut self, number: Decimal) {
        let (whole, fraction) = number.parts(SCALE);
        let fraction = self.fraction + fraction;
        self.whole = self.whole.saturating_add(whole).saturating_add(fraction / ONE);
        self.fraction = fraction % ONE;
    }

    /// Divided by how many there were, as the nearest float.
    pub(super) fn average(self, count: u64) -> Option<f64> {
        if count == 0 {
            return None;
        }
        let (is_negative, whole, fraction) = self.digits();
        let count = u128::from(count);
        // As on paper, digit by digit.
        let mut text = format!("{}{}.", if is_negative { "-" } else { "" }, whole / count);
        let mut left = whole % count;
        for place in 1..=AVERAGE_DIGITS {
            let digit = SCALE.checked_sub(place).map_or(0, |power| fraction / 10_u128.pow(power) % 10);
            left = left * 10 + digit;
            text.push(char::from(b'0' + (left / count) as u8));
            left %= count;
        }
        if left > 0 {
            text.push('1');
        }
        text.parse().ok()
    }

    /// Its sign, what is before the point, and the digits behind it.
    fn digits(self) -> (bool, u128, u128) {
        let (mut whole, mut fraction) = (self.whole, self.fraction);
        if whole > 0 && fraction < 0 {
            (whole, fraction) = (whole - 1, fraction + ONE);
        } else if whole < 0 && fraction > 0 {
            (whole, fraction) = (whole + 1, fraction - ONE);
        }
        (whole < 0 || fraction < 0, whole.unsigned_abs(), fraction.unsigned_abs())
    }
}

/// Without zeros behind the last digit that is none.
impl fmt::Display for DecimalSum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_negative, whole, fraction) = self.digits();
        write!(formatter, "{}{whole}", if is_negative { "-" } else { "" })?;
        if fraction == 0 {
            return Ok(());
        }
        write!(formatter, ".{}", format!("{fraction:0width$}", width = SCALE as usize).trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(numbers: &[(bool, u128, u8)]) -> DecimalSum {
        let mut sum = DecimalSum::default();
        for (is_negative, magnitude, scale) in numbers {
            sum.add(Decimal::new(*is_negative, *magnitude, *scale).unwrap());
        }
        sum
    }

    #[test]
    fn nothing_is_lost() {
        let most = (1_u128 << 96) - 1;
        for (numbers, expected) in [
            (vec![], "0"),
            (vec![(false, 110, 2), (false, 22, 1)], "3.3"),
            (vec![(false, 1, 1); 10], "1"),
            (vec![(true, 5, 1), (false, 2, 0)], "1.5"),
            (vec![(false, 5, 1), (true, 2, 0)], "-1.5"),
            (vec![(true, 1, 28)], "-0.0000000000000000000000000001"),
            (vec![(false, most, 0), (false, 1, 28)], "79228162514264337593543950335.0000000000000000000000000001"),
            (vec![(false, most, 0), (false, most, 0), (true, 1, 28)], {
                "158456325028528675187087900669.9999999999999999999999999999"
            }),
            (vec![(true, 0, 3)], "0"),
        ] {
            assert_eq!(sum(&numbers).to_string(), expected);
        }
    }

    #[test]
    fn an_average_is_the_nearest_float() {
        assert_eq!(sum(&[]).average(0), None);
        assert_eq!(sum(&[(false, 1, 1), (false, 2, 1)]).average(2), Some(0.15));
        assert_eq!(sum(&[(true, 1, 0)]).average(3), Some(-1.0 / 3.0));
        assert_eq!(sum(&[(false, 1, 28)]).average(u64::MAX), Some(1e-28 / u64::MAX as f64));
        // Half way between two floats, and a little above.
        assert_eq!(sum(&[(false, (1 << 54) + 2, 0)]).average(2), Some(9_007_199_254_740_992.0));
        assert_eq!(sum(&[(false, (1 << 54) + 2, 0), (false, 1, 28)]).average(2), Some(9_007_199_254_740_994.0));
    }

    proptest! {
        #[test]
        fn it_is_that_of_whole_numbers_of_the_last_digit(
            numbers in prop::collection::vec((any::<bool>(), 0..1_u128 << 60, 0..6_u8), 0..30), count in 1..100_u64,
        ) {
            let whole: i128 = numbers
                .iter()
                .map(|(sign, magnitude, scale)| {
                    let number = (*magnitude * 10_u128.pow(5 - u32::from(*scale))) as i128;
                    if *sign { -number } else { number }
                })
                .sum();
            let sum = sum(&numbers);
            let mut expected = format!("{}{}", if whole < 0 { "-" } else { "" }, whole.unsigned_abs() / 100_000);
            if whole % 100_000 != 0 {
                expected += format!(".{:05}", whole.unsigned_abs() % 100_000).trim_end_matches('0');
            }
            prop_assert_eq!(sum.to_string(), expected);
            let average = sum.average(count).unwrap();
            let expected = whole as f64 / 1e5 / count as f64;
            prop_assert!((average - expected).abs() <= expected.abs() * 1e-15, "{} and {}", average, expected);
        }
    }
}
