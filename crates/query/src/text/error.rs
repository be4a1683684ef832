use std::fmt;

/// A text that is no filter, order, selection or path: where it goes wrong and what was expected there.
///
/// It prints three lines: one sentence, the text, and a mark below the place.
///
/// ```
/// let error = "age =~ 3".parse::<bucketdb_query::Filter>().unwrap_err();
/// assert_eq!(error.column(), 5);
/// assert!(error.message().starts_with(r#"unknown operator "=~" at column 5; known are = != < <= > >= in"#));
/// assert!(error.to_string().ends_with("\n  age =~ 3\n      ^"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    text: String,
    column: usize,
    message: String,
}

impl ParseError {
    /// `at` is a byte offset into `text`; `help` may be empty.
    pub(super) fn new(text: &str, at: usize, problem: &str, help: &str) -> Self {
        let column = text.char_indices().take_while(|(offset, _)| *offset < at).count() + 1;
        let mut message = format!("{problem} at column {column}");
        if !help.is_empty() {
            message.push_str("; ");
            message.push_str(help);
        }
        Self { text: text.to_owned(), column, message }
    }

    /// The place of the mistake, in characters; the first is 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// The sentence that says what is wrong, where, and what was expected.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The text that was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How much of a long text is shown on each side of the mark.
        const SHOWN: usize = 60;
        let skipped = (self.column - 1).saturating_sub(SHOWN);
        let left_out = if skipped > 0 { "…" } else { "" };
        // A tab or a line break would move the mark away from its place.
        let printable = |character: char| if character.is_control() { ' ' } else { character };
        let shown: String = self.text.chars().skip(skipped).take(2 * SHOWN).map(printable).collect();
        let indent = self.column - 1 - skipped + left_out.chars().count();
        write!(formatter, "{}\n  {left_out}{shown}\n  {:indent$}^", self.message, "")
    }
}
