use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Path;
use crate::compare::{compare_values, same_type};
use crate::text::strategies::{any_comparison, any_document, any_filter, any_name, any_value};

fn matches(filter: &str, document: &Value) -> bool {
    filter.parse::<Filter>().unwrap().matches(document)
}

/// Each filter with whether it matches the document.
fn check(document: &Value, cases: &[(&str, bool)]) {
    for (filter, expected) in cases {
        assert_eq!(matches(filter, document), *expected, "{filter} on {document}");
    }
}

#[test]
fn the_example_of_the_command_line() {
    let filter = r#"age >= 18 and (role = "admin" or address.city in ["Bern", "Basel"]) and not deleted"#;
    assert!(matches(filter, &json!({"age": 18, "role": "admin"})));
    assert!(matches(filter, &json!({"age": 18, "address": {"city": "Basel"}, "deleted": false})));
    assert!(!matches(filter, &json!({"age": 18, "role": "admin", "deleted": true})));
    assert!(!matches(filter, &json!({"age": 17, "role": "admin"})));
    assert!(!matches(filter, &json!({"age": 18, "address": {"city": "Biel"}})));
}

proptest! {
    #[test]
    fn the_whole_numbers_of_a_condition_are_those_that_it_holds_for(
        filter in any_filter(),
        bounds in (any::<i64>(), any::<f64>(), -6..6_i64, -20..20_i32),
        near in -3..3_i64,
        comparison in any_comparison(),
    ) {
        let (wide, float, narrow, quarters) = bounds;
        let values = [json!(wide), json!(float), json!(narrow), json!(f64::from(quarters) / 4.0), json!(u64::MAX), json!("a")];
        let path = Path::field("n");
        let mut all = vec![filter];
        for value in &values {
            all.push(Filter::compare(path.clone(), comparison, value.clone()));
            all.extend(values.iter().map(|low| Filter::between(path.clone(), low.clone(), value.clone())));
        }
        let near_any = values.iter().filter_map(Value::as_f64).map(|value| (value as i128).saturating_add(near.into()));
        let numbers: Vec<i128> = near_any.chain([0, i64::MIN.into(), u64::MAX.into(), wide.into()]).collect();
        for filter in &all {
            let Some((least, greatest)) = filter.expression().whole_numbers() else { continue };
            let path = filter.paths()[0].clone();
            if path.segments().len() > 1 {
                continue;
            }
            for number in &numbers {
                let number = match (i64::try_from(*number), u64::try_from(*number)) {
                    (Ok(number), _) => json!(number),
                    (_, Ok(number)) => json!(number),
                    _ => continue,
                };
                let document = json!({path.first_field().unwrap(): number});
                let number = number.as_i64().map_or_else(|| i128::from(number.as_u64().unwrap()), i128::from);
                prop_assert_eq!(filter.matches(&document), (least..=greatest).contains(&number), "{} of {}", filter, number);
            }
        }
    }
}

#[test]
fn comparing_within_a_type() {
    let document = json!({"n": 5, "f": 5.5, "s": "b", "t": true, "l": [1, 2], "o": {"a": 1}, "z": null});
    check(
        &document,
        &[
            ("n = 5", true),
            ("n = 5.0", true),
            ("n != 5", false),
            ("n < 5", false),
            ("n <= 5", true),
            ("n > 4.999", true),
            ("n >= 6", false),
            ("f > 5", true),
            ("f < 6", true),
            ("s > 'a'", true),
            ("s >= 'ba'", false),
            ("s < 'ü'", true),
            ("t > false", true),
            ("t = true", true),
            ("l = [1, 2.0]", true),
            ("l < [1, 3]", true),
            ("l > [1]", true),
            ("o = {'a': 1}", true),
            ("o < {'a': 2}", true),
            ("z = null", true),
            ("z <= null", true),
            ("z < null", false),
            ("n between 5 and 5", true),
            ("n between 6 and 4", false),
            ("s between 'a' and 'c'", true),
            ("n in [1, 5.0]", true),
            ("n in []", false),
            ("n not in []", true),
        ],
    );
}

