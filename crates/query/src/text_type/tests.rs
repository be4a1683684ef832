use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Filter, Reach, compare};

const TYPES: [TextType; 4] = [TextType::Uuid, TextType::Timestamp, TextType::Date, TextType::Decimal];

fn any_decimal() -> impl Strategy<Value = Decimal> {
    let magnitude = prop_oneof![
        0..200u128,
        any::<u64>().prop_map(u128::from),
        (any::<u128>(), 32..128u32).prop_map(|(number, shift)| number >> shift),
        (0..29u32, -1..2i128).prop_map(|(power, off)| (10i128.pow(power) + off).unsigned_abs()),
        Just((1 << 96) - 1),
    ];
    (any::<bool>(), magnitude, 0..29u8)
        .prop_map(|(sign, magnitude, scale)| Decimal::new(sign, magnitude, scale).unwrap())
}

/// Moments near each other and at both ends of what there is.
fn any_seconds() -> impl Strategy<Value = i64> {
    let year = 31_556_952i64;
    prop_oneof![
        -3..3i64,
        -1_000_000 * year..998_000 * year,
        (-400..400i64).prop_map(|days| days * 86_400 - 1),
        Just(253_402_300_800 - 1),
        Just(253_402_300_800),
        Just(-62_167_219_200),
        Just(-62_167_219_201),
    ]
}

fn any_text_value() -> impl Strategy<Value = TextValue> {
    let nanos = prop_oneof![Just(0u32), 0..1_000_000_000u32, Just(999_999_999), Just(500_000_000), Just(1)];
    prop_oneof![
        any::<[u8; 16]>().prop_map(TextValue::Uuid),
        (any_seconds(), nanos).prop_map(|(seconds, nanos)| TextValue::Timestamp { seconds, nanos }),
        prop_oneof![-800..800i32, -300_000_000..300_000_000i32].prop_map(TextValue::Date),
        any_decimal().prop_map(TextValue::Decimal),
    ]
}

/// What two decimal numbers are, whole and fraction of 28 digits.
fn exact(number: Decimal) -> (bool, u128, u128) {
    let (magnitude, unit) = (number.magnitude(), 10u128.pow(number.scale.into()));
    let fraction = magnitude % unit * 10u128.pow(28 - u32::from(number.scale));
    (number.is_negative && magnitude > 0, magnitude / unit, fraction)
}

fn exact_order(left: Decimal, right: Decimal) -> Ordering {
    match (exact(left), exact(right)) {
        ((true, ..), (false, ..)) => Ordering::Less,
        ((false, ..), (true, ..)) => Ordering::Greater,
        ((true, whole, fraction), (true, other_whole, other_fraction)) => {
            (other_whole, other_fraction).cmp(&(whole, fraction))
        }
        (left, right) => left.cmp(&right),
    }
}

