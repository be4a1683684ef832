use serde_json::{Map, Number, Value};
use winnow::Parser;
use winnow::combinator::{alt, separated};
use winnow::stream::Stream;
use winnow::token::take_while;

use super::lexer::{Input, MAX_DEPTH, Parsed, Syntax, blanks, sign, takes, word};
use super::quoted::{quoted_len, unquote};

/// Takes a value and the blanks behind it.
pub(super) fn value(input: &mut Input<'_>, depth: usize) -> Parsed<Value> {
    if depth > MAX_DEPTH {
        return Err(Syntax::too_deep(input));
    }
    match input.chars().next() {
        Some('"' | '\'') => string(input).map(Value::String),
        Some('0'..='9' | '-') => number(input).map(Value::Number),
        Some('[') => list(input, depth).map(Value::Array),
        Some('{') => object(input, depth).map(Value::Object),
        _ => alt((
            word("true").value(Value::Bool(true)),
            word("false").value(Value::Bool(false)),
            word("null").value(Value::Null),
        ))
        .parse_next(input)
        .map_err(|_| Syntax::expected(input, "a value", "a text needs quotes around it")),
    }
}

/// Takes `[…]` and the blanks behind it.
pub(super) fn list(input: &mut Input<'_>, depth: usize) -> Parsed<Vec<Value>> {
    items(input, '[', ']', |input| value(input, depth + 1))
}

fn object(input: &mut Input<'_>, depth: usize) -> Parsed<Map<String, Value>> {
    let fields: Vec<(String, Value)> = items(input, '{', '}', |input| {
        let name = string(input)?;
        if !takes(input, sign(':'))? {
            return Err(Syntax::expected(input, "\":\"", ""));
        }
        Ok((name, value(input, depth + 1)?))
    })?;
    Ok(fields.into_iter().collect())
}

fn items<T>(
    input: &mut Input<'_>,
    open: char,
    close: char,
    mut item: impl FnMut(&mut Input<'_>) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    if !takes(input, sign(open))? {
        return Err(Syntax::expected(input, &format!("{open:?}"), ""));
    }
    if takes(input, sign(close))? {
        return Ok(Vec::new());
    }
    let items = separated(1.., |input: &mut Input<'_>| item(input), sign(',')).parse_next(input)?;
    if !takes(input, sign(close))? {
        return Err(Syntax::expected(input, &format!("\",\" or {:?}", close.to_string()), ""));
    }
    Ok(items)
}

/// Takes a text in quotes of either kind and the blanks behind it.
pub(super) fn string(input: &mut Input<'_>) -> Parsed<String> {
    if !input.starts_with(['"', '\'']) {
        return Err(Syntax::expected(input, "a text in quotes", ""));
    }
    let len = quoted_len(input.as_bytes()).map_err(|mistake| Syntax::of_mistake(input, mistake))?;
    let text = unquote(input.next_slice(len));
    blanks(input)?;
    Ok(text)
}

/// Takes the longest thing that could be meant as a number, so that a mistake in it is told as such.
fn number(input: &mut Input<'_>) -> Parsed<Number> {
    let start = *input;
    let digits: &str =
        take_while(1.., |character: char| character.is_alphanumeric() || matches!(character, '+' | '-' | '.' | '_'))
            .parse_next(input)?;
    let number = serde_json::from_str(digits).map_err(|error| {
        let problem = if error.to_string().contains("out of range") { "is out of range" } else { "is no number" };
        Syntax::new(&start, format!("{digits} {problem}"), "numbers are written as in JSON")
    })?;
    blanks(input)?;
    Ok(number)
}
