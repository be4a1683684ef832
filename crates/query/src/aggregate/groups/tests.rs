use std::convert::Infallible;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::aggregate::canonical::{put_identity, whole_of};
use crate::text::strategies::any_path;
use crate::{Function, Typed};

const PLENTY: usize = 1 << 24;

fn term(function: Function, path: &Path) -> AggregateTerm {
    AggregateTerm { function, path: Some(path.clone()) }
}

fn all_of(path: &Path) -> Vec<AggregateTerm> {
    [Function::Count, Function::CountDistinct, Function::Min, Function::Max].map(|function| term(function, path)).into()
}

fn groups(paths: &[Path], terms: &[AggregateTerm], documents: &[Value]) -> Vec<(Vec<Value>, Vec<Total>)> {
    let mut groups = Groups::new(paths.to_vec(), terms.to_vec(), PLENTY);
    for document in documents {
        groups.push(document).unwrap();
    }
    groups.finish().collect()
}

fn is_equal(left: &Value, right: &Value) -> bool {
    compare(Some(left), Some(right)).is_eq()
}

/// What one function comes to over values, computed the plain way.
fn expected(function: Function, values: &[Value]) -> Total {
    let mut sorted: Vec<Value> = values.iter().filter(|value| !value.is_null()).cloned().collect();
    sorted.sort_by(|left, right| compare(Some(left), Some(right)));
    let shown = |value: Option<&Value>| Total::Value(value.map(|value| canonical(value.into())));
    match function {
        Function::Count => Total::Count(sorted.len() as u64),
        Function::Min => shown(sorted.first()),
        Function::Max => shown(sorted.last()),
        _ => {
            sorted.dedup_by(|left, right| is_equal(left, right));
            Total::Count(sorted.len() as u64)
        }
    }
}

fn any_small() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        (-2_i64..3).prop_map(|number| json!(number as f64 / 2.0)),
        "[ab]{0,1}".prop_map(Value::from),
        vec(-1_i64..2, 0..3).prop_map(Value::from),
        vec(-1_i64..2, 0..3).prop_map(|elements| json!({"a": elements})),
    ]
}

fn any_documents() -> impl Strategy<Value = Vec<Value>> {
    let document = prop::collection::btree_map("[abc]", any_small(), 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()));
    vec(document, 0..20)
}

