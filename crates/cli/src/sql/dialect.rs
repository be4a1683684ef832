use std::fmt::Write;

use serde_json::{Number, Value};

use super::float::exact_quotient;

/// Whose SQL is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dialect {
    /// PostgreSQL, from version 12 on
    Postgresql,
    /// SQLite, from version 3.8.3 on
    Sqlite,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Boolean,
    SmallInt,
    Integer,
    BigInt,
    /// Numbers that no machine type has, digit by digit.
    Numeric,
    Double,
    /// Whole numbers and fractions, each as it is: only SQLite has that.
    Number,
    Text,
    Bytes,
    Uuid,
    Timestamp,
    Date,
    Json,
}

/// How long an identifier may be in PostgreSQL, in bytes; what is longer would be cut off.
const POSTGRESQL_NAME_BYTES: usize = 63;

impl Dialect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "PostgreSQL",
            Self::Sqlite => "SQLite",
        }
    }

    /// How many columns a table may have.
    pub(super) fn most_columns(self) -> usize {
        match self {
            Self::Postgresql => 1600,
            Self::Sqlite => 2000,
        }
    }

    pub(super) fn longest_name(self) -> usize {
        match self {
            Self::Postgresql => POSTGRESQL_NAME_BYTES,
            Self::Sqlite => 1024,
        }
    }

    /// The name of a type. SQLite knows five of them, and none for days and the like: what has one is text.
    pub(super) fn type_name(self, column: ColumnType) -> &'static str {
        match (self, column) {
            (Self::Postgresql, ColumnType::Boolean) => "boolean",
            (Self::Postgresql, ColumnType::SmallInt) => "smallint",
            (Self::Postgresql, ColumnType::Integer) => "integer",
            (Self::Postgresql, ColumnType::BigInt) => "bigint",
            (Self::Postgresql, ColumnType::Numeric | ColumnType::Number) => "numeric",
            (Self::Postgresql, ColumnType::Double) => "double precision",
            (Self::Postgresql, ColumnType::Text) => "text",
            (Self::Postgresql, ColumnType::Bytes) => "bytea",
            (Self::Postgresql, ColumnType::Uuid) => "uuid",
            (Self::Postgresql, ColumnType::Timestamp) => "timestamp with time zone",
            (Self::Postgresql, ColumnType::Date) => "date",
            (Self::Postgresql, ColumnType::Json) => "jsonb",
            (Self::Sqlite, ColumnType::Boolean | ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt) => {
                "INTEGER"
            }
            (Self::Sqlite, ColumnType::Double) => "REAL",
            (Self::Sqlite, ColumnType::Bytes) => "BLOB",
            // Without a type, every number stays what it is.
            (Self::Sqlite, ColumnType::Number) => "",
            (
                Self::Sqlite,
                ColumnType::Numeric
                | ColumnType::Text
                | ColumnType::Uuid
                | ColumnType::Timestamp
                | ColumnType::Date
                | ColumnType::Json,
            ) => "TEXT",
        }
    }

    /// Appends a value of a column, which was found to have this type.
    pub(super) fn write(self, sql: &mut String, value: &Value, column: ColumnType) {
        match (column, value) {
            (_, Value::Null) => sql.push_str("NULL"),
            (ColumnType::Json, value) => self.write_text(sql, &value.to_string()),
            (ColumnType::Bytes, Value::Array(bytes)) => self.write_bytes(sql, bytes),
            (_, Value::Bool(truth)) => sql.push_str(match (self, truth) {
                (Self::Postgresql, true) => "true",
                (Self::Postgresql, false) => "false",
                (Self::Sqlite, true) => "1",
                (Self::Sqlite, false) => "0",
            }),
            (column, Value::Number(number)) => self.write_number(sql, number, column),
            (_, Value::String(text)) => self.write_text(sql, text),
            (_, nested) => self.write_text(sql, &nested.to_string()),
        }
    }

    fn write_number(self, sql: &mut String, number: &Number, column: ColumnType) {
        let float = if number.is_f64() || column == ColumnType::Double { number.as_f64() } else { None };
        match (self, column, float) {
            // Quoted, so that the column's own type reads them; a bare -0.0 would be a numeric, which has no such thing.
            (Self::Postgresql, _, Some(float)) => push(sql, format_args!("'{float:?}'")),
            (Self::Postgresql, _, None) => push(sql, format_args!("{number}")),
            (Self::Sqlite, ColumnType::Numeric, _) => push(sql, format_args!("'{number}'")),
            (Self::Sqlite, _, Some(float)) => exact_quotient(sql, float),
            (Self::Sqlite, _, None) => push(sql, format_args!("{number}")),
        }
    }

    fn write_bytes(self, sql: &mut String, bytes: &[Value]) {
        sql.push_str(match self {
            Self::Postgresql => "'\\x",
            Self::Sqlite => "x'",
        });
        for byte in bytes.iter().filter_map(Value::as_u64) {
            push(sql, format_args!("{byte:02x}"));
        }
        sql.push('\'');
    }

    /// Appends a text. In PostgreSQL, none has a NUL: such documents are refused before.
    pub(super) fn write_text(self, sql: &mut String, text: &str) {
        if self == Self::Sqlite && text.contains(['\0', '\r']) {
            // A literal would end at the NUL, and the shell drops a carriage return at the end of a line.
            sql.push_str("CAST(x'");
            text.bytes().for_each(|byte| push(sql, format_args!("{byte:02x}")));
            sql.push_str("' AS TEXT)");
            return;
        }
        quoted(sql, text, '\'');
    }
}