#[test]
fn comparing_across_types_is_false_and_never_an_error() {
    let document = json!({"n": 5, "s": "5", "t": true, "z": null, "l": [5]});
    check(
        &document,
        &[
            ("n = '5'", false),
            ("n < '5'", false),
            ("n >= '5'", false),
            ("n != '5'", true),
            ("s > 4", false),
            ("t = 1", false),
            ("t > 0", false),
            ("z < 1", false),
            ("z >= null", true),
            ("l = 5", false),
            ("n between 1 and 'x'", false),
            ("n between null and 9", false),
            ("n starts with '5'", false),
            ("n contains 5", false),
            ("s contains 5", false),
            ("n", false),
            ("s", false),
        ],
    );
}

#[test]
fn a_missing_field_is_told_from_null() {
    let document = json!({"z": null, "n": 1});
    check(
        &document,
        &[
            ("z exists", true),
            ("m exists", false),
            ("m not exists", true),
            ("z is null", true),
            ("m is null", true),
            ("n is null", false),
            ("z is not null", false),
            ("m is not null", false),
            ("n is not null", true),
            ("z = null", true),
            ("m = null", false),
            ("m != null", true),
            ("m in [null]", false),
            ("z in [null]", true),
            // `!=` is the negation of `=`: what is missing differs from everything.
            ("m != 1", true),
            ("z != 1", true),
            ("n != 1", false),
            ("m < 1", false),
            ("m", false),
            ("not m", true),
            ("m.deeper is null", true),
            ("m.deeper exists", false),
        ],
    );
}

#[test]
fn texts_and_lists() {
    let document = json!({"s": "grüezi", "l": ["a", 1, null, {"k": 1}], "e": ""});
    check(
        &document,
        &[
            ("s starts with 'grü'", true),
            ("s starts with 'rü'", false),
            ("s starts with ''", true),
            ("s starts with 'Grü'", false),
            ("s contains 'üez'", true),
            ("s contains ''", true),
            ("s contains 'uez'", false),
            ("e contains 'x'", false),
            ("l contains 'a'", true),
            ("l contains 1.0", true),
            ("l contains null", true),
            ("l contains {'k': 1}", true),
            ("l contains 'b'", false),
            ("l not contains 'b'", true),
            ("l starts with 'a'", false),
        ],
    );
}

#[test]
fn a_condition_on_several_values_is_true_of_one_of_them() {
    let document = json!({"l": [1, 5, "x"], "rows": [{"n": 1}, {"n": 9}, {}], "e": []});
    check(
        &document,
        &[
            ("l[*] = 5", true),
            ("l[*] > 5", false),
            // No element may equal it: `!=` is the negation of `=`.
            ("l[*] != 5", false),
            ("l[*] != 6", true),
            ("rows[*].n > 5", true),
            ("rows[*].n in [2, 9]", true),
            ("rows[*].n exists", true),
            ("rows[*].none exists", false),
            ("rows[*].none is null", true),
            ("rows[*].n is null", false),
            ("l[*] starts with 'x'", true),
            ("e[*] exists", false),
            // Different values may satisfy the two sides.
            ("l[*] > 4 and l[*] < 2", true),
            // One value must satisfy both.
            ("l[*] between 2 and 4", false),
        ],
    );
}

#[test]
fn exact_where_a_float_cannot_tell_apart() {
    let document = json!({"n": 9_007_199_254_740_993_u64, "max": u64::MAX});
    check(
        &document,
        &[
            ("n = 9007199254740993", true),
            ("n = 9007199254740992.0", false),
            ("n > 9007199254740992.0", true),
            ("n = 9007199254740992", false),
            ("max = 18446744073709551615", true),
            ("max < 18446744073709551616", true),
            ("max > 18446744073709549568.0", true),
        ],
    );
}

