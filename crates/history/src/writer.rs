use std::io::{self, Write};

use crate::Transaction;

/// Writes a history, a transaction per line.
///
/// A line is written whole, by a single call of the writer: if a process is killed, at most its last line is torn.
///
/// ```
/// use bucketdb_history::{History, HistoryWriter, Op, Outcome, Transaction};
///
/// let ops = vec![Op::append("x", 7)];
/// let transaction = Transaction { outcome: Outcome::Info, process: 2, start: 10, end: 25, ops, seq: None };
/// let mut writer = HistoryWriter::new(Vec::new());
/// writer.write(&transaction)?;
/// let file = writer.into_inner();
/// assert_eq!(History::read(file.as_slice())?, History(vec![transaction]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HistoryWriter<W> {
    writer: W,
    line: Vec<u8>,
}

impl<W: Write> HistoryWriter<W> {
    /// Writes to `writer`, which needs no buffer unless the transactions are very many.
    pub fn new(writer: W) -> Self {
        Self { writer, line: Vec::new() }
    }

    /// Writes a transaction.
    ///
    /// # Errors
    ///
    /// If the writer fails. A part of the line may have been written.
    pub fn write(&mut self, transaction: &Transaction) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, transaction)?;
        self.line.push(b'\n');
        self.writer.write_all(&self.line)
    }

    /// Flushes the writer.
    ///
    /// # Errors
    ///
    /// If the writer fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// The writer, not flushed.
    pub fn into_inner(self) -> W {
        self.writer
    }
}
