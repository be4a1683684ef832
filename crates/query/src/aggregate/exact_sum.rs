//! Sums of numbers that do not depend on the order in which they are added.
//!
//! Whole numbers are added as such. A float is a whole multiple of 2^-1074, so floats are added as whole numbers of some
//! 2,200 bits, and the sum is rounded once, when it is asked for.

use super::accumulator::Total;

/// Digits of 32 bits, the least first, that count multiples of 2^-1074. The largest float has its highest bit at 2,098; the
/// rest is room for 2^64 of them.
const DIGITS: usize = 70;

/// What one digit counts.
const DIGIT_BITS: u32 = 32;

/// What the first digit counts is 2^-1074.
const LEAST_EXPONENT: i32 = -1074;

/// After so many additions, digits may be too large to add to.
const MOST_ADDITIONS: u32 = 1 << 29;

/// A sum of whole numbers and of floats, exact until it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExactSum {
    /// Sums of up to 2^63 numbers of 64 bits have room.
    whole: i128,
    floats: Option<Box<FloatSum>>,
}

#[derive(Clone, Debug)]
struct FloatSum {
    digits: [i64; DIGITS],
    additions: u32,
}

impl ExactSum {
    pub(crate) fn add_whole(&mut self, number: i128) {
        self.whole = self.whole.saturating_add(number);
    }

    /// Adds a finite number. Whether memory was taken for it.
    pub(crate) fn add_float(&mut self, number: f64) -> bool {
        let is_new = self.floats.is_none();
        self.floats.get_or_insert_default().add_float(number);
        is_new
    }

    /// What a sum of floats takes in memory.
    pub(crate) const FLOAT_BYTES: usize = size_of::<FloatSum>();

    /// The sum, rounded to the nearest float if one was added.
    pub(crate) fn total(&self) -> Total {
        match &self.floats {
            None => Total::Whole(self.whole),
            Some(floats) => {
                let mut all = floats.clone();
                all.add_whole(self.whole);
                Total::Fraction(all.rounded())
            }
        }
    }

    /// The sum divided by a number of values.
    pub(crate) fn average(&self, count: u64) -> Option<f64> {
        if count == 0 {
            return None;
        }
        Some(match &self.floats {
            Some(floats) => {
                let mut all = floats.clone();
                all.add_whole(self.whole);
                all.divided(count)
            }
            None => {
                // Exact before the one division: the whole part, and what is left.
                let (sum, count) = (self.whole, i128::from(count));
                let (quotient, rest) = (sum.div_euclid(count), sum.rem_euclid(count));
                if rest == 0 { quotient as f64 } else { sum as f64 / count as f64 }
            }
        })
    }
}

impl Default for FloatSum {
    fn default() -> Self {
        Self { digits: [0; DIGITS], additions: 0 }
    }
}

impl FloatSum {
    fn add_float(&mut self, number: f64) {
        let bits = number.to_bits();
        let exponent = (bits >> 52) & 0x7ff;
        let fraction = bits & ((1 << 52) - 1);
        // Numbers below 2^-1022 have no leading one.
        let (mantissa, place) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        self.add_at(u128::from(mantissa), place as u32, number.is_sign_negative());
    }

    fn add_whole(&mut self, number: i128) {
        let one = LEAST_EXPONENT.unsigned_abs();
        let magnitude = number.unsigned_abs();
        let (low, high) = (magnitude & u128::from(u64::MAX), magnitude >> 64);
        self.add_at(low, one, number < 0);
        self.add_at(high, one + 64, number < 0);
    }

    /// Adds a number of up to 64 bits, shifted by some places.
    fn add_at(&mut self, number: u128, places: u32, is_negative: bool) {
        if self.additions == MOST_ADDITIONS {
            self.carry();
        }
        self.additions += 1;
        let mut shifted = number << (places % DIGIT_BITS);
        for digit in self.digits.iter_mut().skip((places / DIGIT_BITS) as usize).take(4) {
            let part = (shifted & u128::from(u32::MAX)) as i64;
            *digit += if is_negative { -part } else { part };
            shifted >>= DIGIT_BITS;
        }
    }

