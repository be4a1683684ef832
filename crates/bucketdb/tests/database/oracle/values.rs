//! What values are, how they compare and where they are, as the documentation says it.

use std::cmp::Ordering;

use bucketdb::{FieldType, Path};
use serde_json::{Map, Value, json};

/// One step to a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Field(&'static str),
    Element(u32),
    Any,
}

/// Where values are in documents.
pub(crate) type Spot = &'static [Step];

/// The spot, for the library.
pub(crate) fn path_of(spot: Spot) -> Path {
    spot.iter().skip(1).fold(Path::field(first_field(spot)), |path, step| match step {
        Step::Field(name) => path.then_field(*name),
        Step::Element(at) => path.then_index(*at),
        Step::Any => path.then_any_element(),
    })
}

pub(crate) fn first_field(spot: Spot) -> &'static str {
    match spot[0] {
        Step::Field(name) => name,
        other => unreachable!("{other:?}"),
    }
}

/// The spot as a person writes it.
pub(crate) fn spot_text(spot: Spot) -> String {
    let mut text = String::new();
    for (at, step) in spot.iter().enumerate() {
        let dot = if at == 0 { "" } else { "." };
        match step {
            Step::Field(name) if name.contains(' ') || (at == 0 && *name == "in") => {
                text.push_str(&format!("{dot}\"{name}\""));
            }
            Step::Field(name) => text.push_str(&format!("{dot}{name}")),
            Step::Element(at) => text.push_str(&format!("[{at}]")),
            Step::Any => text.push_str("[*]"),
        }
    }
    text
}

pub(crate) fn is_multiple(spot: Spot) -> bool {
    spot.contains(&Step::Any)
}

/// The values at a spot; none if something on the way is missing.
pub(crate) fn values_at<'a>(document: &'a Value, spot: &[Step]) -> Vec<&'a Value> {
    let Some((step, rest)) = spot.split_first() else { return vec![document] };
    match (step, document) {
        (Step::Field(name), Value::Object(fields)) => {
            fields.get(*name).map_or_else(Vec::new, |value| values_at(value, rest))
        }
        (Step::Element(at), Value::Array(elements)) => {
            elements.get(*at as usize).map_or_else(Vec::new, |value| values_at(value, rest))
        }
        (Step::Any, Value::Array(elements)) => elements.iter().flat_map(|element| values_at(element, rest)).collect(),
        _ => Vec::new(),
    }
}

/// A number as its whole part, towards zero, and what is behind the point: exact, so that numbers order as these do.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Exact(i128, f64);

impl Exact {
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        if let Some(whole) = number.as_i128() {
            return Some(Self(whole, 0.0));
        }
        let float = number.as_f64().unwrap();
        // The cast saturates; beyond its bounds the number itself decides.
        Some(if float.abs() < 1e30 { Self(float.trunc() as i128, float.fract()) } else { Self(float as i128, float) })
    }

    /// In quarters, if that is exact.
    pub(crate) fn quarters(self) -> Option<i128> {
        let quarters = self.1 * 4.0;
        (self.1.abs() < 1.0 && quarters.fract() == 0.0).then(|| self.0 * 4 + quarters as i128)
    }
}

