//! Filters, orders and projections over documents, as values and as text.
//!
//! A document is a [`serde_json::Value`]; for a filter also whatever else lets it [`Reach`] values. A [`Filter`] says which
//! documents a query wants, an [`Order`] in which order, a [`Selection`] which of their fields. Each can be built in code,
//! read from text and printed as text that reads back to the same. A [`Column`] builds filters and orders that are checked
//! against the Rust type of a document; they are a [`TypedFilter`] and a [`TypedOrder`]. It also builds [`Aggregate`]s, such
//! as sums, which [`Groups`] compute.
//!
//! ```
//! use bucketdb_query::{Filter, Order, Selection};
//! use serde_json::json;
//!
//! let filter: Filter = r#"age >= 18 and (role = "admin" or address.city in ["Bern", "Basel"]) and not deleted"#.parse()?;
//! let document = json!({"name": "Ann", "age": 20, "role": "guest", "address": {"city": "Bern"}});
//! assert!(filter.matches(&document));
//!
//! let order: Order = "age desc, name".parse()?;
//! assert!(order.compare(&json!({"age": 30}), &document).is_lt());
//!
//! let selection: Selection = "name, address.city".parse()?;
//! assert_eq!(selection.apply(&document), json!({"name": "Ann", "address": {"city": "Bern"}}));
//! # Ok::<(), bucketdb_query::ParseError>(())
//! ```
//!
//! # Comparing values
//!
//! Values have one total order, [`compare()`]: missing, `null`, `false`, `true`, numbers, strings, lists, objects.
//! Numbers are compared by their exact value however they are written: 1 equals 1.0, and 9007199254740993 is more
//! than 9007199254740992.0. Strings are ordered by their code points, lists element by element, objects by their
//! fields sorted by name. An [`Order`] sorts by that total order. A [`Filter`] uses it within one type only: `<` and
//! its kin are false between values of different types.
//!
//! Where a table says that the texts of a field stand for UUIDs, moments, days or decimal numbers, they compare by these:
//! see [`TextType`].
//!
//! ## Numbers
//!
//! A number of single precision, an `f32`, is the decimal number that it shows: `height = 1.1` finds the `1.1_f32` of a
//! document, and JSON has it as 1.1 and not as 1.100000023841858; see [`double_of`].
//!
//! A whole number of 128 bits is a number where 64 bits hold it, from -2^63 to below 2^64. Any other is its 16 bytes, the
//! highest first, which JSON and the text of a filter have as a list; so an [`Order`] has it behind all numbers, those of
//! a `u128` in their order, of an `i128` the negative ones last. A [`Column`] of such a type knows that: its
//! comparisons find the numbers that compare so, whichever way they are held.
//!
//! # The text of a filter
//!
//! | text | true if |
//! |---|---|
//! | `age = 18`, `age != 18` | the value equals 18; it does not, **or there is no value** (`!=` is exactly `not … =`) |
//! | `age < 18`, `<=`, `>`, `>=` | the value is of the same type and stands in that order |
//! | `age between 18 and 65` | both `age >= 18` and `age <= 65` |
//! | `role in ["a", "b"]` | the value equals one of the list |
//! | `name starts with "An"` | the value is a string with that beginning |
//! | `tags contains "x"` | the value is a list with an element equal to that, or a string with that inside |
//! | `email exists` | the field is there, even if it is `null` |
//! | `email is null`, `email is not null` | the field is missing or `null`; it has a value other than `null` |
//! | `email = null` | the field is there and `null` |
//! | `active` | the value is `true`: short for `active = true` |
//! | `true`, `false` | always, never |
//! | `not …`, `… and …`, `… or …`, `( … )` | as usual; `not` binds tightest, then `and`, then `or` |
//!
//! `not` may also stand before the operator, as in `role not in ["a"]`. Words may be written in any case. A value is
//! a string in single or double quotes (with the escapes of JSON, and `\'`), a number, `true`, `false`, `null`, a list
//! `[1, 2]` or an object `{"a": 1}`. What stands left of an operator is a [`Path`]; where it can lead to several values
//! (`tags[*]`), a condition is true if it is true of one of them.

mod aggregate;
mod column;
mod compare;
mod filter;
mod order;
mod path;
mod reach;
mod selection;
mod stored;
mod text;
mod text_type;
mod top_k;

pub use aggregate::{
    Aggregate, AggregateError, AggregateTerm, Aggregation, Function, Grouping, Groups, Number, SumType, Total,
    UnexpectedValue, canonical,
};
pub use column::{AnyColumn, Column, Container, List, Nests, Operand, Text};
pub use compare::compare;
pub use filter::{Comparison, Expression, Filter, TypedFilter};
pub use order::{Direction, Order, OrderTerm, TypedOrder};
pub use path::{Path, Segment, Values};
pub use reach::{Reach, ValueRef};
pub use selection::Selection;
pub use stored::{AsStored, double_of};
pub use text::ParseError;
pub use text_type::{Decimal, ShortText, TextType, TextTypes, TextValue, Typed};
pub use top_k::TopK;
