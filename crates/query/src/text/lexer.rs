//! What every grammar here is built from: input with a position, errors, blanks, words and paths.

use winnow::Parser;
use winnow::combinator::opt;
use winnow::error::ParserError;
use winnow::stream::{LocatingSlice, Location, Stream};
use winnow::token::{take, take_while};

use super::ParseError;
use super::quoted::Mistake;
use crate::Path;
use crate::path::scan::plain_name_len;

/// How deep conditions and values may be nested in text. Reading and evaluating recurse once per level.
pub(super) const MAX_DEPTH: usize = 64;

pub(super) type Input<'a> = LocatingSlice<&'a str>;

pub(super) type Parsed<T> = Result<T, Syntax>;

/// A mistake at a byte offset. A mistake of a parser that could not even begin leaves room for another to try.
#[derive(Debug)]
pub(super) struct Syntax {
    at: usize,
    problem: String,
    help: String,
    may_try_another: bool,
}

impl Syntax {
    pub(super) fn new(input: &Input<'_>, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at: input.current_token_start(), problem: problem.into(), help: help.into(), may_try_another: false }
    }

    pub(super) fn expected(input: &Input<'_>, what: &str, help: impl Into<String>) -> Self {
        let found = match input.chars().next() {
            None => ", found the end".to_owned(),
            Some(character) => format!(", found {character:?}"),
        };
        Self::new(input, format!("expected {what}{found}"), help)
    }

    pub(super) fn too_deep(input: &Input<'_>) -> Self {
        Self::new(input, format!("nested deeper than {MAX_DEPTH} levels"), "")
    }

    pub(super) fn of_mistake(input: &Input<'_>, Mistake { left, problem, help }: Mistake) -> Self {
        let at = input.current_token_start() + input.len().saturating_sub(left);
        Self { at, ..Self::new(input, problem, help) }
    }
}

impl<'a> ParserError<Input<'a>> for Syntax {
    type Inner = Self;

    fn from_input(input: &Input<'a>) -> Self {
        Self { may_try_another: true, ..Self::expected(input, "something else", "") }
    }

    fn is_backtrack(&self) -> bool {
        self.may_try_another
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// Reads a whole text.
pub(super) fn read<T>(text: &str, mut parser: impl FnMut(&mut Input<'_>) -> Parsed<T>) -> Result<T, ParseError> {
    parser(&mut Input::new(text)).map_err(|error| ParseError::new(text, error.at, &error.problem, &error.help))
}

/// Takes blanks, which may be none.
pub(super) fn blanks(input: &mut Input<'_>) -> Parsed<()> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}

/// Takes letters, digits and underscores, without the blanks behind them.
pub(super) fn any_word<'a>(input: &mut Input<'a>) -> Parsed<&'a str> {
    take_while(1.., |character: char| character.is_alphanumeric() || character == '_').parse_next(input)
}

/// Takes that word, in whatever case, and the blanks behind it.
pub(super) fn word<'a>(expected: &'static str) -> impl Parser<Input<'a>, (), Syntax> {
    (any_word.verify(move |found: &str| found.eq_ignore_ascii_case(expected)), blanks).void()
}

/// Takes what is the name of a field, if it is one, without the blanks behind it.
pub(super) fn any_name<'a>(input: &mut Input<'a>) -> Parsed<&'a str> {
    take(plain_name_len(input.as_bytes())).verify(|name: &str| !name.is_empty()).parse_next(input)
}

/// As [`word`], where the name of a field may stand as well: one that only begins with the word is not taken.
pub(super) fn whole_name<'a>(expected: &'static str) -> impl Parser<Input<'a>, (), Syntax> {
    (any_name.verify(move |found: &str| found.eq_ignore_ascii_case(expected)), blanks).void()
}

/// Takes that sign and the blanks behind it.
pub(super) fn sign<'a>(sign: char) -> impl Parser<Input<'a>, (), Syntax> {
    (sign, blanks).void()
}

/// Takes a path and the blanks behind it.
pub(super) fn path(input: &mut Input<'_>) -> Parsed<Path> {
    let (path, len) = Path::scan(input).map_err(|mistake| Syntax::of_mistake(input, mistake))?;
    input.next_slice(len);
    blanks(input)?;
    Ok(path)
}

/// Takes what the parser takes if it can begin.
pub(super) fn takes<'a, T>(input: &mut Input<'a>, parser: impl Parser<Input<'a>, T, Syntax>) -> Parsed<bool> {
    opt(parser).map(|found| found.is_some()).parse_next(input)
}

/// Refuses what is left of the text.
pub(super) fn end(input: &mut Input<'_>, expected: &str) -> Parsed<()> {
    if input.is_empty() { Ok(()) } else { Err(Syntax::expected(input, expected, "")) }
}
