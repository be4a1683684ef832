//! The grammar of filters:
//!
//! ```text
//! filter      = conjunction, { "or", conjunction }
//! conjunction = negation, { "and", negation }
//! negation    = "not", negation | "(", filter, ")" | "true" | "false" | condition
//! condition   = path, [ [ "not" ], test ]
//! test        = ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "contains" ), value | "in", list
//!             | "between", value, "and", value | "starts", "with", string | "exists" | "is", [ "not" ], "null"
//! ```

use serde_json::Value;
use winnow::Parser;
use winnow::combinator::{opt, peek, separated};
use winnow::token::take_while;

use super::ParseError;
use super::lexer::{
    Input, MAX_DEPTH, Parsed, Syntax, any_name, any_word, blanks, end, path, read, sign, takes, whole_name, word,
};
use super::literal::{list, string, value};
use crate::{Comparison, Filter, Path};

const KNOWN_OPERATORS: &str = "known are = != < <= > >= in between starts with contains exists is null";

/// Whether a word means something at the beginning of a condition or behind one, so that a field of that name needs
/// quotes.
pub(crate) fn is_keyword(word: &str) -> bool {
    ["and", "or", "not", "true", "false"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

pub(crate) fn parse_filter(text: &str) -> Result<Filter, ParseError> {
    read(text, |input| {
        blanks(input)?;
        let filter = disjunction(input, 0)?;
        end(input, "\"and\", \"or\" or the end of the filter")?;
        Ok(filter)
    })
}

fn disjunction(input: &mut Input<'_>, depth: usize) -> Parsed<Filter> {
    let parts: Vec<_> = separated(1.., |input: &mut _| conjunction(input, depth), word("or")).parse_next(input)?;
    Ok(Filter::any_of(parts))
}

fn conjunction(input: &mut Input<'_>, depth: usize) -> Parsed<Filter> {
    let parts: Vec<_> = separated(1.., |input: &mut _| negation(input, depth), word("and")).parse_next(input)?;
    Ok(Filter::all_of(parts))
}

fn negation(input: &mut Input<'_>, depth: usize) -> Parsed<Filter> {
    if depth > MAX_DEPTH {
        return Err(Syntax::too_deep(input));
    }
    if takes(input, whole_name("not"))? {
        return Ok(negation(input, depth + 1)?.not());
    }
    if takes(input, sign('('))? {
        let filter = disjunction(input, depth + 1)?;
        if !takes(input, sign(')'))? {
            return Err(Syntax::expected(input, "\"and\", \"or\" or \")\"", ""));
        }
        return Ok(filter);
    }
    if takes(input, whole_name("true"))? {
        return Ok(Filter::all());
    }
    if takes(input, whole_name("false"))? {
        return Ok(Filter::none());
    }
    condition(input)
}

fn condition(input: &mut Input<'_>) -> Parsed<Filter> {
    if opt(peek(any_name)).parse_next(input)?.is_some_and(is_keyword) {
        return Err(Syntax::expected(input, "a condition", "a field of such a name needs double quotes"));
    }
    if input.is_empty() || input.starts_with(')') {
        return Err(Syntax::expected(input, "a condition", "such as age >= 18"));
    }
    let path = path(input)?;
    if input.is_empty() || input.starts_with(')') || peek_word(input).is_some_and(joins_conditions) {
        return Ok(Filter::eq(path, true));
    }
    let negated = takes(input, word("not"))?;
    let filter = test(input, path)?;
    Ok(if negated { filter.not() } else { filter })
}

fn joins_conditions(word: &str) -> bool {
    word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or")
}

fn peek_word<'a>(input: &mut Input<'a>) -> Option<&'a str> {
    opt(peek(any_word)).parse_next(input).ok().flatten()
}

fn test(input: &mut Input<'_>, path: Path) -> Parsed<Filter> {
    let start = *input;
    let operator = peek_word(input);
    let Some(operator) = operator else { return comparison(input, path) };
    any_word(input)?;
    blanks(input)?;
    match operator.to_ascii_lowercase().as_str() {
        "in" => Ok(Filter::is_in(path, list(input, 0)?)),
        "contains" => Ok(Filter::contains(path, value(input, 0)?)),
        "exists" => Ok(Filter::exists(path)),
        "starts" => {
            expect_word(input, "with")?;
            Ok(Filter::starts_with(path, string(input)?))
        }
        "between" => {
            let low = value(input, 0)?;
            expect_word(input, "and")?;
            Ok(Filter::between(path, low, value(input, 0)?))
        }
        "is" => {
            let negated = takes(input, word("not"))?;
            expect_word(input, "null")?;
            let filter = Filter::is_null(path);
            Ok(if negated { filter.not() } else { filter })
        }
        _ => Err(Syntax::new(&start, format!("unknown operator {operator:?}"), KNOWN_OPERATORS)),
    }
}

fn expect_word(input: &mut Input<'_>, expected: &'static str) -> Parsed<()> {
    if takes(input, word(expected))? { Ok(()) } else { Err(Syntax::expected(input, &format!("{expected:?}"), "")) }
}

fn comparison(input: &mut Input<'_>, path: Path) -> Parsed<Filter> {
    const SIGNS: &[char] = &['=', '!', '<', '>', '~', '^', '&', '|', '*', '/', '%', '+', ':', '?', '@', '#'];
    let start = *input;
    let operator: Option<&str> = opt(take_while(1.., SIGNS)).parse_next(input)?;
    let operator = operator.ok_or_else(|| Syntax::expected(&start, "an operator", KNOWN_OPERATORS))?;
    blanks(input)?;
    let comparison = match operator {
        "=" => Comparison::Equal,
        "!=" => return Ok(Filter::ne(path, value(input, 0)?)),
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return Err(Syntax::new(&start, format!("unknown operator {operator:?}"), KNOWN_OPERATORS)),
    };
    let value: Value = value(input, 0)?;
    Ok(Filter::compare(path, comparison, value))
}
