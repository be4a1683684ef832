use std::fmt;

use serde::ser::{Error, Impossible, Serialize, Serializer};
use serde_json::Value;

use super::AsStored;
use crate::{Comparison, Filter, Path};

/// A whole number of 128 bits, as a type has it.
///
/// A document holds it as a number where 64 bits hold it, and as its 16 bytes otherwise, the first being the highest. To
/// JSON those are a list, which stands behind all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wide {
    Signed(i128),
    Unsigned(u128),
}

/// Numbers that are held in one way, in their order there: from the least to the greatest.
type Stretch<N> = (N, N);

const SIGNED: [Stretch<i128>; 3] =
    [(i128::MIN, i64::MIN as i128 - 1), (i64::MIN as i128, u64::MAX as i128), (u64::MAX as i128 + 1, i128::MAX)];
const UNSIGNED: [Stretch<u128>; 2] = [(0, u64::MAX as u128), (u64::MAX as u128 + 1, u128::MAX)];

impl Wide {
    /// The number that a value is, if it is one of 128 bits.
    pub(crate) fn of<T: Serialize + ?Sized>(value: &T) -> Option<Self> {
        value.serialize(Probe).ok()
    }

    /// That a value is such a number and compares so with this one, whichever way it is held.
    pub(crate) fn compared(self, path: &Path, comparison: Comparison) -> Filter {
        match self {
            Self::Signed(number) => {
                within(path, &SIGNED, range(comparison, number, i128::checked_add, (i128::MIN, i128::MAX)))
            }
            Self::Unsigned(number) => {
                let add = |number: u128, step: i128| number.checked_add_signed(step);
                within(path, &UNSIGNED, range(comparison, number, add, (u128::MIN, u128::MAX)))
            }
        }
    }

    /// That a value is such a number and neither less than this one nor greater than the other; `None` if they are of two
    /// types.
    pub(crate) fn up_to(self, path: &Path, high: Self) -> Option<Filter> {
        match (self, high) {
            (Self::Signed(low), Self::Signed(high)) => Some(within(path, &SIGNED, Some((low, high)))),
            (Self::Unsigned(low), Self::Unsigned(high)) => Some(within(path, &UNSIGNED, Some((low, high)))),
            _ => None,
        }
    }
}

/// The numbers that compare so with one; `None` if there are none.
fn range<N: Copy>(
    comparison: Comparison,
    number: N,
    add: impl Fn(N, i128) -> Option<N>,
    (least, greatest): Stretch<N>,
) -> Option<Stretch<N>> {
    match comparison {
        Comparison::Equal => Some((number, number)),
        Comparison::Less => add(number, -1).map(|below| (least, below)),
        Comparison::LessOrEqual => Some((least, number)),
        Comparison::Greater => add(number, 1).map(|above| (above, greatest)),
        Comparison::GreaterOrEqual => Some((number, greatest)),
    }
}

fn within<N: Copy + Ord + Serialize>(path: &Path, stretches: &[Stretch<N>], range: Option<Stretch<N>>) -> Filter {
    let Some((low, high)) = range else { return Filter::none() };
    Filter::any_of(stretches.iter().filter_map(|(least, greatest)| {
        let (low, high) = (low.max(*least), high.min(*greatest));
        if low > high {
            return None;
        }
        let (low, high): (Value, Value) = (AsStored(low).to_value()?, AsStored(high).to_value()?);
        Some(if low == high {
            Filter::compare(path.clone(), Comparison::Equal, low)
        } else {
            Filter::between(path.clone(), low, high)
        })
    }))
}

/// Takes a number of 128 bits, be it in an `Option` or a type around it, and nothing else.
struct Probe;

#[derive(Debug)]
struct NotWide;

impl fmt::Display for NotWide {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no number of 128 bits")
    }
}

impl std::error::Error for NotWide {}

impl Error for NotWide {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

macro_rules! not_wide {
    ($($method:ident($($argument:ty),*) -> $result:ty),* $(,)?) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$result, NotWide> { Err(NotWide) })*
    };
}

