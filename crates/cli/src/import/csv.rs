use std::collections::{HashSet, VecDeque};
use std::io::{self, Read};

use csv::{ErrorKind, Position, StringRecord};
use serde_json::{Map, Value};

use super::columns::ColumnKind;
use super::rows::{ReadError, Row, RowReader};

/// The columns of a CSV file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    pub(super) kinds: Vec<ColumnKind>,
    /// What the kinds were learnt from, as in "the first 8 MiB of the column are".
    pub(super) sample: &'static str,
}

/// Reads a line of column names, then one document from every line. An empty cell is a missing field.
#[derive(Debug)]
pub(super) struct CsvReader<R> {
    reader: csv::Reader<NumberedLines<R>>,
    columns: Columns,
    record: StringRecord,
}

/// Passes bytes on, and remembers on which lines there is text. The CSV library counts a line late where lines end in
/// two characters or are empty, but tells correctly behind which byte a record begins.
#[derive(Debug)]
struct NumberedLines<R> {
    input: R,
    /// How many bytes were passed on, and how many line feeds among them.
    bytes: u64,
    line_feeds: u64,
    was_line_end: bool,
    /// Where text begins behind the end of a line, and the number of its line, from 1.
    starts: VecDeque<(u64, u64)>,
    delimiter: u8,
    cell: Cell,
    /// The line in which the last quoted cell began.
    quoted_in_line: u64,
    /// The same, if the input ended inside of it: to the CSV library the rest of the file would be that cell.
    unclosed_in_line: Option<u64>,
}

/// Where in a cell the last byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Start,
    Plain,
    Quoted,
    /// Behind a quotation mark in a quoted cell: its end, or the first half of a doubled one.
    AtQuote,
}

impl<R: Read> NumberedLines<R> {
    fn new(input: R, delimiter: u8) -> Self {
        Self {
            input,
            bytes: 0,
            line_feeds: 0,
            was_line_end: true,
            starts: VecDeque::new(),
            delimiter,
            cell: Cell::Start,
            quoted_in_line: 0,
            unclosed_in_line: None,
        }
    }

    fn follow_cell(&mut self, byte: u8) {
        let ends_cell = byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        self.cell = match self.cell {
            Cell::Quoted if byte == b'"' => Cell::AtQuote,
            Cell::Quoted => Cell::Quoted,
            Cell::AtQuote if byte == b'"' => Cell::Quoted,
            Cell::Start if byte == b'"' => {
                self.quoted_in_line = self.line_feeds + 1;
                Cell::Quoted
            }
            _ if ends_cell => Cell::Start,
            Cell::Start | Cell::Plain | Cell::AtQuote => Cell::Plain,
        };
    }
}

impl<R: Read> Read for NumberedLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.cell == Cell::Quoted {
            self.unclosed_in_line = Some(self.quoted_in_line);
        }
        for byte in buffer.iter().take(read) {
            let is_line_end = matches!(byte, b'\n' | b'\r');
            if self.was_line_end && !is_line_end {
                self.starts.push_back((self.bytes, self.line_feeds + 1));
            }
            self.was_line_end = is_line_end;
            self.follow_cell(*byte);
            self.bytes += 1;
            self.line_feeds += u64::from(*byte == b'\n');
        }
        Ok(read)
    }
}

/// The line of a record that begins at or behind a byte. Earlier lines are forgotten.
fn line_at<R: Read>(reader: &mut csv::Reader<NumberedLines<R>>, position: Option<&Position>) -> u64 {
    let (byte, starts) = (position.map_or(0, Position::byte), &mut reader.get_mut().starts);
    while starts.front().is_some_and(|(start, _)| *start < byte) {
        starts.pop_front();
    }
    starts.front().map_or(1, |(_, line)| *line)
}

/// Opens a CSV file; a line with more or fewer cells than the first is an error.
fn open<R: Read>(input: R, delimiter: u8) -> csv::Reader<NumberedLines<R>> {
    csv::ReaderBuilder::new().delimiter(delimiter).from_reader(NumberedLines::new(input, delimiter))
}

/// Learns the columns from a file, up to its end or the first mistake: who reads it again finds the mistake too.
///
/// # Errors
/// If the names of the columns cannot be used, or if the file cannot be read.
pub(super) fn learn<R: Read>(input: R, delimiter: u8, sample: &'static str) -> Result<Columns, ReadError> {
    let mut reader = open(input, delimiter);
    let names = read_names(&mut reader)?;
    let mut kinds = vec![ColumnKind::Empty; names.len()];
    let mut record = StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {
                line_at(&mut reader, record.position());
                for (kind, cell) in kinds.iter_mut().zip(record.iter()) {
                    *kind = kind.with(cell);
                }
            }
            Err(error) if error.is_io_error() => return Err(explain(&mut reader, error)),
            Ok(false) | Err(_) => return Ok(Columns { names, kinds, sample }),
        }
    }
}

fn read_names<R: Read>(reader: &mut csv::Reader<NumberedLines<R>>) -> Result<Vec<String>, ReadError> {
    let names: Vec<String> = match reader.headers() {
        Ok(names) => names.iter().map(str::to_owned).collect(),
        Err(error) => return Err(explain(reader, error)),
    };
    let line = line_at(reader, None);
    let malformed = |reason: String| Err(ReadError::Malformed { line, column: None, reason });
    let mut known = HashSet::new();
    for (position, name) in (1..).zip(&names) {
        if name.is_empty() {
            return malformed(format!("column {position} has no name"));
        }
        if !known.insert(name) {
            return malformed(format!("two columns are called {name:?}"));
        }
    }
    Ok(names)
}