    /// Leaves every digit but the highest between 0 and 2^32, the highest with the sign.
    fn carry(&mut self) {
        let mut carried = 0_i64;
        let last = DIGITS - 1;
        for (index, digit) in self.digits.iter_mut().enumerate() {
            *digit += carried;
            if index < last {
                carried = *digit >> DIGIT_BITS;
                *digit &= i64::from(u32::MAX);
            }
        }
        self.additions = 0;
    }

    /// The nearest float; of two, the even one.
    fn rounded(&self) -> f64 {
        self.divided(1)
    }

    /// A part of the sum, rounded once to the nearest float; of two, the even one.
    fn divided(&self, parts: u64) -> f64 {
        let mut digits = self.clone();
        digits.carry();
        let is_negative = digits.digits.last().is_some_and(|highest| *highest < 0);
        if is_negative {
            for digit in &mut digits.digits {
                *digit = -*digit;
            }
            digits.carry();
        }
        // As on paper, from the highest digit down. What is left at the end decides on rounding only.
        let (mut left, parts) = (0_u128, u128::from(parts));
        for digit in digits.digits.iter_mut().rev() {
            let dividend = left << DIGIT_BITS | u128::from(digit.unsigned_abs());
            *digit = (dividend / parts) as i64;
            left = dividend % parts;
        }
        let top = digits.digits.iter().rposition(|digit| *digit != 0).unwrap_or_default();
        // Four digits hold all the bits that a float has; of those below, only whether there are any.
        let lowest = top.saturating_sub(3);
        let leading = digits.digits.iter().skip(lowest).take(4).rev();
        let mut leading =
            leading.fold(0_u128, |leading, digit| leading << DIGIT_BITS | u128::from(digit.unsigned_abs()));
        let mut exponent = LEAST_EXPONENT + (lowest as i32) * DIGIT_BITS as i32;
        if leading < 1 << f64::MANTISSA_DIGITS {
            // No float is between this multiple of 2^-1074 and the next.
            let is_up = 2 * left > parts || 2 * left == parts && leading % 2 == 1;
            leading += u128::from(is_up);
        } else {
            if leading < 1 << 64 {
                // Room for what is below, so that it is no half.
                leading <<= 2;
                exponent -= 2;
            }
            let has_more = left != 0 || digits.digits.iter().take(lowest).any(|digit| *digit != 0);
            leading |= u128::from(has_more);
        }
        let magnitude = scaled(leading as f64, exponent);
        if is_negative { -magnitude } else { magnitude }
    }
}