/// Texts of values, some of them written in other ways, and texts of none.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any_text_value().prop_map(|value| value.text().to_string()),
        1 => any_text_value().prop_map(|value| value.text().to_uppercase()),
        1 => any::<[u8; 16]>().prop_map(|bytes| TextValue::Uuid(bytes).text().replace('-', "")),
        1 => (0..24u32, -12..12i32).prop_map(|(hour, offset)| {
            format!("2026-01-01T{hour:02}:30:00.500{}{:02}:00", if offset < 0 { '-' } else { '+' }, offset.abs())
        }),
        1 => "[-+]?[0-9]{0,4}[.]?[0-9]{0,3}",
        1 => "\\PC{0,8}",
        1 => "[\\x00\\x7f0-9]{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_written_reads_back(value in any_text_value()) {
        let (text, text_type) = (value.text(), value.text_type());
        let read = text_type.parse(&text).unwrap();
        prop_assert_eq!(read, value);
        prop_assert_eq!(&*read.text(), &*text);
        let stored = value.to_stored();
        let stored = &stored[..text_type.stored_bytes()];
        let read = TextValue::from_stored(text_type, stored).unwrap();
        prop_assert_eq!(&*read.text(), &*text);
        for other in TYPES {
            if let Some(other) = other.parse(&text) {
                prop_assert_eq!(other.text_type() == text_type, other.text_type() == value.text_type());
            }
        }
    }

    #[test]
    fn keys_compare_as_values_do(left in any_text_value(), right in any_text_value(), near in any::<bool>()) {
        let right = match (left, near) {
            (TextValue::Decimal(number), true) => {
                let zeros = 10u128.pow(u32::from(28 - number.scale).min(3));
                Decimal::new(number.is_negative, number.magnitude().saturating_mul(zeros), number.scale + zeros.ilog10() as u8)
                    .map_or(right, TextValue::Decimal)
            }
            (TextValue::Timestamp { seconds, nanos }, true) => TextValue::Timestamp { seconds, nanos: nanos ^ 1 },
            _ => right,
        };
        if left.text_type() == right.text_type() {
            let order = left.key().cmp(&right.key());
            prop_assert_eq!(order, left.cmp(&right));
            let expected = match (left, right) {
                (TextValue::Uuid(left), TextValue::Uuid(right)) => left.cmp(&right),
                (TextValue::Timestamp { seconds, nanos }, TextValue::Timestamp { seconds: s, nanos: n }) => {
                    (seconds, nanos).cmp(&(s, n))
                }
                (TextValue::Date(left), TextValue::Date(right)) => left.cmp(&right),
                (TextValue::Decimal(left), TextValue::Decimal(right)) => exact_order(left, right),
                _ => order,
            };
            prop_assert_eq!(order, expected);
        }
    }

    #[test]
    fn what_is_comparable_can_be_shown(value in any_text_value(), text in any_text()) {
        let text_type = value.text_type();
        let shown = TextValue::from_key(text_type, &value.key()).unwrap();
        prop_assert_eq!(shown, value);
        let once = text_type.shown(text_type.comparable(json!(text)));
        prop_assert_eq!(text_type.comparable(once.clone()), text_type.comparable(json!(text)));
        prop_assert_eq!(text_type.shown(text_type.comparable(once.clone())), once.clone());
        if text_type.parse(&text).is_none() {
            prop_assert_eq!(once, json!(text));
        }
        if let (TextValue::Decimal(number), TextValue::Decimal(shown)) = (value, shown) {
            prop_assert!(shown.scale <= number.scale && (shown.scale == 0 || shown.magnitude() % 10 != 0));
        }
    }

    #[test]
    fn every_text_has_one_place_in_a_field(texts in prop::collection::vec(any_text(), 2)) {
        for text_type in TYPES {
            let keys: Vec<_> = texts.iter().map(|text| text_type.comparable_text(text)).collect();
            let values: Vec<_> = texts.iter().map(|text| text_type.parse(text)).collect();
            let expected = match (values[0], values[1]) {
                (Some(left), Some(right)) => left.cmp(&right),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => texts[0].cmp(&texts[1]),
            };
            prop_assert_eq!(keys[0].cmp(&keys[1]), expected, "{:?}", texts);
        }
    }

    #[test]
    fn a_comparable_filter_says_of_a_document_what_its_values_say(text in any_text(), asked in any_text(), number: i32) {
        for text_type in TYPES {
            let types: TextTypes = [("a", text_type)].into_iter().collect();
            for document in [json!({"a": text}), json!({"a": number}), json!({"b": text}), json!({"a": null})] {
                let typed = Typed { document: &document, types: &types };
                for asked in [json!(asked), json!(number), json!(null)] {
                    let own = document.get("a").map(|value| text_type.comparable(value.clone()));
                    let other = text_type.asked(asked.clone());
                    let order = own.as_ref().map(|own| compare(Some(own), Some(&other)));
                    let is_same_type = own.as_ref().is_some_and(|own| {
                        std::mem::discriminant(own) == std::mem::discriminant(&other)
                    });
                    for (filter, expected) in [
                        (Filter::eq("a".parse().unwrap(), asked.clone()), order == Some(Ordering::Equal)),
                        (Filter::lt("a".parse().unwrap(), asked.clone()), is_same_type && order == Some(Ordering::Less)),
                        (Filter::is_in("a".parse().unwrap(), [asked.clone()]), order == Some(Ordering::Equal)),
                    ] {
                        let Ok(holds) = filter.clone().comparable(&types).matches_in(&typed);
                        prop_assert_eq!(holds, expected, "{} of {}", filter, document);
                    }
                }
            }
        }
    }

    #[test]
    fn no_bytes_are_a_value_that_does_not_read(bytes in any::<[u8; 16]>(), text in any_text()) {
        for text_type in TYPES {
            if let Some(value) = TextValue::from_stored(text_type, &bytes) {
                prop_assert_eq!(text_type.parse(&value.text()), Some(value));
            }
            prop_assert!(TextValue::from_stored(text_type, &bytes[..text_type.stored_bytes() - 1]).is_none());
            let _ = text_type.parse(&text);
        }
    }
}

