use std::io::{BufRead, Read};

use super::rows::{MAX_DOCUMENT_BYTES, ReadError, Row, RowReader, parse_document};

/// Reads NDJSON: a document on every line. Empty lines are passed over.
#[derive(Debug)]
pub(super) struct LinesReader<R> {
    input: R,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> LinesReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0, buffer: Vec::new() }
    }
}

impl<R: BufRead> RowReader for LinesReader<R> {
    fn next_row(&mut self) -> Result<Option<Row>, ReadError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let read = (&mut self.input).take(MAX_DOCUMENT_BYTES as u64).read_until(b'\n', &mut self.buffer)?;
            if read == 0 {
                return Ok(None);
            }
            if read == MAX_DOCUMENT_BYTES && !self.buffer.ends_with(b"\n") {
                let reason = format!("the line is longer than {MAX_DOCUMENT_BYTES} bytes");
                return Err(ReadError::Malformed { line: self.line, column: None, reason });
            }
            let text = self.buffer.strip_prefix("\u{feff}".as_bytes()).filter(|_| self.line == 1);
            let text = text.unwrap_or(&self.buffer);
            let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let text = text.trim_ascii();
            if !text.is_empty() {
                return parse_document(text, self.line, blanks as u64 + 1).map(Some);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_documents_until_one_is_not() {
        let mut reader = LinesReader::new("\u{feff}{\"id\":1}\r\n\n  {\"id\":2}\n{\"id\": oops}\n".as_bytes());
        assert_eq!(reader.next_row().unwrap(), Some(Row { line: 1, document: json!({"id": 1}) }));
        assert_eq!(reader.next_row().unwrap(), Some(Row { line: 3, document: json!({"id": 2}) }));
        match reader.next_row().unwrap_err() {
            ReadError::Malformed { line: 4, column: Some(8), reason } => assert_eq!(reason, "expected value"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_last_line_needs_no_end_and_a_document_must_be_an_object() {
        let mut reader = LinesReader::new(r#"{"id":1}"#.as_bytes());
        assert!(reader.next_row().unwrap().is_some());
        assert!(reader.next_row().unwrap().is_none());
        let error = LinesReader::new("[1]".as_bytes()).next_row().unwrap_err();
        assert!(matches!(error, ReadError::Malformed { line: 1, .. }));
        let error = LinesReader::new(&b"{\"id\": \"\xff\"}"[..]).next_row().unwrap_err();
        assert!(matches!(error, ReadError::Malformed { line: 1, .. }), "{error:?}");
    }
}