/// Appends an identifier.
pub(super) fn identifier(sql: &mut String, name: &str) {
    quoted(sql, name, '"');
}

fn quoted(sql: &mut String, text: &str, quote: char) {
    sql.push(quote);
    for part in text.split_inclusive(quote) {
        sql.push_str(part);
        if part.ends_with(quote) {
            sql.push(quote);
        }
    }
    sql.push(quote);
}

fn push(sql: &mut String, what: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = sql.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(dialect: Dialect, value: &Value, column: ColumnType) -> String {
        let mut sql = String::new();
        dialect.write(&mut sql, value, column);
        sql
    }

    #[test]
    fn no_text_ends_its_quotes() {
        let text = json!("it's \"q\" \\' ''; DROP TABLE t; --\n\\.");
        for dialect in [Dialect::Postgresql, Dialect::Sqlite] {
            let sql = written(dialect, &text, ColumnType::Text);
            assert_eq!(sql, "'it''s \"q\" \\'' ''''; DROP TABLE t; --\n\\.'");
        }
        assert_eq!(written(Dialect::Sqlite, &json!("\r\n"), ColumnType::Text), "CAST(x'0d0a' AS TEXT)");
        assert_eq!(written(Dialect::Sqlite, &json!("a\0'"), ColumnType::Text), "CAST(x'610027' AS TEXT)");
        let mut name = String::new();
        identifier(&mut name, "a\"b");
        assert_eq!(name, "\"a\"\"b\"");
    }

    #[test]
    fn values_are_written_for_the_type_of_their_column() {
        let (ours, theirs) = (Dialect::Postgresql, Dialect::Sqlite);
        for (value, column, postgresql, sqlite) in [
            (json!(null), ColumnType::Text, "NULL", "NULL"),
            (json!(true), ColumnType::Boolean, "true", "1"),
            (json!(u64::MAX), ColumnType::Numeric, "18446744073709551615", "'18446744073709551615'"),
            (json!(-0.0), ColumnType::Double, "'-0.0'", "-0.0"),
            (json!(3), ColumnType::Double, "'3.0'", "3.0"),
            (json!(3), ColumnType::Number, "3", "3"),
            (json!([0, 255]), ColumnType::Bytes, "'\\x00ff'", "x'00ff'"),
            (json!({"a": "b'c"}), ColumnType::Json, "'{\"a\":\"b''c\"}'", "'{\"a\":\"b''c\"}'"),
            (json!("text"), ColumnType::Json, "'\"text\"'", "'\"text\"'"),
        ] {
            assert_eq!(written(ours, &value, column), postgresql);
            assert_eq!(written(theirs, &value, column), sqlite);
        }
    }
}
