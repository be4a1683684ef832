use proptest::prelude::*;
use serde_json::json;

use super::quoted::{quote, quoted_len, unquote};
use super::strategies::{any_filter, any_name};
use crate::{Filter, Order, ParseError, Path, Selection};

fn filter(text: &str) -> Filter {
    text.parse().unwrap_or_else(|error: ParseError| panic!("{error}"))
}

#[test]
fn one_meaning_written_in_many_ways() {
    for (text, plain) in [
        ("  age>=18 ", "age >= 18"),
        ("age>=-1.5e3", "age >= -1500.0"),
        ("a = 'it\\'s' AND b Is Not NULL", r#"a = "it's" and not b is null"#),
        ("not (not a)", "a = true"),
        ("((a))", "a = true"),
        ("a not between 1 and 2 and b", "not a between 1 and 2 and b = true"),
        ("a or b and c", "a = true or b = true and c = true"),
        ("(a or b) and c", "(a = true or b = true) and c = true"),
        ("not a = 1 and b = 2", "not a = 1 and b = 2"),
        ("not (a = 1 and b = 2)", "not (a = 1 and b = 2)"),
        ("a != 1", "not a = 1"),
        ("a in[1,'x',null,[true],{}]", r#"a in [1, "x", null, [true], {}]"#),
        ("tags[*] STARTS  WITH \"x\"", r#"tags[*] starts with "x""#),
        ("true and a exists", "a exists"),
        ("a = 1 or true", "true"),
        ("not true", "false"),
        (r#""not" = 1"#, r#""not" = 1"#),
        ("in in [1]", "in in [1]"),
        ("exists exists", "exists exists"),
        ("a = \"\\u00e9\\ud83d\\ude00\\/\"", "a = \"é😀/\""),
        ("a\n=\t1", "a = 1"),
        ("notes = 1", "notes = 1"),
        ("true_name = 1", "true_name = 1"),
        ("not-a = 1 and not not-a", "not-a = 1 and not not-a = true"),
        ("or-b or TRUE$", "or-b = true or TRUE$ = true"),
        ("and😀 = 1", "and😀 = 1"),
    ] {
        assert_eq!(filter(text).to_string(), plain, "{text}");
    }
}

#[test]
fn says_where_a_filter_goes_wrong_and_what_was_expected() {
    for (text, column, part) in [
        ("", 1, "expected a condition, found the end"),
        (
            "age =~ 3",
            5,
            r#"unknown operator "=~" at column 5; known are = != < <= > >= in between starts with contains"#,
        ),
        ("age == 3", 5, r#"unknown operator "==""#),
        ("age like 3", 5, r#"unknown operator "like""#),
        ("age >= ", 8, "expected a value, found the end"),
        ("age >= eighteen", 8, "a text needs quotes around it"),
        ("age 18", 5, r#"unknown operator "18""#),
        ("age , 18", 5, "expected an operator, found ','"),
        ("age >= 18abc", 8, "18abc is no number"),
        ("age >= 01", 8, "01 is no number"),
        ("age >= 1e999", 8, "1e999 is out of range"),
        ("age >= -", 8, "- is no number"),
        ("age >= 18 role = 3", 11, r#"expected "and", "or" or the end of the filter, found 'r'"#),
        ("(age >= 18", 11, r#"expected "and", "or" or ")", found the end"#),
        ("age >= 18)", 10, "the end of the filter, found ')'"),
        ("()", 2, "expected a condition, found ')'"),
        ("age in 18", 8, "expected '[', found '1'"),
        ("age in [18", 11, r#"expected "," or "]", found the end"#),
        ("age in [18,", 12, "expected a value, found the end"),
        ("age in [18 19]", 12, r#"expected "," or "]", found '1'"#),
        ("name starts 'A'", 13, r#"expected "with""#),
        ("name starts with 3", 18, "expected a text in quotes, found '3'"),
        ("name is 3", 9, r#"expected "null", found '3'"#),
        ("n between 1 or 2", 13, r#"expected "and", found 'o'"#),
        ("name = 'A", 8, "a quote is never closed"),
        (r"name = 'A\x'", 10, "unknown escape"),
        ("a = {1: 2}", 6, "expected a text in quotes, found '1'"),
        ("a = {'b' 2}", 10, r#"expected ":", found '2'"#),
        ("and = 3", 1, "a field of such a name needs double quotes"),
        ("not = 3", 5, "expected the name of a field"),
        ("not", 4, "expected a condition, found the end"),
        ("a and", 6, "expected a condition, found the end"),
        ("größe = ß", 9, "expected a value, found 'ß'"),
        ("5 = a", 1, "expected the name of a field"),
        ("a = b", 5, "expected a value, found 'b'"),
        ("age\u{a0}>= “x”", 8, "expected a value, found '“'"),
    ] {
        let error = text.parse::<Filter>().expect_err(text);
        assert!(error.message().contains(part), "{text}: {error}");
        assert_eq!(error.column(), column, "{text}: {error}");
        assert_eq!(error.text(), text);
    }
}

#[test]
fn an_error_points_at_its_place() {
    let error = "größe = 1 and\tb ~ 2".parse::<Filter>().unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines[1], "  größe = 1 and b ~ 2");
    assert_eq!(lines[2].chars().count(), "  größe = 1 and b ~".chars().count());

    let long = format!("{}b ~ 2{}", "a = 1 and ".repeat(100), " and c = 1".repeat(100));
    let error = long.parse::<Filter>().unwrap_err();
    assert_eq!(error.column(), 1003);
    let shown = error.to_string();
    let lines: Vec<_> = shown.lines().collect();
    let mark = lines[2].chars().position(|character| character == '^').unwrap();
    assert_eq!(lines[1].chars().nth(mark), Some('~'));
    assert!(lines[1].chars().count() < 130);
}

#[test]
fn nesting_is_limited() {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth)).parse::<Filter>()
    };
    for depth in [65, 100_000] {
        for result in [
            nested("(", "a", ")", depth),
            nested("(", "", "", depth),
            nested("not ", "a", "", depth),
            format!("a = {}", "[".repeat(depth)).parse(),
            format!("a = {}", "{'a':".repeat(depth)).parse(),
        ] {
            let error = result.unwrap_err();
            assert!(error.message().starts_with("nested deeper than 64 levels at column"), "{}", error.message());
        }
    }
    assert!(nested("(", "a", ")", 64).is_ok());
    assert!(nested("not ", "a", "", 64).is_ok());
    assert!(format!("a = {}{}", "[".repeat(64), "]".repeat(64)).parse::<Filter>().is_ok());
    assert!(format!("a = 1{}", " and a = 1".repeat(10_000)).parse::<Filter>().is_ok(), "length is no depth");
}

#[test]
fn a_repeated_name_in_an_object_means_the_last() {
    assert!(filter("a = {'b': 1, 'b': 2}").matches(&json!({"a": {"b": 2}})));
}

/// Text that is often nearly right.
fn nearly_a_filter() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop_oneof![
            Just("a"),
            Just("and"),
            Just("or"),
            Just("not"),
            Just("("),
            Just(")"),
            Just("["),
            Just("]"),
            Just("{"),
            Just("}"),
            Just("="),
            Just("!="),
            Just("<"),
            Just("in"),
            Just("is"),
            Just("null"),
            Just("between"),
            Just("starts"),
            Just("with"),
            Just("contains"),
            Just("exists"),
            Just("1"),
            Just("-"),
            Just("."),
            Just("'x'"),
            Just("\""),
            Just("\\"),
            Just("\\u12"),
            Just(","),
            Just(":"),
            Just("*"),
            Just(" "),
            Just("true"),
        ]
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in prop_oneof![any::<String>(), nearly_a_filter()]) {
        let columns = text.chars().count() + 1;
        let errors = [
            text.parse::<Filter>().err(),
            text.parse::<Order>().err(),
            text.parse::<Selection>().err(),
            text.parse::<Path>().err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!((1..=columns).contains(&error.column()), "{}", error);
        }
    }

    #[test]
    fn a_filter_cut_short_never_panics(filter in any_filter(), cut in any::<prop::sample::Index>()) {
        let text = filter.to_string();
        let cut = text.floor_char_boundary(cut.index(text.len() + 1));
        if let Err(error) = text[..cut].parse::<Filter>() {
            prop_assert!(error.column() <= cut + 1);
        }
    }

    #[test]
    fn whatever_is_quoted_is_unquoted_again(text in any_name()) {
        let quoted = quote(&text);
        prop_assert_eq!(quoted_len(quoted.as_bytes()).unwrap(), quoted.len());
        prop_assert_eq!(unquote(&quoted), text);
    }
}
