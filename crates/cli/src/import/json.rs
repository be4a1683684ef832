use std::io::BufRead;

use super::rows::{MAX_DOCUMENT_BYTES, ReadError, Row, RowReader, parse_document};

/// Reads a list of objects, or one object after the other. Only one document is in memory at a time.
#[derive(Debug)]
pub(super) struct JsonReader<R> {
    input: R,
    /// Where the next byte is, both from 1.
    line: u64,
    column: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// Objects one after the other.
    Sequence,
    /// In a list, before its first element.
    ListStart,
    /// In a list, behind an element.
    List,
    End,
}

impl<R: BufRead> JsonReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1, column: 1, state: State::Start }
    }

    fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            match self.input.fill_buf() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Steps over a byte that was peeked at.
    fn step(&mut self, byte: u8) {
        self.input.consume(1);
        if byte == b'\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
    }

    fn skip_whitespace(&mut self) -> Result<Option<u8>, ReadError> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.step(byte);
        }
        Ok(None)
    }

    fn malformed<T>(&self, reason: impl Into<String>) -> Result<T, ReadError> {
        Err(ReadError::Malformed { line: self.line, column: Some(self.column), reason: reason.into() })
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), ReadError> {
        for expected in "\u{feff}".bytes() {
            match self.peek()? {
                Some(byte) if byte == expected => self.input.consume(1),
                _ if expected == 0xef => return Ok(()),
                _ => return self.malformed("expected value"),
            }
        }
        Ok(())
    }

    /// The text of the object that begins here, up to the brace that closes it.
    fn read_object(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut text = Vec::new();
        let (mut depth, mut in_string, mut is_escaped) = (0u64, false, false);
        while let Some(byte) = self.peek()? {
            self.step(byte);
            text.push(byte);
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_string => is_escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(text);
                    }
                }
                _ => {}
            }
            if text.len() > MAX_DOCUMENT_BYTES {
                return self.malformed(format!("a document is longer than {MAX_DOCUMENT_BYTES} bytes, or never ends"));
            }
        }
        Ok(text)
    }

    /// Steps to where the next element begins; false if there is none.
    fn find_element(&mut self) -> Result<bool, ReadError> {
        if self.state == State::Start {
            self.skip_byte_order_mark()?;
        }
        loop {
            let next = self.skip_whitespace()?;
            match (self.state, next) {
                (State::Start, Some(b'[')) => {
                    self.step(b'[');
                    self.state = State::ListStart;
                }
                (State::Start, _) => self.state = State::Sequence,
                (State::ListStart | State::List, Some(b']')) => {
                    self.step(b']');
                    self.state = State::End;
                }
                (State::List, Some(b',')) => {
                    self.step(b',');
                    self.skip_whitespace()?;
                    return Ok(true);
                }
                (State::ListStart, Some(_)) => {
                    self.state = State::List;
                    return Ok(true);
                }
                (State::Sequence, Some(_)) => return Ok(true),
                (State::Sequence | State::End, None) => return Ok(false),
                (State::ListStart | State::List, None) => return self.malformed("the list does not end"),
                (State::List, Some(_)) => return self.malformed("expected `,` or `]`"),
                (State::End, Some(_)) => return self.malformed("there is something behind the end of the list"),
            }
        }
    }
}

impl<R: BufRead> RowReader for JsonReader<R> {
    fn next_row(&mut self) -> Result<Option<Row>, ReadError> {
        if !self.find_element()? {
            return Ok(None);
        }
        let (line, column) = (self.line, self.column);
        match self.peek()? {
            Some(b'{') => parse_document(&self.read_object()?, line, column).map(Some),
            Some(_) => self.malformed("a document must be a JSON object"),
            None => self.malformed("the list does not end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Line and column of a mistake.
    type Place = (u64, Option<u64>);

    fn read(text: &str) -> (Vec<Value>, Option<Place>) {
        let mut reader = JsonReader::new(text.as_bytes());
        let mut documents = Vec::new();
        loop {
            match reader.next_row() {
                Ok(Some(row)) => documents.push(row.document),
                Ok(None) => return (documents, None),
                Err(ReadError::Malformed { line, column, .. }) => return (documents, Some((line, column))),
                Err(ReadError::Io(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn lists_and_sequences_are_read() {
        let both = vec![json!({"a": "}]\\\""}), json!({"b": [{}]})];
        for text in [
            r#"[{"a": "}]\\\""}, {"b": [{}]}]"#,
            "\u{feff} [\n{\"a\":\"}]\\\\\\\"\"}\n,\n{\"b\":[{}]}\n]\n",
            r#"{"a": "}]\\\""}{"b": [{}]}"#,
        ] {
            assert_eq!(read(text), (both.clone(), None), "{text}");
        }
        assert_eq!(read(""), (vec![], None));
        assert_eq!(read(" [ ] "), (vec![], None));
    }

    #[test]
    fn a_mistake_is_found_where_it_is() {
        for (text, good, line, column) in [
            ("[{\"a\":1},\n {\"a\" 2}]", 1, 2, 7),
            ("[{\"a\":1}\n {\"a\":2}]", 1, 2, 2),
            ("[{\"a\":1},\n]", 1, 2, 1),
            ("[{\"a\":1}", 1, 1, 9),
            ("[{\"a\":1},", 1, 1, 10),
            ("[1]", 0, 1, 2),
            ("[] x", 0, 1, 4),
            ("{\"a\":1}\n7", 1, 2, 1),
            ("{\n\"a\":\n1,}", 0, 3, 3),
        ] {
            let (documents, error) = read(text);
            assert_eq!(documents.len(), good, "{text}");
            assert_eq!(error, Some((line, Some(column))), "{text}");
        }
        assert!(read("{\"a\":1").1.is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}:, \n\"\\\\a1]{0,40}") {
            let (documents, error) = read(&text);
            if let Ok(Value::Array(list)) = serde_json::from_str::<Value>(&text) && list.iter().all(Value::is_object) {
                prop_assert_eq!((documents, error), (list, None));
            }
        }
    }
}