type None = Impossible<Wide, NotWide>;

impl Serializer for Probe {
    type Ok = Wide;
    type Error = NotWide;
    type SerializeSeq = None;
    type SerializeTuple = None;
    type SerializeTupleStruct = None;
    type SerializeTupleVariant = None;
    type SerializeMap = None;
    type SerializeStruct = None;
    type SerializeStructVariant = None;

    fn serialize_i128(self, number: i128) -> Result<Wide, NotWide> {
        Ok(Wide::Signed(number))
    }

    fn serialize_u128(self, number: u128) -> Result<Wide, NotWide> {
        Ok(Wide::Unsigned(number))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Wide, NotWide> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Wide, NotWide> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Wide, NotWide> {
        Err(NotWide)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<Wide, NotWide> {
        Err(NotWide)
    }

    not_wide! {
        serialize_bool(bool) -> Wide, serialize_i8(i8) -> Wide, serialize_i16(i16) -> Wide, serialize_i32(i32) -> Wide,
        serialize_i64(i64) -> Wide, serialize_u8(u8) -> Wide, serialize_u16(u16) -> Wide, serialize_u32(u32) -> Wide,
        serialize_u64(u64) -> Wide, serialize_f32(f32) -> Wide, serialize_f64(f64) -> Wide, serialize_char(char) -> Wide,
        serialize_str(&str) -> Wide, serialize_bytes(&[u8]) -> Wide, serialize_none() -> Wide, serialize_unit() -> Wide,
        serialize_unit_struct(&'static str) -> Wide,
        serialize_unit_variant(&'static str, u32, &'static str) -> Wide,
        serialize_seq(Option<usize>) -> None, serialize_tuple(usize) -> None,
        serialize_tuple_struct(&'static str, usize) -> None,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> None,
        serialize_map(Option<usize>) -> None, serialize_struct(&'static str, usize) -> None,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ALL: [Comparison; 5] =
        [Comparison::Equal, Comparison::Less, Comparison::LessOrEqual, Comparison::Greater, Comparison::GreaterOrEqual];

    fn any_signed() -> impl Strategy<Value = i128> {
        let near = |number: i128| (-2_i128..3).prop_map(move |off| number.saturating_add(off));
        prop_oneof![
            any::<i128>(),
            any::<i64>().prop_map(i128::from),
            near(0),
            near(i64::MIN.into()),
            near(u64::MAX.into()),
            near(i128::MIN),
            near(i128::MAX)
        ]
    }

    fn holds(comparison: Comparison, ordering: std::cmp::Ordering) -> bool {
        match comparison {
            Comparison::Equal => ordering.is_eq(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]
        #[test]
        fn they_compare_as_numbers_do(left in any_signed(), right in any_signed(), third in any_signed()) {
            let path = Path::field("n");
            for comparison in ALL {
                let filter = Wide::Signed(right).compared(&path, comparison);
                let document = json!({"n": AsStored(left).to_value()});
                prop_assert_eq!(filter.matches(&document), holds(comparison, left.cmp(&right)), "{}", filter);
                let (left, right) = (left.cast_unsigned(), right.cast_unsigned());
                let filter = Wide::Unsigned(right).compared(&path, comparison);
                let document = json!({"n": AsStored(left).to_value()});
                prop_assert_eq!(filter.matches(&document), holds(comparison, left.cmp(&right)), "{}", filter);
            }
            let between = Wide::Signed(left).up_to(&path, Wide::Signed(right)).unwrap();
            let document = json!({"n": AsStored(third).to_value()});
            prop_assert_eq!(between.matches(&document), left <= third && third <= right, "{}", between);
        }
    }

    #[test]
    fn only_numbers_of_128_bits_are_wide() {
        assert_eq!(Wide::of(&Some(5_u128)), Some(Wide::Unsigned(5)));
        assert_eq!(Wide::of(&5_u64), None);
        assert_eq!(Wide::of(&vec![5_u128]), None);
        assert_eq!(Wide::of("5"), None);
    }
}
