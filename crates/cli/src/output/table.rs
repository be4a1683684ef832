use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

use super::csv_columns;

/// How much of a terminal's width a column has at least, for a table to be fitted into it.
const MIN_COLUMN_WIDTH: usize = 12;

/// A table with a header, as wide as its content or the terminal. A column whose name begins with `#` holds numbers.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    // Narrower columns break words into pieces that nobody can read: then the terminal may break the lines.
    if let Some(width) = width.filter(|width| usize::from(*width) >= MIN_COLUMN_WIDTH * header.len()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(header.iter().map(|name| name.trim_start_matches('#')));
    for row in rows {
        table.add_row(row);
    }
    for (index, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index).filter(|_| name.starts_with('#')) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Documents as a table: a column for every field that one of them has, `first` before the others.
pub(crate) fn document_table(documents: &[Value], first: &[String], width: Option<u16>) -> Table {
    let columns = csv_columns(documents, first);
    let is_numeric = |name: &String| {
        let mut cells = documents.iter().filter_map(|document| document.get(name)).filter(|cell| !cell.is_null());
        cells.all(Value::is_number)
    };
    let header: Vec<String> =
        columns.iter().map(|name| format!("{}{}", if is_numeric(name) { "#" } else { "" }, printable(name))).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = documents.iter().map(|document| columns.iter().map(|name| cell(document.get(name))).collect());
    table(&header, rows, width)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => printable(text),
        Some(other) => other.to_string(),
    }
}

/// Stored text must not move the cursor or change the colours of somebody's terminal.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_of_different_shapes_share_a_table() {
        let documents = [json!({"a": 1, "b": "x\u{1b}[31m"}), json!({"id": "k", "c": [1, {"d": null}], "a": null})];
        let shown = document_table(&documents, &["id".to_owned()], None).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0].split('|').map(str::trim).collect::<Vec<_>>(), ["", "id", "a", "b", "c", ""]);
        assert!(lines[2].contains("| x\u{fffd}[31m |"), "{shown}");
        assert!(lines[3].contains(r#"| [1,{"d":null}] |"#) && lines[3].contains("| null |"), "{shown}");
    }
}
