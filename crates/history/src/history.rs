use std::io::BufRead;

use crate::{HistoryError, Transaction};

/// All transactions of a run, in any order.
///
/// Reports call the first of them T1, which is the line of the file if the file has no empty lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(pub Vec<Transaction>);

impl History {
    /// Reads a transaction per line. Empty lines are skipped.
    ///
    /// # Errors
    ///
    /// If the reader fails, or a line is not a transaction, ends before it starts, or is ok and does not tell what it
    /// read. The error names the line.
    pub fn read(reader: impl BufRead) -> Result<Self, HistoryError> {
        let mut transactions = Vec::new();
        for (line, text) in (1..).zip(reader.lines()) {
            let text = text.map_err(|source| HistoryError::Io { line, source })?;
            if text.trim().is_empty() {
                continue;
            }
            let transaction: Transaction = serde_json::from_str(&text)
                .map_err(|error| HistoryError::Malformed { line, detail: detail(&error) })?;
            if let Some(problem) = transaction.problem() {
                return Err(HistoryError::Malformed { line, detail: problem.to_owned() });
            }
            transactions.push(transaction);
        }
        Ok(Self(transactions))
    }

    /// The ok transactions with their places in the history.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = (usize, &Transaction)> {
        self.0.iter().enumerate().filter(|(_, transaction)| transaction.is_ok())
    }
}

impl FromIterator<Transaction> for History {
    fn from_iter<I: IntoIterator<Item = Transaction>>(transactions: I) -> Self {
        Self(transactions.into_iter().collect())
    }
}

/// The parser saw one line only, and would say that the mistake is in line 1.
fn detail(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((problem, _)) => format!("{problem} at column {}", error.column()),
        None => text,
    }
}
