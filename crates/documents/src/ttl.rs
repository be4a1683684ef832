use std::sync::Arc;

use bucketdb_query::{Path, Segment, TextType, TextTypes, TextValue};

use crate::row::{self, Kind, RowError};
use crate::{InvalidSchema, Layouts};

/// Until when the documents of a table live: a field of theirs says it, as seconds since 1970 or as a moment in RFC 3339. A
/// document in which it is missing, or neither, lives for ever.
#[derive(Clone, Debug)]
pub struct Ttl {
    field: Path,
    layouts: Layouts,
}

impl Ttl {
    pub(crate) fn new(field: Path, layouts: Layouts) -> Self {
        Self { field, layouts }
    }

    /// The same, under the name that the field has in another version of the schema.
    pub(crate) fn renamed<'a>(&'a self, name_of: impl FnOnce(&'a str) -> &'a str, layouts: Layouts) -> Self {
        Self { field: self.field.with_first_field(name_of), layouts }
    }

    /// The field, in the text form of a path.
    #[must_use]
    pub fn field(&self) -> String {
        self.field.to_string()
    }

    /// When a row ends, in milliseconds since 1970; `None` if it does not, or does not read.
    #[must_use]
    pub fn ends_ms(&self, row: &[u8]) -> Option<u64> {
        row::look(row, &self.layouts, |document| self.seconds_in(document)).ok().flatten()
    }

    fn seconds_in(&self, document: row::Node<'_>) -> Result<Option<u64>, RowError> {
        let mut node = document;
        for segment in self.field.segments() {
            let Segment::Field(name) = segment else { return Ok(None) };
            let Some(child) = node.field(name)? else { return Ok(None) };
            node = child;
        }
        Ok(match node.kind()? {
            Kind::Integer(seconds) => Some(u64::try_from(seconds.max(0)).unwrap_or(u64::MAX).saturating_mul(1_000)),
            // The cast saturates.
            Kind::Float(seconds) => Some((seconds * 1e3).ceil() as u64),
            Kind::TextValue(value) => moment_ms(value),
            // The same, in whichever version of the schema it was written.
            Kind::Text(text) => TextType::Timestamp.parse(text).and_then(moment_ms),
            _ => None,
        })
    }
}

/// When a moment is, rounded up; it is after 1970 or counts as its beginning.
fn moment_ms(value: TextValue) -> Option<u64> {
    let TextValue::Timestamp { seconds, nanos } = value else { return None };
    let ms = i128::from(seconds) * 1_000 + i128::from(nanos.div_ceil(1_000_000));
    Some(u64::try_from(ms.max(0)).unwrap_or(u64::MAX))
}

/// The field that a text names, if documents can say there when they end.
///
/// # Errors
/// Why they cannot.
pub(crate) fn ttl_field(table: &str, field: &str) -> Result<Path, InvalidSchema> {
    let invalid = |reason: String| InvalidSchema { table: table.to_owned(), reason };
    let path: Path = field.parse().map_err(|error| invalid(format!("the field {field:?} of its TTL: {error}")))?;
    let is_field = |segment: &Segment| matches!(segment, Segment::Field(_));
    if path.segments().is_empty() || !path.segments().iter().all(is_field) {
        return Err(invalid(format!("{field:?} is not one field, and so cannot say when a document ends")));
    }
    Ok(path)
}

/// Whether a field of a table can say when documents end if its texts stand for what `types` says.
///
/// # Errors
/// If they stand for something else than moments: no document would ever end.
pub(crate) fn check_end_type(table: &str, field: &Path, types: &TextTypes) -> Result<(), InvalidSchema> {
    match types.of_path(field).filter(|text_type| *text_type != TextType::Timestamp) {
        None => Ok(()),
        Some(text_type) => {
            let reason = format!(
                "field {field} is of type {text_type}, and says when a document ends only as a timestamp, or a number of \
                 seconds since 1970"
            );
            Err(InvalidSchema { table: table.to_owned(), reason })
        }
    }
}

/// Which rows of a table have ended, for somebody who looks at one time.
#[derive(Clone, Debug)]
pub struct Expiry {
    ttl: Arc<Ttl>,
    now_ms: u64,
}

impl Expiry {
    /// By a table's field, at a time in milliseconds since 1970.
    #[must_use]
    pub fn new(ttl: Arc<Ttl>, now_ms: u64) -> Self {
        Self { ttl, now_ms }
    }

    /// The time, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Whether a row has.
    #[must_use]
    pub fn has_ended(&self, row: &[u8]) -> bool {
        self.ttl.ends_ms(row).is_some_and(|ends_ms| ends_ms <= self.now_ms)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{FieldType, KeyType, Schema};

    fn ends_ms(document: &Value, field: &str) -> Option<u64> {
        let schemas = [
            Schema::open("t", "id", KeyType::Integer),
            Schema::builder("t").field::<u64>("id").field::<Option<i64>>("ends").key(&["id"]).finish(),
            Schema::builder("t").field_of_type("ends", FieldType::Timestamp).key(&["ends"]).finish(),
        ];
        let found = schemas.map(|schema| {
            let layouts = Layouts::of_schema(&schema);
            let row = row::encode(document, &layouts).unwrap();
            Ttl::new(ttl_field("t", field).unwrap(), layouts).ends_ms(&row)
        });
        assert!(found.iter().all(|other| *other == found[0]), "{document} as it is declared");
        found[0]
    }

    #[test]
    fn no_document_ends_by_what_is_no_moment() {
        let schema =
            |of| Schema::builder("t").field::<u64>("id").field_of_type("ends", of).key(&["id"]).ttl("ends").finish();
        for of in [FieldType::Uuid, FieldType::Date, FieldType::Decimal] {
            let error = schema(of).check().unwrap_err().to_string();
            assert!(
                error.contains(&format!("field ends is of type {of}, and says when a document ends only")),
                "{error}"
            );
        }
        for of in [FieldType::Timestamp, FieldType::U64, FieldType::F64, FieldType::Any] {
            assert_eq!(schema(of).check(), Ok(()));
        }
    }

    #[test]
    fn a_number_of_seconds_says_when_a_document_ends() {
        for (ends, expected) in [
            (json!(1_700_000_000), Some(1_700_000_000_000)),
            (json!(1.5), Some(1_500)),
            (json!(0.0001), Some(1)),
            (json!(-3), Some(0)),
            (json!(-3.5), Some(0)),
            (json!(u64::MAX), Some(u64::MAX)),
            (json!(1e300), Some(u64::MAX)),
            (json!(null), None),
            (json!("tomorrow"), None),
            (json!("2023-11-14T22:13:20Z"), Some(1_700_000_000_000)),
            (json!("2023-11-14T23:13:20.0005+01:00"), Some(1_700_000_000_001)),
            (json!("1969-12-31T00:00:00Z"), Some(0)),
            (json!("2023-11-14"), None),
            (json!([1]), None),
        ] {
            assert_eq!(ends_ms(&json!({"id": 1, "ends": ends}), "ends"), expected, "{ends}");
            assert_eq!(ends_ms(&json!({"id": 1, "in": {"ends": ends}}), "in.ends"), expected, "{ends}");
        }
        assert_eq!(ends_ms(&json!({"id": 1}), "ends"), None);
        assert_eq!(ends_ms(&json!({"id": 1, "in": 3}), "in.ends"), None);
    }

    #[test]
    fn only_one_field_can_say_it() {
        for field in ["", "tags[*]", "tags[0]", "a.", "a b"] {
            assert!(ttl_field("t", field).is_err(), "{field:?}");
        }
    }
}
