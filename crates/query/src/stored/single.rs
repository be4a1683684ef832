//! Numbers of single precision as JSON has them.

/// Whole numbers up to this one are numbers of double precision exactly.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// The number of double precision that one of single precision stands for: the one with the same digits, 1.1 for 1.1.
///
/// Its exact value would be 1.10000002384…, which nobody has written and nobody asks for. The digits are the fewest that
/// read as the same number of single precision again. Whole numbers up to 2^53 keep all of their digits.
///
/// Different numbers give different ones, in the same order, and casting the result gives the number back.
///
/// ```
/// use bucketdb_query::double_of;
///
/// assert_eq!(double_of(1.1), 1.1);
/// assert_eq!(double_of(16_777_218.0), 16_777_218.0);
/// ```
#[must_use]
pub fn double_of(single: f32) -> f64 {
    let exact = f64::from(single);
    let is_short = exact.fract() == 0.0 && exact.abs() <= MOST_EXACT;
    if is_short || !exact.is_finite() {
        return exact;
    }
    let double = if (1e-5..1e15).contains(&exact.abs()) { few_decimals(single) } else { None };
    match double.or_else(|| single.to_string().parse().ok()) {
        Some(double) if (double as f32).to_bits() == single.to_bits() => double,
        _ => exact,
    }
}

/// The same, for a number with few digits before the point: the quotient of two whole numbers that doubles hold exactly is
/// the double next to the decimal number.
fn few_decimals(single: f32) -> Option<f64> {
    let mut unit = 1.0;
    for _ in 0..14 {
        unit *= 10.0;
        let double = (f64::from(single) * unit).round() / unit;
        if (double as f32).to_bits() == single.to_bits() {
            return Some(double);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_single() -> impl Strategy<Value = f32> {
        prop_oneof![
            any::<f32>(),
            (any::<i32>(), 0_i32..8).prop_map(|(number, digits)| number as f32 / 10f32.powi(digits)),
            (-10_000_i32..10_000, 0_i32..4).prop_map(|(number, digits)| number as f32 / 10f32.powi(digits)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn it_has_the_digits_and_gives_the_number_back(single in any_single()) {
            let double = double_of(single);
            prop_assert_eq!((double as f32).to_bits(), single.to_bits());
            if f64::from(single).fract() != 0.0 {
                prop_assert_eq!(double, single.to_string().parse::<f64>().unwrap());
            }
        }

        #[test]
        fn it_keeps_the_order(left in any_single(), steps in 1_u32..4) {
            let right = f32::from_bits(left.to_bits().wrapping_add(steps));
            prop_assert_eq!(double_of(left).partial_cmp(&double_of(right)), left.partial_cmp(&right));
        }
    }

    #[test]
    fn what_has_no_digits_stays_what_it_is() {
        assert!(double_of(f32::NAN).is_nan());
        assert_eq!(double_of(f32::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(double_of(-0.0).is_sign_negative());
        assert_eq!(double_of(123_456_792.0), 123_456_792.0, "its shortest digits are 123456790");
        assert_eq!(double_of(1e20), 1e20);
        assert_eq!(double_of(f32::MAX), 3.402_823_5e38);
        assert_eq!(double_of(1e-40), 1e-40);
    }
}
