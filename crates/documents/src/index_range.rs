use std::ops::Bound;

use bucketdb_query::Direction;
use bytes::Bytes;
use serde_json::Value;

use crate::Index;
use crate::index_value::{CODES_OF_NULL, CODES_OF_VALUES, LARGE_LIST, codes_of_type, put_text_prefix, put_value};
use crate::read_set::is_empty_range;

/// What is asked of one field of an index, with values as its [`types`](Index::types) make them comparable. Where values are
/// too long to be held whole, a range has more than what was asked for, never less: whoever reads looks at the documents
/// too.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexCondition {
    /// It equals this; `None`: it is missing.
    Equal(Option<Value>),
    /// It is of the type of the bounds, and between them. At least one is there.
    Between {
        /// The least that it may be.
        low: Bound<Value>,
        /// The most that it may be.
        high: Bound<Value>,
    },
    /// It is a text that begins so.
    StartsWith(String),
    /// It is missing or null.
    Null,
    /// It is neither missing nor null.
    NotNull,
}

/// A stretch of an index.
pub type IndexRange = (Bound<Bytes>, Bound<Bytes>);

impl Index {
    /// Where the documents lie that fulfil these conditions, one for each field of the index from the first on; all but the
    /// last are [`IndexCondition::Equal`]. `None` if none can.
    #[must_use]
    pub fn range(&self, conditions: &[IndexCondition]) -> Option<IndexRange> {
        let mut prefix = Vec::new();
        let mut terms = self.order.terms().iter();
        for condition in conditions {
            let term = terms.next()?;
            let is_descending = term.direction == Direction::Descending;
            let value = |value: Option<&Value>| {
                let mut bytes = prefix.clone();
                let is_cut = put_value(&mut bytes, value, is_descending);
                (bytes, is_cut)
            };
            match condition {
                IndexCondition::Equal(equal) => prefix = value(equal.as_ref()).0,
                // Values are not in the order of their texts.
                IndexCondition::StartsWith(_) if self.types.of_path(&term.path).is_some() => {
                    return between_codes(&prefix, codes_of_type(&Value::String(String::new())), is_descending);
                }
                IndexCondition::StartsWith(text) => {
                    put_text_prefix(&mut prefix, text, is_descending);
                }
                IndexCondition::NotNull => return between_codes(&prefix, CODES_OF_VALUES, is_descending),
                IndexCondition::Null => return between_codes(&prefix, CODES_OF_NULL, is_descending),
                IndexCondition::Between { low, high } => {
                    let ((Bound::Included(any) | Bound::Excluded(any), _)
                    | (Bound::Unbounded, Bound::Included(any) | Bound::Excluded(any))) = (low, high)
                    else {
                        return None;
                    };
                    let of_type = between_codes(&prefix, codes_of_type(any), is_descending)?;
                    let (first, last) = if is_descending { (high, low) } else { (low, high) };
                    let start = match first {
                        Bound::Unbounded => of_type.0,
                        Bound::Included(first) => Bound::Included(value(Some(first)).0.into()),
                        Bound::Excluded(first) => match value(Some(first)) {
                            (bytes, true) => Bound::Included(bytes.into()),
                            (bytes, false) => Bound::Included(behind(bytes)?),
                        },
                    };
                    let end = match last {
                        Bound::Unbounded => of_type.1,
                        Bound::Included(last) => end_behind(value(Some(last)).0),
                        Bound::Excluded(last) => match value(Some(last)) {
                            (bytes, true) => end_behind(bytes),
                            (bytes, false) => Bound::Excluded(bytes.into()),
                        },
                    };
                    let is_empty = is_empty_range((start.as_ref(), end.as_ref()));
                    return (!is_empty).then_some((start, end));
                }
            }
        }
        Some((Bound::Included(prefix.clone().into()), end_behind(prefix)))
    }
}

impl Index {
    /// Where the documents lie that have lists of too many elements to hold each: they are to be looked at whatever is asked.
    #[must_use]
    pub fn range_of_large_lists() -> IndexRange {
        Self::range_of_values(&[LARGE_LIST])
    }

    /// Where the documents lie that have exactly these values.
    #[must_use]
    pub fn range_of_values(values: &[u8]) -> IndexRange {
        (Bound::Included(values.to_vec().into()), end_behind(values.to_vec()))
    }
}

