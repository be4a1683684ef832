//! Filters, orders, selections and paths as text: no text makes the parsers panic, an error points into the text, and what
//! was read prints as a text that reads as the same.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use bucketdb::{Filter, Order, ParseError, Path, Selection};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    check::<Filter>(text);
    check::<Order>(text);
    check::<Selection>(text);
    check::<Path>(text);
});

fn check<T: FromStr<Err = ParseError> + Display + Debug + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert_eq!(printed.parse::<T>().as_ref(), Ok(&value), "{printed}");
        }
        Err(error) => {
            let column = error.column();
            assert!((1..=text.chars().count() + 1).contains(&column), "{error}: column {column} of {text:?}");
        }
    }
}
