use arbitrary::Arbitrary;
use serde_json::{Map, Number, Value};

/// Any JSON value.
#[derive(Arbitrary, Clone, Debug)]
pub enum Any {
    Null,
    Boolean(bool),
    Byte(u8),
    Integer(i64),
    Large(u64),
    Float(f64),
    Text(String),
    List(Vec<Any>),
    Object(Vec<(String, Any)>),
}

impl From<Any> for Value {
    fn from(value: Any) -> Self {
        match value {
            Any::Null => Self::Null,
            Any::Boolean(value) => value.into(),
            Any::Byte(number) => number.into(),
            Any::Integer(number) => number.into(),
            Any::Large(number) => number.into(),
            Any::Float(number) => Number::from_f64(number).map_or(Self::Null, Self::Number),
            Any::Text(text) => text.into(),
            Any::List(values) => values.into_iter().map(Self::from).collect(),
            Any::Object(fields) => {
                Self::Object(fields.into_iter().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>())
            }
        }
    }
}