#[test]
fn the_calendar_is_right_day_by_day() {
    // From the first of March 1599 on, counted by hand.
    let (mut year, mut month, mut day) = (1599, 3, 1);
    let first = TextType::Date.parse("1599-03-01").unwrap();
    let TextValue::Date(first) = first else { panic!("{first} is no date") };
    for days in first..first + 300_000 {
        assert_eq!(&*TextValue::Date(days).text(), format!("{year:04}-{month:02}-{day:02}"));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
        day += 1;
        if day > last {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    assert_eq!(TextType::Date.parse("1970-01-01"), Some(TextValue::Date(0)));
}

#[test]
fn texts_have_one_form_in_the_end() {
    let text = |text_type: TextType, text: &str| text_type.parse(text).map(|value| value.text().to_string());
    for (text_type, written, expected) in [
        (TextType::Uuid, "67E55044-10B1-426F-9247-BB680E5FE0C8", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
        (TextType::Uuid, "67e5504410b1426f9247bb680e5fe0c8", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
        (TextType::Uuid, "{67e55044-10b1-426f-9247-bb680e5fe0c8}", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
        (TextType::Uuid, "urn:uuid:67e55044-10b1-426f-9247-bb680e5fe0c8", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
        (TextType::Timestamp, "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00Z"),
        (TextType::Timestamp, "2026-01-01t01:30:00.120+01:30", "2026-01-01T00:00:00.12Z"),
        (TextType::Timestamp, "2026-01-01 23:00:00-02:00", "2026-01-02T01:00:00Z"),
        (TextType::Timestamp, "0000-01-01T00:00:00+00:01", "-000001-12-31T23:59:00Z"),
        (TextType::Timestamp, "9999-12-31T23:59:59.999999999-23:59", "+010000-01-01T23:58:59.999999999Z"),
        (TextType::Timestamp, "-009999-01-02T01:59:59Z", "-009999-01-02T01:59:59Z"),
        (TextType::Date, "2024-02-29", "2024-02-29"),
        (TextType::Date, "-000001-12-31", "-000001-12-31"),
        (TextType::Date, "+002026-01-01", "2026-01-01"),
        (TextType::Date, "-0001-12-31", "-000001-12-31"),
        (TextType::Date, "+12345-01-01", "+012345-01-01"),
        (TextType::Decimal, "1.10", "1.10"),
        (TextType::Decimal, "-0.00", "-0.00"),
        (TextType::Decimal, "79228162514264337593543950335", "79228162514264337593543950335"),
        (TextType::Decimal, "0.0000000000000000000000000001", "0.0000000000000000000000000001"),
    ] {
        assert_eq!(text(text_type, written).as_deref(), Some(expected), "{written}");
        assert_eq!(text(text_type, expected).as_deref(), Some(expected));
    }
    for (text_type, written) in [
        (TextType::Uuid, "67e55044-10b1-426f-9247bb680e5fe0c8-"),
        (TextType::Uuid, "67e55044-10b1-426f-9247-bb680e5fe0cé"),
        (TextType::Timestamp, "2026-01-01"),
        (TextType::Timestamp, "2026-01-01T00:00:00"),
        (TextType::Timestamp, "2026-01-01T24:00:00Z"),
        (TextType::Timestamp, "2026-12-31T23:59:60Z"),
        (TextType::Timestamp, "2026-01-01T00:00:00.Z"),
        (TextType::Timestamp, "2026-01-01T00:00:00.1234567890Z"),
        (TextType::Timestamp, "2026-01-01T00:00:00Z[UTC]"),
        (TextType::Date, "2023-02-29"),
        (TextType::Date, "2026-13-01"),
        (TextType::Date, "2026-00-10"),
        (TextType::Date, "2026-1-01"),
        (TextType::Date, "12026-01-01"),
        (TextType::Date, "-044-01-01"),
        (TextType::Date, "+1234567-01-01"),
        (TextType::Decimal, ""),
        (TextType::Decimal, "-"),
        (TextType::Decimal, "01"),
        (TextType::Decimal, "1."),
        (TextType::Decimal, ".5"),
        (TextType::Decimal, "+1"),
        (TextType::Decimal, "1e3"),
        (TextType::Decimal, "79228162514264337593543950336"),
        (TextType::Decimal, "0.00000000000000000000000000001"),
    ] {
        assert_eq!(text(text_type, written), None, "{written}");
    }
}

#[test]
fn numbers_and_days_stand_for_what_is_meant() {
    let decimals: TextTypes = [("price", TextType::Decimal)].into_iter().collect();
    let holds = |filter: &str, document: Value, types: &TextTypes| {
        let filter = filter.parse::<Filter>().unwrap().comparable(types);
        let Ok(holds) = filter.matches_in(&Typed { document: &document, types });
        holds
    };
    assert!(holds("price = 1.1", json!({"price": "1.10"}), &decimals));
    assert!(holds(r#"price between "1.09" and 1.11"#, json!({"price": "1.1"}), &decimals));
    assert!(holds("price > 9", json!({"price": "10"}), &decimals));
    assert!(holds(r#"price > "9""#, json!({"price": 10}), &decimals));
    assert!(holds("price < 0.0000001", json!({"price": 1e-8}), &decimals));
    assert!(holds("price < 0", json!({"price": "-0.01"}), &decimals));
    assert!(holds("price >= 1e300", json!({"price": 1e300}), &decimals));
    assert!(holds(r#"price starts with "1.1""#, json!({"price": "1.10"}), &decimals));
    let times: TextTypes = [("at", TextType::Timestamp)].into_iter().collect();
    assert!(holds(r#"at >= "2026-01-01""#, json!({"at": "2026-01-01T00:00:00Z"}), &times));
    assert!(!holds(r#"at >= "2026-01-01""#, json!({"at": "2026-01-01T00:59:59+01:00"}), &times));
    assert!(holds(r#"at > "2026-01-01T00:00:00Z""#, json!({"at": "2026-01-01T00:00:00.000000001Z"}), &times));
    assert!(holds(r#"at = "soon""#, json!({"at": "soon"}), &times));
    let Ok(found) = json!({"at": "x"}).any_comparable(&"at".parse().unwrap(), |_| true);
    assert!(found);
}
