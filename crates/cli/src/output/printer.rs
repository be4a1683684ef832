use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde_json::Value;

/// Standard output. Errors of writing are passed on, so that a closed pipe ends the program in good order.
pub(crate) struct Output {
    out: BufWriter<io::Stdout>,
    json: bool,
    is_terminal: bool,
    has_colours: bool,
    width: Option<u16>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = console::Term::stdout().size_checked().filter(|_| is_terminal).map(|(_, columns)| columns);
        let out = BufWriter::new(io::stdout());
        Self { out, json, is_terminal, has_colours: is_terminal && !is_plain, width }
    }

    /// Whether a machine reads.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The columns of the terminal; `None` where there is none.
    pub(crate) fn width(&self) -> Option<u16> {
        self.width
    }

    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A line that stands out on a terminal.
    pub(crate) fn heading(&mut self, text: impl Display) -> io::Result<()> {
        if self.has_colours { self.line(format_args!("\x1b[1m{text}\x1b[0m")) } else { self.line(text) }
    }

    /// A value on one line for machines, indented for people.
    pub(crate) fn value(&mut self, value: &Value) -> io::Result<()> {
        if self.json {
            return self.line(value);
        }
        serde_json::to_writer_pretty(&mut self.out, value)?;
        self.line("")
    }

    /// Shows what was written so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Shows what was written so far if somebody is watching.
    pub(crate) fn flush_to_terminal(&mut self) -> io::Result<()> {
        if self.is_terminal { self.flush() } else { Ok(()) }
    }
}

impl Write for Output {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.out.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
