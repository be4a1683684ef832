use std::fmt;

use super::{Comparison, Expression, Filter};
use crate::text::quoted::quote;

/// Text that reads back to an equal filter.
impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expression() {
            Expression::And(filters) if filters.is_empty() => formatter.write_str("true"),
            Expression::Or(filters) if filters.is_empty() => formatter.write_str("false"),
            Expression::And(filters) => {
                join(formatter, filters, " and ", |filter| matches!(filter.expression(), Expression::Or(_)))
            }
            Expression::Or(filters) => join(formatter, filters, " or ", |_| false),
            Expression::Not(filter) => {
                formatter.write_str("not ")?;
                let joined = matches!(filter.expression(), Expression::And(_) | Expression::Or(_));
                write_grouped(formatter, filter, joined)
            }
            Expression::Compare { path, comparison, value } => write!(formatter, "{path} {comparison} {value}"),
            Expression::In { path, values } => {
                write!(formatter, "{path} in [")?;
                for (position, value) in values.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(formatter, "{separator}{value}")?;
                }
                formatter.write_str("]")
            }
            Expression::Between { path, low, high } => write!(formatter, "{path} between {low} and {high}"),
            Expression::StartsWith { path, prefix } => write!(formatter, "{path} starts with {}", quote(prefix)),
            Expression::Contains { path, value } => write!(formatter, "{path} contains {value}"),
            Expression::Exists { path } => write!(formatter, "{path} exists"),
            Expression::IsNull { path } => write!(formatter, "{path} is null"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.operator())
    }
}

fn join(
    formatter: &mut fmt::Formatter<'_>,
    filters: &[Filter],
    separator: &str,
    needs_parentheses: fn(&Filter) -> bool,
) -> fmt::Result {
    for (position, filter) in filters.iter().enumerate() {
        if position > 0 {
            formatter.write_str(separator)?;
        }
        write_grouped(formatter, filter, needs_parentheses(filter))?;
    }
    Ok(())
}

fn write_grouped(formatter: &mut fmt::Formatter<'_>, filter: &Filter, in_parentheses: bool) -> fmt::Result {
    if in_parentheses { write!(formatter, "({filter})") } else { write!(formatter, "{filter}") }
}