impl<R: Read> CsvReader<R> {
    /// Reads a file whose columns are known. Those that are not in `columns` are text.
    pub(super) fn new(input: R, delimiter: u8, mut columns: Columns) -> Result<Self, ReadError> {
        let mut reader = open(input, delimiter);
        let names = read_names(&mut reader)?;
        let kind = |name: &String| {
            let known = columns.names.iter().position(|known| known == name);
            known.and_then(|index| columns.kinds.get(index).copied()).unwrap_or(ColumnKind::Text)
        };
        columns.kinds = names.iter().map(kind).collect();
        columns.names = names;
        Ok(Self { reader, columns, record: StringRecord::new() })
    }
}

impl<R: Read> RowReader for CsvReader<R> {
    fn next_row(&mut self) -> Result<Option<Row>, ReadError> {
        match self.reader.read_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(explain(&mut self.reader, error)),
        }
        if let Some(line) = self.reader.get_ref().unclosed_in_line {
            let reason = "a cell that begins with a quotation mark in this line is never closed".to_owned();
            return Err(ReadError::Malformed { line, column: None, reason });
        }
        let line = line_at(&mut self.reader, self.record.position());
        let mut document = Map::new();
        let columns = self.columns.names.iter().zip(&self.columns.kinds);
        for ((name, kind), cell) in columns.zip(self.record.iter()) {
            match kind.value(cell) {
                Ok(Some(value)) => drop(document.insert(name.clone(), value)),
                Ok(None) => {}
                Err(()) => {
                    let shown: String = cell.chars().take(60).collect();
                    let reason = format!(
                        "{shown:?} in column {name:?} is not {}, as {} are; import it with --csv-types text",
                        kind.describe(),
                        self.columns.sample
                    );
                    return Err(ReadError::Malformed { line, column: None, reason });
                }
            }
        }
        Ok(Some(Row { line, document: Value::Object(document) }))
    }
}

fn explain<R: Read>(reader: &mut csv::Reader<NumberedLines<R>>, error: csv::Error) -> ReadError {
    let (position, reason) = match error.into_kind() {
        ErrorKind::Io(error) => return ReadError::Io(error),
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            (pos, format!("the line has {len} cells, and the first line names {expected_len} columns"))
        }
        ErrorKind::Utf8 { pos, .. } => (pos, "the text is not UTF-8".to_owned()),
        _ => return ReadError::Io(io::Error::other("the CSV file cannot be read")),
    };
    ReadError::Malformed { line: line_at(reader, position.as_ref()), column: None, reason }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Vec<(u64, Value)>, Option<ReadError>) {
        let columns = learn(text.as_bytes(), b',', "all others").unwrap();
        let mut reader = CsvReader::new(text.as_bytes(), b',', columns).unwrap();
        let mut rows = Vec::new();
        loop {
            match reader.next_row() {
                Ok(Some(row)) => rows.push((row.line, row.document)),
                Ok(None) => return (rows, None),
                Err(error) => return (rows, Some(error)),
            }
        }
    }

    #[test]
    fn a_cell_that_is_never_closed_is_found() {
        let (rows, error) = read("id,a\n1,\"x \"\"y\"\"\"\n2,\"abc\n3,d\n");
        assert_eq!(rows.len(), 1);
        assert!(matches!(error, Some(ReadError::Malformed { line: 3, .. })), "{error:?}");
        let (rows, error) = read("id,a\n1,x\"y\n2,\"z\"\"\"\n3,\"a\nb\"");
        assert!(error.is_none(), "{error:?}");
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn lines_become_documents_with_their_line_numbers() {
        for end in ["\n", "\r\n"] {
            let text = ["\u{feff}id,name,code", "1,\"a, \"\"b\"\"\",007", "2,,1", "", "3,é,+4412", ""].join(end);
            let (rows, error) = read(&text);
            assert!(error.is_none());
            assert_eq!(
                rows,
                [
                    (2, json!({"id": 1, "name": "a, \"b\"", "code": "007"})),
                    (3, json!({"id": 2, "code": "1"})),
                    (5, json!({"id": 3, "name": "é", "code": "+4412"})),
                ]
            );
        }
    }

    #[test]
    fn a_line_of_another_length_ends_it_with_its_number() {
        for end in ["\n", "\r\n"] {
            let (rows, error) = read(&["id,n", "1,2", "\"2\n\n\",3", "3", "4,5"].join(end));
            assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
            assert!(matches!(error, Some(ReadError::Malformed { line: 6, .. })), "{error:?}");
        }
    }

    #[test]
    fn column_names_must_be_of_use() {
        assert!(matches!(learn("a,a\n1,2\n".as_bytes(), b',', ""), Err(ReadError::Malformed { line: 1, .. })));
        assert!(matches!(learn("a,\n1,2\n".as_bytes(), b',', ""), Err(ReadError::Malformed { line: 1, .. })));
    }

    #[test]
    fn a_cell_that_contradicts_the_sample_is_named() {
        let columns = learn("id\n1\n".as_bytes(), b',', "the first cells").unwrap();
        let mut reader = CsvReader::new("id\n1\nx\n".as_bytes(), b',', columns).unwrap();
        assert!(reader.next_row().unwrap().is_some());
        match reader.next_row().unwrap_err() {
            ReadError::Malformed { line: 3, reason, .. } => {
                assert!(
                    reason.contains(r#""x" in column "id" is not a whole number, as the first cells are"#),
                    "{reason}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
