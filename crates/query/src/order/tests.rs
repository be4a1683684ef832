use std::cmp::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::text::strategies::{any_document, any_path};

fn order(text: &str) -> Order {
    text.parse().unwrap()
}

#[test]
fn terms_decide_one_after_the_other() {
    let (a, b) = (json!({"x": 1, "y": 2}), json!({"x": 1, "y": 3}));
    assert_eq!(order("x").compare(&a, &b), Ordering::Equal);
    assert_eq!(order("x, y").compare(&a, &b), Ordering::Less);
    assert_eq!(order("x, y desc").compare(&a, &b), Ordering::Greater);
    assert_eq!(order("y desc, x").compare(&a, &b), Ordering::Greater);
    assert_eq!(order("").compare(&a, &b), Ordering::Equal);
}

#[test]
fn descending_turns_round_missing_values_too() {
    let mut documents = [json!({"x": 1}), json!({}), json!({"x": "a"}), json!({"x": null})];
    documents.sort_by(|a, b| order("x").compare(a, b));
    assert_eq!(documents, [json!({}), json!({"x": null}), json!({"x": 1}), json!({"x": "a"})]);
    documents.sort_by(|a, b| order("x desc").compare(a, b));
    assert_eq!(documents, [json!({"x": "a"}), json!({"x": 1}), json!({"x": null}), json!({})]);
}

#[test]
fn of_several_values_the_one_nearest_the_front_counts() {
    let (a, b) = (json!({"l": [3, 1, 9]}), json!({"l": [2, 4]}));
    assert_eq!(order("l[*]").compare(&a, &b), Ordering::Less);
    assert_eq!(order("l[*] desc").compare(&a, &b), Ordering::Less);
    assert_eq!(order("l[*]").compare(&json!({"l": []}), &a), Ordering::Less);
}

#[test]
fn text() {
    assert_eq!(order(" population DESC , name asc,\n a.b[0] ").to_string(), "population desc, name, a.b[0]");
    assert_eq!(order("desc desc, asc").to_string(), "desc desc, asc");
    for (text, column, part) in [
        ("a,", 3, "expected the name of a field"),
        ("a b", 3, r#"expected "asc", "desc", "," or the end of the order, found 'b'"#),
        ("a descending", 3, "expected"),
        ("a desc desc", 8, "expected"),
    ] {
        let error = text.parse::<Order>().expect_err(text);
        assert_eq!(error.column(), column, "{error}");
        assert!(error.message().contains(part), "{error}");
    }
}

fn any_order() -> impl Strategy<Value = Order> {
    let term = (any_path(), any::<bool>()).prop_map(|(path, descending)| OrderTerm {
        path,
        direction: if descending { Direction::Descending } else { Direction::Ascending },
    });
    vec(term, 0..4).prop_map(Order::from_iter)
}

proptest! {
    #[test]
    fn text_reads_back(order in any_order()) {
        prop_assert_eq!(order.to_string().parse::<Order>().unwrap(), order);
    }

    #[test]
    fn every_order_is_total_antisymmetric_and_transitive(
        order in any_order(),
        documents in vec(any_document(), 3..5),
    ) {
        let mut sorted = documents;
        sorted.sort_by(|left, right| order.compare(left, right));
        for (index, left) in sorted.iter().enumerate() {
            prop_assert_eq!(order.compare(left, left), Ordering::Equal);
            for right in &sorted[index..] {
                prop_assert!(order.compare(left, right).is_le());
                prop_assert_eq!(order.compare(left, right), order.compare(right, left).reverse());
            }
        }
    }
}
