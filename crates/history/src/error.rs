use std::io;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file or stream failed.
    #[error("line {line} of the history cannot be read")]
    Io {
        /// Which line, counted from 1.
        line: usize,
        /// What the operating system says.
        source: io::Error,
    },
    /// A line holds something else than a transaction.
    #[error("line {line} of the history is not a transaction: {detail}")]
    Malformed {
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        detail: String,
    },
}