fn some_path() -> impl Strategy<Value = Path> {
    let known = prop_oneof![Just("a"), Just("b"), Just("c"), Just("a.a"), Just("a[*]"), Just("b.a[*]"), Just("c[0]")];
    prop_oneof![9 => known.prop_map(|path| path.parse().unwrap()), 1 => any_path()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn groups_are_those_of_plain_code(
        documents in any_documents(), paths in vec(some_path(), 0..3), of in some_path(),
    ) {
        let terms = all_of(&of);
        let found = groups(&paths, &terms, &documents);
        // Every way to take a value of each path, for each document.
        let mut members: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
        for document in &documents {
            let mut ways: Vec<Vec<Value>> = vec![Vec::new()];
            for path in &paths {
                let mut values: Vec<Value> = path.get(document).cloned().collect();
                if values.is_empty() && !path.is_multiple() {
                    values.push(Value::Null);
                }
                values.sort_by(|left, right| compare(Some(left), Some(right)));
                values.dedup_by(|left, right| is_equal(left, right));
                ways = ways.iter().flat_map(|way| values.iter().map(|value| [way.as_slice(), std::slice::from_ref(value)].concat()).collect::<Vec<_>>()).collect();
            }
            for way in ways {
                let mine: Vec<Value> = of.get(document).cloned().collect();
                match members.iter_mut().find(|(of_group, _)| of_group.iter().zip(&way).all(|(left, right)| is_equal(left, right))) {
                    Some((_, values)) => values.extend(mine),
                    None => members.push((way, mine)),
                }
            }
        }
        if paths.is_empty() && members.is_empty() {
            members.push((Vec::new(), Vec::new()));
        }
        prop_assert_eq!(found.len(), members.len());
        for (values, totals) in &found {
            let is_it = |(of_group, _): &&(Vec<Value>, Vec<Value>)| of_group.iter().zip(values).all(|(left, right)| is_equal(left, right));
            let (_, of_group) = members.iter().find(is_it).unwrap();
            for (term, total) in terms.iter().zip(totals) {
                prop_assert_eq!(total, &expected(term.function, of_group), "{}", term);
            }
        }
        let in_order = |pair: &[(Vec<Value>, Vec<Total>)]| {
            let first = pair[0].0.iter().zip(&pair[1].0).map(|(left, right)| compare(Some(left), Some(right)));
            first.into_iter().find(|order| order.is_ne()).is_some_and(std::cmp::Ordering::is_lt)
        };
        prop_assert!(found.windows(2).all(in_order));
    }

    #[test]
    fn sums_and_averages_are_those_of_plain_code(numbers in vec(prop::option::of(-1_000_i64..1_000), 0..30), halves: bool) {
        let value = |number: i64| if halves { json!(number as f64 / 2.0) } else { json!(number) };
        let documents: Vec<Value> = numbers.iter().map(|number| json!({"n": number.map(value)})).collect();
        let path = Path::field("n");
        let terms = [term(Function::Sum { is_whole: false }, &path), term(Function::Average, &path)];
        let found = groups(&[], &terms, &documents);
        let there: Vec<i64> = numbers.iter().flatten().copied().collect();
        let sum: i64 = there.iter().sum();
        let divisor = if halves { 2.0 } else { 1.0 };
        let average = (!there.is_empty()).then(|| sum as f64 / divisor / there.len() as f64);
        prop_assert_eq!(&found[0].1[1], &Total::Average(average));
        let is_fraction = halves && there.iter().any(|number| number % 2 != 0);
        let expected = if is_fraction { Total::Fraction(sum as f64 / 2.0) } else { Total::Whole(i128::from(sum) / divisor as i128) };
        prop_assert_eq!(&found[0].1[0], &expected);
    }

    #[test]
    fn the_same_in_any_order(documents in any_documents(), path in some_path(), of in some_path()) {
        let found = groups(std::slice::from_ref(&path), &all_of(&of), &documents);
        let turned: Vec<Value> = documents.into_iter().rev().collect();
        let again = groups(&[path], &all_of(&of), &turned);
        prop_assert_eq!(format!("{found:?}"), format!("{again:?}"), "as written, too");
    }
}

fn refused(terms: &[AggregateTerm], document: &Value, most_bytes: usize) -> AggregateError<Infallible> {
    let mut groups = Groups::new(vec![Path::field("g")], terms.to_vec(), most_bytes);
    groups.push(document).unwrap_err()
}

#[test]
fn what_is_no_number_is_named() {
    let path: Path = "a.b".parse().unwrap();
    let sum = term(Function::Sum { is_whole: false }, &path);
    let error = refused(std::slice::from_ref(&sum), &json!({"a": {"b": "x"}}), PLENTY);
    assert_eq!(error.to_string(), r#"field a.b is "x", and sum takes numbers only"#);
    let whole = term(Function::Sum { is_whole: true }, &path);
    let error = refused(&[whole], &json!({"a": {"b": 1.5}}), PLENTY);
    assert_eq!(error.to_string(), "field a.b is 1.5, and sum takes whole numbers only");
    let average = term(Function::Average, &path);
    let error = refused(&[average], &json!({"a": {"b": [1]}}), PLENTY);
    assert_eq!(error.to_string(), "field a.b is [1], and avg takes numbers only");
}

#[test]
fn memory_is_bounded_by_the_groups_and_different_values() {
    let mut groups = Groups::new(vec![Path::field("g")], Vec::new(), 64 << 10);
    let failed = (0..10_000).find(|number| groups.push(&json!({"g": number})).is_err()).unwrap();
    assert!((100..2_000).contains(&failed), "{failed}");
    let different = term(Function::CountDistinct, &Path::field("v"));
    let mut groups = Groups::new(Vec::new(), vec![different], 64 << 10);
    let failed = (0..10_000).find(|number| groups.push(&json!({"v": number})).is_err()).unwrap();
    assert!((100..2_000).contains(&failed), "{failed}");
    let mut groups = Groups::new(vec![Path::field("g")], Vec::new(), 64 << 10);
    assert!((0..10_000).all(|number| groups.push(&json!({"g": number % 7})).is_ok()), "documents take nothing");
}

#[test]
fn memory_is_bounded_by_the_values_that_are_kept() {
    let greatest = term(Function::Max, &Path::field("v"));
    let least = term(Function::Min, &Path::field("v"));
    let with = |term: &AggregateTerm, values: &[Value]| {
        let mut groups = Groups::new(Vec::new(), vec![term.clone()], 64 << 10);
        values.iter().try_for_each(|value| groups.push(&json!({"v": value}))).is_ok()
    };
    let long = "x".repeat(100 << 10);
    let large = |value: Value| json!(vec![value; 10_000]);
    for value in
        [json!(long), json!([long]), json!({"a": long}), json!({long.as_str(): 1}), large(json!(1)), large(json!([]))]
    {
        assert!(!with(&greatest, std::slice::from_ref(&value)), "a first value");
        assert!(!with(&greatest, &[json!(false), value.clone()]), "in the place of a small one");
        assert!(!with(&least, &[json!({"~": null}), json!({"a": [value]})]), "in a nested one");
    }
    // What is given up for a greater one does not count any more.
    let alike: Vec<Value> =
        (0..1_000).map(|number| json!(format!("{number:04}{}", "x".repeat(number % 2 * 1_000)))).collect();
    assert!(with(&greatest, &alike));
}

#[test]
fn memory_is_bounded_while_the_groups_of_one_document_are_found() {
    let paths = ["a[*]", "b[*]"].map(|path| path.parse().unwrap());
    let texts = |letter: &str| (0..300).map(|number| format!("{}{number}", letter.repeat(1_000))).collect::<Vec<_>>();
    let document = json!({"a": texts("a"), "b": texts("b")});
    // Of all ways to take one of each, as many as fit are made: 90,000 would be 180 MB, twice.
    let mut groups = Groups::new(paths.into(), Vec::new(), 1 << 20);
    assert!(matches!(groups.alternatives(&document), Err(AggregateError::TooMany { .. })));
    assert!(groups.push(&document).is_err());
    assert!(groups.push(&json!({"a": ["x", "y"], "b": [1, 2]})).is_ok());
}

#[test]
fn identities_of_floats_and_whole_numbers_agree() {
    for number in [0.0, -0.0, 1.0, -9_223_372_036_854_775_808.0, 18_446_744_073_709_549_568.0] {
        let (mut float, mut whole) = (Vec::new(), Vec::new());
        put_identity(&mut float, ValueRef::Float(number));
        put_identity(&mut whole, ValueRef::Integer(whole_of(number).unwrap()));
        assert_eq!(float, whole);
    }
}

#[test]
fn decimal_numbers_are_added_as_such() {
    let path = Path::field("price");
    let types: TextTypes = [("price", TextType::Decimal), ("at", TextType::Timestamp)].into_iter().collect();
    let add = |path: &Path, documents: &[Value]| {
        let terms = [Function::Sum { is_whole: false }, Function::Average, Function::Min].map(|of| term(of, path));
        let mut groups = Groups::typed(Vec::new(), terms.into(), types.clone(), PLENTY);
        for document in documents {
            groups.push(&Typed { document, types: &types }).map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(groups.finish().next().unwrap().1)
    };
    let prices = |prices: &[Value]| prices.iter().map(|price| json!({"price": price})).collect::<Vec<_>>();
    let sums =
        |documents: &[Value]| add(&path, documents).map(|totals| totals.into_iter().map(Total::into_value).collect());
    assert_eq!(sums(&[]), Ok(vec![json!("0"), Value::Null, Value::Null]));
    let mixed = prices(&[json!("0.10"), json!(0.2), json!("-1"), json!(null), json!(3)]);
    assert_eq!(sums(&mixed), Ok(vec![json!("2.3"), json!(0.575), json!("-1")]));
    let most = "79228162514264337593543950335";
    let large = prices(&[json!(most), json!(most), json!("0.0000000000000000000000000001")]);
    assert_eq!(sums(&large).unwrap()[0], json!("158456325028528675187087900670.0000000000000000000000000001"));
    for (odd, shown) in
        [(json!("much"), "\"much\""), (json!(""), "\"\""), (json!(1e300), "1e+300"), (json!([1]), "[1]")]
    {
        let error = sums(&prices(&[odd])).unwrap_err();
        assert_eq!(error, format!("field price is {shown}, and sum takes decimal numbers only"));
    }
    let error = add(&Path::field("at"), &[json!({"at": "2026-01-01T01:00:00+01:00"})]).unwrap_err();
    assert_eq!(error, "field at is \"2026-01-01T00:00:00Z\", and sum takes numbers only");
}