fn between_codes(prefix: &[u8], (from, below): (u8, u8), is_descending: bool) -> Option<IndexRange> {
    let (first, last) = if is_descending { (!(below - 1), !from) } else { (from, below - 1) };
    let code = |code: u8| [prefix, &[code]].concat();
    Some((Bound::Included(code(first).into()), end_behind(code(last))))
}

/// The first bytes behind all that begin so; `None` if there are none.
pub(crate) fn behind(mut prefix: Vec<u8>) -> Option<Bytes> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix.into());
        }
    }
    None
}

fn end_behind(prefix: Vec<u8>) -> Bound<Bytes> {
    behind(prefix).map_or(Bound::Unbounded, Bound::Excluded)
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use bucketdb_query::{Filter, Path, TextType, TextTypes, Typed};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{EncodedKey, IndexDefinition, IndexEntry, IndexId, KeyPart};

    fn index(fields: &str) -> Index {
        let order = IndexDefinition { fields: fields.to_owned(), is_unique: false }.order("t").unwrap();
        Index { id: IndexId(1), order, is_unique: false, types: TextTypes::default() }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3_i64..4).prop_map(Value::from),
            (-3_i64..4).prop_map(|number| Value::from(number as f64 / 2.0)),
            "[a\\x00\u{ff}]{0,3}".prop_map(Value::from),
            Just(json!("a".repeat(2_000))),
            Just(json!("a".repeat(2_001))),
            Just(json!([1, 2])),
        ]
    }

    fn any_bound() -> impl Strategy<Value = Bound<Value>> {
        prop_oneof![
            Just(Bound::Unbounded),
            any_value().prop_map(Bound::Included),
            any_value().prop_map(Bound::Excluded),
        ]
    }

    fn any_condition() -> impl Strategy<Value = IndexCondition> {
        prop_oneof![
            any_value().prop_map(|value| IndexCondition::Equal(Some(value))),
            Just(IndexCondition::Equal(None)),
            (any_bound(), any_bound()).prop_map(|(low, high)| IndexCondition::Between { low, high }),
            "[a\\x00]{0,2}".prop_map(IndexCondition::StartsWith),
            Just(IndexCondition::Null),
            Just(IndexCondition::NotNull),
        ]
    }

    fn filter(path: &str, condition: &IndexCondition) -> Filter {
        let path = || -> Path { path.parse().unwrap() };
        match condition {
            IndexCondition::Equal(None) => Filter::exists(path()).not(),
            IndexCondition::Equal(Some(value)) => Filter::eq(path(), value.clone()),
            IndexCondition::StartsWith(prefix) => Filter::starts_with(path(), prefix.clone()),
            IndexCondition::Null => Filter::is_null(path()),
            IndexCondition::NotNull => Filter::is_null(path()).not(),
            IndexCondition::Between { low, high } => {
                let low = match low {
                    Bound::Unbounded => Filter::all(),
                    Bound::Included(low) => Filter::ge(path(), low.clone()),
                    Bound::Excluded(low) => Filter::gt(path(), low.clone()),
                };
                low.and(match high {
                    Bound::Unbounded => Filter::all(),
                    Bound::Included(high) => Filter::le(path(), high.clone()),
                    Bound::Excluded(high) => Filter::lt(path(), high.clone()),
                })
            }
        }
    }

    /// Texts of which some stand for the same, and texts and numbers that stand for nothing.
    fn any_standing() -> impl Strategy<Value = Value> {
        let texts = [
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00+01:00",
            "2026-01-01T00:00:00.5Z",
            "2026-01-01",
            "2026-01-02",
            "-000001-01-01",
            "1.1",
            "1.10",
            "-2",
            "-2.5",
            "10",
            "9",
            "",
            "\0",
            "2",
            "x",
        ];
        prop_oneof![
            4 => prop::sample::select(texts.to_vec()).prop_map(Value::from),
            1 => prop::sample::select(vec![json!(1.1), json!(10), json!(1e300), Value::Null]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn a_range_of_what_texts_stand_for_has_what_its_conditions_accept(
            document in (any_standing(), any_standing()), wanted in any_standing(), same in any::<bool>(),
            bounds in (any_standing(), any_standing(), 0..4), begins in "(2|2026-01-01T0|1[.]1|-)?", kind in 0..4,
            types in (0..4usize, 0..4usize), descends in any::<bool>(),
        ) {
            let all = [TextType::Uuid, TextType::Timestamp, TextType::Date, TextType::Decimal];
            let types: TextTypes = [("a", all[types.0]), ("b", all[types.1])].into_iter().collect();
            let index = Index { types: types.clone(), ..index(if descends { "a, b desc" } else { "a desc, b" }) };
            let wanted = if same { document.0.clone() } else { wanted };
            let document = json!({"a": document.0, "b": document.1});
            let condition = match kind {
                0 => IndexCondition::Equal(Some(bounds.0)),
                1 => IndexCondition::StartsWith(begins),
                _ => {
                    let bound = |value, open| if open { Bound::Excluded(value) } else { Bound::Included(value) };
                    let (low, high) = (bound(bounds.0, bounds.2 & 1 == 1), bound(bounds.1, bounds.2 & 2 == 2));
                    IndexCondition::Between { low, high: if kind == 2 { high } else { Bound::Unbounded } }
                }
            };
            let whole = filter("a", &IndexCondition::Equal(Some(wanted.clone()))).and(filter("b", &condition));
            let Ok(is_wanted) = whole.clone().comparable(&types).matches_in(&Typed { document: &document, types: &types });
            // What the index is asked for comes out of the comparable filter.
            let comparable = |path: &str, value: &Value| {
                let filter = Filter::eq(path.parse().unwrap(), value.clone()).comparable(&types);
                let bucketdb_query::Expression::Compare { value, .. } = filter.expression() else { unreachable!() };
                value.clone()
            };
            let condition = match condition {
                IndexCondition::Equal(value) => IndexCondition::Equal(value.map(|value| comparable("b", &value))),
                IndexCondition::Between { low, high } => IndexCondition::Between {
                    low: low.map(|value| comparable("b", &value)),
                    high: high.map(|value| comparable("b", &value)),
                },
                other => other,
            };
            if let IndexCondition::Between { low: Bound::Included(low) | Bound::Excluded(low), high } = &condition
                && let Bound::Included(high) | Bound::Excluded(high) = high
            {
                prop_assume!(codes_of_type(low) == codes_of_type(high));
            }
            let is_exact = !matches!(condition, IndexCondition::StartsWith(_));
            let key = EncodedKey::new(&[KeyPart::Integer(1)]).unwrap();
            let values = index.values(&document).into_iter().next().unwrap();
            let entry = IndexEntry::new(&values.bytes, &key);
            let range = index.range(&[IndexCondition::Equal(Some(comparable("a", &wanted))), condition]);
            let is_there = range.is_some_and(|range| range.contains(&entry.bytes));
            prop_assert!(if is_exact { is_there == is_wanted } else { is_there || !is_wanted }, "{whole} on {document}");
        }

        #[test]
        fn a_range_has_what_its_conditions_accept(
            first in prop::option::of(any_value()), second in any_value(), key in 0_i128..300,
            wanted_first in prop::option::of(any_value()), condition in any_condition(),
            descends in any::<bool>(), same in any::<bool>(),
        ) {
            if let IndexCondition::Between { low, high } = &condition {
                let value = |bound: &Bound<Value>| match bound {
                    Bound::Included(value) | Bound::Excluded(value) => Some(value.clone()),
                    Bound::Unbounded => None,
                };
                let bounds = [value(low), value(high)];
                let codes: Vec<_> = bounds.iter().flatten().map(codes_of_type).collect();
                // Bounds of different types, or none, are not for here: who plans a query knows that nothing fulfils them.
                prop_assume!(!codes.is_empty() && codes.iter().all(|other| Some(other) == codes.first()));
            }
            let index = index(if descends { "a, b desc" } else { "a desc, b" });
            let mut document = json!({"b": second});
            if let Some(first) = &first {
                document["a"] = first.clone();
            }
            let wanted_first = IndexCondition::Equal(if same { first.clone() } else { wanted_first });
            let is_wanted = filter("a", &wanted_first).and(filter("b", &condition)).matches(&document);
            let key = EncodedKey::new(&[KeyPart::Integer(key)]).unwrap();
            let values = index.values(&document).into_iter().next().unwrap();
            let entry = IndexEntry::new(&values.bytes, &key);
            let range = index.range(&[wanted_first, condition.clone()]);
            let is_there = range.is_some_and(|range| range.contains(&entry.bytes));
            if values.is_cut {
                prop_assert!(is_there || !is_wanted);
            } else {
                prop_assert_eq!(is_there, is_wanted);
            }
        }
    }
}