/// `number` times 2 to the power of `exponent`. Exact unless the result is too large, or has bits below 2^-1074.
fn scaled(number: f64, exponent: i32) -> f64 {
    let power = |exponent: i32| f64::from_bits(((exponent + 1023) as u64) << 52);
    let first = exponent / 2;
    number * power(first) * power(exponent - first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(numbers: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        for number in numbers {
            sum.add_float(*number);
        }
        match sum.total() {
            Total::Fraction(sum) => sum,
            _ => 0.0,
        }
    }

    #[test]
    fn what_is_lost_by_plain_addition_is_not() {
        assert_eq!(sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[5e-324, 5e-324, -5e-324]), 5e-324);
        assert_eq!(sum(&[-1.0, 5e-324]), -1.0);
        assert_eq!(sum(&[1.0, f64::EPSILON / 2.0]), 1.0, "half way, to the even one");
        assert_eq!(sum(&[1.0, f64::EPSILON / 2.0, 5e-324]), 1.0 + f64::EPSILON, "a little more than half way");
        assert_eq!(sum(&[0.0, -0.0]), 0.0);
    }

    #[test]
    fn whole_numbers_and_floats_are_added_together() {
        let mut sum = ExactSum::default();
        sum.add_whole(i128::from(u64::MAX));
        sum.add_whole(i128::from(u64::MAX));
        assert_eq!(sum.total(), Total::Whole(2 * i128::from(u64::MAX)));
        sum.add_float(0.5);
        sum.add_whole(-2 * i128::from(u64::MAX));
        assert_eq!(sum.total(), Total::Fraction(0.5));
        sum.add_whole(-3);
        assert_eq!((sum.total(), sum.average(5)), (Total::Fraction(-2.5), Some(-0.5)));
    }

    fn average(numbers: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        for number in numbers {
            sum.add_float(*number);
        }
        sum.average(numbers.len() as u64).unwrap()
    }

    #[test]
    fn an_average_is_rounded_once() {
        assert_eq!(average(&[1.7e308, 1.7e308]), 1.7e308);
        assert_eq!(average(&[-f64::MAX; 7]), -f64::MAX);
        assert_eq!(average(&[f64::MAX, -f64::MAX, 3.0]), 1.0);
        assert_eq!(average(&[0.1, 0.2, 0.3]), 0.2);
        // To the even one of two multiples of the least float, whichever sign.
        for (sum, expected) in [(1, 0), (2, 1), (3, 2), (5, 2), (6, 3), (7, 4)] {
            let least = |multiple: u64| f64::from_bits(multiple);
            assert_eq!(average(&[least(sum), 0.0]), least(expected), "{sum} halves");
            assert_eq!(average(&[-least(sum), 0.0]), -least(expected), "{sum} halves");
        }
        let edge = f64::from_bits((1 << 53) + 1);
        assert_eq!(average(&[edge, edge, edge]), edge);
        assert_eq!(average(&[0.0, -0.0]).to_bits(), 0);
    }

    fn any_finite() -> impl Strategy<Value = f64> {
        any::<f64>().prop_filter("finite", |number| number.is_finite())
    }

    proptest! {
        #[test]
        fn one_number_is_its_own_sum(number in any_finite()) {
            prop_assert_eq!(sum(&[number]), number);
        }

        #[test]
        fn the_average_of_the_same_numbers_is_one_of_them(number in any_finite(), count in 1..20_usize) {
            prop_assert_eq!(average(&vec![number; count]), number);
        }

        #[test]
        fn one_number_is_divided_as_the_machine_does(number in any_finite(), zeros in 0..20_usize) {
            let numbers = [vec![0.0; zeros], vec![number]].concat();
            prop_assert_eq!(average(&numbers), number / (zeros as f64 + 1.0));
        }

        #[test]
        fn numbers_near_the_least_are_divided_as_the_machine_does(bits in 0..1_u64 << 56, zeros in 0..20_usize) {
            let number = f64::from_bits(bits);
            let numbers = [vec![0.0; zeros], vec![number]].concat();
            prop_assert_eq!(average(&numbers), number / (zeros as f64 + 1.0));
        }

        #[test]
        fn two_numbers_are_added_as_the_machine_does(left in any_finite(), right in any_finite()) {
            prop_assert_eq!(sum(&[left, right]), left + right);
        }

        #[test]
        fn the_order_does_not_matter(numbers in prop::collection::vec(any_finite(), 0..20), turn in 0..20_usize) {
            let mut turned = numbers.clone();
            turned.rotate_left(turn % numbers.len().max(1));
            prop_assert_eq!(sum(&numbers).to_bits(), sum(&turned).to_bits());
            turned.reverse();
            prop_assert_eq!(sum(&numbers).to_bits(), sum(&turned).to_bits());
        }

        #[test]
        fn multiples_of_a_small_fraction_are_added_exactly(numbers in prop::collection::vec(any::<i32>(), 0..50)) {
            let floats: Vec<f64> = numbers.iter().map(|number| f64::from(*number) / 1024.0).collect();
            let expected: i64 = numbers.iter().map(|number| i64::from(*number)).sum();
            prop_assert_eq!(sum(&floats), expected as f64 / 1024.0);
        }

        #[test]
        fn whole_numbers_count_the_same_as_floats(numbers in prop::collection::vec(-(1_i64 << 53)..1 << 53, 0..20)) {
            let mut both = ExactSum::default();
            both.add_float(0.0);
            for number in &numbers {
                both.add_whole(i128::from(*number));
            }
            let floats: Vec<f64> = numbers.iter().map(|number| *number as f64).collect();
            prop_assert_eq!(both.total(), Total::Fraction(sum(&floats)));
        }

        #[test]
        fn carrying_changes_nothing(numbers in prop::collection::vec(any_finite(), 1..10)) {
            let mut carried = FloatSum::default();
            for number in &numbers {
                carried.add_float(*number);
                carried.carry();
            }
            prop_assert_eq!(carried.rounded().to_bits(), sum(&numbers).to_bits());
        }
    }
}
