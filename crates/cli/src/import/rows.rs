use std::io;

use serde_json::Value;

/// The longest document that is read, in bytes of the file. A commit holds 8 MiB, and JSON may be a few times longer
/// than what is stored.
pub(super) const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// A document of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    pub(crate) document: Value,
}

/// Why no further document can be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file is not what it should be.
    Malformed {
        /// The line, from 1.
        line: u64,
        /// The byte in the line, from 1, if it is known.
        column: Option<u64>,
        /// What is wrong there.
        reason: String,
    },
    /// The file cannot be read.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Gives the documents of a file one after the other.
pub(crate) trait RowReader {
    /// The next document; `None` at the end of the file. After an error there is nothing more to be had.
    ///
    /// # Errors
    /// Where and why the file goes wrong.
    fn next_row(&mut self) -> Result<Option<Row>, ReadError>;
}

/// Parses a document that begins at a place of the file.
pub(super) fn parse_document(text: &[u8], line: u64, column: u64) -> Result<Row, ReadError> {
    let malformed = |line, column, reason| ReadError::Malformed { line, column: Some(column), reason };
    match serde_json::from_slice::<Value>(text) {
        Ok(document) if document.is_object() => Ok(Row { line, document }),
        Ok(_) => Err(malformed(line, column, "a document must be a JSON object".to_owned())),
        Err(error) => {
            let message = error.to_string();
            let reason = message.split(" at line ").next().unwrap_or(&message).to_owned();
            let (lines_down, at) = ((error.line() as u64).saturating_sub(1), error.column() as u64);
            let at = if lines_down == 0 { column + at.saturating_sub(1) } else { at };
            Err(malformed(line + lines_down, at.max(1), reason))
        }
    }
}
