use serde_json::Value;

use super::Total;
use super::aggregate::impossible;

/// The types of a column whose values are numbers, with the type of their sum: `i128` for whole numbers, `f64` for floats.
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

/// What sums can be: `i128`, `f64`, or a JSON number.
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
}

impl SumType for i128 {
    const IS_WHOLE: bool = true;

    fn of_total(total: Total) -> Result<Self, String> {
        match total {
            Total::Whole(sum) => Ok(sum),
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

impl<N: Number> Number for Option<N> {
    type Sum = N::Sum;
}
