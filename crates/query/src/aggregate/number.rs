use serde_json::Value;

use super::Total;
use super::aggregate::impossible;

/// The types of a column whose values are numbers, with the type of their sum: `i128` for whole numbers, `f64` for floats,
/// and `rust_decimal::Decimal`, with the feature `rust_decimal`, for itself.
///
/// A type of your own that serialises as a number can have it too:
///
/// ```
/// # use bucketdb_query::{Column, Number};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Cents(u64);
///
/// impl Number for Cents {
///     type Sum = i128;
/// }
/// # struct Order;
/// # const TOTAL: Column<Order, Cents> = Column::new("total");
/// # assert_eq!(TOTAL.sum().to_string(), "sum(total)");
/// ```
#[diagnostic::on_unimplemented(message = "a column of the type `{Self}` does not hold numbers")]
pub trait Number {
    /// The type of a sum.
    type Sum: SumType;
}

/// What sums can be: `i128`, `f64`, a JSON value, or a `rust_decimal::Decimal` with the feature `rust_decimal`.
pub trait SumType: sealed::Sealed + Sized {
    /// Whether numbers with a fraction are refused.
    const IS_WHOLE: bool;

    /// The sum.
    ///
    /// # Errors
    /// If the total is none of numbers.
    fn of_total(total: Total) -> Result<Self, String>;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for i128 {}
    impl Sealed for f64 {}
    impl Sealed for serde_json::Value {}
    #[cfg(feature = "rust_decimal")]
    impl Sealed for rust_decimal::Decimal {}
}

impl SumType for i128 {
    const IS_WHOLE: bool = true;

    fn of_total(total: Total) -> Result<Self, String> {
        match total {
            Total::Whole(sum) => Ok(sum),
            Total::Decimal(sum) => sum.parse().map_err(|_| format!("{sum} is no whole number")),
            other => impossible(&other),
        }
    }
}

impl SumType for f64 {
    const IS_WHOLE: bool = false;

    fn of_total(total: Total) -> Result<Self, String> {
        match total {
            Total::Whole(sum) => Ok(sum as Self),
            Total::Fraction(sum) => Ok(sum),
            Total::Decimal(sum) => sum.parse().map_err(|_| format!("{sum} is no float")),
            other => impossible(&other),
        }
    }
}

impl SumType for Value {
    const IS_WHOLE: bool = false;

    fn of_total(total: Total) -> Result<Self, String> {
        Ok(total.into_value())
    }
}

#[cfg(feature = "rust_decimal")]
impl SumType for rust_decimal::Decimal {
    const IS_WHOLE: bool = false;

    fn of_total(total: Total) -> Result<Self, String> {
        let sum = match total {
            // Of nothing, or where the table does not say that its numbers are decimal.
            Total::Whole(sum) => sum.to_string(),
            Total::Decimal(sum) => sum,
            other => return impossible(&other),
        };
        Self::from_str_exact(&sum).map_err(|_| format!("{sum} is beyond 96 bits or 28 digits behind the point"))
    }
}

macro_rules! numbers {
    ($sum:ty: $($number:ty),*) => {$(
        impl Number for $number {
            type Sum = $sum;
        }
    )*};
}

numbers!(i128: u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
numbers!(f64: f32, f64);
numbers!(Value: Value);
#[cfg(feature = "rust_decimal")]
numbers!(rust_decimal::Decimal: rust_decimal::Decimal);

impl<N: Number> Number for Option<N> {
    type Sum = N::Sum;
}