/// What a value is where it stands.
#[derive(Clone, Debug)]
pub(crate) enum Meant<'a> {
    Missing,
    Null,
    Bool(bool),
    Number(Exact),
    /// A text, or a number among decimal ones, that stands for something with this rank.
    Rank(i128),
    Text(&'a str),
    List(&'a [Value]),
    Object(&'a Map<String, Value>),
}

impl<'a> Meant<'a> {
    /// A value in a field of a type, or in none.
    pub(crate) fn of(value: &'a Value, field: Option<FieldType>) -> Self {
        let rank = match (field, value) {
            (Some(field), Value::String(text)) => rank_of(field, text),
            (Some(FieldType::Decimal), Value::Number(number)) => {
                let text =
                    number.as_f64().filter(|_| number.is_f64()).map_or(number.to_string(), |float| float.to_string());
                rank_of(FieldType::Decimal, &text)
            }
            _ => None,
        };
        match (rank, value) {
            (Some(rank), _) => Self::Rank(rank),
            (None, Value::Null) => Self::Null,
            (None, Value::Bool(value)) => Self::Bool(*value),
            (None, Value::Number(_)) => Self::Number(Exact::of(value).unwrap()),
            (None, Value::String(text)) => Self::Text(text),
            (None, Value::Array(elements)) => Self::List(elements),
            (None, Value::Object(fields)) => Self::Object(fields),
        }
    }

    /// A value that is asked for: a day is the moment at which it begins.
    pub(crate) fn asked(value: &'a Value, field: Option<FieldType>) -> Self {
        match (field, value) {
            (Some(FieldType::Timestamp), Value::String(day)) if rank_of(FieldType::Date, day).is_some() => {
                Self::Rank(rank_of(FieldType::Timestamp, &format!("{day}T00:00:00Z")).unwrap())
            }
            _ => Self::of(value, field),
        }
    }

    fn place(&self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Null => 1,
            Self::Bool(_) => 2,
            Self::Number(_) => 3,
            Self::Rank(_) => 4,
            Self::Text(_) => 5,
            Self::List(_) => 6,
            Self::Object(_) => 7,
        }
    }

    /// Whether a filter may ask which of the two is less.
    pub(crate) fn is_of_type(&self, other: &Self) -> bool {
        let of = |meant: &Self| if meant.place() == 4 { 5 } else { meant.place() };
        of(self) == of(other)
    }

    /// The one order of all values.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.partial_cmp(right).unwrap(),
            (Self::Rank(left), Self::Rank(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.chars().cmp(right.chars()),
            (Self::List(left), Self::List(right)) => {
                let pairs = left.iter().zip(*right).map(|(left, right)| order_plain(left, right));
                pairs.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
            }
            (Self::Object(left), Self::Object(right)) => {
                let sorted = |fields: &Map<String, Value>| {
                    let mut fields: Vec<(String, Value)> = fields.clone().into_iter().collect();
                    fields.sort_by(|left, right| left.0.cmp(&right.0));
                    fields
                };
                let (left, right) = (sorted(left), sorted(right));
                let pairs = left
                    .iter()
                    .zip(&right)
                    .map(|(left, right)| left.0.cmp(&right.0).then(order_plain(&left.1, &right.1)));
                pairs.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
            }
            _ => self.place().cmp(&other.place()),
        }
    }
}

/// The order of values in no field that has a type.
fn order_plain(left: &Value, right: &Value) -> Ordering {
    Meant::of(left, None).order(&Meant::of(right, None))
}

/// Texts that stand for moments, with their places in time and how they are written once they are stored.
pub(crate) const MOMENTS: [(&str, i128, &str); 7] = [
    ("2026-01-01T00:00:00Z", 10, "2026-01-01T00:00:00Z"),
    ("2026-01-01T01:00:00+01:00", 10, "2026-01-01T00:00:00Z"),
    ("2026-01-01T00:00:00.50Z", 11, "2026-01-01T00:00:00.5Z"),
    ("2025-12-31T23:59:59.999999999Z", 9, "2025-12-31T23:59:59.999999999Z"),
    ("2026-01-02T00:00:00Z", 12, "2026-01-02T00:00:00Z"),
    ("-000044-03-15T12:00:00Z", 1, "-000044-03-15T12:00:00Z"),
    ("2026-01-31T00:00:00Z", 13, "2026-01-31T00:00:00Z"),
];

/// What a text stands for in a field of a type, as its place among the others.
fn rank_of(field: FieldType, text: &str) -> Option<i128> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i128>().ok())?;
    match field {
        FieldType::Timestamp => {
            MOMENTS.iter().find(|(given, _, stored)| *given == text || *stored == text).map(|(_, rank, _)| *rank)
        }
        FieldType::Date => {
            let (sign, text) = text.strip_prefix("-00").map_or((1, text), |year| (-1, year));
            let parts: Vec<i128> = text.split('-').map(digits).collect::<Option<_>>()?;
            let [year, month, day] = parts[..] else { return None };
            (text.len() == 10).then_some(sign * year * 400 + month * 31 + day)
        }
        FieldType::Uuid => {
            let text = text.trim_matches(['{', '}']).replace('-', "");
            let bits = u128::from_str_radix(&text, 16).ok().filter(|_| text.len() == 32)?;
            Some((bits ^ (1 << 127)) as i128)
        }
        FieldType::Decimal => {
            let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
            let (whole, behind) = text.split_once('.').unwrap_or((text, ""));
            if whole.is_empty() || whole.len() > 28 || behind.len() > 3 || text.ends_with('.') {
                return None;
            }
            let behind: i128 = if behind.is_empty() { 0 } else { digits(&format!("{behind:0<3}"))? };
            Some(sign * (digits(whole)? * 1_000 + behind))
        }
        _ => None,
    }
}

