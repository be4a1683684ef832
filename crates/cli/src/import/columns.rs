use serde_json::{Number, Value};

/// What the cells of a CSV column are, as far as they were seen. Ordered: a column only ever moves to a later kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ColumnKind {
    /// No cell had anything in it.
    Empty,
    /// True or false.
    Boolean,
    /// Whole numbers of at most 64 bits.
    Integer,
    /// Numbers, some of them with a fraction.
    Number,
    /// Anything.
    Text,
}

impl ColumnKind {
    /// The kind of a column that has this cell as well.
    pub(super) fn with(self, cell: &str) -> Self {
        let kind = kind_of(cell);
        match (self, kind) {
            (Self::Boolean, Self::Integer | Self::Number) | (Self::Integer | Self::Number, Self::Boolean) => Self::Text,
            _ => self.max(kind),
        }
    }

    /// The value of a cell; `None` if it is empty. Fails if the cell does not belong into such a column.
    pub(super) fn value(self, cell: &str) -> Result<Option<Value>, ()> {
        if cell.is_empty() {
            return Ok(None);
        }
        let value = match self {
            // Nothing was known of the column: text is never wrong.
            Self::Empty | Self::Text => Some(Value::from(cell)),
            Self::Boolean => boolean(cell).map(Value::from),
            Self::Integer => number(cell).filter(|number| !number.is_f64()).map(Value::from),
            Self::Number => number(cell).map(Value::from),
        };
        value.map(Some).ok_or(())
    }

    /// "a number", as in "is not a number".
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Empty | Self::Text => "text",
            Self::Boolean => "`true` or `false`",
            Self::Integer => "a whole number",
            Self::Number => "a number",
        }
    }
}

fn kind_of(cell: &str) -> ColumnKind {
    if cell.is_empty() {
        return ColumnKind::Empty;
    }
    match number(cell) {
        Some(number) if number.is_f64() => ColumnKind::Number,
        Some(_) => ColumnKind::Integer,
        None if boolean(cell).is_some() => ColumnKind::Boolean,
        None => ColumnKind::Text,
    }
}

fn boolean(cell: &str) -> Option<bool> {
    match cell {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// The number that a cell is, written as JSON writes numbers. `007`, `+4412`, `1,5`, `.5` and numbers of more than 64
/// bits are none: they may be codes, which must keep all their characters.
fn number(cell: &str) -> Option<Number> {
    let unsigned = cell.strip_prefix('-').unwrap_or(cell);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at_checked(digits)?;
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    if rest.is_empty() {
        if cell == "-0" {
            return None;
        }
        let signed = cell.parse::<i64>().map(Number::from);
        return signed.or_else(|_| cell.parse::<u64>().map(Number::from)).ok();
    }
    // What else JSON allows behind the digits, its own parser knows; but it passes over blanks at the end.
    if !rest.ends_with(|last: char| last.is_ascii_digit()) {
        return None;
    }
    let number: Number = serde_json::from_str(cell).ok()?;
    number.as_f64().filter(|value| value.is_finite()).map(|_| number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn column(cells: &[&str]) -> Vec<Option<Value>> {
        let kind = cells.iter().fold(ColumnKind::Empty, |kind, cell| kind.with(cell));
        cells.iter().map(|cell| kind.value(cell).unwrap()).collect()
    }

    #[test]
    fn columns_are_as_narrow_as_all_their_cells_allow() {
        assert_eq!(column(&["1", "", "-7"]), [Some(json!(1)), None, Some(json!(-7))]);
        assert_eq!(column(&["1", "2.50", "1e3"]), [Some(json!(1)), Some(json!(2.5)), Some(json!(1e3))]);
        assert_eq!(column(&["18446744073709551615"]), [Some(json!(u64::MAX))]);
        assert_eq!(column(&["true", "false"]), [Some(json!(true)), Some(json!(false))]);
        assert_eq!(column(&["true", "1"]), [Some(json!("true")), Some(json!("1"))]);
        assert_eq!(column(&["1", "x", "true"]), [Some(json!("1")), Some(json!("x")), Some(json!("true"))]);
        assert_eq!(column(&["", ""]), [None, None]);
    }

    #[test]
    fn what_may_be_a_code_stays_text() {
        for code in [
            "007",
            "+4412",
            "00",
            "-0",
            "1_000",
            "1,5",
            ".5",
            "5.",
            "0x10",
            " 1",
            "1 ",
            "NaN",
            "inf",
            "1e999",
            "-",
            "18446744073709551616",
            "-9223372036854775809",
            "True",
            "yes",
            "01.5",
            "--1",
            "1e",
            "١",
        ] {
            assert_eq!(column(&["1", code])[0], Some(json!("1")), "{code} must make the column text");
            assert_eq!(column(&[code]), [Some(json!(code))]);
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back_as_they_were_written(value in any::<f64>(), whole in any::<i64>()) {
            prop_assume!(value.is_finite());
            let cell = json!(value).to_string();
            prop_assert_eq!(column(&[&cell]), [Some(json!(value))]);
            prop_assert_eq!(column(&[&whole.to_string(), &cell]), [Some(json!(whole)), Some(json!(value))]);
        }

        #[test]
        fn text_that_is_a_number_for_nobody_keeps_its_characters(cell in ".{1,12}") {
            let kept = match column(&[&cell, "x"]).into_iter().next().flatten() {
                Some(Value::String(text)) => text,
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(kept, cell);
        }
    }
}
