//! What a query asks of a document: whether it is true, and the same for the library, as code, as columns and as text.

use std::cmp::Ordering;

use bucketdb::{AnyColumn, Column, Comparison, Filter, TypedFilter};
use serde_json::Value;

use super::draw::Draw;
use super::schema::Shape;
use super::values::{Meant, Spot, path_of, spot_text, values_at};

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Always,
    Never,
    Compare(Spot, Operator, Value),
    In(Spot, Vec<Value>),
    Between(Spot, Value, Value),
    StartsWith(Spot, String),
    Contains(Spot, Value),
    Exists(Spot),
    IsNull(Spot),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Condition {
    pub(crate) fn holds(&self, shape: &Shape, document: &Value) -> bool {
        let any = |spot: Spot, is_true: &dyn Fn(Meant<'_>) -> bool| {
            values_at(document, spot).into_iter().any(|value| is_true(Meant::of(value, shape.type_of(spot))))
        };
        let asked = |spot: Spot, value| Meant::asked(value, shape.type_of(spot));
        let compares = |spot: Spot, value, is_it: &dyn Fn(Ordering) -> bool| {
            let wanted = asked(spot, value);
            any(spot, &|found| found.is_of_type(&wanted) && is_it(found.order(&wanted)))
        };
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Compare(spot, operator, value) => match operator {
                Operator::Equal => compares(*spot, value, &Ordering::is_eq),
                Operator::NotEqual => !compares(*spot, value, &Ordering::is_eq),
                Operator::Less => compares(*spot, value, &Ordering::is_lt),
                Operator::LessOrEqual => compares(*spot, value, &Ordering::is_le),
                Operator::Greater => compares(*spot, value, &Ordering::is_gt),
                Operator::GreaterOrEqual => compares(*spot, value, &Ordering::is_ge),
            },
            Self::In(spot, values) => values.iter().any(|value| compares(*spot, value, &Ordering::is_eq)),
            Self::Between(spot, low, high) => {
                let (low, high) = (asked(*spot, low), asked(*spot, high));
                any(*spot, &|found| {
                    let is_above = found.is_of_type(&low) && found.order(&low).is_ge();
                    is_above && found.is_of_type(&high) && found.order(&high).is_le()
                })
            }
            Self::StartsWith(spot, prefix) => values_at(document, spot)
                .into_iter()
                .any(|value| value.as_str().is_some_and(|text| text.starts_with(prefix))),
            Self::Contains(spot, part) => values_at(document, spot).into_iter().any(|value| match (value, part) {
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                (Value::Array(elements), part) => {
                    let of = shape.type_of_elements(spot);
                    let wanted = Meant::asked(part, of);
                    elements.iter().any(|element| Meant::of(element, of).order(&wanted).is_eq())
                }
                _ => false,
            }),
            Self::Exists(spot) => !values_at(document, spot).is_empty(),
            Self::IsNull(spot) => values_at(document, spot).into_iter().all(Value::is_null),
            Self::Not(condition) => !condition.holds(shape, document),
            Self::And(conditions) => conditions.iter().all(|condition| condition.holds(shape, document)),
            Self::Or(conditions) => conditions.iter().any(|condition| condition.holds(shape, document)),
        }
    }

    /// As code without types makes it.
    pub(crate) fn filter(&self) -> Filter {
        match self {
            Self::Always => Filter::all(),
            Self::Never => Filter::none(),
            Self::Compare(spot, operator, value) => {
                let (path, value) = (path_of(spot), value.clone());
                match operator {
                    Operator::Equal => Filter::eq(path, value),
                    Operator::NotEqual => Filter::ne(path, value),
                    Operator::Less => Filter::lt(path, value),
                    Operator::LessOrEqual => Filter::le(path, value),
                    Operator::Greater => Filter::compare(path, Comparison::Greater, value),
                    Operator::GreaterOrEqual => Filter::ge(path, value),
                }
            }
            Self::In(spot, values) => Filter::is_in(path_of(spot), values.clone()),
            Self::Between(spot, low, high) => Filter::between(path_of(spot), low.clone(), high.clone()),
            Self::StartsWith(spot, prefix) => Filter::starts_with(path_of(spot), prefix.clone()),
            Self::Contains(spot, part) => Filter::contains(path_of(spot), part.clone()),
            Self::Exists(spot) => Filter::exists(path_of(spot)),
            Self::IsNull(spot) => Filter::is_null(path_of(spot)),
            Self::Not(condition) => condition.filter().not(),
            Self::And(conditions) => conditions.iter().map(Self::filter).fold(Filter::all(), Filter::and),
            Self::Or(conditions) => Filter::any_of(conditions.iter().map(Self::filter)),
        }
    }

    /// As columns make it, of the type that the value asked for has.
    pub(crate) fn typed(&self) -> TypedFilter<Value> {
        let any = |spot: &Spot| AnyColumn::from(path_of(spot));
        match self {
            Self::Always => Filter::all().into(),
            Self::Never => Filter::none().into(),
            Self::Compare(spot, operator, Value::String(text)) => {
                compared(&Column::<Value, Option<String>>::from(path_of(spot)), *operator, text.clone())
            }
            Self::Compare(spot, operator, Value::Bool(value)) => {
                compared(&Column::<Value, bool>::from(path_of(spot)), *operator, *value)
            }
            Self::Compare(spot, operator, value) => match (value.as_i64(), value.as_f64()) {
                (Some(value), _) => compared(&Column::<Value, i64>::from(path_of(spot)), *operator, value),
                (None, Some(float)) if value.is_f64() => {
                    compared(&Column::<Value, Option<f64>>::from(path_of(spot)), *operator, float)
                }
                _ => compared(&any(spot), *operator, value.clone()),
            },
            Self::In(spot, values) => any(spot).is_in(values.clone()),
            Self::Between(spot, low, high) => any(spot).between(low.clone(), high.clone()),
            Self::StartsWith(spot, prefix) => any(spot).starts_with(prefix.clone()),
            Self::Contains(spot, part) => any(spot).contains(part.clone()),
            Self::Exists(spot) => any(spot).exists(),
            Self::IsNull(spot) => any(spot).is_null(),
            Self::Not(condition) => match &**condition {
                Self::IsNull(spot) => any(spot).is_not_null(),
                condition => condition.typed().not(),
            },
            Self::And(conditions) => conditions.iter().map(Self::typed).fold(Filter::all().into(), TypedFilter::and),
            Self::Or(conditions) => conditions.iter().map(Self::typed).fold(Filter::none().into(), TypedFilter::or),
        }
    }

    /// As a person writes it, in one way of several.
    pub(crate) fn text(&self, draw: &mut Draw) -> String {
        let joined = |conditions: &[Self], word: &str, draw: &mut Draw| {
            let word = word_text(word, draw);
            // `or` binds less than `and`, so only it needs parentheses in the other.
            let part = |condition: &Self, draw: &mut Draw| match condition {
                Self::Or(_) => format!("({})", condition.text(draw)),
                _ => condition.text(draw),
            };
            let parts: Vec<String> = conditions.iter().map(|condition| part(condition, draw)).collect();
            parts.join(&format!(" {word} "))
        };
        match self {
            Self::And(conditions) if conditions.is_empty() => word_text("true", draw),
            Self::Or(conditions) if conditions.is_empty() => word_text("false", draw),
            Self::And(conditions) => joined(conditions, "and", draw),
            Self::Or(conditions) => joined(conditions, "or", draw),
            Self::Always => word_text("true", draw),
            Self::Never => word_text("false", draw),
            Self::Compare(spot, Operator::Equal, Value::Bool(true)) if draw.one_in(2) => spot_text(spot),
            Self::Not(condition) => match &**condition {
                Self::And(_) | Self::Or(_) => format!("{} ({})", word_text("not", draw), condition.text(draw)),
                Self::IsNull(spot) if draw.one_in(2) => {
                    format!("{} {}", spot_text(spot), word_text("is not null", draw))
                }
                inner => match inner.behind_spot(draw) {
                    Some((spot, rest)) if draw.one_in(2) => {
                        format!("{} {} {rest}", spot_text(spot), word_text("not", draw))
                    }
                    _ => format!("{} {}", word_text("not", draw), inner.text(draw)),
                },
            },
            Self::Compare(spot, operator, value) => {
                format!("{} {} {}", spot_text(spot), operator.text(), value_text(value, draw))
            }
            Self::Exists(spot) => format!("{} {}", spot_text(spot), word_text("exists", draw)),
            Self::IsNull(spot) => format!("{} {}", spot_text(spot), word_text("is null", draw)),
            other => {
                let (spot, rest) = other.behind_spot(draw).unwrap();
                format!("{} {rest}", spot_text(spot))
            }
        }
    }

    /// Of a condition before whose operator there may be a `not`: the spot, and what follows.
    fn behind_spot(&self, draw: &mut Draw) -> Option<(Spot, String)> {
        let mut word = |text| word_text(text, draw);
        Some(match self {
            Self::In(spot, values) => {
                let word = word("in");
                let values: Vec<String> = values.iter().map(|value| value_text(value, draw)).collect();
                (spot, format!("{word} [{}]", values.join(", ")))
            }
            Self::Between(spot, low, high) => {
                let words = (word("between"), word("and"));
                (spot, format!("{} {} {} {}", words.0, value_text(low, draw), words.1, value_text(high, draw)))
            }
            Self::StartsWith(spot, prefix) => {
                let word = word("starts with");
                (spot, format!("{word} {}", value_text(&Value::from(prefix.as_str()), draw)))
            }
            Self::Contains(spot, part) => {
                let word = word("contains");
                (spot, format!("{word} {}", value_text(part, draw)))
            }
            _ => return None,
        })
    }
}

fn compared<V, O: bucketdb::Operand<V>>(column: &Column<Value, V>, operator: Operator, value: O) -> TypedFilter<Value> {
    match operator {
        Operator::Equal => column.eq(value),
        Operator::NotEqual => column.ne(value),
        Operator::Less => column.lt(value),
        Operator::LessOrEqual => column.le(value),
        Operator::Greater => column.gt(value),
        Operator::GreaterOrEqual => column.ge(value),
    }
}

/// Words may be written in any case.
fn word_text(word: &str, draw: &mut Draw) -> String {
    if draw.one_in(3) { word.to_uppercase() } else { word.to_owned() }
}

/// A text in single quotes or double ones, anything else as JSON.
fn value_text(value: &Value, draw: &mut Draw) -> String {
    let json = value.to_string();
    match value {
        Value::String(text) if draw.one_in(2) && !text.contains(['"', '\'']) => {
            format!("'{}'", &json[1..json.len() - 1])
        }
        _ => json,
    }
}
