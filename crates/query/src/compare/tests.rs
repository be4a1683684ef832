use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::text::strategies::any_value;

fn check(left: &Value, expected: Ordering, right: &Value) {
    assert_eq!(compare_values(left, right), expected, "{left} against {right}");
    assert_eq!(compare_values(right, left), expected.reverse(), "{right} against {left}");
}

#[test]
fn types_stand_in_their_documented_order() {
    let ascending = [
        json!(null),
        json!(false),
        json!(true),
        json!(i64::MIN),
        json!(-1.5),
        json!(0),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("a"),
        json!("b"),
        json!([]),
        json!([1]),
        json!([1, null]),
        json!([2]),
        json!({}),
        json!({"a": 1}),
        json!({"a": 1, "b": 0}),
        json!({"a": 2}),
        json!({"b": 0}),
    ];
    for (index, left) in ascending.iter().enumerate() {
        assert_eq!(compare(None, Some(left)), Ordering::Less);
        check(left, Ordering::Equal, left);
        for right in &ascending[index + 1..] {
            check(left, Ordering::Less, right);
        }
    }
    assert_eq!(compare(None, None), Ordering::Equal);
}

#[test]
fn integers_and_floats_are_compared_without_loss() {
    check(&json!(9_007_199_254_740_993_u64), Ordering::Greater, &json!(9_007_199_254_740_992.0));
    check(&json!(-9_007_199_254_740_993_i64), Ordering::Less, &json!(-9_007_199_254_740_992.0));
    check(&json!(u64::MAX), Ordering::Less, &json!(18_446_744_073_709_551_616.0));
    check(&json!(u64::MAX), Ordering::Greater, &json!(18_446_744_073_709_549_568.0));
    check(&json!(i64::MIN), Ordering::Equal, &json!(-9_223_372_036_854_775_808.0));
    check(&json!(i64::MIN), Ordering::Greater, &json!(-9_223_372_036_854_777_856.0));
    check(&json!(i64::MAX), Ordering::Less, &json!(9_223_372_036_854_775_808.0));
    check(&json!(u64::MAX), Ordering::Greater, &json!(i64::MAX));
    check(&json!(1), Ordering::Equal, &json!(1.0));
    check(&json!(1), Ordering::Less, &json!(1.5));
    check(&json!(-1), Ordering::Greater, &json!(-1.5));
    check(&json!(0), Ordering::Equal, &json!(-0.0));
    check(&json!(0), Ordering::Less, &json!(f64::MIN_POSITIVE));
    check(&json!(u64::MAX), Ordering::Less, &json!(f64::MAX));
    check(&json!(i64::MIN), Ordering::Greater, &json!(f64::MIN));
}

#[test]
fn the_order_of_fields_in_an_object_does_not_count() {
    check(&json!({"a": 1, "b": 2}), Ordering::Equal, &json!({"b": 2, "a": 1}));
    check(&json!([{"a": 1, "b": 2}]), Ordering::Equal, &json!([{"b": 2, "a": 1.0}]));
}

/// Numbers that crowd around the places where a float cannot tell integers apart.
fn crowded_number() -> impl Strategy<Value = Value> {
    let near = prop_oneof![
        Just(0_i128),
        Just(1 << 53),
        Just(-(1 << 53)),
        Just(1 << 63),
        Just(-(1 << 63)),
        Just((1 << 64) - 1),
    ];
    (near, -3_i128..=3, any::<bool>()).prop_map(|(near, offset, as_float)| {
        let number = (near + offset).clamp(i128::from(i64::MIN), i128::from(u64::MAX));
        if as_float {
            json!(number as f64)
        } else if let Ok(number) = u64::try_from(number) {
            json!(number)
        } else {
            json!(i64::try_from(number).unwrap())
        }
    })
}

fn value() -> impl Strategy<Value = Option<Value>> {
    proptest::option::weighted(0.95, prop_oneof![any_value(), crowded_number()])
}

proptest! {
    #[test]
    fn the_order_is_total_antisymmetric_and_transitive(a in value(), b in value(), c in value()) {
        let mut sorted = [a.as_ref(), b.as_ref(), c.as_ref()];
        sorted.sort_by(|left, right| compare(*left, *right));
        for (index, left) in sorted.iter().enumerate() {
            prop_assert_eq!(compare(*left, *left), Ordering::Equal);
            for right in &sorted[index..] {
                prop_assert!(compare(*left, *right).is_le());
                prop_assert_eq!(compare(*left, *right), compare(*right, *left).reverse());
            }
        }
    }

    #[test]
    fn values_that_are_the_same_are_equal_in_the_order(a in any_value()) {
        prop_assert_eq!(compare_values(&a, &a.clone()), Ordering::Equal);
    }

    #[test]
    fn a_value_compares_as_what_is_seen_of_it(a in value(), b in value()) {
        if let (Some(a), Some(b)) = (a, b) {
            for seen in [ValueRef::from(&a), ValueRef::Nested(&a)] {
                prop_assert_eq!(compare_to(seen, &b), compare_values(&a, &b));
                prop_assert_eq!(same_type(seen, &b), rank(&a) == rank(&b));
            }
        }
    }

    #[test]
    fn numbers_agree_with_exact_arithmetic(a in crowded_number(), b in crowded_number()) {
        let exact = |value: &Value| {
            value.as_i64().map(i128::from)
                .or_else(|| value.as_u64().map(i128::from))
                .unwrap_or_else(|| value.as_f64().unwrap() as i128)
        };
        prop_assert_eq!(compare_values(&a, &b), exact(&a).cmp(&exact(&b)));
    }
}
