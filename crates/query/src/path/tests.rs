use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::text::strategies::{any_document, any_path};

fn get(path: &str, document: &Value) -> Vec<Value> {
    path.parse::<Path>().unwrap().get(document).cloned().collect()
}

#[test]
fn leads_to_fields_elements_and_every_element() {
    let document = json!({
        "a": {"b": 1, "c d": 2, "x": null}, "a.b": 3,
        "list": [10, 20, 30], "nested": [[1, 2], [], [3]], "rows": [{"n": 1}, {"m": 2}, {"n": [3, 4]}],
    });
    assert_eq!(get("a.b", &document), [json!(1)]);
    assert_eq!(get(r#"a."c d""#, &document), [json!(2)]);
    assert_eq!(get(r#""a.b""#, &document), [json!(3)]);
    assert_eq!(get(r#""\u0061".b"#, &document), [json!(1)]);
    assert_eq!(get("a.x", &document), [Value::Null]);
    assert_eq!(get("list[0]", &document), [json!(10)]);
    assert_eq!(get("list[2]", &document), [json!(30)]);
    assert_eq!(get("list[*]", &document), [json!(10), json!(20), json!(30)]);
    assert_eq!(get("nested[*][*]", &document), [json!(1), json!(2), json!(3)]);
    assert_eq!(get("nested[*][0]", &document), [json!(1), json!(3)]);
    assert_eq!(get("rows[*].n", &document), [json!(1), json!([3, 4])]);
    assert_eq!(get("rows[*].n[*]", &document), [json!(3), json!(4)]);
    for nowhere in ["none", "a.none", "a.b.c", "a.x.y", "list[3]", "list.n", "rows.n", "a[0]", "a[*]", "a.b[*]"] {
        assert_eq!(get(nowhere, &document), [Value::Null; 0], "{nowhere}");
    }
}

#[test]
fn names_stand_bare_where_they_can() {
    for (name, text) in [
        ("name", "name"),
        ("_a$1-b", "_a$1-b"),
        ("größe", "größe"),
        ("日本", "日本"),
        ("", r#""""#),
        ("1st", r#""1st""#),
        ("-a", r#""-a""#),
        ("a b", r#""a b""#),
        ("a.b", r#""a.b""#),
        ("a\"\\\n", r#""a\"\\\n""#),
        ("a\u{a0}b", "\"a\u{a0}b\""),
        ("“a”", "\"“a”\""),
        ("Not", r#""Not""#),
    ] {
        assert_eq!(Path::field(name).to_string(), text);
        assert_eq!(text.parse::<Path>().unwrap(), Path::field(name));
    }
    assert_eq!(Path::field("a").then_field("not").then_index(3).then_any_element().to_string(), "a.not[3][*]");
}

#[test]
fn says_what_is_wrong_with_a_path() {
    for (text, column, part) in [
        ("", 1, "expected the name of a field"),
        ("a.", 3, "expected the name of a field"),
        ("a..b", 3, "expected the name of a field"),
        (".a", 1, "expected the name of a field"),
        ("1a", 1, "expected the name of a field"),
        ("[0]", 1, "expected the name of a field"),
        ("a[", 3, "expected an index"),
        ("a[x]", 3, "expected an index"),
        ("a[-1]", 3, "expected an index"),
        ("a[1", 4, "expected ] behind the index"),
        ("a[4294967296]", 12, "the index is too large"),
        ("a[99999999999]", 12, "the index is too large"),
        ("\"a", 1, "a quote is never closed"),
        (r#""a\q""#, 3, "unknown escape"),
        (r#""\ud800""#, 2, "unknown escape"),
        (r#"ü."\u12g4""#, 4, "unknown escape"),
        ("a b", 3, "end of the path"),
        ("a\u{200b}", 2, "end of the path"),
    ] {
        let error = text.parse::<Path>().expect_err(text);
        assert!(error.message().contains(part), "{text}: {error}");
        assert_eq!(error.column(), column, "{text}: {error}");
        assert!(!scan::is_path(text), "{text}");
    }
    assert!("a[4294967295]".parse::<Path>().is_ok());
}

proptest! {
    #[test]
    fn text_reads_back(path in any_path()) {
        let text = path.to_string();
        prop_assert!(scan::is_path(&text));
        prop_assert_eq!(text.parse::<Path>().unwrap(), path);
    }

    #[test]
    fn the_check_at_compile_time_agrees_with_reading(text in "([a\"\\\\.\\[\\]*0u]|\u{a0}|ß|日|.){0,8}") {
        let read = Path::scan(&text).ok().filter(|(_, len)| *len == text.len());
        prop_assert_eq!(scan::is_path(&text), read.is_some());
    }

    #[test]
    fn without_any_element_there_is_at_most_one_value(path in any_path(), document in any_document()) {
        prop_assert!(path.is_multiple() || path.get(&document).count() <= 1);
    }
}
