//! Lists of paths: orders, selections, and a path alone.

use winnow::Parser;
use winnow::combinator::separated;

use super::ParseError;
use super::lexer::{Input, Parsed, blanks, end, path, read, sign, takes, word};
use crate::{Direction, Order, OrderTerm, Path, Selection};

pub(crate) fn parse_path(text: &str) -> Result<Path, ParseError> {
    read(text, |input| {
        blanks(input)?;
        let path = path(input)?;
        end(input, "\".\", \"[\" or the end of the path")?;
        Ok(path)
    })
}

pub(crate) fn parse_selection(text: &str) -> Result<Selection, ParseError> {
    read(text, |input| {
        blanks(input)?;
        let selection = if takes(input, sign('*'))? {
            Selection::all()
        } else {
            Selection::of(separated::<_, _, Vec<_>, _, _, _, _>(1.., path, sign(',')).parse_next(input)?)
        };
        end(input, "\",\" or the end of the selection")?;
        Ok(selection)
    })
}

pub(crate) fn parse_order(text: &str) -> Result<Order, ParseError> {
    read(text, |input| {
        blanks(input)?;
        if input.is_empty() {
            return Ok(Order::default());
        }
        let terms: Vec<OrderTerm> = separated(1.., order_term, sign(',')).parse_next(input)?;
        end(input, "\"asc\", \"desc\", \",\" or the end of the order")?;
        Ok(terms.into_iter().collect())
    })
}

fn order_term(input: &mut Input<'_>) -> Parsed<OrderTerm> {
    let path = path(input)?;
    let direction = if takes(input, word("desc"))? {
        Direction::Descending
    } else {
        takes(input, word("asc"))?;
        Direction::Ascending
    };
    Ok(OrderTerm { path, direction })
}