/// A decimal number of so many thousandths, in its one form.
pub(crate) fn decimal_text(thousandths: i128) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, behind) = (thousandths.abs() / 1_000, thousandths.abs() % 1_000);
    let text = format!("{sign}{whole}.{behind:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is stored of a value in a field of a type.
pub(crate) fn stored(value: &Value, field: FieldType) -> Value {
    match (field, value) {
        (FieldType::Timestamp, Value::String(text)) => {
            MOMENTS.iter().find(|(given, ..)| given == text).map_or(value.clone(), |(.., stored)| json!(stored))
        }
        (FieldType::Uuid, Value::String(text)) if rank_of(field, text).is_some() => {
            let hex = text.trim_matches(['{', '}']).replace('-', "").to_lowercase();
            json!([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
        }
        _ => value.clone(),
    }
}

/// The value that stands for all that equal it.
pub(crate) fn shown(value: &Value, field: Option<FieldType>) -> Value {
    match (Meant::of(value, field), field) {
        (Meant::Rank(rank), Some(FieldType::Decimal)) => json!(decimal_text(rank)),
        (Meant::Rank(_), Some(field)) => stored(value, field),
        (Meant::List(elements), _) => elements.iter().map(|element| shown(element, None)).collect(),
        (Meant::Object(fields), _) => fields.iter().map(|(name, value)| (name.clone(), shown(value, None))).collect(),
        (Meant::Number(Exact(whole, 0.0)), _) => whole_number(whole),
        _ => value.clone(),
    }
}

/// As JSON has it: exact if it can be, else the nearest float.
pub(crate) fn whole_number(whole: i128) -> Value {
    let small = i64::try_from(whole).map(Value::from).or_else(|_| u64::try_from(whole).map(Value::from));
    small.unwrap_or_else(|_| json!(whole as f64))
}

/// The part of a document that some spots lead to, in the order of the spots.
pub(crate) fn selected(document: &Value, spots: &[Spot]) -> Value {
    fn part(value: &Value, spots: &[&[Step]]) -> Option<Value> {
        if spots.iter().any(|spot| spot.is_empty()) {
            return Some(value.clone());
        }
        let behind = |is_it: &dyn Fn(Step) -> bool| -> Vec<&[Step]> {
            spots.iter().filter(|spot| is_it(spot[0])).map(|spot| &spot[1..]).collect()
        };
        match value {
            Value::Object(fields) => {
                let mut kept = Map::new();
                for spot in spots {
                    if let Step::Field(name) = spot[0]
                        && let Some(found) =
                            fields.get(name).and_then(|value| part(value, &behind(&|step| step == spot[0])))
                    {
                        kept.entry(name).or_insert(found);
                    }
                }
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(elements) => {
                let of = |(at, element)| part(element, &behind(&|step| step == Step::Any || step == Step::Element(at)));
                let kept: Vec<Value> = (0..).zip(elements).filter_map(of).collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            _ => None,
        }
    }
    part(document, spots).unwrap_or_else(|| json!({}))
}
