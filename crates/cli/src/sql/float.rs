use std::fmt::Write;

/// The largest exponent of a power of two that is written as one whole number.
const MOST_SHIFT: i32 = 62;

/// Numbers below this are written as decimal fractions if they have at most four binary places: these are exact, and SQLite
/// reads what is exact as it is.
const MOST_SIMPLE: f64 = (1_u64 << 36) as f64;

/// Appends a number with a fraction, so that SQLite has the same one afterwards.
///
/// SQLite (3.40) reads one decimal fraction in some ten thousand one unit in the last place wrong. So what is no short binary
/// fraction is written as a whole number that is divided by powers of two, or multiplied: that is exact.
pub(super) fn exact_quotient(sql: &mut String, float: f64) {
    if (float * 16.0).fract() == 0.0 && float.abs() < MOST_SIMPLE {
        push(sql, format_args!("{float:?}"));
        return;
    }
    let (mut mantissa, mut exponent) = parts(float);
    let zeros = mantissa.trailing_zeros();
    mantissa >>= zeros;
    exponent += zeros as i32;
    let sign = if float.is_sign_negative() { "-" } else { "" };
    push(sql, format_args!("{sign}{mantissa}.0"));
    let operator = if exponent < 0 { '/' } else { '*' };
    let mut left = exponent.abs();
    while left > 0 {
        let shift = left.min(MOST_SHIFT);
        push(sql, format_args!("{operator}{}", 1_u64 << shift));
        left -= shift;
    }
}

/// A finite number's magnitude as a whole number times a power of two.
fn parts(float: f64) -> (u64, i32) {
    let bits = float.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    match exponent {
        0 => (fraction, -1074),
        exponent => (fraction | 1 << 52, exponent - 1075),
    }
}

fn push(sql: &mut String, what: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = sql.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(float: f64) -> String {
        let mut sql = String::new();
        exact_quotient(&mut sql, float);
        sql
    }

    /// What the expression gives, from left to right, in numbers of double precision.
    fn value(sql: &str) -> f64 {
        let end = sql.find(['/', '*']).unwrap_or(sql.len());
        let mut value: f64 = sql[..end].parse().unwrap();
        let mut rest = &sql[end..];
        while let Some(operator) = rest.chars().next() {
            let end = rest[1..].find(['/', '*']).map_or(rest.len(), |end| end + 1);
            let power = rest[1..end].parse::<i64>().unwrap() as f64;
            value = if operator == '/' { value / power } else { value * power };
            rest = &rest[end..];
        }
        value
    }

    #[test]
    fn simple_numbers_are_readable() {
        for (float, expected) in [(4.5, "4.5"), (-2.0625, "-2.0625"), (1e6, "1000000.0"), (0.0, "0.0")] {
            assert_eq!(written(float), expected);
        }
        assert_eq!(written(0.1), "3602879701896397.0/36028797018963968");
        assert_eq!(written(-1e300).chars().next(), Some('-'));
    }

    proptest! {
        #[test]
        fn every_number_is_exact(bits in any::<u64>(), small in -1e6..1e6_f64) {
            for float in [f64::from_bits(bits), small, f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX] {
                if float.is_finite() {
                    prop_assert_eq!(value(&written(float)).to_bits(), float.to_bits(), "{}", written(float));
                }
            }
        }
    }
}