#[test]
fn a_float_in_a_filter_is_the_same_float_in_a_document() {
    for text in ["0.1", "38.704022", "-101.473911", "1.2345678901234567", "5e-324", "2.2250738585072011e-308"] {
        let document: Value = serde_json::from_str(&format!("{{\"n\": {text}}}")).unwrap();
        assert!(matches(&format!("n = {text}"), &document), "{text}");
        assert_eq!(document["n"].as_f64().unwrap(), text.parse::<f64>().unwrap(), "{text}");
    }
}

#[test]
fn constants_and_single_conditions_fold() {
    let one = || Filter::eq(Path::field("a"), 1);
    assert_eq!(Filter::all().and(one()), one());
    assert_eq!(Filter::none().or(one()), one());
    assert_eq!(Filter::none().and(one()), Filter::none());
    assert_eq!(Filter::all().or(one()), Filter::all());
    assert_eq!(Filter::all_of([]), Filter::all());
    assert_eq!(Filter::any_of([one()]), one());
    assert_eq!(one().not().not(), one());
    assert_eq!(!Filter::all(), Filter::none());
    assert_eq!(one().and(one()).and(one()), Filter::all_of([one(), one(), one()]));
    assert!(matches!(one().and(one().and(one())).expression(), Expression::And(filters) if filters.len() == 3));
}

proptest! {
    #[test]
    fn text_reads_back(filter in any_filter()) {
        let text = filter.to_string();
        prop_assert_eq!(text.parse::<Filter>().map_err(|error| TestCaseError::fail(error.to_string()))?, filter);
    }

    #[test]
    fn logic_is_that_of_booleans(a in any_filter(), b in any_filter(), document in any_document()) {
        let (is_a, is_b) = (a.matches(&document), b.matches(&document));
        prop_assert_eq!(a.clone().and(b.clone()).matches(&document), is_a && is_b);
        prop_assert_eq!(a.clone().or(b.clone()).matches(&document), is_a || is_b);
        prop_assert_eq!(a.clone().not().matches(&document), !is_a);
        let by_de_morgan = a.clone().not().or(b.clone().not()).not();
        prop_assert_eq!(by_de_morgan.matches(&document), a.and(b).matches(&document));
    }

    #[test]
    fn conditions_agree_with_the_order_of_values(name in any_name(), left in any_value(), right in any_value()) {
        let path = || Path::field(name.as_str());
        let document = json!({ &name: left.clone() });
        let comparable = same_type((&left).into(), &right);
        let ordering = compare_values(&left, &right);
        prop_assert_eq!(Filter::eq(path(), right.clone()).matches(&document), ordering.is_eq());
        prop_assert_eq!(Filter::ne(path(), right.clone()).matches(&document), ordering.is_ne());
        prop_assert_eq!(Filter::lt(path(), right.clone()).matches(&document), comparable && ordering.is_lt());
        prop_assert_eq!(Filter::le(path(), right.clone()).matches(&document), comparable && ordering.is_le());
        prop_assert_eq!(Filter::gt(path(), right.clone()).matches(&document), comparable && ordering.is_gt());
        prop_assert_eq!(Filter::ge(path(), right.clone()).matches(&document), comparable && ordering.is_ge());
        prop_assert_eq!(Filter::is_in(path(), [right.clone()]).matches(&document), ordering.is_eq());
        let at_least_and_at_most = Filter::ge(path(), right.clone()).and(Filter::le(path(), right.clone()));
        prop_assert_eq!(
            Filter::between(path(), right.clone(), right).matches(&document),
            at_least_and_at_most.matches(&document)
        );
    }

    #[test]
    fn no_comparison_holds_without_a_value(name in any_name(), how in any_comparison(), value in any_value()) {
        let empty = json!({});
        prop_assert!(!Filter::compare(Path::field(name), how, value).matches(&empty));
    }
}
